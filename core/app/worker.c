#include "core/app/worker.h"

#include <stdlib.h>
#include <uv.h>

struct job {
  struct job *next;
  worker_fn run, done;
  void *context;
};

struct queue {
  struct job *first, **end;
};

struct worker {
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t wake;
  uv_async_t report;
  struct queue waiting, finished;
  bool is_closing;
  bool has_ended;
  worker_fn closed;
  void *closed_context;
};

static void queue_init(struct queue *queue) {
  queue->first = NULL;
  queue->end = &queue->first;
}

static void queue_push(struct queue *queue, struct job *job) {
  job->next = NULL;
  *queue->end = job;
  queue->end = &job->next;
}

static struct job *queue_pop(struct queue *queue) {
  struct job *job = queue->first;
  if (job != NULL) {
    queue->first = job->next;
    if (queue->first == NULL) {
      queue->end = &queue->first;
    }
  }
  return job;
}

static void run_jobs(void *context) {
  struct worker *worker = context;
  uv_mutex_lock(&worker->mutex);
  for (;;) {
    struct job *job = queue_pop(&worker->waiting);
    if (job == NULL) {
      if (worker->is_closing) {
        break;
      }
      uv_cond_wait(&worker->wake, &worker->mutex);
      continue;
    }
    uv_mutex_unlock(&worker->mutex);
    job->run(job->context);
    uv_mutex_lock(&worker->mutex);
    queue_push(&worker->finished, job);
    uv_async_send(&worker->report);
  }
  worker->has_ended = true;
  uv_async_send(&worker->report);
  uv_mutex_unlock(&worker->mutex);
}

static void on_closed(uv_handle_t *handle) {
  struct worker *worker = handle->data;
  const worker_fn closed = worker->closed;
  void *context = worker->closed_context;
  uv_mutex_destroy(&worker->mutex);
  uv_cond_destroy(&worker->wake);
  free(worker);
  closed(context);
}

static void on_report(uv_async_t *async) {
  struct worker *worker = async->data;
  uv_mutex_lock(&worker->mutex);
  for (struct job *job; (job = queue_pop(&worker->finished)) != NULL;) {
    uv_mutex_unlock(&worker->mutex);
    job->done(job->context);
    free(job);
    uv_mutex_lock(&worker->mutex);
  }
  const bool has_ended = worker->has_ended;
  uv_mutex_unlock(&worker->mutex);
  if (has_ended && !uv_is_closing((uv_handle_t *)async)) {
    uv_thread_join(&worker->thread);
    uv_close((uv_handle_t *)async, on_closed);
  }
}

struct worker *worker_open(struct uv_loop_s *loop) {
  struct worker *worker = calloc(1, sizeof *worker);
  assert(worker != NULL);
  queue_init(&worker->waiting);
  queue_init(&worker->finished);
  int failed = uv_mutex_init(&worker->mutex);
  failed |= uv_cond_init(&worker->wake);
  failed |= uv_async_init(loop, &worker->report, on_report);
  worker->report.data = worker;
  failed |= uv_thread_create(&worker->thread, run_jobs, worker);
  assert(failed == 0);
  return worker;
}

void worker_submit(struct worker *worker, worker_fn run, worker_fn done, void *context) {
  struct job *job = calloc(1, sizeof *job);
  assert(job != NULL);
  *job = (struct job){.run = run, .done = done, .context = context};
  uv_mutex_lock(&worker->mutex);
  assert(!worker->is_closing);
  queue_push(&worker->waiting, job);
  uv_cond_signal(&worker->wake);
  uv_mutex_unlock(&worker->mutex);
}

void worker_close(struct worker *worker, worker_fn closed, void *context) {
  uv_mutex_lock(&worker->mutex);
  worker->is_closing = true;
  worker->closed = closed;
  worker->closed_context = context;
  uv_cond_signal(&worker->wake);
  uv_mutex_unlock(&worker->mutex);
}
