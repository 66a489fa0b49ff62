/* The schema registry as the configuration names it: opened, and told our schemas. Blocks. */
#ifndef MUSTER_APP_REGISTRY_CLIENT_H
#define MUSTER_APP_REGISTRY_CLIENT_H

#include "consumers/registry.h"
#include "consumers/schemas.h"
#include "core/app/config.h"
#include "core/app/environment.h"

/* A registry by schemas.registry_url, with its password read now. `is_over` (may be NULL) as in
 * struct registry_options. */
enum status registry_of_config(const struct config *config, bool (*is_over)(void *context),
                               void *context, struct registry **registry,
                               struct error *error) MUST_USE;

/* Registers our schema of every output under <topic>-value. STATUS_CONFIG names the subject that
 * is refused. */
enum status registry_register_outputs(struct registry *registry, const struct config *config,
                                      const struct schemas *schemas, struct output_ids *ids,
                                      struct error *error) MUST_USE;

/* Registers one schema of ours under a subject, which is given without the prefix
 * ("checkins-value"), and lets `schemas` know it by its id. Tries again for REGISTRY_PATIENCE_MS
 * while there is no answer. */
enum { REGISTRY_PATIENCE_MS = 30000 };
enum status registry_register_patiently(struct registry *registry, const struct config *config,
                                        struct schemas *schemas, const char *subject,
                                        const struct writer *writer, int64_t *id,
                                        struct error *error) MUST_USE;

/* For commands that show messages: asks the registry, once each, for ids that are not known. */
struct schema_learner {
  struct registry *registry; /* NULL: none is configured */
  struct schemas *schemas;
  uint32_t *asked; /* ids without a schema */
  size_t asked_count;
  bool is_out_of_reach; /* told, and not asked again */
};

/* Opens the schemas that the configuration names, too. The caller ends it in any case. */
enum status schema_learner_open(const struct config *config, struct schema_learner *learner,
                                struct error *error) MUST_USE;
void schema_learner_close(struct schema_learner *learner);

/* Learns what the value needs, if it can be had. */
void schema_learner_see(struct schema_learner *learner, struct span value);

#endif
