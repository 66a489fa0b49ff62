/* A counting heap for tests: the memory that the core is given.
 *
 * It checks the size that is said when a block comes back, moves every block that is resized and
 * spoils the old one, so that a kept pointer shows, and tells what was never given back. */
#ifndef MUSTER_TESTS_LIB_HEAP_H
#define MUSTER_TESTS_LIB_HEAP_H

#include "core/memory.h"

struct heap {
  size_t block_count; /* handed out and not yet given back */
  size_t byte_count;
};

/* A memory that allocates from `heap`, which outlives it. */
struct memory heap_as_memory(struct heap *heap);

#endif
