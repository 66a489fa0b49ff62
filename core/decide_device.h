/* What steps of every kind do with a device: hold it against the policy, put its new state away. */
#ifndef MUSTER_CORE_DECIDE_DEVICE_H
#define MUSTER_CORE_DECIDE_DEVICE_H

#include "core/emit.h"

/* Holds the device's facts against the policy, and acts on what changed. `has_lost`: a violated
 * rule is gone from the policy, so the set is another though its bits may be the same. */
void decide_evaluate(const struct step *step, uint32_t index, struct device *device, bool has_lost);

/* Puts the device's new state into the lane, with its timer. `is_changed`: even if what its Device
 * record shows is the same, it is written. NULL: nothing was changed. */
struct touch *decide_apply(const struct step *step, uint32_t index, const struct device *next,
                           bool is_changed);

#endif
