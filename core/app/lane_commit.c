/* The way out of a lane's batches: sealed, committed, published, one after the other. */
#include "core/app/clock.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_task_internal.h"

void carriers_init(struct carriers *carriers) {
  *carriers = (struct carriers){.end = &carriers->first};
}

void carriers_push(struct carriers *carriers, struct carrier *carrier) {
  carrier->next = NULL;
  *carriers->end = carrier;
  carriers->end = &carrier->next;
  carriers->count++;
}

struct carrier *carriers_pop(struct carriers *carriers) {
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

void carriers_recycle(struct lane_task *task, struct carriers *carriers) {
  for (struct carrier *carrier; (carrier = carriers_pop(carriers)) != NULL;) {
    carriers_push(&task->spare, carrier);
  }
}

/* Whether readers are still to get what the carrier brings. */
static bool is_unpublished(const struct lane_task *task, const struct carrier *carrier) {
  return carrier->has_row && carrier->batch > task->resources.published_batch;
}

static void run_send(void *context) {
  struct lane_task *task = context;
  struct span parts[CARRIERS_MAX];
  size_t count = 0;
  for (const struct carrier *carrier = task->publishing.first; carrier != NULL;
       carrier = carrier->next) {
    assert(count < COUNT_OF(parts));
    parts[count++] = buffer_span(&carrier->records);
  }
  task->status = publisher_send(task->resources.publisher, parts, count, &task->error);
}

static void run_publish(void *context) {
  struct lane_task *task = context;
  task->status = publisher_commit(task->resources.publisher, &task->error);
}

static void on_published(void *context);

/* The transaction ends when all that it holds is committed. */
static void publish_sent(struct lane_task *task) {
  if (task->is_sent && task->ahead == NULL) {
    task->is_sent = false;
    task->worker_is_busy = true;
    worker_submit(task->worker, run_publish, on_published, task);
  }
}

/* True when the worker's job has succeeded and the lane goes on. */
static bool worker_is_done(struct lane_task *task) {
  if (task->phase == LANE_RELEASING) {
    return false; /* the carriers come back when the release is done */
  }
  task->worker_is_busy = false;
  if (task->status != STATUS_OK) {
    struct error error = task->error;
    kafka_explain(&error);
    lane_fail(task, task->status, &error);
  }
  return task->status == STATUS_OK;
}

static void on_sent(void *context) {
  struct lane_task *task = context;
  if (worker_is_done(task)) {
    task->is_sent = true;
    publish_sent(task);
  }
}

void lane_publish_next(struct lane_task *task) {
  if (task->worker_is_busy || task->publishing.count > 0) {
    return;
  }
  for (struct carrier *carrier; (carrier = carriers_pop(&task->committed)) != NULL;) {
    carriers_push(&task->publishing, carrier);
  }
  if (task->committing != NULL && is_unpublished(task, task->committing)) {
    task->ahead = task->committing;
    carriers_push(&task->publishing, task->ahead);
  }
  if (task->publishing.count > 0) {
    task->worker_is_busy = true;
    worker_submit(task->worker, run_send, on_sent, task);
  }
}

static bool is_idle(const struct lane_task *task) {
  return task->committing == NULL && task->sealed.count == 0 && task->committed.count == 0 &&
         task->publishing.count == 0 && (task->filling == NULL || batch_is_empty(&task->batch));
}

static void run_settle(void *context) {
  struct lane_task *task = context;
  task->status = lane_settle(&task->options.setup, &task->resources, &task->error);
}

static void on_settled(void *context) {
  struct lane_task *task = context;
  if (task->phase == LANE_RELEASING) {
    return;
  }
  task->worker_is_busy = false;
  if (task->status != STATUS_OK) {
    const struct error error = task->error;
    lane_fail(task, task->status, &error);
    return;
  }
  task->is_settled = true;
  lane_pump(task);
}

/* Nothing more is to come: says so once it can be read. */
static void catch_up(struct lane_task *task) {
  if (!task->is_settled) {
    task->worker_is_busy = true;
    worker_submit(task->worker, run_settle, on_settled, task);
    return;
  }
  task->is_caught_up = true;
  task->options.events.caught_up(task->options.events.context, task);
}

void lane_check_idle(struct lane_task *task) {
  if (!is_idle(task)) {
    return;
  }
  for (struct carrier *carrier = task->spare.first; carrier != NULL; carrier = carrier->next) {
    carrier_rest(carrier);
  }
  if (lane_wants_checkpoint(task)) {
    lane_flush(task);
    return;
  }
  if (task->phase == LANE_DRAINING) {
    lane_give_up(task, task->is_retaken ? LANE_WAITING : LANE_STOPPED);
  } else if (task->options.until_caught_up && task->is_at_end && !task->is_caught_up &&
             !task->worker_is_busy) {
    catch_up(task);
  }
}

static void note_published(struct lane_task *task, const struct carrier *carrier) {
  task->is_settled = false;
  const uint32_t lane = task->options.setup.lane;
  task->resources.published_batch = carrier->batch;
  task->retry_ms = RETRY_MS_MIN;
  metric_add(task->options.metrics, METRIC_PUBLISHED, lane, 0, 1);
  metric_observe(task->options.metrics, METRIC_PUBLISH_SECONDS, lane,
                 (double)(clock_mono_ms() - carrier->commit_mono_ms) / 1000);
  task->options.events.published(task->options.events.context, task, &carrier->row);
}

static void on_published(void *context) {
  struct lane_task *task = context;
  if (!worker_is_done(task)) {
    return;
  }
  for (const struct carrier *carrier = task->publishing.first; carrier != NULL;
       carrier = carrier->next) {
    note_published(task, carrier);
  }
  carriers_recycle(task, &task->publishing);
  lane_publish_next(task);
  lane_pump(task);
}

static void note_committed(struct lane_task *task, const struct carrier *carrier) {
  if (!carrier->has_row) {
    return;
  }
  struct metrics *metrics = task->options.metrics;
  const struct lane *lane = &task->resources.state->lane;
  metric_add(metrics, METRIC_BATCHES, lane->number, 0, 1);
  metric_add(metrics, METRIC_COMMIT_BYTES, lane->number, 0, (double)carrier_rows_size(carrier));
  for (uint32_t topic = 0; topic < TOPIC_COUNT; topic++) {
    metric_add(metrics, METRIC_MESSAGES, lane->number, topic,
               (double)carrier->message_counts[topic]);
  }
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    metric_add(metrics, METRIC_RESULTS, lane->number, kind, (double)carrier->kind_counts[kind]);
  }
  for (uint32_t code = 0; code < REJECT_COUNT; code++) {
    metric_add(metrics, METRIC_DEAD_LETTERS, lane->number, code,
               (double)carrier->reject_counts[code]);
  }
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

/* Committed: on to the readers, or there already. */
static void end_commit(struct lane_task *task) {
  struct carrier *carrier = task->committing;
  task->committing = NULL;
  note_committed(task, carrier);
  if (carrier->streamed_count > 0) {
    carrier_devices_written(carrier);
    task->is_streaming = false;
  }
  carrier->commit_mono_ms = clock_mono_ms();
  if (carrier == task->ahead) {
    task->ahead = NULL;
    publish_sent(task);
  } else {
    carriers_push(is_unpublished(task, carrier) ? &task->committed : &task->spare, carrier);
  }
}

static void advance_commit(struct lane_task *task) {
  bool is_done = false;
  struct error error;
  const enum status status = store_advance(task->resources.store, &is_done, &error);
  if (status != STATUS_OK) {
    lane_fail(task, status, &error);
    return;
  }
  lane_watch_store(task);
  if (is_done) {
    end_commit(task);
    lane_commit_next(task);
    lane_publish_next(task);
  }
}

void lane_on_store(struct lane_task *task) {
  if (task->committing == NULL) {
    /* Nothing is under way: the server has closed the connection, or sent a notice. */
    struct error error;
    bool is_done;
    const enum status answer = store_advance(task->resources.store, &is_done, &error);
    if (answer != STATUS_OK) {
      lane_fail(task, answer, &error);
    }
    return;
  }
  advance_commit(task);
  if (task->phase == LANE_RUNNING || task->phase == LANE_DRAINING) {
    lane_pump(task);
  }
}

void lane_commit_next(struct lane_task *task) {
  if (task->committing != NULL || task->sealed.count == 0) {
    return;
  }
  struct carrier *carrier = task->committing = carriers_pop(&task->sealed);
  carrier->commit_mono_ms = clock_mono_ms();
  const bool clears_gaps = carrier->has_row && !task->has_cleared_gaps;
  task->has_cleared_gaps = task->has_cleared_gaps || carrier->has_row;
  struct store_batch batch = {
      .lane = &task->resources.ownership,
      .row = carrier->has_row ? &carrier->row : NULL,
      .checkpoint_batch = carrier->checkpoint_batch,
      .committed_at_ms = carrier->committed_at_ms,
      .published_batch = task->resources.published_batch,
      .environment = buffer_span(&carrier->environment),
      .persons = buffer_span(&carrier->persons),
      .clears_gaps = clears_gaps,
      .results = buffer_span(&carrier->results),
      .letters = buffer_span(&carrier->letters),
      .control = buffer_span(&carrier->control),
  };
  carrier_put_devices(carrier, &batch);
  struct error error;
  const enum status status = store_commit_begin(task->resources.store, &batch, &error);
  if (status != STATUS_OK) {
    lane_fail(task, status, &error);
    return;
  }
  lane_publish_next(task);
  advance_commit(task);
}
