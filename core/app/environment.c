#include "core/app/environment.h"

#include "consumers/schemas.h"
#include "core/app/text.h"
#include "core/policy.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *partitioner_name(enum partitioner partitioner) {
  switch (partitioner) {
  case PARTITIONER_MURMUR2:
    return "murmur2";
  case PARTITIONER_CRC32:
    return "crc32";
  case PARTITIONER_FNV1A:
    return "fnv1a";
  }
  assert(false);
  return NULL;
}

/* Tells keys apart without telling anything about them. */
static void key_id(struct span key, char text[17]) {
  static const char domain[] = "muster subject key id";
  uint8_t digest[DIGEST_SIZE];
  uint8_t bytes[sizeof domain + DIGEST_SIZE];
  memcpy(bytes, domain, sizeof domain);
  digest_of(key, bytes + sizeof domain);
  digest_of(span_of(bytes, sizeof bytes), digest);
  hex_format(digest, 8, text);
}

static json_t *admin_subjects(const struct config *config, struct span subject_key) {
  json_t *subjects = json_array();
  for (size_t i = 0; i < config->roles.bootstrap_admins.count; i++) {
    const struct span email = span_text(config->roles.bootstrap_admins.items[i]);
    uint8_t lowered[USER_EMAIL_SIZE_MAX];
    uint8_t subject[SUBJECT_SIZE];
    char text[2 * SUBJECT_SIZE + 1];
    const size_t size = email.size < sizeof lowered ? email.size : sizeof lowered;
    for (size_t j = 0; j < size; j++) {
      const uint8_t byte = email.data[j];
      lowered[j] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
    }
    subject_of(subject_key, span_of(lowered, size), subject);
    hex_format(subject, sizeof subject, text);
    json_array_append_new(subjects, json_string(text));
  }
  return subjects;
}

bool environment_is_confluent(const struct config *config) {
  return config->kafka.framing == FRAMING_CONFLUENT || config->schemas.registry_url[0] != '\0';
}

/* NULL for a dead letter, which goes as it came. */
static const struct writer *writer_of(const struct schemas *schemas, uint32_t record) {
  return record == RESULT_DEAD_LETTER ? NULL : schemas_find_own(schemas, record_name(record));
}

static void fingerprint_format(const struct writer *writer, char text[17]) {
  snprintf(text, 17, "%016" PRIx64, writer->fingerprint);
}

/* {"Device": {"fingerprint": "…", "id": 12}, …}; empty with single objects. */
static json_t *ids_json(const struct environment *environment) {
  json_t *ids = json_object();
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const struct writer *writer = writer_of(environment->schemas, record);
    if (writer != NULL && environment->ids.of[record] != SCHEMA_ID_NONE) {
      char fingerprint[17];
      fingerprint_format(writer, fingerprint);
      json_object_set_new(ids, record_name(record),
                          json_pack("{s:s, s:I}", "fingerprint", fingerprint, "id",
                                    (json_int_t)environment->ids.of[record]));
    }
  }
  return ids;
}

char *environment_text(const struct environment *environment, const struct schemas *known,
                       const struct json_t *fetched, uint8_t digest[DIGEST_SIZE]) {
  const struct config *config = environment->config;
  char *names = schemas_text(known);
  char *registry = url_shown(config->schemas.registry_url);
  char key[17];
  key_id(environment->subject_key, key);
  json_t *content = json_pack(
      "{s:i, s:i, s:I, s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:o, s:s, s:o, s:o}", "decision_version",
      DECISION_VERSION, "lane_count", (int)environment->lane_count, "message_bytes_max",
      (json_int_t)config->kafka.message_bytes_max, "partitioner",
      partitioner_name(config->kafka.partitioner), "policy", policy_default()->version,
      "topic_prefix", config->kafka.topic_prefix, "cloudevents", config->kafka.cloudevents,
      "confluent_framing", environment_is_confluent(config), "schemas", names, "subject_key_id",
      key, "bootstrap_admins", admin_subjects(config, environment->subject_key), "registry_url",
      registry, "output_ids", ids_json(environment), "fetched", json_deep_copy(fetched));
  char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
  assert(text != NULL);
  json_decref(content);
  free(names);
  free(registry);
  digest_of(span_text(text), digest);
  return text;
}

enum status environment_ids(const struct config *config, const struct schemas *schemas,
                            struct output_ids *ids, struct error *error) {
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const struct writer *writer = writer_of(schemas, record);
    ids->of[record] = SCHEMA_ID_NONE;
    if (writer == NULL || !environment_is_confluent(config)) {
      continue;
    }
    ids->of[record] = schemas_id_of(schemas, writer);
    if (ids->of[record] == SCHEMA_ID_NONE) {
      return error_set(error, STATUS_CONFIG,
                       "Confluent's framing needs the id of %s: put the schema into "
                       "schemas.directory as <id>.avsc, or set schemas.registry_url",
                       writer->source);
    }
  }
  return STATUS_OK;
}

bool environment_recall_ids(const struct config *config, const struct schemas *schemas,
                            struct span content, struct output_ids *ids) {
  json_t *recorded = json_loadb((const char *)content.data, content.size, 0, NULL);
  const char *url = json_string_value(json_object_get(recorded, "registry_url"));
  char *present = url_shown(config->schemas.registry_url);
  bool is_whole = url != NULL && strcmp(url, present) == 0;
  free(present);
  for (uint32_t record = 0; record < RECORD_COUNT && is_whole; record++) {
    const struct writer *writer = writer_of(schemas, record);
    ids->of[record] = SCHEMA_ID_NONE;
    if (writer == NULL) {
      continue;
    }
    const json_t *of =
        json_object_get(json_object_get(recorded, "output_ids"), record_name(record));
    const char *fingerprint = json_string_value(json_object_get(of, "fingerprint"));
    char expected[17];
    fingerprint_format(writer, expected);
    is_whole = fingerprint != NULL && strcmp(fingerprint, expected) == 0 &&
               json_is_integer(json_object_get(of, "id"));
    ids->of[record] = (int64_t)json_integer_value(json_object_get(of, "id"));
  }
  json_decref(recorded);
  return is_whole;
}

void environment_frames(const struct schemas *schemas, const struct output_ids *ids,
                        struct frames *frames) {
  *frames = (struct frames){0};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const struct writer *writer = writer_of(schemas, record);
    uint8_t *bytes = frames->of[record].bytes;
    if (writer == NULL) {
      continue;
    }
    if (ids->of[record] == SCHEMA_ID_NONE) {
      bytes[0] = 0xc3;
      bytes[1] = 0x01;
      for (size_t i = 0; i < 8; i++) {
        bytes[2 + i] = (uint8_t)(writer->fingerprint >> (8 * i));
      }
      frames->of[record].size = 10;
      continue;
    }
    bytes[0] = 0;
    for (size_t i = 0; i < 4; i++) {
      bytes[1 + i] = (uint8_t)(ids->of[record] >> (8 * (3 - i)));
    }
    frames->of[record].size = 5;
  }
}
