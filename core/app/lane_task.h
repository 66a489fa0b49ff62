/* A lane at work, on the loop.
 *
 *   STARTING ──▶ RUNNING ──▶ DRAINING ──▶ RELEASING ──▶ STOPPED
 *      │            │                        ▲  │
 *      └────────────┴──── any failure ───────┘  ├──▶ WAITING ──▶ STARTING
 *                                               └──▶ HALTED (needs an operator)
 *
 * RUNNING, one batch at a time: messages are taken and decided into a carrier; when nothing more
 * is at hand, or the carrier is full, it is sealed; sealed carriers are committed one after the
 * other, and published in order by the lane's worker, which sends a carrier's records while its
 * commit is under way and ends the transaction after it. Deciding goes on meanwhile with the next
 * carrier, until all are under way: that is the back-pressure.
 *
 * Any failure ends everything the lane holds, its memory included, and the lane is taken again
 * from what was committed: memory never has to be mended. */
#ifndef MUSTER_APP_LANE_TASK_H
#define MUSTER_APP_LANE_TASK_H

#include "core/app/environment.h"
#include "core/app/intake.h"
#include "core/app/lane_start.h"
#include "core/app/metrics.h"
#include "core/app/schema_cache.h"

struct lane_task;
struct uv_loop_s;

enum lane_phase {
  LANE_STARTING,
  LANE_RUNNING,
  LANE_DRAINING,
  LANE_RELEASING,
  LANE_WAITING,
  LANE_HALTED,
  LANE_STOPPED,
};

/* What the task tells its owner; called on the loop. */
struct lane_events {
  void *context;
  /* The lane is loaded: decisions begin. */
  void (*started)(void *context, struct lane_task *task);
  /* Everything that stood in the topics at the start is decided, committed and published. */
  void (*caught_up)(void *context, struct lane_task *task);
  /* A failure; the task goes on by itself unless it is halted. Logged already. */
  void (*failed)(void *context, struct lane_task *task, enum status status,
                 const struct error *error);
  /* The lane has been given up, as asked. */
  void (*stopped)(void *context, struct lane_task *task);
  /* Published up to this batch. */
  void (*published)(void *context, struct lane_task *task, const struct journal_row *row);
};

struct lane_task_options {
  struct uv_loop_s *loop;
  struct lane_setup setup;   /* copied; what it points to outlives the task */
  struct intake_rules rules; /* copied; likewise */
  bool until_caught_up;
  int64_t stop_offsets[TOPIC_COUNT];     /* until caught up: nothing from there on is taken */
  const struct environment *environment; /* outlives the task */
  struct schema_cache *schema_cache;     /* likewise; NULL without a registry */
  struct metrics *metrics;
  const size_t *lanes_here; /* how many tasks there are now: they share batch.memory_max */
  struct lane_events events;
};

/* What a task has done since it was made. */
struct lane_totals {
  uint64_t messages, results, dead_letters;
};

struct lane_task *lane_task_open(const struct lane_task_options *options);

/* Asks the task to finish its open batch, publish it and give the lane up: events.stopped. */
void lane_task_stop(struct lane_task *task);

/* Frees a task that has stopped. */
void lane_task_close(struct lane_task *task);

/* Looks whether something is due: call a few times a second. */
void lane_task_tick(struct lane_task *task);

/* The registry has answered something: looks whether it was waited for. */
void lane_task_wake(struct lane_task *task);

/* Whether the lane holds a message until the registry has said what its schema is. */
bool lane_task_waits_for_schema(const struct lane_task *task);

uint32_t lane_task_lane(const struct lane_task *task);
enum lane_phase lane_task_phase(const struct lane_task *task);
bool lane_task_is_caught_up(const struct lane_task *task);
struct lane_totals lane_task_totals(const struct lane_task *task);

/* The monotonic time since which a batch has been on its way out; -1: none is. Tells progress. */
int64_t lane_task_oldest_mono_ms(const struct lane_task *task);

#endif
