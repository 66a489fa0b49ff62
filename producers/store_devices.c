/* Devices: rows that exist are written through tables of the session, and read back with their
 * blocks. */
#include "producers/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* COPY can neither update nor skip rows that may exist: they go through a table of the session. It
 * is emptied behind each use: ON COMMIT DELETE ROWS would truncate it in every commit, which takes
 * longer than all the rest of a small one (1 ms) and throws the prepared plan away. A row with
 * changed_batch 0 moved only what its topic does not show: of the last change the stored stays.
 * Persons are sorted by key, so that two sessions can never wait for each other. */
static const char stage_sql[] =
    "CREATE TEMP TABLE IF NOT EXISTS stage_person (LIKE muster.person);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_device (LIKE muster.device_row);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_block (LIKE muster.device_block);"
    "CREATE TEMP TABLE IF NOT EXISTS stage_dates (lane integer, block integer, place integer,"
    " last_sync_at timestamptz, antivirus_signatures_at timestamptz, threat_at timestamptz,"
    " next_due_at timestamptz, next_timer smallint);"
    "DEALLOCATE ALL;"
    "PREPARE store_persons AS INSERT INTO muster.person (subject, user_email)"
    " SELECT subject, user_email FROM stage_person ORDER BY subject ON CONFLICT DO NOTHING;";

/* Of the last change that a device's topic shows; the others follow every touch. */
static const char *const columns_of_change[] = {"changed_batch", "seq",         "at",
                                                "policy",        "cause_topic", "cause_offset",
                                                "event_id",      "traceparent", "overdue_since"};
static const char *const columns_of_state[] = {"os_version",
                                               "subject",
                                               "enrollment_ids",
                                               "flags",
                                               "escalation",
                                               "episode",
                                               "violations",
                                               "pending_since",
                                               "screen_lock_pin_length",
                                               "clean_since",
                                               "noncompliant_since",
                                               "wipe"};
static const char *const columns_of_block[] = {"last_sync_at", "antivirus_signatures_at",
                                               "threat_at", "next_due_at", "next_timer"};

static void script_columns(struct buffer *script, const char *const *columns, size_t count) {
  for (size_t i = 0; i < count; i++) {
    store_script(script, "%s%s = s.%s", i > 0 ? ", " : "", columns[i], columns[i]);
  }
}

/* `condition` is what must hold beside the key. */
static void script_check(struct buffer *script, const char *stage, const char *key,
                         const char *condition) {
  store_script(script,
               " FROM %s s WHERE d.lane = s.lane AND d.%s = s.%s%s RETURNING 1) "
               "SELECT muster.check_written(count(*), (SELECT count(*) FROM %s)) FROM written;",
               stage, key, key, condition, stage);
}

/* One element of each array: half the server's time of a whole block. */
static void script_dates(struct buffer *script) {
  store_script(script, "PREPARE store_dates AS WITH written AS (UPDATE muster.device_block d SET "
                       "last_sync_at[s.place] = s.last_sync_at");
  for (size_t i = 1; i < COUNT_OF(columns_of_block); i++) {
    const char *const column = columns_of_block[i];
    const bool is_timer = i == COUNT_OF(columns_of_block) - 1;
    store_script(script,
                 ", %s = muster.list_put(d.%s, s.place, s.%s, %s, cardinality(d.last_sync_at))",
                 column, column, column, is_timer ? "0::smallint" : "'-infinity'");
  }
  script_check(script, "stage_dates", "block", " AND s.place <= cardinality(d.last_sync_at)");
}

void store_script_stages(struct buffer *script) {
  store_script(script, "%s", stage_sql);
  store_script(script, "PREPARE store_devices AS WITH written AS (UPDATE muster.device_row d SET ");
  for (size_t i = 0; i < COUNT_OF(columns_of_change); i++) {
    const char *const column = columns_of_change[i];
    store_script(script, "%s = CASE s.changed_batch WHEN 0 THEN d.%s ELSE s.%s END, ", column,
                 column, column);
  }
  script_columns(script, columns_of_state, COUNT_OF(columns_of_state));
  script_check(script, "stage_device", "number", "");
  store_script(script,
               "PREPARE store_blocks AS WITH written AS (UPDATE muster.device_block d SET ");
  script_columns(script, columns_of_block, COUNT_OF(columns_of_block));
  script_check(script, "stage_block", "block", "");
  script_dates(script);
}

/* Blocks and the rows of their devices are read in turns: joined by the server they take it three
 * times as long. */
enum { TURN_BLOCKS = 512 };

struct device_stream {
  store_device_fn each;
  void *context;
  uint32_t lane, lane_count;
  uint32_t first_block, block_count; /* of the present turn */
  struct device_block *blocks;
};

static void take_block(void *context, struct row_reader *reader) {
  struct device_stream *const stream = context;
  struct device_block *const block = &stream->blocks[stream->block_count];
  row_block(reader, block);
  if (block->number != stream->first_block + stream->block_count) {
    reader->is_bad = true; /* one is missing */
    return;
  }
  stream->block_count++;
}

static void hand_device(void *context, struct row_reader *reader) {
  const struct device_stream *const stream = context;
  struct device_image device;
  row_device(reader, &device);
  const struct span user_email = row_span(reader);
  const uint64_t index = (device.number - 1) / stream->lane_count;
  const uint64_t block = index / DEVICE_BLOCK_SIZE - stream->first_block;
  const uint32_t place = (uint32_t)(index % DEVICE_BLOCK_SIZE);
  if (reader->is_bad || block >= stream->block_count || place >= stream->blocks[block].count) {
    reader->is_bad = true;
    return;
  }
  block_date(&stream->blocks[block], place, &device);
  stream->each(stream->context, &device, user_email);
}

static enum status stream_blocks(struct store *store, struct device_stream *stream,
                                 struct error *error) {
  struct buffer select = {0};
  store_script(&select,
               "SELECT %s FROM muster.device_block WHERE lane = %" PRIu32 " AND block >= %" PRIu32
               " AND block < %" PRIu32 " ORDER BY block",
               store_block_columns, stream->lane, stream->first_block,
               stream->first_block + TURN_BLOCKS);
  stream->block_count = 0;
  const enum status status = store_stream(store->connection, (const char *)select.data,
                                          "read the devices' dates", take_block, stream, error);
  buffer_fini(&select);
  return status;
}

/* Those of store_device_columns, without the last change: a quarter of the time. */
static const char load_columns[] =
    "lane, number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, serial, os_version, subject, "
    "enrollment_ids, flags, escalation, screen_lock_pin_length, episode, violations, "
    "pending_since, noncompliant_since, clean_since, NULL, wipe, NULL";

/* Which rows are read, with a user's address at the end. */
static void script_rows(struct buffer *script, const struct device_stream *stream,
                        const uint64_t *after) {
  const uint64_t turn = (uint64_t)DEVICE_BLOCK_SIZE * stream->lane_count;
  if (after == NULL) {
    store_script(script, "SELECT %s FROM muster.device_row", load_columns);
  } else {
    store_script(script, "SELECT d.*, p.user_email FROM (SELECT %s FROM muster.device_row",
                 store_device_columns);
  }
  store_script(script, " WHERE lane = %" PRIu32 " AND number > %" PRIu64, stream->lane,
               stream->first_block * turn);
  if (stream->block_count == TURN_BLOCKS) { /* or they are the last: behind them is none */
    store_script(script, " AND number <= %" PRIu64, (stream->first_block + TURN_BLOCKS) * turn);
  }
  if (after != NULL) {
    store_script(script,
                 " AND changed_batch > %" PRIu64
                 ") d LEFT JOIN muster.person p ON p.subject = d.subject",
                 *after);
  }
  store_script(script, " ORDER BY number");
}

static enum status stream_turns(struct store *store, struct device_stream *stream,
                                const uint64_t *after, struct error *error) {
  enum status status = STATUS_OK;
  do {
    struct buffer select = {0};
    status = stream_blocks(store, stream, error);
    script_rows(&select, stream, after);
    if (status == STATUS_OK) {
      status = store_stream(store->connection, (const char *)select.data, "read the devices",
                            hand_device, stream, error);
    }
    buffer_fini(&select);
    stream->first_block += TURN_BLOCKS;
  } while (status == STATUS_OK && stream->block_count == TURN_BLOCKS);
  return status;
}

static enum status stream_devices(struct store *store, uint32_t lane, const uint64_t *after,
                                  store_device_fn each, void *context, struct error *error) {
  struct device_stream stream = {
      .each = each, .context = context, .lane = lane, .lane_count = store->lane_count};
  assert(store->lane_count > 0);
  stream.blocks = calloc(TURN_BLOCKS, sizeof *stream.blocks);
  if (stream.blocks == NULL) {
    return error_set(error, STATUS_UNAVAILABLE, "no memory to read the devices");
  }
  const enum status status = stream_turns(store, &stream, after, error);
  free(stream.blocks);
  return status;
}

enum status store_stream_changed(struct store *store, uint32_t lane, uint64_t after,
                                 store_device_fn each, void *context, struct error *error) {
  return stream_devices(store, lane, &after, each, context, error);
}

enum status store_load_devices(struct store *store, uint32_t lane, store_device_fn each,
                               void *context, struct error *error) {
  return stream_devices(store, lane, NULL, each, context, error);
}

struct person_stream {
  store_person_fn each;
  void *context;
};

static void hand_person(void *context, struct row_reader *reader) {
  const struct person_stream *const stream = context;
  uint8_t subject[SUBJECT_SIZE];
  row_copy(reader, subject, sizeof subject);
  const struct span user_email = row_span(reader);
  if (!reader->is_bad) {
    stream->each(stream->context, subject, user_email);
  }
}

enum status store_load_persons(struct store *store, uint32_t lane, store_person_fn each,
                               void *context, struct error *error) {
  enum { LANES_FEW = 8 }; /* telling apart costs three times as much a person */
  struct person_stream stream = {.each = each, .context = context};
  struct buffer select = {0};
  store_script(&select, "SELECT subject, user_email FROM muster.person");
  if (store->lane_count > LANES_FEW) {
    store_script(
        &select,
        " WHERE subject IN (SELECT subject FROM muster.device_row WHERE lane = %" PRIu32 ")", lane);
  }
  const enum status status = store_stream(store->connection, (const char *)select.data,
                                          "read the persons", hand_person, &stream, error);
  buffer_fini(&select);
  return status;
}
