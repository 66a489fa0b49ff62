/* The schemas that are known: ours, those of a directory, those of a schema registry.
 *
 * Owns the schemas and, for each writer and input record, the program that reads it as ours.
 * Earlier versions of ours are known as writers: nothing is read as them.
 * Never asks anything over a network. Once filled it is only read, by any thread; who learns
 * later does so in a set of its own (schemas_derive). */
#ifndef MUSTER_CONSUMERS_SCHEMAS_H
#define MUSTER_CONSUMERS_SCHEMAS_H

#include "consumers/avro_schema.h"
#include "consumers/program.h"
#include "core/event.h"

/* No Confluent id. */
#define SCHEMA_ID_NONE INT64_C(-1)

/* Our records of the input topics, a topic's side by side; the kind of event that each becomes. */
enum input_record {
  INPUT_ENROLLMENT = EVENT_ENROLLMENT,
  INPUT_CHECKIN = EVENT_CHECKIN,
  INPUT_REPORT = EVENT_REPORT,
  INPUT_COMMAND = EVENT_COMMAND,
  INPUT_POLICY = EVENT_POLICY,
  INPUT_ROLE = EVENT_ROLE,
  INPUT_TENANT = EVENT_TENANT,
  INPUT_PROFILE_REVISION = EVENT_PROFILE_REVISION,
  INPUT_GROUP = EVENT_GROUP,
  INPUT_STATE = EVENT_STATE,
  INPUT_RECORD_COUNT,
};

/* Without namespace: "Enrollment". */
const char *input_record_name(enum input_record record);
enum topic input_record_topic(enum input_record record);

/* How many records the topic has, and the first of them; the others follow it. */
uint32_t topic_record_count(enum topic topic);
enum input_record topic_first_record(enum topic topic);

/* Somebody's schema, as a writer of messages. */
struct writer {
  uint64_t fingerprint;
  const struct avro_schema *schema;
  const char *source;                                 /* "Enrollment.avsc", for people */
  const struct program *programs[INPUT_RECORD_COUNT]; /* NULL: cannot be read as ours */
  const char *reasons[INPUT_RECORD_COUNT];            /* why not, for people; NULL with a program */
  /* Which record a message of the topic is, if it can be read at all: the one of its name. */
  enum input_record of_topic[TOPIC_COUNT];
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

/* The same, quicker for a schema of that topic that is or was ours. */
const struct writer *schemas_find_of_topic(const struct schemas *schemas, enum topic topic,
                                           uint64_t fingerprint);
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

/* Our present schema of an input record. */
const struct writer *schemas_reader(const struct schemas *schemas, enum input_record record);

/* One line that differs whenever a message could be decoded differently: which writers each
 * record is read from, which others are known, and the ids. The caller frees it. */
char *schemas_text(const struct schemas *schemas) MUST_USE;

#endif
