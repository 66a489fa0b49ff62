/* What the database holds, and the changes that made it so: a failover goes back to fewer. */
#ifndef MUSTER_TESTS_SIM_TABLES_H
#define MUSTER_TESTS_SIM_TABLES_H

#include "producers/store.h"
#include "tests/sim/database.h"

enum change_kind { CHANGE_TAKE, CHANGE_PERSONS, CHANGE_BATCH };

/* One transaction, with everything that it was sent. */
struct change {
  enum change_kind kind;
  struct ownership_of_lane ownership;
  bool has_row;
  struct stored_batch batch;
  uint64_t published_batch, checkpoint_batch;
  struct buffer persons, devices[DEVICE_PART_COUNT], results, letters, control;
};

struct letter {
  uint64_t batch, seq;
  struct buffer row;
};

struct lane_tables {
  bool exists;
  int64_t epoch;
  uint8_t owner[OWNER_SIZE];
  uint64_t published_batch, checkpoint_batch;
  struct stored_batch *batches;
  size_t batch_count, batch_capacity;
  struct buffer *results; /* by number less one */
  size_t result_count, result_capacity;
  struct buffer *devices; /* by index in the lane */
  size_t device_count, device_capacity;
  struct buffer *blocks; /* by number */
  size_t block_count, block_capacity;
  struct buffer *controls; /* of each batch: store_controls, each with its texts behind it */
  size_t control_capacity;
  struct letter *letters;
  size_t letter_count, letter_capacity;
};

struct lane_tables *tables_lane(uint32_t lane);

void tables_begin(void);
void tables_end(void);

/* Copies what a commit sends. The caller hands it to tables_apply or frees it. */
struct change *change_of(const struct store_batch *batch, enum change_kind kind);
void change_free(struct change *change);

/* Commits; takes the change. Checks what must hold. */
void tables_apply(struct change *change);
size_t tables_change_count(void);
/* Goes back to the first `count` changes. */
void tables_lose(size_t count);

/* A block's row; there must be one. */
void tables_read_block(const struct lane_tables *lane, size_t number, struct device_block *block);

uint64_t row_number(struct span row, const char *columns, const char *name);

#endif
