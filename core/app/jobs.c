#include "core/app/jobs.h"

#include "core/app/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct jobs {
  job_fn run;
  void *context;
  size_t count;
  atomic_size_t next; /* that nobody has taken yet */
  pthread_t threads[JOBS_MAX];
  size_t started;
};

int64_t jobs_default(void) {
  const int64_t count = sysconf(_SC_NPROCESSORS_ONLN);
  return count < 1 ? 1 : count > JOBS_MAX ? JOBS_MAX : count;
}

static void *work(void *context) {
  struct jobs *jobs = context;
  for (;;) {
    const size_t next = atomic_fetch_add(&jobs->next, 1);
    if (next >= jobs->count) {
      return NULL;
    }
    jobs->run(jobs->context, next);
  }
}

enum status jobs_start(size_t count, int64_t at_a_time, job_fn run, void *context,
                       struct jobs **jobs, struct error *error) {
  struct jobs *made = memory_zeroed(1, sizeof *made);
  made->run = run;
  made->context = context;
  made->count = count;
  assert(at_a_time >= 1 && at_a_time <= JOBS_MAX);
  while (made->started < (size_t)at_a_time && made->started < count &&
         pthread_create(&made->threads[made->started], NULL, work, made) == 0) {
    made->started++;
  }
  if (made->started == 0 && count > 0) {
    free(made);
    return error_set(error, STATUS_UNAVAILABLE, "no thread can be started");
  }
  *jobs = made;
  return STATUS_OK;
}

void jobs_join(struct jobs *jobs) {
  for (size_t i = 0; i < jobs->started; i++) {
    pthread_join(jobs->threads[i], NULL);
  }
  free(jobs);
}
