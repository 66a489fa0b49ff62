#include "core/memory.h"

enum { CAPACITY_MIN = 16 };

void *memory_grow(const struct memory *memory, void *block, uint32_t count, uint32_t *capacity,
                  size_t item_size) {
  if (count < *capacity) {
    return block;
  }
  assert(count < UINT32_MAX / 2);
  const uint32_t more = count < CAPACITY_MIN ? CAPACITY_MIN : count + count / 2;
  block = memory->resize(memory->context, block, *capacity * item_size, more * item_size);
  *capacity = more;
  return block;
}
