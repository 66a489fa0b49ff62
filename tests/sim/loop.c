/* A member's event loop and worker threads: the functions of libuv and worker.h that lanes use.
 * What is due is offered; nothing runs by itself. Also clocks, sleeping and pipes. */
#include "tests/sim/database.h"
#include "tests/sim/member.h"

#include "core/app/worker.h"
#include "producers/store.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

enum handle_kind { HANDLE_POLL, HANDLE_IDLE, HANDLE_TIMER };

struct handle {
  struct handle *next;
  uv_handle_t *uv;
  enum handle_kind kind;
  bool is_active;
  int fd;
  int64_t due_ms;
  uint64_t repeat_ms;
  uv_poll_cb on_poll;
  uv_idle_cb on_idle;
  uv_timer_cb on_timer;
  uv_close_cb on_close; /* closing when set */
};

struct job {
  struct job *next;
  worker_fn run, done;
  void *context;
};

struct worker {
  struct worker *next;
  struct loop *loop;
  struct job *waiting, *finished; /* in order */
  struct job *current;
  struct fiber *fiber;
  bool is_closing;
  worker_fn closed;
  void *closed_context;
};

struct loop {
  uv_loop_t uv; /* its data is this loop */
  struct member *member;
  struct handle *handles;
  struct worker *workers;
};

struct loop *loop_open(struct member *member) {
  struct loop *loop = grab(sizeof *loop);
  loop->member = member;
  loop->uv.data = loop;
  return loop;
}

void loop_close(struct loop *loop) {
  assert(loop->handles == NULL);
  assert(loop->workers == NULL);
  free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop) {
  return &loop->uv;
}

/* Pipes. --------------------------------------------------------------------------------- */

enum { PIPE_FD = 1000000, PIPES_MAX = 4096 };
static struct { bool is_used[PIPES_MAX], is_readable[PIPES_MAX]; } pipes;

int __wrap_pipe(int fds[2]);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __real_read(int fd, void *bytes, size_t size);
int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);

int __wrap_pipe(int fds[2]) {
  int i = 0;
  while (pipes.is_used[i]) {
    i++;
    assert(i < PIPES_MAX);
  }
  pipes.is_used[i] = true;
  pipes.is_readable[i] = false;
  fds[0] = PIPE_FD + 2 * i;
  fds[1] = fds[0] + 1;
  return 0;
}

ssize_t __wrap_read(int fd, void *bytes, size_t size) {
  if (fd < PIPE_FD) {
    return __real_read(fd, bytes, size);
  }
  bool *const is_readable = &pipes.is_readable[(fd - PIPE_FD) / 2];
  const bool was_readable = *is_readable;
  *is_readable = false;
  return was_readable ? 1 : -1;
}

int __wrap_close(int fd) {
  if (fd < PIPE_FD) {
    return __real_close(fd);
  }
  if (fd % 2 == 0) {
    pipes.is_used[(fd - PIPE_FD) / 2] = false;
  }
  return 0;
}

int __wrap_fcntl(int fd, int command, ...) {
  (void)command;
  assert(fd >= PIPE_FD);
  return 0;
}

void pipe_signal(int fd) {
  if (fd >= PIPE_FD) {
    pipes.is_readable[(fd - PIPE_FD) / 2] = true;
  }
}

/* Clocks. -------------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
  static int64_t hurry_ms; /* for a member that is cut off every deadline passes */
  const bool hurries = sim.current != NULL && member_is_cut_off(sim.current);
  hurry_ms = hurries ? hurry_ms + 1000 : 0;
  const int64_t at_ms = clock == CLOCK_MONOTONIC ? sim.now_ms + hurry_ms
                        : sim.current != NULL    ? member_wall_ms(sim.current)
                                                 : sim_wall_ms();
  now->tv_sec = (time_t)(at_ms / 1000);
  now->tv_nsec = (long)(at_ms % 1000 * 1000000);
  return 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left) {
  (void)left;
  const int64_t for_ms = (int64_t)wanted->tv_sec * 1000 + wanted->tv_nsec / 1000000;
  fiber_wait("sleeps", sim.now_ms + for_ms, NULL, NULL);
  return 0;
}

/* Handles. ------------------------------------------------------------------------------- */

static struct loop *loop_of(const uv_loop_t *uv) {
  return uv->data;
}

static struct handle *add_handle(uv_loop_t *uv_loop, uv_handle_t *uv, enum handle_kind kind) {
  struct loop *loop = loop_of(uv_loop);
  struct handle *handle = grab(sizeof *handle);
  handle->uv = uv;
  handle->kind = kind;
  handle->next = loop->handles;
  loop->handles = handle;
  uv->loop = uv_loop;
  return handle;
}

static struct handle *find_handle(const uv_handle_t *uv) {
  struct handle *handle = loop_of(uv->loop)->handles;
  while (handle != NULL && handle->uv != uv) {
    handle = handle->next;
  }
  assert(handle != NULL);
  return handle;
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd) {
  add_handle(loop, (uv_handle_t *)poll, HANDLE_POLL)->fd = fd;
  return 0;
}

int uv_poll_start(uv_poll_t *poll, int events, uv_poll_cb on_poll) {
  (void)events;
  struct handle *handle = find_handle((uv_handle_t *)poll);
  assert(handle->on_close == NULL);
  handle->on_poll = on_poll;
  handle->is_active = true;
  return 0;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle) {
  add_handle(loop, (uv_handle_t *)idle, HANDLE_IDLE);
  return 0;
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb on_idle) {
  struct handle *handle = find_handle((uv_handle_t *)idle);
  handle->on_idle = on_idle;
  handle->is_active = true;
  return 0;
}

int uv_idle_stop(uv_idle_t *idle) {
  find_handle((uv_handle_t *)idle)->is_active = false;
  return 0;
}

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer) {
  add_handle(loop, (uv_handle_t *)timer, HANDLE_TIMER);
  return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t after_ms, uint64_t repeat_ms) {
  struct handle *handle = find_handle((uv_handle_t *)timer);
  handle->on_timer = on_timer;
  handle->is_active = true;
  handle->due_ms = sim.now_ms + (int64_t)after_ms;
  handle->repeat_ms = repeat_ms;
  return 0;
}

int uv_timer_stop(uv_timer_t *timer) {
  find_handle((uv_handle_t *)timer)->is_active = false;
  return 0;
}

void uv_close(uv_handle_t *uv, uv_close_cb on_close) {
  struct handle *handle = find_handle(uv);
  assert(handle->on_close == NULL);
  handle->is_active = false;
  handle->on_close = on_close;
}

static bool handle_is_due(const struct handle *handle) {
  if (handle->on_close != NULL) {
    return true;
  }
  if (!handle->is_active) {
    return false;
  }
  switch (handle->kind) {
  case HANDLE_POLL:
    return handle->fd >= PIPE_FD ? pipes.is_readable[(handle->fd - PIPE_FD) / 2]
                                 : session_is_readable(handle->fd);
  case HANDLE_IDLE:
    return true;
  case HANDLE_TIMER:
    sim_wake_at(handle->due_ms);
    return sim.now_ms >= handle->due_ms;
  }
  return false;
}

static void run_close(struct handle *handle) {
  struct handle **at = &loop_of(handle->uv->loop)->handles;
  while (*at != handle) {
    at = &(*at)->next;
  }
  *at = handle->next;
  handle->on_close(handle->uv);
  free(handle);
}

static void run_handle(void *context, int64_t argument) {
  (void)argument;
  struct handle *handle = context;
  if (handle->on_close != NULL) {
    run_close(handle);
    return;
  }
  switch (handle->kind) {
  case HANDLE_POLL:
    handle->on_poll((uv_poll_t *)handle->uv, 0, UV_READABLE);
    break;
  case HANDLE_IDLE:
    handle->on_idle((uv_idle_t *)handle->uv);
    break;
  case HANDLE_TIMER:
    handle->due_ms += (int64_t)handle->repeat_ms;
    handle->is_active = handle->repeat_ms > 0;
    handle->on_timer((uv_timer_t *)handle->uv);
    break;
  }
}

/* Workers. ------------------------------------------------------------------------------- */

static void append_job(struct job **list, struct job *job) {
  while (*list != NULL) {
    list = &(*list)->next;
  }
  job->next = NULL;
  *list = job;
}

struct worker *worker_open(struct uv_loop_s *uv) {
  struct worker *worker = grab(sizeof *worker);
  worker->loop = loop_of(uv);
  worker->next = worker->loop->workers;
  worker->loop->workers = worker;
  return worker;
}

void worker_submit(struct worker *worker, worker_fn run, worker_fn done, void *context) {
  assert(!worker->is_closing);
  struct job *job = grab(sizeof *job);
  *job = (struct job){.run = run, .done = done, .context = context};
  append_job(&worker->waiting, job);
}

void worker_close(struct worker *worker, worker_fn closed, void *context) {
  worker->is_closing = true;
  worker->closed = closed;
  worker->closed_context = context;
}

static void run_job(void *context) {
  const struct job *job = context;
  job->run(job->context);
}

static void step_job(void *context, int64_t argument) {
  (void)argument;
  struct worker *worker = context;
  if (worker->fiber == NULL) {
    worker->current = worker->waiting;
    worker->waiting = worker->current->next;
    worker->fiber = fiber_start(worker->loop->member, run_job, worker->current);
  }
  trace("job goes on: %s", fiber_where(worker->fiber));
  if (fiber_resume(worker->fiber)) {
    worker->fiber = NULL;
    append_job(&worker->finished, worker->current);
    worker->current = NULL;
  }
}

static void report_job(void *context, int64_t argument) {
  (void)argument;
  struct worker *worker = context;
  struct job *job = worker->finished;
  worker->finished = job->next;
  job->done(job->context);
  free(job);
}

static void end_worker(void *context, int64_t argument) {
  (void)argument;
  struct worker *worker = context;
  struct worker **at = &worker->loop->workers;
  while (*at != worker) {
    at = &(*at)->next;
  }
  *at = worker->next;
  worker->closed(worker->closed_context);
  free(worker);
}

static bool worker_has_ended(const struct worker *worker) {
  return worker->is_closing && worker->fiber == NULL && worker->waiting == NULL &&
         worker->finished == NULL;
}

static bool worker_can_step(const struct worker *worker) {
  return worker->fiber != NULL ? fiber_is_ready(worker->fiber) : worker->waiting != NULL;
}

/* All of it. ----------------------------------------------------------------------------- */

void loop_offer(struct loop *loop) {
  for (struct handle *handle = loop->handles; handle != NULL; handle = handle->next) {
    if (handle_is_due(handle)) {
      static const char *const names[] = {"descriptor ready", "idle turn", "timer due"};
      sim_offer(handle->on_close != NULL ? "handle closed" : names[handle->kind], loop->member, 10,
                run_handle, handle, 0);
    }
  }
  for (struct worker *worker = loop->workers; worker != NULL; worker = worker->next) {
    if (worker->finished != NULL) {
      sim_offer("job reported", loop->member, 10, report_job, worker, 0);
    }
    if (worker_can_step(worker)) {
      sim_offer("job", loop->member, 10, step_job, worker, 0);
    }
    if (worker_has_ended(worker)) {
      sim_offer("worker closed", loop->member, 10, end_worker, worker, 0);
    }
  }
}

bool loop_run_any(struct loop *loop) {
  for (struct worker *worker = loop->workers; worker != NULL; worker = worker->next) {
    const action_fn run = worker->finished != NULL   ? report_job
                          : worker_can_step(worker)  ? step_job
                          : worker_has_ended(worker) ? end_worker
                                                     : NULL;
    if (run != NULL) {
      run(worker, 0);
      return true;
    }
  }
  for (struct handle *handle = loop->handles; handle != NULL; handle = handle->next) {
    if (handle->on_close != NULL || (handle->kind != HANDLE_TIMER && handle_is_due(handle))) {
      run_handle(handle, 0);
      return true;
    }
  }
  return false;
}
