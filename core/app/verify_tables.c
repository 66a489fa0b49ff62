/* What was decided against PostgreSQL's tables themselves, byte for byte: a view leaves out columns
 * that a lane goes on from, and says nothing of a dead letter but its number.
 *
 * A row is asked for in the form that it was written in, and compared column by column. */
#include "core/app/carrier.h"
#include "core/app/message_json.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { SQL_SIZE = 2048, COLUMN_NAME_SIZE = 64, NUMBER_SIZE = 32 };

static const char *lane_text(const struct verify *verify, char text[NUMBER_SIZE]) {
  snprintf(text, NUMBER_SIZE, "%" PRIu32, verify->options->lane);
  return text;
}

static uint8_t digit_of(uint8_t c) {
  return (uint8_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
}

/* PostgreSQL's text for bytes, \x and lower-case hex. An SQL null gives none. */
static void take_hex(struct span text, struct buffer *bytes) {
  buffer_clear(bytes);
  for (size_t i = 2; i + 1 < text.size; i += 2) {
    buffer_append_u8(bytes, (uint8_t)(digit_of(text.data[i]) << 4 | digit_of(text.data[i + 1])));
  }
}

/* A value as bytes with its length before it; `data` is NULL for an SQL null. */
static struct span take_value(struct binary *row) {
  const uint32_t size = binary_take_u32(row);
  return size == UINT32_MAX ? (struct span){0} : binary_take(row, size);
}

static bool same_value(struct span a, struct span b) {
  return (a.data == NULL) == (b.data == NULL) && span_equal(a, b);
}

/* The name that stands at `column` in a list. */
static void name_column(const char *columns, uint32_t column, char name[COLUMN_NAME_SIZE]) {
  for (; column > 0; column--) {
    columns = strchr(columns, ',') + 2;
  }
  snprintf(name, COLUMN_NAME_SIZE, "%.*s", (int)strcspn(columns, ","), columns);
}

/* A text as it is, anything else in hex. */
static json_t *value_json(struct span value) {
  if (value.data == NULL || (value.size > 0 && span_is_utf8_text(value))) {
    return value.data == NULL ? json_null() : json_of_bytes(value);
  }
  char *const digits = memory_zeroed(2 * value.size + 1, 1);
  hex_format(value.data, value.size, digits);
  json_t *const json = json_string(digits);
  free(digits);
  return json;
}

/* The row that was made for COPY (u16 count; each value) against the one that is there (u32 count;
 * each value behind its type). The first column that differs and is not among those left out: as
 * an object of one field each. False: there is none. The row that was made is read to its end. */
static bool find_difference(struct binary *made, struct span there, const char *columns,
                            const char *left_out, json_t **expected, json_t **found) {
  struct binary row = {.rest = there};
  const uint32_t count = (uint32_t)binary_take_number(made, 2);
  bool differs = binary_take_u32(&row) != count;
  bool is_named = false;
  for (uint32_t i = 0; i < count; i++) {
    char name[COLUMN_NAME_SIZE];
    const struct span wanted = take_value(made);
    binary_take_u32(&row); /* its type */
    const struct span is = take_value(&row);
    if (same_value(wanted, is) || is_named) {
      continue;
    }
    name_column(columns, i, name);
    if (left_out == NULL || strstr(left_out, name) == NULL) {
      *expected = json_pack("{s:o}", name, value_json(wanted));
      *found = json_pack("{s:o}", name, value_json(is));
      differs = is_named = true;
    }
  }
  return differs;
}

static json_t *begin(const struct verify *verify, const char *what, uint64_t batch,
                     const char *table) {
  char at[COLUMN_NAME_SIZE];
  json_t *finding = finding_begin(what, verify->options->lane, batch);
  snprintf(at, sizeof at, "PostgreSQL, muster.%s", table);
  json_object_set_new(finding, "at", json_string(at));
  return finding;
}

/* Results. -------------------------------------------------------------------------------- */

struct result_rows {
  struct verify *verify;
  const struct journal_row *row;
  struct binary made; /* what is left of those of the batch */
  struct buffer bytes;
};

static enum status take_result(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct result_rows *rows = context;
  struct verify *verify = rows->verify;
  json_t *expected = NULL;
  json_t *found = NULL;
  take_hex(values[1], &rows->bytes);
  if (verify_is_over(verify) || rows->made.rest.size == 0 ||
      !find_difference(&rows->made, buffer_span(&rows->bytes), store_result_columns, NULL,
                       &expected, &found)) {
    return STATUS_OK;
  }
  json_t *finding = begin(verify, "row changed", rows->row->batch, "result_row");
  json_object_set_new(finding, "seq", json_integer((json_int_t)database_integer(values[0])));
  finding_explain(finding, "number %" PRId64 " is not the row that was written",
                  database_integer(values[0]));
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
  return STATUS_OK;
}

enum status verify_table_results(struct verify *verify, const struct journal_row *row) {
  char sql[SQL_SIZE];
  char lane[NUMBER_SIZE];
  char first[NUMBER_SIZE];
  char last[NUMBER_SIZE];
  const char *const parameters[] = {lane_text(verify, lane), first, last};
  struct result_rows rows = {
      .verify = verify,
      .row = row,
      .made = {.rest = buffer_span(&replay_carrier(verify->replay)->results)}};
  snprintf(first, sizeof first, "%" PRIu64, row->first_seq);
  snprintf(last, sizeof last, "%" PRIu64, row->last_seq);
  snprintf(sql, sizeof sql,
           "SELECT seq, record_send(ROW(%s)) FROM muster.result_row WHERE lane = $1::integer AND "
           "seq BETWEEN $2::bigint AND $3::bigint ORDER BY seq",
           store_result_columns);
  const enum status status = database_query(verify->database, sql, parameters, COUNT_OF(parameters),
                                            take_result, &rows, verify->error);
  buffer_fini(&rows.bytes);
  return status;
}

/* What control messages changed. ---------------------------------------------------------- */

/* A row as the statement that would write it: both sides are compared in that form. */
struct control_rows {
  struct verify *verify;
  const struct journal_row *row;
  struct span made; /* what is left of the batch's statements */
  struct buffer statement;
};

/* The next statement that writes such a row; empty at the end. Literals are hex: none has a
 * semicolon. */
static struct span next_statement(struct span *script) {
  static const char wanted[] = "INSERT INTO muster.control_row";
  while (script->size > 0) {
    const uint8_t *end = memchr(script->data, ';', script->size);
    assert(end != NULL);
    const struct span statement = span_of(script->data, (size_t)(end - script->data));
    *script = span_of(end + 1, script->size - statement.size - 1);
    if (statement.size > sizeof wanted && memcmp(statement.data, wanted, sizeof wanted - 1) == 0) {
      return statement;
    }
  }
  return (struct span){0};
}

static json_t *statement_json(struct span statement) {
  return statement.size == 0 ? NULL : json_pack("{s:o}", "statement", json_of_bytes(statement));
}

static void diverge_control(struct control_rows *rows, const char *what, struct span expected,
                            struct span found) {
  json_t *finding = begin(rows->verify, what, rows->row->batch, "control_row");
  finding_explain(finding, "what a control message changed is not kept as it was decided");
  finding_compare(finding, statement_json(expected), statement_json(found));
  verify_diverge(rows->verify, finding);
}

static enum status take_control(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct control_rows *rows = context;
  if (verify_is_over(rows->verify)) {
    return STATUS_OK;
  }
  const struct span expected = next_statement(&rows->made);
  if (expected.size == 0) {
    diverge_control(rows, "row surplus", expected, values[0]);
  } else if (!span_equal(expected, values[0])) {
    diverge_control(rows, "row changed", expected, values[0]);
  } else {
    rows->verify->control_count++;
  }
  return STATUS_OK;
}

/* The statement of store_append_control, made from the row. */
static const char control_sql[] =
    "SELECT 'INSERT INTO muster.control_row (lane, batch, control_offset, at, kind, symbol, "
    "is_off, event_id, name, serial, subject, traceparent) VALUES (' || lane || ', ' || batch || "
    "', ' || "
    "control_offset || ', ''' || muster.time_text(at) || ''', ' || kind || ', ' || symbol || ', ' "
    "|| is_off || ', encode(''\\x' || replace(event_id::text, '-', '') || ''', ''hex'')::uuid' || "
    "coalesce(', convert_from(''\\x' || encode(convert_to(name, 'UTF8'), 'hex') || ''', "
    "''UTF8'')', ', NULL') || coalesce(', convert_from(''\\x' || encode(convert_to(serial, "
    "'UTF8'), 'hex') || ''', ''UTF8'')', ', NULL') || coalesce(', ''\\x' || encode(subject, 'hex') "
    "|| '''', ', NULL') || coalesce(', ''\\x' || encode(traceparent, 'hex') || '''', ', NULL') || "
    "')' FROM muster.control_row WHERE lane = $1::integer AND batch = $2::bigint ORDER BY "
    "control_offset";

enum status verify_table_control(struct verify *verify, const struct journal_row *row) {
  char lane[NUMBER_SIZE];
  char batch[NUMBER_SIZE];
  const char *const parameters[] = {lane_text(verify, lane), batch};
  struct control_rows rows = {
      .verify = verify, .row = row, .made = buffer_span(&replay_carrier(verify->replay)->control)};
  if (rows.made.size == 0) {
    return STATUS_OK;
  }
  snprintf(batch, sizeof batch, "%" PRIu64, row->batch);
  const enum status status =
      database_query(verify->database, control_sql, parameters, COUNT_OF(parameters), take_control,
                     &rows, verify->error);
  const struct span rest = next_statement(&rows.made);
  if (status == STATUS_OK && !verify_is_over(verify) && rest.size > 0) {
    diverge_control(&rows, "row missing", rest, (struct span){0});
  }
  return status;
}

/* Rows that no batch has. ----------------------------------------------------------------- */

/* Each finds rows that belong to nothing that was decided: what stands before the first number, of
 * a lane that is not there, or twice; and an environment that is not what its digest says. $1 is
 * the lane, $2 how many there are, $3 and $4 the last number and batch, $5 the control rows. */
static const struct stray {
  const char *what, *table, *text, *sql;
} strays[] = {
    {"row surplus", "result_row", "rows up to the last number that no batch has: %" PRId64,
     "SELECT count(*) - $3::bigint FROM muster.result_row WHERE lane = $1::integer AND seq <= "
     "$3::bigint AND $2::integer > 0 AND $4::bigint >= 0 AND $5::bigint >= 0"},
    {"row surplus", "journal", "rows up to the last batch that were never published: %" PRId64,
     "SELECT count(*) - $4::bigint FROM muster.journal_row WHERE lane = $1::integer AND batch <= "
     "$4::bigint AND $2::integer > 0 AND $3::bigint >= 0 AND $5::bigint >= 0"},
    {"row surplus", "control_row", "rows that no control message has made: %" PRId64,
     "SELECT count(*) - $5::bigint FROM muster.control_row c WHERE lane = $1::integer AND (batch "
     "<= $4::bigint OR NOT EXISTS (SELECT FROM muster.journal_row j WHERE j.lane = c.lane AND "
     "j.batch = c.batch)) AND $2::integer > 0 AND $3::bigint >= 0"},
    {"row changed", "environment", "environments that are not what their digests say: %" PRId64,
     "SELECT count(*) FROM muster.environment WHERE lane = $1::integer AND digest <> "
     "sha256(convert_to(content, 'UTF8')) AND $2::integer > 0 AND $3::bigint >= 0 AND $4::bigint "
     ">= 0 AND $5::bigint >= 0"},
    {"row surplus", "environment", "environments of no batch: %" PRId64,
     "SELECT count(*) FROM muster.environment e WHERE lane = $1::integer AND NOT EXISTS (SELECT "
     "FROM muster.journal_row j WHERE j.lane = e.lane AND j.batch = e.batch) AND $2::integer > 0 "
     "AND $3::bigint >= 0 AND $4::bigint >= 0 AND $5::bigint >= 0"},
};

/* The same for all lanes, asked by the first one: $1 is how many there are. */
#define OF_NO_LANE(table)                                                                          \
  {                                                                                                \
    "row surplus", table, "rows of lanes that are not there: %" PRId64,                            \
        "SELECT count(*) FROM muster." table " WHERE lane < 0 OR lane >= $1::integer"              \
  }
static const struct stray of_no_lane[] = {OF_NO_LANE("result_row"),  OF_NO_LANE("journal_row"),
                                          OF_NO_LANE("device_row"),  OF_NO_LANE("device_block"),
                                          OF_NO_LANE("control_row"), OF_NO_LANE("environment")};
#undef OF_NO_LANE

static enum status take_count(void *context, const struct span *values, struct error *error) {
  (void)error;
  *(int64_t *)context = database_integer(values[0]);
  return STATUS_OK;
}

static enum status find_stray(struct verify *verify, const struct stray *stray,
                              const char *const *parameters, size_t parameter_count) {
  int64_t count = 0;
  const enum status status = database_query(verify->database, stray->sql, parameters,
                                            parameter_count, take_count, &count, verify->error);
  if (status == STATUS_OK && count != 0) {
    char text[128];
    json_t *finding = begin(verify, stray->what, verify->last.batch, stray->table);
    snprintf(text, sizeof text, stray->text, count);
    finding_explain(finding, "%s", text);
    verify_diverge(verify, finding);
  }
  return status;
}

enum status verify_table_rest(struct verify *verify) {
  char lane[NUMBER_SIZE];
  char lanes[NUMBER_SIZE];
  char seq[NUMBER_SIZE];
  char batch[NUMBER_SIZE];
  char control[NUMBER_SIZE];
  const char *const parameters[] = {lane_text(verify, lane), lanes, seq, batch, control};
  snprintf(lanes, sizeof lanes, "%" PRIu32, verify->options->lane_count);
  snprintf(seq, sizeof seq, "%" PRIu64, verify->last.last_seq);
  snprintf(batch, sizeof batch, "%" PRIu64, verify->last.batch);
  snprintf(control, sizeof control, "%" PRIu64, verify->control_count);
  enum status status = STATUS_OK;
  for (size_t i = 0; i < COUNT_OF(strays) && status == STATUS_OK && !verify_is_over(verify); i++) {
    status = find_stray(verify, &strays[i], parameters, COUNT_OF(parameters));
  }
  for (size_t i = 0; verify->options->lane == 0 && i < COUNT_OF(of_no_lane) &&
                     status == STATUS_OK && !verify_is_over(verify);
       i++) {
    status = find_stray(verify, &of_no_lane[i], &parameters[1], 1);
  }
  return status == STATUS_OK && !verify_is_over(verify) ? verify_table_policies(verify) : status;
}

/* Devices. -------------------------------------------------------------------------------- */

struct device_rows {
  struct verify *verify;
  struct buffer made, bytes;
  uint32_t next_block;
};

/* What a device's last change was and came with, beside what the view shows of it, is not kept. */
static const char left_out[] = "changed_batch, event_id, traceparent";

static enum status take_device(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct device_rows *rows = context;
  struct verify *verify = rows->verify;
  const struct lane *lane = &replay_state(verify->replay)->lane;
  const uint64_t number = (uint64_t)database_integer(values[0]);
  const uint64_t index = (number - 1 - lane->number) / lane->count;
  json_t *expected = NULL;
  json_t *found = NULL;
  if (verify_is_over(verify) || index >= lane->device_count) {
    return STATUS_OK;
  }
  buffer_clear(&rows->made);
  verify_make_device_row(verify, (uint32_t)index, &rows->made);
  take_hex(values[1], &rows->bytes);
  struct binary made = {.rest = buffer_span(&rows->made)};
  if (!find_difference(&made, buffer_span(&rows->bytes), store_device_columns, left_out, &expected,
                       &found)) {
    return STATUS_OK;
  }
  char id[DEVICE_ID_SIZE];
  device_id_format(number, id);
  json_t *finding = begin(verify, "row changed", verify->last.batch, "device_row");
  json_object_set_new(finding, "device_id", json_string(id));
  finding_explain(finding, "%s is not the row that a lane would go on from", id);
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
  return STATUS_OK;
}

static void diverge_block(struct verify *verify, const char *what, uint32_t number,
                          json_t *expected, json_t *found) {
  json_t *finding = begin(verify, what, verify->last.batch, "device_block");
  finding_explain(finding, "block %" PRIu32 " has not the dates that a lane would go on from",
                  number);
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
}

static uint32_t block_count(const struct verify *verify) {
  const uint32_t devices = replay_state(verify->replay)->lane.device_count;
  return (devices + DEVICE_BLOCK_SIZE - 1) / DEVICE_BLOCK_SIZE;
}

/* Blocks come in order of their numbers, none left out. */
static enum status take_block(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct device_rows *rows = context;
  struct verify *verify = rows->verify;
  const int64_t number = database_integer(values[0]);
  json_t *expected = NULL;
  json_t *found = NULL;
  if (verify_is_over(verify)) {
    return STATUS_OK;
  }
  if (number != rows->next_block || rows->next_block >= block_count(verify)) {
    const bool is_missing = number > rows->next_block && rows->next_block < block_count(verify);
    diverge_block(verify, is_missing ? "row missing" : "row surplus", rows->next_block, NULL, NULL);
    return STATUS_OK;
  }
  struct device_block block;
  lane_block(&replay_state(verify->replay)->lane, rows->next_block, &block);
  buffer_clear(&rows->made);
  store_append_block(&rows->made, &block);
  take_hex(values[1], &rows->bytes);
  struct binary made = {.rest = buffer_span(&rows->made)};
  if (find_difference(&made, buffer_span(&rows->bytes), store_block_columns, NULL, &expected,
                      &found)) {
    diverge_block(verify, "row changed", rows->next_block, expected, found);
  }
  rows->next_block++;
  return STATUS_OK;
}

static enum status compare_blocks(struct verify *verify, struct device_rows *rows,
                                  const char *const *parameters) {
  char sql[SQL_SIZE];
  snprintf(sql, sizeof sql,
           "SELECT block, record_send(ROW(%s)) FROM muster.device_block WHERE lane = $1::integer "
           "ORDER BY block",
           store_block_columns);
  const enum status status =
      database_query(verify->database, sql, parameters, 1, take_block, rows, verify->error);
  if (status == STATUS_OK && !verify_is_over(verify) && rows->next_block < block_count(verify)) {
    diverge_block(verify, "row missing", rows->next_block, NULL, NULL);
  }
  return status;
}

enum status verify_table_devices(struct verify *verify) {
  char sql[SQL_SIZE];
  char lane[NUMBER_SIZE];
  const char *const parameters[] = {lane_text(verify, lane)};
  struct device_rows rows = {.verify = verify};
  snprintf(sql, sizeof sql,
           "SELECT number, record_send(ROW(%s)) FROM muster.device_row WHERE lane = $1::integer "
           "ORDER BY number",
           store_device_columns);
  enum status status =
      database_query(verify->database, sql, parameters, 1, take_device, &rows, verify->error);
  if (status == STATUS_OK && !verify_is_over(verify)) {
    status = compare_blocks(verify, &rows, parameters);
  }
  buffer_fini(&rows.made);
  buffer_fini(&rows.bytes);
  return status;
}
