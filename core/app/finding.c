#include "core/app/finding.h"

#include "core/app/digest.h"
#include "core/app/message_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

enum { TEXT_SIZE = 1024, FIELD_SIZE = 256, SHOWN_DIFFERENCES_MAX = 20 };

static uint32_t take_u32(struct span *from) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && from->size > 0; i++) {
    value = value << 8 | from->data[0];
    *from = span_of(from->data + 1, from->size - 1);
  }
  return value;
}

static struct span take_bytes(struct span *from, size_t size) {
  const struct span taken = span_of(from->data, size < from->size ? size : from->size);
  *from = span_of(from->data + taken.size, from->size - taken.size);
  return taken;
}

/* An array of [name, value], since a name may repeat and the order counts. */
static json_t *headers_json(struct span headers) {
  json_t *const array = json_array();
  while (headers.size > 0) {
    const struct span name = take_bytes(&headers, take_u32(&headers));
    const uint32_t size = take_u32(&headers);
    const struct span value = take_bytes(&headers, size == UINT32_MAX ? 0 : size);
    json_array_append_new(array,
                          json_pack("[o, o]", json_of_bytes(name),
                                    size == UINT32_MAX ? json_null() : json_of_bytes(value)));
  }
  return array;
}

static json_t *bytes_or_null(struct span bytes, bool is_null) {
  return is_null ? json_null() : json_of_bytes(bytes.data == NULL ? span_of("", 0) : bytes);
}

struct json_t *finding_of_message(const struct schemas *schemas, const struct outgoing *message) {
  json_t *const value =
      message->value_is_null ? json_null() : json_of_value(schemas, message->value);
  return json_pack("{s:o, s:I, s:o, s:o}", "key", bytes_or_null(message->key, message->key_is_null),
                   "timestamp", (json_int_t)message->timestamp_ms, "headers",
                   headers_json(message->headers), "value", value);
}

static json_t *time_or_null(int64_t at_ms) {
  return at_ms == TIME_NONE ? json_null() : json_integer(at_ms);
}

static json_t *digest_json(const uint8_t digest[DIGEST_SIZE]) {
  char text[HEX_DIGEST_SIZE];
  hex_format(digest, DIGEST_SIZE, text);
  return json_string(text);
}

static json_t *timer_json(const struct timer_cursor *timer) {
  return !timer->is_set
             ? json_null()
             : json_pack("{s:I, s:I, s:I}", "due_at", (json_int_t)timer->due_at_ms, "device_number",
                         (json_int_t)timer->device_number, "kind", (json_int_t)timer->kind);
}

static json_t *sweep_json(const struct sweep_cursor *sweep) {
  return !sweep->is_set ? json_null()
                        : json_pack("{s:I}", "device_number", (json_int_t)sweep->device_number);
}

struct json_t *finding_of_gap(const struct journal_gap *gap, const char *topic_prefix) {
  char name[FIELD_SIZE];
  char actor[2 * SUBJECT_SIZE + 1];
  char event_id[2 * EVENT_ID_SIZE + 1];
  if (!gap->is_set) {
    return json_null();
  }
  snprintf(name, sizeof name, "%s%s", topic_prefix, topic_name(gap->topic));
  hex_format(gap->actor, SUBJECT_SIZE, actor);
  hex_format(gap->event_id, EVENT_ID_SIZE, event_id);
  return json_pack("{s:s, s:I, s:I, s:b, s:o, s:o, s:s, s:I}", "topic", name, "from",
                   (json_int_t)gap->from, "to", (json_int_t)gap->to, "accepted", gap->is_accepted,
                   "actor", gap->has_actor ? json_string(actor) : json_null(), "reason",
                   json_of_bytes(span_text(gap->reason)), "event_id", event_id, "asked_at",
                   (json_int_t)gap->asked_at_ms);
}

struct json_t *finding_of_row(const struct journal_row *row, const char *topic_prefix) {
  json_t *const ranges = json_object();
  json_t *const last = json_object();
  json_t *const not_believed = json_array();
  char name[FIELD_SIZE];
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    snprintf(name, sizeof name, "%s%s", topic_prefix, topic_name(topic));
    json_object_set_new(ranges, name,
                        json_pack("{s:I, s:I}", "from", (json_int_t)row->ranges[topic].from, "to",
                                  (json_int_t)row->ranges[topic].to));
    json_object_set_new(last, name, digest_json(row->last_message[topic]));
  }
  for (size_t i = 0; i < row->not_believed_count; i++) {
    const struct topic_offset *at = &row->not_believed[i];
    snprintf(name, sizeof name, "%s%s", topic_prefix,
             at->topic < TOPIC_COUNT ? topic_name(at->topic) : "?");
    json_array_append_new(not_believed,
                          json_pack("{s:s, s:I}", "topic", name, "offset", (json_int_t)at->offset));
  }
  return json_pack(
      "{s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I}, "
      "s:{s:o, s:o, s:o, s:o, s:o}}",
      "lane", (json_int_t)row->lane, "batch", (json_int_t)row->batch, "first_seq",
      (json_int_t)row->first_seq, "last_seq", (json_int_t)row->last_seq, "clock_before",
      time_or_null(row->clock_before_ms), "clock_after", time_or_null(row->clock_after_ms),
      "ranges", ranges, "not_believed", not_believed, "timer", timer_json(&row->timer), "sweep",
      sweep_json(&row->sweep), "gap", finding_of_gap(&row->gap, topic_prefix), "environment",
      digest_json(row->environment), "counts", "messages", (json_int_t)row->message_count,
      "dead_letters", (json_int_t)row->dead_letter_count, "timers", (json_int_t)row->timer_count,
      "devices", (json_int_t)row->device_count, "digests", "inputs", digest_json(row->inputs),
      "results", digest_json(row->results), "chain", digest_json(row->chain), "state",
      row->has_state ? digest_json(row->state) : json_null(), "last_messages", last);
}

static void add_difference(json_t *differences, const char *field, const json_t *expected,
                           const json_t *found) {
  json_t *const difference = json_pack("{s:s}", "field", field);
  json_object_set_new(difference, "expected",
                      expected == NULL ? json_null() : json_deep_copy(expected));
  json_object_set_new(difference, "found", found == NULL ? json_null() : json_deep_copy(found));
  json_array_append_new(differences, difference);
}

static void differ(json_t *differences, const char *field, const json_t *expected,
                   const json_t *found) {
  if (expected != NULL && found != NULL && json_equal(expected, found)) {
    return;
  }
  if (!json_is_object(expected) || !json_is_object(found)) {
    add_difference(differences, field, expected, found);
    return;
  }
  const char *name;
  json_t *value;
  char path[FIELD_SIZE];
  json_object_foreach((json_t *)(uintptr_t)expected, name, value) {
    snprintf(path, sizeof path, "%s%s%s", field, field[0] == '\0' ? "" : ".", name);
    differ(differences, path, value, json_object_get(found, name));
  }
  json_object_foreach((json_t *)(uintptr_t)found, name, value) {
    if (json_object_get(expected, name) == NULL) {
      snprintf(path, sizeof path, "%s%s%s", field, field[0] == '\0' ? "" : ".", name);
      add_difference(differences, path, NULL, value);
    }
  }
}

struct json_t *finding_differences(const struct json_t *expected, const struct json_t *found) {
  json_t *const differences = json_array();
  differ(differences, "", expected, found);
  return differences;
}

struct json_t *finding_begin(const char *what, uint32_t lane, uint64_t batch) {
  return json_pack("{s:s, s:I, s:I}", "what", what, "lane", (json_int_t)lane, "batch",
                   (json_int_t)batch);
}

void finding_explain(struct json_t *finding, const char *format, ...) {
  char text[TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  json_object_set_new(finding, "text", json_of_bytes(span_text(text)));
}

void finding_compare(struct json_t *finding, struct json_t *expected, struct json_t *found) {
  if (expected != NULL && found != NULL) {
    json_object_set_new(finding, "differences", finding_differences(expected, found));
  }
  json_object_set_new(finding, "expected", expected == NULL ? json_null() : expected);
  json_object_set_new(finding, "found", found == NULL ? json_null() : found);
}

static void print_value(FILE *stream, const char *label, const json_t *value) {
  if (value != NULL) {
    char *const text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    fprintf(stream, "  %s: %s\n", label, text);
    free(text);
  }
}

static void print_differences(FILE *stream, const json_t *differences) {
  size_t i;
  json_t *difference;
  json_array_foreach(differences, i, difference) {
    if (i == SHOWN_DIFFERENCES_MAX) {
      fprintf(stream, "  and %zu more\n", json_array_size(differences) - i);
      return;
    }
    fprintf(stream, "  %s\n", json_string_value(json_object_get(difference, "field")));
    fputs("  ", stream);
    print_value(stream, "expected", json_object_get(difference, "expected"));
    fputs("  ", stream);
    print_value(stream, "   found", json_object_get(difference, "found"));
  }
}

void finding_print(FILE *stream, const struct json_t *finding) {
  const char *const text = json_string_value(json_object_get(finding, "text"));
  const json_t *const differences = json_object_get(finding, "differences");
  fprintf(stream, "  %s", json_string_value(json_object_get(finding, "what")));
  fprintf(stream, ", batch %" JSON_INTEGER_FORMAT,
          json_integer_value(json_object_get(finding, "batch")));
  if (json_object_get(finding, "seq") != NULL) {
    fprintf(stream, ", seq %" JSON_INTEGER_FORMAT,
            json_integer_value(json_object_get(finding, "seq")));
  }
  fprintf(stream, ": %s\n", text == NULL ? "" : text);
  print_value(stream, "at", json_object_get(finding, "at"));
  print_value(stream, "cause", json_object_get(finding, "cause"));
  if (differences != NULL) {
    print_differences(stream, differences);
  } else {
    print_value(stream, "expected", json_object_get(finding, "expected"));
    print_value(stream, "found", json_object_get(finding, "found"));
  }
}
