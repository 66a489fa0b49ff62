#include "core/app/import_ndjson.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

static enum status read_topic(const json_t *object, const char *prefix, enum topic *topic,
                              struct error *error) {
  struct span name = import_text(object, "topic");
  if (name.size == 0) {
    return error_set(error, STATUS_REFUSED, "topic: missing");
  }
  const size_t prefix_size = strlen(prefix);
  if (name.size > prefix_size && memcmp(name.data, prefix, prefix_size) == 0) {
    name = span_of(name.data + prefix_size, name.size - prefix_size);
  }
  for (*topic = 0; *topic < TOPIC_COUNT; (*topic)++) {
    if (span_equal(name, span_text(topic_name(*topic)))) {
      return STATUS_OK;
    }
  }
  return error_set(error, STATUS_REFUSED, "topic: \"%.*s\" is no input topic",
                   (int)(name.size < 80 ? name.size : 80), (const char *)name.data);
}

static enum status read_timestamp(const json_t *object, int64_t now_ms, int64_t *timestamp_ms,
                                  struct error *error) {
  const json_t *const value = json_object_get(object, "timestamp");
  *timestamp_ms = now_ms;
  if (value == NULL || json_is_null(value)) {
    return STATUS_OK;
  }
  if (!import_time(value, timestamp_ms)) {
    return error_set(error, STATUS_REFUSED, "timestamp: neither milliseconds nor RFC 3339");
  }
  if (*timestamp_ms == -1) { /* how a message without a stamp is printed */
    *timestamp_ms = now_ms;
  }
  /* 0 is the one instant that cannot be sent: to Kafka's clients it means now. */
  if (*timestamp_ms <= EVENT_TIME_MIN_MS || *timestamp_ms > EVENT_TIME_MAX_MS) {
    return error_set(error, STATUS_REFUSED, "timestamp: not within the years 1970 to 9999");
  }
  return STATUS_OK;
}

/* The fields: those under "value", or all but what says where they go. Takes nothing from
 * `object`, which loses its members. */
static enum status read_fields(json_t *object, json_t **fields, struct error *error) {
  static const char *const envelope[] = {"topic",     "timestamp", "value",  "key",
                                         "partition", "offset",    "headers"};
  json_t *const value = json_object_get(object, "value");
  if (value == NULL) {
    json_object_del(object, "topic");
    json_object_del(object, "timestamp");
    *fields = json_incref(object);
    return STATUS_OK;
  }
  if (!json_is_object(value)) {
    return error_set(error, STATUS_REFUSED, "value: not an object of the topic's fields");
  }
  const char *name;
  json_t *member;
  json_object_foreach(object, name, member) {
    bool is_known = false;
    for (size_t i = 0; i < COUNT_OF(envelope); i++) {
      is_known |= strcmp(name, envelope[i]) == 0;
    }
    if (!is_known) {
      return error_set(error, STATUS_REFUSED, "%.80s: unknown beside \"value\"", name);
    }
  }
  *fields = json_incref(value);
  return STATUS_OK;
}

/* libuuid's own random ids cost more than all the rest of a line: they ask the kernel each. */
static void random_uuid(uuid_t uuid) {
  static uint8_t pool[256]; /* what one getentropy gives at most */
  static size_t used = sizeof pool;
  if (used == sizeof pool) {
    const int failed = getentropy(pool, sizeof pool);
    assert(failed == 0);
    (void)failed;
    used = 0;
  }
  memcpy(uuid, pool + used, sizeof(uuid_t));
  used += sizeof(uuid_t);
  uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* version 4 */
  uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* variant 1 */
}

static void put_missing(json_t *fields, int64_t timestamp_ms) {
  const json_t *const event_id = json_object_get(fields, "event_id");
  if (event_id == NULL || json_is_null(event_id)) {
    uuid_t uuid;
    char text[UUID_STR_LEN];
    random_uuid(uuid);
    uuid_unparse_lower(uuid, text);
    json_object_set_new(fields, "event_id", json_string(text));
  }
  const json_t *const occurred_at = json_object_get(fields, "occurred_at");
  if (occurred_at == NULL || json_is_null(occurred_at)) {
    json_object_set_new(fields, "occurred_at", json_integer(timestamp_ms));
  }
}

enum status ndjson_convert(struct span line, const char *topic_prefix, int64_t now_ms,
                           struct import_message *message, struct error *error) {
  json_error_t where;
  json_t *const object =
      json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &where);
  if (object == NULL) {
    return error_set(error, STATUS_REFUSED, "not JSON: %s, at byte %d", where.text, where.position);
  }
  enum status status = json_is_object(object)
                           ? read_topic(object, topic_prefix, &message->topic, error)
                           : error_set(error, STATUS_REFUSED, "not a JSON object");
  if (status == STATUS_OK) {
    status = read_timestamp(object, now_ms, &message->timestamp_ms, error);
  }
  if (status == STATUS_OK) {
    status = read_fields(object, &message->value, error);
  }
  if (status == STATUS_OK) {
    put_missing(message->value, message->timestamp_ms);
  }
  json_decref(object);
  return status;
}
