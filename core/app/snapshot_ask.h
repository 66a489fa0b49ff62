/* Has every lane tell its state, and waits until the journal has it. */
#ifndef MUSTER_APP_SNAPSHOT_ASK_H
#define MUSTER_APP_SNAPSHOT_ASK_H

#include "core/app/command_line.h"

struct schemas;

/* Sends a StateRequest and waits for the decision; `admin` and `timeout` as they were given, NULL
 * without. `offset`: where it stands in the control topic. STATUS_REFUSED: the asker may not;
 * STATUS_UNAVAILABLE: nothing was decided in time. */
enum status snapshot_ask(const struct command_line *line, const char *admin, const char *timeout,
                         int64_t *offset, struct error *error) MUST_USE;

/* Waits for the lane's batch that the request at that offset has ended; lanes come to it in their
 * own time. STATUS_UNAVAILABLE: not before the deadline of the monotonic clock. */
enum status snapshot_await(const struct config *config, const struct schemas *schemas,
                           uint32_t lane, int64_t offset, int64_t deadline_mono_ms, uint64_t *batch,
                           struct error *error) MUST_USE;

#endif
