/* A batch on its way out: every result is encoded once, when it is decided, into the rows for
 * PostgreSQL, the records for Kafka and the digests. Nothing of it changes after carrier_seal. */
#ifndef MUSTER_APP_CARRIER_H
#define MUSTER_APP_CARRIER_H

#include "core/app/digest.h"
#include "core/app/lane_state.h"
#include "core/batch.h"
#include "producers/encode.h"
#include "producers/store.h"

struct carrier {
  struct carrier *next;
  const struct encoding *encoding;
  struct lane_state *state; /* of the lane while it is being filled */
  struct journal_row row;
  struct topic_offset *not_believed; /* the row's list, owned */
  uint32_t not_believed_capacity;
  struct buffer persons, devices[DEVICE_PART_COUNT], results, letters; /* rows */
  struct buffer control;     /* what its control message changed */
  struct buffer environment; /* content, when it begins with this batch */
  struct buffer records;
  struct buffer canonical; /* of one result */
  struct digest *inputs_digest, *results_digest;
  bool makes_no_rows; /* nobody wants those of results: set once, before the first batch */
  bool has_row;       /* false: device rows alone */
  uint64_t batch;
  uint64_t checkpoint_batch; /* what all device rows reflect with it; 0: it writes none */
  uint32_t streamed_count;   /* of the touches whose rows are made while they are sent; 0: none */
  uint32_t streamed_next;    /* among them */
  uint64_t result_count, dead_letter_count;
  uint64_t kind_counts[RESULT_KIND_COUNT], reject_counts[REJECT_COUNT]; /* the same, by kind */
  uint64_t message_counts[TOPIC_COUNT];
  int64_t committed_at_ms;
  int64_t begun_mono_ms, commit_mono_ms;
};

struct carrier *carrier_open(const struct encoding *encoding);
void carrier_close(struct carrier *carrier); /* NULL is allowed */

/* Empties it for batch number `batch` of that lane. */
void carrier_begin(struct carrier *carrier, struct lane_state *state, uint64_t batch,
                   int64_t now_mono_ms);

/* Where decisions put their results. */
struct sink carrier_sink(struct carrier *carrier);

/* Bytes that will be sent, so far. */
size_t carrier_size(const struct carrier *carrier);
/* Bytes of rows that are held: of results, letters and devices. */
size_t carrier_rows_size(const struct carrier *carrier);

/* What a sealed batch is chained to. */
struct seal {
  const struct journal_row *previous; /* the chain and the last messages go on from it */
  const uint8_t *environment;         /* DIGEST_SIZE bytes */
  struct span environment_content;    /* JSON text */
  struct journal_witness witness;
};

/* Ends the batch: encodes the states of the devices it changed, fills the journal row and its
 * chain, and encodes the journal's record. `batch_last` holds, per topic, the canonical bytes of
 * the last message taken in this batch; a span of no data keeps the previous row's digest. */
void carrier_seal(struct carrier *carrier, const struct batch *batch, const struct seal *seal,
                  const struct span batch_last[TOPIC_COUNT]);

/* Gives back what batches took: the lane has nothing more to do for now. */
void carrier_rest(struct carrier *carrier);

/* Brings the rows of all devices touched since the last checkpoint, which reflect `batch`: the one
 * just sealed, or the last one when the carrier brings device rows alone. True: they are too many
 * to be held and are made from the lane while they are sent; until that is done nothing may
 * change the lane, and then carrier_devices_written is called. */
bool carrier_write_devices(struct carrier *carrier, struct lane_state *state, uint64_t batch);
/* Hands them to the commit: the rows, or how they are made. */
void carrier_put_devices(struct carrier *carrier, struct store_batch *batch);
/* Forgets them, when the carrier is used again without a batch. */
void carrier_clear_devices(struct carrier *carrier);
void carrier_devices_written(struct carrier *carrier);

#endif
