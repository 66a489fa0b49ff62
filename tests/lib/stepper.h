/* A lane that tells each of its steps as text: what golden traces and replays in tests run on.
 *
 * It does what a processor does between fetching and committing, without any of the outside:
 * takes messages, fires timers, closes batches, restarts from what would be stored. */
#ifndef MUSTER_TESTS_LIB_STEPPER_H
#define MUSTER_TESTS_LIB_STEPPER_H

#include "tests/lib/heap.h"
#include "tests/lib/render.h"

/* A message as it stands in a topic. Its views belong to whoever made it. */
struct logged {
  int64_t offset;
  int64_t timestamp_ms; /* -1: without one */
  bool is_believed;     /* as it was when it was read */
  bool is_event;
  struct event event;   /* when is_event */
  struct reject reject; /* otherwise */
  struct span traceparent;
};

struct topic_log {
  struct logged *items; /* by offset */
  size_t count, capacity;
};

/* A control message that changed the lane's control state, as it would be kept. */
struct kept_control {
  struct event event; /* its views belong to whoever made the message */
  struct cause cause;
  int64_t at_ms; /* the lane's clock at it */
};

struct stepper {
  struct heap heap;
  struct lane lane;
  struct batch batch;
  struct render render;
  const char *indent; /* before every line of a result or a device */
  size_t line_count;  /* told in the present step */
  struct kept_control *kept;
  size_t kept_count;
};

void stepper_init(struct stepper *stepper, uint32_t lane, uint32_t lane_count,
                  const struct render *render);
/* Gives everything back, and asserts that it is everything. */
void stepper_fini(struct stepper *stepper);

/* The head of a message that is the next of its topic. */
struct head stepper_head(const struct logged *message);

/* Takes the head of `topic`, which is `message`; tells its results, and the device as changed. */
void stepper_take(struct stepper *stepper, const struct head heads[TOPIC_COUNT], enum topic topic,
                  const struct logged *message);

/* Fires the first timer; tells what it was, its results and its device. */
void stepper_fire(struct stepper *stepper, const struct head heads[TOPIC_COUNT]);

/* Takes the open sweep's next device; tells which it was, its results, and it as changed. */
void stepper_sweep(struct stepper *stepper);

/* Decides the gap, which is asked for where the lane stands; tells the result. The batch is empty.
 */
void stepper_gap(struct stepper *stepper, struct journal_gap *gap);

/* Ends the batch and begins the next. The row looks into `not_believed`, which the caller frees. */
void stepper_close(struct stepper *stepper, struct journal_row *row,
                   struct topic_offset **not_believed);

/* Throws the lane's memory away and loads it from what would be stored: the control messages that
 * were kept, where a sweep stands, the images of its devices. */
void stepper_restart(struct stepper *stepper);

/* Takes the batch's steps from its row and the logs alone, from where the lane stands, as a
 * replay does: sees all that is in the ranges from the start, and nothing else. False when the
 * merge would have closed the batch before. */
bool stepper_replay(struct stepper *stepper, const struct topic_log logs[TOPIC_COUNT],
                    const struct journal_row *row) MUST_USE;

/* Adds a message behind the others of its log. */
void topic_log_append(struct topic_log *log, const struct logged *message);
void topic_log_fini(struct topic_log *log);

#endif
