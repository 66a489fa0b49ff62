#include "core/app/rebuild.h"

#include "core/app/kafka_client.h"
#include "core/app/replay_lane.h"
#include "producers/publish.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>

enum {
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
  };
  enum status status = replay_lane_open(&replaying, &rebuild->lane, &rebuild->result->error);
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
  struct rebuild rebuild = {.options = options, .result = result};
  *result = (struct rebuild_result){.status = STATUS_OK};
  result->status = take(&rebuild);
  if (result->status == STATUS_OK) {
    result->status = rebuild_batches(&rebuild);
  }
  replay_lane_close(rebuild.lane);
  store_close(rebuild.store);
}
