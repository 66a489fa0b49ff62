/* Taking a lane: everything that blocks, from finding where it stands to having published what
 * an earlier owner left behind. Runs on the lane's worker. */
#ifndef MUSTER_APP_LANE_START_H
#define MUSTER_APP_LANE_START_H

#include "consumers/fetch.h"
#include "core/app/config.h"
#include "core/app/lane_state.h"
#include "core/app/recorded.h"
#include "producers/publish.h"
#include "producers/store_gap.h"

/* What a lane is started with; lives as long as the process. */
struct lane_setup {
  const struct config *config;
  const struct schemas *schemas;
  struct fetch_shared *fetch_shared; /* of all lanes */
  uint32_t lane, lane_count;
  uint8_t owner[OWNER_SIZE];
  struct encoding encoding;
  /* By topic: its last message processed is another one now. What a lane at work has found out. */
  bool is_replaced[TOPIC_COUNT];
};

/* What an owner holds. All of it is given up together. */
struct lane_resources {
  struct store *store;
  struct publisher *publisher;
  struct fetch *fetch;
  struct source *sources[TOPIC_COUNT];
  bool is_anchored[TOPIC_COUNT];     /* the source begins with the last message processed */
  int64_t next_offsets[TOPIC_COUNT]; /* where deciding begins: behind the checkpoint */
  struct lane_gap gaps[TOPIC_COUNT]; /* of topics whose source is not open for that */
  size_t gap_count;
  bool lacks_topic;           /* one is not there at all */
  struct gap_request request; /* with gaps: the one to be decided; nothing else is done then */
  struct lane_state *state;
  struct ownership_of_lane ownership;
  struct lane_head head;
  uint64_t published_batch;
  bool has_republished; /* what an earlier owner left */
  /* Batches that device rows do not reflect yet: decided again from their inputs, and compared
   * by their chain. Those after head.row.batch the database has lost: they are committed again.
   * Those after published_batch are published. */
  struct recorded_batches recorded;
  struct buffer environment; /* content of the checkpoint's environment; empty: none yet */
};

/* Takes the lane. On failure what was acquired so far is in `resources` all the same: the caller
 * gives it up with lane_resources_release. */
enum status lane_start(const struct lane_setup *setup, struct lane_resources *resources,
                       struct error *error) MUST_USE;

/* Returns when readers of committed messages see all that was published: a commit is answered
 * before the broker has marked every partition, and initialising transactions anew waits for it. */
enum status lane_settle(const struct lane_setup *setup, struct lane_resources *resources,
                        struct error *error) MUST_USE;

/* Gives everything up. Blocks for as long as the clients take to end their threads. */
void lane_resources_release(struct lane_resources *resources);

/* The full name of an input topic. */
enum { TOPIC_NAME_SIZE = 256 };
void topic_full_name(const struct config *config, enum topic topic, char name[TOPIC_NAME_SIZE]);

/* The partition of an input topic that a lane reads: control has only one. */
int32_t topic_partition(enum topic topic, uint32_t lane);

#endif
