/* The journal row of a batch: what was read, what was decided, and the digests over both.
 *
 * What stands in the row follows from the log alone, so the same batches give the same chain,
 * restarts included. Who committed it and when stands beside the row, outside the chain. */
#ifndef MUSTER_CORE_JOURNAL_H
#define MUSTER_CORE_JOURNAL_H

#include "core/result.h"

enum { DIGEST_SIZE = 32 };

struct offset_range {
  int64_t from;
  int64_t to; /* exclusive; equal to `from` when nothing was taken */
};

struct topic_offset {
  enum topic topic;
  int64_t offset;
};

/* The last timer that a batch fired: where a cut batch goes on. */
struct timer_cursor {
  bool is_set;
  int64_t due_at_ms;
  uint64_t device_number;
  uint32_t kind;
};

/* A batch that was cut within a sweep: where it goes on. Not set: no sweep is open at its end. */
struct sweep_cursor {
  bool is_set;
  uint64_t device_number; /* the last that was swept; 0: none yet */
};

struct journal_row {
  uint32_t lane;
  uint64_t batch; /* dense from 1 in its lane */
  uint64_t first_seq;
  uint64_t last_seq;       /* first_seq - 1 when the batch decided nothing numbered */
  int64_t clock_before_ms; /* TIME_NONE before the first believed message of a lane */
  int64_t clock_after_ms;
  struct offset_range ranges[TOPIC_COUNT];
  const struct topic_offset *not_believed;
  size_t not_believed_count;
  struct timer_cursor timer;
  struct sweep_cursor sweep;
  bool has_state; /* `state` is the digest of what the lane is at the batch's end */
  uint64_t message_count;
  uint64_t dead_letter_count;
  uint64_t timer_count;
  uint64_t device_count; /* devices created in the lane up to and including this batch */
  uint8_t environment[DIGEST_SIZE];
  uint8_t last_message[TOPIC_COUNT][DIGEST_SIZE]; /* zeros: no message of that topic yet */
  uint8_t inputs[DIGEST_SIZE];
  uint8_t results[DIGEST_SIZE];
  uint8_t state[DIGEST_SIZE]; /* zeros without has_state */
  uint8_t chain[DIGEST_SIZE];
};

/* An upper bound of what journal_canonical writes for `row`. */
size_t journal_canonical_size_max(const struct journal_row *row);

/* Writes the canonical bytes of everything in the row but `chain`, preceded by the previous
 * row's chain: their SHA-256 is this row's chain. Integers are big-endian, lists are preceded
 * by their length. Returns the number of bytes written. */
size_t journal_canonical(const struct journal_row *row, const uint8_t previous_chain[DIGEST_SIZE],
                         uint8_t *bytes);

#endif
