#include "core/app/message_json.h"

#include "consumers/avro_json.h"
#include "consumers/base64.h"
#include "core/time_text.h"

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

static json_t *json_of_base64(struct span bytes) {
  char *const text = base64_text(bytes);
  json_t *const json = json_pack("{s:s}", "base64", text);
  free(text);
  return json;
}

struct json_t *json_of_bytes(struct span bytes) {
  if (bytes.data == NULL) {
    return json_null();
  }
  json_t *const text = json_stringn((const char *)bytes.data, bytes.size);
  return text != NULL ? text : json_of_base64(bytes); /* no text: it is not UTF-8 */
}

struct json_t *json_of_value(const struct schemas *schemas, struct span value) {
  if (value.data == NULL) {
    return json_null();
  }
  struct reject reject;
  json_t *const json = avro_json_of_value(schemas, value, &reject);
  return json != NULL ? json : json_of_base64(value);
}

struct json_t *json_of_headers(const struct rd_kafka_message_s *message) {
  json_t *const object = json_object();
  rd_kafka_headers_t *headers;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return object;
  }
  const char *name;
  const void *data;
  size_t size;
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &data, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       i++) {
    json_t *const value = json_of_bytes(span_of(data, size));
    json_t *const before = json_object_get(object, name);
    if (before == NULL) {
      if (json_object_set_new(object, name, value) != 0) {
        json_object_set_new_nocheck(object, "?", json_of_bytes(span_of(data, size)));
      }
    } else if (json_is_array(before)) {
      json_array_append_new(before, value);
    } else {
      json_object_set_new(object, name, json_pack("[O, o]", before, value));
    }
  }
  return object;
}

static struct span key_of(const rd_kafka_message_t *message) {
  return span_of(message->key, message->key_len);
}

struct json_t *json_of_message(const struct schemas *schemas,
                               const struct rd_kafka_message_s *message) {
  rd_kafka_timestamp_type_t type;
  return json_pack("{s:s, s:i, s:I, s:I, s:o, s:o, s:o}", "topic",
                   rd_kafka_topic_name(message->rkt), "partition", (int)message->partition,
                   "offset", (json_int_t)message->offset, "timestamp",
                   (json_int_t)rd_kafka_message_timestamp(message, &type), "key",
                   json_of_bytes(key_of(message)), "headers", json_of_headers(message), "value",
                   json_of_value(schemas, span_of(message->payload, message->len)));
}

struct span message_header(const struct rd_kafka_message_s *message, const char *name) {
  rd_kafka_headers_t *headers;
  const void *data = NULL;
  size_t size = 0;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, name, &data, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return span_of(NULL, 0);
  }
  return span_of(data, size);
}

void message_json_times(json_t *record) {
  static const char *const names[] = {"at", "noncompliant_since", "overdue_since", "last_sync_at"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const json_t *at = json_object_get(record, names[i]);
    if (json_is_integer(at)) {
      char text[TIME_TEXT_SIZE];
      time_format(json_integer_value(at), text);
      json_object_set_new(record, names[i], json_string(text));
    }
  }
}
