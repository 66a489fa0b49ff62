/* The addresses of a snapshot's people, which it does not have itself: read from the messages that
 * named them, under the subject key. */
#ifndef MUSTER_APP_SNAPSHOT_ADDRESSES_H
#define MUSTER_APP_SNAPSHOT_ADDRESSES_H

#include "core/app/found.h"
#include "core/app/replay.h"

/* Reads what a lane has read up to the snapshot's batch of the topics that name people, and gives
 * its people their addresses; one whose message has expired keeps none. `rules` have the key.
 * Blocks. */
enum status snapshot_addresses(struct fetch *fetch, const struct config *config,
                               const struct intake_rules *rules, const struct journal_row *row,
                               struct lane_state *state, struct error *error) MUST_USE;

/* The same for a replay that has just been set behind a snapshot, whose batch's row that is; those
 * whose messages have expired get theirs from the devices' states. */
enum status snapshot_addresses_all(struct fetch *fetch, struct found *found,
                                   const struct config *config, struct replay *replay,
                                   const struct journal_row *row, struct error *error) MUST_USE;

#endif
