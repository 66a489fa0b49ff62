/* A line of JSON as a message: what `produce` reads, and what `topics cat` prints. */
#ifndef MUSTER_APP_IMPORT_NDJSON_H
#define MUSTER_APP_IMPORT_NDJSON_H

#include "core/app/import.h"

/* Reads {"topic":…, "timestamp":…, fields…}, or the fields below "value". The topic's prefix is
 * optional; of a topic with several records "record" names one, or a field that no other has.
 * Without a timestamp it is `now_ms`; without event_id and occurred_at they are a random UUID and
 * the timestamp. On STATUS_OK the caller owns message->value, whose fields are not checked yet;
 * STATUS_REFUSED says why the line is none. */
enum status ndjson_convert(struct span line, const char *topic_prefix, int64_t now_ms,
                           struct import_message *message, struct error *error) MUST_USE;

#endif
