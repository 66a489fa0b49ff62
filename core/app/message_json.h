/* A Kafka message, or a part of one, as JSON for people and their tools. */
#ifndef MUSTER_APP_MESSAGE_JSON_H
#define MUSTER_APP_MESSAGE_JSON_H

#include "consumers/schemas.h"

struct json_t;             /* jansson's value */
struct rd_kafka_message_s; /* rd_kafka_message_t in the files that include librdkafka */

/* Bytes that may be a text: a text when they are UTF-8, else {"base64": "…"}; null for no
 * data. The caller owns what is returned here. */
struct json_t *json_of_bytes(struct span bytes) MUST_USE;

/* The value under its writer's schema, in either framing; {"base64": "…"} when it cannot be read
 * so, null when it is null. */
struct json_t *json_of_value(const struct schemas *schemas, struct span value) MUST_USE;

/* Headers by name: a text each, and an array of texts for a repeated one, in their order. */
struct json_t *json_of_headers(const struct rd_kafka_message_s *message) MUST_USE;

/* {"topic","partition","offset","timestamp","key","headers","value"}; the timestamp in
 * milliseconds since 1970 UTC, -1 when there is none. */
struct json_t *json_of_message(const struct schemas *schemas,
                               const struct rd_kafka_message_s *message) MUST_USE;

/* Turns the times of a decoded record, milliseconds there, into texts, as the views have them. */
void message_json_times(struct json_t *record);

/* The newest header of that name; a span of no data when there is none, or it is null. */
struct span message_header(const struct rd_kafka_message_s *message, const char *name);

#endif
