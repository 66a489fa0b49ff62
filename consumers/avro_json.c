#include "consumers/avro_json.h"
#include "consumers/avro_bytes.h"
#include "consumers/base64.h"
#include "consumers/decode.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

struct reading {
  const struct avro_schema *schema;
  struct bytes bytes;
  const uint8_t *value_at;
  const char *field; /* the innermost */
  const char *reason;
  uint32_t depth;
  uint32_t items_left;
  uint32_t values_left;
};

static json_t *read_node(struct reading *reading, uint32_t index);

/* Keeps the first reason; answers whether there is none. */
static bool is_good(struct reading *reading, const char *reason) {
  if (reading->reason == NULL) {
    reading->reason = reason;
  }
  return reading->reason == NULL;
}

static json_t *read_record(struct reading *reading, const struct avro_node *node) {
  json_t *const object = json_object();
  const char *const outer = reading->field;
  for (uint32_t i = 0; i < node->count && reading->reason == NULL; i++) {
    const struct avro_field *const field = &reading->schema->fields[node->first + i];
    reading->field = field->name;
    json_object_set_new_nocheck(object, field->name, read_node(reading, field->node));
  }
  if (reading->reason == NULL) {
    reading->field = outer;
  }
  return object;
}

static void read_item(struct reading *reading, const struct avro_node *node, json_t *items) {
  struct span key;
  bool is_plain;
  if (node->kind == NODE_ARRAY) {
    json_array_append_new(items, read_node(reading, node->first));
  } else if (is_good(reading, bytes_take_string(&reading->bytes, &key, &is_plain))) {
    json_object_setn_new_nocheck(items, (const char *)key.data, key.size,
                                 read_node(reading, node->first));
  }
}

static json_t *read_items(struct reading *reading, const struct avro_node *node) {
  json_t *const items = node->kind == NODE_ARRAY ? json_array() : json_object();
  for (;;) {
    uint64_t count;
    const uint8_t *block_end;
    if (!is_good(reading, bytes_take_block(&reading->bytes, &count, &block_end)) || count == 0) {
      return items;
    }
    for (uint64_t i = 0; i < count && reading->reason == NULL; i++) {
      if (reading->items_left == 0) {
        is_good(reading, "too many items");
        return items;
      }
      reading->items_left--;
      read_item(reading, node, items);
    }
    if (reading->reason == NULL && block_end != NULL && block_end != reading->bytes.at) {
      is_good(reading, "a block that does not end where it says");
    }
  }
}

static json_t *real_json(double real) {
  if (isfinite(real)) {
    return json_real(real);
  }
  return json_string(isnan(real) ? "NaN" : real > 0 ? "Infinity" : "-Infinity");
}

static json_t *bytes_json(struct span bytes) {
  char *const text = base64_text(bytes);
  json_t *const json = json_string_nocheck(text);
  free(text);
  return json;
}

static json_t *read_number(struct reading *reading, enum node_kind kind) {
  int64_t number = 0;
  double real = 0;
  switch (kind) {
  case NODE_BOOLEAN:
    is_good(reading, bytes_take_boolean(&reading->bytes, &number));
    return json_boolean(number != 0);
  case NODE_INT:
    is_good(reading, bytes_take_int(&reading->bytes, &number));
    return json_integer(number);
  case NODE_LONG:
    is_good(reading, bytes_take_long(&reading->bytes, &number));
    return json_integer(number);
  case NODE_FLOAT:
    is_good(reading, bytes_take_float(&reading->bytes, &real));
    return real_json(real);
  default:
    assert(kind == NODE_DOUBLE);
    is_good(reading, bytes_take_double(&reading->bytes, &real));
    return real_json(real);
  }
}

static json_t *read_text(struct reading *reading, const struct avro_node *node) {
  struct span span = {0};
  bool is_plain;
  if (node->kind == NODE_STRING) {
    return is_good(reading, bytes_take_string(&reading->bytes, &span, &is_plain))
               ? json_stringn_nocheck((const char *)span.data, span.size)
               : NULL;
  }
  const char *const reason = node->kind == NODE_FIXED
                                 ? bytes_take_fixed(&reading->bytes, node->count, &span)
                                 : bytes_take_bytes(&reading->bytes, &span);
  return is_good(reading, reason) ? bytes_json(span) : NULL;
}

static json_t *read_index(struct reading *reading, const struct avro_node *node) {
  uint32_t index = 0;
  if (!is_good(reading, bytes_take_index(&reading->bytes, node->count, &index))) {
    return NULL;
  }
  return node->kind == NODE_UNION
             ? read_node(reading, reading->schema->branches[node->first + index])
             : json_string_nocheck(reading->schema->symbols[node->first + index]);
}

static json_t *read_nested(struct reading *reading, const struct avro_node *node) {
  if (reading->depth == AVRO_DEPTH_MAX) {
    is_good(reading, "nested too deeply");
    return NULL;
  }
  reading->depth++;
  json_t *const json =
      node->kind == NODE_RECORD ? read_record(reading, node) : read_items(reading, node);
  reading->depth--;
  return json;
}

/* NULL, or a value that is not complete, when `reading->reason` is set. */
static json_t *read_node(struct reading *reading, uint32_t index) {
  const struct avro_node *const node = &reading->schema->nodes[index];
  if (reading->values_left == 0) {
    is_good(reading, "too many values");
    return NULL;
  }
  reading->values_left--;
  reading->value_at = reading->bytes.at;
  switch (node->kind) {
  case NODE_NULL:
    return json_null();
  case NODE_BOOLEAN:
  case NODE_INT:
  case NODE_LONG:
  case NODE_FLOAT:
  case NODE_DOUBLE:
    return read_number(reading, node->kind);
  case NODE_BYTES:
  case NODE_STRING:
  case NODE_FIXED:
    return read_text(reading, node);
  case NODE_ENUM:
  case NODE_UNION:
    return read_index(reading, node);
  case NODE_RECORD:
  case NODE_ARRAY:
  case NODE_MAP:
    return read_nested(reading, node);
  }
  assert(false);
  return NULL;
}

struct json_t *avro_json_of_body(const struct avro_schema *schema, struct span body,
                                 struct reject *reject) {
  struct reading reading = {
      .schema = schema,
      .bytes = {.at = body.data, .end = body.data + body.size},
      .value_at = body.data,
      .field = "value",
      .items_left = PROGRAM_ITEMS_MAX,
      .values_left = AVRO_JSON_VALUES_MAX,
  };
  json_t *const json = read_node(&reading, schema->root);
  if (reading.reason == NULL && reading.bytes.at != reading.bytes.end) {
    reading.value_at = reading.bytes.at;
    reading.reason = "bytes follow it";
  }
  if (reading.reason != NULL) {
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "%s, at byte %zu of the body: %s",
               reading.field, (size_t)(reading.value_at - body.data), reading.reason);
    json_decref(json);
    return NULL;
  }
  assert(json != NULL);
  return json;
}

struct json_t *avro_json_of_value(const struct schemas *schemas, struct span value,
                                  struct reject *reject) {
  struct span body;
  const struct writer *const writer = decode_framing(schemas, value, &body, reject);
  return writer == NULL ? NULL : avro_json_of_body(writer->schema, body, reject);
}

struct json_t *avro_json_of_ours(const struct schemas *schemas, const struct writer *writer,
                                 struct span value, struct reject *reject) {
  uint32_t id;
  if (!decode_unknown_id(schemas, value, &id)) {
    return avro_json_of_value(schemas, value, reject);
  }
  const struct span body =
      span_of(value.data + CONFLUENT_HEAD_SIZE, value.size - CONFLUENT_HEAD_SIZE);
  return avro_json_of_body(writer->schema, body, reject);
}
