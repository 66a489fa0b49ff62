/* The way in: the merge, the decisions, timers by the wall clock, and when a batch ends. */
#include "core/app/clock.h"
#include "core/app/lane_step.h"
#include "core/app/lane_task_internal.h"
#include "core/app/log.h"

enum {
  NOT_BELIEVED_MAX = 5000,       /* the journal's record must stay below a message's size */
  BATCH_BYTES_MIN = 256 * 1024,  /* however many lanes there are: small batches cost too much */
  DEVICE_SIZE_GUESS = 250,       /* bytes of a changed device's record, encoded at the end */
  CHECKPOINT_MS = 4000,          /* device rows may be 5 s behind (the public contract) */
  MESSAGES_BEHIND_MAX = 1000000, /* that are decided again after a crash, at most */
  TEXTS_SIZE_MAX = 2 << 20,      /* of traceparents kept for device records */
  STEPS_PER_TURN = 2000,         /* then the loop gets its turn */
  LINGER_MS = 5,                 /* how long a batch waits for messages that are on their way */
  FRESH_MS = 1000,               /* an unknown serial's message waits until it is this old */
  TICK_BEHIND_MS = 1000,  /* a timer fires when the wall less this has reached its due time */
  TICK_STALE_MS = 10000,  /* an answer about the ends is of no use after this */
  TICK_TIMEOUT_MS = 5000, /* for each topic's end */
};

/* Rows of one checkpoint: for as long the lane stands still. The simulator's fleets are small: it
 * has its own limit, so that checkpoints come also where they seldom do, within a sweep. */
#ifndef TOUCHED_MAX
#define TOUCHED_MAX 50000
#endif

static bool begin_batch(struct lane_task *task) {
  if (task->filling != NULL) {
    return true;
  }
  struct carrier *carrier = carriers_pop(&task->spare);
  if (carrier == NULL) {
    if (task->carrier_count == CARRIERS_MAX) {
      return false;
    }
    carrier = carrier_open(&task->options.setup.encoding);
    task->carrier_count++;
  }
  int64_t next_offsets[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    next_offsets[topic] = task->intakes[topic].next_offset;
    buffer_clear(&task->batch_last[topic]);
  }
  carrier_begin(carrier, task->resources.state, task->last_row.batch + 1, clock_mono_ms());
  batch_begin(&task->batch, task->last_row.batch + 1, &task->resources.state->lane, next_offsets);
  lane_restore_admins(task);
  task->filling = carrier;
  return true;
}

/* Fills the batch's row, and chains it to the one before. `recorded` is the batch as it was when
 * it is being decided again, or NULL. */
static void seal_carrier(struct lane_task *task, const struct recorded_batch *recorded) {
  struct seal seal = {
      .previous = &task->last_row,
      .environment = recorded != NULL ? recorded->row.environment : task->schemas.digest,
      .environment_content =
          recorded != NULL ? buffer_span(&recorded->environment) : span_text(task->schemas.text),
      .witness = {.epoch = task->resources.ownership.epoch, .committed_at_ms = clock_wall_ms()},
  };
  memcpy(seal.witness.owner, task->resources.ownership.owner, sizeof seal.witness.owner);
  if (recorded != NULL) {
    seal.witness = recorded->witness;
  }
  struct span batch_last[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    batch_last[topic] = buffer_span(&task->batch_last[topic]);
  }
  carrier_seal(task->filling, &task->batch, &seal, batch_last);
  task->message_count_since += task->batch.message_count;
}

static void write_devices(struct lane_task *task) {
  task->is_streaming =
      carrier_write_devices(task->filling, task->resources.state, task->last_row.batch);
  task->checkpoint_mono_ms = clock_mono_ms();
  task->message_count_since = 0;
}

bool lane_wants_checkpoint(const struct lane_task *task) {
  const uint32_t touched = task->resources.state->lane.touches.count;
  return touched > 0 &&
         (task->is_at_end || task->phase == LANE_DRAINING || touched >= TOUCHED_MAX ||
          task->message_count_since >= MESSAGES_BEHIND_MAX ||
          task->resources.state->lane.touches.texts_size >= TEXTS_SIZE_MAX ||
          clock_mono_ms() - task->checkpoint_mono_ms >= CHECKPOINT_MS);
}

void lane_flush(struct lane_task *task) {
  if (begin_batch(task)) {
    assert(batch_is_empty(&task->batch));
    write_devices(task);
    carriers_push(&task->sealed, task->filling);
    task->filling = NULL;
    lane_commit_next(task);
  }
}

/* What is committed already goes on to be published, what is published already is done with. */
static void send_carrier(struct lane_task *task) {
  struct carrier *carrier = task->filling;
  task->filling = NULL;
  task->last_row = carrier->row;
  if (carrier->batch > task->resources.head.row.batch) {
    carriers_push(&task->sealed, carrier);
    lane_commit_next(task);
  } else {
    const bool is_published = carrier->batch <= task->resources.published_batch;
    carriers_push(is_published ? &task->spare : &task->committed, carrier);
    lane_publish_next(task);
  }
}

void lane_seal(struct lane_task *task) {
  seal_carrier(task, NULL);
  if (lane_wants_checkpoint(task)) {
    task->last_row = task->filling->row;
    write_devices(task);
  } else if (task->resources.state->lane.touches.count == 0) {
    /* The rows are up to date as they stand: then the batch need not be decided again. */
    task->filling->checkpoint_batch = task->filling->row.batch;
  }
  send_carrier(task);
}

/* What a batch may grow to, so that all carriers of all lanes here fit the memory they may take. */
static size_t bytes_max(const struct lane_task *task) {
  const struct config *config = task->options.setup.config;
  const int64_t share =
      config->batch.memory_max / (CARRIERS_MAX * (int64_t)*task->options.lanes_here);
  const int64_t least = share > BATCH_BYTES_MIN ? share : BATCH_BYTES_MIN;
  return (size_t)(least < config->batch.bytes_max ? least : config->batch.bytes_max);
}

static bool is_full(const struct lane_task *task) {
  const struct config *config = task->options.setup.config;
  return batch_step_count(&task->batch) >= (uint64_t)config->batch.messages_max ||
         task->batch.not_believed_count >= NOT_BELIEVED_MAX ||
         task->resources.state->lane.touches.texts_size >= (size_t)config->batch.bytes_max ||
         carrier_size(task->filling) +
                 (size_t)task->resources.state->lane.touches.batch_changed_count *
                     DEVICE_SIZE_GUESS >=
             bytes_max(task);
}

/* A fresh message of an unknown serial waits for its enrolment, which may be on its way in
 * another topic. What stood in the topics at the start is all there: nothing is waited for. */
static bool is_held(const struct lane_task *task, enum topic topic) {
  const struct intake *intake = &task->intakes[topic];
  return !task->options.until_caught_up && topic != TOPIC_CONTROL && intake->is_event &&
         intake->head->is_believed && intake->event.kind != EVENT_ENROLLMENT &&
         intake->head->timestamp_ms > clock_wall_ms() - FRESH_MS &&
         lane_find(&task->resources.state->lane, intake->event.serial) == INDEX_NONE;
}

static struct lane_step step_of(struct lane_task *task) {
  return (struct lane_step){.state = task->resources.state,
                            .batch = &task->batch,
                            .heads = task->heads,
                            .intakes = task->intakes,
                            .batch_last = task->batch_last};
}

static void fire_timer(struct lane_task *task) {
  task->is_at_end = false;
  const struct sink sink = carrier_sink(task->filling);
  const struct lane_step step = step_of(task);
  lane_step_timer(&step, &sink);
}

static void sweep_device(struct lane_task *task) {
  task->is_at_end = false;
  const struct sink sink = carrier_sink(task->filling);
  const struct lane_step step = step_of(task);
  lane_step_sweep(&step, &sink);
}

static void take_message(struct lane_task *task, enum topic topic) {
  task->is_at_end = false;
  const struct sink sink = carrier_sink(task->filling);
  const struct lane_step step = step_of(task);
  lane_step_message(&step, task->filling, &sink, topic);
  task->filling->message_counts[topic]++;
}

static void run_tick(void *context) {
  struct lane_task *task = context;
  struct tick *tick = &task->tick;
  tick->status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && tick->status == STATUS_OK; topic++) {
    char name[TOPIC_NAME_SIZE];
    int64_t first;
    topic_full_name(task->options.setup.config, topic, name);
    tick->status =
        fetch_offsets(task->resources.fetch, name, topic_partition(topic, task->options.setup.lane),
                      TICK_TIMEOUT_MS, &first, &tick->ends[topic], &tick->error);
  }
}

static void on_tick_answered(void *context) {
  struct lane_task *task = context;
  if (task->phase != LANE_RUNNING || task->tick.state != TICK_ASKED) {
    return;
  }
  /* No answer, no tick: it is asked again. */
  task->tick.state = task->tick.status == STATUS_OK ? TICK_ANSWERED : TICK_NONE;
  lane_pump(task);
}

/* Whether all below the ends that were answered has been taken. */
static bool tick_is_covered(const struct lane_task *task) {
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct intake *intake = &task->intakes[topic];
    if (intake->next_offset < task->tick.ends[topic] &&
        source_end(intake->source) < task->tick.ends[topic]) {
      return false;
    }
  }
  return true;
}

/* At the end of every topic: fires what is due by the wall clock. True when something fired. */
static bool tick(struct lane_task *task) {
  const struct timer *first = timers_first(&task->resources.state->lane.timers);
  const int64_t wall_ms = clock_wall_ms();
  struct tick *tick = &task->tick;
  if (task->options.until_caught_up || first == NULL ||
      first->due_at_ms > wall_ms - TICK_BEHIND_MS) {
    return false;
  }
  if (tick->state == TICK_NONE) {
    *tick = (struct tick){.state = TICK_ASKED, .wall_ms = wall_ms};
    worker_submit(task->worker, run_tick, on_tick_answered, task);
    return false;
  }
  if (tick->state == TICK_ASKED || !tick_is_covered(task)) {
    if (tick->state == TICK_ANSWERED && wall_ms - tick->wall_ms > TICK_STALE_MS) {
      tick->state = TICK_NONE;
    }
    return false;
  }
  bool has_fired = false;
  while (!is_full(task)) {
    first = timers_first(&task->resources.state->lane.timers);
    if (first == NULL || first->due_at_ms > tick->wall_ms - TICK_BEHIND_MS) {
      tick->state = TICK_NONE;
      break;
    }
    fire_timer(task);
    has_fired = true;
  }
  return has_fired;
}

/* The next batch to be decided again; NULL: none. */
static const struct recorded_batch *next_recorded(const struct lane_task *task) {
  const struct recorded_batches *recorded = &task->resources.recorded;
  return task->redone_count < recorded->count ? &recorded->items[task->redone_count] : NULL;
}

bool lane_is_redoing(const struct lane_task *task) {
  return next_recorded(task) != NULL;
}

int64_t lane_stop_offset(const struct lane_task *task, enum topic topic) {
  const struct recorded_batch *recorded = next_recorded(task);
  if (recorded != NULL) {
    return recorded->row.ranges[topic].to;
  }
  return task->options.until_caught_up ? task->options.stop_offsets[topic] : -1;
}

/* All messages of a recorded batch are taken: the timers that were its last steps follow, and the
 * chain tells whether it is the same batch. */
static enum status end_recorded(struct lane_task *task, const struct recorded_batch *recorded,
                                struct error *error) {
  const struct journal_row *row = &recorded->row;
  const struct lane_step step = step_of(task);
  while (lane_step_has_timer(&step, row)) {
    fire_timer(task);
  }
  seal_carrier(task, recorded);
  if (memcmp(task->filling->row.chain, row->chain, DIGEST_SIZE) != 0) {
    return error_set(error, STATUS_CONFIG,
                     "lane %u: batch %llu is recorded otherwise than it is decided now; was a "
                     "setting, a schema or the program changed without a clean stop?",
                     task->options.setup.lane, (unsigned long long)row->batch);
  }
  send_carrier(task);
  return STATUS_OK;
}

/* Decides a recorded batch again, as far as its messages have arrived. True when it is done. */
static bool redo(struct lane_task *task, const struct recorded_batch *recorded, struct error *error,
                 enum status *status) {
  const struct lane_step step = step_of(task);
  if (recorded->row.gap.is_set) {
    struct journal_gap gap = recorded->row.gap;
    const struct sink sink = carrier_sink(task->filling);
    lane_step_gap(&step, &gap, &sink);
    *status = end_recorded(task, recorded, error);
    return *status == STATUS_OK;
  }
  for (;;) {
    enum topic topic;
    lane_step_believe(task->heads, &recorded->row);
    switch (batch_next(&task->batch, &task->resources.state->lane, task->heads, &topic)) {
    case NEXT_SWEEP:
      if (lane_step_sweep_is_cut(&step, &recorded->row)) {
        *status = end_recorded(task, recorded, error);
        return *status == STATUS_OK;
      }
      sweep_device(task);
      break;
    case NEXT_WAIT:
      return false;
    case NEXT_TIMER:
      fire_timer(task);
      break;
    case NEXT_MESSAGE:
      take_message(task, topic);
      *status = lane_refresh(task, topic, error);
      if (*status != STATUS_OK) {
        return false;
      }
      break;
    case NEXT_CLOSE:
    case NEXT_END:
      *status = end_recorded(task, recorded, error);
      return *status == STATUS_OK;
    }
  }
}

/* The topics are read up to the end of the next recorded batch, or go on without end. */
static enum status set_stops(struct lane_task *task, struct error *error) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    task->intakes[topic].stop_offset = lane_stop_offset(task, topic);
    assert(task->heads[topic].state != HEAD_READY);
    task->heads[topic].state = HEAD_WAITING;
  }
  const enum status status = lane_restore_schemas(task, error);
  return status == STATUS_OK ? lane_refresh_all(task, error) : status;
}

/* Recorded batches first. True when there are none any more. */
static bool redo_recorded(struct lane_task *task) {
  struct error error;
  enum status status = STATUS_OK;
  for (const struct recorded_batch *recorded; (recorded = next_recorded(task)) != NULL;) {
    if (!begin_batch(task)) {
      return false;
    }
    if (redo(task, recorded, &error, &status)) {
      task->redone_count++;
      status = set_stops(task, &error);
    } else if (status == STATUS_OK) {
      return false;
    }
    if (status != STATUS_OK) {
      lane_fail(task, status, &error);
    }
    if (task->phase != LANE_RUNNING) {
      return false;
    }
  }
  return true;
}

/* Under the key that is in force; the address is kept as every person's is. */
static void name_asker(struct lane_task *task, struct gap_request *request) {
  char *const email = request->user_email;
  for (size_t i = 0; email[i] != '\0'; i++) {
    email[i] = email[i] >= 'A' && email[i] <= 'Z' ? (char)(email[i] | 0x20) : email[i];
  }
  struct subject_hash *hash = subject_hash_open(task->options.rules.subject_key);
  subject_hash_of(hash, span_text(email), request->gap.actor);
  subject_hash_close(hash);
  store_append_person(&task->filling->persons, request->gap.actor, span_text(email));
}

bool lane_take_gap(struct lane_task *task) {
  struct gap_request *request = &task->resources.request;
  if (!request->is_there) {
    return false;
  }
  if (!begin_batch(task)) {
    return true; /* a carrier that comes back wakes us */
  }
  if (request->gap.has_actor) {
    name_asker(task, request);
  }
  const struct lane_step step = step_of(task);
  const struct sink sink = carrier_sink(task->filling);
  lane_step_gap(&step, &request->gap, &sink);
  request->is_there = false;
  if (request->gap.is_accepted) {
    task->options.setup.is_replaced[request->gap.topic] = false;
  }
  log_warning(request->gap.is_accepted ? "gap accepted" : "gap not accepted: needs an ADMIN",
              LOG_INTEGER("lane", task->options.setup.lane),
              LOG_TEXT("topic", topic_name(request->gap.topic)),
              LOG_INTEGER("from", request->gap.from), LOG_INTEGER("to", request->gap.to));
  lane_retake(task);
  return true;
}

/* One step of the merge. False when there is nothing more to do for now. */
static bool step(struct lane_task *task) {
  enum topic topic;
  switch (batch_next(&task->batch, &task->resources.state->lane, task->heads, &topic)) {
  case NEXT_WAIT:
  case NEXT_END:
    return false;
  case NEXT_SWEEP:
    sweep_device(task);
    break;
  case NEXT_CLOSE:
    lane_seal(task);
    return task->phase == LANE_RUNNING && !task->is_streaming;
  case NEXT_TIMER:
    if (is_held(task, topic)) {
      return false;
    }
    fire_timer(task);
    break;
  case NEXT_MESSAGE: {
    if (is_held(task, topic)) {
      return false;
    }
    take_message(task, topic);
    struct error error;
    const enum status status = lane_refresh(task, topic, &error);
    if (status != STATUS_OK) {
      lane_fail(task, status, &error);
      return false;
    }
    break;
  }
  }
  if (is_full(task)) {
    lane_seal(task);
  }
  return task->phase == LANE_RUNNING && !task->is_streaming;
}

/* Nothing more is at hand: the batch goes out when nothing else is on its way (it would only wait
 * for that), unless more messages are about to arrive. */
static void rest(struct lane_task *task) {
  enum topic topic;
  const enum next next =
      batch_next(&task->batch, &task->resources.state->lane, task->heads, &topic);
  const bool ticked = next == NEXT_END && tick(task);
  task->is_at_end = next == NEXT_END;
  if (!batch_is_empty(&task->batch)) {
    const bool is_old = clock_mono_ms() - task->filling->begun_mono_ms >= LINGER_MS;
    const bool is_free = task->committing == NULL && task->sealed.count == 0 &&
                         task->committed.count == 0 && task->publishing.count == 0;
    if (ticked || (is_free && (next != NEXT_WAIT || is_old))) {
      lane_seal(task);
    }
  }
  if (task->phase == LANE_RUNNING) {
    lane_check_idle(task);
  }
}

void lane_pump(struct lane_task *task) {
  if (task->phase == LANE_DRAINING) {
    lane_check_idle(task);
    return;
  }
  if (task->phase != LANE_RUNNING || task->is_streaming) {
    return;
  }
  lane_pump_again(task, false);
  struct error error;
  const enum status status = lane_refresh_all(task, &error);
  if (status != STATUS_OK) {
    lane_fail(task, status, &error);
    return;
  }
  if (!redo_recorded(task) || lane_take_gap(task)) {
    return;
  }
  for (int steps = 0; steps < STEPS_PER_TURN; steps++) {
    if (task->has_schema && !lane_learn(task)) {
      return;
    }
    if (!begin_batch(task)) {
      return; /* a carrier that comes back wakes us */
    }
    if (!step(task)) {
      if (task->phase == LANE_RUNNING && !task->is_streaming && begin_batch(task)) {
        rest(task);
      }
      return;
    }
  }
  lane_pump_again(task, true);
}
