/* One step of a lane, decided into a carrier: what a run does with new messages, and what is
 * decided again from recorded batches, after a crash or by a replay, goes through here. */
#ifndef MUSTER_APP_LANE_STEP_H
#define MUSTER_APP_LANE_STEP_H

#include "core/app/carrier.h"
#include "core/app/intake.h"

/* Where the steps of a lane find what they change. The caller owns all of it. */
struct lane_step {
  struct lane_state *state;
  struct batch *batch;
  struct head *heads;        /* TOPIC_COUNT */
  struct intake *intakes;    /* TOPIC_COUNT */
  struct buffer *batch_last; /* TOPIC_COUNT: canonical bytes of the batch's last messages */
};

/* Takes and decides the message that `topic` shows; results go to the sink, a person that is new
 * to the carrier's rows, the message to its digest; with no carrier neither is kept. */
void lane_step_message(const struct lane_step *step, struct carrier *carrier,
                       const struct sink *sink, enum topic topic);

/* Fires the lane's first timer; the lane must have one. */
void lane_step_timer(const struct lane_step *step, const struct sink *sink);

/* Takes the open sweep's next device; the lane must have one. */
void lane_step_sweep(const struct lane_step *step, const struct sink *sink);

/* Decides about a gap, which is the only step of its batch; `gap->is_accepted` tells what was
 * decided. Accepted, its topic goes on at gap->to: the caller sees to a source that does. */
void lane_step_gap(const struct lane_step *step, struct journal_gap *gap, const struct sink *sink);

/* Whether the recorded batch was cut where the open sweep stands. */
bool lane_step_sweep_is_cut(const struct lane_step *step, const struct journal_row *row);

/* What was believed then is believed now, whatever the wall clock says. */
void lane_step_believe(struct head heads[TOPIC_COUNT], const struct journal_row *row);

/* All messages of the recorded batch are taken: whether a timer was still among its steps. */
bool lane_step_has_timer(const struct lane_step *step, const struct journal_row *row);

#endif
