#ifndef MUSTER_CORE_EVALUATE_H
#define MUSTER_CORE_EVALUATE_H

#include "core/emit.h"

/* Holds the facts of devices[index], whose state is being changed to `device`, against the policy,
 * and acts on what changed. */
void evaluate(const struct step *step, uint32_t index, struct device *device);

#endif
