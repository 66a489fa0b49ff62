/* Policies that control messages carry, compiled: one of each for the whole process.
 *
 * Lanes point to them for as long as they live, so none is ever let go: there are as many as
 * policies were made. Any thread may ask. */
#ifndef MUSTER_APP_POLICY_STORE_H
#define MUSTER_APP_POLICY_STORE_H

#include "core/event.h"

/* Fills in `change->policy`: what its text says, or without one the program's own policy of that
 * version and hash, if there is one. What is told follows from the message alone. False: the text
 * is no policy, or another one than the message says; `reject` is filled (MALFORMED, STAGE_VALUE).
 */
bool policy_store_take(struct policy_change *change, struct reject *reject) MUST_USE;

#endif
