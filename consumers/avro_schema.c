#include "consumers/avro_schema.h"
#include "consumers/avro_canonical.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACE_SIZE = 256 };

struct parser {
  struct avro_schema *schema;
  struct error *error;
  uint32_t depth;
  size_t place_size;
  char place[PLACE_SIZE]; /* "fields.consent.type", cut when it is longer */
};

/* ---- Names ---- */

static const char *const kind_names[] = {
    [NODE_NULL] = "null",   [NODE_BOOLEAN] = "boolean", [NODE_INT] = "int",
    [NODE_LONG] = "long",   [NODE_FLOAT] = "float",     [NODE_DOUBLE] = "double",
    [NODE_BYTES] = "bytes", [NODE_STRING] = "string",   [NODE_RECORD] = "record",
    [NODE_ENUM] = "enum",   [NODE_ARRAY] = "array",     [NODE_MAP] = "map",
    [NODE_UNION] = "union", [NODE_FIXED] = "fixed",
};

const char *node_kind_name(enum node_kind kind) {
  assert(kind < COUNT_OF(kind_names));
  return kind_names[kind];
}

const char *avro_short_name(const char *full_name) {
  const char *const dot = strrchr(full_name, '.');
  return dot == NULL ? full_name : dot + 1;
}

bool avro_node_is_named(const struct avro_node *reader, const char *name) {
  const char *const wanted = avro_short_name(name);
  if (strcmp(avro_short_name(reader->name), wanted) == 0) {
    return true;
  }
  for (size_t i = 0; i < json_array_size(reader->aliases); i++) {
    if (strcmp(avro_short_name(json_string_value(json_array_get(reader->aliases, i))), wanted) ==
        0) {
      return true;
    }
  }
  return false;
}

int32_t avro_field_find(const struct avro_schema *schema, const struct avro_node *record,
                        const char *name) {
  for (uint32_t i = 0; i < record->count; i++) {
    if (strcmp(schema->fields[record->first + i].name, name) == 0) {
      return (int32_t)i;
    }
  }
  return -1;
}

static bool is_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Letters, digits and underscores, no digit first; with `dots`, several such with dots
 * between them. */
static bool is_name(const char *name, bool dots) {
  bool at_start = true;
  for (const char *c = name; *c != '\0'; c++) {
    if (*c == '.') {
      if (!dots || at_start) {
        return false;
      }
      at_start = true;
    } else if (is_letter(*c) || (!at_start && *c >= '0' && *c <= '9')) {
      at_start = false;
    } else {
      return false;
    }
  }
  return !at_start && strlen(name) <= AVRO_NAME_SIZE_MAX;
}

/* ---- Parsing ---- */

/* NULL when it is no text, or one that a zero byte would cut: only defaults may hold any. */
static const char *text_of(const json_t *json) {
  const char *const text = json_string_value(json);
  return text != NULL && strlen(text) == json_string_length(json) ? text : NULL;
}

static bool fail(struct parser *parser, const char *format, ...) PRINTF_LIKE(2, 3);

static bool fail(struct parser *parser, const char *format, ...) {
  char reason[ERROR_TEXT_SIZE / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  const char *const place = parser->place_size == 0 ? "the schema" : parser->place;
  return error_set(parser->error, STATUS_CONFIG, "%s: %s", place, reason) == STATUS_OK;
}

/* Appends to the place; the caller gives the former size back to place_pop. */
static size_t place_push(struct parser *parser, const char *part) {
  const size_t before = parser->place_size;
  const size_t left = sizeof parser->place - before;
  const int written = snprintf(parser->place + before, left, "%s%s", before == 0 ? "" : ".", part);
  const size_t wanted = written < 0 ? 0 : (size_t)written;
  parser->place_size = before + (wanted < left ? wanted : left - 1);
  return before;
}

static void place_pop(struct parser *parser, size_t before) {
  parser->place_size = before;
  parser->place[before] = '\0';
}

/* Room for `more` items behind `count`, zeroed. */
static void *reserve(void *items, size_t count, size_t more, size_t item_size) {
  char *const grown = realloc(items, (count + more + 1) * item_size);
  assert(grown != NULL);
  memset(grown + count * item_size, 0, (more + 1) * item_size);
  return grown;
}

static bool count_fits(struct parser *parser, uint32_t count, size_t more) {
  return more <= AVRO_SCHEMA_NODES_MAX && count + more <= AVRO_SCHEMA_NODES_MAX
             ? true
             : fail(parser, "more than %d types, fields, branches or symbols",
                    AVRO_SCHEMA_NODES_MAX);
}

static bool node_add(struct parser *parser, enum node_kind kind, uint32_t *index) {
  struct avro_schema *const schema = parser->schema;
  if (!count_fits(parser, schema->node_count, 1)) {
    return false;
  }
  schema->nodes = reserve(schema->nodes, schema->node_count, 1, sizeof *schema->nodes);
  *index = schema->node_count++;
  schema->nodes[*index].kind = kind;
  schema->nodes[*index].default_symbol = -1;
  return true;
}

static const struct avro_node *node_find(const struct avro_schema *schema, const char *full_name) {
  for (uint32_t i = 0; i < schema->node_count; i++) {
    if (schema->nodes[i].name != NULL && strcmp(schema->nodes[i].name, full_name) == 0) {
      return &schema->nodes[i];
    }
  }
  return NULL;
}

static bool primitive_of(const char *name, enum node_kind *kind) {
  for (size_t i = NODE_NULL; i <= NODE_STRING; i++) {
    if (strcmp(kind_names[i], name) == 0) {
      *kind = (enum node_kind)i;
      return true;
    }
  }
  return false;
}

/* `name` within `space`; the namespace ends with the last dot of the result. */
static bool full_name_of(struct parser *parser, const char *name, struct span space,
                         char full_name[AVRO_NAME_SIZE_MAX + 1]) {
  if (!is_name(name, true)) {
    return fail(parser, "not a name of letters, digits and underscores");
  }
  const bool is_full = strchr(name, '.') != NULL || space.size == 0;
  const int written =
      snprintf(full_name, AVRO_NAME_SIZE_MAX + 1, "%.*s%s%s", is_full ? 0 : (int)space.size,
               (const char *)space.data, is_full ? "" : ".", name);
  return written >= 0 && written <= AVRO_NAME_SIZE_MAX
             ? true
             : fail(parser, "a name longer than %d bytes", AVRO_NAME_SIZE_MAX);
}

static struct span space_of(const char *full_name) {
  const char *const dot = strrchr(full_name, '.');
  return span_of(full_name, dot == NULL ? 0 : (size_t)(dot - full_name));
}

static bool aliases_are_names(struct parser *parser, const json_t *aliases) {
  if (aliases == NULL) {
    return true;
  }
  if (!json_is_array(aliases)) {
    return fail(parser, "aliases is not an array");
  }
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    const char *const alias = text_of(json_array_get(aliases, i));
    if (alias == NULL || !is_name(alias, true)) {
      return fail(parser, "an alias is not a name");
    }
  }
  return true;
}

/* Gives the node of a record, enum or fixed its full name, before what is in it is parsed:
 * a record may refer to itself. */
static bool node_name(struct parser *parser, uint32_t index, const json_t *json,
                      struct span space) {
  const json_t *const given_space = json_object_get(json, "namespace");
  const char *const name = text_of(json_object_get(json, "name"));
  if (name == NULL) {
    return fail(parser, "no name");
  }
  if (given_space != NULL) {
    const char *const text = text_of(given_space);
    if (text == NULL || (text[0] != '\0' && !is_name(text, true))) {
      return fail(parser, "namespace is not a name");
    }
    space = span_text(text);
  }
  char full_name[AVRO_NAME_SIZE_MAX + 1];
  enum node_kind primitive;
  if (!full_name_of(parser, name, space, full_name)) {
    return false;
  }
  if (primitive_of(full_name, &primitive)) {
    return fail(parser, "the name of a primitive type");
  }
  if (node_find(parser->schema, full_name) != NULL) {
    return fail(parser, "%s is defined twice", full_name);
  }
  struct avro_node *const node = &parser->schema->nodes[index];
  node->name = strdup(full_name);
  assert(node->name != NULL);
  node->aliases = json_object_get(json, "aliases");
  return aliases_are_names(parser, node->aliases);
}

static bool parse_type(struct parser *parser, const json_t *json, struct span space,
                       uint32_t *index);

static bool parse_field(struct parser *parser, const json_t *json, uint32_t record,
                        uint32_t position) {
  struct avro_schema *const schema = parser->schema;
  const char *const name = text_of(json_object_get(json, "name"));
  const json_t *const type = json_object_get(json, "type");
  const json_t *const aliases = json_object_get(json, "aliases");
  const struct avro_node earlier = {.first = schema->nodes[record].first, .count = position};
  if (name == NULL || !is_name(name, false)) {
    return fail(parser, "field %u has no name of letters, digits and underscores", position);
  }
  const size_t before = place_push(parser, name);
  if (avro_field_find(schema, &earlier, name) >= 0) {
    return fail(parser, "a field of this name stands before it");
  }
  if (type == NULL) {
    return fail(parser, "no type");
  }
  uint32_t node;
  if (!aliases_are_names(parser, aliases) ||
      !parse_type(parser, type, space_of(schema->nodes[record].name), &node)) {
    return false;
  }
  schema->fields[earlier.first + position] = (struct avro_field){
      .name = name,
      .node = node,
      .default_value = json_object_get(json, "default"),
      .aliases = aliases,
  };
  place_pop(parser, before);
  return true;
}

static bool parse_record(struct parser *parser, const json_t *json, struct span space,
                         uint32_t index) {
  struct avro_schema *const schema = parser->schema;
  const json_t *const fields = json_object_get(json, "fields");
  if (!node_name(parser, index, json, space)) {
    return false;
  }
  if (!json_is_array(fields)) {
    return fail(parser, "fields is not an array");
  }
  const size_t count = json_array_size(fields);
  if (!count_fits(parser, schema->field_count, count)) {
    return false;
  }
  /* All at once: the fields of a record lie together, those of the records in it after. */
  schema->fields = reserve(schema->fields, schema->field_count, count, sizeof *schema->fields);
  schema->nodes[index].first = schema->field_count;
  schema->nodes[index].count = (uint32_t)count;
  schema->field_count += (uint32_t)count;
  const size_t before = place_push(parser, "fields");
  for (uint32_t i = 0; i < count; i++) {
    if (!parse_field(parser, json_array_get(fields, i), index, i)) {
      return false;
    }
  }
  place_pop(parser, before);
  return true;
}

static int32_t symbol_find(const struct avro_schema *schema, const struct avro_node *node,
                           const char *symbol) {
  for (uint32_t i = 0; i < node->count; i++) {
    const char *const known = schema->symbols[node->first + i];
    if (known != NULL && strcmp(known, symbol) == 0) {
      return (int32_t)i;
    }
  }
  return -1;
}

static bool parse_enum(struct parser *parser, const json_t *json, struct span space,
                       uint32_t index) {
  struct avro_schema *const schema = parser->schema;
  const json_t *const symbols = json_object_get(json, "symbols");
  const json_t *const default_symbol = json_object_get(json, "default");
  const size_t count = json_array_size(symbols);
  if (!node_name(parser, index, json, space)) {
    return false;
  }
  if (count == 0) {
    return fail(parser, "symbols is not an array with a symbol");
  }
  if (!count_fits(parser, schema->symbol_count, count)) {
    return false;
  }
  schema->symbols = reserve(schema->symbols, schema->symbol_count, count, sizeof *schema->symbols);
  struct avro_node *const node = &schema->nodes[index];
  node->first = schema->symbol_count;
  node->count = (uint32_t)count;
  schema->symbol_count += (uint32_t)count;
  for (size_t i = 0; i < count; i++) {
    const char *const symbol = text_of(json_array_get(symbols, i));
    if (symbol == NULL || !is_name(symbol, false) || symbol_find(schema, node, symbol) >= 0) {
      return fail(parser, "symbol %zu is not a name, or stands twice", i);
    }
    schema->symbols[node->first + i] = symbol;
  }
  if (default_symbol != NULL) {
    const char *const symbol = text_of(default_symbol);
    node->default_symbol = symbol == NULL ? -1 : symbol_find(schema, node, symbol);
    return node->default_symbol >= 0 ? true : fail(parser, "the default is not a symbol");
  }
  return true;
}

static bool parse_fixed(struct parser *parser, const json_t *json, struct span space,
                        uint32_t index) {
  const json_t *const size = json_object_get(json, "size");
  if (!node_name(parser, index, json, space)) {
    return false;
  }
  const json_int_t value = json_integer_value(size);
  if (!json_is_integer(size) || value < 0 || value > AVRO_SCHEMA_SIZE_MAX) {
    return fail(parser, "size is not a number from 0 to %d", AVRO_SCHEMA_SIZE_MAX);
  }
  parser->schema->nodes[index].count = (uint32_t)value;
  return true;
}

/* A branch of this kind, or of this name, stands among the first `count`. */
static bool branch_stands(const struct avro_schema *schema, uint32_t first, uint32_t count,
                          uint32_t branch) {
  const struct avro_node *const node = &schema->nodes[branch];
  for (uint32_t i = 0; i < count; i++) {
    const struct avro_node *const other = &schema->nodes[schema->branches[first + i]];
    if (node->name == NULL ? node->kind == other->kind : node == other) {
      return true;
    }
  }
  return false;
}

static bool parse_union(struct parser *parser, const json_t *json, struct span space,
                        uint32_t *index) {
  struct avro_schema *const schema = parser->schema;
  const size_t count = json_array_size(json);
  if (!node_add(parser, NODE_UNION, index)) {
    return false;
  }
  if (count == 0) {
    return fail(parser, "a union without a branch");
  }
  if (!count_fits(parser, schema->branch_count, count)) {
    return false;
  }
  schema->branches =
      reserve(schema->branches, schema->branch_count, count, sizeof *schema->branches);
  const uint32_t first = schema->branch_count;
  schema->nodes[*index].first = first;
  schema->nodes[*index].count = (uint32_t)count;
  schema->branch_count += (uint32_t)count;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t branch;
    if (!parse_type(parser, json_array_get(json, i), space, &branch)) {
      return false;
    }
    if (schema->nodes[branch].kind == NODE_UNION) {
      return fail(parser, "a union directly in a union");
    }
    if (branch_stands(schema, first, i, branch)) {
      return fail(parser, "a union with two branches of one type");
    }
    schema->branches[first + i] = branch;
  }
  return true;
}

static bool parse_items(struct parser *parser, const json_t *json, struct span space,
                        enum node_kind kind, uint32_t *index) {
  const char *const member = kind == NODE_ARRAY ? "items" : "values";
  const json_t *const item = json_object_get(json, member);
  uint32_t item_index;
  if (!node_add(parser, kind, index)) {
    return false;
  }
  const size_t before = place_push(parser, member);
  if (item == NULL) {
    return fail(parser, "missing");
  }
  if (!parse_type(parser, item, space, &item_index)) {
    return false;
  }
  parser->schema->nodes[*index].first = item_index;
  place_pop(parser, before);
  return true;
}

/* A primitive type or a named one that was defined before. */
static bool parse_reference(struct parser *parser, const char *name, struct span space,
                            uint32_t *index) {
  enum node_kind kind;
  char full_name[AVRO_NAME_SIZE_MAX + 1];
  if (primitive_of(name, &kind)) {
    return node_add(parser, kind, index);
  }
  if (!full_name_of(parser, name, space, full_name)) {
    return false;
  }
  const struct avro_node *const node = node_find(parser->schema, full_name);
  if (node == NULL) {
    return fail(parser, "no type %s is defined before", full_name);
  }
  *index = (uint32_t)(node - parser->schema->nodes);
  return true;
}

static void logical_set(struct avro_node *node, const json_t *json) {
  const char *const logical = text_of(json_object_get(json, "logicalType"));
  if (logical == NULL) {
    return;
  }
  if (node->kind == NODE_STRING && strcmp(logical, "uuid") == 0) {
    node->logical = LOGICAL_UUID;
  }
  if (node->kind == NODE_LONG && strcmp(logical, "timestamp-millis") == 0) {
    node->logical = LOGICAL_TIMESTAMP_MILLIS;
  }
}

static bool parse_object(struct parser *parser, const json_t *json, struct span space,
                         uint32_t *index) {
  const json_t *const type = json_object_get(json, "type");
  const char *const name = text_of(type);
  if (type == NULL) {
    return fail(parser, "no type");
  }
  if (name == NULL) {
    return parse_type(parser, type, space, index); /* refuses a text that was cut */
  }
  if (strcmp(name, "record") == 0) {
    return node_add(parser, NODE_RECORD, index) && parse_record(parser, json, space, *index);
  }
  if (strcmp(name, "enum") == 0) {
    return node_add(parser, NODE_ENUM, index) && parse_enum(parser, json, space, *index);
  }
  if (strcmp(name, "fixed") == 0) {
    return node_add(parser, NODE_FIXED, index) && parse_fixed(parser, json, space, *index);
  }
  if (strcmp(name, "array") == 0) {
    return parse_items(parser, json, space, NODE_ARRAY, index);
  }
  if (strcmp(name, "map") == 0) {
    return parse_items(parser, json, space, NODE_MAP, index);
  }
  if (!parse_reference(parser, name, space, index)) {
    return false;
  }
  logical_set(&parser->schema->nodes[*index], json);
  return true;
}

static bool parse_type(struct parser *parser, const json_t *json, struct span space,
                       uint32_t *index) {
  if (parser->depth == AVRO_DEPTH_MAX) {
    return fail(parser, "nested deeper than %d types", AVRO_DEPTH_MAX);
  }
  parser->depth++;
  bool parsed;
  if (text_of(json) != NULL) {
    parsed = parse_reference(parser, text_of(json), space, index);
  } else if (json_is_array(json)) {
    parsed = parse_union(parser, json, space, index);
  } else if (json_is_object(json)) {
    parsed = parse_object(parser, json, space, index);
  } else {
    parsed = fail(parser, "a type is a text, an array or an object");
  }
  parser->depth--;
  return parsed;
}

enum status avro_schema_parse(struct span text, struct avro_schema **schema, struct error *error) {
  json_error_t json_error;
  if (text.size > AVRO_SCHEMA_SIZE_MAX) {
    return error_set(error, STATUS_CONFIG, "larger than %d bytes", AVRO_SCHEMA_SIZE_MAX);
  }
  json_t *const json =
      json_loadb((const char *)text.data, text.size,
                 JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &json_error);
  if (json == NULL) {
    return error_set(error, STATUS_CONFIG, "line %d, column %d: %s", json_error.line,
                     json_error.column, json_error.text);
  }
  struct parser parser = {.error = error};
  parser.schema = calloc(1, sizeof *parser.schema);
  assert(parser.schema != NULL);
  parser.schema->json = json;
  if (!parse_type(&parser, json, span_of("", 0), &parser.schema->root)) {
    avro_schema_free(parser.schema);
    return STATUS_CONFIG;
  }
  char *const canonical = avro_canonical_text(parser.schema);
  parser.schema->fingerprint = avro_canonical_fingerprint(span_text(canonical));
  free(canonical);
  *schema = parser.schema;
  return STATUS_OK;
}

void avro_schema_free(struct avro_schema *schema) {
  if (schema == NULL) {
    return;
  }
  for (uint32_t i = 0; i < schema->node_count; i++) {
    free(schema->nodes[i].name);
  }
  free(schema->nodes);
  free(schema->fields);
  free(schema->branches);
  free(schema->symbols);
  json_decref(schema->json);
  free(schema);
}
