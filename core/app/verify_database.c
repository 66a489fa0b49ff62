/* Results, journal rows and devices as decided against the views in PostgreSQL. */
#include "consumers/avro_json.h"
#include "core/app/message_json.h"
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* A run through rows beside a batch's records. */
struct rows {
  struct verify *verify;
  const struct journal_row *row;
  struct span records;
  size_t position;
  uint64_t seq; /* expected next */
};

static json_t *expected_json(const struct verify *verify, const struct outgoing *expected,
                             uint64_t seq) {
  char topic[256];
  snprintf(topic, sizeof topic, "%s%s", verify->options->config->kafka.topic_prefix,
           record_topic_name(expected->record));
  json_t *const json = json_pack("{s:I, s:s}", "seq", (json_int_t)seq, "topic", topic);
  if (expected->record == RESULT_DEAD_LETTER) {
    json_object_set_new(json, "value", json_null());
    return json;
  }
  json_t *const value = json_of_value(replay_schemas(verify->replay), expected->value);
  message_json_times(value);
  json_object_set_new(json, "key", json_of_bytes(expected->key));
  json_object_set_new(json, "value", value);
  return json;
}

static json_t *text_or_null(struct span text) {
  return text.data == NULL ? json_null() : json_of_bytes(text);
}

/* The same fields of a row of muster.results. */
static json_t *found_json(const struct span *values, bool is_letter) {
  json_t *const json = json_pack("{s:I, s:o}", "seq", (json_int_t)database_integer(values[0]),
                                 "topic", text_or_null(values[1]));
  if (!is_letter) {
    json_object_set_new(json, "key", text_or_null(values[2]));
  }
  json_t *const value = values[3].data == NULL ? json_null()
                                               : json_loadb((const char *)values[3].data,
                                                            values[3].size, JSON_DECODE_ANY, NULL);
  json_object_set_new(json, "value", value == NULL ? json_null() : value);
  return json;
}

/* An address that is null in the view has been erased since. */
static void excuse_erased(struct verify *verify, json_t *expected, const json_t *found) {
  json_t *const value = json_object_get(expected, "value");
  const json_t *const there = json_object_get(json_object_get(found, "value"), "user_email");
  if (json_is_null(there) && json_is_string(json_object_get(value, "user_email"))) {
    json_object_set_new(value, "user_email", json_null());
    verify->result->erased++;
  }
}

static void diverge(struct rows *rows, const char *what, json_t *expected, json_t *found) {
  json_t *finding = finding_begin(what, rows->verify->options->lane, rows->row->batch);
  json_object_set_new(finding, "seq", json_integer((json_int_t)rows->seq));
  json_object_set_new(finding, "at", json_string("PostgreSQL, muster.results"));
  json_t *const cause = json_object_get(json_object_get(expected, "value"), "cause");
  if (cause != NULL) {
    json_object_set(finding, "cause", cause);
  }
  finding_explain(finding, "number %" PRIu64 " of PostgreSQL is not what was decided", rows->seq);
  finding_compare(finding, expected, found);
  verify_diverge(rows->verify, finding);
}

static bool next_expected(struct rows *rows, struct outgoing *expected) {
  return outgoing_next(rows->records, &rows->position, expected) &&
         expected->record < RESULT_KIND_COUNT;
}

/* No key keeps a number from being there twice. */
static bool find_doubled(struct rows *rows, const struct span *values) {
  const uint64_t seq = (uint64_t)database_integer(values[0]);
  if (seq + 1 != rows->seq || seq < rows->row->first_seq) {
    return false;
  }
  rows->seq = seq;
  diverge(rows, "row doubled", NULL, found_json(values, values[2].data == NULL));
  return true;
}

static enum status take_result(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct rows *rows = context;
  struct verify *verify = rows->verify;
  struct outgoing message;
  if (verify_is_over(verify) || find_doubled(rows, values) || !next_expected(rows, &message)) {
    return STATUS_OK;
  }
  const bool is_letter = message.record == RESULT_DEAD_LETTER;
  json_t *const expected = expected_json(verify, &message, rows->seq);
  json_t *const found = found_json(values, is_letter);
  excuse_erased(verify, expected, found);
  verify_name_unknown(verify, json_object_get(expected, "value"), json_object_get(found, "value"));
  if ((uint64_t)database_integer(values[0]) != rows->seq) {
    diverge(rows, "row missing", expected, found);
  } else if (!json_equal(expected, found)) {
    diverge(rows, "row changed", expected, found);
  } else {
    json_decref(expected);
    json_decref(found);
    rows->seq++;
    verify->result->rows++;
  }
  return STATUS_OK;
}

enum status verify_database_results(struct verify *verify, const struct journal_row *row) {
  static const char sql[] =
      "SELECT seq, topic, key, value FROM muster.results WHERE lane = $1::integer AND seq BETWEEN "
      "$2::bigint AND $3::bigint ORDER BY seq";
  char lane[16];
  char first[32];
  char last[32];
  const char *const parameters[] = {lane, first, last};
  struct rows rows = {.verify = verify,
                      .row = row,
                      .records = replay_records(verify->replay),
                      .seq = row->first_seq};
  if (row->last_seq < row->first_seq) {
    return STATUS_OK;
  }
  snprintf(lane, sizeof lane, "%" PRIu32, verify->options->lane);
  snprintf(first, sizeof first, "%" PRIu64, row->first_seq);
  snprintf(last, sizeof last, "%" PRIu64, row->last_seq);
  const enum status status = database_query(verify->database, sql, parameters, COUNT_OF(parameters),
                                            take_result, &rows, verify->error);
  struct outgoing message;
  if (status == STATUS_OK && !verify_is_over(verify) && next_expected(&rows, &message)) {
    diverge(&rows, "row missing", expected_json(verify, &message, rows.seq), NULL);
  }
  return status;
}

/* A batch as both sides must have it. */
static json_t *batch_json(const struct recorded_batch *batch, const char *prefix) {
  json_t *const json = finding_of_row(&batch->row, prefix);
  const struct span content = buffer_span(&batch->environment);
  json_object_set_new(json, "committed_at",
                      json_integer((json_int_t)batch->witness.committed_at_ms));
  json_object_set_new(json, "content", content.size > 0 ? json_of_bytes(content) : json_null());
  return json;
}

enum status verify_database_journal(struct verify *verify, const struct recorded_batch *batch) {
  struct journal_entry entry;
  const enum status status = journal_source_next(verify->second, &entry, verify->error);
  if (status != STATUS_OK) {
    return status;
  }
  const char *prefix = verify->options->config->kafka.topic_prefix;
  json_t *const expected = batch_json(batch, prefix);
  json_t *const found = entry.batch == NULL ? NULL : batch_json(entry.batch, prefix);
  if (found != NULL && json_equal(expected, found)) {
    json_decref(expected);
    json_decref(found);
    verify->result->rows++;
    return STATUS_OK;
  }
  json_t *finding = finding_begin(found == NULL ? "row missing" : "row changed",
                                  verify->options->lane, batch->row.batch);
  json_object_set_new(finding, "at", json_string("PostgreSQL, muster.journal"));
  finding_explain(finding, "the journal in PostgreSQL is not that of the topic");
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
  return STATUS_OK;
}

static enum status take_number(void *context, const struct span *values, struct error *error) {
  (void)error;
  int64_t *number = context;
  *number = values[0].data == NULL ? 0 : database_integer(values[0]);
  return STATUS_OK;
}

static enum status last_number(struct verify *verify, const char *sql, int64_t *number) {
  char lane[16];
  const char *const parameters[] = {lane};
  snprintf(lane, sizeof lane, "%" PRIu32, verify->options->lane);
  return database_query(verify->database, sql, parameters, 1, take_number, number, verify->error);
}

static void find_surplus(struct verify *verify, const char *where, int64_t last, int64_t expected) {
  if (last <= expected) {
    return;
  }
  json_t *finding = finding_begin("row surplus", verify->options->lane, verify->last.batch);
  json_object_set_new(finding, "at", json_string(where));
  finding_explain(finding,
                  "it goes to %" PRId64 ", what was published to %" PRId64
                  " (what is committed and not published is published when a run takes the lane)",
                  last, expected);
  verify_diverge(verify, finding);
}

/* PostgreSQL is ahead of the topics while a run goes on. */
static enum status await_published(struct verify *verify, int64_t batch, bool *goes_on) {
  *goes_on = false;
  if (batch <= (int64_t)verify->last.batch) {
    return STATUS_OK;
  }
  if (verify->options->reads_journal_from_database) {
    *goes_on = true;
    return STATUS_OK;
  }
  return verify_await_journal(verify, goes_on);
}

enum status verify_database_rest(struct verify *verify, bool *goes_on) {
  int64_t batch = 0;
  int64_t seq = 0;
  enum status status =
      last_number(verify, "SELECT max(seq) FROM muster.results WHERE lane = $1::integer", &seq);
  if (status == STATUS_OK) {
    status = last_number(verify, "SELECT max(batch) FROM muster.journal WHERE lane = $1::integer",
                         &batch);
  }
  if (status == STATUS_OK) {
    status = await_published(verify, batch, goes_on);
  }
  if (status == STATUS_OK && !*goes_on) {
    find_surplus(verify, "PostgreSQL, muster.journal", batch, (int64_t)verify->last.batch);
    find_surplus(verify, "PostgreSQL, muster.results", seq, (int64_t)verify->last.last_seq);
  }
  return status;
}
