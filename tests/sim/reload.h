/* What a lane knows beside its devices, as it would be loaded behind each batch, against what the
 * undisturbed lane knows there. */
#ifndef MUSTER_TESTS_SIM_RELOAD_H
#define MUSTER_TESTS_SIM_RELOAD_H

#include "core/lane.h"
#include "tests/sim/database.h"

struct reload;
struct reload *reload_open(uint32_t lane);
void reload_close(struct reload *reload);

/* Loads what that batch kept, the next one of the lane, and compares. Admins by the configuration
 * are not kept: they are the environment's. */
void reload_check(struct reload *reload, const struct lane *lane, const struct stored_batch *batch);

#endif
