#include "core/app/input_encoder.h"

#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "core/app/policy_store.h"
#include "core/app/registry_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REGISTRY_SUBJECT_SIZE = 128 }; /* without the prefix */

enum status input_encoder_open(const struct config *config, struct input_encoder *encoder,
                               struct error *error) {
  const char *const directory = config->schemas.directory;
  *encoder = (struct input_encoder){.config = config};
  return schemas_open(directory[0] != '\0' ? directory : NULL, &encoder->schemas, error);
}

void input_encoder_close(struct input_encoder *encoder) {
  registry_close(encoder->registry);
  schemas_close(encoder->schemas);
  *encoder = (struct input_encoder){0};
}

/* ---- Framing ---- */

/* Where a topic carries several records, each has a subject of its own. */
static void registry_subject(const struct input_encoder *encoder, enum input_record record,
                             char subject[REGISTRY_SUBJECT_SIZE]) {
  const enum topic topic = input_record_topic(record);
  const struct avro_schema *const schema = schemas_reader(encoder->schemas, record)->schema;
  const bool is_alone = topic_record_count(topic) == 1;
  snprintf(subject, REGISTRY_SUBJECT_SIZE, "%s-%s", topic_name(topic),
           is_alone ? "value" : schema->nodes[schema->root].name);
}

/* The id of the record's schema as the registry gives it. */
static enum status register_record(struct input_encoder *encoder, enum input_record record,
                                   struct error *error) {
  char subject[REGISTRY_SUBJECT_SIZE];
  enum status status = STATUS_OK;
  if (encoder->registry == NULL) {
    status = registry_of_config(encoder->config, NULL, NULL, &encoder->registry, error);
  }
  if (status == STATUS_OK) {
    registry_subject(encoder, record, subject);
    status = registry_register_patiently(encoder->registry, encoder->config, encoder->schemas,
                                         subject, schemas_reader(encoder->schemas, record),
                                         &encoder->ids[record], error);
  }
  return status;
}

/* With Confluent framing a value names its schema by id: the registry's, or the lowest one under
 * which the directory has exactly ours. */
static enum status choose_framing(struct input_encoder *encoder, enum input_record record,
                                  struct error *error) {
  const struct config *const config = encoder->config;
  enum status status = STATUS_OK;
  if (encoder->is_framing_known[record]) {
    return STATUS_OK;
  }
  encoder->ids[record] = SCHEMA_ID_NONE;
  if (config->schemas.registry_url[0] != '\0') {
    status = register_record(encoder, record, error);
  } else if (config->kafka.framing == FRAMING_CONFLUENT) {
    const struct writer *const ours = schemas_reader(encoder->schemas, record);
    encoder->ids[record] = schemas_id_of(encoder->schemas, ours);
    if (encoder->ids[record] == SCHEMA_ID_NONE) {
      status = error_set(error, STATUS_CONFIG,
                         "Confluent's framing needs the id of %s: put the schema into "
                         "schemas.directory as <id>.avsc, or set schemas.registry_url",
                         ours->source);
    }
  }
  encoder->is_framing_known[record] = status == STATUS_OK;
  return status;
}

/* ---- Values ---- */

/* As `run` will see it. */
static enum status check(const struct input_encoder *encoder, enum input_record record,
                         struct encoded_input *encoded, struct error *error) {
  struct reject reject;
  const enum topic topic = input_record_topic(record);
  if (!decode(encoder->schemas, topic, span_of(encoded->data, encoded->size), &encoded->event,
              &reject) ||
      (record == INPUT_POLICY && !policy_store_take(&encoded->event.policy, &reject))) {
    return error_set(error, STATUS_REFUSED, "%s", reject.text);
  }
  encoded->key =
      topic == TOPIC_CONTROL ? span_text(input_record_name(record)) : encoded->event.serial;
  const int64_t whole_size = (int64_t)(encoded->size + encoded->key.size);
  return whole_size <= encoder->config->kafka.message_bytes_max
             ? STATUS_OK
             : error_set(error, STATUS_REFUSED,
                         "%" PRId64 " bytes, more than kafka.message_bytes_max", whole_size);
}

enum status input_encode(struct input_encoder *encoder, enum input_record record,
                         const struct json_t *fields, struct encoded_input *encoded,
                         struct error *error) {
  *encoded = (struct encoded_input){0};
  enum status status = choose_framing(encoder, record, error);
  if (status == STATUS_OK) {
    status = avro_json_to_value(schemas_reader(encoder->schemas, record), encoder->ids[record],
                                fields, &encoded->data, &encoded->size, error);
  }
  if (status == STATUS_OK) {
    status = check(encoder, record, encoded, error);
    if (status != STATUS_OK) {
      free(encoded->data);
      encoded->data = NULL;
    }
  }
  return status;
}
