/* Snapshots of lanes: made by replaying them, listed, and held against a replay of the whole log.
 */
#include "core/app/clock.h"
#include "core/app/command.h"
#include "core/app/digest.h"
#include "core/app/option_number.h"
#include "core/app/option_range.h"
#include "core/app/output.h"
#include "core/app/replay_inputs.h"
#include "core/app/replay_lane.h"
#include "core/app/snapshot_ask.h"
#include "core/app/snapshot_search.h"
#include "core/app/snapshot_topic.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LANE, CREATE_ADMIN, CREATE_NO_ASK, CREATE_TIMEOUT };

enum { TIMEOUT_S = 60, TIMEOUT_MAX_S = 86400 };

const struct option_spec snapshot_options[] = {
    [LANE] = {"lane", "N", "this lane alone, counted from 0"},
    {NULL, NULL, NULL},
};

const struct option_spec snapshot_create_options[] = {
    [LANE] = {"lane", "N", "this lane alone, counted from 0"},
    [CREATE_ADMIN] = {"admin", "EMAIL",
                      "who asks; else the only one of roles.bootstrap_admins, if there is one"},
    [CREATE_NO_ASK] = {"no-ask", NULL, "ask no processor: the journal will not vouch for it"},
    [CREATE_TIMEOUT] = {"timeout", "SECONDS",
                        "wait so long for the decision, and for each lane's row; 60 without it"},
    {NULL, NULL, NULL},
};

static const struct column columns[] = {
    {"lane", COLUMN_INTEGER, false},  {"batch", COLUMN_INTEGER, false},
    {"clock", COLUMN_TIME, false},    {"bytes", COLUMN_INTEGER, false},
    {"parts", COLUMN_INTEGER, false}, {"offset", COLUMN_INTEGER, false},
    {"sha256", COLUMN_TEXT, false},   {"what", COLUMN_TEXT, false},
};

static void put_place(struct output *output, const struct snapshot_place *place, const char *what) {
  char digest[HEX_DIGEST_SIZE];
  hex_format(place->digest, DIGEST_SIZE, digest);
  output_row(output, (struct cell[]){
                         cell_integer(place->lane),
                         cell_integer((int64_t)place->batch),
                         place->clock_ms == TIME_NONE ? cell_null() : cell_integer(place->clock_ms),
                         cell_integer((int64_t)place->size),
                         cell_integer(place->part_count),
                         place->first_offset < 0 ? cell_null() : cell_integer(place->first_offset),
                         cell_text(span_text(digest)),
                         cell_text(span_text(what)),
                     });
}

/* A lane replayed. ------------------------------------------------------------------------ */

struct maker {
  const struct command_line *line;
  struct replay_inputs inputs;
  struct output *output;
  struct snapshot snapshot; /* of the lane under way; its state is the replay's */
  struct buffer bytes;
};

static void take_batch(struct maker *maker, struct replay_lane *lane,
                       const struct recorded_batch *batch) {
  struct snapshot *snapshot = &maker->snapshot;
  struct replay *replay = replay_lane_replay(lane);
  const struct span environment = replay_environment(replay);
  snapshot->row = batch->row;
  snapshot->row.not_believed = NULL;
  snapshot->row.not_believed_count = 0;
  snapshot->state = replay_state(replay);
  device_changes_note(&snapshot->changes, &snapshot->state->lane);
  buffer_clear(&snapshot->environment);
  buffer_append(&snapshot->environment, environment.data, environment.size);
  const struct policy_texts *policies = replay_policy_texts(replay);
  for (uint32_t i = snapshot->policies.count; i < policies->count; i++) {
    policy_texts_add(&snapshot->policies, buffer_span(&policies->items[i]));
  }
  control_records_extend(&snapshot->control, replay_control_records(replay));
}

/* The bytes of the lane as it is now, with the digest at their end. */
static struct snapshot_place make(struct maker *maker) {
  struct snapshot_place place = {.lane = maker->snapshot.row.lane,
                                 .batch = maker->snapshot.row.batch,
                                 .clock_ms = maker->snapshot.row.clock_after_ms,
                                 .first_offset = -1};
  buffer_clear(&maker->bytes);
  snapshot_write(&maker->snapshot, &maker->bytes);
  place.size = maker->bytes.size;
  place.part_count = snapshot_part_count(place.size);
  memcpy(place.digest, maker->bytes.data + maker->bytes.size - DIGEST_SIZE, DIGEST_SIZE);
  return place;
}

static void forget_lane(struct maker *maker) {
  maker->snapshot.state = NULL; /* the replay's */
  snapshot_fini(&maker->snapshot);
}

static enum status open_lane(const struct maker *maker, uint32_t number, bool uses_snapshots,
                             struct replay_lane **lane, struct error *error) {
  const struct replay_lane_options options = {
      .config = &maker->line->config,
      .schemas = maker->inputs.schemas,
      .lane = number,
      .lane_count = maker->inputs.lane_count,
      .subject_key = replay_inputs_key(&maker->inputs),
      .until_ms = TIME_NONE,
      .uses_snapshots = uses_snapshots,
      .needs_subjects = true,
  };
  return replay_lane_open(&options, lane, error);
}

/* From the newest snapshot that is of use, to that batch, or with 0 to where the journal ends now;
 * nothing is written when nothing came since. */
static enum status create(struct maker *maker, uint32_t number, uint64_t until_batch,
                          struct error *error) {
  struct replay_lane *lane;
  const struct recorded_batch *batch;
  enum status status = open_lane(maker, number, true, &lane, error);
  if (status != STATUS_OK) {
    return status;
  }
  device_changes_copy(&maker->snapshot.changes, replay_lane_changes(lane));
  bool is_over = until_batch > 0 && replay_lane_began_after(lane) >= until_batch;
  while (!is_over) {
    status = replay_lane_next(lane, &batch, error);
    is_over = status != STATUS_OK || batch == NULL || batch->row.batch == until_batch;
    if (status == STATUS_OK && batch != NULL) {
      take_batch(maker, lane, batch);
    }
  }
  if (status == STATUS_OK && maker->snapshot.state != NULL) {
    const struct snapshot_place place = make(maker);
    status = snapshot_topic_write(&maker->line->config, &maker->snapshot,
                                  buffer_span(&maker->bytes), error);
    if (status == STATUS_OK) {
      put_place(maker->output, &place, maker->snapshot.row.has_state ? "vouched for" : "created");
    }
  }
  forget_lane(maker);
  replay_lane_close(lane);
  return status;
}

/* What is verified, and which snapshots the journal has come by. */
struct verifying {
  struct snapshot_places places;
  bool *is_seen;
  uint64_t other_count;
};

/* Its bytes against those of the lane as it is now. */
static enum status verify_one(struct maker *maker, struct verifying *verifying, size_t index,
                              struct error *error) {
  const struct snapshot_place *place = &verifying->places.items[index];
  struct buffer bytes = {0};
  const enum status status = snapshot_topic_read(&maker->line->config, place, &bytes, error);
  if (status == STATUS_OK || status == STATUS_REFUSED) {
    const struct snapshot_place expected = make(maker);
    const bool is_same = expected.clock_ms == place->clock_ms &&
                         span_equal(buffer_span(&maker->bytes), buffer_span(&bytes));
    put_place(maker->output, place, is_same ? "verified" : "not what the log gives");
    verifying->other_count += is_same ? 0 : 1;
    verifying->is_seen[index] = true;
  }
  buffer_fini(&bytes);
  return status == STATUS_REFUSED ? STATUS_OK : status;
}

static enum status verify_batch(struct maker *maker, struct verifying *verifying,
                                struct error *error) {
  const struct journal_row *row = &maker->snapshot.row;
  enum status status = STATUS_OK;
  for (size_t i = 0; i < verifying->places.count && status == STATUS_OK; i++) {
    const struct snapshot_place *place = &verifying->places.items[i];
    if (place->lane == row->lane && place->batch == row->batch) {
      status = verify_one(maker, verifying, i, error);
    }
  }
  return status;
}

static void name_strangers(struct maker *maker, struct verifying *verifying, uint32_t lane) {
  for (size_t i = 0; i < verifying->places.count; i++) {
    if (verifying->places.items[i].lane == lane && !verifying->is_seen[i]) {
      put_place(maker->output, &verifying->places.items[i], "of no batch of the journal");
      verifying->other_count++;
    }
  }
}

/* Each is held against the lane as it is after its batch, replayed from the log's beginning. */
static enum status verify_lane_snapshots(struct maker *maker, struct verifying *verifying,
                                         uint32_t number, struct error *error) {
  struct replay_lane *lane;
  const struct recorded_batch *batch;
  enum status status = open_lane(maker, number, false, &lane, error);
  if (status != STATUS_OK) {
    return status;
  }
  do {
    status = replay_lane_next(lane, &batch, error);
    if (status == STATUS_OK && batch != NULL) {
      take_batch(maker, lane, batch);
      status = verify_batch(maker, verifying, error);
    }
  } while (status == STATUS_OK && batch != NULL);
  if (status == STATUS_OK) {
    name_strangers(maker, verifying, number);
  }
  forget_lane(maker);
  replay_lane_close(lane);
  return status;
}

/* The commands. --------------------------------------------------------------------------- */

static enum status read_lane(const struct command_line *line, int64_t *lane, struct error *error) {
  *lane = -1;
  return option_number("lane", line->options[LANE], 0, INT32_MAX, lane, error);
}

static enum status open_maker(const struct command_line *line, struct maker *maker, int64_t lane,
                              struct error *error) {
  *maker = (struct maker){.line = line};
  enum status status = replay_inputs_open(&line->config, &maker->inputs, error);
  if (status == STATUS_OK) {
    status = option_lane_exists(lane, maker->inputs.lane_count, error);
  }
  if (status == STATUS_OK) {
    maker->output = output_open(stdout, line->output, columns, COUNT_OF(columns));
  }
  return status;
}

static enum status close_maker(struct maker *maker, enum status status, struct error *error) {
  if (maker->output != NULL && status == STATUS_OK) {
    status = output_close(maker->output, error);
  } else if (maker->output != NULL) {
    output_abandon(maker->output);
  }
  buffer_fini(&maker->bytes);
  replay_inputs_close(&maker->inputs);
  return status;
}

static enum status create_lanes(struct maker *maker, int64_t only, int64_t timeout_s,
                                struct error *error) {
  const bool asks = maker->line->options[CREATE_NO_ASK] == NULL;
  int64_t offset = -1;
  enum status status = STATUS_OK;
  if (asks) {
    status = snapshot_ask(maker->line, maker->line->options[CREATE_ADMIN],
                          maker->line->options[CREATE_TIMEOUT], &offset, error);
  }
  const int64_t deadline_mono_ms = clock_mono_ms() + timeout_s * 1000;
  for (uint32_t lane = 0; lane < maker->inputs.lane_count && status == STATUS_OK; lane++) {
    uint64_t batch = 0;
    if (only >= 0 && only != (int64_t)lane) {
      continue;
    }
    if (asks) {
      status = snapshot_await(&maker->line->config, maker->inputs.schemas, lane, offset,
                              deadline_mono_ms, &batch, error);
    }
    if (status == STATUS_OK) {
      status = create(maker, lane, batch, error);
    }
  }
  return status;
}

enum status command_snapshot_create(const struct command_line *line, struct error *error) {
  struct maker maker;
  int64_t only;
  int64_t timeout_s = TIMEOUT_S;
  enum status status = read_lane(line, &only, error);
  if (status == STATUS_OK) {
    status = option_number("timeout", line->options[CREATE_TIMEOUT], 1, TIMEOUT_MAX_S, &timeout_s,
                           error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  status = open_maker(line, &maker, only, error);
  if (status == STATUS_OK) {
    status = create_lanes(&maker, only, timeout_s, error);
  }
  return close_maker(&maker, status, error);
}

/* Whether the journal has a digest that the snapshot's lane can be held against; that it holds is
 * seen when the snapshot is read. */
static enum status list_lane(struct maker *maker, const struct snapshot_places *places,
                             uint32_t lane, struct error *error) {
  struct recorded_batches told = {0};
  const enum status status =
      recorded_read_told(&maker->line->config, maker->inputs.schemas, lane, &told, error);
  for (size_t i = 0; i < places->count && status == STATUS_OK; i++) {
    const struct snapshot_place *place = &places->items[i];
    const struct journal_row *row = NULL;
    for (size_t k = 0; k < told.count && place->lane == lane; k++) {
      row = told.items[k].row.batch == place->batch ? &told.items[k].row : row;
    }
    if (place->lane == lane) {
      bool holds = false;
      const enum status read =
          row == NULL ? STATUS_OK
                      : snapshot_search_check(&maker->line->config, place, row, &holds, error);
      if (read != STATUS_OK) {
        recorded_fini(&told);
        return read;
      }
      put_place(maker->output, place,
                row == NULL ? "not vouched for"
                : holds     ? "vouched for"
                            : "not what the journal vouches for");
    }
  }
  recorded_fini(&told);
  return status;
}

enum status command_snapshot_list(const struct command_line *line, struct error *error) {
  struct maker maker;
  struct snapshot_places places = {0};
  int64_t only;
  enum status status = read_lane(line, &only, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = open_maker(line, &maker, only, error);
  if (status == STATUS_OK) {
    status = snapshot_topic_list(&line->config, only, &places, error);
  }
  for (uint32_t lane = 0; lane < maker.inputs.lane_count && status == STATUS_OK; lane++) {
    if (only < 0 || only == (int64_t)lane) {
      status = list_lane(&maker, &places, lane, error);
    }
  }
  free(places.items);
  return close_maker(&maker, status, error);
}

enum status command_snapshot_verify(const struct command_line *line, struct error *error) {
  struct maker maker;
  struct verifying verifying = {.is_seen = NULL};
  int64_t only;
  enum status status = read_lane(line, &only, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = open_maker(line, &maker, only, error);
  if (status == STATUS_OK) {
    status = snapshot_topic_list(&line->config, only, &verifying.places, error);
    verifying.is_seen = memory_zeroed(verifying.places.count + 1, sizeof *verifying.is_seen);
  }
  for (uint32_t lane = 0; lane < maker.inputs.lane_count && status == STATUS_OK; lane++) {
    if (only < 0 || only == (int64_t)lane) {
      status = verify_lane_snapshots(&maker, &verifying, lane, error);
    }
  }
  free(verifying.places.items);
  free(verifying.is_seen);
  status = close_maker(&maker, status, error);
  if (status == STATUS_OK && verifying.other_count > 0) {
    status = error_set(error, STATUS_REFUSED, "%" PRIu64 " snapshots are not what the log gives",
                       verifying.other_count);
  }
  return status;
}
