/* A device's way into service and out of it, with what goes along: the licence, what is pushed, the
 * access, the open episode. Each works on devices[index], whose state is being changed to `device`.
 */
#ifndef MUSTER_CORE_LIFECYCLE_H
#define MUSTER_CORE_LIFECYCLE_H

#include "core/emit.h"

/* Whether it is out of service: WIPED or RETIRED. */
bool lifecycle_is_over(const struct device *device);

/* It becomes ENROLLED. Returns whether it got a licence by that. */
bool lifecycle_enroll(const struct step *step, uint32_t index, struct device *device);

/* It becomes PENDING: it has to check in, and its time for that begins. */
void lifecycle_await(const struct step *step, struct device *device);

/* It becomes RETIRED, whoever decided so. The audit entry is the caller's. */
void lifecycle_retire(const struct step *step, uint32_t index, struct device *device);

/* The wipe that was asked for is carried out; it becomes WIPED, audited. */
void lifecycle_wipe(const struct step *step, uint32_t index, struct device *device);

/* The wipe that was asked for was not carried out in time. */
void lifecycle_wipe_overdue(const struct step *step, uint32_t index, struct device *device);

/* Nothing is known of the device any more: no facts, no violations, no episode. */
void lifecycle_forget(const struct step *step, uint32_t index, struct device *device);

/* "lost", "stolen". */
const char *lifecycle_wipe_reason(enum wipe_reason reason);

#endif
