#include "core/app/registry_client.h"

#include "consumers/decode.h"
#include "core/app/clock.h"
#include "core/app/secret.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SUBJECT_NAME_SIZE = 512, RETRY_MS = 500 };

enum status registry_of_config(const struct config *config, bool (*is_over)(void *context),
                               void *context, struct registry **registry, struct error *error) {
  char *password;
  enum status status = secret_read("schemas.registry_password", config->schemas.registry_password,
                                   config->schemas.registry_password_file, &password, error);
  if (status != STATUS_OK) {
    return status;
  }
  const struct registry_options options = {
      .url = config->schemas.registry_url,
      .user = config->schemas.registry_user,
      .password = password,
      .ca_file = config->schemas.registry_ca_file,
      .certificate_file = config->schemas.registry_certificate_file,
      .key_file = config->schemas.registry_key_file,
      .is_over = is_over,
      .context = context,
  };
  status = registry_open(&options, registry, error);
  secret_free(password);
  return status;
}

static enum status register_one(struct registry *registry, const struct config *config,
                                const char *subject, const struct writer *writer, int64_t *id,
                                struct error *error) {
  char whole[SUBJECT_NAME_SIZE];
  uint32_t registered;
  snprintf(whole, sizeof whole, "%s%s", config->kafka.topic_prefix, subject);
  const enum status status =
      registry_register(registry, whole, schemas_own_text(writer), &registered, error);
  *id = status == STATUS_OK ? (int64_t)registered : SCHEMA_ID_NONE;
  return status;
}

enum status registry_register_outputs(struct registry *registry, const struct config *config,
                                      const struct schemas *schemas, struct output_ids *ids,
                                      struct error *error) {
  enum status status = STATUS_OK;
  for (uint32_t record = 0; record < RECORD_COUNT && status == STATUS_OK; record++) {
    ids->of[record] = SCHEMA_ID_NONE;
    if (record != RESULT_DEAD_LETTER) { /* goes as it came */
      char subject[SUBJECT_NAME_SIZE];
      snprintf(subject, sizeof subject, "%s-value", record_topic_name(record));
      status =
          register_one(registry, config, subject, schemas_find_own(schemas, record_name(record)),
                       &ids->of[record], error);
    }
  }
  return status;
}

enum status registry_register_patiently(struct registry *registry, const struct config *config,
                                        struct schemas *schemas, const char *subject,
                                        const struct writer *writer, int64_t *id,
                                        struct error *error) {
  const int64_t deadline_mono_ms = clock_mono_ms() + REGISTRY_PATIENCE_MS;
  enum status status = register_one(registry, config, subject, writer, id, error);
  while (status == STATUS_UNAVAILABLE && clock_mono_ms() < deadline_mono_ms) {
    nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000L}, NULL);
    status = register_one(registry, config, subject, writer, id, error);
  }
  if (status == STATUS_OK) {
    status = schemas_put(schemas, *id, "the schema registry", schemas_own_text(writer), error);
  }
  return status;
}

/* ---- For commands ---- */

enum status schema_learner_open(const struct config *config, struct schema_learner *learner,
                                struct error *error) {
  const char *const directory = config->schemas.directory;
  *learner = (struct schema_learner){0};
  const enum status status =
      schemas_open(directory[0] != '\0' ? directory : NULL, &learner->schemas, error);
  if (status != STATUS_OK || config->schemas.registry_url[0] == '\0') {
    return status;
  }
  return registry_of_config(config, NULL, NULL, &learner->registry, error);
}

void schema_learner_close(struct schema_learner *learner) {
  registry_close(learner->registry);
  schemas_close(learner->schemas);
  free(learner->asked);
}

static bool is_asked(const struct schema_learner *learner, uint32_t id) {
  for (size_t i = 0; i < learner->asked_count; i++) {
    if (learner->asked[i] == id) {
      return true;
    }
  }
  return false;
}

void schema_learner_see(struct schema_learner *learner, struct span value) {
  uint32_t id;
  if (learner->registry == NULL || learner->is_out_of_reach || value.data == NULL ||
      !decode_unknown_id(learner->schemas, value, &id) || is_asked(learner, id)) {
    return;
  }
  char *canonical = NULL;
  struct error error;
  enum status status = registry_fetch(learner->registry, id, &canonical, &error);
  if (status == STATUS_OK) {
    status = schemas_put(learner->schemas, (int64_t)id, "the schema registry", span_text(canonical),
                         &error);
    free(canonical);
  }
  if (status != STATUS_OK) {
    fprintf(stderr, "values are shown as bytes: %s\n", error.text);
    learner->is_out_of_reach = status == STATUS_UNAVAILABLE;
    learner->asked = memory_grown(learner->asked, learner->asked_count + 1, sizeof *learner->asked);
    learner->asked[learner->asked_count++] = id;
  }
}
