/* Avro bytes as JSON and back, for people and their tools: slow, general and bounded.
 *
 * Unions are bare, bytes and fixed are base64, enums are texts, records are objects in the
 * order of their fields, times are integers (and, on the way in, RFC 3339 texts too);
 * numbers that JSON does not have are the texts "NaN", "Infinity" and "-Infinity". */
#ifndef MUSTER_CONSUMERS_AVRO_JSON_H
#define MUSTER_CONSUMERS_AVRO_JSON_H

#include "consumers/schemas.h"

struct json_t; /* jansson's value */

enum { AVRO_JSON_VALUES_MAX = 1 << 20 }; /* of one message, the nested ones included */

/* A body under its writer's schema; the caller owns the reference. NULL: `reject` says what
 * is wrong with the bytes, trailing ones included. */
struct json_t *avro_json_of_body(const struct avro_schema *schema, struct span body,
                                 struct reject *reject) MUST_USE;

/* The same for a message's value in either framing, under any schema that is known. */
struct json_t *avro_json_of_value(const struct schemas *schemas, struct span value,
                                  struct reject *reject) MUST_USE;

/* The same for a record of ours, written with `writer`: under an id that is not known, too, since a
 * registry may have given it. */
struct json_t *avro_json_of_ours(const struct schemas *schemas, const struct writer *writer,
                                 struct span value, struct reject *reject) MUST_USE;

/* Encodes `object` under `writer`, a record, framed as an Avro single object, or in
 * Confluent's format under `id` unless that is SCHEMA_ID_NONE. Fields that are left out take
 * their defaults; enums are taken in any case. On STATUS_OK the caller frees `*data`.
 * STATUS_REFUSED names the field and what it allows, never the value. */
enum status avro_json_to_value(const struct writer *writer, int64_t id, const struct json_t *object,
                               uint8_t **data, size_t *size, struct error *error) MUST_USE;

#endif
