/* accept-gap: what lanes have halted before, and the audited way on.
 *
 * The only change that is not asked for on a topic: a lane that has halted cannot read its topics,
 * the control topic included. The request stands in the database until the lane's owner decides it,
 * as a batch of its own; from there on it stands in the journal. */
#include "core/app/command.h"

#include "core/app/clock.h"
#include "core/app/listing.h"
#include "core/app/option_number.h"
#include "core/app/request.h"
#include "core/event.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { GAP_ADMIN, GAP_LANE, GAP_REASON, GAP_PATIENCE };
enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 86400, LOOK_MS = 200 };

const struct option_spec accept_gap_options[] = {
    {"admin", "EMAIL", "who asks; else the only one of roles.bootstrap_admins, if there is one"},
    {"lane", "N", "of the control topic, which every lane reads: of this lane alone"},
    {"reason", "TEXT", "why it is lost, for the audit; up to 128 bytes"},
    REQUEST_OPTIONS};

/* ---- What there is ---- */

static const struct column gap_columns[] = {
    {.name = "lane", .type = COLUMN_INTEGER},      {.name = "topic", .type = COLUMN_TEXT},
    {.name = "partition", .type = COLUMN_INTEGER}, {.name = "from", .type = COLUMN_INTEGER},
    {.name = "to", .type = COLUMN_INTEGER},        {.name = "or_to", .type = COLUMN_INTEGER},
    {.name = "requests", .type = COLUMN_INTEGER},  {.name = "problem", .type = COLUMN_TEXT},
};

static enum status list_gaps(struct pg_conn *database, enum output_format format,
                             struct error *error) {
  const struct listing listing = {
      .columns = gap_columns,
      .column_count = COUNT_OF(gap_columns),
      .sql = "select lane, topic, partition, from_offset, to_offset, or_offset, requests, problem "
             "from muster.gaps order by lane, topic"};
  size_t count;
  return listing_print(database, &listing, format, &count, error);
}

/* ---- What is asked for ---- */

enum { OFFSET_SIZE = 24, EVENT_ID_TEXT_SIZE = 37 };

struct acceptance {
  const struct command_line *line;
  const char *parameters[7]; /* of muster.accept_gap */
  int64_t timeout_s;
  char event_id[EVENT_ID_TEXT_SIZE];
  int64_t asked;       /* lanes */
  int64_t first_batch; /* decisions stand behind it */
  int64_t decided, refused, waiting;
};

static enum status read_offset(const char *name, const char *text, struct error *error) {
  char *end;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  return end != text && *end == '\0' && errno == 0 && value >= 0
             ? STATUS_OK
             : error_set(error, STATUS_USAGE, "accept-gap: %s: a number is needed, not \"%.40s\"",
                         name, text);
}

static enum status read_reason(const char *reason, struct error *error) {
  if (reason == NULL || reason[0] == '\0') {
    return error_set(error, STATUS_USAGE,
                     "accept-gap: reason is missing: give --reason TEXT, for the audit");
  }
  const struct span text = span_text(reason);
  return text.size <= NOTE_SIZE_MAX && span_is_utf8_text(text)
             ? STATUS_OK
             : error_set(error, STATUS_USAGE,
                         "accept-gap: reason: up to %d bytes without control characters are needed",
                         NOTE_SIZE_MAX);
}

static enum status read_line(const struct command_line *line, struct acceptance *acceptance,
                             struct error *error) {
  static const char *const names[] = {"PARTITION", "FROM", "TO"};
  int64_t lane = 0;
  enum status status = STATUS_OK;
  *acceptance = (struct acceptance){.line = line, .timeout_s = TIMEOUT_S};
  acceptance->parameters[0] = line->arguments[0];
  for (size_t i = 0; i < COUNT_OF(names) && status == STATUS_OK; i++) {
    acceptance->parameters[i + 1] = line->arguments[i + 1];
    status = read_offset(names[i], line->arguments[i + 1], error);
  }
  if (status == STATUS_OK) {
    status = read_reason(line->options[GAP_REASON], error);
  }
  if (status == STATUS_OK) {
    status = option_number("lane", line->options[GAP_LANE], 0, INT32_MAX, &lane, error);
  }
  if (status == STATUS_OK) {
    status = option_number("timeout", line->options[GAP_PATIENCE + REQUEST_TIMEOUT], 1,
                           TIMEOUT_MAX_S, &acceptance->timeout_s, error);
  }
  acceptance->parameters[4] = line->options[GAP_LANE];
  acceptance->parameters[6] = line->options[GAP_REASON];
  return status;
}

static enum status take_asked(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct acceptance *acceptance = context;
  const int64_t batch = database_integer(values[1]);
  snprintf(acceptance->event_id, sizeof acceptance->event_id, "%.*s", (int)values[0].size,
           (const char *)values[0].data);
  if (acceptance->asked == 0 || batch < acceptance->first_batch) {
    acceptance->first_batch = batch;
  }
  acceptance->asked++;
  return STATUS_OK;
}

static enum status ask(struct pg_conn *database, struct acceptance *acceptance,
                       struct error *error) {
  const enum status status = database_query(
      database,
      "select event_id, batch from muster.accept_gap($1, $2::integer, $3::bigint, $4::bigint, "
      "$5::integer, $6, $7)",
      acceptance->parameters, COUNT_OF(acceptance->parameters), take_asked, acceptance, error);
  return status != STATUS_OK || acceptance->asked > 0
             ? status
             : error_set(
                   error, STATUS_REFUSED,
                   "accept-gap: refused: no lane has halted at %s/%s before offset %s with %s "
                   "as a way on; muster accept-gap lists what can be accepted",
                   acceptance->parameters[0], acceptance->parameters[1], acceptance->parameters[2],
                   acceptance->parameters[3]);
}

/* ---- What comes of it ---- */

#define DECISIONS                                                                                  \
  "from muster.journal j join muster.audit a on a.lane = j.lane and a.seq = j.first_seq "          \
  "where j.kind = 'BATCH' and j.batch > $2::bigint and j.gap->>'event_id' = $1"

static enum status take_counts(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct acceptance *acceptance = context;
  acceptance->decided = database_integer(values[0]);
  acceptance->refused = database_integer(values[1]);
  acceptance->waiting = database_integer(values[2]);
  return STATUS_OK;
}

static enum status look(struct pg_conn *database, struct acceptance *acceptance,
                        struct error *error) {
  char batch[OFFSET_SIZE];
  const char *const parameters[] = {acceptance->event_id, batch};
  snprintf(batch, sizeof batch, "%" PRId64, acceptance->first_batch);
  return database_query(database,
                        "select (select count(*) " DECISIONS "), (select count(*) " DECISIONS
                        " and a.outcome <> 'OK'), (select count(*) from muster.gap_requests r "
                        "where r.event_id = $1::uuid)",
                        parameters, COUNT_OF(parameters), take_counts, acceptance, error);
}

static enum status print_asked(struct pg_conn *database, const struct acceptance *acceptance,
                               struct error *error) {
  static const struct column columns[] = {{.name = "event_id", .type = COLUMN_TEXT},
                                          {.name = "lanes", .type = COLUMN_INTEGER}};
  const char *const parameters[] = {acceptance->event_id};
  const struct listing listing = {
      .columns = columns,
      .column_count = COUNT_OF(columns),
      .sql = "select $1::text, count(*) from muster.gap_requests where event_id = $1::text::uuid",
      .parameters = parameters,
      .parameter_count = COUNT_OF(parameters),
      .is_single = true};
  size_t count;
  return listing_print(database, &listing, acceptance->line->output, &count, error);
}

static const struct column entry_columns[] = {
    {.name = "lane", .type = COLUMN_INTEGER},
    {.name = "action", .type = COLUMN_TEXT},
    {.name = "target", .type = COLUMN_TEXT},
    {.name = "outcome", .type = COLUMN_TEXT},
    {.name = "reason", .type = COLUMN_TEXT},
    {.name = "actor", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "seq", .type = COLUMN_INTEGER, .is_hidden = true},
    {.name = "at", .type = COLUMN_TIME, .is_hidden = true},
    {.name = "event_id", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "policy", .type = COLUMN_TEXT, .is_hidden = true},
};

static enum status print_entries(struct pg_conn *database, const struct acceptance *acceptance,
                                 struct error *error) {
  char batch[OFFSET_SIZE];
  const char *const parameters[] = {acceptance->event_id, batch};
  const struct listing listing = {
      .columns = entry_columns,
      .column_count = COUNT_OF(entry_columns),
      .sql = "select a.lane, a.action, a.target, a.outcome, a.reason, a.actor, a.seq, "
             "(extract(epoch from a.at) * 1000)::bigint, a.event_id, a.policy " DECISIONS
             " order by a.lane",
      .parameters = parameters,
      .parameter_count = COUNT_OF(parameters)};
  size_t count;
  snprintf(batch, sizeof batch, "%" PRId64, acceptance->first_batch);
  return listing_print(database, &listing, acceptance->line->output, &count, error);
}

static enum status conclude(struct pg_conn *database, const struct acceptance *acceptance,
                            struct error *error) {
  if (acceptance->waiting > 0) {
    return error_set(
        error, STATUS_UNAVAILABLE,
        "accept-gap: nothing decided within %" PRId64
        " s about event_id %s. It is asked and stands: the lane's owner decides it when "
        "it runs; look for that event_id later in muster topics cat audit",
        acceptance->timeout_s, acceptance->event_id);
  }
  const enum status status = print_entries(database, acceptance, error);
  if (status != STATUS_OK) {
    return status;
  }
  if (acceptance->refused > 0) {
    return error_set(error, STATUS_REFUSED, "accept-gap: refused: gaps are an ADMIN's to accept");
  }
  return acceptance->decided == acceptance->asked
             ? STATUS_OK
             : error_set(error, STATUS_REFUSED,
                         "accept-gap: refused: what the lane lacks has changed meanwhile; muster "
                         "accept-gap lists what can be accepted");
}

static enum status await(struct pg_conn *database, struct acceptance *acceptance,
                         struct error *error) {
  const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
  const int64_t deadline_mono_ms = clock_mono_ms() + acceptance->timeout_s * 1000;
  enum status status = look(database, acceptance, error);
  while (status == STATUS_OK && acceptance->waiting > 0 && clock_mono_ms() < deadline_mono_ms) {
    nanosleep(&pause, NULL);
    status = look(database, acceptance, error);
  }
  return status == STATUS_OK ? conclude(database, acceptance, error) : status;
}

static enum status accept_gap(struct pg_conn *database, struct acceptance *acceptance,
                              struct error *error) {
  enum status status = ask(database, acceptance, error);
  if (status != STATUS_OK) {
    return status;
  }
  return acceptance->line->options[GAP_PATIENCE + REQUEST_NO_WAIT] != NULL
             ? print_asked(database, acceptance, error)
             : await(database, acceptance, error);
}

enum status command_accept_gap(const struct command_line *line, struct error *error) {
  const bool lists = line->argument_count == 0;
  struct acceptance acceptance = {0};
  json_t *const fields = json_object();
  enum status status = STATUS_OK;
  if (!lists && line->argument_count != 4) {
    status = error_set(error, STATUS_USAGE,
                       "accept-gap: TOPIC PARTITION FROM TO are needed, as muster accept-gap "
                       "without any lists them");
  } else if (!lists) {
    status = read_line(line, &acceptance, error);
  }
  if (status == STATUS_OK) {
    status = request_actor(fields, line, "accept-gap", line->options[GAP_ADMIN], error);
    acceptance.parameters[5] = json_string_value(json_object_get(fields, "actor_email"));
  }
  struct pg_conn *database = NULL;
  if (status == STATUS_OK) {
    status = database_open(line->config.postgres.dsn, &database, error);
  }
  if (status == STATUS_OK) {
    status =
        lists ? list_gaps(database, line->output, error) : accept_gap(database, &acceptance, error);
  }
  database_close(database);
  json_decref(fields);
  return status;
}
