/* Choices, virtual time, fibers. */
#include "tests/sim/sim.h"

#include "tests/sim/broker.h"
#include "tests/sim/database.h"
#include "tests/sim/feed.h"
#include "tests/sim/member.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

struct sim sim;

const char *fault_text(enum fault_kind kind) {
  static const char *const texts[FAULT_COUNT] = {
#define X(name, text) [FAULT_##name] = text,
      FAULT_LIST(X)
#undef X
  };
  return texts[kind];
}

void *grab(size_t size) {
  void *memory = calloc(1, size > 0 ? size : 1);
  assert(memory != NULL);
  return memory;
}

void *grow(void *items, size_t count, size_t *capacity, size_t item_size) {
  if (count < *capacity) {
    return items;
  }
  *capacity = *capacity == 0 ? 8 : 2 * *capacity;
  void *grown = realloc(items, *capacity * item_size);
  assert(grown != NULL);
  return grown;
}

void *copy_bytes(const void *bytes, size_t size) {
  void *copy = grab(size);
  if (size > 0) {
    memcpy(copy, bytes, size);
  }
  return copy;
}

/* splitmix64 */
static uint64_t next_random(void) {
  uint64_t z = sim.random += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

uint32_t draw(uint32_t count) {
  assert(count > 0);
  return (uint32_t)(next_random() % count);
}

bool chance(uint32_t per_mille) {
  return per_mille > 0 && draw(1000) < per_mille;
}

void fault_note(enum fault_kind kind) {
  sim.faults[kind]++;
  trace("FAULT %s", fault_text(kind));
}

bool fault(enum fault_kind kind) {
  if (sim.is_draining || !chance(sim.plan.rates[kind])) {
    return false;
  }
  fault_note(kind);
  return true;
}

int64_t sim_wall_ms(void) {
  return SIM_WALL_START_MS + sim.now_ms;
}

void trace(const char *format, ...) {
  if (!sim.is_tracing) {
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  printf("%6" PRIu64 " %12" PRId64 " ms  ", sim.step, sim.now_ms);
  if (sim.current != NULL) {
    printf("member %u: ", member_index(sim.current));
  }
  vprintf(format, arguments);
  putchar('\n');
  va_end(arguments);
}

void violation(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fprintf(stderr, "FAILED seed %" PRIu64 ", step %" PRIu64 ": ", sim.seed, sim.step);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\nreproduce: %s --seed %" PRIu64 " --trace\n", sim.command, sim.seed);
  va_end(arguments);
  fflush(stderr);
  _Exit(1);
}

void sim_jump(void) {
  enum { HOUR_MS = 3600000 };
  static const uint32_t spans_ms[] = {5000, 2 * HOUR_MS, 26 * HOUR_MS, 26 * HOUR_MS};
  fault_note(FAULT_TIME_JUMP);
  sim.now_ms += (int64_t)draw(spans_ms[draw(COUNT_OF(spans_ms))]);
}

/* Choices. ------------------------------------------------------------------------------- */

struct action {
  const char *name;
  struct member *member;
  uint32_t weight;
  action_fn run;
  void *context;
  int64_t argument;
};

static struct {
  struct action *items;
  size_t count, capacity;
  uint32_t weight;
  int64_t wake_ms;
} offers;

void sim_offer(const char *name, struct member *member, uint32_t weight, action_fn run,
               void *context, int64_t argument) {
  offers.items = grow(offers.items, offers.count, &offers.capacity, sizeof *offers.items);
  offers.items[offers.count++] = (struct action){.name = name,
                                                 .member = member,
                                                 .weight = weight,
                                                 .run = run,
                                                 .context = context,
                                                 .argument = argument};
  offers.weight += weight;
}

void sim_wake_at(int64_t at_ms) {
  if (at_ms > sim.now_ms && at_ms < offers.wake_ms) {
    offers.wake_ms = at_ms;
  }
}

static void mix(uint64_t value) {
  sim.trace_hash = (sim.trace_hash ^ value) * UINT64_C(0x100000001b3);
  sim.trace_hash ^= sim.trace_hash >> 29;
}

static void take(const struct action *action) {
  const struct action taken = *action;
  mix((uint64_t)taken.name[0] << 8 | (uint64_t)taken.name[1]);
  mix((uint64_t)sim.now_ms);
  sim.current = taken.member;
  trace("%s %" PRId64, taken.name, taken.argument);
  taken.run(taken.context, taken.argument);
  sim.current = NULL;
}

static void choose(void) {
  uint32_t at = draw(offers.weight);
  size_t i = 0;
  while (at >= offers.items[i].weight) {
    at -= offers.items[i].weight;
    i++;
  }
  take(&offers.items[i]);
}

static void offer_all(void) {
  offers.count = 0;
  offers.weight = 0;
  offers.wake_ms = INT64_MAX;
}

void sim_step(void) {
  sim.step++;
  sim.steps++;
  offer_all();
  if (!sim.is_draining && chance(sim.plan.fault_per_mille)) {
    members_offer_faults();
    database_offer_faults();
    broker_offer_faults();
    if (offers.count > 0) {
      choose();
    }
    return;
  }
  members_offer();
  database_offer();
  broker_offer();
  feed_offer();
  if (offers.count > 0) {
    choose();
    sim.now_ms += draw(3) == 0 ? 1 + (int64_t)(draw(40) == 0 ? draw(300) : draw(3)) : 0;
  } else {
    CHECK_THAT(offers.wake_ms != INT64_MAX, "nothing will ever happen again");
    sim.now_ms = offers.wake_ms;
  }
}

/* Fibers. -------------------------------------------------------------------------------- */

enum { STACK_SIZE = 512 * 1024 };

struct fiber {
  ucontext_t context;
  struct fiber *next_free;
  void *stack;
  void (*run)(void *);
  void *argument;
  struct member *member;
  const char *where;
  int64_t deadline_ms;
  ready_fn is_ready;
  void *ready_context;
  bool has_ended;
};

static struct fiber *running;
static struct fiber *free_fibers;
static ucontext_t loop_context;

#ifdef __SANITIZE_ADDRESS__
static void *loop_fake;
static const void *loop_stack;
static size_t loop_stack_size;
#define SWITCH_TO_FIBER(fiber)                                                                     \
  __sanitizer_start_switch_fiber(&loop_fake, (fiber)->stack, STACK_SIZE)
#define BACK_ON_LOOP() __sanitizer_finish_switch_fiber(loop_fake, NULL, NULL)
#else
#define SWITCH_TO_FIBER(fiber) (void)0
#define BACK_ON_LOOP() (void)0
#endif

static void enter(void) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(NULL, &loop_stack, &loop_stack_size);
#endif
  running->run(running->argument);
  running->has_ended = true;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(NULL, loop_stack, loop_stack_size);
#endif
  setcontext(&loop_context);
}

/* Alone, since getcontext may return twice as far as the compiler knows. */
static __attribute__((noinline)) void make_context(struct fiber *fiber) {
  const int failed = getcontext(&fiber->context);
  assert(failed == 0);
  fiber->context.uc_stack.ss_sp = fiber->stack;
  fiber->context.uc_stack.ss_size = STACK_SIZE;
  fiber->context.uc_link = NULL;
  makecontext(&fiber->context, enter, 0);
}

struct fiber *fiber_start(struct member *member, void (*run)(void *), void *argument) {
  struct fiber *fiber = free_fibers;
  if (fiber != NULL) {
    free_fibers = fiber->next_free;
  } else {
    fiber = grab(sizeof *fiber);
    fiber->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(fiber->stack != MAP_FAILED);
  }
  fiber->run = run;
  fiber->argument = argument;
  fiber->member = member;
  fiber->where = "a job begins";
  fiber->deadline_ms = INT64_MAX;
  fiber->is_ready = NULL;
  fiber->has_ended = false;
  make_context(fiber);
  return fiber;
}

bool fiber_is_ready(const struct fiber *fiber) {
  if (fiber->is_ready == NULL || fiber->is_ready(fiber->ready_context) ||
      sim.now_ms >= fiber->deadline_ms || member_is_cut_off(fiber->member)) {
    return true;
  }
  sim_wake_at(fiber->deadline_ms);
  return false;
}

const char *fiber_where(const struct fiber *fiber) {
  return fiber->where;
}

bool fiber_resume(struct fiber *fiber) {
  assert(running == NULL);
  running = fiber;
  SWITCH_TO_FIBER(fiber);
  swapcontext(&loop_context, &fiber->context);
  BACK_ON_LOOP();
  running = NULL;
  if (!fiber->has_ended) {
    return false;
  }
  fiber->next_free = free_fibers;
  free_fibers = fiber;
  return true;
}

bool fiber_wait(const char *where, int64_t deadline_ms, ready_fn is_ready, void *context) {
  struct fiber *const fiber = running;
  if (fiber == NULL || member_is_cut_off(fiber->member)) {
    return is_ready == NULL || is_ready(context);
  }
  fiber->where = where;
  fiber->deadline_ms = deadline_ms;
  fiber->is_ready = is_ready;
  fiber->ready_context = context;
#ifdef __SANITIZE_ADDRESS__
  void *fake;
  __sanitizer_start_switch_fiber(&fake, loop_stack, loop_stack_size);
#endif
  swapcontext(&fiber->context, &loop_context);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, &loop_stack, &loop_stack_size);
#endif
  return is_ready == NULL || is_ready(context);
}

static bool has_come(void *context) {
  const uint64_t *step = context;
  return sim.is_draining || sim.step >= *step;
}

void fiber_stall(const char *where, uint32_t steps) {
  uint64_t until_step = sim.step + steps;
  fiber_wait(where, INT64_MAX, has_come, &until_step);
}

/* A seed. -------------------------------------------------------------------------------- */

static uint32_t rate(uint32_t of_ten, uint32_t max) {
  return draw(10) < of_ten ? 1 + draw(max) : 0;
}

static void draw_plan(struct plan *plan) {
  *plan = (struct plan){
      .lane_count = 1 + draw(LANES_MAX),
      .member_count = 1 + draw(MEMBERS_MAX),
      .message_count = 20 + draw(100),
      .serial_count = 2 + draw(5),
      .control_per_mille = draw(4) == 0 ? 300 : 40,
      .command_per_mille = draw(4) == 0 ? 400 : 60,
      .admins = draw(4),
      .is_backlog = draw(3) == 0,
      .has_skew = draw(3) == 0,
      .messages_max = draw(4) == 0 ? 1000 : 1 + (int64_t)draw(12),
      .gap_ms_max = 60,
      .fault_per_mille = rate(9, 12),
  };
  plan->is_tampered = draw(6) == 0;
  plan->cannot_end_backends = draw(3) == 0;
  for (enum fault_kind kind = 0; kind < FAULT_COUNT; kind++) {
    plan->rates[kind] = rate(5, 10); /* a weight among faults of the world at large */
  }
  for (enum fault_kind kind = FAULT_STORE_CUT; kind <= FAULT_STORE_LOST_ANSWER; kind++) {
    plan->rates[kind] = rate(5, 60);
  }
  plan->rates[FAULT_STORE_LATE] = rate(7, 800); /* of those cut */
  for (enum fault_kind kind = FAULT_PRODUCE_RESENT; kind <= FAULT_END_DUPLICATE; kind++) {
    plan->rates[kind] = rate(5, 100);
  }
  plan->rates[FAULT_READ_FAILED] = rate(4, 30);
  plan->rates[FAULT_STORE_SLOW] = rate(5, 200);
  plan->rates[FAULT_READ_HELD] = rate(5, 100);
  plan->rates[FAULT_FETCH_STALLED] = rate(6, 300);
  for (enum fault_kind kind = FAULT_DUPLICATE; kind <= FAULT_GAP; kind++) {
    plan->rates[kind] = rate(6, 120);
  }
  plan->rates[FAULT_FETCH_LATE] = rate(3, 500);
}

/* Some seeds look closely at what takes several things at once to go wrong: owners that overtake
 * each other while they load, the moment at which timers fire by the wall clock, and batches that
 * end within sweeps. */
static void focus(struct plan *plan) {
  uint32_t *const rates = plan->rates;
  switch (draw(10)) {
  case 0:
  case 1:
    plan->member_count = MEMBERS_MAX;
    plan->fault_per_mille = 12;
    plan->cannot_end_backends = true;
    plan->is_backlog = false;
    plan->message_count = 110;
    rates[FAULT_STORE_SLOW] = 150;
    rates[FAULT_EVICT] = 10;
    rates[FAULT_REBALANCE] = 20;
    rates[FAULT_CRASH] = 1;
    rates[FAULT_STORE_DOWN] = rates[FAULT_BROKER_DOWN] = rates[FAULT_STORE_FAILOVER] = 0;
    break;
  case 2:
  case 3:
  case 6:
  case 7:
    plan->is_backlog = false;
    plan->lane_count = 1;
    plan->message_count = 80;
    plan->control_per_mille = draw(2) == 0 ? 40 : 0; /* it closes batches behind timers, too */
    plan->fault_per_mille = 4;
    rates[FAULT_STORE_FAILOVER] = rates[FAULT_STORE_DOWN] = rates[FAULT_BROKER_DOWN] = 0;
    rates[FAULT_TIME_JUMP] = 10;
    rates[FAULT_READ_HELD] = 100;
    plan->messages_max = 1000;
    plan->gap_ms_max = 400;
    rates[FAULT_FETCH_STALLED] = 20;
    break;
  case 4:
  case 5:
    plan->lane_count = 1;
    plan->serial_count = 14;
    plan->messages_max = 1 + (int64_t)draw(2);
    plan->control_per_mille = 250;
    plan->fault_per_mille = 30;
    rates[FAULT_CRASH] = rates[FAULT_EVICT] = 20;
    rates[FAULT_BROKER_DOWN] = rates[FAULT_STORE_DOWN] = 0;
    break;
  default:
    break;
  }
}

void sim_begin(uint64_t seed, bool is_tracing) {
  sim.seed = sim.random = seed;
  sim.trace_hash = UINT64_C(0xcbf29ce484222325);
  sim.step = 0;
  sim.now_ms = 1;
  sim.is_tracing = is_tracing;
  sim.is_draining = false;
  sim.current = NULL;
  next_random();
  draw_plan(&sim.plan);
  focus(&sim.plan);
}
