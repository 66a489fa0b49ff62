/* PostgreSQL in memory, behind producers/store.h: lanes with epoch and owner, one transaction a
 * batch, rows as they are sent. Checks at every commit what must hold of the database. */
#ifndef MUSTER_TESTS_SIM_DATABASE_H
#define MUSTER_TESTS_SIM_DATABASE_H

#include "core/journal.h"
#include "producers/store.h"
#include "tests/sim/sim.h"

void database_begin(void);
void database_end(void);
void database_offer(void);
void database_offer_faults(void);
void database_drain(void);

/* Whether the client of that session has something to read. */
bool session_is_readable(int fd);

/* The member has been cut off: its sessions' clients are gone. */
void database_cut_off(const struct member *member);

/* A journal row as it is stored. */
struct stored_batch {
  struct journal_row row; /* owns its not_believed list */
  int64_t epoch;
  uint8_t owner[16];
  int64_t committed_at_ms;
  int64_t true_committed_ms; /* by the true wall clock */
  struct buffer environment;
};

/* A lane's rows, in order; the count. */
const struct stored_batch *database_batches(uint32_t lane, size_t *count);
/* Results: a row's bytes, by number from 1. Empty when there is none. */
struct span database_result(uint32_t lane, uint64_t seq);
size_t database_result_count(uint32_t lane);
size_t database_device_count(uint32_t lane);
/* The bytes of the device's row. */
struct span database_device(uint32_t lane, uint64_t number);
struct span database_block(uint32_t lane, uint32_t block); /* empty: there is none */
/* Empty when there is no such person. */
struct span database_address(const uint8_t subject[16]);
size_t database_letter_count(uint32_t lane, uint64_t after_batch);
uint64_t database_checkpoint(uint32_t lane);

/* What the batches behind `after` up to `batch` kept of the control topic, in order. */
void database_controls(uint32_t lane, uint64_t after, uint64_t batch, store_control_fn each,
                       void *context);

/* Whether that batch was ever committed with that chain; a failover may have taken it back. */
bool database_has_committed(uint32_t lane, uint64_t batch);

/* The n-th field of a row in COPY form, by its column's name in `columns` (comma-separated). */
struct span row_field(struct span row, const char *columns, const char *name, bool *is_null);

#endif
