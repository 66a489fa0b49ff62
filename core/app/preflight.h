/* What must be there before a lane can be taken: topics, migrations, the subject key, our schemas
 * in the registry. Blocks. */
#ifndef MUSTER_APP_PREFLIGHT_H
#define MUSTER_APP_PREFLIGHT_H

#include "core/app/config.h"
#include "core/app/environment.h"
#include "core/app/others.h"
#include "producers/store.h"

struct preflight {
  const struct config *config;
  const struct schemas *schemas;
  bool (*is_over)(void *context); /* ends a request to the registry; called on this thread */
  void *context;
  struct output_ids ids; /* with a registry: as it knows our schemas */
  uint32_t lane_count;
  struct lane_ends *ends; /* by lane: of its topics now; the caller frees it */
  uint8_t subject_key[64];
  size_t subject_key_size;
  enum status status;
  struct error error;
};

/* STATUS_UNAVAILABLE: trying again may help. STATUS_CONFIG: a topic or a migration is missing,
 * counts differ, or the key cannot be read. */
void preflight_run(struct preflight *preflight);

/* The subject key alone: from the configured file, else from the database. */
enum status preflight_subject_key(const struct config *config, uint8_t key[64], size_t *size,
                                  struct error *error) MUST_USE;

#endif
