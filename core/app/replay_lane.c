#include "core/app/replay_lane.h"

#include "core/app/digest.h"
#include "core/app/journal_source.h"
#include "core/app/snapshot_addresses.h"
#include "core/app/snapshot_search.h"
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
  struct snapshot_search *search; /* NULL: none was looked for */
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

/* Whether the replay could begin with it; it is ended here. */
static enum status try_snapshot(struct replay_lane *lane, struct snapshot *snapshot, bool *begins,
                                char reason[REPLAY_REASON_SIZE], struct error *error) {
  const struct replay_lane_options *options = &lane->options;
  enum replay_outcome outcome;
  enum status status = STATUS_OK;
  lane->snapshot = snapshot->row;
  lane->changes = snapshot->changes;
  snapshot->changes = (struct device_changes){0};
  replay_go_on(lane->replay, snapshot, &outcome, reason);
  snapshot_fini(snapshot);
  *begins = outcome == REPLAY_DECIDED;
  if (*begins && options->needs_addresses && options->subject_key.size > 0) {
    status = snapshot_addresses_all(lane->fetch, lane->found, options->config, lane->replay,
                                    &lane->snapshot, error);
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

/* The next older one may do where one does not. */
static enum status try_snapshots(struct replay_lane *lane, struct error *error) {
  bool has_one = true;
  bool begins = false;
  enum status status = STATUS_OK;
  while (status == STATUS_OK && has_one && !begins) {
    struct snapshot snapshot;
    char reason[REPLAY_REASON_SIZE];
    status = snapshot_search_next(lane->search, &snapshot, &has_one, error);
    if (status == STATUS_OK && has_one) {
      status = try_snapshot(lane, &snapshot, &begins, reason, error);
    }
    if (status == STATUS_OK && has_one && !begins) {
      snapshot_search_leave_out(lane->search, reason);
      begin_anew(lane);
    }
  }
  lane->last_batch = lane->snapshot.batch;
  return status;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms) {
  return a_ms == TIME_NONE || (b_ms != TIME_NONE && b_ms < a_ms) ? b_ms : a_ms;
}

/* Whose addresses a snapshot's are is known under the key alone: without it a lane begins at its
 * beginning, unless the caller tells. */
static enum status begin_with_snapshot(struct replay_lane *lane, struct error *error) {
  const struct replay_lane_options *options = &lane->options;
  const int64_t begin_by_ms = options->begin_by_ms == 0 ? TIME_NONE : options->begin_by_ms;
  const struct snapshot_search_options searching = {
      .config = options->config,
      .schemas = options->schemas,
      .fetch = lane->fetch,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .until_ms = earlier(options->until_ms, begin_by_ms),
      .only_if_expired = options->only_if_expired,
      .from_oldest = options->from_oldest,
  };
  if (options->files != NULL || (options->subject_key.size == 0 && !options->allows_no_key)) {
    return STATUS_OK;
  }
  enum status status = snapshot_search_open(&searching, &lane->search, error);
  if (status == STATUS_OK) {
    status = try_snapshots(lane, error);
  }
  return status;
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
    snapshot_search_close(lane->search);
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
  static const uint8_t first[DIGEST_SIZE];
  if (lane->passed_batch + 1 != row->batch) {
    return lane->passed_batch == 0; /* what is left of the journal begins with it */
  }
  uint8_t *bytes = memory_zeroed(1, journal_canonical_size_max(row));
  uint8_t chain[DIGEST_SIZE];
  const uint8_t *before = row->batch == 1 ? first : lane->passed_chain;
  digest_of(span_of(bytes, journal_canonical(row, before, bytes)), chain);
  free(bytes);
  return memcmp(chain, row->chain, DIGEST_SIZE) == 0;
}

/* An entry up to the snapshot's batch. That batch's own row must be the snapshot's: what is decided
 * behind it is then chained to it. */
static enum status pass(struct replay_lane *lane, const struct journal_entry *entry,
                        struct error *error) {
  const struct journal_row *row = &entry->batch->row;
  lane->has_snapshot_row = row->batch == lane->snapshot.batch;
  const bool is_its_own =
      !lane->has_snapshot_row || memcmp(row->chain, lane->snapshot.chain, DIGEST_SIZE) == 0;
  if (!is_its_own || !chain_holds(lane, row)) {
    return error_set(error, STATUS_REFUSED,
                     "lane %u: the journal's row of batch %" PRIu64
                     " is not what was committed: its chain does not hold; there is a snapshot of "
                     "batch %" PRIu64,
                     lane->options.lane, row->batch, lane->snapshot.batch);
  }
  lane->passed_batch = row->batch;
  memcpy(lane->passed_chain, row->chain, DIGEST_SIZE);
  return lane->options.passed == NULL
             ? STATUS_OK
             : lane->options.passed(lane->options.passed_context, entry, error);
}

/* The next entry behind the snapshot's batch. */
static enum status next_entry(struct replay_lane *lane, struct journal_entry *entry,
                              struct error *error) {
  for (;;) {
    enum status status = journal_source_next(lane->journal, entry, error);
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
    status = pass(lane, entry, error);
    if (status != STATUS_OK) {
      return status;
    }
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
  if (lane->last_batch == 0 && number > 1) {
    return error_set(error, STATUS_REFUSED,
                     "lane %u: what is left of the journal begins with batch %" PRIu64
                     ", and there is no snapshot to begin with",
                     lane->options.lane, number);
  }
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

const char *replay_lane_left_out(const struct replay_lane *lane) {
  return lane->search == NULL ? "" : snapshot_search_left_out(lane->search);
}

struct lane_state *replay_lane_copy(const struct replay_lane *lane) {
  struct snapshot snapshot = {.row = lane->snapshot, .state = replay_state(lane->replay)};
  struct snapshot copy;
  struct buffer bytes = {0};
  char reason[SNAPSHOT_REASON_SIZE];
  const struct policy_texts *texts = replay_policy_texts(lane->replay);
  for (uint32_t i = 0; i < texts->count; i++) {
    policy_texts_add(&snapshot.policies, buffer_span(&texts->items[i]));
  }
  device_changes_reach(&snapshot.changes, snapshot.state->lane.device_count);
  snapshot_write(&snapshot, &bytes);
  const bool is_read = snapshot_read(buffer_span(&bytes), &copy, reason);
  assert(is_read); /* it was read from such bytes */
  struct lane_state *state = copy.state;
  copy.state = NULL;
  snapshot.state = NULL; /* the replay's */
  snapshot_fini(&snapshot);
  snapshot_fini(&copy);
  buffer_fini(&bytes);
  return state;
}

void replay_lane_name(struct replay_lane *lane, const struct span *emails) {
  struct lane_state *state = replay_state(lane->replay);
  const struct persons *persons = &state->lane.persons;
  lane_state_name(state, emails);
  for (uint32_t i = 0; i < persons->count; i++) {
    if (emails[i].size > 0) {
      subjects_learn(lane->subjects, emails[i], persons->items[i].subject);
    }
  }
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
