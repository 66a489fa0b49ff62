/* A lane's rows in PostgreSQL made again from the topics alone.
 *
 * Each batch is decided again, must come out with the chain that the journal's topic has, and is
 * committed as a run commits it: the lane is taken first, under an epoch above the topic's, so that
 * no earlier owner can write meanwhile. Nothing is published. What it writes differs from what was
 * lost in who committed it and when device rows were written, and in nothing else.
 *
 * Where the inputs have lost their beginning, the newest snapshot that the journal vouches for
 * takes its place: what was before is put together from the output topics (rebuild_history.h). */
#ifndef MUSTER_APP_REBUILD_H
#define MUSTER_APP_REBUILD_H

#include "core/app/config.h"
#include "core/app/rebuild_history.h"
#include "producers/store.h"

struct schemas;

struct rebuild_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: subjects are taken from recorded results */
  bool from_snapshot;      /* begins at the newest, though the inputs may be whole */
  uint8_t owner[OWNER_SIZE];
};

struct rebuild_result {
  enum status status;
  struct error error;
  uint64_t batches, messages, results, devices; /* committed */
  uint64_t began_after;                         /* the batch of the snapshot; 0: at the beginning */
  struct rebuild_history_result history;        /* what was before it */
  char *left_out;                               /* snapshots, and why: lines; the caller frees it */
};

/* Blocks; any thread. After a failure what was committed stands and is right as far as it goes. */
void rebuild_lane(const struct rebuild_options *options, struct rebuild_result *result);

#endif
