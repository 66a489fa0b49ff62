/* Where the core's memory comes from: the core allocates nothing by itself.
 *
 * `resize` behaves as realloc, and as free when the new size is 0, except that it never
 * fails: an edge that runs out of memory ends the process, since half a decision is worse
 * than none. Who initialised a structure with a memory frees it with its fini function. */
#ifndef MUSTER_CORE_MEMORY_H
#define MUSTER_CORE_MEMORY_H

#include "core/base.h"

struct memory {
  void *context;
  void *(*resize)(void *context, void *block, size_t old_size, size_t new_size);
};

/* Makes room for one more item of `item_size` bytes after `count`; returns the block and
 * updates `capacity` (in items). Grows by half, so that big tables do not double at once. */
void *memory_grow(const struct memory *memory, void *block, uint32_t count, uint32_t *capacity,
                  size_t item_size);

#endif
