/* The way from JSON to Avro; the way back is in avro_json.c. */
#include "consumers/avro_json.h"
#include "consumers/base64.h"
#include "core/time_text.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACE_SIZE = 256, LIST_SIZE = 256, NUMBER_SIZE_MAX = 10 };

struct writing {
  const struct avro_schema *schema;
  uint8_t *data;
  size_t size;
  size_t capacity;
  struct error *error;
  uint32_t depth;
  bool is_default; /* the value is from the schema, where bytes are written otherwise */
  size_t place_size;
  char place[PLACE_SIZE]; /* "consent.given_at" */
};

static bool write_node(struct writing *writing, uint32_t index, const json_t *json);

static bool refuse(struct writing *writing, const char *format, ...) PRINTF_LIKE(2, 3);

static bool refuse(struct writing *writing, const char *format, ...) {
  char reason[ERROR_TEXT_SIZE / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  return error_set(writing->error, STATUS_REFUSED, "%s%s%s", writing->place,
                   writing->place_size == 0 ? "" : ": ", reason) == STATUS_OK;
}

static size_t place_push(struct writing *writing, const char *part) {
  const size_t before = writing->place_size;
  const size_t left = sizeof writing->place - before;
  const int written = snprintf(writing->place + before, left, "%s%s", before == 0 ? "" : ".", part);
  const size_t wanted = written < 0 ? 0 : (size_t)written;
  writing->place_size = before + (wanted < left ? wanted : left - 1);
  return before;
}

static void place_pop(struct writing *writing, size_t before) {
  writing->place_size = before;
  writing->place[before] = '\0';
}

/* ---- Bytes out ---- */

static void put(struct writing *writing, const void *data, size_t size) {
  if (writing->capacity - writing->size < size) {
    writing->capacity = (writing->size + size) * 2;
    writing->data = realloc(writing->data, writing->capacity);
    assert(writing->data != NULL);
  }
  if (size > 0) {
    memcpy(writing->data + writing->size, data, size);
    writing->size += size;
  }
}

static void put_long(struct writing *writing, int64_t number) {
  uint8_t bytes[NUMBER_SIZE_MAX];
  size_t size = 0;
  uint64_t bits = (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0);
  while (bits >= 0x80) {
    bytes[size++] = (uint8_t)(bits | 0x80);
    bits >>= 7;
  }
  bytes[size++] = (uint8_t)bits;
  put(writing, bytes, size);
}

static void put_bytes(struct writing *writing, const void *data, size_t size) {
  put_long(writing, (int64_t)size);
  put(writing, data, size);
}

static void put_bits(struct writing *writing, uint64_t bits, size_t size) {
  uint8_t bytes[sizeof bits];
  for (size_t i = 0; i < size; i++) {
    bytes[i] = (uint8_t)(bits >> (8 * i));
  }
  put(writing, bytes, size);
}

/* ---- Values ---- */

static bool write_integer(struct writing *writing, const struct avro_node *node,
                          const json_t *json) {
  int64_t number = json_integer_value(json);
  const bool is_time = node->logical == LOGICAL_TIMESTAMP_MILLIS;
  if (is_time && json_is_string(json)) {
    const struct span text = span_of(json_string_value(json), json_string_length(json));
    if (!time_parse(text, &number)) {
      return refuse(writing, "not a time such as 2026-11-01T00:00:00Z");
    }
  } else if (!json_is_integer(json)) {
    return refuse(writing,
                  is_time ? "not milliseconds since 1970 or an RFC 3339 time" : "not an integer");
  }
  if (node->kind == NODE_INT && (number < INT32_MIN || number > INT32_MAX)) {
    return refuse(writing, "not an integer of 32 bits");
  }
  put_long(writing, number);
  return true;
}

static bool real_of(const json_t *json, double *real) {
  static const struct {
    const char *text;
    double real;
  } texts[] = {{"NaN", NAN}, {"Infinity", INFINITY}, {"-Infinity", -INFINITY}};
  *real = json_number_value(json);
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    if (json_is_string(json) && strcmp(json_string_value(json), texts[i].text) == 0) {
      *real = texts[i].real;
      return true;
    }
  }
  return json_is_number(json);
}

static bool write_real(struct writing *writing, enum node_kind kind, const json_t *json) {
  double real;
  if (!real_of(json, &real)) {
    return refuse(writing, "not a number");
  }
  if (kind == NODE_DOUBLE) {
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    put_bits(writing, bits, sizeof bits);
    return true;
  }
  const float narrow = (float)real;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  put_bits(writing, bits, sizeof bits);
  return true;
}

/* A default of bytes has a character a byte, U+0000 to U+00FF. */
static bool bytes_of_default(struct span text, uint8_t **bytes, size_t *size) {
  *bytes = malloc(text.size + 1);
  assert(*bytes != NULL);
  *size = 0;
  for (size_t i = 0; i < text.size; i++) {
    uint8_t byte = text.data[i];
    if (byte >= 0x80) {
      if ((byte != 0xc2 && byte != 0xc3) || i + 1 == text.size) {
        free(*bytes);
        return false;
      }
      byte = (uint8_t)(byte << 6 | (text.data[++i] & 0x3f));
    }
    (*bytes)[(*size)++] = byte;
  }
  return true;
}

static bool write_bytes(struct writing *writing, const struct avro_node *node, const json_t *json) {
  const struct span text = span_of(json_string_value(json), json_string_length(json));
  uint8_t *bytes;
  size_t size;
  if (!json_is_string(json) || !(writing->is_default ? bytes_of_default(text, &bytes, &size)
                                                     : base64_bytes(text, &bytes, &size))) {
    return refuse(writing, "not a text in base64");
  }
  const bool fits = node->kind == NODE_BYTES || size == node->count;
  if (!fits) {
    free(bytes);
    return refuse(writing, "not %u bytes in base64", node->count);
  }
  if (node->kind == NODE_BYTES) {
    put_bytes(writing, bytes, size);
  } else {
    put(writing, bytes, size);
  }
  free(bytes);
  return true;
}

static bool equal_in_any_case(const char *a, const char *b) {
  for (; *a != '\0' && *b != '\0'; a++, b++) {
    const int lower_a = *a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a;
    const int lower_b = *b >= 'A' && *b <= 'Z' ? *b + ('a' - 'A') : *b;
    if (lower_a != lower_b) {
      return false;
    }
  }
  return *a == *b;
}

static bool write_enum(struct writing *writing, const struct avro_node *node, const json_t *json) {
  const char *const *const symbols = &writing->schema->symbols[node->first];
  const char *const text = json_string_value(json);
  char list[LIST_SIZE] = "";
  for (int any_case = 0; any_case <= 1; any_case++) {
    for (uint32_t i = 0; i < node->count && text != NULL; i++) {
      if (any_case != 0 ? equal_in_any_case(symbols[i], text) : strcmp(symbols[i], text) == 0) {
        put_long(writing, i);
        return true;
      }
    }
  }
  size_t used = 0;
  for (uint32_t i = 0; i < node->count && used < sizeof list; i++) {
    const int written =
        snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", symbols[i]);
    used += written < 0 ? 0 : (size_t)written;
  }
  return refuse(writing, "not one of %s", list);
}

static bool write_items(struct writing *writing, const struct avro_node *node, const json_t *json) {
  if (node->kind == NODE_ARRAY ? !json_is_array(json) : !json_is_object(json)) {
    return refuse(writing, node->kind == NODE_ARRAY ? "not an array" : "not an object");
  }
  const size_t count = node->kind == NODE_ARRAY ? json_array_size(json) : json_object_size(json);
  if (count > 0) {
    put_long(writing, (int64_t)count);
  }
  for (size_t i = 0; node->kind == NODE_ARRAY && i < count; i++) {
    if (!write_node(writing, node->first, json_array_get(json, i))) {
      return false;
    }
  }
  if (node->kind == NODE_MAP) {
    json_t *const map = (json_t *)(uintptr_t)json; /* iterating changes nothing */
    for (void *at = json_object_iter(map); at != NULL; at = json_object_iter_next(map, at)) {
      put_bytes(writing, json_object_iter_key(at), json_object_iter_key_len(at));
      if (!write_node(writing, node->first, json_object_iter_value(at))) {
        return false;
      }
    }
  }
  put_long(writing, 0);
  return true;
}

static bool write_default(struct writing *writing, const struct avro_field *field) {
  if (field->default_value == NULL) {
    return refuse(writing, "missing");
  }
  const bool before = writing->is_default;
  writing->is_default = true;
  const bool written = write_node(writing, field->node, field->default_value);
  writing->is_default = before;
  return written;
}

static bool write_record(struct writing *writing, const struct avro_node *node,
                         const json_t *json) {
  if (!json_is_object(json)) {
    return refuse(writing, "not an object");
  }
  json_t *const object = (json_t *)(uintptr_t)json; /* iterating changes nothing */
  for (void *at = json_object_iter(object); at != NULL; at = json_object_iter_next(object, at)) {
    if (avro_field_find(writing->schema, node, json_object_iter_key(at)) < 0) {
      place_push(writing, json_object_iter_key(at));
      return refuse(writing, "%s has no such field", avro_short_name(node->name));
    }
  }
  for (uint32_t i = 0; i < node->count; i++) {
    const struct avro_field *const field = &writing->schema->fields[node->first + i];
    const json_t *const given = json_object_get(json, field->name);
    const size_t before = place_push(writing, field->name);
    if (given == NULL ? !write_default(writing, field) : !write_node(writing, field->node, given)) {
      return false;
    }
    place_pop(writing, before);
  }
  return true;
}

/* ", a or b": the union's types, for people. */
static void branches_list(const struct avro_schema *schema, const struct avro_node *node,
                          char list[LIST_SIZE]) {
  size_t used = 0;
  list[0] = '\0';
  for (uint32_t i = 0; i < node->count && used < LIST_SIZE; i++) {
    const struct avro_node *const branch = &schema->nodes[schema->branches[node->first + i]];
    const char *const name =
        branch->name != NULL ? avro_short_name(branch->name) : node_kind_name(branch->kind);
    const int written = snprintf(list + used, LIST_SIZE - used, "%s%s", i == 0 ? "" : ", ", name);
    used += written < 0 ? 0 : (size_t)written;
  }
}

/* Null goes to null; anything else to the first branch that takes it. */
static bool write_union(struct writing *writing, const struct avro_node *node, const json_t *json) {
  const size_t size = writing->size;
  const size_t place_size = writing->place_size;
  const uint32_t depth = writing->depth;
  uint32_t tried_count = 0;
  char list[LIST_SIZE];
  for (uint32_t i = 0; i < node->count; i++) {
    const uint32_t branch = writing->schema->branches[node->first + i];
    if ((writing->schema->nodes[branch].kind == NODE_NULL) != json_is_null(json)) {
      continue;
    }
    tried_count++;
    put_long(writing, i);
    if (write_node(writing, branch, json)) {
      return true;
    }
    writing->size = size;
    writing->depth = depth;
    if (node->count > 2) {
      place_pop(writing, place_size);
    }
  }
  if (tried_count == 1 && node->count <= 2) {
    return false; /* what its one branch says is the better text */
  }
  place_pop(writing, place_size);
  branches_list(writing->schema, node, list);
  return refuse(writing, "none of %s", list);
}

static bool write_nested(struct writing *writing, const struct avro_node *node,
                         const json_t *json) {
  if (writing->depth == AVRO_DEPTH_MAX) {
    return refuse(writing, "nested deeper than %d", AVRO_DEPTH_MAX);
  }
  writing->depth++;
  const bool written = node->kind == NODE_RECORD ? write_record(writing, node, json)
                                                 : write_items(writing, node, json);
  writing->depth--;
  return written;
}

static bool write_node(struct writing *writing, uint32_t index, const json_t *json) {
  const struct avro_node *const node = &writing->schema->nodes[index];
  switch (node->kind) {
  case NODE_NULL:
    return json_is_null(json) ? true : refuse(writing, "not null");
  case NODE_BOOLEAN:
    put_bits(writing, json_is_true(json) ? 1 : 0, 1);
    return json_is_boolean(json) ? true : refuse(writing, "neither true nor false");
  case NODE_INT:
  case NODE_LONG:
    return write_integer(writing, node, json);
  case NODE_FLOAT:
  case NODE_DOUBLE:
    return write_real(writing, node->kind, json);
  case NODE_STRING:
    if (!json_is_string(json)) {
      return refuse(writing, "not a text");
    }
    put_bytes(writing, json_string_value(json), json_string_length(json));
    return true;
  case NODE_BYTES:
  case NODE_FIXED:
    return write_bytes(writing, node, json);
  case NODE_ENUM:
    return write_enum(writing, node, json);
  case NODE_UNION:
    return write_union(writing, node, json);
  case NODE_RECORD:
  case NODE_ARRAY:
  case NODE_MAP:
    return write_nested(writing, node, json);
  }
  assert(false);
  return false;
}

static void put_framing(struct writing *writing, uint64_t fingerprint, int64_t id) {
  if (id == SCHEMA_ID_NONE) {
    put(writing, (const uint8_t[]){0xc3, 0x01}, 2);
    put_bits(writing, fingerprint, sizeof fingerprint);
    return;
  }
  assert(id >= 0);
  assert(id <= UINT32_MAX);
  const uint8_t head[] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                          (uint8_t)id};
  put(writing, head, sizeof head);
}

enum status avro_json_to_value(const struct writer *writer, int64_t id, const struct json_t *object,
                               uint8_t **data, size_t *size, struct error *error) {
  struct writing writing = {.schema = writer->schema, .error = error};
  put_framing(&writing, writer->fingerprint, id);
  if (!write_node(&writing, writer->schema->root, object)) {
    free(writing.data);
    return STATUS_REFUSED;
  }
  *data = writing.data;
  *size = writing.size;
  return STATUS_OK;
}
