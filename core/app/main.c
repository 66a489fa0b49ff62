#include "core/app/command.h"

#include <malloc.h>

enum {
  ARENAS_MAX = 2,              /* of the allocator; each thread would get one of its own */
  MMAP_THRESHOLD = 128 * 1024, /* bytes; a fixed one, so that big blocks always go back */
};

int main(int argc, char **argv) {
  /* librdkafka runs some forty threads; what one of them allocates another one frees, so arenas
   * of their own would hold on to tens of MiB. Measured: 60 MiB of 250. */
  mallopt(M_ARENA_MAX, ARENAS_MAX);
  mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
  return command_main(argc, argv);
}
