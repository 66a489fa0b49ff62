/* What is decided when somebody asks for a change of a device: who may ask, what may become of
 * what, and what follows. Every command gives one audit entry of its own, done or refused. */
#ifndef MUSTER_CORE_COMMAND_H
#define MUSTER_CORE_COMMAND_H

#include "core/emit.h"

/* Whether a command may move a device from one status to another. */
bool command_allows_move(enum device_status from, enum device_status to);

/* Decides an EVENT_COMMAND about devices[index], whose state is being changed to `device`. The same
 * event_id again is ignored. */
void decide_command(const struct step *step, const struct event *event, uint32_t index,
                    struct device *device);

#endif
