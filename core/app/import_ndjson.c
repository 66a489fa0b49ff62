#include "core/app/import_ndjson.h"

#include <jansson.h>
#include <string.h>

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

/* What tells a record of the control topic from the others, where it is not named. */
static const char *const telling_fields[INPUT_RECORD_COUNT] = {
    [INPUT_POLICY] = "hash", [INPUT_ROLE] = "role",
    [INPUT_TENANT] = "kind", [INPUT_PROFILE_REVISION] = "revision",
    [INPUT_GROUP] = "group", /* a StateRequest has none: it must be named */
};

static enum status read_record(const json_t *object, const json_t *fields, enum topic topic,
                               enum input_record *record, struct error *error) {
  const enum input_record first = topic_first_record(topic);
  const uint32_t count = topic_record_count(topic);
  const struct span name = import_text(object, "record");
  for (*record = first; *record < first + count; (*record)++) {
    const bool is_it =
        name.size > 0 ? span_equal(name, span_text(input_record_name(*record)))
                      : count == 1 || (telling_fields[*record] != NULL &&
                                       json_object_get(fields, telling_fields[*record]) != NULL);
    if (is_it) {
      return STATUS_OK;
    }
  }
  return error_set(error, STATUS_REFUSED,
                   name.size > 0
                       ? "record: %s has none of that name"
                       : "record: missing, and the fields do not tell which of %s's it is",
                   topic_name(topic));
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
  static const char *const envelope[] = {"topic",     "timestamp", "value",   "key",
                                         "partition", "offset",    "headers", "record"};
  json_t *const value = json_object_get(object, "value");
  if (value == NULL) {
    json_object_del(object, "topic");
    json_object_del(object, "timestamp");
    json_object_del(object, "record");
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

enum status ndjson_convert(struct span line, const char *topic_prefix, int64_t now_ms,
                           struct import_message *message, struct error *error) {
  json_error_t where;
  json_t *const object =
      json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &where);
  if (object == NULL) {
    return error_set(error, STATUS_REFUSED, "not JSON: %s, at byte %d", where.text, where.position);
  }
  enum topic topic = TOPIC_COUNT;
  enum status status = json_is_object(object)
                           ? read_topic(object, topic_prefix, &topic, error)
                           : error_set(error, STATUS_REFUSED, "not a JSON object");
  if (status == STATUS_OK) {
    const json_t *const value = json_object_get(object, "value");
    status = read_record(object, value != NULL ? value : object, topic, &message->record, error);
  }
  if (status == STATUS_OK) {
    status = read_timestamp(object, now_ms, &message->timestamp_ms, error);
  }
  if (status == STATUS_OK) {
    status = read_fields(object, &message->value, error);
  }
  if (status == STATUS_OK) {
    import_put_missing(message->value, message->timestamp_ms);
  }
  json_decref(object);
  return status;
}
