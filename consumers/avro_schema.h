/* An Avro schema as a flat tree: parsed from JSON, named, and fingerprinted.
 * Owns its names and the JSON it was read from; never looks at a message's bytes. */
#ifndef MUSTER_CONSUMERS_AVRO_SCHEMA_H
#define MUSTER_CONSUMERS_AVRO_SCHEMA_H

#include "core/span.h"
#include "core/status.h"

struct json_t; /* jansson's value */

enum {
  AVRO_SCHEMA_SIZE_MAX = 1 << 20, /* bytes of JSON */
  AVRO_SCHEMA_NODES_MAX = 4096,   /* nodes, fields, branches and symbols, each */
  AVRO_DEPTH_MAX = 32,            /* of a schema, and of a value */
  AVRO_NAME_SIZE_MAX = 255,       /* of a full name */
};

enum node_kind {
  NODE_NULL,
  NODE_BOOLEAN,
  NODE_INT,
  NODE_LONG,
  NODE_FLOAT,
  NODE_DOUBLE,
  NODE_BYTES,
  NODE_STRING,
  NODE_RECORD,
  NODE_ENUM,
  NODE_ARRAY,
  NODE_MAP,
  NODE_UNION,
  NODE_FIXED,
};

/* The logical types that mean something here; every other is NONE, as the format asks. */
enum node_logical { LOGICAL_NONE, LOGICAL_UUID, LOGICAL_TIMESTAMP_MILLIS };

/* One type. A named type stands once in `nodes`, however often it is referred to, so the
 * tree may hold cycles. */
struct avro_node {
  enum node_kind kind;
  enum node_logical logical;
  uint32_t first;               /* of a record in `fields`, an enum in `symbols`, a union in
                                   `branches`; of an array or map: the item's node */
  uint32_t count;               /* of those; of a fixed: its size in bytes */
  int32_t default_symbol;       /* of an enum; -1 is none */
  char *name;                   /* the full name of a record, enum or fixed; otherwise NULL */
  const struct json_t *aliases; /* an array of texts, or NULL */
};

struct avro_field {
  const char *name;
  uint32_t node;
  const struct json_t *default_value; /* NULL is none */
  const struct json_t *aliases;       /* an array of texts, or NULL */
};

struct avro_schema {
  uint64_t fingerprint; /* CRC-64-AVRO of the canonical form */
  uint32_t root;        /* in `nodes` */
  uint32_t node_count;
  uint32_t field_count;
  uint32_t branch_count;
  uint32_t symbol_count;
  struct avro_node *nodes;
  struct avro_field *fields;
  uint32_t *branches; /* nodes */
  const char **symbols;
  struct json_t *json;
};

/* Parses `text`. On STATUS_OK the caller owns `*schema` (avro_schema_free). STATUS_CONFIG
 * names the place (a path such as "fields.consent.type") and the reason. */
enum status avro_schema_parse(struct span text, struct avro_schema **schema,
                              struct error *error) MUST_USE;

/* Takes NULL too. */
void avro_schema_free(struct avro_schema *schema);

/* "string", "record": what the format calls it. */
const char *node_kind_name(enum node_kind kind);

/* The part of a full name after its last dot. */
const char *avro_short_name(const char *full_name);

/* `name` is that of `reader`, or one of its aliases; only the parts after the last dot
 * count, as the format's rule for resolution says. Both are of the same kind. */
bool avro_node_is_named(const struct avro_node *reader, const char *name);

/* The index of a record's field, counted from the record's first; -1 when it has none. */
int32_t avro_field_find(const struct avro_schema *schema, const struct avro_node *record,
                        const char *name);

#endif
