#include "core/app/replay_inputs.h"

#include "consumers/schemas.h"
#include "core/app/lag.h"
#include "core/app/preflight.h"

enum status replay_inputs_open(const struct config *config, struct replay_inputs *inputs,
                               struct error *error) {
  const char *const directory = config->schemas.directory;
  int32_t lane_count = 0;
  *inputs = (struct replay_inputs){0};
  enum status status = STATUS_OK;
  if (config->privacy.subject_key_file[0] != '\0') {
    status = preflight_subject_key(config, inputs->key, &inputs->key_size, error);
  }
  if (status == STATUS_OK) {
    status = schemas_open(directory[0] != '\0' ? directory : NULL, &inputs->schemas, error);
  }
  if (status == STATUS_OK) {
    status = lag_lane_count(config, &lane_count, error);
  }
  inputs->lane_count = (uint32_t)lane_count;
  return status;
}

void replay_inputs_close(struct replay_inputs *inputs) {
  schemas_close(inputs->schemas);
  inputs->schemas = NULL;
}

struct span replay_inputs_key(const struct replay_inputs *inputs) {
  return span_of(inputs->key, inputs->key_size);
}
