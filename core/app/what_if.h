/* A lane's history under another policy, beside the one it had.
 *
 * The lane is replayed as it was decided; each of its steps is taken a second time, in a lane of
 * its own, under the other policy. Both see the same messages at the same clock. Timers are each
 * history's own: those of the other policy fire where the merge order puts them, as far as the
 * recorded clock has come, so that nothing happens behind the end of the log. */
#ifndef MUSTER_APP_WHAT_IF_H
#define MUSTER_APP_WHAT_IF_H

#include "core/app/difference.h"
#include "core/app/replay_lane.h"

struct what_if_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key;     /* empty: subjects are taken from recorded results */
  const struct policy *policy; /* the other one, compiled; outlives the call */
  int64_t from_ms, to_ms;      /* what was decided in [from, to) is compared; TIME_NONE: no bound */
};

struct what_if_result {
  enum status status; /* STATUS_REFUSED: the lane cannot be replayed; `error` says why */
  struct error error;
  struct differences *differences; /* concluded; the caller's. NULL unless STATUS_OK */
  uint64_t batches, messages;      /* replayed */
  uint64_t began_after; /* the batch of the snapshot that it began with; 0: the beginning */
};

/* Only reads; blocks: runs on a thread of its own. */
void what_if_lane(const struct what_if_options *options, struct what_if_result *result);

#endif
