/* The digest of what a lane is: of all that decides from here on and that every lane has in its
 * memory, be it in a run, in a replay, after a restart or from a snapshot. docs/replay.md has the
 * form. What only a snapshot keeps (what changed a device last) is no part of it. */
#ifndef MUSTER_APP_STATE_DIGEST_H
#define MUSTER_APP_STATE_DIGEST_H

#include "core/journal.h"
#include "core/lane.h"

/* SHA-256, of a lane that has no open sweep. Reads every device. */
void state_digest(const struct lane *lane, uint8_t digest[DIGEST_SIZE]);

/* Whether what the lanes know beside their devices has the same bytes under that digest. */
bool state_control_equal(const struct lane *a, const struct lane *b);

#endif
