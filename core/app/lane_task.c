#include "core/app/clock.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_gap.h"
#include "core/app/lane_task_internal.h"
#include "core/app/log.h"

#include <stdlib.h>
#include <uv.h>

enum {
  RETRY_MS_MAX = 5000,
  RETRY_FENCED_MS = 1000, /* whoever has the lane now has it for a reason */
  COMMIT_TIMEOUT_MS = 60000,
  /* Lanes that begin together do not all write their device rows at once: they stand still then. */
  STAGGER_COUNT = 4,
  STAGGER_MS = 500,
  /* Halted before a gap: how often it is looked whether somebody has asked for it to be accepted;
   * for want of a topic: whether it is there again. */
  GAP_LOOK_MS = 1000,
  TOPIC_LOOK_MS = 5000,
};

struct lane_handles {
  uv_poll_t store_poll, fetch_poll; /* while the lane runs */
  uv_idle_t turn;
  uv_timer_t retry;
  size_t open_polls, open_handles; /* closing is counting these down */
};

static void start(struct lane_task *task);

static void on_release_done(void *context) {
  struct lane_task *task = context;
  carriers_recycle(task, &task->publishing);
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
    task->asked_ids[topic] = SCHEMA_ID_NONE;
  }
  task->has_schema = false;
  worker_submit(task->worker, run_release, on_release_done, task);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct lane_task *task = handle->data;
  if (--task->handles->open_polls == 0) {
    release_resources(task);
  }
}

static void on_retry(uv_timer_t *timer) {
  struct lane_task *task = timer->data;
  if (task->phase == LANE_WAITING || task->phase == LANE_HALTED) {
    start(task);
  }
}

/* The descriptors must leave the loop before the connections they belong to close. */
void lane_give_up(struct lane_task *task, enum lane_phase phase_after) {
  task->phase = LANE_RELEASING;
  task->phase_after = phase_after;
  task->is_at_end = false;
  task->tick.state = TICK_NONE;
  lane_pump_again(task, false);
  metrics_drop_lane(task->options.metrics, task->options.setup.lane);
  if (task->filling != NULL) {
    carriers_push(&task->spare, task->filling);
    task->filling = NULL;
  }
  if (task->committing != NULL && task->committing != task->ahead) {
    carriers_push(&task->spare, task->committing);
  }
  task->committing = task->ahead = NULL; /* what is ahead is in `publishing` */
  task->is_sent = false;
  carriers_recycle(task, &task->sealed);
  carriers_recycle(task, &task->committed);
  if (task->handles->open_polls == 0) {
    release_resources(task);
    return;
  }
  uv_close((uv_handle_t *)&task->handles->store_poll, on_poll_closed);
  uv_close((uv_handle_t *)&task->handles->fetch_poll, on_poll_closed);
}

static void drain(struct lane_task *task) {
  task->phase = LANE_DRAINING;
  lane_pump_again(task, false);
  if (lane_is_redoing(task)) {
    lane_give_up(task, task->is_retaken ? LANE_WAITING : LANE_STOPPED); /* nothing of it is new */
  } else if (task->filling != NULL && !batch_is_empty(&task->batch)) {
    lane_seal(task);
  }
  if (task->phase == LANE_DRAINING) {
    lane_check_idle(task);
  }
}

void lane_retake(struct lane_task *task) {
  task->is_retaken = true;
  uv_timer_start(&task->handles->retry, on_retry, (uint64_t)task->retry_ms, 200);
  drain(task);
}

/* Whether an input is gone, or is another one under the same name: where it stands is told when the
 * lane is taken anew. What was decided until then goes out before that, device rows included: what
 * they do not reflect could not be decided again. */
static bool has_lost_input(struct lane_task *task) {
  bool has_lost = false;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct intake *intake = &task->intakes[topic];
    if (intake->is_replaced) {
      task->options.setup.is_replaced[topic] = true;
    }
    has_lost = has_lost || intake->is_replaced ||
               (intake->source != NULL && source_is_gone(intake->source));
  }
  return has_lost;
}

/* Said once, however often it is looked whether that is still so. */
static void halt(struct lane_task *task, const struct error *error) {
  const uint32_t lane = task->options.setup.lane;
  const struct lane_resources *resources = &task->resources;
  if (strcmp(task->halt.text, error->text) != 0) {
    log_error("lane halted", LOG_INTEGER("lane", lane), LOG_TEXT("error", error->text));
    task->halt = *error;
  }
  task->looks_first = task->looks_first || resources->gap_count > 0;
  if (task->looks_first || resources->lacks_topic) {
    uv_timer_start(&task->handles->retry, on_retry, task->looks_first ? GAP_LOOK_MS : TOPIC_LOOK_MS,
                   200);
  }
}

void lane_fail(struct lane_task *task, enum status status, const struct error *error) {
  if (task->phase == LANE_RELEASING) {
    return;
  }
  if (status == STATUS_CONFIG && task->phase == LANE_RUNNING && has_lost_input(task)) {
    log_warning("an input is not what it was: the lane is taken anew",
                LOG_INTEGER("lane", task->options.setup.lane), LOG_TEXT("error", error->text));
    lane_retake(task);
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
  const bool is_asked_to_stop = task->phase == LANE_DRAINING && !task->is_retaken;
  enum lane_phase after = is_asked_to_stop ? LANE_STOPPED : LANE_WAITING;
  if (status == STATUS_CONFIG && !is_asked_to_stop) {
    after = LANE_HALTED;
    halt(task, error);
  } else {
    const int64_t wait_ms = status == STATUS_FENCED && task->retry_ms < RETRY_FENCED_MS
                                ? RETRY_FENCED_MS
                                : task->retry_ms;
    log_warning("lane given up", LOG_INTEGER("lane", lane), LOG_TEXT("error", error->text),
                LOG_INTEGER("retry_ms", wait_ms));
    uv_timer_start(&task->handles->retry, on_retry, (uint64_t)wait_ms, 200);
    task->retry_ms = task->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : task->retry_ms * 2;
  }
  lane_give_up(task, after);
  task->options.events.failed(task->options.events.context, task, status, error);
}

static void on_turn(uv_idle_t *idle) {
  lane_pump(idle->data);
}

void lane_pump_again(struct lane_task *task, bool again) {
  if (again) {
    uv_idle_start(&task->handles->turn, on_turn);
  } else {
    uv_idle_stop(&task->handles->turn);
  }
}

static void on_store(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  lane_on_store(poll->data);
}

void lane_watch_store(struct lane_task *task) {
  const int events =
      UV_READABLE | (store_wants_write(task->resources.store) ? (int)UV_WRITABLE : 0);
  uv_poll_start(&task->handles->store_poll, events, on_store);
}

static void run_start(void *context) {
  struct lane_task *task = context;
  if (task->looks_first && !lane_gap_is_asked(&task->options.setup)) {
    task->error = task->halt;
    task->status = STATUS_CONFIG;
    return;
  }
  task->looks_first = false;
  task->status = lane_start(&task->options.setup, &task->resources, &task->error);
}

static void on_fetch(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct lane_task *task = poll->data;
  fetch_woken(task->resources.fetch);
  lane_pump(task);
}

static void set_intakes(struct lane_task *task) {
  const struct lane_resources *resources = &task->resources;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    struct intake *intake = &task->intakes[topic];
    intake->topic = topic;
    intake->head = &task->heads[topic];
    intake->head->state = HEAD_WAITING;
    intake->unknown_id = task->asked_ids[topic] = SCHEMA_ID_NONE;
    intake->source = resources->sources[topic];
    intake->next_offset = resources->next_offsets[topic];
    intake->is_replaced = false;
    intake->stop_offset = lane_stop_offset(task, topic);
    intake->has_anchor = resources->is_anchored[topic];
    memcpy(intake->anchor, resources->head.checkpoint.last_message[topic], DIGEST_SIZE);
  }
}

/* The schemas that the first batch to be decided needs, were it recorded. */
static bool set_schemas(struct lane_task *task) {
  struct error error;
  enum status status =
      lane_schemas_restore(&task->schemas, buffer_span(&task->resources.environment), &error);
  if (status == STATUS_OK) {
    task->options.rules.schemas = task->schemas.known;
    status = lane_restore_schemas(task, &error);
  }
  if (status != STATUS_OK) {
    lane_fail(task, status, &error);
  }
  return status == STATUS_OK;
}

static void begin_running(struct lane_task *task) {
  uv_loop_t *loop = task->options.loop;
  const uint32_t lane = task->options.setup.lane;
  task->phase = LANE_RUNNING;
  task->halt.text[0] = '\0';
  task->last_row = task->resources.head.checkpoint;
  task->redone_count = 0;
  task->has_own_admins = task->has_cleared_gaps = false;
  environment_set_admins(buffer_span(&task->resources.environment), &task->resources.state->lane);
  task->is_settled = task->resources.published_batch >= task->resources.head.row.batch &&
                     !task->resources.has_republished;
  task->checkpoint_mono_ms = clock_mono_ms() - lane % STAGGER_COUNT * STAGGER_MS;
  task->message_count_since = 0;
  task->is_streaming = false;
  if (!set_schemas(task)) {
    return;
  }
  set_intakes(task);
  uv_poll_init(loop, &task->handles->store_poll, store_fd(task->resources.store));
  uv_poll_init(loop, &task->handles->fetch_poll, fetch_fd(task->resources.fetch));
  task->handles->store_poll.data = task->handles->fetch_poll.data = task;
  task->handles->open_polls = 2;
  lane_watch_store(task);
  uv_poll_start(&task->handles->fetch_poll, UV_READABLE, on_fetch);
  metric_set(task->options.metrics, METRIC_LANE_OWNED, lane, 0, 1);
  log_info("lane taken", LOG_INTEGER("lane", lane),
           LOG_INTEGER("epoch", task->resources.ownership.epoch),
           LOG_INTEGER("batch", task->resources.head.row.batch),
           LOG_INTEGER("checkpoint_batch", task->last_row.batch),
           LOG_INTEGER("devices", task->resources.state->lane.device_count));
  task->options.events.started(task->options.events.context, task);
  lane_pump(task);
}

static void on_started(void *context) {
  struct lane_task *task = context;
  if (task->status != STATUS_OK) {
    struct error error = task->error;
    kafka_explain(&error);
    lane_fail(task, task->status, &error);
  } else if (task->phase == LANE_DRAINING) {
    lane_give_up(task, LANE_STOPPED);
  } else {
    begin_running(task);
  }
}

static void start(struct lane_task *task) {
  task->phase = LANE_STARTING;
  task->is_retaken = false;
  uv_timer_stop(&task->handles->retry);
  worker_submit(task->worker, run_start, on_started, task);
}

struct lane_task *lane_task_open(const struct lane_task_options *options) {
  struct lane_task *task = calloc(1, sizeof *task);
  assert(task != NULL);
  task->handles = calloc(1, sizeof *task->handles);
  assert(task->handles != NULL);
  task->options = *options;
  task->retry_ms = RETRY_MS_MIN;
  carriers_init(&task->sealed);
  carriers_init(&task->committed);
  carriers_init(&task->publishing);
  carriers_init(&task->spare);
  lane_schemas_init(&task->schemas, options->environment);
  task->worker = worker_open(options->loop);
  uv_idle_init(options->loop, &task->handles->turn);
  uv_timer_init(options->loop, &task->handles->retry);
  task->handles->turn.data = task->handles->retry.data = task;
  start(task);
  return task;
}

void lane_task_stop(struct lane_task *task) {
  switch (task->phase) {
  case LANE_RUNNING:
    drain(task);
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
    uv_timer_stop(&task->handles->retry);
    task->options.events.stopped(task->options.events.context, task);
    break;
  case LANE_DRAINING:
    task->is_retaken = false;
    break;
  case LANE_STOPPED:
    break;
  }
}

/* Closing is one counter of what is still open. */
static void count_closed(struct lane_task *task) {
  if (--task->handles->open_handles > 0) {
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
  lane_schemas_fini(&task->schemas);
  free(task->handles);
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
  task->handles->open_handles = 3;
  uv_close((uv_handle_t *)&task->handles->turn, on_handle_closed);
  uv_close((uv_handle_t *)&task->handles->retry, on_handle_closed);
  worker_close(task->worker, on_worker_closed, task);
}

static void note_lag(const struct lane_task *task) {
  for (uint32_t topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct intake *intake = &task->intakes[topic];
    if (intake->source == NULL) {
      continue; /* a gap is being decided */
    }
    metric_set(task->options.metrics, METRIC_LAG_MESSAGES, task->options.setup.lane, topic,
               (double)source_lag(intake->source, intake->next_offset));
  }
}

bool lane_task_waits_for_schema(const struct lane_task *task) {
  bool waits = false;
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    waits = waits || task->asked_ids[topic] != SCHEMA_ID_NONE;
  }
  return waits;
}

/* Said once, when the answer is longer in coming than a request takes. */
static void note_schemas(struct lane_task *task) {
  const uint32_t lane = task->options.setup.lane;
  const bool waits = lane_task_waits_for_schema(task);
  metric_set(task->options.metrics, METRIC_SCHEMA_WAITING, lane, 0, waits ? 1 : 0);
  if (!waits) {
    task->has_told_of_schema = false;
  } else if (!task->has_told_of_schema &&
             schema_cache_is_out_of_reach(task->options.schema_cache)) {
    task->has_told_of_schema = true;
    log_warning("lane waits for the schema registry", LOG_INTEGER("lane", lane));
  }
}

void lane_task_wake(struct lane_task *task) {
  lane_pump(task);
}

/* A server that takes everything and answers nothing would be waited for without end. What became
 * of the commit is not known then: the lane is taken again, and the row tells. */
static bool commit_is_overdue(struct lane_task *task) {
  const bool is_overdue = task->committing != NULL &&
                          clock_mono_ms() - task->committing->commit_mono_ms > COMMIT_TIMEOUT_MS;
  if (is_overdue) {
    struct error error;
    lane_fail(task,
              error_set(&error, STATUS_UNAVAILABLE, "PostgreSQL: no answer to a commit in %d s",
                        COMMIT_TIMEOUT_MS / 1000),
              &error);
  }
  return is_overdue;
}

void lane_task_tick(struct lane_task *task) {
  if (commit_is_overdue(task) || task->phase != LANE_RUNNING) {
    return;
  }
  note_lag(task);
  note_schemas(task);
  struct error error;
  if (fetch_serve(task->resources.fetch, &error)) {
    log_warning("Kafka", LOG_INTEGER("lane", task->options.setup.lane),
                LOG_TEXT("error", error.text));
  }
  lane_pump(task);
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
