/* The simulated world: one seed, one virtual clock, one choice at a time of what happens next.
 *
 * The lane protocol of core/app, with its Kafka client code, runs unchanged. Below it are a broker
 * (broker.c behind librdkafka's functions), a database (database.c behind producers/store.h), a
 * loop with worker threads (loop.c behind libuv's and worker.h's functions) and clocks, all in
 * memory. Everything that could happen next is offered as an action; the seed chooses. A job that
 * blocks on a worker's thread is a fiber that gives way wherever it would wait for the world. */
#ifndef MUSTER_TESTS_SIM_SIM_H
#define MUSTER_TESTS_SIM_SIM_H

#include "core/base.h"

enum { LANES_MAX = 3, MEMBERS_MAX = 3 };

/* X(name, what it is called in reports) */
#define FAULT_LIST(X)                                                                              \
  X(CRASH, "member killed between two steps")                                                      \
  X(FREEZE, "member frozen, going on later")                                                       \
  X(REBALANCE, "lanes dealt out anew")                                                             \
  X(EVICT, "session of a member ended")                                                            \
  X(TIME_JUMP, "hours passed at once")                                                             \
  X(STORE_DOWN, "database out of reach")                                                           \
  X(STORE_SLOW, "database slow to answer an owner that loads")                                     \
  X(STORE_CUT, "database connection cut within a commit")                                          \
  X(STORE_LATE, "commit executed after its client was cut off")                                    \
  X(STORE_LOST_ANSWER, "database commit's answer lost")                                            \
  X(STORE_FAILOVER, "failover of the database")                                                    \
  X(STORE_LOST_TAIL, "commits lost by a failover")                                                 \
  X(BROKER_DOWN, "broker out of reach")                                                            \
  X(PRODUCE_RESENT, "produce request sent again")                                                  \
  X(PRODUCE_FAILED, "produce request timed out, written or not")                                   \
  X(INIT_RESENT, "InitProducerId sent again")                                                      \
  X(END_LOST, "EndTxn lost")                                                                       \
  X(END_LOST_ANSWER, "EndTxn's answer lost")                                                       \
  X(END_DELAYED, "EndTxn delayed past its client")                                                 \
  X(END_DUPLICATE, "EndTxn sent again, the first copy late")                                       \
  X(TRANSACTION_TIMEOUT, "transaction timed out at the broker")                                    \
  X(FETCH_STALLED, "fetch of a partition stalled, its end seen late")                              \
  X(FETCH_LATE, "fetch under way when its partition was closed")                                   \
  X(READ_HELD, "answer about the end of a partition held for long")                                \
  X(READ_FAILED, "end of a partition not answered")                                                \
  X(DUPLICATE, "message sent twice")                                                               \
  X(LATE, "message stamped long ago")                                                              \
  X(FUTURE, "message stamped in the future")                                                       \
  X(UNSTAMPED, "message without a stamp")                                                          \
  X(DAMAGED, "message damaged")                                                                    \
  X(MISKEYED, "message under a wrong or no key")                                                   \
  X(ID_AGAIN, "event_id of another message")                                                       \
  X(GAP, "offset that no reader sees")                                                             \
  X(TAMPER, "topic's past rewritten")                                                              \
  X(SWEEP_CUT, "batch ended within a sweep")                                                       \
  X(STATE_TOLD, "lane told its state")                                                             \
  X(SWEEP_TAKEN, "lane taken within a sweep")                                                      \
  X(WIPE_TAKEN, "lane taken while a wipe waits")                                                   \
  X(MUTED_TAKEN, "lane taken while a tenant event lasts, or after")                                \
  X(ADMINS_CHANGED, "member started with other bootstrap admins")

enum fault_kind {
#define X(name, text) FAULT_##name,
  FAULT_LIST(X)
#undef X
      FAULT_COUNT
};
const char *fault_text(enum fault_kind kind);

/* What a seed is made of; every rate is drawn for the seed, many are 0. */
struct plan {
  uint32_t lane_count, member_count, message_count, serial_count;
  uint32_t control_per_mille; /* of messages */
  uint32_t command_per_mille; /* of the rest */
  uint32_t admins;            /* of the configuration: bits, of all members if `is_backlog` */
  bool is_backlog;          /* everything stands in the topics at the start; run until caught up */
  bool cannot_end_backends; /* of former owners */
  bool has_skew;            /* of members' wall clocks */
  bool is_tampered;         /* a topic's past is rewritten: lanes may halt, and must not lie */
  int64_t messages_max;     /* of a batch */
  uint32_t gap_ms_max;      /* between messages, mostly */
  uint32_t fault_per_mille; /* steps that are a fault of the world at large */
  uint32_t rates[FAULT_COUNT]; /* weights or per mille, by kind */
};

struct member;

struct sim {
  uint64_t seed;
  uint64_t random;
  uint64_t trace_hash;
  uint64_t step;
  int64_t now_ms; /* monotonic and true */
  bool is_tracing;
  bool is_draining; /* no faults any more */
  struct plan plan;
  struct member *current;       /* whose code runs; NULL: the world's */
  uint64_t faults[FAULT_COUNT]; /* of all seeds */
  uint64_t steps;               /* of all seeds */
  const char *command; /* how this program was called, for the line that reproduces a seed */
};
extern struct sim sim;

enum { SKEW_MS_MAX = 1500000 }; /* of a member's wall clock, either way */
/* Who may be an admin by the configuration. */
#define SIM_ADMIN "admin@example.org"
#define SIM_OTHER_ADMIN "bob@example.org"
#define SIM_WALL_START_MS INT64_C(1760000000000)

/* The true wall clock, and a member's. */
int64_t sim_wall_ms(void);
int64_t member_wall_ms(const struct member *member);

void sim_begin(uint64_t seed, bool is_tracing);
/* One choice of what happens next. */
void sim_step(void);

uint32_t draw(uint32_t count); /* 0 .. count-1 */
bool chance(uint32_t per_mille);
/* Whether a fault of that kind happens now; counts it. Never while draining. */
bool fault(enum fault_kind kind);
/* Counts one that has been decided on otherwise. */
void fault_note(enum fault_kind kind);

/* Hours pass at once, or seconds. */
void sim_jump(void);

void trace(const char *format, ...) PRINTF_LIKE(1, 2);
/* An invariant does not hold: says so with the command that shows it again, and ends. */
_Noreturn void violation(const char *format, ...) PRINTF_LIKE(1, 2);
#define CHECK_THAT(condition, ...)                                                                 \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      violation(__VA_ARGS__);                                                                      \
    }                                                                                              \
  } while (0)

/* Memory that never fails. */
void *grab(size_t size);
void *grow(void *items, size_t count, size_t *capacity, size_t item_size);
void *copy_bytes(const void *bytes, size_t size);

/* Offers, between two steps. `member` NULL: the world's own. Of a frozen member nothing that runs
 * on its machine is offered, so callers ask member_is_stuck first. */
typedef void (*action_fn)(void *context, int64_t argument);
void sim_offer(const char *name, struct member *member, uint32_t weight, action_fn run,
               void *context, int64_t argument);
/* Something will be on offer then. */
void sim_wake_at(int64_t at_ms);

/* Fibers: jobs that give way. */
struct fiber;
typedef bool (*ready_fn)(void *context);
struct fiber *fiber_start(struct member *member, void (*run)(void *), void *argument);
bool fiber_is_ready(const struct fiber *fiber); /* also notes when it will be */
const char *fiber_where(const struct fiber *fiber);
bool fiber_resume(struct fiber *fiber); /* true when it has ended; it is gone then */
/* Gives way until `is_ready` (NULL: at once) or the deadline; false when the deadline was it. A
 * member that is being cut off does not wait any more. */
bool fiber_wait(const char *where, int64_t deadline_ms, ready_fn is_ready, void *context);
/* Gives way for so many steps, however long they take. */
void fiber_stall(const char *where, uint32_t steps);

#endif
