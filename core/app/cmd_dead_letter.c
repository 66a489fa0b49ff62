/* What could not be processed: listed, shown whole, sent again. */
#include "core/app/command.h"
#include "core/app/dead_letter.h"
#include "core/app/kafka_client.h"
#include "core/app/kafka_reader.h"
#include "core/app/message_json.h"
#include "core/app/option_number.h"
#include "core/app/outbox.h"
#include "core/app/output.h"
#include "core/app/registry_client.h"
#include "core/app/text.h"
#include "core/result.h"

#include <inttypes.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LETTER_CODE, LETTER_LANE, LETTER_LIMIT, LETTER_ALL };

const struct option_spec dead_letter_options[] = {
    {"code", "CODE", "of this code alone: unknown_device, malformed, ..."},
    {"lane", "N", "of this lane alone, counted from 0"},
    {"limit", "N", "at most so many"},
    {"all", NULL, "resend: all of them, or all of --code and --lane"},
    {NULL, NULL, NULL},
};

/* Which letters are meant. */
struct selection {
  const char *code; /* NULL: any */
  int64_t lane;     /* -1: any */
  int64_t limit;
};

static enum status selection_read(const struct command_line *line, struct selection *selection,
                                  struct error *error) {
  *selection =
      (struct selection){.code = line->options[LETTER_CODE], .lane = -1, .limit = INT64_MAX};
  bool is_code = selection->code == NULL;
  for (enum reject_code code = REJECT_NONE + 1; code < REJECT_COUNT && !is_code; code++) {
    is_code = strcasecmp(selection->code, reject_code_name(code)) == 0;
  }
  if (!is_code) {
    return error_set(error, STATUS_USAGE, "--code %s: no such code", selection->code);
  }
  const enum status status =
      option_number("lane", line->options[LETTER_LANE], 0, INT32_MAX, &selection->lane, error);
  return status != STATUS_OK ? status
                             : option_number("limit", line->options[LETTER_LIMIT], 0, INT64_MAX,
                                             &selection->limit, error);
}

static bool selection_has(const struct selection *selection, const struct dead_letter *letter) {
  return (selection->code == NULL || (strlen(selection->code) == letter->code.size &&
                                      strncasecmp(selection->code, (const char *)letter->code.data,
                                                  letter->code.size) == 0)) &&
         (selection->lane < 0 || selection->lane == letter->lane);
}

/* A letter of lane p is in partition p. */
static enum status read_letters(const struct command_line *line, int64_t lane,
                                kafka_message_fn each, void *context, struct error *error) {
  const struct kafka_reading reading = {.topic = result_topic_name(RESULT_DEAD_LETTER),
                                        .partition = lane,
                                        .each = each,
                                        .context = context};
  return kafka_read(&line->config, &reading, error);
}

static struct cell cell_of(struct span text) {
  return text.data != NULL ? cell_text(text) : cell_null();
}

static struct cell cell_of_number(int64_t number) {
  return number >= 0 ? cell_integer(number) : cell_null();
}

/* ---- dead-letter list ---- */

static const struct column list_columns[] = {
    {.name = "lane", .type = COLUMN_INTEGER},      {.name = "seq", .type = COLUMN_INTEGER},
    {.name = "code", .type = COLUMN_TEXT},         {.name = "topic", .type = COLUMN_TEXT},
    {.name = "partition", .type = COLUMN_INTEGER}, {.name = "offset", .type = COLUMN_INTEGER},
    {.name = "timestamp", .type = COLUMN_TIME},    {.name = "key", .type = COLUMN_TEXT},
    {.name = "stage", .type = COLUMN_TEXT},        {.name = "message", .type = COLUMN_TEXT},
};

struct listing {
  struct selection selection;
  struct output *output;
};

static bool list_one(void *context, const struct rd_kafka_message_s *message) {
  struct listing *const listing = context;
  struct dead_letter letter;
  if (listing->selection.limit <= 0) {
    return false;
  }
  if (!dead_letter_read(message, &letter) || !selection_has(&listing->selection, &letter)) {
    return true;
  }
  const struct cell cells[] = {
      cell_integer(letter.lane),
      cell_integer(letter.seq),
      cell_of(letter.code),
      cell_of(letter.topic),
      cell_of_number(letter.partition),
      cell_of_number(letter.offset),
      cell_of_number(letter.timestamp_ms),
      cell_of(letter.key),
      cell_of(letter.stage),
      cell_of(letter.message),
  };
  static_assert(COUNT_OF(cells) == COUNT_OF(list_columns), "one cell a column");
  output_row(listing->output, cells);
  return --listing->selection.limit > 0;
}

enum status command_dead_letter_list(const struct command_line *line, struct error *error) {
  struct listing listing;
  enum status status = selection_read(line, &listing.selection, error);
  if (status != STATUS_OK) {
    return status;
  }
  listing.output = output_open(stdout, line->output, list_columns, COUNT_OF(list_columns));
  status = read_letters(line, listing.selection.lane, list_one, &listing, error);
  struct error close_error;
  const enum status closed = output_close(listing.output, &close_error);
  if (status == STATUS_OK && closed != STATUS_OK) {
    status = error_set(error, closed, "%s", close_error.text);
  }
  return status;
}

/* ---- dead-letter show ---- */

static const struct column show_columns[] = {
    {.name = "lane", .type = COLUMN_INTEGER},      {.name = "seq", .type = COLUMN_INTEGER},
    {.name = "code", .type = COLUMN_TEXT},         {.name = "topic", .type = COLUMN_TEXT},
    {.name = "partition", .type = COLUMN_INTEGER}, {.name = "offset", .type = COLUMN_INTEGER},
    {.name = "timestamp", .type = COLUMN_TIME},    {.name = "key", .type = COLUMN_JSON},
    {.name = "stage", .type = COLUMN_TEXT},        {.name = "class", .type = COLUMN_TEXT},
    {.name = "message", .type = COLUMN_TEXT},      {.name = "headers", .type = COLUMN_JSON},
    {.name = "value", .type = COLUMN_JSON},
};

struct showing {
  const struct command_line *line;
  int64_t lane, seq;
  bool found;
  enum status status;
  struct error *error;
};

/* Takes the reference. The caller frees the text. */
static char *text_of_json(json_t *json) {
  char *const text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
  json_decref(json);
  assert(text != NULL);
  return text;
}

static bool show_one(void *context, const struct rd_kafka_message_s *message) {
  struct showing *const showing = context;
  struct dead_letter letter;
  if (!dead_letter_read(message, &letter) || letter.lane != showing->lane ||
      letter.seq != showing->seq) {
    return true;
  }
  showing->found = true;
  struct schema_learner learner;
  showing->status = schema_learner_open(&showing->line->config, &learner, showing->error);
  if (showing->status != STATUS_OK) {
    schema_learner_close(&learner);
    return false;
  }
  schema_learner_see(&learner, letter.value);
  char *const key = text_of_json(json_of_bytes(letter.key));
  char *const headers = text_of_json(json_of_headers(message));
  char *const value = text_of_json(json_of_value(learner.schemas, letter.value));
  const struct cell cells[] = {
      cell_integer(letter.lane),
      cell_integer(letter.seq),
      cell_of(letter.code),
      cell_of(letter.topic),
      cell_of_number(letter.partition),
      cell_of_number(letter.offset),
      cell_of_number(letter.timestamp_ms),
      cell_text(span_text(key)),
      cell_of(letter.stage),
      cell_of(letter.class_name),
      cell_of(letter.message),
      cell_text(span_text(headers)),
      cell_text(span_text(value)),
  };
  static_assert(COUNT_OF(cells) == COUNT_OF(show_columns), "one cell a column");
  struct output *const output =
      output_open_single(stdout, showing->line->output, show_columns, COUNT_OF(show_columns));
  output_row(output, cells);
  showing->status = output_close(output, showing->error);
  free(key);
  free(headers);
  free(value);
  schema_learner_close(&learner);
  return false;
}

enum status command_dead_letter_show(const struct command_line *line, struct error *error) {
  struct showing showing = {.line = line, .error = error};
  const char *const id = line->arguments[0];
  if (!dead_letter_id_parse(id, &showing.lane, &showing.seq)) {
    return error_set(error, STATUS_USAGE, "%s: LANE/SEQ is needed, for example 0/17", id);
  }
  const enum status status = read_letters(line, showing.lane, show_one, &showing, error);
  if (status != STATUS_OK && status != STATUS_USAGE) {
    return status;
  }
  if (!showing.found) { /* a lane that is not there is STATUS_USAGE, too */
    return error_set(error, STATUS_REFUSED, "no dead letter %s", id);
  }
  return showing.status;
}

/* ---- dead-letter resend ---- */

struct wanted {
  int64_t lane, seq;
  bool found;
};

struct resending {
  const struct command_line *line;
  struct selection selection; /* with --all */
  struct wanted *wanted;      /* otherwise */
  size_t wanted_count;
  struct outbox *outbox;
  uint64_t refused_count;
  enum status status; /* of the first failure that ends everything */
  struct error *error;
};

static void refuse(struct resending *resending, int64_t lane, int64_t seq, const char *reason) {
  resending->refused_count++;
  fprintf(stderr, "%" PRId64 "/%" PRId64 ": %s\n", lane, seq, reason);
}

/* The tag is the lane in its upper 16 bits, and the number. */
static void take_refused(void *context, uint64_t tag, const char *reason) {
  refuse(context, (int64_t)(tag >> 48), (int64_t)(tag & UINT64_C(0xffffffffffff)), reason);
}

static bool is_wanted(struct resending *resending, const struct dead_letter *letter) {
  if (resending->wanted_count == 0) {
    return selection_has(&resending->selection, letter);
  }
  bool is_any = false;
  for (size_t i = 0; i < resending->wanted_count; i++) {
    struct wanted *const wanted = &resending->wanted[i];
    if (wanted->lane == letter->lane && wanted->seq == letter->seq) {
      wanted->found = true;
      is_any = true;
    }
  }
  return is_any;
}

static bool input_topic(const struct config *config, struct span whole, enum topic *topic) {
  const struct span prefix = span_text(config->kafka.topic_prefix);
  if (whole.size < prefix.size || memcmp(whole.data, prefix.data, prefix.size) != 0) {
    return false;
  }
  const struct span name = span_of(whole.data + prefix.size, whole.size - prefix.size);
  for (*topic = 0; *topic < TOPIC_COUNT; (*topic)++) {
    if (span_equal(name, span_text(topic_name(*topic)))) {
      return true;
    }
  }
  return false;
}

static bool resend_one(void *context, const struct rd_kafka_message_s *message) {
  struct resending *const resending = context;
  struct dead_letter letter;
  if (!dead_letter_read(message, &letter) || !is_wanted(resending, &letter)) {
    return true;
  }
  if (resending->selection.limit-- <= 0) {
    return false;
  }
  enum topic topic;
  if (dead_letter_lacks_value(&letter)) {
    refuse(resending, letter.lane, letter.seq, "its value was left out, so it cannot be sent");
    return true;
  }
  if (letter.topic.data == NULL || !input_topic(&resending->line->config, letter.topic, &topic)) {
    refuse(resending, letter.lane, letter.seq, "its topic is none of ours");
    return true;
  }
  rd_kafka_headers_t *const headers = dead_letter_original_headers(message);
  const struct outgoing_message outgoing = {
      .topic = topic,
      .key_is_null = letter.key.data == NULL,
      .partition = (int32_t)letter.partition,
      .key = letter.key,
      .value = letter.value,
      .headers = headers,
      .tag = (uint64_t)letter.lane << 48 | (uint64_t)letter.seq,
  };
  struct error error;
  const enum status status = outbox_send(resending->outbox, &outgoing, &error);
  if (headers != NULL) {
    rd_kafka_headers_destroy(headers);
  }
  if (status == STATUS_REFUSED) {
    refuse(resending, letter.lane, letter.seq, error.text);
  } else if (status != STATUS_OK) {
    resending->status = error_set(resending->error, status, "%s", error.text);
  }
  return resending->status == STATUS_OK;
}

static enum status resend(struct resending *resending, struct error *error) {
  const bool is_one = resending->wanted_count == 1;
  const int64_t lane = is_one ? resending->wanted[0].lane : resending->selection.lane;
  enum status status = read_letters(resending->line, lane, resend_one, resending, error);
  if (status == STATUS_USAGE && is_one) {
    status = STATUS_OK; /* a lane that is not there: not found */
  }
  if (status == STATUS_OK) {
    status = resending->status;
  }
  struct error flush_error;
  const enum status flushed = outbox_flush(resending->outbox, &flush_error);
  if (status == STATUS_OK && flushed != STATUS_OK) {
    status = error_set(error, flushed, "%s", flush_error.text);
  }
  for (size_t i = 0; i < resending->wanted_count && status == STATUS_OK; i++) {
    if (!resending->wanted[i].found) {
      refuse(resending, resending->wanted[i].lane, resending->wanted[i].seq, "no such dead letter");
    }
  }
  fprintf(stderr, "sent %" PRIu64 ", refused %" PRIu64 "\n", outbox_sent_count(resending->outbox),
          resending->refused_count);
  if (status == STATUS_OK && resending->refused_count > 0) {
    status = error_set(error, STATUS_REFUSED, "%" PRIu64 " not sent", resending->refused_count);
  }
  return status;
}

static enum status read_wanted(const struct command_line *line, struct resending *resending,
                               struct error *error) {
  const bool is_all = line->options[LETTER_ALL] != NULL;
  if (is_all == (line->argument_count > 0)) {
    return error_set(error, STATUS_USAGE, "name letters as LANE/SEQ, or all with --all");
  }
  if (!is_all && (resending->selection.code != NULL || resending->selection.lane >= 0)) {
    return error_set(error, STATUS_USAGE, "--code and --lane go with --all");
  }
  resending->wanted_count = line->argument_count;
  resending->wanted = memory_zeroed(line->argument_count + 1, sizeof *resending->wanted);
  for (size_t i = 0; i < line->argument_count; i++) {
    struct wanted *const wanted = &resending->wanted[i];
    if (!dead_letter_id_parse(line->arguments[i], &wanted->lane, &wanted->seq)) {
      return error_set(error, STATUS_USAGE, "%s: LANE/SEQ is needed, for example 0/17",
                       line->arguments[i]);
    }
  }
  return STATUS_OK;
}

enum status command_dead_letter_resend(const struct command_line *line, struct error *error) {
  struct resending resending = {.line = line, .error = error};
  enum status status = selection_read(line, &resending.selection, error);
  if (status == STATUS_OK) {
    status = read_wanted(line, &resending, error);
  }
  if (status == STATUS_OK) {
    status = outbox_open(&line->config, take_refused, &resending, &resending.outbox, error);
  }
  if (status == STATUS_OK) {
    status = resend(&resending, error);
  }
  outbox_close(resending.outbox);
  free(resending.wanted);
  return status;
}
