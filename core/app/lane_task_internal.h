/* What the parts of a lane's task share: its state, and the steps that lead from one part to the
 * next. For lane_task, lane_decide and lane_commit alone. */
#ifndef MUSTER_APP_LANE_TASK_INTERNAL_H
#define MUSTER_APP_LANE_TASK_INTERNAL_H

#include "core/app/carrier.h"
#include "core/app/lane_schemas.h"
#include "core/app/lane_task.h"
#include "core/app/worker.h"

/* The first wait after a failure; it doubles until a batch has been published. */
enum { RETRY_MS_MIN = 100 };

/* One being filled, one committed, one published. */
enum { CARRIERS_MAX = 3 };

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
  bool is_retaken;             /* DRAINING to be taken anew, not to stop */
  bool looks_first;            /* HALTED before a gap: taken when somebody has asked for it */
  struct error halt;           /* why it is HALTED */
  bool has_cleared_gaps;       /* since it was taken, with its first batch: all inputs were there */
  struct lane_resources resources;
  enum status status; /* of the job on the worker */
  struct error error;
  int64_t retry_ms;

  struct lane_schemas schemas;
  bool has_own_admins;            /* the lane's admins are those of our own environment */
  bool has_schema;                /* of a head, to be learnt when the open batch has ended */
  bool has_told_of_schema;        /* that it waits for one */
  int64_t asked_ids[TOPIC_COUNT]; /* that heads wait for; SCHEMA_ID_NONE each */
  struct intake intakes[TOPIC_COUNT];
  struct head heads[TOPIC_COUNT];
  struct batch batch;
  struct buffer batch_last[TOPIC_COUNT]; /* canonical bytes of the batch's last messages */
  struct journal_row last_row;           /* of the batch sealed last */
  struct carrier *filling;
  struct carriers sealed, committed, publishing, spare;
  struct carrier *committing;
  struct carrier *ahead; /* the last of `publishing`, while its commit is under way; else NULL */
  size_t carrier_count;
  struct tick tick;
  size_t redone_count; /* of the recorded batches */
  /* Since the last checkpoint: */
  int64_t checkpoint_mono_ms;
  uint64_t message_count_since;
  bool is_at_end, is_caught_up;
  bool is_streaming;   /* device rows are made from the lane while they are sent: it stands still */
  bool is_settled;     /* what was published can be read by everybody */
  bool is_sent;        /* what is `publishing` is with the broker, its transaction open */
  bool worker_is_busy; /* with carriers that are being published */
  struct lane_totals totals;

  struct lane_handles *handles; /* of the loop; lane_task's alone */
};

/* Takes and decides until nothing is at hand, all carriers are under way, or the turn is over. */
void lane_pump(struct lane_task *task);

/* Nothing from there on is taken of the topic; -1: no such place. */
int64_t lane_stop_offset(const struct lane_task *task, enum topic topic);

/* The admins of the environment that the next batch is decided under are the lane's. */
void lane_restore_admins(struct lane_task *task);

/* Knows the schemas that the recorded batch at hand was decided with, or else the last one. */
enum status lane_restore_schemas(struct lane_task *task, struct error *error);

/* Looks at the topic's head; one that needs a schema which the registry may have waits for its
 * answer. */
enum status lane_refresh(struct lane_task *task, enum topic topic, struct error *error);
enum status lane_refresh_all(struct lane_task *task, struct error *error);

/* Learns what the registry has found, ending the open batch before: a batch is decided in one
 * environment. False when the lane has failed meanwhile, or stands still. */
bool lane_learn(struct lane_task *task);

/* Ends the batch that is being filled, and starts its commit when none is under way. */
void lane_seal(struct lane_task *task);

/* Whether recorded batches are still being decided again. */
bool lane_is_redoing(const struct lane_task *task);

/* Whether device rows ought to be written now: they are never further behind than this allows. */
bool lane_wants_checkpoint(const struct lane_task *task);

/* Sends device rows alone. Nothing else may be under way. */
void lane_flush(struct lane_task *task);

/* Hands committed carriers to the worker unless it publishes already, and with them the one whose
 * commit is under way: its records travel meanwhile, and the transaction ends after the commit. */
void lane_publish_next(struct lane_task *task);

/* Starts the commit of the next sealed batch unless one is under way. */
void lane_commit_next(struct lane_task *task);

/* Goes on with the commit that is under way: call when the store's descriptor is ready. */
void lane_on_store(struct lane_task *task);

/* Watches the store's descriptor, whose wishes change with what is under way. */
void lane_watch_store(struct lane_task *task);

/* Pumps again as soon as the loop has had its turn, or no longer. */
void lane_pump_again(struct lane_task *task, bool again);

/* With nothing on its way out, a lane that is asked to stop can; one that has read all that
 * stood there at the start has caught up. */
void lane_check_idle(struct lane_task *task);

/* Everything that is under way is dropped and what the lane holds is released; what was committed
 * is found again by taking the lane anew. */
void lane_give_up(struct lane_task *task, enum lane_phase phase_after);

/* Ends and publishes what is decided, gives the lane up and takes it anew. */
void lane_retake(struct lane_task *task);

/* What is recorded is decided again: decides the gap that somebody wants accepted, if there is one,
 * and retakes the lane. False when there is none. */
bool lane_take_gap(struct lane_task *task);

/* A failure: gives the lane up, to be taken again after a while, or halted when an operator is
 * needed. STATUS_REFUSED is a defect and ends the process. */
void lane_fail(struct lane_task *task, enum status status, const struct error *error);

void carriers_init(struct carriers *carriers);
void carriers_push(struct carriers *carriers, struct carrier *carrier);
struct carrier *carriers_pop(struct carriers *carriers); /* NULL when there is none */

/* Moves all carriers to the spare ones. */
void carriers_recycle(struct lane_task *task, struct carriers *carriers);

#endif
