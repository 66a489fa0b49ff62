/* What a lane finds missing when it is taken: offsets that are gone before it came to them, or a
 * topic that is not the one it has read. It halts, and goes on where an operator says.
 *
 * What it lacks is written where `muster accept-gap` sees it. What was asked for comes back with
 * the next taking, which then is for that alone: sources of topics with a gap stay closed, what was
 * recorded is decided again, the gap is decided as a batch of its own, and the lane is taken once
 * more. So everything else of a lane at work may rely on its topics being whole. */
#ifndef MUSTER_APP_LANE_GAP_H
#define MUSTER_APP_LANE_GAP_H

#include "core/app/lane_start.h"

/* Where a topic stands. */
struct topic_ends {
  enum topic topic;
  int64_t first, end;
};

/* Where the lane goes on reading the topic: from resources->next_offsets, or behind a gap that a
 * recorded batch has accepted (`is_moved`). STATUS_CONFIG: recorded batches read of the topic both
 * before and behind it, which cannot be done again. */
enum status lane_gap_position(const struct lane_resources *resources, enum topic topic,
                              int64_t *next, bool *is_moved, struct error *error) MUST_USE;

/* Whether the lane can go on at `next`; otherwise the gap is added to resources->gaps, and the
 * source is not to be opened. STATUS_CONFIG: nothing can accept it, since recorded batches need it.
 */
enum status lane_gap_find(const struct lane_setup *setup, struct lane_resources *resources,
                          const struct topic_ends *ends, int64_t next, bool *is_whole,
                          struct error *error) MUST_USE;

/* Tells the database what the lane lacks, if anything. STATUS_CONFIG names the first gap, when
 * there is one and nobody has asked for one to be accepted; otherwise resources->request has it. */
enum status lane_gap_settle(const struct lane_setup *setup, struct lane_resources *resources,
                            struct error *error) MUST_USE;

/* Whether something was asked for of a lane that has halted: a short look, on a connection of its
 * own. False while nobody can tell. */
bool lane_gap_is_asked(const struct lane_setup *setup);

#endif
