/* A lane's rows in PostgreSQL made again from the topics alone.
 *
 * Each batch is decided again, must come out with the chain that the journal's topic has, and is
 * committed as a run commits it: the lane is taken first, under an epoch above the topic's, so that
 * no earlier owner can write meanwhile. Nothing is published. What it writes differs from what was
 * lost in who committed it and when device rows were written, and in nothing else. */
#ifndef MUSTER_APP_REBUILD_H
#define MUSTER_APP_REBUILD_H

#include "core/app/config.h"
#include "producers/store.h"

struct schemas;

struct rebuild_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: subjects are taken from recorded results */
  uint8_t owner[OWNER_SIZE];
};

struct rebuild_result {
  enum status status;
  struct error error;
  uint64_t batches, messages, results, devices; /* committed */
};

/* Blocks; any thread. After a failure what was committed stands and is right as far as it goes. */
void rebuild_lane(const struct rebuild_options *options, struct rebuild_result *result);

#endif
