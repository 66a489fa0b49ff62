/* What an import makes of a line or a record: a message to send, still as JSON. */
#ifndef MUSTER_APP_IMPORT_H
#define MUSTER_APP_IMPORT_H

#include "consumers/schemas.h"
#include "core/status.h"

struct json_t; /* jansson's value */

struct import_message {
  enum input_record record;
  int64_t timestamp_ms; /* to be stamped with */
  struct json_t *value; /* fields of the record's schema, event_id and occurred_at among them */
};

/* The file's first bytes without the byte order mark that some editors put before UTF-8. */
struct span import_without_mark(struct span beginning);

/* The field's text: empty when it is missing, null or no text. */
struct span import_text(const struct json_t *object, const char *name);

/* Puts in what every input record has and the fields lack: a random event_id, and `at_ms` as
 * occurred_at. */
void import_put_missing(struct json_t *fields, int64_t at_ms);

/* A number is milliseconds since 1970 UTC, a text RFC 3339; false when it is neither. */
bool import_time(const struct json_t *value, int64_t *at_ms) MUST_USE;

#endif
