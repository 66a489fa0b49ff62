#include "core/app/command.h"

#include <malloc.h>
#include <sys/prctl.h>

enum {
  ARENAS_MAX = 8,              /* of the allocator; each thread would get one of its own */
  MMAP_THRESHOLD = 128 * 1024, /* bytes; a fixed one, so that big blocks always go back */
  TIMER_SLACK_NS = 1000000,    /* how much later than asked for a sleep may end, in every thread */
};

int main(int argc, char **argv) {
  /* librdkafka runs some forty threads, and what one of them allocates another one frees: with few
   * arenas they wait for each other, with as many as the allocator would make on a big machine
   * each holds on to some memory. Measured: docs/profile.md. */
  mallopt(M_ARENA_MAX, ARENAS_MAX);
  mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
  /* librdkafka (2.0.2) sleeps whole milliseconds towards a timer and turns in a loop for the rest.
   * Sleeps that may end a millisecond late end behind the rest. Measured: docs/profile.md. */
  prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS);
  return command_main(argc, argv);
}
