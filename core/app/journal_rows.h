/* Journal rows read back from the journal's topic: what a database that lost its tail is rebuilt
 * from. */
#ifndef MUSTER_APP_JOURNAL_ROWS_H
#define MUSTER_APP_JOURNAL_ROWS_H

#include "core/app/config.h"
#include "core/journal.h"

struct schemas;

struct journal_rows {
  struct journal_row *items; /* in order of batch; each owns its not_believed list */
  size_t count;
};

/* Reads the rows of a lane's batches after `batch`. STATUS_CONFIG when the topic does not have
 * all of them, or has what is no journal record. The caller ends the rows, in every case. */
enum status journal_rows_read(const struct config *config, const struct schemas *schemas,
                              uint32_t lane, uint64_t batch, struct journal_rows *rows,
                              struct error *error) MUST_USE;
void journal_rows_fini(struct journal_rows *rows);

#endif
