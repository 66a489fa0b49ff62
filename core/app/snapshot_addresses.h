/* The addresses of a snapshot's people, which it does not have itself: read from the messages that
 * named them, under the subject key. */
#ifndef MUSTER_APP_SNAPSHOT_ADDRESSES_H
#define MUSTER_APP_SNAPSHOT_ADDRESSES_H

#include "core/app/intake.h"
#include "core/app/snapshot.h"

/* Reads what a lane has read up to the snapshot's batch of the topics that name people, and gives
 * its people their addresses; one whose message has expired keeps none. `rules` have the key.
 * Blocks. */
enum status snapshot_addresses(struct fetch *fetch, const struct config *config,
                               const struct intake_rules *rules, const struct journal_row *row,
                               struct lane_state *state, struct error *error) MUST_USE;

#endif
