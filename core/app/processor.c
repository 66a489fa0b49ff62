#include "core/app/processor.h"

#include "consumers/membership.h"
#include "consumers/schemas.h"
#include "core/app/clock.h"
#include "core/app/environment.h"
#include "core/app/http.h"
#include "core/app/instance.h"
#include "core/app/kafka_client.h"
#include "core/app/log.h"
#include "core/app/notary.h"
#include "core/app/others.h"
#include "core/app/policy_shipped.h"
#include "core/app/preflight.h"
#include "core/app/readiness.h"
#include "core/app/schema_cache.h"
#include "core/app/watchdog.h"
#include "core/app/worker.h"

#include <openssl/rand.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

enum {
  TICK_MS = 100,
  PREFLIGHT_RETRY_MS = 1000,
  DEADLINE_MS = 30000,        /* without progress, when there is one (the public contract) */
  STARTING_MS_MAX = 600000,   /* a big lane takes long to load */
  REVOKED_DEADLINE_MS = 4000, /* well within a session: then the group does not wait for lanes */
  STOP_DEADLINE_MS = 20000,   /* then the rest is left to the next start, which finds it */
  OTHERS_MS = 500,            /* between two looks at the lanes of others */
  STALLED_MS = 30000,         /* not ready when a batch is on its way out for longer */
};

struct processor {
  const struct config *config;
  bool until_caught_up;
  struct processor_summary *summary;
  uv_loop_t loop;
  struct schemas *schemas;
  struct instance instance;
  struct metrics *metrics;
  struct http *http;
  struct preflight preflight;
  struct lane_setup setup; /* of every lane, but for its number */
  struct environment environment;
  struct schema_cache *schema_cache; /* NULL without a registry */
  struct notary *notary;             /* NULL without a signing key */
  struct worker *worker;
  struct membership *membership;
  struct lane_task **tasks; /* by lane; NULL: not ours */
  size_t task_count;
  bool is_assigned; /* the group has told which lanes are ours */
  bool accepts_when_stopped;
  int64_t revoked_mono_ms;
  bool is_stopping;
  atomic_bool is_over; /* the same, for the preflight's thread */
  bool preflight_is_running;
  struct others others; /* until caught up: the lanes that are not ours */
  bool *is_done;        /* by lane: another member has caught up with it */
  bool *is_asked;       /* by lane: in the look that is under way */
  bool others_are_looked_at;
  int64_t others_taken;
  int64_t others_mono_ms; /* when they were looked at last; 0: never */
  int64_t progress_mono_ms, stop_mono_ms, polled_mono_ms, preflight_mono_ms;
  int64_t loaded_mono_ms; /* when the first lane was; -1: none yet */
  enum status status;
  struct error error; /* the newest; in the end the one that counts */
  struct readiness readiness;
  struct watchdog *watchdog;
  uv_timer_t tick;
  uv_poll_t membership_poll, http_poll;
  uv_signal_t terminate, interrupt;
};

static void check_stopped(struct processor *processor);
static void check_caught_up(struct processor *processor);
static void open_lanes(struct processor *processor);
static void note_well(struct processor *processor);

static void note_failure(struct processor *processor, const struct error *error) {
  processor->error = *error;
  readiness_note(&processor->readiness, error, clock_mono_ms());
}

/* Ends the run: every lane publishes what it has decided and is given up. The first reason
 * given is the one that counts. */
static void stop(struct processor *processor, enum status status, const struct error *error) {
  if (processor->is_stopping) {
    return;
  }
  processor->is_stopping = true;
  atomic_store(&processor->is_over, true);
  processor->stop_mono_ms = clock_mono_ms();
  processor->status = status;
  if (error != NULL) {
    processor->error = *error;
  }
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL) {
      lane_task_stop(processor->tasks[lane]);
    }
  }
  check_stopped(processor);
}

/* Lanes. -------------------------------------------------------------------------------- */

static void on_started(void *context, struct lane_task *task) {
  (void)task;
  struct processor *processor = context;
  processor->progress_mono_ms = clock_mono_ms();
  if (processor->loaded_mono_ms < 0) {
    processor->loaded_mono_ms = processor->progress_mono_ms;
  }
}

static void add_totals(struct processor *processor, const struct lane_task *task) {
  const struct lane_totals totals = lane_task_totals(task);
  processor->summary->totals.messages += totals.messages;
  processor->summary->totals.results += totals.results;
  processor->summary->totals.dead_letters += totals.dead_letters;
}

static void on_others(void *context) {
  struct processor *processor = context;
  const struct others *others = &processor->others;
  processor->others_are_looked_at = false;
  processor->others_mono_ms = clock_mono_ms();
  if (others->status != STATUS_OK) {
    note_failure(processor, &others->error);
  } else {
    for (uint32_t lane = 0; lane < processor->setup.lane_count; lane++) {
      processor->is_done[lane] =
          processor->is_done[lane] || (processor->is_asked[lane] && !others->is_waited_for[lane]);
    }
    if (others->taken != processor->others_taken) {
      processor->others_taken = others->taken;
      processor->progress_mono_ms = processor->others_mono_ms;
    }
  }
  check_caught_up(processor);
  check_stopped(processor);
}

static void run_others(void *context) {
  struct processor *processor = context;
  others_look(&processor->others);
}

/* Lanes that are not ours are another member's, or will be ours when the group has noticed that
 * their owner is gone. Either way the run goes on until they have caught up, too. */
static void look_at_others(struct processor *processor) {
  if (!processor->others_are_looked_at &&
      clock_mono_ms() - processor->others_mono_ms >= OTHERS_MS) {
    for (uint32_t lane = 0; lane < processor->setup.lane_count; lane++) {
      processor->is_asked[lane] = processor->others.is_waited_for[lane] =
          processor->tasks[lane] == NULL && !processor->is_done[lane];
    }
    processor->others_are_looked_at = true;
    worker_submit(processor->worker, run_others, on_others, processor);
  }
}

static void check_caught_up(struct processor *processor) {
  if (!processor->until_caught_up || !processor->is_assigned || processor->is_stopping) {
    return;
  }
  bool others_are_done = true;
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    const struct lane_task *task = processor->tasks[lane];
    if (task != NULL && !lane_task_is_caught_up(task)) {
      return;
    }
    others_are_done = others_are_done && (task != NULL || processor->is_done[lane]);
  }
  if (!others_are_done) {
    look_at_others(processor);
    return;
  }
  if (processor->loaded_mono_ms >= 0) {
    processor->summary->seconds =
        (double)(processor->progress_mono_ms - processor->loaded_mono_ms) / 1000;
  }
  stop(processor, STATUS_OK, NULL);
}

static void on_caught_up(void *context, struct lane_task *task) {
  (void)task;
  struct processor *processor = context;
  processor->progress_mono_ms = clock_mono_ms();
  check_caught_up(processor);
}

static void on_failed(void *context, struct lane_task *task, enum status status,
                      const struct error *error) {
  (void)task;
  struct processor *processor = context;
  note_failure(processor, error);
  /* Alone on its own, a lane that needs an operator does not end the others. */
  if (status == STATUS_CONFIG && processor->until_caught_up) {
    stop(processor, status, error);
  }
}

static void on_published(void *context, struct lane_task *task, const struct journal_row *row) {
  struct processor *processor = context;
  int64_t next_offsets[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    next_offsets[topic] = row->ranges[topic].to;
  }
  notary_note(processor->notary, row);
  processor->progress_mono_ms = clock_mono_ms();
  membership_note_offsets(processor->membership, (int32_t)lane_task_lane(task), next_offsets);
}

static void accept_revoked(struct processor *processor) {
  processor->accepts_when_stopped = false;
  membership_accept(processor->membership);
}

static void on_stopped(void *context, struct lane_task *task) {
  struct processor *processor = context;
  add_totals(processor, task);
  processor->tasks[lane_task_lane(task)] = NULL;
  processor->task_count--;
  lane_task_close(task);
  if (processor->accepts_when_stopped && processor->task_count == 0) {
    accept_revoked(processor);
  }
  open_lanes(processor); /* one that has come back to us while it was being given up */
  check_stopped(processor);
}

static void open_lane(struct processor *processor, int32_t lane) {
  struct lane_task_options options = {
      .loop = &processor->loop,
      .setup = processor->setup,
      .rules =
          {
              .schemas = processor->schemas,
              .partitioner = processor->config->kafka.partitioner,
              .lane = (uint32_t)lane,
              .lane_count = processor->setup.lane_count,
              .message_bytes_max = processor->config->kafka.message_bytes_max,
              .subject_key =
                  span_of(processor->preflight.subject_key, processor->preflight.subject_key_size),
          },
      .until_caught_up = processor->until_caught_up,
      .environment = &processor->environment,
      .schema_cache = processor->schema_cache,
      .metrics = processor->metrics,
      .lanes_here = &processor->task_count,
      .events = {.context = processor,
                 .started = on_started,
                 .caught_up = on_caught_up,
                 .failed = on_failed,
                 .stopped = on_stopped,
                 .published = on_published},
  };
  memcpy(options.stop_offsets, processor->preflight.ends[lane].offsets,
         sizeof options.stop_offsets);
  options.setup.lane = options.setup.encoding.lane = (uint32_t)lane;
  processor->task_count++;
  processor->tasks[lane] = lane_task_open(&options);
}

/* Every lane that is ours and has no task. */
static void open_lanes(struct processor *processor) {
  if (!processor->is_assigned || processor->is_stopping) {
    return;
  }
  size_t count;
  const int32_t *lanes = membership_lanes(processor->membership, &count);
  for (size_t i = 0; i < count; i++) {
    if (lanes[i] < (int32_t)processor->setup.lane_count && processor->tasks[lanes[i]] == NULL) {
      open_lane(processor, lanes[i]);
    }
  }
}

/* The group. ---------------------------------------------------------------------------- */

static void on_assigned(struct processor *processor) {
  size_t count;
  membership_lanes(processor->membership, &count);
  log_info("lanes assigned", LOG_INTEGER("count", count));
  processor->is_assigned = true;
  processor->progress_mono_ms = clock_mono_ms();
  membership_accept(processor->membership);
  open_lanes(processor);
  check_caught_up(processor);
}

static void stop_lanes(struct processor *processor) {
  processor->is_assigned = false;
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL) {
      lane_task_stop(processor->tasks[lane]);
    }
  }
}

/* The lanes' open batches go out before the group is told: the next owner finds little to do. */
static void on_revoked(struct processor *processor) {
  log_info("lanes revoked", LOG_INTEGER("count", processor->task_count));
  processor->revoked_mono_ms = clock_mono_ms();
  processor->accepts_when_stopped = processor->task_count > 0;
  if (!processor->accepts_when_stopped) {
    membership_accept(processor->membership);
  }
  stop_lanes(processor);
}

/* The group has gone on without us. */
static void on_lost(struct processor *processor) {
  log_warning("lanes lost: the session with the group has ended",
              LOG_INTEGER("count", processor->task_count));
  processor->accepts_when_stopped = false;
  stop_lanes(processor);
}

static void poll_membership(struct processor *processor) {
  processor->polled_mono_ms = clock_mono_ms();
  const enum membership_event event = membership_poll(processor->membership);
  struct error error;
  if (membership_error(processor->membership, &error)) {
    log_warning("Kafka group", LOG_TEXT("error", error.text));
    note_failure(processor, &error);
  }
  switch (event) {
  case MEMBERSHIP_NOTHING:
    break;
  case MEMBERSHIP_ASSIGNED:
    if (!processor->is_stopping) {
      on_assigned(processor);
    }
    break;
  case MEMBERSHIP_REVOKED:
    on_revoked(processor);
    break;
  case MEMBERSHIP_LOST:
    on_lost(processor);
    break;
  case MEMBERSHIP_FENCED: {
    enum status status =
        error_set(&error, STATUS_CONFIG,
                  "another process has joined the group as %s: give each its own kafka.instance",
                  processor->instance.name);
    stop(processor, status, &error);
    break;
  }
  }
}

static void on_membership(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  poll_membership(poll->data);
}

static enum status join(struct processor *processor, struct error *error) {
  const struct kafka_property properties[] = {
      {"group.id", processor->config->kafka.group_id},
      {"group.instance.id", processor->instance.name},
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", "10000"},
      {"heartbeat.interval.ms", "1000"},
      {"enable.auto.commit", "false"},
      {"auto.offset.reset", "error"},
      {"topic.metadata.refresh.interval.ms", "30000"},
      {"reconnect.backoff.max.ms", "1000"},
      {NULL, NULL},
  };
  struct rd_kafka_conf_s *conf = kafka_conf(processor->config, properties, error);
  if (conf == NULL) {
    return STATUS_CONFIG;
  }
  const enum status status =
      membership_open(conf, processor->config->kafka.topic_prefix, &processor->membership, error);
  if (status == STATUS_OK) {
    uv_poll_init(&processor->loop, &processor->membership_poll,
                 membership_fd(processor->membership));
    processor->membership_poll.data = processor;
    uv_poll_start(&processor->membership_poll, UV_READABLE, on_membership);
  }
  return status;
}

/* Starting. ----------------------------------------------------------------------------- */

static void run_preflight(void *context) {
  struct processor *processor = context;
  preflight_run(&processor->preflight);
}

static void set_up_lanes(struct processor *processor) {
  const uint32_t lane_count = processor->setup.lane_count = processor->preflight.lane_count;
  processor->is_done = calloc(lane_count, sizeof *processor->is_done);
  processor->others = (struct others){
      .config = processor->config,
      .ends = processor->preflight.ends,
      .is_waited_for = calloc(lane_count, sizeof *processor->others.is_waited_for),
      .lane_count = lane_count,
  };
  processor->is_asked = calloc(lane_count, sizeof *processor->is_asked);
  assert(processor->is_asked != NULL && processor->is_done != NULL &&
         processor->others.is_waited_for != NULL);
  processor->tasks = calloc(processor->setup.lane_count, sizeof *processor->tasks);
  assert(processor->tasks != NULL);
  processor->environment.lane_count = lane_count;
  processor->environment.subject_key =
      span_of(processor->preflight.subject_key, processor->preflight.subject_key_size);
}

/* The registry. -------------------------------------------------------------------------- */

static void on_schema(void *context) {
  struct processor *processor = context;
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL) {
      lane_task_wake(processor->tasks[lane]);
    }
  }
}

static void on_registry_failed(void *context, const struct error *error) {
  struct processor *processor = context;
  note_failure(processor, error);
}

static bool is_over(void *context) {
  struct processor *processor = context;
  return atomic_load(&processor->is_over);
}

/* Our records' ids are known, and what is in them is framed by them. From here on the process's
 * schemas are only read. */
static enum status set_up_schemas(struct processor *processor, struct error *error) {
  struct environment *environment = &processor->environment;
  if (processor->config->schemas.registry_url[0] != '\0') {
    environment->ids = processor->preflight.ids;
    for (uint32_t record = 0; record < RECORD_COUNT; record++) {
      if (environment->ids.of[record] == SCHEMA_ID_NONE) {
        continue;
      }
      const struct writer *ours = schemas_find_own(processor->schemas, record_name(record));
      const enum status status = schemas_put(processor->schemas, environment->ids.of[record],
                                             ours->source, schemas_own_text(ours), error);
      if (status != STATUS_OK) {
        return status;
      }
    }
    const struct schema_cache_options options = {.loop = &processor->loop,
                                                 .config = processor->config,
                                                 .schemas = processor->schemas,
                                                 .metrics = processor->metrics,
                                                 .context = processor,
                                                 .answered = on_schema,
                                                 .failed = on_registry_failed};
    processor->schema_cache = schema_cache_open(&options);
  }
  environment_frames(processor->schemas, &environment->ids, &processor->setup.encoding.frames);
  return STATUS_OK;
}

static void on_preflight(void *context) {
  struct processor *processor = context;
  processor->preflight_is_running = false;
  if (processor->is_stopping) {
    if (processor->status == STATUS_UNAVAILABLE &&
        processor->preflight.status == STATUS_UNAVAILABLE) {
      processor->error = processor->preflight.error; /* what the deadline was spent on */
    }
    check_stopped(processor);
    return;
  }
  struct error error = processor->preflight.error;
  enum status status = processor->preflight.status;
  if (status == STATUS_OK) {
    processor->progress_mono_ms = clock_mono_ms();
    set_up_lanes(processor);
    status = set_up_schemas(processor, &error);
  }
  if (status == STATUS_OK) {
    notary_start(processor->notary, processor->setup.lane_count);
  }
  if (status == STATUS_OK) {
    status = join(processor, &error);
  }
  if (status == STATUS_UNAVAILABLE) {
    note_failure(processor, &error);
    processor->preflight_mono_ms = clock_mono_ms() + PREFLIGHT_RETRY_MS;
    log_warning("not yet: trying again", LOG_TEXT("error", error.text));
  } else if (status != STATUS_OK) {
    stop(processor, status, &error);
  }
}

static void begin_preflight(struct processor *processor) {
  processor->preflight_is_running = true;
  worker_submit(processor->worker, run_preflight, on_preflight, processor);
}

/* Watching. ----------------------------------------------------------------------------- */

static bool is_starting(const struct processor *processor) {
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL &&
        lane_task_phase(processor->tasks[lane]) == LANE_STARTING) {
      return true;
    }
  }
  return false;
}

static void check_deadlines(struct processor *processor) {
  const int64_t now_mono_ms = clock_mono_ms();
  if (processor->is_stopping) {
    if (now_mono_ms - processor->stop_mono_ms > STOP_DEADLINE_MS) {
      /* Nothing is lost: what is not published is found by whoever takes the lanes next. */
      log_warning("not all was published within the deadline", LOG_INTEGER("ms", STOP_DEADLINE_MS));
      exit(status_exit_code(processor->status == STATUS_OK ? STATUS_UNAVAILABLE
                                                           : processor->status));
    }
    return;
  }
  if (processor->accepts_when_stopped &&
      now_mono_ms - processor->revoked_mono_ms > REVOKED_DEADLINE_MS) {
    accept_revoked(processor);
  }
  const int64_t silent_ms = now_mono_ms - processor->progress_mono_ms;
  if (processor->until_caught_up &&
      silent_ms > (is_starting(processor) ? STARTING_MS_MAX : DEADLINE_MS)) {
    struct error error = processor->error;
    error_wrap(&error, "no progress for %lld s", (long long)silent_ms / 1000);
    stop(processor, STATUS_UNAVAILABLE, &error);
  }
}

static void on_tick(uv_timer_t *timer) {
  struct processor *processor = timer->data;
  watchdog_turn(processor->watchdog);
  note_well(processor);
  if (processor->membership != NULL) {
    poll_membership(processor);
  } else if (!processor->preflight_is_running && !processor->is_stopping &&
             clock_mono_ms() >= processor->preflight_mono_ms) {
    begin_preflight(processor);
  }
  for (size_t lane = 0; lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL) {
      lane_task_tick(processor->tasks[lane]);
    }
  }
  if (processor->schema_cache != NULL && !processor->is_stopping) {
    schema_cache_tick(processor->schema_cache);
  }
  http_step(processor->http);
  check_caught_up(processor);
  check_deadlines(processor);
}

static void on_http(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  struct processor *processor = poll->data;
  http_step(processor->http);
}

static bool answer_live(void *context, char *text, size_t size) {
  (void)context;
  snprintf(text, size, "the loop turns\n");
  return true;
}

/* What is wrong with a lane; NULL: nothing. `*since_mono_ms` is when that began, if it is known. */
static const char *lane_trouble(const struct processor *processor, const struct lane_task *task,
                                int64_t now_mono_ms, int64_t *since_mono_ms) {
  const int64_t oldest = lane_task_oldest_mono_ms(task);
  if (lane_task_phase(task) != LANE_RUNNING) {
    return "a lane is not running";
  }
  if (oldest >= 0 && now_mono_ms - oldest > STALLED_MS) {
    *since_mono_ms = oldest;
    return "a batch is not getting out";
  }
  return lane_task_waits_for_schema(task) && schema_cache_is_out_of_reach(processor->schema_cache)
             ? "a lane waits for the schema registry"
             : NULL;
}

/* Progress, not state: a lane whose batch does not get out is not ready, whatever it says. */
static const char *trouble(const struct processor *processor, int64_t *since_mono_ms) {
  const int64_t now_mono_ms = clock_mono_ms();
  const char *reason = NULL;
  *since_mono_ms = -1;
  if (processor->is_stopping) {
    reason = "stopping";
  } else if (processor->membership == NULL) {
    reason = "Kafka or PostgreSQL has not been reached yet";
  } else if (!processor->is_assigned) {
    reason = "no assignment from the group yet";
  } else if (now_mono_ms - processor->polled_mono_ms > STALLED_MS) {
    reason = "the group has not been polled";
  }
  for (size_t lane = 0; reason == NULL && lane < processor->setup.lane_count; lane++) {
    if (processor->tasks[lane] != NULL) {
      reason = lane_trouble(processor, processor->tasks[lane], now_mono_ms, since_mono_ms);
    }
  }
  return reason;
}

static bool answer_ready(void *context, char *text, size_t size) {
  const struct processor *processor = context;
  int64_t since_mono_ms;
  const char *reason = trouble(processor, &since_mono_ms);
  if (reason == NULL) {
    snprintf(text, size, "ready\n");
  } else {
    readiness_tell(&processor->readiness, reason, since_mono_ms, text, size);
  }
  return reason == NULL;
}

static void note_well(struct processor *processor) {
  int64_t since_mono_ms;
  if (trouble(processor, &since_mono_ms) == NULL) {
    readiness_well(&processor->readiness, clock_mono_ms());
  }
}

static void answer_metrics(void *context, FILE *stream) {
  struct processor *processor = context;
  char text[ERROR_TEXT_SIZE];
  metric_set(processor->metrics, METRIC_READY, 0, 0,
             answer_ready(processor, text, sizeof text) ? 1 : 0);
  metrics_write(processor->metrics, stream);
}

static void on_signal(uv_signal_t *signal, int number) {
  struct processor *processor = signal->data;
  if (processor->is_stopping) {
    log_warning("stopping at once", LOG_INTEGER("signal", number));
    exit(128 + number);
  }
  log_info("stopping", LOG_INTEGER("signal", number));
  stop(processor, STATUS_OK, NULL);
}

/* Ending. ------------------------------------------------------------------------------- */

static void on_closed(void *context) {
  (void)context;
}

/* When the last lane is gone, the handles close and the loop runs out. */
static void check_stopped(struct processor *processor) {
  if (!processor->is_stopping || processor->task_count > 0 || processor->preflight_is_running ||
      processor->others_are_looked_at || uv_is_closing((uv_handle_t *)&processor->tick)) {
    return;
  }
  uv_close((uv_handle_t *)&processor->tick, NULL);
  uv_close((uv_handle_t *)&processor->terminate, NULL);
  uv_close((uv_handle_t *)&processor->interrupt, NULL);
  if (processor->membership != NULL) {
    uv_close((uv_handle_t *)&processor->membership_poll, NULL);
  }
  if (processor->http != NULL) {
    uv_close((uv_handle_t *)&processor->http_poll, NULL);
  }
  if (processor->schema_cache != NULL) {
    schema_cache_close(processor->schema_cache, on_closed, processor);
  }
  worker_close(processor->worker, on_closed, processor);
}

static void watch(struct processor *processor) {
  uv_loop_t *loop = &processor->loop;
  uv_timer_init(loop, &processor->tick);
  uv_signal_init(loop, &processor->terminate);
  uv_signal_init(loop, &processor->interrupt);
  processor->tick.data = processor->terminate.data = processor->interrupt.data = processor;
  uv_timer_start(&processor->tick, on_tick, TICK_MS, TICK_MS);
  uv_signal_start(&processor->terminate, on_signal, SIGTERM);
  uv_signal_start(&processor->interrupt, on_signal, SIGINT);
  if (processor->http != NULL) {
    uv_poll_init(loop, &processor->http_poll, http_fd(processor->http));
    processor->http_poll.data = processor;
    uv_poll_start(&processor->http_poll, UV_READABLE, on_http);
  }
}

static enum status open_parts(struct processor *processor, struct error *error) {
  const struct config *config = processor->config;
  const char *directory = config->schemas.directory[0] != '\0' ? config->schemas.directory : NULL;
  const struct http_handlers handlers = {
      .context = processor, .live = answer_live, .ready = answer_ready, .metrics = answer_metrics};
  enum status status = schemas_open(directory, &processor->schemas, error);
  if (status == STATUS_OK) {
    char control[TOPIC_NAME_SIZE];
    topic_full_name(config, TOPIC_CONTROL, control);
    processor->setup.fetch_shared = fetch_shared_open(control);
    processor->setup.schemas = processor->environment.schemas = processor->preflight.schemas =
        processor->schemas;
    processor->preflight.is_over = is_over;
    processor->preflight.context = processor;
  }
  if (status == STATUS_OK && config->schemas.registry_url[0] == '\0') {
    status = environment_ids(config, processor->schemas, &processor->environment.ids, error);
  }
  if (status == STATUS_OK) {
    status = notary_open(config, processor->schemas, &processor->notary, error);
  }
  if (status == STATUS_OK) {
    status = instance_take(config, &processor->instance, error);
  }
  if (status == STATUS_OK) {
    status = http_open(config->http.listen, &handlers, &processor->http, error);
  }
  if (status == STATUS_OK && RAND_bytes(processor->setup.owner, OWNER_SIZE) != 1) {
    status = error_set(error, STATUS_UNAVAILABLE, "no random bytes for the owner's id");
  }
  return status;
}

static void close_parts(struct processor *processor) {
  membership_close(processor->membership);
  fetch_shared_close(processor->setup.fetch_shared);
  http_close(processor->http);
  instance_release(&processor->instance);
  metrics_close(processor->metrics);
  schemas_close(processor->schemas);
  free(processor->tasks);
  free(processor->is_done);
  free(processor->is_asked);
  free(processor->others.is_waited_for);
  free(processor->preflight.ends);
}

static void run_loop(struct processor *processor) {
  const int failed = uv_loop_init(&processor->loop);
  assert(failed == 0);
  signal(SIGPIPE, SIG_IGN);
  processor->worker = worker_open(&processor->loop);
  watch(processor);
  begin_preflight(processor);
  processor->watchdog = watchdog_start(processor->config->loop.stall_max_s * 1000);
  uv_run(&processor->loop, UV_RUN_DEFAULT);
  watchdog_stop(processor->watchdog);
  const int busy = uv_loop_close(&processor->loop);
  assert(busy == 0);
}

enum status processor_run(const struct config *config, bool until_caught_up,
                          struct processor_summary *summary, struct error *error) {
  struct processor processor = {
      .config = config,
      .until_caught_up = until_caught_up,
      .summary = summary,
      .instance = {.lock = -1},
      .metrics = metrics_open(),
      .preflight = {.config = config},
      .environment = {.config = config},
      .setup = {.config = config,
                .encoding = {.topic_prefix = config->kafka.topic_prefix,
                             .message_bytes_max = (uint64_t)config->kafka.message_bytes_max,
                             .cloudevents = config->kafka.cloudevents}},
      .progress_mono_ms = clock_mono_ms(),
      .loaded_mono_ms = -1,
  };
  *summary = (struct processor_summary){0};
  enum status status = open_parts(&processor, error);
  if (status == STATUS_OK) {
    run_loop(&processor);
    status = processor.status;
    *error = processor.error;
  }
  notary_close(processor.notary, status == STATUS_OK);
  close_parts(&processor);
  return status;
}
