/* Environments as they were recorded: what a lane knew besides its log. */
#ifndef MUSTER_PRODUCERS_STORE_ENVIRONMENT_H
#define MUSTER_PRODUCERS_STORE_ENVIRONMENT_H

#include "producers/buffer.h"
#include "producers/store.h"

/* Appends the content of the environment that the lane's batch `batch` was decided in; nothing
 * when it has recorded none up to there. */
enum status store_load_environment(struct store *store, uint32_t lane, uint64_t batch,
                                   struct buffer *content, struct error *error) MUST_USE;

/* Hands over the newest content of each lane, in order of lanes; valid during the call. */
enum status store_load_environments(struct store *store,
                                    void (*each)(void *context, struct span content), void *context,
                                    struct error *error) MUST_USE;

#endif
