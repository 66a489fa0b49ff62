#include "tests/sim/member.h"

#include "consumers/schemas.h"
#include "core/app/digest.h"
#include "core/app/environment.h"
#include "core/app/log.h"
#include "core/app/policy_shipped.h"
#include "core/policy.h"
#include "tests/sim/broker.h"
#include "tests/sim/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 100, SESSION_MS = 10000, UNWIND_MAX = 1000000 };

struct member {
  uint32_t index;
  bool is_up, is_cut_off;
  int64_t up_at_ms; /* while it is down */
  int64_t gone_ms;  /* since when the group has not heard of it */
  int64_t frozen_until_ms;
  int64_t deaf_until_ms; /* hears nothing of the group */
  int64_t skew_ms;
  int64_t next_tick_ms;
  uint32_t incarnation;
  struct loop *loop;
  struct fetch_shared *fetch_shared;
  uint8_t owner[OWNER_SIZE];
  struct config settings; /* as the environment tells them */
  struct environment environment;
  struct lane_task *tasks[LANES_MAX];
  bool has[LANES_MAX]; /* as the group has told it */
};

struct shared shared;

static struct {
  struct member items[MEMBERS_MAX];
  uint32_t owner[LANES_MAX];  /* as the group has it */
  uint32_t wanted[LANES_MAX]; /* and will have it */
  bool is_orderly[LANES_MAX]; /* once the owner has given it up */
  int64_t stop_offsets[LANES_MAX][TOPIC_COUNT];
} group;

uint32_t member_index(const struct member *member) {
  return member->index;
}

bool member_is_stuck(const struct member *member) {
  return sim.now_ms < member->frozen_until_ms;
}

bool member_is_cut_off(const struct member *member) {
  return member != NULL && member->is_cut_off;
}

int64_t member_wall_ms(const struct member *member) {
  return sim_wall_ms() + member->skew_ms;
}

/* What all seeds share. ------------------------------------------------------------------ */

static char none[] = "";

static struct config config = {
    .kafka = {.security_protocol = none,
              .sasl_mechanism = none,
              .sasl_username = none,
              .sasl_password = none,
              .sasl_password_file = none,
              .ssl_ca_file = none,
              .ssl_certificate_file = none,
              .ssl_key_file = none,
              .ssl_key_password = none,
              .ssl_key_password_file = none,
              .bootstrap_servers = (char *)(uintptr_t) "simulated",
              .group_id = (char *)(uintptr_t) "muster",
              .topic_prefix = (char *)(uintptr_t) "sim.",
              .partitioner = PARTITIONER_MURMUR2,
              .framing = FRAMING_SINGLE_OBJECT,
              .message_bytes_max = 4000},
    .schemas = {.registry_url = none},
    .postgres = {.dsn = (char *)(uintptr_t) "simulated"},
    .batch = {.bytes_max = 1 << 20, .memory_max = 1 << 24},
};

static struct output_ids output_ids; /* none */

void shared_open(void) {
  struct error error;
  enum status status = schemas_open(NULL, &shared.schemas, &error);
  assert(status == STATUS_OK);
  shared.config = &config;
  shared.encoding = (struct encoding){
      .topic_prefix = config.kafka.topic_prefix,
      .message_bytes_max = (uint64_t)config.kafka.message_bytes_max,
  };
  status = environment_ids(&config, shared.schemas, &output_ids, &error);
  assert(status == STATUS_OK);
  environment_frames(shared.schemas, &output_ids, &shared.encoding.frames);
  shared.subject_key = span_of("0123456789abcdef0123456789abcdef", 32);
}

void shared_close(void) {
  schemas_close(shared.schemas);
}

/* Lanes. --------------------------------------------------------------------------------- */

static void open_lanes(struct member *member);

static void on_started(void *context, struct lane_task *task) {
  (void)context, (void)task;
}

static void on_failed(void *context, struct lane_task *task, enum status status,
                      const struct error *error) {
  const struct member *member = context;
  trace("lane %u fails: %s", lane_task_lane(task), error->text);
  CHECK_THAT(status != STATUS_CONFIG || sim.plan.is_tampered || member->is_cut_off,
             "lane %u halts without need: %s", lane_task_lane(task), error->text);
}

static void on_stopped(void *context, struct lane_task *task) {
  struct member *member = context;
  member->tasks[lane_task_lane(task)] = NULL;
  lane_task_close(task);
  if (!member->is_cut_off) {
    open_lanes(member);
  }
}

static void on_published(void *context, struct lane_task *task, const struct journal_row *row) {
  (void)context, (void)task, (void)row;
}

static void open_lane(struct member *member, uint32_t lane) {
  static const size_t lanes_here = 1; /* a batch's bytes are no concern here */
  struct lane_task_options options = {
      .loop = loop_uv(member->loop),
      .setup = {.config = &config,
                .schemas = shared.schemas,
                .fetch_shared = member->fetch_shared,
                .lane = lane,
                .lane_count = sim.plan.lane_count,
                .encoding = shared.encoding},
      .rules = {.schemas = shared.schemas,
                .partitioner = config.kafka.partitioner,
                .lane = lane,
                .lane_count = sim.plan.lane_count,
                .message_bytes_max = config.kafka.message_bytes_max,
                .subject_key = shared.subject_key},
      .until_caught_up = sim.plan.is_backlog,
      .lanes_here = &lanes_here,
      .environment = &member->environment,
      .events = {.context = member,
                 .started = on_started,
                 .caught_up = on_started,
                 .failed = on_failed,
                 .stopped = on_stopped,
                 .published = on_published},
  };
  options.setup.encoding.lane = lane;
  memcpy(options.setup.owner, member->owner, OWNER_SIZE);
  memcpy(options.stop_offsets, group.stop_offsets[lane], sizeof options.stop_offsets);
  member->tasks[lane] = lane_task_open(&options);
}

static void open_lanes(struct member *member) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (member->has[lane] && member->tasks[lane] == NULL) {
      open_lane(member, lane);
    }
  }
}

/* Up and down. --------------------------------------------------------------------------- */

/* Settings differ from start to start: who is an admin decides what is done. Where all is compared
 * with one straight run, they are the same. */
static void set_admins(struct member *member) {
  static char *admins[][2] = {
      {(char *)(uintptr_t)SIM_ADMIN, (char *)(uintptr_t)SIM_OTHER_ADMIN},
      {(char *)(uintptr_t)SIM_OTHER_ADMIN},
  };
  const uint32_t set = sim.plan.is_backlog || draw(2) == 0 ? sim.plan.admins : draw(4);
  if (set != sim.plan.admins) {
    fault_note(FAULT_ADMINS_CHANGED);
  }
  member->settings = config;
  member->settings.roles.bootstrap_admins =
      (struct text_list){.items = admins[set == 2], .count = (set & 1) + (set >> 1)};
}

static void start(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  member->incarnation++;
  member->is_up = true;
  member->is_cut_off = false;
  member->gone_ms = -1;
  member->loop = loop_open(member);
  member->fetch_shared = fetch_shared_open("sim.control");
  member->next_tick_ms = sim.now_ms + TICK_MS;
  member->skew_ms = sim.plan.has_skew ? (int64_t)draw(2 * SKEW_MS_MAX + 1) - SKEW_MS_MAX : 0;
  memset(member->owner, 0, sizeof member->owner);
  member->owner[0] = (uint8_t)(member->index + 1);
  member->owner[1] = (uint8_t)member->incarnation;
  set_admins(member);
  member->environment = (struct environment){
      .config = &member->settings,
      .schemas = shared.schemas,
      .ids = output_ids,
      .lane_count = sim.plan.lane_count,
      .subject_key = shared.subject_key,
  };
}

static bool has_tasks(const struct member *member) {
  for (size_t lane = 0; lane < LANES_MAX; lane++) {
    if (member->tasks[lane] != NULL) {
      return true;
    }
  }
  return false;
}

/* Ends a member's process: from here on it does not exist for the world. */
static void end_process(struct member *member) {
  sim.current = member;
  member->frozen_until_ms = 0;
  member->is_cut_off = true;
  memset(member->has, 0, sizeof member->has);
  broker_cut_off(member);
  database_cut_off(member);
  const bool was_tracing = sim.is_tracing;
  sim.is_tracing = false;
  for (int i = 0; has_tasks(member) || loop_run_any(member->loop); i++) {
    CHECK_THAT(i < UNWIND_MAX, "a killed member's memory cannot be given back");
    for (size_t lane = 0; lane < LANES_MAX; lane++) {
      if (member->tasks[lane] != NULL) {
        lane_task_stop(member->tasks[lane]);
      }
    }
    loop_run_any(member->loop);
  }
  sim.is_tracing = was_tracing;
  loop_close(member->loop);
  member->loop = NULL;
  fetch_shared_close(member->fetch_shared);
  member->is_up = false;
  member->gone_ms = sim.now_ms;
  sim.current = NULL;
}

static void crash(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  fault_note(FAULT_CRASH);
  end_process(member);
  member->up_at_ms = sim.now_ms + draw(draw(2) == 0 ? 200 : 30000);
}

static void freeze(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  fault_note(FAULT_FREEZE);
  member->frozen_until_ms = sim.now_ms + 1 + draw(draw(3) == 0 ? 100000 : 8000);
  member->gone_ms = sim.now_ms;
}

/* The group. ----------------------------------------------------------------------------- */

static uint32_t some_live_member(void) {
  uint32_t live[MEMBERS_MAX];
  uint32_t count = 0;
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    const struct member *member = &group.items[i];
    if (member->is_up && !member_is_stuck(member) && sim.now_ms >= member->deaf_until_ms) {
      live[count++] = i;
    }
  }
  return count == 0 ? MEMBERS_MAX : live[draw(count)];
}

static void give(uint32_t lane, uint32_t member, bool is_orderly) {
  if (member < MEMBERS_MAX) {
    trace("lane %u goes to member %u, %s", lane, member, is_orderly ? "in order" : "at once");
    group.wanted[lane] = member;
    group.is_orderly[lane] = is_orderly;
  }
}

static void rebalance(void *context, int64_t argument) {
  (void)context, (void)argument;
  fault_note(FAULT_REBALANCE);
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (draw(2) == 0) {
      give(lane, some_live_member(), draw(4) != 0);
    }
  }
}

static void take_away(struct member *member) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (group.wanted[lane] == member->index) {
      give(lane, some_live_member(), false);
    }
  }
}

/* The group goes on without a member that does not know it yet. */
static void evict(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  fault_note(FAULT_EVICT);
  member->deaf_until_ms = sim.now_ms + draw(20000);
  take_away(member);
}

static void end_session(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  fault_note(FAULT_EVICT);
  member->gone_ms = INT64_MAX - SESSION_MS; /* once is enough */
  take_away(member);
}

static void settle_groups(void) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    const struct member *owner = &group.items[group.owner[lane]];
    if (group.owner[lane] != group.wanted[lane] &&
        (!group.is_orderly[lane] || owner->tasks[lane] == NULL)) {
      group.owner[lane] = group.wanted[lane];
    }
  }
}

static bool is_given(const struct member *member, uint32_t lane) {
  return group.owner[lane] == member->index && group.wanted[lane] == member->index;
}

static void hear(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    member->has[lane] = is_given(member, lane);
    if (!member->has[lane] && member->tasks[lane] != NULL) {
      lane_task_stop(member->tasks[lane]);
    }
  }
  open_lanes(member);
}

static bool has_news(const struct member *member) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (member->has[lane] != is_given(member, lane)) {
      return true;
    }
  }
  return false;
}

/* Offers. -------------------------------------------------------------------------------- */

static void tick(void *context, int64_t argument) {
  (void)argument;
  struct member *member = context;
  member->next_tick_ms = sim.now_ms + TICK_MS;
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (member->tasks[lane] != NULL) {
      lane_task_tick(member->tasks[lane]);
    }
  }
}

static void thaw_if_due(struct member *member) {
  if (member->frozen_until_ms > 0 && !member_is_stuck(member)) {
    trace("member %u goes on", member->index);
    member->frozen_until_ms = 0;
    member->gone_ms = -1;
  }
}

static void offer_member(struct member *member) {
  thaw_if_due(member);
  if (member->gone_ms >= 0 && member->gone_ms < INT64_MAX - SESSION_MS) {
    sim_wake_at(member->gone_ms + SESSION_MS);
    if (sim.now_ms >= member->gone_ms + SESSION_MS) {
      sim_offer("session ends", NULL, 5, end_session, member, member->index);
    }
  }
  if (!member->is_up) {
    sim_wake_at(member->up_at_ms);
    if (sim.now_ms >= member->up_at_ms) {
      sim_offer("member starts", NULL, 5, start, member, member->index);
    }
    return;
  }
  if (member_is_stuck(member)) {
    sim_wake_at(member->frozen_until_ms);
    return;
  }
  sim_wake_at(member->next_tick_ms);
  if (sim.now_ms >= member->next_tick_ms) {
    sim_offer("tick", member, 10, tick, member, 0);
  }
  sim_wake_at(member->deaf_until_ms);
  if (sim.now_ms >= member->deaf_until_ms && has_news(member)) {
    sim_offer("the group tells its lanes", member, 3, hear, member, 0);
  }
  loop_offer(member->loop);
}

void members_offer(void) {
  settle_groups();
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    offer_member(&group.items[i]);
  }
}

static void jump(void *context, int64_t argument) {
  (void)context, (void)argument;
  sim_jump();
}

void members_offer_faults(void) {
  const uint32_t *rates = sim.plan.rates;
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    struct member *member = &group.items[i];
    if (!member->is_up) {
      continue;
    }
    sim_offer("crash", NULL, rates[FAULT_CRASH], crash, member, i);
    if (!member_is_stuck(member)) {
      sim_offer("freeze", NULL, rates[FAULT_FREEZE], freeze, member, i);
      sim_offer("evict", NULL, rates[FAULT_EVICT], evict, member, i);
    }
  }
  sim_offer("rebalance", NULL, 1 + rates[FAULT_REBALANCE], rebalance, NULL, 0);
  if (!sim.plan.is_backlog) {
    sim_offer("time passes", NULL, 5 * rates[FAULT_TIME_JUMP], jump, NULL, 0);
  }
}

/* Begin and end. ------------------------------------------------------------------------- */

void members_begin(void) {
  memset(&group, 0, sizeof group);
  config.batch.messages_max = sim.plan.messages_max;
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    group.items[i].index = i;
    group.items[i].gone_ms = -1;
    group.items[i].up_at_ms = draw(50);
  }
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    group.owner[lane] = group.wanted[lane] = draw(sim.plan.member_count);
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      group.stop_offsets[lane][topic] =
          (int64_t)log_stable_end(broker_log(topic, topic == TOPIC_CONTROL ? 0 : lane));
    }
  }
}

void members_end(void) {
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    if (group.items[i].is_up) {
      end_process(&group.items[i]);
    }
  }
}

void members_drain(void) {
  for (uint32_t i = 0; i < sim.plan.member_count; i++) {
    struct member *member = &group.items[i];
    member->deaf_until_ms = 0;
    if (member_is_stuck(member)) {
      member->frozen_until_ms = sim.now_ms + 1;
    }
    member->up_at_ms = sim.now_ms + 1;
  }
}

static bool lane_is_idle(uint32_t lane) {
  const struct lane_task *task = group.items[group.owner[lane]].tasks[lane];
  size_t count;
  (void)database_batches(lane, &count);
  return group.owner[lane] == group.wanted[lane] && task != NULL &&
         lane_task_phase(task) == LANE_RUNNING && lane_task_oldest_mono_ms(task) < 0 &&
         (!sim.plan.is_backlog || lane_task_is_caught_up(task)) && broker_is_idle(lane) &&
         broker_published_batch(lane) == count;
}

int64_t members_stop_offset(uint32_t lane, enum topic topic) {
  return group.stop_offsets[lane][topic];
}

bool members_are_idle(void) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    if (!lane_is_idle(lane)) {
      return false;
    }
  }
  return true;
}

/* What the lanes tell the outside. ------------------------------------------------------- */

void log_line(enum log_level level, const char *message, const struct log_field *fields,
              size_t field_count) {
  (void)level, (void)fields, (void)field_count;
  trace("log: %s", message);
}

void metric_add(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double amount) {
  (void)metrics, (void)metric, (void)lane, (void)index, (void)amount;
}

void metric_set(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double value) {
  (void)metrics, (void)metric, (void)lane, (void)index, (void)value;
}

void metric_observe(struct metrics *metrics, enum metric metric, uint32_t lane, double value) {
  (void)metrics, (void)metric, (void)lane, (void)value;
}

void metrics_drop_lane(struct metrics *metrics, uint32_t lane) {
  (void)metrics, (void)lane;
}
