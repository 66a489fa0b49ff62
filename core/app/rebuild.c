#include "core/app/rebuild.h"

#include "core/app/kafka_client.h"
#include "core/app/replay_lane.h"
#include "core/app/text.h"
#include "producers/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

enum {
  DEVICES_PIECE_SIZE = 64 * 1024,
  TOUCHED_MAX = 50000,      /* device rows of one commit: they are held in memory */
  TEXTS_SIZE_MAX = 2 << 20, /* of traceparents kept for them */
  SILENCE_MS = 30000,       /* of the database, at most */
};

struct rebuild {
  const struct rebuild_options *options;
  struct rebuild_result *result;
  struct store *store;
  struct ownership_of_lane ownership;
  struct replay_lane *lane;
  struct rebuild_history_options history_options;
  struct rebuild_history *history; /* of a lane that begins at a snapshot; NULL: not yet */
  struct buffer persons;
  uint32_t next_device; /* whose row is made next, as they are after the snapshot's batch */
  uint32_t next_block;  /* likewise */
  uint64_t last_batch;
};

/* Commits and waits for the end of it. */
static enum status commit(struct rebuild *rebuild, const struct store_batch *batch) {
  struct error *error = &rebuild->result->error;
  bool done = false;
  enum status status = store_commit_begin(rebuild->store, batch, error);
  while (status == STATUS_OK && !done) {
    const short events = store_wants_write(rebuild->store) ? POLLIN | POLLOUT : POLLIN;
    struct pollfd ready = {.fd = store_fd(rebuild->store), .events = events};
    const int count = poll(&ready, 1, SILENCE_MS);
    if (count == 0) {
      return error_set(error, STATUS_UNAVAILABLE, "PostgreSQL: no answer within %d s",
                       SILENCE_MS / 1000);
    }
    if (count > 0 || errno == EINTR) {
      status = store_advance(rebuild->store, &done, error);
    }
  }
  return status;
}

static bool wants_devices(const struct lane *lane) {
  return lane->touches.count >= TOUCHED_MAX || lane->touches.texts_size >= TEXTS_SIZE_MAX;
}

/* The row is committed as it was recorded; what was decided has the same chain. */
static enum status commit_batch(struct rebuild *rebuild, const struct recorded_batch *recorded) {
  struct replay *replay = replay_lane_replay(rebuild->lane);
  struct lane_state *state = replay_state(replay);
  struct carrier *carrier = replay_carrier(replay);
  const bool is_streaming =
      wants_devices(&state->lane) && carrier_write_devices(carrier, state, recorded->row.batch);
  struct store_batch batch = {
      .lane = &rebuild->ownership,
      .row = &recorded->row,
      .checkpoint_batch = carrier->checkpoint_batch,
      .committed_at_ms = recorded->witness.committed_at_ms,
      .published_batch = recorded->row.batch, /* it stands on the topic */
      .environment = buffer_span(&recorded->environment),
      .persons = buffer_span(&carrier->persons),
      .results = buffer_span(&carrier->results),
      .control = buffer_span(&carrier->control),
  };
  carrier_put_devices(carrier, &batch);
  const enum status status = commit(rebuild, &batch);
  if (is_streaming) {
    carrier_devices_written(carrier);
  }
  if (status == STATUS_OK) {
    rebuild->last_batch = recorded->row.batch;
    rebuild->result->batches++;
    rebuild->result->messages += recorded->row.message_count;
    rebuild->result->results += recorded->row.last_seq + 1 - recorded->row.first_seq;
    rebuild->result->devices = state->lane.device_count;
  }
  return status;
}

/* The rows of the devices that changed since the last were written. */
static enum status commit_devices(struct rebuild *rebuild) {
  struct replay *replay = replay_lane_replay(rebuild->lane);
  struct carrier *carrier = replay_carrier(replay);
  if (replay_state(replay)->lane.touches.count == 0) {
    return STATUS_OK;
  }
  carrier_clear_devices(carrier);
  const bool is_streaming =
      carrier_write_devices(carrier, replay_state(replay), rebuild->last_batch);
  struct store_batch batch = {
      .lane = &rebuild->ownership,
      .checkpoint_batch = rebuild->last_batch,
      .published_batch = rebuild->last_batch,
  };
  carrier_put_devices(carrier, &batch);
  const enum status status = commit(rebuild, &batch);
  if (is_streaming) {
    carrier_devices_written(carrier);
  }
  return status;
}

/* What was before a snapshot. ------------------------------------------------------------- */

static void append_device(const struct rebuild *rebuild, uint32_t index, struct buffer *rows) {
  const struct lane *lane = &replay_state(replay_lane_replay(rebuild->lane))->lane;
  const struct device_change *change = &replay_lane_changes(rebuild->lane)->items[index];
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  lane_image(lane, index, NULL, ids, &image);
  image.is_changed = true;
  image.changed_batch = change->batch;
  image.seq = change->seq;
  image.at_ms = change->at_ms;
  image.policy = change->policy != NULL ? change->policy->version : image.policy;
  image.cause = (struct cause){.topic = change->cause_topic,
                               .offset = change->cause_offset,
                               .has_event_id = change->has_event_id,
                               .traceparent = buffer_span(&change->traceparent)};
  memcpy(image.cause.event_id, change->event_id, EVENT_ID_SIZE);
  store_append_device(rows, &image);
}

static void append_block(const struct rebuild *rebuild, uint32_t number, struct buffer *rows) {
  struct device_block block;
  lane_block(&replay_state(replay_lane_replay(rebuild->lane))->lane, number, &block);
  store_append_block(rows, &block);
}

/* All of them are new: first the devices, then their blocks. */
static bool next_devices(void *context, enum device_part part, struct buffer *rows) {
  struct rebuild *rebuild = context;
  const uint32_t devices = replay_lane_changes(rebuild->lane)->count;
  const uint32_t blocks = (devices + DEVICE_BLOCK_SIZE - 1) / DEVICE_BLOCK_SIZE;
  buffer_clear(rows);
  while (part == NEW_DEVICES && rebuild->next_device < devices && rows->size < DEVICES_PIECE_SIZE) {
    append_device(rebuild, rebuild->next_device++, rows);
  }
  while (part == NEW_BLOCKS && rebuild->next_block < blocks && rows->size < DEVICES_PIECE_SIZE) {
    append_block(rebuild, rebuild->next_block++, rows);
  }
  return rows->size > 0;
}

/* With the snapshot's own batch come its people and its devices: from there on the database can be
 * gone on with, and not before. */
static enum status commit_before(struct rebuild *rebuild, const struct recorded_batch *recorded,
                                 const struct rebuild_rows *rows) {
  const struct journal_row *row = &recorded->row;
  const bool is_last = row->batch == replay_lane_began_after(rebuild->lane);
  const bool has_devices = is_last && replay_lane_changes(rebuild->lane)->count > 0;
  const struct store_batch batch = {
      .lane = &rebuild->ownership,
      .row = row,
      .checkpoint_batch = is_last ? row->batch : 0,
      .committed_at_ms = recorded->witness.committed_at_ms,
      .published_batch = row->batch,
      .environment = rows->environment,
      .persons = buffer_span(&rebuild->persons),
      .streamed = {.has = {[NEW_DEVICES] = has_devices, [NEW_BLOCKS] = has_devices},
                   .context = rebuild,
                   .next = has_devices ? next_devices : NULL},
      .results = rows->results,
      .control = rows->control,
  };
  const enum status status = commit(rebuild, &batch);
  if (status == STATUS_OK) {
    rebuild->last_batch = row->batch;
    rebuild->result->batches++;
    rebuild->result->messages += row->message_count;
    rebuild->result->devices = row->device_count;
  }
  return status;
}

static enum status take_before(void *context, const struct journal_entry *entry,
                               struct error *error) {
  struct rebuild *rebuild = context;
  struct rebuild_rows rows;
  if (rebuild->history == NULL) {
    rebuild->history =
        rebuild_history_open(&rebuild->history_options, rebuild->lane, &rebuild->result->history);
  }
  enum status status = rebuild_history_batch(rebuild->history, entry->batch, &rows, error);
  if (status == STATUS_OK && entry->batch->row.batch == replay_lane_began_after(rebuild->lane)) {
    status = rebuild_history_people(rebuild->history, &rebuild->persons, error);
  }
  return status == STATUS_OK ? commit_before(rebuild, entry->batch, &rows) : status;
}

/* A lane. --------------------------------------------------------------------------------- */

/* Takes the lane above whatever epoch its topic has. */
static enum status take(struct rebuild *rebuild) {
  const struct rebuild_options *options = rebuild->options;
  const char *prefix = options->config->kafka.topic_prefix;
  struct error *error = &rebuild->result->error;
  struct journal_position position;
  struct lane_head head;
  struct rd_kafka_conf_s *conf = kafka_conf(options->config, NULL, error);
  if (conf == NULL) {
    return STATUS_CONFIG;
  }
  enum status status = journal_position_read(conf, prefix, options->lane, &position, error);
  if (status == STATUS_OK) {
    status = store_open(options->config->postgres.dsn, &rebuild->store, error);
  }
  if (status == STATUS_OK) {
    rebuild->ownership.lane = options->lane;
    memcpy(rebuild->ownership.owner, options->owner, OWNER_SIZE);
    status = store_take_lane(rebuild->store, &rebuild->ownership, options->lane_count, prefix,
                             position.found ? position.epoch : 0, &head, error);
  }
  if (status == STATUS_OK && head.has_row) {
    status = error_set(error, STATUS_REFUSED, "the database has batches of this lane already");
  }
  return status;
}

static enum status rebuild_batches(struct rebuild *rebuild) {
  const struct rebuild_options *options = rebuild->options;
  const struct replay_lane_options replaying = {
      .config = options->config,
      .schemas = options->schemas,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .subject_key = options->subject_key,
      .until_ms = TIME_NONE,
      .keeps_touches = true,
      .makes_rows = true,
      .needs_subjects = true,
      .uses_snapshots = true,
      .only_if_expired = !options->from_snapshot,
      .allows_no_key = true,
      .needs_addresses = true,
      .passed = take_before,
      .passed_context = rebuild,
  };
  enum status status = replay_lane_open(&replaying, &rebuild->lane, &rebuild->result->error);
  if (status == STATUS_OK) {
    rebuild->result->began_after = replay_lane_began_after(rebuild->lane);
    rebuild->result->left_out = text_copy(replay_lane_left_out(rebuild->lane));
  }
  while (status == STATUS_OK) {
    const struct recorded_batch *batch;
    status = replay_lane_next(rebuild->lane, &batch, &rebuild->result->error);
    if (status != STATUS_OK || batch == NULL) {
      break;
    }
    status = commit_batch(rebuild, batch);
  }
  return status == STATUS_OK && rebuild->last_batch > 0 ? commit_devices(rebuild) : status;
}

void rebuild_lane(const struct rebuild_options *options, struct rebuild_result *result) {
  struct rebuild rebuild = {.options = options,
                            .result = result,
                            .history_options = {.config = options->config,
                                                .schemas = options->schemas,
                                                .lane = options->lane,
                                                .lane_count = options->lane_count,
                                                .subject_key = options->subject_key}};
  *result = (struct rebuild_result){.status = STATUS_OK};
  result->status = take(&rebuild);
  if (result->status == STATUS_OK) {
    result->status = rebuild_batches(&rebuild);
  }
  result->results += result->history.results;
  rebuild_history_close(rebuild.history);
  buffer_fini(&rebuild.persons);
  replay_lane_close(rebuild.lane);
  store_close(rebuild.store);
}
