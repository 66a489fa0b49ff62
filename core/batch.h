/* The order in which a lane's messages are taken, and where a batch may end.
 *
 * A lane's topics are merged by their heads: the next message is the one with the smallest
 * (timestamp, rank of its topic). It may be taken only while every other topic shows its next
 * message or is at its end. A batch is any prefix of that order, so its offset ranges alone
 * give the order again.
 *
 * Live, "at its end" is momentary: what comes later to a topic that was at its end may sort
 * before messages already taken or timers already fired. Such a message ends the open batch and
 * begins the next: within every batch the order is that of a merge that saw all of it. */
#ifndef MUSTER_CORE_BATCH_H
#define MUSTER_CORE_BATCH_H

#include "core/sweep.h"

/* The next message of a topic, or why there is none. */
struct head {
  enum { HEAD_WAITING, HEAD_AT_END, HEAD_READY } state;
  bool is_believed;  /* its timestamp moves the clock */
  bool begins_batch; /* a control message that concerns devices */
  bool ends_batch;   /* a request for the lane's state, as it is behind it */
  int64_t timestamp_ms;
  int64_t offset;
};

/* Where a message sorts: its timestamp, the lane's clock when that is not believed. */
struct merge_key {
  int64_t at_ms;
  enum topic topic;
};

struct batch {
  uint64_t number;
  uint64_t first_seq;
  int64_t clock_before_ms;
  uint64_t dead_letters_before;
  uint64_t message_count, timer_count;
  uint64_t sweep_count; /* devices swept */
  bool is_ended;        /* the last message taken is its last step */
  bool tells_state;     /* whoever asked for it may: the row has the state's digest */
  struct journal_gap gap;
  struct offset_range ranges[TOPIC_COUNT];
  /* While a topic was at its end, steps up to this key were taken: messages and timers. */
  bool was_blind[TOPIC_COUNT];
  struct merge_key blind_key[TOPIC_COUNT];
  struct timer_cursor timer; /* the last that fired */
  struct topic_offset *not_believed;
  uint32_t not_believed_count, not_believed_capacity;
};

enum next {
  NEXT_SWEEP,   /* the open sweep's next device, before anything else */
  NEXT_WAIT,    /* a topic's next message is on its way */
  NEXT_END,     /* every topic is at its end */
  NEXT_CLOSE,   /* the next message belongs to another batch */
  NEXT_TIMER,   /* the lane's first timer is due before that message */
  NEXT_MESSAGE, /* that message's turn */
};

/* Begins batch `number` where the lane stands; `next_offsets` is where each topic goes on. A
 * batch keeps its memory from one use to the next; batch_fini gives it back. */
void batch_begin(struct batch *batch, uint64_t number, struct lane *lane,
                 const int64_t next_offsets[TOPIC_COUNT]);
void batch_fini(struct batch *batch, const struct memory *memory);

/* Nothing has happened in it: it need not be committed. */
bool batch_is_empty(const struct batch *batch);

/* What comes next; `topic` is set with NEXT_TIMER and NEXT_MESSAGE. */
enum next batch_next(const struct batch *batch, const struct lane *lane,
                     const struct head heads[TOPIC_COUNT], enum topic *topic);

/* Notes that the head of `topic` is being taken: call before its decision. Moves the clock. */
void batch_take(struct batch *batch, struct lane *lane, const struct head heads[TOPIC_COUNT],
                enum topic topic);

/* Notes that a timer has fired, while the heads were these. */
void batch_note_timer(struct batch *batch, const struct head heads[TOPIC_COUNT],
                      struct timer_cursor cursor);

/* Notes that a step of a sweep was taken. It needs no place in the order: a sweep stands right
 * behind its message, which begins a batch, or begins its batch. */
void batch_note_sweep(struct batch *batch);

/* Notes what was decided about a gap; nothing else happens in that batch. */
void batch_note_gap(struct batch *batch, const struct journal_gap *gap);

/* Steps so far: messages, timers, devices swept, a gap. */
uint64_t batch_step_count(const struct batch *batch);

/* The journal row of the batch as it stands; digests and environment are the caller's, the state's
 * digest where the row has one included. The row
 * looks into the batch's list of what was not believed. */
void batch_row(const struct batch *batch, const struct lane *lane, struct journal_row *row);

#endif
