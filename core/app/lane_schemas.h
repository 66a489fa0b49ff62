/* The schemas that a lane knows, and the environment that they are part of.
 *
 * Beside those of the process a lane knows what it has fetched from the registry. That is part of
 * its environment, texts included: an id that the environment of a batch does not have was
 * unknown when the batch was decided, and stays so when it is decided again, whatever the
 * registry says by then. So a lane learns between two batches alone, and forgets nothing. */
#ifndef MUSTER_APP_LANE_SCHEMAS_H
#define MUSTER_APP_LANE_SCHEMAS_H

#include "core/app/environment.h"

struct lane_schemas {
  const struct environment *environment;
  struct schemas *known;
  struct json_t *fetched; /* canonical forms by id */
  char *text;             /* of the environment */
  uint8_t digest[DIGEST_SIZE];
};

/* Knows nothing until it is restored. */
void lane_schemas_init(struct lane_schemas *schemas, const struct environment *environment);
void lane_schemas_fini(struct lane_schemas *schemas);

/* Knows what the recorded environment `content` (empty: none) had fetched, and no more. An id that
 * the process has another schema for stays the process's. STATUS_CONFIG: it cannot be read. */
enum status lane_schemas_restore(struct lane_schemas *schemas, struct span content,
                                 struct error *error) MUST_USE;

/* Whether that schema still has room in the environment's record. */
bool lane_schemas_has_room(const struct lane_schemas *schemas, const char *canonical);

/* Learns a schema under an id that is not known. `canonical` is one that parses. */
void lane_schemas_learn(struct lane_schemas *schemas, uint32_t id, const char *canonical);

#endif
