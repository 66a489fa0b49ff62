/* Going through all devices after a control message, one step a device, in order of number.
 *
 * Between two steps a batch may end. Until the last one no message is taken and no timer fires, so
 * devices already seen, which are under the new policy, and those not yet seen, which are under the
 * old one, never act on each other. The clock stands. Results name the control message as cause. */
#ifndef MUSTER_CORE_SWEEP_H
#define MUSTER_CORE_SWEEP_H

#include "core/decide.h"

struct step; /* core/emit.h */

/* Puts the policy in force, which must not be in force yet; every device is evaluated under it.
 * Call between two steps, or as the last of a message's step. The policy outlives the lane; the
 * cause is copied. */
void sweep_begin_policy(struct lane *lane, const struct policy *policy, const struct cause *cause);

/* Gives every enrolled device of the profile its revision, of at most SHORT_NAME_SIZE_MAX bytes. */
void sweep_begin_push(struct lane *lane, enum profile profile, struct span revision,
                      const struct cause *cause);

/* Goes on with the last sweep that was begun where the cursor says, in a lane that is being loaded:
 * control messages have been applied again, devices have not been put back. */
void sweep_restore(struct lane *lane, const struct sweep_cursor *cursor);

/* Whether a sweep goes on; then its next step comes before anything else. */
static inline bool sweep_is_open(const struct lane *lane) {
  return lane->control.sweep.kind != SWEEP_NONE;
}

/* Where it stands, for the batch's row. */
struct sweep_cursor sweep_cursor(const struct lane *lane);

/* The next device. The lane must have an open sweep; the last device ends it. */
void sweep_step(struct lane *lane, const struct sink *sink);

/* Applies a control message that was decided before, in a lane that is being loaded: only what it
 * changed in the lane's control state, at `at_ms` of the log clock. Of a policy that is not known,
 * `policy` is not NULL. */
void sweep_apply_control(struct lane *lane, const struct event *event, const struct cause *cause,
                         int64_t at_ms);

/* A message that asks for a policy: who may not, or what cannot be, is refused; what is in force
 * already stays so. */
void sweep_decide_policy(const struct step *step, const struct event *event);

#endif
