/* What a lane's database held up to a snapshot, put together again from the output topics: results
 * from their records, what is known of people, and what control messages changed.
 *
 * A batch is proved by its row: its results, read back and encoded again, must be the bytes that
 * were published and have the row's digest. Where topics have lost their beginning, what is left is
 * brought back, and what is not is counted. */
#ifndef MUSTER_APP_REBUILD_HISTORY_H
#define MUSTER_APP_REBUILD_HISTORY_H

#include "core/app/journal_source.h"
#include "core/app/replay_lane.h"

/* Results that are not as they were, and between which numbers they are. */
struct rebuild_gap {
  uint64_t count, first_seq, last_seq;
};

struct rebuild_history_result {
  uint64_t first_batch;        /* with which the journal begins */
  uint64_t batches, results;   /* brought back */
  struct rebuild_gap lost;     /* results that are no longer there */
  struct rebuild_gap unproved; /* brought back, but their row's digest cannot be made */
  struct rebuild_gap undated;  /* dead letters whose time is known only to within their batch */
  uint64_t before_journal;     /* results that no row of the journal is there for */
  uint64_t nameless;           /* people whose address nothing tells */
};

struct rebuild_history_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: what is said of people is believed */
};

struct rebuild_history;

/* The lane stands behind the snapshot and has decided nothing yet; it outlives the history, as
 * `options` and `result` do. */
struct rebuild_history *rebuild_history_open(const struct rebuild_history_options *options,
                                             struct replay_lane *lane,
                                             struct rebuild_history_result *result);
void rebuild_history_close(struct rebuild_history *history); /* NULL is allowed */

/* Rows of one batch: valid until the next. */
struct rebuild_rows {
  struct span environment, results, control;
};

/* Brings back the journal's next batch. STATUS_REFUSED: what stands on the topics is not what its
 * row says. */
enum status rebuild_history_batch(struct rebuild_history *history,
                                  const struct recorded_batch *batch, struct rebuild_rows *rows,
                                  struct error *error) MUST_USE;

/* After the snapshot's batch: gives the lane's people their addresses, as far as anything tells
 * them, and appends their rows. */
enum status rebuild_history_people(struct rebuild_history *history, struct buffer *persons,
                                   struct error *error) MUST_USE;

#endif
