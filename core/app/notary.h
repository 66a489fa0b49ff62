/* Signs what a run has published: checkpoints of its lanes' journals on muster.checkpoints.
 *
 * A lane tells the last batch it has published, and its chain; that is all it has to do with
 * this. A thread of the notary's own reads the journal's topic up to there, from the beginning
 * when it has not read the lane before, chains each row to the one before, and signs the tree
 * only when the last chain is the one that was told: what it signs is what this process
 * committed, not merely what stands on the topic. At most one checkpoint a lane every
 * NOTARY_INTERVAL_MS, and one at the end. Not numbered, in no digest: a run without a key publishes
 * the same results. Nothing waits for it, and its failures are logged and tried again. */
#ifndef MUSTER_APP_NOTARY_H
#define MUSTER_APP_NOTARY_H

#include "core/app/config.h"
#include "core/journal.h"

enum { NOTARY_INTERVAL_MS = 10000 };

struct notary;
struct schemas;

/* `*notary` is NULL when no journal.signing_key_file is set; every function here takes that. What
 * is given outlives it. STATUS_CONFIG: the key cannot be read. */
enum status notary_open(const struct config *config, const struct schemas *schemas,
                        struct notary **notary, struct error *error) MUST_USE;

/* Starts the thread; the schemas are only read from here on. */
void notary_start(struct notary *notary, uint32_t lane_count);

/* The lane has published up to that batch. */
void notary_note(struct notary *notary, const struct journal_row *row);

/* Signs what was noted and not signed yet, when `is_clean`, and ends. */
void notary_close(struct notary *notary, bool is_clean);

#endif
