#include "core/batch.h"

void batch_begin(struct batch *batch, uint64_t number, struct lane *lane,
                 const int64_t next_offsets[TOPIC_COUNT]) {
  struct topic_offset *const not_believed = batch->not_believed;
  const uint32_t capacity = batch->not_believed_capacity;
  lane->batch = number;
  *batch = (struct batch){
      .number = number,
      .first_seq = lane->seq + 1,
      .clock_before_ms = lane->clock_ms,
      .dead_letters_before = lane->dead_letter_count,
      .not_believed = not_believed,
      .not_believed_capacity = capacity,
  };
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    batch->ranges[topic].from = batch->ranges[topic].to = next_offsets[topic];
  }
}

void batch_fini(struct batch *batch, const struct memory *memory) {
  if (batch->not_believed != NULL) {
    memory->resize(memory->context, batch->not_believed,
                   batch->not_believed_capacity * sizeof *batch->not_believed, 0);
  }
  *batch = (struct batch){0};
}

bool batch_is_empty(const struct batch *batch) {
  return batch_step_count(batch) == 0;
}

uint64_t batch_step_count(const struct batch *batch) {
  return batch->message_count + batch->timer_count + batch->sweep_count + batch->gap.is_set;
}

void batch_note_sweep(struct batch *batch) {
  batch->sweep_count++;
}

void batch_note_gap(struct batch *batch, const struct journal_gap *gap) {
  assert(gap->is_set);
  assert(batch_is_empty(batch));
  struct offset_range *range = &batch->ranges[gap->topic];
  assert(range->from == gap->from && range->to == gap->from);
  batch->gap = *gap;
  if (gap->is_accepted) {
    range->from = range->to = gap->to;
  }
}

/* What a message whose stamp is not believed counts as stamped with: the lane's clock; while it has
 * none, the least believed stamp at hand, so that ranks decide between the lane's first messages
 * (an enrolment and a check-in that lies in the year 2100). */
static int64_t clock_at_turn(const struct lane *lane, const struct head heads[TOPIC_COUNT]) {
  if (lane->clock_ms != LANE_CLOCK_START_MS) {
    return lane->clock_ms;
  }
  int64_t least_ms = INT64_MAX;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct head *head = &heads[topic];
    if (head->state == HEAD_READY && head->is_believed && head->timestamp_ms < least_ms) {
      least_ms = head->timestamp_ms;
    }
  }
  return least_ms;
}

static struct merge_key key_of(const struct head *head, enum topic topic, int64_t clock_ms) {
  return (struct merge_key){.at_ms = head->is_believed ? head->timestamp_ms : clock_ms,
                            .topic = topic};
}

static bool key_before(struct merge_key a, struct merge_key b) {
  return a.at_ms != b.at_ms ? a.at_ms < b.at_ms : a.topic < b.topic;
}

/* A topic that was at its end while others went on has a message now. It belongs to this batch
 * only if a merge that had seen it all along would take it here. An unbelieved one sorts by the
 * clock at its turn, which has moved since: it always begins a new batch. */
static bool must_close(const struct batch *batch, const struct head *head, struct merge_key key) {
  /* While the lane had no clock, it sorted by a stamp that may not be in the batch: it has waited
   * for a timer that fired before that stamp, and would not wait when the ranges are all. */
  if (!head->is_believed && batch->clock_before_ms == LANE_CLOCK_START_MS &&
      batch->timer_count > 0) {
    return true;
  }
  if (!batch->was_blind[key.topic]) {
    return false;
  }
  return !head->is_believed || key_before(key, batch->blind_key[key.topic]);
}

enum next batch_next(const struct batch *batch, const struct lane *lane,
                     const struct head heads[TOPIC_COUNT], enum topic *topic) {
  if (batch->is_ended) {
    return NEXT_CLOSE;
  }
  if (sweep_is_open(lane)) {
    return NEXT_SWEEP;
  }
  const int64_t clock_ms = clock_at_turn(lane, heads);
  struct merge_key first = {.topic = TOPIC_COUNT};
  for (enum topic candidate = 0; candidate < TOPIC_COUNT; candidate++) {
    const struct head *head = &heads[candidate];
    if (head->state == HEAD_WAITING) {
      return NEXT_WAIT;
    }
    if (head->state == HEAD_READY) {
      const struct merge_key key = key_of(head, candidate, clock_ms);
      if (first.topic == TOPIC_COUNT || key_before(key, first)) {
        first = key;
      }
    }
  }
  if (first.topic == TOPIC_COUNT) {
    return NEXT_END;
  }
  *topic = first.topic;
  if (must_close(batch, &heads[first.topic], first)) {
    return NEXT_CLOSE;
  }
  /* A message behind the clock is applied at the clock: so what is due until then goes first. It
   * is there when a batch was cut between timers of the same time. */
  const struct head *head = &heads[first.topic];
  const bool moves_clock = head->is_believed && head->timestamp_ms > lane->clock_ms;
  const int64_t at_ms = moves_clock ? head->timestamp_ms : lane->clock_ms;
  const struct timer *timer = timers_first(&lane->timers);
  if (timer != NULL && timer->due_at_ms <= at_ms) {
    return NEXT_TIMER;
  }
  return head->begins_batch && !batch_is_empty(batch) ? NEXT_CLOSE : NEXT_MESSAGE;
}

static void note_not_believed(struct batch *batch, const struct memory *memory, enum topic topic,
                              int64_t offset) {
  batch->not_believed = memory_grow(memory, batch->not_believed, batch->not_believed_count,
                                    &batch->not_believed_capacity, sizeof *batch->not_believed);
  batch->not_believed[batch->not_believed_count++] =
      (struct topic_offset){.topic = topic, .offset = offset};
}

/* A step sorts at `key`: what comes later to a topic that is at its end must not sort before. */
static void note_blind(struct batch *batch, const struct head heads[TOPIC_COUNT],
                       struct merge_key key) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (heads[topic].state == HEAD_AT_END) {
      if (!batch->was_blind[topic] || key_before(batch->blind_key[topic], key)) {
        batch->blind_key[topic] = key;
      }
      batch->was_blind[topic] = true;
    }
  }
}

void batch_take(struct batch *batch, struct lane *lane, const struct head heads[TOPIC_COUNT],
                enum topic topic) {
  const struct head *head = &heads[topic];
  assert(head->state == HEAD_READY);
  assert(head->offset >= batch->ranges[topic].to);
  note_blind(batch, heads, key_of(head, topic, clock_at_turn(lane, heads)));
  batch->ranges[topic].to = head->offset + 1;
  batch->message_count++;
  batch->is_ended = head->ends_batch;
  if (head->is_believed) {
    decide_clock(lane, head->timestamp_ms);
  } else {
    note_not_believed(batch, &lane->memory, topic, head->offset);
  }
}

void batch_note_timer(struct batch *batch, const struct head heads[TOPIC_COUNT],
                      struct timer_cursor cursor) {
  /* Before any message of the same time: of the topics' ranks, the first. */
  note_blind(batch, heads, (struct merge_key){.at_ms = cursor.due_at_ms, .topic = 0});
  batch->timer = cursor;
  batch->timer_count++;
}

/* Before its first believed message a lane has no clock, which is not the year 1970. */
static int64_t clock_or_none(int64_t clock_ms) {
  return clock_ms == LANE_CLOCK_START_MS ? TIME_NONE : clock_ms;
}

void batch_row(const struct batch *batch, const struct lane *lane, struct journal_row *row) {
  *row = (struct journal_row){
      .lane = lane->number,
      .batch = batch->number,
      .first_seq = batch->first_seq,
      .last_seq = lane->seq,
      .clock_before_ms = clock_or_none(batch->clock_before_ms),
      .clock_after_ms = clock_or_none(lane->clock_ms),
      .not_believed = batch->not_believed,
      .not_believed_count = batch->not_believed_count,
      .timer = batch->timer,
      .sweep = sweep_cursor(lane),
      .has_state = batch->tells_state,
      .gap = batch->gap,
      .message_count = batch->message_count,
      .dead_letter_count = lane->dead_letter_count - batch->dead_letters_before,
      .timer_count = batch->timer_count,
      .device_count = lane->device_count,
  };
  memcpy(row->ranges, batch->ranges, sizeof row->ranges);
}
