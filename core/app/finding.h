/* What a verification found: one thing that is not as it was decided, named, and shown field by
 * field in decoded form. A JSON object, which prints itself. */
#ifndef MUSTER_APP_FINDING_H
#define MUSTER_APP_FINDING_H

#include "core/app/found.h"
#include "core/journal.h"

#include <stdio.h>

struct json_t;  /* jansson's value */
struct schemas; /* consumers/schemas.h */

/* A message as JSON: {"key", "timestamp", "headers", "value"}, as `topics cat` shows it. The
 * caller owns what is returned here. */
struct json_t *finding_of_message(const struct schemas *schemas, const struct outgoing *message);
/* A gap that a row has the decision about; null: none. The caller's. */
struct json_t *finding_of_gap(const struct journal_gap *gap, const char *topic_prefix);
struct json_t *finding_of_row(const struct journal_row *row, const char *topic_prefix);

/* Where two values differ: an array of {"field", "expected", "found"}, deepest fields each. */
struct json_t *finding_differences(const struct json_t *expected, const struct json_t *found);

/* Begins a finding: {"what": `what`, "lane", "batch"}. `what` is the name of what happened. */
struct json_t *finding_begin(const char *what, uint32_t lane, uint64_t batch);

/* Adds a text for people: what happened, in a sentence. */
void finding_explain(struct json_t *finding, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds what was expected and what was found (NULL: nothing), and where they differ. Takes both. */
void finding_compare(struct json_t *finding, struct json_t *expected, struct json_t *found);

/* Prints it for people, indented by two spaces. */
void finding_print(FILE *stream, const struct json_t *finding);

#endif
