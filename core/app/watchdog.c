#include "core/app/watchdog.h"

#include "core/memory.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 20 /* within the limit */, FRAMES_MAX = 64, STACK_WAIT_MS = 1000 };

struct watchdog {
  pthread_t watched, thread;
  pthread_mutex_t lock;
  pthread_cond_t stop;
  bool is_stopping;
  int64_t limit_ms;
  atomic_uint turns;
};

static atomic_bool stack_is_told;

static void say(const char *text) {
  (void)!write(STDERR_FILENO, text, strlen(text));
}

/* On the thread that stands still. */
static void tell_stack(int number) {
  void *frames[FRAMES_MAX];
  (void)number;
  backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
  atomic_store(&stack_is_told, true);
}

_Noreturn static void bite(const struct watchdog *watchdog) {
  char text[160];
  snprintf(text, sizeof text,
           "muster: the loop has stood still for %lld s: ending, so that others take the lanes\n",
           (long long)watchdog->limit_ms / 1000);
  say(text);
  pthread_kill(watchdog->watched, SIGUSR2);
  for (int waited_ms = 0; !atomic_load(&stack_is_told) && waited_ms < STACK_WAIT_MS;
       waited_ms += 10) {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  abort();
}

static struct timespec after(int64_t delay_ms) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += delay_ms / 1000;
  at.tv_nsec += delay_ms % 1000 * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

/* Each look counts for as long as was to be slept before it, however long it was in truth. */
static void *look(void *context) {
  struct watchdog *watchdog = context;
  unsigned seen = atomic_load(&watchdog->turns);
  int idle_looks = 0;
  pthread_mutex_lock(&watchdog->lock);
  while (!watchdog->is_stopping) {
    const struct timespec until = after(watchdog->limit_ms / LOOKS + 1);
    pthread_cond_timedwait(&watchdog->stop, &watchdog->lock, &until);
    const unsigned turns = atomic_load(&watchdog->turns);
    idle_looks = turns == seen ? idle_looks + 1 : 0;
    seen = turns;
    if (idle_looks >= LOOKS && !watchdog->is_stopping) {
      bite(watchdog);
    }
  }
  pthread_mutex_unlock(&watchdog->lock);
  return NULL;
}

struct watchdog *watchdog_start(int64_t limit_ms) {
  if (limit_ms == 0) {
    return NULL;
  }
  struct watchdog *watchdog = calloc(1, sizeof *watchdog);
  assert(watchdog != NULL);
  watchdog->limit_ms = limit_ms;
  watchdog->watched = pthread_self();
  /* The first call loads what it needs, which a signal's handler must not. */
  void *frame;
  (void)backtrace(&frame, 1);
  struct sigaction action = {.sa_handler = tell_stack};
  int failed = sigaction(SIGUSR2, &action, NULL);
  pthread_condattr_t monotonic;
  failed |= pthread_condattr_init(&monotonic);
  failed |= pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  failed |= pthread_cond_init(&watchdog->stop, &monotonic);
  failed |= pthread_mutex_init(&watchdog->lock, NULL);
  failed |= pthread_create(&watchdog->thread, NULL, look, watchdog);
  pthread_condattr_destroy(&monotonic);
  assert(failed == 0);
  return watchdog;
}

void watchdog_turn(struct watchdog *watchdog) {
  if (watchdog != NULL) {
    atomic_fetch_add(&watchdog->turns, 1);
  }
}

void watchdog_stop(struct watchdog *watchdog) {
  if (watchdog == NULL) {
    return;
  }
  pthread_mutex_lock(&watchdog->lock);
  watchdog->is_stopping = true;
  pthread_cond_signal(&watchdog->stop);
  pthread_mutex_unlock(&watchdog->lock);
  pthread_join(watchdog->thread, NULL);
  pthread_cond_destroy(&watchdog->stop);
  pthread_mutex_destroy(&watchdog->lock);
  free(watchdog);
}
