/* A lane's connection and its commits.
 *
 * store_commit_begin sends the whole commit as one query text; store_advance goes through the
 * answers in their order. Where the text has COPY ... FROM STDIN the server asks for data: it is
 * handed to libpq a chunk at a time, the next one only when the last has left, so that never more
 * than a chunk waits in memory. After any failure the connection's state means nothing any more:
 * the server has rolled back, or has committed and could not say so. Only the row tells. */
#include "producers/store_internal.h"

#include "core/time_text.h"
#include "schemas/embedded.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

enum {
  COPY_CHUNK_SIZE = 256 * 1024,
  STAGE_DELETE_SIZE_MAX = 256 * 1024, /* beyond it truncating costs less than dead rows do */
};

static const char copy_header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
static const char copy_trailer[] = "\377\377";

static enum status check_migrations(PGconn *connection, struct error *error) {
  PGresult *result = NULL;
  enum status status = store_query(connection, "SELECT name FROM muster.migrations",
                                   "read muster.migrations", &result, error);
  if (status == STATUS_CONFIG) {
    error_wrap(error, "the database is not set up (run `muster migrate`)");
  }
  for (size_t i = 0; status == STATUS_OK && i < embedded_file_count; i++) {
    const char *const name = embedded_files[i].name;
    const char *const dot = strrchr(name, '.');
    bool is_there = dot == NULL || strcmp(dot, ".sql") != 0;
    for (int row = 0; !is_there && row < PQntuples(result); row++) {
      const char *const applied = PQgetvalue(result, row, 0);
      is_there = strlen(applied) == (size_t)(dot - name) &&
                 strncmp(applied, name, (size_t)(dot - name)) == 0;
    }
    if (!is_there) {
      status = error_set(error, STATUS_CONFIG, "the database lacks %.*s: run `muster migrate`",
                         (int)(dot - name), name);
    }
  }
  PQclear(result);
  return status;
}

/* libpq would write it to stderr, past the log. */
static void ignore_notice(void *context, const char *text) {
  (void)context;
  (void)text;
}

enum status store_open(const char *dsn, struct store **store, struct error *error) {
  *store = NULL;
  PGconn *connection;
  enum status status = store_connect(dsn, "muster", &connection, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = check_migrations(connection, error);
  struct store *const opened = status == STATUS_OK ? calloc(1, sizeof *opened) : NULL;
  if (status == STATUS_OK && opened == NULL) {
    status = error_set(error, STATUS_UNAVAILABLE, "no memory for a connection");
  }
  if (status != STATUS_OK) {
    PQfinish(connection);
    return status;
  }
  PQsetNoticeProcessor(connection, ignore_notice, NULL);
  opened->connection = connection;
  *store = opened;
  return STATUS_OK;
}

void store_close(struct store *store) {
  if (store != NULL) {
    PQfinish(store->connection);
    buffer_fini(&store->script);
    buffer_fini(&store->piece);
    free(store);
  }
}

int store_fd(const struct store *store) {
  return PQsocket(store->connection);
}

bool store_wants_write(const struct store *store) {
  return store->wants_write;
}

static void script_time(struct buffer *script, int64_t at_ms) {
  if (at_ms == TIME_NONE) {
    store_script(script, "NULL");
  } else {
    char text[TIME_TEXT_SIZE];
    time_format(at_ms, text);
    store_script(script, "'%s'", text);
  }
}

static void script_copy(struct store *store, const char *table, const char *columns,
                        struct copy rows) {
  assert(store->copy_count < COPY_COUNT_MAX);
  store->copies[store->copy_count++] = rows;
  store_script(&store->script, "COPY %s (%s) FROM STDIN (FORMAT binary);", table, columns);
}

/* Through the session's table `stage`, with the statement prepared for it. */
static void script_stage(struct store *store, const char *stage, const char *columns,
                         const char *prepared, struct copy rows) {
  const bool is_big = rows.is_streamed || rows.rows.size > STAGE_DELETE_SIZE_MAX;
  script_copy(store, stage, columns, rows);
  store_script(&store->script, "EXECUTE %s; %s %s;", prepared, is_big ? "TRUNCATE" : "DELETE FROM",
               stage);
}

/* Persons are shared between lanes and go ahead of whatever names them, in a transaction that
 * holds no lane. It need not reach the disk: the commit behind it takes it along, in order. */
static void script_persons(struct store *store, struct span persons) {
  if (persons.size > 0) {
    store_script(&store->script, "BEGIN; SET LOCAL synchronous_commit = off;");
    script_stage(store, "stage_person", "subject, user_email", "store_persons",
                 (struct copy){.rows = persons});
    store_script(&store->script, "COMMIT;");
  }
}

static void script_ranges(struct buffer *script, const struct journal_row *row) {
  store_script(script, "'{");
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    store_script(script, "%s%" PRId64, i > 0 ? "," : "", row->ranges[i].from);
  }
  store_script(script, "}', '{");
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    store_script(script, "%s%" PRId64, i > 0 ? "," : "", row->ranges[i].to);
  }
  store_script(script, "}', '{");
  for (size_t i = 0; i < row->not_believed_count; i++) {
    store_script(script, "%s%d", i > 0 ? "," : "", (int)row->not_believed[i].topic);
  }
  store_script(script, "}', '{");
  for (size_t i = 0; i < row->not_believed_count; i++) {
    store_script(script, "%s%" PRId64, i > 0 ? "," : "", row->not_believed[i].offset);
  }
  store_script(script, "}'");
}

static void script_timer(struct buffer *script, const struct timer_cursor *timer) {
  if (timer->is_set) {
    script_time(script, timer->due_at_ms);
    store_script(script, ", %" PRIu64 ", %" PRIu32, timer->device_number, timer->kind);
  } else {
    store_script(script, "NULL, NULL, NULL");
  }
}

static void script_sweep(struct buffer *script, const struct sweep_cursor *sweep) {
  if (sweep->is_set) {
    store_script(script, ", %" PRIu64, sweep->device_number);
  } else {
    store_script(script, ", NULL");
  }
}

static void script_digest(struct buffer *script, const void *bytes, size_t size) {
  store_script(script, ", ");
  store_script_bytes(script, span_of(bytes, size));
}

static void script_gap(struct buffer *script, const struct journal_gap *gap) {
  uint8_t bytes[JOURNAL_GAP_SIZE_MAX];
  if (gap->is_set) {
    script_digest(script, bytes, journal_gap_bytes(gap, bytes));
  } else {
    store_script(script, ", NULL");
  }
}

/* What was asked for is decided: it waits no longer, and who asked stands in the row by subject. */
static void script_gap_decided(struct buffer *script, const struct store_batch *batch) {
  const struct journal_row *row = batch->row;
  if (!row->gap.is_set) {
    if (batch->clears_gaps) {
      store_script(script,
                   "DELETE FROM muster.gap WHERE lane = %" PRIu32
                   ";DELETE FROM muster.gap_request WHERE lane = %" PRIu32 ";",
                   row->lane, row->lane);
    }
    return;
  }
  store_script(script,
               "DELETE FROM muster.gap_request WHERE lane = %" PRIu32 " AND (event_id = encode(",
               row->lane);
  store_script_bytes(script, span_of(row->gap.event_id, EVENT_ID_SIZE));
  store_script(script, ", 'hex')::uuid OR (%s AND topic = %d));",
               row->gap.is_accepted ? "true" : "false", (int)row->gap.topic);
  if (row->gap.is_accepted) {
    store_script(script, "DELETE FROM muster.gap WHERE lane = %" PRIu32 " AND topic = %d;",
                 row->lane, (int)row->gap.topic);
  }
}

static void script_journal(struct buffer *script, const struct store_batch *batch) {
  const struct journal_row *const row = batch->row;
  store_script(
      script,
      "INSERT INTO muster.journal_row (lane, batch, first_seq, last_seq, message_count, "
      "dead_letter_count, timer_count, device_count, epoch, clock_before, clock_after, "
      "range_from, range_to, not_believed_topic, not_believed_offset, timer_due_at, "
      "timer_device, timer_kind, sweep_device, environment, last_message, inputs, results, chain, "
      "state, gap, committed_at, owner) VALUES (%" PRIu32 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64
      ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRId64 ", ",
      row->lane, row->batch, row->first_seq, row->last_seq, row->message_count,
      row->dead_letter_count, row->timer_count, row->device_count, batch->lane->epoch);
  script_time(script, row->clock_before_ms);
  store_script(script, ", ");
  script_time(script, row->clock_after_ms);
  store_script(script, ", ");
  script_ranges(script, row);
  store_script(script, ", ");
  script_timer(script, &row->timer);
  script_sweep(script, &row->sweep);
  script_digest(script, row->environment, DIGEST_SIZE);
  script_digest(script, row->last_message, sizeof row->last_message);
  script_digest(script, row->inputs, DIGEST_SIZE);
  script_digest(script, row->results, DIGEST_SIZE);
  script_digest(script, row->chain, DIGEST_SIZE);
  if (row->has_state) {
    script_digest(script, row->state, DIGEST_SIZE);
  } else {
    store_script(script, ", NULL");
  }
  script_gap(script, &row->gap);
  store_script(script, ", ");
  script_time(script, batch->committed_at_ms);
  store_script(script, ", encode(");
  store_script_bytes(script, span_of(batch->lane->owner, OWNER_SIZE));
  store_script(script, ", 'hex')::uuid);");
}

static void script_environment(struct buffer *script, const struct store_batch *batch) {
  if (batch->environment.size > 0) {
    store_script(script, "INSERT INTO muster.environment VALUES (%" PRIu32 ", %" PRIu64 ", ",
                 batch->row->lane, batch->row->batch);
    store_script_bytes(script, span_of(batch->row->environment, DIGEST_SIZE));
    store_script(script, ", convert_from(");
    store_script_bytes(script, batch->environment);
    store_script(script, ", 'UTF8'));");
  }
}

/* Where the rows of a part go: into a table, or through one of the session's. */
static const struct destination {
  const char *table, *columns;
  const char *statement; /* that is prepared for rows that exist; NULL: there are none */
} destinations[DEVICE_PART_COUNT] = {
    [NEW_DEVICES] = {"muster.device_row", store_device_columns, NULL},
    [KNOWN_DEVICES] = {"stage_device", store_device_columns, "store_devices"},
    [NEW_BLOCKS] = {"muster.device_block", store_block_columns, NULL},
    [KNOWN_BLOCKS] = {"stage_block", store_block_columns, "store_blocks"},
    [KNOWN_DATES] = {"stage_dates", store_dates_columns, "store_dates"},
};

static void script_devices(struct store *store, const struct store_batch *batch) {
  const bool is_streamed = batch->streamed.next != NULL;
  store->streamed = batch->streamed;
  bool is_by_key = false;
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    const struct destination *const to = &destinations[part];
    const struct copy rows = {
        .rows = batch->devices[part], .is_streamed = is_streamed, .part = part};
    if (is_streamed ? !batch->streamed.has[part] : rows.rows.size == 0) {
      continue;
    }
    if (to->statement == NULL) {
      script_copy(store, to->table, to->columns, rows);
      continue;
    }
    if (!is_by_key) {
      /* Row by row through the key, however many there are: a plan made for many would be kept,
       * and read the whole table for one. */
      store_script(&store->script,
                   "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;");
      is_by_key = true;
    }
    script_stage(store, to->table, to->columns, to->statement, rows);
  }
}

static void script_batch(struct store *store, const struct store_batch *batch) {
  struct buffer *const script = &store->script;
  script_persons(store, batch->persons);
  store_script(script,
               "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT muster.fence(%" PRIu32 ", %" PRId64
               ", encode(",
               batch->lane->lane, batch->lane->epoch);
  store_script_bytes(script, span_of(batch->lane->owner, OWNER_SIZE));
  store_script(script, ", 'hex')::uuid, %" PRIu64 ", %" PRIu64 ");", batch->published_batch,
               batch->checkpoint_batch);
  script_devices(store, batch);
  if (batch->results.size > 0) {
    script_copy(store, "muster.result_row", store_result_columns,
                (struct copy){.rows = batch->results});
  }
  if (batch->letters.size > 0) {
    script_copy(store, "muster.letter", store_letter_columns,
                (struct copy){.rows = batch->letters});
  }
  if (batch->row != NULL) {
    script_environment(script, batch);
    buffer_append(script, batch->control.data, batch->control.size);
    script_journal(script, batch);
    script_gap_decided(script, batch);
  }
  store_script(script, "COMMIT");
}

enum status store_commit_begin(struct store *store, const struct store_batch *batch,
                               struct error *error) {
  assert(!store->is_committing);
  assert(batch->row == NULL || batch->row->lane == batch->lane->lane);
  buffer_clear(&store->script);
  store->copy_count = store->copy_index = 0;
  script_batch(store, batch);
  if (PQsetnonblocking(store->connection, 1) != 0 ||
      PQsendQuery(store->connection, (const char *)store->script.data) != 1) {
    return store_failure(store->connection, NULL, "commit", error);
  }
  store->is_committing = true;
  store->is_copying = false;
  store->wants_write = true;
  return STATUS_OK;
}

/* The next piece of the present COPY's rows; empty when there is none. */
static struct span next_piece(struct store *store) {
  const struct copy *const copy = &store->copies[store->copy_index];
  if (copy->is_streamed) {
    const struct store_devices *const streamed = &store->streamed;
    const bool has_more = streamed->next(streamed->context, copy->part, &store->piece);
    return has_more ? buffer_span(&store->piece) : span_of("", 0);
  }
  const size_t left = copy->rows.size - store->copy_sent;
  const size_t size = left < COPY_CHUNK_SIZE ? left : COPY_CHUNK_SIZE;
  store->copy_sent += size;
  return span_of(copy->rows.data + store->copy_sent - size, size);
}

/* Hands libpq the next piece of the present COPY. Called when nothing waits to be sent. */
static int put_chunk(struct store *store) {
  PGconn *const connection = store->connection;
  if (store->copy_part == COPY_HEADER) {
    store->copy_part = COPY_ROWS;
    return PQputCopyData(connection, copy_header, (int)sizeof copy_header - 1);
  }
  if (store->copy_part == COPY_ROWS) {
    const struct span piece = next_piece(store);
    if (piece.size > 0) {
      return PQputCopyData(connection, (const char *)piece.data, (int)piece.size);
    }
    store->copy_part = COPY_END;
    return PQputCopyData(connection, copy_trailer, (int)sizeof copy_trailer - 1);
  }
  store->is_copying = false;
  store->copy_index++;
  return PQputCopyEnd(connection, NULL);
}

static enum status take_answer(struct store *store, bool *done, struct error *error) {
  PGresult *const result = PQgetResult(store->connection);
  if (result == NULL) {
    assert(store->copy_index == store->copy_count);
    store->is_committing = false;
    *done = true;
    return STATUS_OK;
  }
  const ExecStatusType type = PQresultStatus(result);
  if (type == PGRES_COPY_IN) {
    assert(store->copy_index < store->copy_count);
    store->is_copying = true;
    store->copy_part = COPY_HEADER;
    store->copy_sent = 0;
  } else if (type != PGRES_COMMAND_OK && type != PGRES_TUPLES_OK) {
    return store_failure(store->connection, result, "commit", error);
  }
  PQclear(result);
  return STATUS_OK;
}

/* What the server said before it went is worth more than that the connection is gone. libpq
 * reads it only once a COPY is ended, and may answer for ever on a broken connection. */
static enum status lost(struct store *store, struct error *error) {
  enum { ANSWERS_MAX = 3 };
  if (store->is_copying) {
    (void)PQputCopyEnd(store->connection, "lost"); /* fails, and lets the answer be read */
  }
  for (int i = 0; i < ANSWERS_MAX && !PQisBusy(store->connection); i++) {
    PGresult *const result = PQgetResult(store->connection);
    if (PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL) {
      return store_failure(store->connection, result, "commit", error);
    }
    PQclear(result);
  }
  return store_failure(store->connection, NULL, "commit", error);
}

enum status store_advance(struct store *store, bool *done, struct error *error) {
  *done = false;
  if (PQconsumeInput(store->connection) != 1 || PQstatus(store->connection) != CONNECTION_OK) {
    return store->is_committing ? lost(store, error)
                                : store_failure(store->connection, NULL, "PostgreSQL", error);
  }
  if (!store->is_committing) {
    PQisBusy(store->connection); /* reads a notice away */
    return STATUS_OK;
  }
  while (!*done) {
    const int flushed = PQflush(store->connection);
    if (flushed < 0) {
      return lost(store, error);
    }
    store->wants_write = flushed > 0;
    if (store->wants_write) {
      return STATUS_OK;
    }
    if (store->is_copying) {
      if (put_chunk(store) != 1) {
        return lost(store, error);
      }
    } else if (PQisBusy(store->connection)) {
      return STATUS_OK;
    } else {
      const enum status status = take_answer(store, done, error);
      if (status != STATUS_OK) {
        return status;
      }
    }
  }
  return STATUS_OK;
}
