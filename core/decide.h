/* Decides: one step of a lane. A step is a message or a timer; it changes the lane and hands its
 * results to the sink, numbered. Nothing but the lane, the step and the policy has a say. */
#ifndef MUSTER_CORE_DECIDE_H
#define MUSTER_CORE_DECIDE_H

#include "core/journal.h"
#include "core/lane.h"

/* A message as a step sees it beside its event: where it stood and what it was. */
struct message {
  struct cause cause;       /* has_event_id and event_id are set by decide_event */
  struct original original; /* for its dead letter */
};

/* Moves the lane's clock to a believed timestamp; never back. */
void decide_clock(struct lane *lane, int64_t timestamp_ms);

/* Applies an event at the lane's clock. One of an unknown serial, or that is not allowed, is a
 * dead letter. */
void decide_event(struct lane *lane, const struct event *event, const struct message *message,
                  const struct sink *sink);

/* Makes a dead letter of a message that is no event. A control message's is lane 0's alone. */
void decide_reject(struct lane *lane, const struct reject *reject, const struct message *message,
                   const struct sink *sink);

/* Fires the lane's first timer, whose time has come: the clock moves to its due time. Returns
 * what fired; the lane must have a timer. */
struct timer_cursor decide_timer(struct lane *lane, const struct sink *sink);

#endif
