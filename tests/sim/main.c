/* Runs seeds of the simulation and tells how many, how far, and what went wrong in them.
 *
 *   muster-sim [--seeds N] [--minutes M] [--from N] [--stride N] [--twice]   1000 seeds from 1
 *   muster-sim --seed N [--trace]                                            one, step by step */
#include "tests/sim/broker.h"
#include "tests/sim/database.h"
#include "tests/sim/feed.h"
#include "tests/sim/member.h"
#include "tests/sim/oracle.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { DRAIN_STEPS_MAX = 300000, IDLE_MS = 5000, TWICE_EVERY = 100, HOUR_MS = 3600000 };

struct wanted {
  uint64_t from, count, stride;
  int64_t seconds; /* 0: no limit */
  bool is_tracing, is_one, runs_twice;
};

/* A sanitizer's finding is a failed seed: it ends in SIGABRT, as an assertion does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "abort_on_error=1:detect_leaks=1";
}
const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void) {
  return "abort_on_error=1:print_stacktrace=1";
}

static void on_abort(int number) {
  (void)number;
  signal(SIGABRT, SIG_DFL);
  violation("the program aborted");
}

static bool is_idle(void) {
  return feed_is_over() && members_are_idle() && oracle_is_covered();
}

/* Until nothing has been left to do for a while. */
static void run_until_idle(void) {
  int64_t idle_since_ms = sim.now_ms;
  for (uint32_t steps = 0; sim.now_ms < idle_since_ms + IDLE_MS; steps++) {
    CHECK_THAT(steps < DRAIN_STEPS_MAX, "nothing goes wrong any more, and the lanes do not finish");
    sim_step();
    idle_since_ms = is_idle() ? idle_since_ms : sim.now_ms;
  }
}

static void drain(void) {
  sim.is_draining = true;
  trace("nothing goes wrong from here on");
  members_drain();
  broker_drain();
  database_drain();
  if (sim.plan.is_tampered) { /* lanes may have halted */
    for (uint32_t i = 0; i < 3000; i++) {
      sim_step();
    }
    return;
  }
  run_until_idle();
  if (!sim.plan.is_backlog) {
    sim.now_ms += 26 * (int64_t)HOUR_MS;
    run_until_idle();
  }
}

/* Returns the hash of the seed's trace. */
static uint64_t run_seed(uint64_t seed, bool is_tracing) {
  sim_begin(seed, is_tracing);
  broker_begin();
  database_begin();
  feed_begin();
  members_begin();
  const uint32_t steps = 500 + draw(4000);
  for (uint32_t i = 0; i < steps; i++) {
    sim_step();
  }
  drain();
  const uint64_t hash = sim.trace_hash;
  oracle_check();
  members_end();
  broker_end();
  database_end();
  feed_end();
  return hash;
}

/* Real time: the simulated clock is the program's. */
static double real_seconds(void) {
  struct timeval now;
  gettimeofday(&now, NULL);
  return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

static void report(uint64_t seeds, double seconds) {
  printf("%" PRIu64 " seeds, %" PRIu64 " steps, %.1f s, %.0f seeds a minute\n", seeds, sim.steps,
         seconds, (double)seeds / seconds * 60);
  for (enum fault_kind kind = 0; kind < FAULT_COUNT; kind++) {
    printf("%10" PRIu64 "  %s\n", sim.faults[kind], fault_text(kind));
  }
}

/* A word that takes a number; false when it is another word. */
static bool parse_number(const char *word, const char *value, struct wanted *wanted) {
  if (strcmp(word, "--seed") == 0) {
    wanted->is_one = true;
    wanted->from = strtoull(value, NULL, 10);
    wanted->count = 1;
  } else if (strcmp(word, "--seeds") == 0) {
    wanted->count = strtoull(value, NULL, 10);
  } else if (strcmp(word, "--from") == 0) {
    wanted->from = strtoull(value, NULL, 10);
  } else if (strcmp(word, "--stride") == 0) {
    wanted->stride = strtoull(value, NULL, 10);
  } else if (strcmp(word, "--minutes") == 0) {
    wanted->seconds = (int64_t)(60 * strtod(value, NULL));
    wanted->count = UINT64_MAX;
  } else {
    return false;
  }
  return true;
}

static bool parse(int count, char **words, struct wanted *wanted) {
  *wanted = (struct wanted){.from = 1, .count = 1000, .stride = 1};
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "--trace") == 0) {
      wanted->is_tracing = true;
    } else if (strcmp(words[i], "--twice") == 0) {
      wanted->runs_twice = true;
    } else if (i + 1 < count && parse_number(words[i], words[i + 1], wanted)) {
      i++;
    } else {
      return false;
    }
  }
  return wanted->count > 0;
}

int main(int count, char **words) {
  struct wanted wanted;
  if (!parse(count, words, &wanted)) {
    fprintf(stderr,
            "usage: %s [--seeds N] [--minutes M] [--from N] [--stride N] [--twice]\n"
            "       %s --seed N [--trace]\n",
            words[0], words[0]);
    return 2;
  }
  sim.command = words[0];
  signal(SIGABRT, on_abort);
  shared_open();
  const double begun = real_seconds();
  uint64_t done = 0;
  while (done < wanted.count &&
         (wanted.seconds == 0 || real_seconds() - begun < (double)wanted.seconds)) {
    const uint64_t seed = wanted.from + done++ * wanted.stride;
    const uint64_t hash = run_seed(seed, wanted.is_tracing);
    if (wanted.runs_twice || (seed % TWICE_EVERY == 0 && !wanted.is_one)) {
      CHECK_THAT(run_seed(seed, false) == hash, "the seed does not run the same way twice");
    }
  }
  shared_close();
  report(done, real_seconds() - begun);
  return 0;
}
