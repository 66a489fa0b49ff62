#ifndef MUSTER_CORE_DECIDE_CONTROL_H
#define MUSTER_CORE_DECIDE_CONTROL_H

#include "core/emit.h"

/* Decides a message of the control topic that is about roles, groups, the tenant or a profile's
 * revision. Every lane changes its own control state; the audit entry is lane 0's alone. */
void decide_control(const struct step *step, const struct event *event);

#endif
