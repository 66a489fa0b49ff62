/* The same work on many things, a few at a time, each on a thread. */
#ifndef MUSTER_APP_JOBS_H
#define MUSTER_APP_JOBS_H

#include "core/status.h"

struct jobs;

/* Does thing number `index`; on any thread. */
typedef void (*job_fn)(void *context, size_t index);

enum { JOBS_MAX = 256 };

/* As many as there are processors. */
int64_t jobs_default(void);

/* Starts `run` for each index below `count`, in their order, at most `at_a_time` of them at once.
 * STATUS_UNAVAILABLE when no thread can be started. */
enum status jobs_start(size_t count, int64_t at_a_time, job_fn run, void *context,
                       struct jobs **jobs, struct error *error) MUST_USE;

/* Waits for all of them, and frees. */
void jobs_join(struct jobs *jobs);

#endif
