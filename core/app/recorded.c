#include "core/app/recorded.h"

#include "consumers/avro_json.h"
#include "core/app/kafka_reader.h"
#include "core/time_text.h"

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
  const struct config *config;
  const struct schemas *schemas;
  uint64_t batch; /* rows after it */
  uint32_t lane;
  struct recorded_batches *batches;
  struct buffer environment; /* of the record before its batch's */
  bool wants_told;           /* batches whose rows have a state, and no others */
  enum status status;
  struct error *error;
};

/* Times are numbers in a record and RFC 3339 in the views. */
static int64_t integer_of(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  int64_t at_ms;
  if (json_is_string(value) && time_parse(span_text(json_string_value(value)), &at_ms)) {
    return at_ms;
  }
  return json_is_integer(value) ? (int64_t)json_integer_value(value) : TIME_NONE;
}

/* `size` bytes from twice as many hexadecimal digits; zeros when it is anything else. */
static void bytes_of_hex(const json_t *object, const char *name, uint8_t *bytes, size_t size) {
  const char *text = json_string_value(json_object_get(object, name));
  memset(bytes, 0, size);
  for (size_t i = 0; text != NULL && strlen(text) == 2 * size && i < size; i++) {
    const char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
    bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
}

static void digest_of_hex(const json_t *object, const char *name, uint8_t digest[DIGEST_SIZE]) {
  bytes_of_hex(object, name, digest, DIGEST_SIZE);
}

/* Which input topic a full name is; TOPIC_COUNT for none. */
static enum topic topic_of(const char *prefix, const json_t *object) {
  const char *name = json_string_value(json_object_get(object, "topic"));
  enum topic topic = TOPIC_COUNT;
  if (name != NULL && strncmp(name, prefix, strlen(prefix)) == 0) {
    topic = 0;
    while (topic < TOPIC_COUNT && strcmp(name + strlen(prefix), topic_name(topic)) != 0) {
      topic++;
    }
  }
  return topic;
}

static void take_lists(const char *prefix, const json_t *record, struct journal_row *row) {
  size_t i;
  const json_t *item;
  json_array_foreach(json_object_get(record, "ranges"), i, item) {
    const enum topic topic = topic_of(prefix, item);
    if (topic < TOPIC_COUNT) {
      row->ranges[topic].from = integer_of(item, "from");
      row->ranges[topic].to = integer_of(item, "to");
    }
  }
  json_array_foreach(json_object_get(json_object_get(record, "digests"), "last_messages"), i,
                     item) {
    const enum topic topic = topic_of(prefix, item);
    if (topic < TOPIC_COUNT) {
      digest_of_hex(item, "digest", row->last_message[topic]);
    }
  }
  const json_t *not_believed = json_object_get(record, "not_believed");
  struct topic_offset *list = calloc(json_array_size(not_believed) + 1, sizeof *list);
  assert(list != NULL);
  json_array_foreach(not_believed, i, item) {
    list[i] = (struct topic_offset){.topic = topic_of(prefix, item),
                                    .offset = integer_of(item, "offset")};
  }
  row->not_believed = list;
  row->not_believed_count = json_array_size(not_believed);
}

/* A UUID's bytes; zeros when the text is none. */
static void bytes_of_uuid(const json_t *object, const char *name, uint8_t bytes[EVENT_ID_SIZE]) {
  const char *text = json_string_value(json_object_get(object, name));
  char digits[2 * EVENT_ID_SIZE + 1] = "";
  size_t size = 0;
  for (; text != NULL && *text != '\0' && size < sizeof digits - 1; text++) {
    if (*text != '-') {
      digits[size++] = *text;
    }
  }
  json_t *const plain = json_pack("{s:s%}", "id", digits, size);
  bytes_of_hex(plain, "id", bytes, EVENT_ID_SIZE);
  json_decref(plain);
}

static void take_gap(const char *prefix, const json_t *gap, struct journal_row *row) {
  const enum topic topic = topic_of(prefix, gap);
  const char *const reason = json_string_value(json_object_get(gap, "reason"));
  if (!json_is_object(gap) || topic == TOPIC_COUNT || reason == NULL) {
    return;
  }
  row->gap = (struct journal_gap){
      .is_set = true,
      .is_accepted = json_is_true(json_object_get(gap, "accepted")),
      .topic = topic,
      .from = integer_of(gap, "from"),
      .to = integer_of(gap, "to"),
      .asked_at_ms = integer_of(gap, "asked_at"),
      .has_actor = json_is_string(json_object_get(gap, "actor")),
  };
  bytes_of_uuid(gap, "event_id", row->gap.event_id);
  bytes_of_hex(gap, "actor", row->gap.actor, SUBJECT_SIZE);
  snprintf(row->gap.reason, sizeof row->gap.reason, "%s", reason);
}

struct recorded_batch *recorded_add_json(struct recorded_batches *batches, const char *topic_prefix,
                                         const struct json_t *record) {
  const json_t *counts = json_object_get(record, "counts");
  const json_t *digests = json_object_get(record, "digests");
  const json_t *timer = json_object_get(json_object_get(record, "cursors"), "timer");
  const json_t *sweep = json_object_get(json_object_get(record, "cursors"), "sweep");
  struct journal_row row = {
      .lane = (uint32_t)integer_of(record, "lane"),
      .batch = (uint64_t)integer_of(record, "batch"),
      .first_seq = (uint64_t)integer_of(record, "first_seq"),
      .last_seq = (uint64_t)integer_of(record, "last_seq"),
      .clock_before_ms = integer_of(record, "clock_before"),
      .clock_after_ms = integer_of(record, "clock_after"),
      .message_count = (uint64_t)integer_of(counts, "messages"),
      .dead_letter_count = (uint64_t)integer_of(counts, "dead_letters"),
      .timer_count = (uint64_t)integer_of(counts, "timers"),
      .device_count = (uint64_t)integer_of(counts, "devices"),
  };
  if (json_is_object(timer)) {
    row.timer = (struct timer_cursor){
        .is_set = true,
        .due_at_ms = integer_of(timer, "due_at"),
        .device_number = (uint64_t)integer_of(timer, "device_number"),
        .kind = (uint32_t)integer_of(timer, "kind"),
    };
  }
  if (json_is_object(sweep)) {
    row.sweep = (struct sweep_cursor){
        .is_set = true, .device_number = (uint64_t)integer_of(sweep, "device_number")};
  }
  digest_of_hex(record, "environment", row.environment);
  digest_of_hex(digests, "inputs", row.inputs);
  digest_of_hex(digests, "results", row.results);
  digest_of_hex(digests, "chain", row.chain);
  row.has_state = json_is_string(json_object_get(digests, "state"));
  digest_of_hex(digests, "state", row.state);
  take_lists(topic_prefix, record, &row);
  take_gap(topic_prefix, json_object_get(record, "gap"), &row);
  struct journal_witness witness = {.epoch = integer_of(record, "epoch"),
                                    .committed_at_ms = integer_of(record, "committed_at")};
  bytes_of_hex(record, "owner", witness.owner, sizeof witness.owner);
  struct recorded_batch *added = recorded_add(batches, &row, &witness);
  free((void *)(uintptr_t)row.not_believed);
  return added;
}

static bool take_message(void *context, const rd_kafka_message_t *message) {
  struct reading *reading = context;
  struct reject reject;
  json_t *record =
      avro_json_of_value(reading->schemas, span_of(message->payload, message->len), &reject);
  if (record == NULL) {
    reading->status = error_set(reading->error, STATUS_CONFIG, "%sjournal/%u, offset %lld: %s",
                                reading->config->kafka.topic_prefix, reading->lane,
                                (long long)message->offset, reject.text);
    return false;
  }
  const char *kind = json_string_value(json_object_get(record, "kind"));
  const char *content = json_string_value(json_object_get(record, "content"));
  const bool is_told = json_is_string(json_object_get(json_object_get(record, "digests"), "state"));
  const bool is_wanted =
      (uint64_t)integer_of(record, "batch") > reading->batch && (is_told || !reading->wants_told);
  if (is_wanted && kind != NULL && strcmp(kind, "BATCH") == 0) {
    struct recorded_batch *added =
        recorded_add_json(reading->batches, reading->config->kafka.topic_prefix, record);
    buffer_append(&added->environment, reading->environment.data, reading->environment.size);
    buffer_clear(&reading->environment);
  } else if (is_wanted && content != NULL) {
    buffer_clear(&reading->environment);
    buffer_append(&reading->environment, content, strlen(content));
  }
  json_decref(record);
  return true;
}

struct recorded_batch *recorded_add(struct recorded_batches *batches, const struct journal_row *row,
                                    const struct journal_witness *witness) {
  batches->items = realloc(batches->items, (batches->count + 1) * sizeof *batches->items);
  assert(batches->items != NULL);
  struct recorded_batch *added = &batches->items[batches->count++];
  *added = (struct recorded_batch){.row = *row, .witness = *witness};
  struct topic_offset *list = calloc(row->not_believed_count + 1, sizeof *list);
  assert(list != NULL);
  if (row->not_believed_count > 0) {
    memcpy(list, row->not_believed, row->not_believed_count * sizeof *list);
  }
  added->row.not_believed = list;
  return added;
}

void recorded_fini(struct recorded_batches *batches) {
  for (size_t i = 0; i < batches->count; i++) {
    free((void *)(uintptr_t)batches->items[i].row.not_believed);
    buffer_fini(&batches->items[i].environment);
  }
  free(batches->items);
  *batches = (struct recorded_batches){0};
}

enum status recorded_read(const struct config *config, const struct schemas *schemas, uint32_t lane,
                          uint64_t batch, struct recorded_batches *batches, struct error *error) {
  const size_t first = batches->count;
  struct reading reading = {.config = config,
                            .schemas = schemas,
                            .batch = batch,
                            .lane = lane,
                            .batches = batches,
                            .status = STATUS_OK,
                            .error = error};
  const struct kafka_reading of_topic = {
      .topic = "journal", .partition = lane, .each = take_message, .context = &reading};
  enum status status = kafka_read(config, &of_topic, error);
  status = status == STATUS_OK ? reading.status : status;
  buffer_fini(&reading.environment);
  for (size_t i = first; i < batches->count && status == STATUS_OK; i++) {
    const uint64_t expected = batch + 1 + (i - first);
    if (batches->items[i].row.batch != expected) {
      status = error_set(error, STATUS_CONFIG,
                         "%sjournal/%u: batch %llu is missing: the database cannot be rebuilt",
                         config->kafka.topic_prefix, lane, (unsigned long long)expected);
    }
  }
  return status;
}

enum status recorded_read_told(const struct config *config, const struct schemas *schemas,
                               uint32_t lane, struct recorded_batches *batches,
                               struct error *error) {
  struct reading reading = {.config = config,
                            .schemas = schemas,
                            .lane = lane,
                            .batches = batches,
                            .wants_told = true,
                            .status = STATUS_OK,
                            .error = error};
  const struct kafka_reading of_topic = {
      .topic = "journal", .partition = lane, .each = take_message, .context = &reading};
  const enum status status = kafka_read(config, &of_topic, error);
  return status == STATUS_OK ? reading.status : status;
}
