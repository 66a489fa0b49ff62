/* The schemas that are known: ours, those of a directory, those of a schema registry.
 *
 * Owns the schemas and, for each writer and input topic, the program that reads it as ours.
 * Never asks anything over a network. Once filled it is only read, by any thread; who learns
 * later does so in a set of its own (schemas_derive). */
#ifndef MUSTER_CONSUMERS_SCHEMAS_H
#define MUSTER_CONSUMERS_SCHEMAS_H

#include "consumers/avro_schema.h"
#include "consumers/program.h"
#include "core/event.h"

/* No Confluent id. */
#define SCHEMA_ID_NONE INT64_C(-1)

/* Somebody's schema, as a writer of messages. */
struct writer {
  uint64_t fingerprint;
  const struct avro_schema *schema;
  const char *source;                          /* "Enrollment.avsc", for people */
  const struct program *programs[TOPIC_COUNT]; /* NULL: cannot be read as ours */
  const char *reasons[TOPIC_COUNT];            /* why not, for people; NULL with a program */
};

struct schemas;

/* Knows every schema that is part of the binary and, unless `directory` is NULL, every
 * *.avsc in it; one named by a decimal number is known by that Confluent id too. The caller
 * owns `*schemas` (schemas_close). STATUS_CONFIG names the file and the reason. */
enum status schemas_open(const char *directory, struct schemas **schemas,
                         struct error *error) MUST_USE;

/* A set that knows what `base` knows now and can learn more, for itself alone. `base` outlives
 * it and learns nothing meanwhile. The caller owns it (schemas_close). */
struct schemas *schemas_derive(const struct schemas *base) MUST_USE;

/* Takes NULL too. */
void schemas_close(struct schemas *schemas);

/* Adds a schema found elsewhere, under `id` unless that is SCHEMA_ID_NONE. `source` says
 * where, for people. A schema that is known only gains the id. STATUS_CONFIG: not a schema,
 * or another schema has the id. Nobody may read meanwhile. */
enum status schemas_put(struct schemas *schemas, int64_t id, const char *source, struct span text,
                        struct error *error) MUST_USE;

/* NULL when it is not known. */
const struct writer *schemas_find(const struct schemas *schemas, uint64_t fingerprint);
const struct writer *schemas_find_id(const struct schemas *schemas, uint32_t id);

/* The lowest id under which that writer is known; SCHEMA_ID_NONE when it has none. */
int64_t schemas_id_of(const struct schemas *schemas, const struct writer *writer);

/* Our present schema of a record by its name without namespace, "Enrollment"; NULL is none. */
const struct writer *schemas_find_own(const struct schemas *schemas, const char *name);

/* The text of a schema of ours as it stands in its file, by the writer's source; empty for any
 * other writer. */
struct span schemas_own_text(const struct writer *writer);

/* Whether any of our topics could be written with it. */
bool writer_is_of_use(const struct writer *writer);

/* Our schema of an input topic; NULL while it has none. */
const struct writer *schemas_reader(const struct schemas *schemas, enum topic topic);

/* One line that differs whenever a message could be decoded differently: which writers each
 * topic accepts, which others are known, and the ids. The caller frees it. */
char *schemas_text(const struct schemas *schemas) MUST_USE;

#endif
