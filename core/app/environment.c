#include "core/app/environment.h"

#include "consumers/schemas.h"
#include "core/app/policy_shipped.h"

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

void environment_key_id(struct span key, char text[KEY_ID_SIZE]) {
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

char *environment_text(const struct config *config, const struct schemas *schemas,
                       uint32_t lane_count, struct span subject_key, uint8_t digest[DIGEST_SIZE]) {
  char *known = schemas_text(schemas);
  char key[KEY_ID_SIZE];
  environment_key_id(subject_key, key);
  json_t *content = json_pack(
      "{s:i, s:i, s:I, s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:o}", "decision_version",
      DECISION_VERSION, "lane_count", (int)lane_count, "message_bytes_max",
      (json_int_t)config->kafka.message_bytes_max, "partitioner",
      partitioner_name(config->kafka.partitioner), "policy", policy_default()->version,
      "topic_prefix", config->kafka.topic_prefix, "cloudevents", config->kafka.cloudevents,
      "confluent_framing", config->kafka.framing == FRAMING_CONFLUENT, "schemas", known,
      "subject_key_id", key, "bootstrap_admins", admin_subjects(config, subject_key));
  char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
  assert(text != NULL);
  json_decref(content);
  free(known);
  digest_of(span_text(text), digest);
  return text;
}

/* Takes over what was set then; a name that is not known stays as it is, and differs. */
static void take_settings(const json_t *content, struct config *settings) {
  const char *partitioner = json_string_value(json_object_get(content, "partitioner"));
  for (int i = PARTITIONER_MURMUR2; partitioner != NULL && i <= PARTITIONER_FNV1A; i++) {
    if (strcmp(partitioner, partitioner_name((enum partitioner)i)) == 0) {
      settings->kafka.partitioner = (enum partitioner)i;
    }
  }
  settings->kafka.message_bytes_max =
      json_integer_value(json_object_get(content, "message_bytes_max"));
  settings->kafka.cloudevents = json_is_true(json_object_get(content, "cloudevents"));
  settings->kafka.framing = json_is_true(json_object_get(content, "confluent_framing"))
                                ? FRAMING_CONFLUENT
                                : FRAMING_SINGLE_OBJECT;
}

/* What says nothing about how this program decides: who may, and under which key. */
static bool is_not_compared(const char *name) {
  return strcmp(name, "subject_key_id") == 0 || strcmp(name, "bootstrap_admins") == 0;
}

static bool same_member(const char *name, const json_t *then, const json_t *now,
                        char reason[ENVIRONMENT_REASON_SIZE]) {
  if (then != NULL && now != NULL && json_equal(then, now)) {
    return true;
  }
  if (strcmp(name, "schemas") == 0) {
    snprintf(reason, ENVIRONMENT_REASON_SIZE,
             "other schemas were known then; set schemas.directory to those of that time");
    return false;
  }
  char *const then_text = then == NULL ? NULL : json_dumps(then, JSON_ENCODE_ANY);
  char *const now_text = now == NULL ? NULL : json_dumps(now, JSON_ENCODE_ANY);
  snprintf(reason, ENVIRONMENT_REASON_SIZE, "%.40s was %.60s, is %.60s here", name,
           then_text == NULL ? "nothing" : then_text, now_text == NULL ? "nothing" : now_text);
  free(then_text);
  free(now_text);
  return false;
}

static bool same_members(const json_t *then, const json_t *now,
                         char reason[ENVIRONMENT_REASON_SIZE]) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)now, name, value) {
    if (!is_not_compared(name) && !same_member(name, json_object_get(then, name), value, reason)) {
      return false;
    }
  }
  json_object_foreach((json_t *)(uintptr_t)then, name, value) {
    if (json_object_get(now, name) == NULL) {
      return same_member(name, value, NULL, reason);
    }
  }
  return true;
}

bool environment_read(struct span content, const struct config *config,
                      const struct schemas *schemas, uint32_t lane_count, struct config *settings,
                      char key_id[KEY_ID_SIZE], char reason[ENVIRONMENT_REASON_SIZE]) {
  json_t *const then = json_loadb((const char *)content.data, content.size, 0, NULL);
  if (!json_is_object(then)) {
    snprintf(reason, ENVIRONMENT_REASON_SIZE, "its environment is no JSON object");
    json_decref(then);
    return false;
  }
  *settings = *config;
  take_settings(then, settings);
  uint8_t unused[DIGEST_SIZE];
  char *const text = environment_text(settings, schemas, lane_count, span_of("", 0), unused);
  json_t *const now = json_loads(text, 0, NULL);
  const bool is_ours = same_members(then, now, reason);
  const char *const key = json_string_value(json_object_get(then, "subject_key_id"));
  snprintf(key_id, KEY_ID_SIZE, "%s", key == NULL ? "" : key);
  free(text);
  json_decref(now);
  json_decref(then);
  return is_ours;
}

enum status environment_frames(const struct config *config, const struct schemas *schemas,
                               struct frames *frames, struct error *error) {
  *frames = (struct frames){0};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const char *name = record_name(record);
    if (record == RESULT_DEAD_LETTER) {
      continue; /* goes as it came */
    }
    const struct writer *ours = schemas_find_own(schemas, name);
    assert(ours != NULL);
    uint8_t *bytes = frames->of[record].bytes;
    if (config->kafka.framing == FRAMING_SINGLE_OBJECT) {
      bytes[0] = 0xc3;
      bytes[1] = 0x01;
      for (size_t i = 0; i < 8; i++) {
        bytes[2 + i] = (uint8_t)(ours->fingerprint >> (8 * i));
      }
      frames->of[record].size = 10;
      continue;
    }
    const int64_t id = schemas_id_of(schemas, ours);
    if (id == SCHEMA_ID_NONE) {
      return error_set(error, STATUS_CONFIG,
                       "Confluent's framing needs the id of %s: put the schema into "
                       "schemas.directory as <id>.avsc",
                       ours->source);
    }
    bytes[0] = 0;
    for (size_t i = 0; i < 4; i++) {
      bytes[1 + i] = (uint8_t)(id >> (8 * (3 - i)));
    }
    frames->of[record].size = 5;
  }
  return STATUS_OK;
}
