#include "core/app/lane_task.h"

#include "core/app/carrier.h"
#include "core/app/clock.h"
#include "core/app/log.h"
#include "core/app/worker.h"

#include <stdlib.h>
#include <uv.h>

enum {
  CARRIERS_MAX = 4,        /* one being filled, one committed, two waiting or being published */
  STEPS_PER_TURN = 2000,   /* then the loop gets its turn */
  LINGER_MS = 5,           /* how long a batch waits for messages that are on their way */
  FRESH_MS = 1000,         /* an unknown serial's message waits until it is this old */
  TICK_BEHIND_MS = 1000,   /* a timer fires when the wall less this has reached its due time */
  TICK_STALE_MS = 10000,   /* an answer about the ends is of no use after this */
  RETRY_MS_MIN = 100,
  RETRY_MS_MAX = 5000,
  RETRY_FENCED_MS = 1000,  /* whoever has the lane now has it for a reason */
};

/* Before a timer fires by the wall clock, the ends of the lane's topics are asked for: an end
 * seen once is a memory, and a broker that was away may hold the recovery. */
struct tick {
  enum { TICK_NONE, TICK_ASKED, TICK_ANSWERED } state;
  int64_t wall_ms; /* read before the question */
  int64_t ends[TOPIC_COUNT];
  enum status status;
  struct error error;
};

/* Carriers in order. */
struct carriers {
  struct carrier *first, **end;
  size_t count;
};

struct lane_task {
  struct lane_task_options options;
  struct worker *worker;
  enum lane_phase phase;
  enum lane_phase phase_after; /* of RELEASING */
  struct lane_resources resources;
  enum status status; /* of the job on the worker */
  struct error error;
  int64_t retry_ms;

  struct intake intakes[TOPIC_COUNT];
  struct head heads[TOPIC_COUNT];
  struct batch batch;
  struct buffer batch_last[TOPIC_COUNT]; /* canonical bytes of the batch's last messages */
  struct journal_row last_row;           /* of the batch sealed last */
  struct carrier *filling;
  struct carriers sealed, committed, publishing, spare;
  struct carrier *committing;
  size_t carrier_count;
  struct tick tick;
  bool is_at_end, is_caught_up;
  bool has_stops; /* until caught up: what stood there when the lane was first taken */
  int64_t stops[TOPIC_COUNT];
  bool worker_is_busy; /* with carriers that are being published */
  struct lane_totals totals;

  uv_poll_t store_poll, fetch_poll;
  uv_idle_t turn;
  uv_timer_t retry;
  size_t open_polls, open_handles;
};

static void pump(struct lane_task *task);
static void start(struct lane_task *task);

static void carriers_init(struct carriers *carriers) {
  *carriers = (struct carriers){.end = &carriers->first};
}

static void carriers_push(struct carriers *carriers, struct carrier *carrier) {
  carrier->next = NULL;
  *carriers->end = carrier;
  carriers->end = &carrier->next;
  carriers->count++;
}

static struct carrier *carriers_pop(struct carriers *carriers) {
  struct carrier *carrier = carriers->first;
  if (carrier != NULL) {
    carriers->first = carrier->next;
    carriers->count--;
    if (carriers->first == NULL) {
      carriers->end = &carriers->first;
    }
  }
  return carrier;
}

static void recycle(struct lane_task *task, struct carriers *carriers) {
  for (struct carrier *carrier; (carrier = carriers_pop(carriers)) != NULL;) {
    carriers_push(&task->spare, carrier);
  }
}

/* Giving the lane up. ------------------------------------------------------------------- */

static void on_release_done(void *context) {
  struct lane_task *task = context;
  recycle(task, &task->publishing);
  task->worker_is_busy = false;
  task->phase = task->phase_after;
  if (task->phase == LANE_STOPPED) {
    task->options.events.stopped(task->options.events.context, task);
  }
}

static void run_release(void *context) {
  struct lane_task *task = context;
  lane_resources_release(&task->resources);
}

static void release_resources(struct lane_task *task) {
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    task->intakes[topic].source = NULL;
    task->heads[topic].state = HEAD_WAITING;
  }
  worker_submit(task->worker, run_release, on_release_done, task);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct lane_task *task = handle->data;
  if (--task->open_polls == 0) {
    release_resources(task);
  }
}

static void on_retry(uv_timer_t *timer) {
  struct lane_task *task = timer->data;
  if (task->phase == LANE_WAITING) {
    start(task);
  }
}

/* Everything that is under way is dropped; what was committed is found again by taking the lane
 * anew. The descriptors must leave the loop before the connections they belong to close. */
static void give_up(struct lane_task *task, enum lane_phase phase_after) {
  task->phase = LANE_RELEASING;
  task->phase_after = phase_after;
  task->is_at_end = false;
  task->tick.state = TICK_NONE;
  uv_idle_stop(&task->turn);
  metrics_drop_lane(task->options.metrics, task->options.setup.lane);
  if (task->filling != NULL) {
    carriers_push(&task->spare, task->filling);
    task->filling = NULL;
  }
  if (task->committing != NULL) {
    carriers_push(&task->spare, task->committing);
    task->committing = NULL;
  }
  recycle(task, &task->sealed);
  recycle(task, &task->committed);
  if (task->open_polls == 0) {
    release_resources(task);
    return;
  }
  uv_close((uv_handle_t *)&task->store_poll, on_poll_closed);
  uv_close((uv_handle_t *)&task->fetch_poll, on_poll_closed);
}

static void fail(struct lane_task *task, enum status status, const struct error *error) {
  if (task->phase == LANE_RELEASING) {
    return;
  }
  const uint32_t lane = task->options.setup.lane;
  if (status == STATUS_REFUSED) {
    /* The database finds our own rows wrong: a defect. Nothing is better than a wrong decision. */
    log_error("internal error: stopping", LOG_INTEGER("lane", lane),
              LOG_TEXT("error", error->text));
    abort();
  }
  metric_add(task->options.metrics, METRIC_LANE_LOST, lane, 0, 1);
  const bool is_asked_to_stop = task->phase == LANE_DRAINING;
  enum lane_phase after = is_asked_to_stop ? LANE_STOPPED : LANE_WAITING;
  if (status == STATUS_CONFIG && !is_asked_to_stop) {
    after = LANE_HALTED;
    log_error("lane halted", LOG_INTEGER("lane", lane), LOG_TEXT("error", error->text));
  } else {
    const int64_t wait_ms = status == STATUS_FENCED && task->retry_ms < RETRY_FENCED_MS
                                ? RETRY_FENCED_MS
                                : task->retry_ms;
    log_warning("lane given up", LOG_INTEGER("lane", lane), LOG_TEXT("error", error->text),
                LOG_INTEGER("retry_ms", wait_ms));
    uv_timer_start(&task->retry, on_retry, (uint64_t)wait_ms, 200);
    task->retry_ms = task->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : task->retry_ms * 2;
  }
  give_up(task, after);
  task->options.events.failed(task->options.events.context, task, status, error);
}

/* Publishing. --------------------------------------------------------------------------- */

static void run_publish(void *context) {
  struct lane_task *task = context;
  task->status = STATUS_OK;
  for (const struct carrier *carrier = task->publishing.first;
       carrier != NULL && task->status == STATUS_OK; carrier = carrier->next) {
    task->status = publisher_publish(task->resources.publisher, buffer_span(&carrier->records),
                                     &task->error);
  }
}

static void on_published(void *context);

static void publish_next(struct lane_task *task) {
  if (task->worker_is_busy || task->committed.count == 0) {
    return;
  }
  for (struct carrier *carrier; (carrier = carriers_pop(&task->committed)) != NULL;) {
    carriers_push(&task->publishing, carrier);
  }
  task->worker_is_busy = true;
  worker_submit(task->worker, run_publish, on_published, task);
}

static bool is_idle(const struct lane_task *task) {
  return task->committing == NULL && task->sealed.count == 0 && task->committed.count == 0 &&
         task->publishing.count == 0 &&
         (task->filling == NULL || batch_is_empty(&task->batch));
}

/* With nothing on its way out, a lane that is asked to stop can; one that has read all that
 * stood there at the start has caught up. */
static void check_idle(struct lane_task *task) {
  if (!is_idle(task)) {
    return;
  }
  if (task->phase == LANE_DRAINING) {
    give_up(task, LANE_STOPPED);
  } else if (task->options.until_caught_up && task->is_at_end && !task->is_caught_up) {
    task->is_caught_up = true;
    task->options.events.caught_up(task->options.events.context, task);
  }
}

static void note_published(struct lane_task *task, const struct carrier *carrier) {
  const uint32_t lane = task->options.setup.lane;
  int64_t next_offsets[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    next_offsets[topic] = carrier->row.ranges[topic].to;
  }
  task->resources.published_batch = carrier->batch;
  task->retry_ms = RETRY_MS_MIN;
  metric_add(task->options.metrics, METRIC_PUBLISHED, lane, 0, 1);
  metric_observe(task->options.metrics, METRIC_PUBLISH_SECONDS, lane,
                 (double)(clock_mono_ms() - carrier->commit_mono_ms) / 1000);
  task->options.events.published(task->options.events.context, task, next_offsets);
}

static void on_published(void *context) {
  struct lane_task *task = context;
  if (task->phase == LANE_RELEASING) {
    return; /* the carriers come back when the release is done */
  }
  task->worker_is_busy = false;
  if (task->status != STATUS_OK) {
    const struct error error = task->error;
    fail(task, task->status, &error);
    return;
  }
  for (const struct carrier *carrier = task->publishing.first; carrier != NULL;
       carrier = carrier->next) {
    note_published(task, carrier);
  }
  recycle(task, &task->publishing);
  publish_next(task);
  pump(task);
}

/* Committing. --------------------------------------------------------------------------- */

static void on_store(uv_poll_t *poll, int status, int events);

static void watch_store(struct lane_task *task) {
  const int events =
      UV_READABLE | (store_wants_write(task->resources.store) ? (int)UV_WRITABLE : 0);
  uv_poll_start(&task->store_poll, events, on_store);
}

static void commit_next(struct lane_task *task);

static void note_committed(struct lane_task *task, const struct carrier *carrier) {
  struct metrics *metrics = task->options.metrics;
  const struct lane *lane = &task->resources.state->lane;
  metric_add(metrics, METRIC_BATCHES, lane->number, 0, 1);
  metric_add(metrics, METRIC_COMMIT_BYTES, lane->number, 0,
             (double)(carrier->results.size + carrier->devices.size + carrier->letters.size));
  metric_add(metrics, METRIC_TIMERS_FIRED, lane->number, 0, (double)carrier->row.timer_count);
  metric_observe(metrics, METRIC_COMMIT_SECONDS, lane->number,
                 (double)(clock_mono_ms() - carrier->commit_mono_ms) / 1000);
  metric_set(metrics, METRIC_CLOCK_SECONDS, lane->number, 0, (double)lane->clock_ms / 1000);
  metric_set(metrics, METRIC_TIMERS, lane->number, 0, lane->timers.count);
  metric_set(metrics, METRIC_DEVICES, lane->number, 0, lane->device_count);
  task->totals.messages += carrier->row.message_count;
  task->totals.results += carrier->result_count;
  task->totals.dead_letters += carrier->dead_letter_count;
}

static void advance_commit(struct lane_task *task) {
  bool is_done = false;
  struct error error;
  const enum status status = store_advance(task->resources.store, &is_done, &error);
  if (status != STATUS_OK) {
    fail(task, status, &error);
    return;
  }
  watch_store(task);
  if (is_done) {
    struct carrier *carrier = task->committing;
    task->committing = NULL;
    note_committed(task, carrier);
    carrier->commit_mono_ms = clock_mono_ms();
    carriers_push(&task->committed, carrier);
    publish_next(task);
    commit_next(task);
  }
}

static void on_store(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct lane_task *task = poll->data;
  if (task->committing == NULL) {
    /* Nothing is under way: the server has closed the connection, or sent a notice. */
    struct error error;
    bool is_done;
    const enum status answer = store_advance(task->resources.store, &is_done, &error);
    if (answer != STATUS_OK) {
      fail(task, answer, &error);
    }
    return;
  }
  advance_commit(task);
  if (task->phase == LANE_RUNNING || task->phase == LANE_DRAINING) {
    pump(task);
  }
}

static void commit_next(struct lane_task *task) {
  if (task->committing != NULL || task->sealed.count == 0) {
    return;
  }
  struct carrier *carrier = task->committing = carriers_pop(&task->sealed);
  carrier->commit_mono_ms = clock_mono_ms();
  const struct store_batch batch = {
      .lane = &task->resources.ownership,
      .row = &carrier->row,
      .committed_at_ms = carrier->committed_at_ms,
      .published_batch = task->resources.published_batch,
      .environment = buffer_span(&carrier->environment),
      .persons = buffer_span(&carrier->persons),
      .devices = buffer_span(&carrier->devices),
      .results = buffer_span(&carrier->results),
      .letters = buffer_span(&carrier->letters),
  };
  struct error error;
  const enum status status = store_commit_begin(task->resources.store, &batch, &error);
  if (status != STATUS_OK) {
    fail(task, status, &error);
    return;
  }
  advance_commit(task);
}

/* Deciding. ----------------------------------------------------------------------------- */

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
  task->filling = carrier;
  return true;
}

static void seal_batch(struct lane_task *task) {
  struct seal seal = {
      .previous = &task->last_row,
      .environment = task->options.environment,
      .environment_content = task->options.environment_content,
      .witness = {.epoch = task->resources.ownership.epoch, .committed_at_ms = clock_wall_ms()},
  };
  memcpy(seal.witness.owner, task->resources.ownership.owner, sizeof seal.witness.owner);
  struct span batch_last[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    batch_last[topic] = buffer_span(&task->batch_last[topic]);
  }
  carrier_seal(task->filling, &task->batch, &seal, batch_last);
  task->last_row = task->filling->row;
  carriers_push(&task->sealed, task->filling);
  task->filling = NULL;
  commit_next(task);
}

static bool is_full(const struct lane_task *task) {
  const struct config *config = task->options.setup.config;
  return task->batch.message_count + task->batch.timer_count >=
             (uint64_t)config->batch.messages_max ||
         carrier_size(task->filling) >= (size_t)config->batch.bytes_max;
}

/* A fresh message of an unknown serial waits for its enrolment, which may be on its way in
 * another topic. What stood in the topics at the start is all there: nothing is waited for. */
static bool is_held(const struct lane_task *task, enum topic topic) {
  const struct intake *intake = &task->intakes[topic];
  return !task->options.until_caught_up && intake->is_event && intake->head->is_believed &&
         intake->event.kind != EVENT_ENROLLMENT &&
         intake->head->timestamp_ms > clock_wall_ms() - FRESH_MS &&
         lane_find(&task->resources.state->lane, intake->event.serial) == INDEX_NONE;
}

static void fire_timer(struct lane_task *task) {
  const struct sink sink = carrier_sink(task->filling);
  batch_note_timer(&task->batch, decide_timer(&task->resources.state->lane, &sink));
}

static void take_message(struct lane_task *task, enum topic topic) {
  struct lane_state *state = task->resources.state;
  struct intake *intake = &task->intakes[topic];
  const struct sink sink = carrier_sink(task->filling);
  batch_take(&task->batch, &state->lane, task->heads, topic);
  digest_update(task->filling->inputs_digest, buffer_span(&intake->canonical));
  const struct buffer last = task->batch_last[topic];
  task->batch_last[topic] = intake->canonical;
  intake->canonical = last;
  if (!intake->is_event) {
    decide_reject(&state->lane, &intake->reject, &intake->message, &sink);
  } else {
    if (intake->event.kind == EVENT_ENROLLMENT) {
      bool is_new;
      const struct span email =
          span_of(intake->email, intake->event.enrollment.user_email.size);
      lane_state_person(state, intake->event.enrollment.subject, email, &is_new);
      if (is_new) {
        store_append_person(&task->filling->persons, intake->event.enrollment.subject, email);
      }
    }
    decide_event(&state->lane, &intake->event, &intake->message, &sink);
  }
  metric_add(task->options.metrics, METRIC_MESSAGES, state->lane.number, topic, 1);
  intake_pop(intake);
}

static enum status refresh(struct lane_task *task, enum topic topic, struct error *error) {
  return intake_refresh(&task->intakes[topic], &task->options.rules, error);
}

static enum status refresh_all(struct lane_task *task, struct error *error) {
  enum status status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    status = refresh(task, topic, error);
  }
  return status;
}

static void run_tick(void *context) {
  struct lane_task *task = context;
  struct tick *tick = &task->tick;
  tick->status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && tick->status == STATUS_OK; topic++) {
    char name[TOPIC_NAME_SIZE];
    int64_t first;
    topic_full_name(task->options.setup.config, topic, name);
    tick->status = fetch_offsets(task->resources.fetch, name,
                                 topic_partition(topic, task->options.setup.lane), 5000, &first,
                                 &tick->ends[topic], &tick->error);
  }
}

static void on_tick_answered(void *context) {
  struct lane_task *task = context;
  if (task->phase != LANE_RUNNING || task->tick.state != TICK_ASKED) {
    return;
  }
  /* No answer, no tick: it is asked again. */
  task->tick.state = task->tick.status == STATUS_OK ? TICK_ANSWERED : TICK_NONE;
  pump(task);
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

/* One step of the merge. False when there is nothing more to do for now. */
static bool step(struct lane_task *task) {
  enum topic topic;
  switch (batch_next(&task->batch, &task->resources.state->lane, task->heads, &topic)) {
  case NEXT_WAIT:
  case NEXT_END:
    return false;
  case NEXT_CLOSE:
    seal_batch(task);
    return task->phase == LANE_RUNNING;
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
    const enum status status = refresh(task, topic, &error);
    if (status != STATUS_OK) {
      fail(task, status, &error);
      return false;
    }
    break;
  }
  }
  if (is_full(task)) {
    seal_batch(task);
  }
  return task->phase == LANE_RUNNING;
}

/* Nothing more is at hand: the batch goes out when nothing else is on its way, unless more
 * messages are about to arrive. */
static void rest(struct lane_task *task) {
  enum topic topic;
  const enum next next =
      batch_next(&task->batch, &task->resources.state->lane, task->heads, &topic);
  task->is_at_end = next == NEXT_END;
  const bool ticked = task->is_at_end && tick(task);
  if (!batch_is_empty(&task->batch)) {
    const bool is_old = clock_mono_ms() - task->filling->begun_mono_ms >= LINGER_MS;
    const bool is_free = task->committing == NULL && task->sealed.count == 0;
    if (ticked || (is_free && (next != NEXT_WAIT || is_old))) {
      seal_batch(task);
    }
  }
  if (task->phase == LANE_RUNNING) {
    check_idle(task);
  }
}

static void on_turn(uv_idle_t *idle) {
  pump(idle->data);
}

/* Takes and decides until nothing is at hand, all carriers are under way, or the turn is over. */
static void pump(struct lane_task *task) {
  if (task->phase == LANE_DRAINING) {
    check_idle(task);
    return;
  }
  if (task->phase != LANE_RUNNING) {
    return;
  }
  uv_idle_stop(&task->turn);
  struct error error;
  const enum status status = refresh_all(task, &error);
  if (status != STATUS_OK) {
    fail(task, status, &error);
    return;
  }
  for (int steps = 0; steps < STEPS_PER_TURN; steps++) {
    if (!begin_batch(task)) {
      return; /* a carrier that comes back wakes us */
    }
    if (!step(task)) {
      if (task->phase == LANE_RUNNING && begin_batch(task)) {
        rest(task);
      }
      return;
    }
  }
  uv_idle_start(&task->turn, on_turn);
}

/* Starting. ----------------------------------------------------------------------------- */

static void run_start(void *context) {
  struct lane_task *task = context;
  task->status = lane_start(&task->options.setup, &task->resources, &task->error);
}

static void on_fetch(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct lane_task *task = poll->data;
  fetch_woken(task->resources.fetch);
  pump(task);
}

static void set_intakes(struct lane_task *task) {
  const struct lane_resources *resources = &task->resources;
  if (!task->has_stops) {
    task->has_stops = true;
    memcpy(task->stops, resources->end_offsets, sizeof task->stops);
  }
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    struct intake *intake = &task->intakes[topic];
    intake->topic = topic;
    intake->head = &task->heads[topic];
    intake->head->state = HEAD_WAITING;
    intake->source = resources->sources[topic];
    intake->next_offset = resources->head.row.ranges[topic].to;
    intake->stop_offset = task->options.until_caught_up ? task->stops[topic] : -1;
    intake->has_anchor = resources->is_anchored[topic];
    memcpy(intake->anchor, resources->head.row.last_message[topic], DIGEST_SIZE);
  }
}

static void begin_running(struct lane_task *task) {
  uv_loop_t *loop = task->options.loop;
  const uint32_t lane = task->options.setup.lane;
  task->phase = LANE_RUNNING;
  task->last_row = task->resources.head.row;
  set_intakes(task);
  uv_poll_init(loop, &task->store_poll, store_fd(task->resources.store));
  uv_poll_init(loop, &task->fetch_poll, fetch_fd(task->resources.fetch));
  task->store_poll.data = task->fetch_poll.data = task;
  task->open_polls = 2;
  watch_store(task);
  uv_poll_start(&task->fetch_poll, UV_READABLE, on_fetch);
  metric_set(task->options.metrics, METRIC_LANE_OWNED, lane, 0, 1);
  log_info("lane taken", LOG_INTEGER("lane", lane),
           LOG_INTEGER("epoch", task->resources.ownership.epoch),
           LOG_INTEGER("batch", task->last_row.batch),
           LOG_INTEGER("devices", task->resources.state->lane.device_count));
  task->options.events.started(task->options.events.context, task);
  pump(task);
}

static void on_started(void *context) {
  struct lane_task *task = context;
  if (task->status != STATUS_OK) {
    const struct error error = task->error;
    fail(task, task->status, &error);
  } else if (task->phase == LANE_DRAINING) {
    give_up(task, LANE_STOPPED);
  } else {
    begin_running(task);
  }
}

static void start(struct lane_task *task) {
  task->phase = LANE_STARTING;
  uv_timer_stop(&task->retry);
  worker_submit(task->worker, run_start, on_started, task);
}

struct lane_task *lane_task_open(const struct lane_task_options *options) {
  struct lane_task *task = calloc(1, sizeof *task);
  assert(task != NULL);
  task->options = *options;
  task->retry_ms = RETRY_MS_MIN;
  carriers_init(&task->sealed);
  carriers_init(&task->committed);
  carriers_init(&task->publishing);
  carriers_init(&task->spare);
  task->worker = worker_open(options->loop);
  uv_idle_init(options->loop, &task->turn);
  uv_timer_init(options->loop, &task->retry);
  task->turn.data = task->retry.data = task;
  start(task);
  return task;
}

void lane_task_stop(struct lane_task *task) {
  switch (task->phase) {
  case LANE_RUNNING:
    task->phase = LANE_DRAINING;
    uv_idle_stop(&task->turn);
    if (task->filling != NULL && !batch_is_empty(&task->batch)) {
      seal_batch(task);
    }
    if (task->phase == LANE_DRAINING) {
      check_idle(task);
    }
    break;
  case LANE_STARTING:
    task->phase = LANE_DRAINING; /* on_started sees it */
    break;
  case LANE_RELEASING:
    task->phase_after = LANE_STOPPED;
    break;
  case LANE_WAITING:
  case LANE_HALTED:
    task->phase = LANE_STOPPED;
    uv_timer_stop(&task->retry);
    task->options.events.stopped(task->options.events.context, task);
    break;
  case LANE_DRAINING:
  case LANE_STOPPED:
    break;
  }
}

/* Closing is one counter of what is still open. */
static void count_closed(struct lane_task *task) {
  if (--task->open_handles > 0) {
    return;
  }
  struct carrier *carrier;
  while ((carrier = carriers_pop(&task->spare)) != NULL) {
    carrier_close(carrier);
  }
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    intake_fini(&task->intakes[topic]);
    buffer_fini(&task->batch_last[topic]);
  }
  batch_fini(&task->batch, &heap_memory);
  free(task);
}

static void on_handle_closed(uv_handle_t *handle) {
  count_closed(handle->data);
}

static void on_worker_closed(void *context) {
  count_closed(context);
}

void lane_task_close(struct lane_task *task) {
  assert(task->phase == LANE_STOPPED);
  task->open_handles = 3;
  uv_close((uv_handle_t *)&task->turn, on_handle_closed);
  uv_close((uv_handle_t *)&task->retry, on_handle_closed);
  worker_close(task->worker, on_worker_closed, task);
}

void lane_task_tick(struct lane_task *task) {
  if (task->phase != LANE_RUNNING) {
    return;
  }
  struct error error;
  if (fetch_serve(task->resources.fetch, &error)) {
    log_warning("Kafka", LOG_INTEGER("lane", task->options.setup.lane),
                LOG_TEXT("error", error.text));
  }
  pump(task);
}

uint32_t lane_task_lane(const struct lane_task *task) {
  return task->options.setup.lane;
}

enum lane_phase lane_task_phase(const struct lane_task *task) {
  return task->phase;
}

bool lane_task_is_caught_up(const struct lane_task *task) {
  return task->is_caught_up;
}

struct lane_totals lane_task_totals(const struct lane_task *task) {
  return task->totals;
}

int64_t lane_task_oldest_mono_ms(const struct lane_task *task) {
  const struct carrier *oldest = task->publishing.first;
  oldest = oldest != NULL ? oldest : task->committed.first;
  oldest = oldest != NULL ? oldest : task->committing;
  oldest = oldest != NULL ? oldest : task->sealed.first;
  return oldest == NULL ? -1 : oldest->begun_mono_ms;
}
