/* A lane's journal, batch by batch: from its topic, or from the view in PostgreSQL.
 *
 * Streams: memory does not grow with the journal. What it reads is not believed: whoever uses it
 * compares. */
#ifndef MUSTER_APP_JOURNAL_SOURCE_H
#define MUSTER_APP_JOURNAL_SOURCE_H

#include "core/app/database.h"
#include "core/app/found.h"
#include "core/app/recorded.h"

struct journal_source;

/* From the topic; `found` outlives it. */
struct journal_source *journal_source_of_topic(struct found *found, const struct schemas *schemas,
                                               const char *topic_prefix);

/* From the view muster.journal; the connection outlives it, and is in nobody else's use between two
 * calls. */
struct journal_source *journal_source_of_database(struct pg_conn *database, uint32_t lane,
                                                  const char *topic_prefix);
void journal_source_close(struct journal_source *source); /* NULL is allowed */

/* What the journal says next. */
struct journal_entry {
  const struct recorded_batch *batch; /* NULL: the journal ends here */
  /* From the topic: the record, and the environment's before it or NULL. */
  const struct found_record *record, *environment;
};

/* The next batch; the one before goes away. STATUS_REFUSED: what stands there is no journal
 * record, or an environment without its batch; `error` says where. */
enum status journal_source_next(struct journal_source *source, struct journal_entry *entry,
                                struct error *error) MUST_USE;

#endif
