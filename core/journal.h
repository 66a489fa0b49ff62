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

/* Offsets of a topic that an operator takes as lost, so that a lane that halted before them goes on
 * behind them; or, where the topic is another one under the same name, at its new beginning. What
 * is here is what was asked for, and the decision: the batch has no other input. */
struct journal_gap {
  bool is_set;
  bool is_accepted; /* false: whoever asked may not, and the lane stays where it is */
  enum topic topic;
  int64_t from; /* where the lane stood */
  int64_t to;   /* where it goes on; at or before `from` in a topic that was recreated */
  int64_t asked_at_ms;
  uint8_t event_id[EVENT_ID_SIZE];
  bool has_actor; /* somebody is named, by subject */
  uint8_t actor[SUBJECT_SIZE];
  char reason[NOTE_SIZE_MAX + 1]; /* UTF-8, terminated */
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
  /* With one that was accepted its topic's range is empty, and stands where the lane goes on; of
   * that topic there is no last message then. */
  struct journal_gap gap;
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

/* The bytes of a gap that is set, as they stand at the end of the canonical ones, and the way back;
 * false: they are none. */
enum { JOURNAL_GAP_SIZE_MIN = 3 + 3 * 8 + EVENT_ID_SIZE + SUBJECT_SIZE };
enum { JOURNAL_GAP_SIZE_MAX = JOURNAL_GAP_SIZE_MIN + NOTE_SIZE_MAX };
size_t journal_gap_bytes(const struct journal_gap *gap, uint8_t bytes[JOURNAL_GAP_SIZE_MAX]);
bool journal_gap_read(struct span bytes, struct journal_gap *gap) MUST_USE;

#endif
