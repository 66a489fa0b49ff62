#include "core/app/clock.h"

#include <time.h>

/* Linux's name for a clock that is read without a system call or a counter; POSIX has none. */
#ifndef CLOCK_REALTIME_COARSE
#define CLOCK_REALTIME_COARSE CLOCK_REALTIME
#endif

static int64_t read_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void) {
  return read_ms(CLOCK_REALTIME_COARSE);
}

int64_t clock_mono_ms(void) {
  return read_ms(CLOCK_MONOTONIC);
}
