/* A lane replayed from the topics for whoever wants its state or its steps, not a comparison.
 *
 * Each batch must come out with the chain that the journal has: what is shown is what was decided,
 * or nothing is shown. */
#ifndef MUSTER_APP_REPLAY_LANE_H
#define MUSTER_APP_REPLAY_LANE_H

#include "core/app/found.h"
#include "core/app/journal_source.h"
#include "core/app/replay.h"

struct replay_lane;

struct replay_lane_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: subjects are taken from recorded results */
  struct replay_watch watch;
  int64_t until_ms; /* TIME_NONE: to the journal's end */
  bool keeps_touches;
  const struct replay_files *files; /* instead of the topics; NULL: the topics */
  bool makes_rows;
  bool uses_snapshots;  /* begins with the newest up to `until_ms` that is good, if there is one */
  bool only_if_expired; /* with a snapshot only where the log has lost its beginning */
  bool from_oldest;     /* with the oldest one that is good instead */
  int64_t begin_by_ms;  /* with one whose clock is not later than this, too; 0: any */
  bool allows_no_key;   /* with a snapshot without the key, too: whoever wants that tells who its
                         * people are (replay_lane_name) */
  bool needs_addresses; /* of the people in that snapshot, too */
  /* Of the journal's entries up to the snapshot's batch, whose chain holds, before the first batch
   * is decided; NULL: nobody wants them. */
  enum status (*passed)(void *context, const struct journal_entry *entry, struct error *error);
  void *passed_context;
  bool needs_subjects; /* refuses a batch with an enrolment whose subject nothing tells */
};

enum status replay_lane_open(const struct replay_lane_options *options, struct replay_lane **lane,
                             struct error *error) MUST_USE;
void replay_lane_close(struct replay_lane *lane); /* NULL is allowed */

/* Decides the next batch. `batch` is as recorded, valid until the next call; NULL: the journal or
 * the time ends here. STATUS_REFUSED: the lane cannot be replayed further, `error` says why and
 * from which batch on. */
enum status replay_lane_next(struct replay_lane *lane, const struct recorded_batch **batch,
                             struct error *error) MUST_USE;

/* The batch after which it began: that of a snapshot; 0: the journal's beginning. */
uint64_t replay_lane_began_after(const struct replay_lane *lane);

/* Snapshots that were not begun with, and why, a line each with its end; an empty text: none. Valid
 * until the lane is closed. */
const char *replay_lane_left_out(const struct replay_lane *lane);

/* The state as it is now once more, without addresses: of a lane that began with a snapshot, whose
 * next batch was not decided yet. The caller ends it with lane_state_close. */
struct lane_state *replay_lane_copy(const struct replay_lane *lane);

/* Gives the snapshot's people their addresses: one each, empty where it is not known. Without the
 * key, that is who they are. */
void replay_lane_name(struct replay_lane *lane, const struct span *emails);

/* The last changes of devices up to that batch; empty without a snapshot. */
const struct device_changes *replay_lane_changes(const struct replay_lane *lane);

/* Whether it ended at `until_ms`, and not at the journal's end. */
bool replay_lane_has_reached(const struct replay_lane *lane);

struct replay *replay_lane_replay(struct replay_lane *lane);

/* The outputs' records, of which the replay looks at the audit entries and the journal. */
struct found *replay_lane_found(struct replay_lane *lane);

/* Where the result with that number stands in its topic; -1 when it is not there. Numbers of a
 * kind are asked for in rising order. */
enum status replay_lane_offset(struct replay_lane *lane, enum result_kind kind, uint64_t seq,
                               int64_t *offset, struct error *error) MUST_USE;

#endif
