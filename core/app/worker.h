/* A thread for calls that block: runs jobs one after the other, and reports each on the loop. */
#ifndef MUSTER_APP_WORKER_H
#define MUSTER_APP_WORKER_H

#include "core/base.h"

struct worker;
struct uv_loop_s;

/* `run` is called on the thread, then `done` on the loop's thread. The context belongs to
 * whoever submits until `done` has returned. */
typedef void (*worker_fn)(void *context);

struct worker *worker_open(struct uv_loop_s *loop);

/* Jobs run in the order they are submitted. Call on the loop's thread. */
void worker_submit(struct worker *worker, worker_fn run, worker_fn done, void *context);

/* Ends the thread when the jobs submitted so far have run; their `done` is still called. Then
 * calls `closed` on the loop's thread; the worker is gone after it. */
void worker_close(struct worker *worker, worker_fn closed, void *context);

#endif
