#include "core/app/environment.h"

#include "consumers/schemas.h"
#include "core/app/policy_shipped.h"
#include "core/app/text.h"
#include "core/lane.h"

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

void environment_key_id(struct span key, char text[KEY_ID_SIZE]) {
  static const char domain[] = "muster subject key id";
  uint8_t digest[DIGEST_SIZE];
  uint8_t bytes[sizeof domain + DIGEST_SIZE];
  memcpy(bytes, domain, sizeof domain);
  digest_of(key, bytes + sizeof domain);
  digest_of(span_of(bytes, sizeof bytes), digest);
  hex_format(digest, 8, text);
}

/* Of lower-case hex, as it is written. */
static bool subject_parse(const char *text, uint8_t subject[SUBJECT_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  if (text == NULL || strlen(text) != 2 * SUBJECT_SIZE || strspn(text, digits) != strlen(text)) {
    return false;
  }
  for (size_t i = 0; i < SUBJECT_SIZE; i++) {
    const char *high = strchr(digits, text[2 * i]);
    const char *low = strchr(digits, text[2 * i + 1]);
    subject[i] = (uint8_t)((high - digits) << 4 | (low - digits));
  }
  return true;
}

void environment_set_admins(struct span content, struct lane *lane) {
  json_t *const environment = json_loadb((const char *)content.data, content.size, 0, NULL);
  const json_t *admins = json_object_get(environment, "bootstrap_admins");
  uint8_t *const subjects = calloc(json_array_size(admins) + 1, SUBJECT_SIZE);
  assert(subjects != NULL);
  uint32_t count = 0;
  for (size_t i = 0; i < json_array_size(admins); i++) {
    count += subject_parse(json_string_value(json_array_get(admins, i)),
                           subjects + (size_t)count * SUBJECT_SIZE);
  }
  control_set_bootstrap(&lane->control, &lane->memory, subjects, count);
  free(subjects);
  json_decref(environment);
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
  char key[KEY_ID_SIZE];
  environment_key_id(environment->subject_key, key);
  json_t *content = json_pack(
      "{s:i, s:i, s:I, s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:o, s:s, s:o, s:o}", "decision_version",
      DECISION_VERSION, "lane_count", (int)environment->lane_count, "message_bytes_max",
      (json_int_t)config->kafka.message_bytes_max, "partitioner",
      partitioner_name(config->kafka.partitioner), "policy", policy_default()->version,
      "topic_prefix", config->kafka.topic_prefix, "cloudevents", config->kafka.cloudevents,
      "confluent_framing", environment_is_confluent(config), "schemas", names, "subject_key_id",
      key, "bootstrap_admins", admin_subjects(config, environment->subject_key), "registry_url",
      registry, "output_ids", ids_json(environment), "fetched",
      fetched == NULL ? json_object() : json_deep_copy(fetched));
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

/* False: `ids` has none for that record with our present schema. */
static bool recall_id(const json_t *ids, uint32_t record, const struct writer *writer,
                      int64_t *id) {
  const json_t *of = json_object_get(ids, record_name(record));
  const char *fingerprint = json_string_value(json_object_get(of, "fingerprint"));
  char expected[17];
  fingerprint_format(writer, expected);
  *id = (int64_t)json_integer_value(json_object_get(of, "id"));
  return fingerprint != NULL && strcmp(fingerprint, expected) == 0 &&
         json_is_integer(json_object_get(of, "id"));
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
    is_whole = recall_id(json_object_get(recorded, "output_ids"), record, writer, &ids->of[record]);
  }
  json_decref(recorded);
  return is_whole;
}

bool environment_schema_id(const char *key, uint32_t *id) {
  char *end;
  const unsigned long value = strtoul(key, &end, 10);
  *id = (uint32_t)value;
  return key[0] >= '0' && key[0] <= '9' && *end == '\0' && value <= UINT32_MAX;
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
  settings->schemas.registry_url = (char *)(uintptr_t) ""; /* what it said stands in the record */
}

/* False, with the reason why `name` cannot be taken over. */
static bool refuse(char reason[ENVIRONMENT_REASON_SIZE], const char *what, const char *name,
                   const char *why) {
  snprintf(reason, ENVIRONMENT_REASON_SIZE, "%s %.40s cannot be taken over: %.150s", what, name,
           why);
  return false;
}

/* The ids that our schemas had, under which their records are found and written. */
static bool take_ids(const json_t *content, struct recorded_environment *recorded,
                     char reason[ENVIRONMENT_REASON_SIZE]) {
  const bool is_confluent = environment_is_confluent(&recorded->settings);
  const json_t *ids = json_object_get(content, "output_ids");
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const struct writer *writer = writer_of(recorded->schemas, record);
    recorded->ids.of[record] = SCHEMA_ID_NONE;
    if (writer == NULL || !is_confluent) {
      continue;
    }
    if (!recall_id(ids, record, writer, &recorded->ids.of[record])) {
      return refuse(reason, "the id of our schema", record_name(record),
                    "there is none, or it is of another version of the schema");
    }
    struct error error;
    if (schemas_put(recorded->schemas, recorded->ids.of[record], writer->source,
                    schemas_own_text(writer), &error) != STATUS_OK) {
      return refuse(reason, "the id of our schema", record_name(record), error.text);
    }
  }
  return true;
}

/* The schemas that a registry had. */
static bool take_fetched(const json_t *content, struct recorded_environment *recorded,
                         char reason[ENVIRONMENT_REASON_SIZE]) {
  const char *key;
  json_t *value;
  json_object_foreach(json_object_get(content, "fetched"), key, value) {
    struct error error = {.text = "not a text under an id"};
    uint32_t id;
    if (!json_is_string(value) || !environment_schema_id(key, &id) ||
        schemas_put(recorded->schemas, id, "the record",
                    span_of(json_string_value(value), json_string_length(value)),
                    &error) != STATUS_OK) {
      return refuse(reason, "the fetched schema", key, error.text);
    }
  }
  return true;
}

/* What says nothing about how this program decides: who may, and under which key; and what is taken
 * over, which shows in the schemas then known. */
static bool is_not_compared(const char *name) {
  static const char *const names[] = {"subject_key_id", "bootstrap_admins", "registry_url",
                                      "output_ids", "fetched"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    if (strcmp(name, names[i]) == 0) {
      return true;
    }
  }
  return false;
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
    if (!is_not_compared(name) && json_object_get(now, name) == NULL) {
      return same_member(name, value, NULL, reason);
    }
  }
  return true;
}

/* Whether this program, with what was taken over, is in the environment that is recorded. */
static bool is_same(const json_t *then, const struct environment *own,
                    const struct recorded_environment *recorded,
                    char reason[ENVIRONMENT_REASON_SIZE]) {
  const struct environment as_recorded = {
      .config = &recorded->settings,
      .schemas = recorded->schemas,
      .ids = recorded->ids,
      .lane_count = own->lane_count,
      .subject_key = span_of("", 0), /* which is told apart by its id */
  };
  uint8_t unused[DIGEST_SIZE];
  char *const text =
      environment_text(&as_recorded, recorded->schemas, json_object_get(then, "fetched"), unused);
  json_t *const now = json_loads(text, 0, NULL);
  const bool is_same = same_members(then, now, reason);
  free(text);
  json_decref(now);
  return is_same;
}

bool environment_read(struct span content, const struct environment *own,
                      struct recorded_environment *recorded, char reason[ENVIRONMENT_REASON_SIZE]) {
  json_t *const then = json_loadb((const char *)content.data, content.size, 0, NULL);
  *recorded = (struct recorded_environment){.settings = *own->config};
  if (!json_is_object(then)) {
    snprintf(reason, ENVIRONMENT_REASON_SIZE, "its environment is no JSON object");
    json_decref(then);
    return false;
  }
  const char *const key = json_string_value(json_object_get(then, "subject_key_id"));
  snprintf(recorded->key_id, KEY_ID_SIZE, "%s", key == NULL ? "" : key);
  take_settings(then, &recorded->settings);
  recorded->schemas = schemas_derive(own->schemas);
  const bool is_ours = take_ids(then, recorded, reason) && take_fetched(then, recorded, reason) &&
                       is_same(then, own, recorded, reason);
  json_decref(then);
  if (!is_ours) {
    recorded_environment_fini(recorded);
  }
  return is_ours;
}

void recorded_environment_fini(struct recorded_environment *recorded) {
  schemas_close(recorded->schemas);
  recorded->schemas = NULL;
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
