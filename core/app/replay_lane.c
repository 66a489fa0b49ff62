#include "core/app/replay_lane.h"

#include "core/app/digest.h"
#include "core/app/journal_source.h"
#include "core/app/snapshot_addresses.h"
#include "core/app/snapshot_topic.h"
#include "core/app/state_digest.h"
#include "core/app/subjects.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdlib.h>

struct replay_lane {
  struct replay_lane_options options;
  struct fetch *fetch;
  struct found *found;
  struct journal_source *journal;
  struct subjects *subjects;
  struct replay *replay;
  uint64_t last_batch;
  bool has_reached;
  struct journal_row snapshot; /* of the batch after which it began; zeros: none */
  bool has_snapshot_row;
  uint64_t passed_batch; /* the last before the snapshot's that was passed; 0: none was */
  uint8_t passed_chain[DIGEST_SIZE];
  struct device_changes changes;
};

static void set_up(struct replay_lane *lane) {
  const struct replay_lane_options *options = &lane->options;
  lane->journal =
      journal_source_of_topic(lane->found, options->schemas, options->config->kafka.topic_prefix);
  lane->subjects = subjects_open();
  const struct replay_options replaying = {
      .config = options->config,
      .schemas = options->schemas,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .subject_key = options->subject_key,
      .find_subject = subjects_find,
      .subject_context = lane->subjects,
      .watch = options->watch,
      .until_ms = options->until_ms,
      .keeps_touches = options->keeps_touches,
      .makes_rows = options->makes_rows,
  };
  lane->replay = replay_open(&replaying, lane->fetch);
}

/* The journal's row of the snapshot's batch; NULL: none that tells a state. */
static const struct journal_row *row_of(const struct recorded_batches *told,
                                        const struct snapshot_place *place) {
  for (size_t i = 0; i < told->count; i++) {
    if (told->items[i].row.batch == place->batch) {
      return &told->items[i].row;
    }
  }
  return NULL;
}

/* Whether the lane that was read is the one whose digest the journal has. What the snapshot says of
 * the batch itself is not asked for: the row takes its place. */
static bool is_vouched_for(struct snapshot *snapshot, const struct journal_row *row) {
  uint8_t digest[DIGEST_SIZE];
  if (snapshot->state->lane.control.sweep.kind != SWEEP_NONE ||
      snapshot->row.clock_after_ms != row->clock_after_ms) {
    return false;
  }
  state_digest(&snapshot->state->lane, digest);
  if (memcmp(digest, row->state, DIGEST_SIZE) != 0) {
    return false;
  }
  digest_of(buffer_span(&snapshot->environment), digest);
  if (memcmp(digest, row->environment, DIGEST_SIZE) != 0) {
    return false;
  }
  snapshot->row = *row;
  snapshot->row.not_believed = NULL;
  snapshot->row.not_believed_count = 0;
  return true;
}

/* Whether the replay could begin with it; the next older one may do when not. */
static enum status try_snapshot(struct replay_lane *lane, const struct snapshot_place *place,
                                const struct journal_row *row, bool *begins, struct error *error) {
  const struct replay_lane_options *options = &lane->options;
  struct buffer bytes = {0};
  struct snapshot snapshot;
  char reason[REPLAY_REASON_SIZE];
  *begins = false;
  enum status status = snapshot_topic_read(options->config, place, &bytes, error);
  const bool is_read = status == STATUS_OK && snapshot_read(buffer_span(&bytes), &snapshot, reason);
  buffer_fini(&bytes);
  if (!is_read) {
    return status == STATUS_REFUSED ? STATUS_OK : status;
  }
  enum replay_outcome outcome = REPLAY_FOREIGN;
  const bool is_ours =
      snapshot.row.lane == options->lane && snapshot.state->lane.count == options->lane_count &&
      snapshot.row.batch == place->batch && snapshot.row.clock_after_ms == place->clock_ms &&
      is_vouched_for(&snapshot, row);
  if (is_ours) {
    lane->snapshot = snapshot.row;
    lane->changes = snapshot.changes;
    snapshot.changes = (struct device_changes){0};
    replay_go_on(lane->replay, &snapshot, &outcome, reason);
  }
  *begins = outcome == REPLAY_DECIDED;
  snapshot_fini(&snapshot);
  if (*begins && options->needs_addresses) {
    status = snapshot_addresses(lane->fetch, options->config, replay_rules(lane->replay),
                                &lane->snapshot, replay_state(lane->replay), error);
  }
  return status;
}

/* Puts aside what a snapshot that was of no use has left. */
static void begin_anew(struct replay_lane *lane) {
  replay_close(lane->replay);
  subjects_close(lane->subjects);
  journal_source_close(lane->journal);
  device_changes_fini(&lane->changes);
  lane->snapshot = (struct journal_row){0};
  set_up(lane);
}

/* A snapshot is of use if the journal vouches for it. Whose addresses these are is known under the
 * key alone: without it a lane begins at its beginning. */
static enum status begin_with_snapshot(struct replay_lane *lane, struct error *error) {
  const struct replay_lane_options *options = &lane->options;
  struct snapshot_places places = {0};
  struct recorded_batches told = {0};
  enum status status = STATUS_OK;
  bool begins = false;
  if (options->files == NULL && options->subject_key.size > 0) {
    status = snapshot_topic_list(options->config, options->lane, &places, error);
  }
  if (places.count > 0 && status == STATUS_OK) {
    status = recorded_read_told(options->config, options->schemas, options->lane, &told, error);
  }
  for (size_t i = places.count; i-- > 0 && !begins && status == STATUS_OK;) {
    const struct snapshot_place *place = &places.items[i];
    const struct journal_row *row = row_of(&told, place);
    if (row != NULL && (options->until_ms == TIME_NONE || place->clock_ms <= options->until_ms)) {
      status = try_snapshot(lane, place, row, &begins, error);
      if (status == STATUS_OK && !begins) {
        begin_anew(lane);
      }
    }
  }
  free(places.items);
  recorded_fini(&told);
  lane->last_batch = lane->snapshot.batch;
  return status;
}

enum status replay_lane_check_snapshot(const struct config *config,
                                       const struct snapshot_place *place,
                                       const struct journal_row *row, bool *holds,
                                       struct error *error) {
  struct buffer bytes = {0};
  struct snapshot snapshot;
  char reason[SNAPSHOT_REASON_SIZE];
  const enum status status = snapshot_topic_read(config, place, &bytes, error);
  const bool is_read = status == STATUS_OK && snapshot_read(buffer_span(&bytes), &snapshot, reason);
  buffer_fini(&bytes);
  *holds = is_read && is_vouched_for(&snapshot, row);
  if (is_read) {
    snapshot_fini(&snapshot);
  }
  return status == STATUS_REFUSED ? STATUS_OK : status;
}

enum status replay_lane_open(const struct replay_lane_options *options, struct replay_lane **lane,
                             struct error *error) {
  struct replay_lane *made = memory_zeroed(1, sizeof *made);
  made->options = *options;
  enum status status = replay_fetch_open_from(options->config, options->files, &made->fetch, error);
  if (status == STATUS_OK) {
    status = found_open(made->fetch, options->config->kafka.topic_prefix, options->lane,
                        &made->found, error);
  }
  if (status != STATUS_OK) {
    replay_lane_close(made);
    return status;
  }
  set_up(made);
  status = options->uses_snapshots ? begin_with_snapshot(made, error) : STATUS_OK;
  if (status != STATUS_OK) {
    replay_lane_close(made);
    return status;
  }
  *lane = made;
  return STATUS_OK;
}

void replay_lane_close(struct replay_lane *lane) {
  if (lane != NULL) {
    replay_close(lane->replay);
    device_changes_fini(&lane->changes);
    subjects_close(lane->subjects);
    journal_source_close(lane->journal);
    found_close(lane->found);
    fetch_close(lane->fetch);
    free(lane);
  }
}

/* Audit entries that were looked at for their subjects, and are over. */
static enum status drop_audit(struct replay_lane *lane, uint64_t first_seq, struct error *error) {
  int64_t unused;
  return first_seq < 2 ? STATUS_OK
                       : replay_lane_offset(lane, RESULT_AUDIT, first_seq, &unused, error);
}

static enum status decide(struct replay_lane *lane, const struct recorded_batch *batch,
                          enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE],
                          struct error *error) {
  enum status status = STATUS_OK;
  replay_take_environment(lane->replay, batch, outcome, reason);
  subjects_begin(lane->subjects);
  if (*outcome == REPLAY_DECIDED && lane->options.subject_key.size == 0) {
    status = drop_audit(lane, batch->row.first_seq, error);
    if (status == STATUS_OK) {
      status = subjects_note_found(lane->subjects, lane->found, replay_encoding(lane->replay),
                                   &batch->row, error);
    }
  }
  if (status == STATUS_OK && *outcome == REPLAY_DECIDED) {
    status = replay_decide(lane->replay, batch, outcome, reason, error);
  }
  return status;
}

/* Of a pseudonymised pack the digests cannot be made where content is withheld. */
static bool is_partial(const struct replay_lane *lane) {
  const struct replay_files *files = lane->options.files;
  return files != NULL && files->is_pseudonymised &&
         (replay_partial(lane->replay) > 0 || replay_row(lane->replay)->dead_letter_count > 0);
}

/* Whether the batch came out as it is recorded; its results at least, where a subject is unknown.
 */
static bool is_as_recorded(const struct replay_lane *lane, const struct journal_row *row) {
  const struct journal_row *decided = replay_row(lane->replay);
  if (is_partial(lane)) {
    return row->batch == lane->last_batch + 1 && row->last_seq == decided->last_seq;
  }
  return row->batch == lane->last_batch + 1 && row->last_seq == decided->last_seq &&
         memcmp(row->results, decided->results, DIGEST_SIZE) == 0 &&
         (subjects_unknown(lane->subjects) > 0 ||
          memcmp(row->chain, decided->chain, DIGEST_SIZE) == 0);
}

/* Whether the row's chain is over what the row says, the state that it vouches for included. */
static bool chain_holds(const struct replay_lane *lane, const struct journal_row *row) {
  if (lane->passed_batch + 1 != row->batch) {
    return lane->passed_batch == 0; /* the journal begins with it */
  }
  uint8_t *bytes = memory_zeroed(1, journal_canonical_size_max(row));
  uint8_t chain[DIGEST_SIZE];
  digest_of(span_of(bytes, journal_canonical(row, lane->passed_chain, bytes)), chain);
  free(bytes);
  return memcmp(chain, row->chain, DIGEST_SIZE) == 0;
}

/* The next entry behind the snapshot's batch. That batch's own row must be the snapshot's: what is
 * decided behind it is then chained to it. */
static enum status next_entry(struct replay_lane *lane, struct journal_entry *entry,
                              struct error *error) {
  for (;;) {
    const enum status status = journal_source_next(lane->journal, entry, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (entry->batch == NULL && lane->snapshot.batch > 0 && !lane->has_snapshot_row) {
      return error_set(error, STATUS_REFUSED,
                       "lane %u: the journal ends before batch %" PRIu64
                       ", of which there is a snapshot",
                       lane->options.lane, lane->snapshot.batch);
    }
    if (entry->batch == NULL || entry->batch->row.batch > lane->snapshot.batch) {
      return STATUS_OK;
    }
    const struct journal_row *row = &entry->batch->row;
    lane->has_snapshot_row = row->batch == lane->snapshot.batch;
    if (lane->has_snapshot_row &&
        (memcmp(row->chain, lane->snapshot.chain, DIGEST_SIZE) != 0 || !chain_holds(lane, row))) {
      return error_set(error, STATUS_REFUSED,
                       "lane %u: the journal's row of batch %" PRIu64
                       ", of which there is a snapshot, is not what was committed: its chain does "
                       "not hold",
                       lane->options.lane, lane->snapshot.batch);
    }
    lane->passed_batch = row->batch;
    memcpy(lane->passed_chain, row->chain, DIGEST_SIZE);
  }
}

enum status replay_lane_next(struct replay_lane *lane, const struct recorded_batch **batch,
                             struct error *error) {
  struct journal_entry entry;
  enum replay_outcome outcome = REPLAY_DECIDED;
  char reason[REPLAY_REASON_SIZE] = "";
  enum status status = next_entry(lane, &entry, error);
  *batch = NULL;
  if (status != STATUS_OK || entry.batch == NULL) {
    return status;
  }
  const uint64_t number = entry.batch->row.batch;
  status = decide(lane, entry.batch, &outcome, reason, error);
  lane->has_reached = status == STATUS_OK && outcome == REPLAY_REACHED;
  if (status != STATUS_OK || outcome == REPLAY_REACHED) {
    return status;
  }
  if (outcome != REPLAY_DECIDED) {
    return error_set(error, STATUS_REFUSED, "lane %u, batch %" PRIu64 ": %s", lane->options.lane,
                     number, reason);
  }
  if (lane->options.needs_subjects && subjects_unknown(lane->subjects) > 0) {
    return error_set(error, STATUS_REFUSED,
                     "lane %u, batch %" PRIu64
                     ": no result tells the subject of somebody who is named: "
                     "the subject key is needed (privacy.subject_key_file)",
                     lane->options.lane, number);
  }
  if (!is_as_recorded(lane, &entry.batch->row)) {
    return error_set(error, STATUS_REFUSED,
                     "lane %u: batch %" PRIu64 " is not what is decided from its inputs; `muster "
                     "replay verify` tells what differs",
                     lane->options.lane, number);
  }
  lane->last_batch = number;
  *batch = entry.batch;
  return STATUS_OK;
}

uint64_t replay_lane_began_after(const struct replay_lane *lane) {
  return lane->snapshot.batch;
}

const struct device_changes *replay_lane_changes(const struct replay_lane *lane) {
  return &lane->changes;
}

bool replay_lane_has_reached(const struct replay_lane *lane) {
  return lane->has_reached;
}

struct found *replay_lane_found(struct replay_lane *lane) {
  return lane->found;
}

struct replay *replay_lane_replay(struct replay_lane *lane) {
  return lane->replay;
}

enum status replay_lane_offset(struct replay_lane *lane, enum result_kind kind, uint64_t seq,
                               int64_t *offset, struct error *error) {
  const struct frames *frames = &replay_encoding(lane->replay)->frames;
  *offset = -1;
  for (;;) {
    const struct found_record *record;
    struct found_head head;
    const enum status status = found_peek(lane->found, kind, 0, &record, error);
    if (status != STATUS_OK || record == NULL) {
      return status;
    }
    const bool is_ours = found_read_head(record, frames, &head);
    if (is_ours && head.seq >= (int64_t)seq) {
      *offset = head.seq == (int64_t)seq ? record->offset : -1;
      return STATUS_OK;
    }
    found_pop(lane->found, kind);
  }
}
