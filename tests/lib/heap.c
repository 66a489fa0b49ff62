#include "tests/lib/heap.h"

#include <stdlib.h>
#include <string.h>

/* Before every block, as long as the strictest alignment asks. */
struct block_head {
  _Alignas(max_align_t) size_t size;
};

enum { SPOILED = 0xdd };

static void give_back(struct heap *heap, void *block, size_t size) {
  struct block_head *const head = (struct block_head *)block - 1;
  assert(head->size == size);
  heap->block_count--;
  heap->byte_count -= size;
  memset(block, SPOILED, size);
  free(head);
}

static void *hand_out(struct heap *heap, size_t size) {
  struct block_head *const head = malloc(sizeof *head + size);
  if (head == NULL) {
    abort();
  }
  head->size = size;
  heap->block_count++;
  heap->byte_count += size;
  memset(head + 1, SPOILED, size);
  return head + 1;
}

static void *resize(void *context, void *block, size_t old_size, size_t new_size) {
  struct heap *const heap = context;
  void *const moved = new_size == 0 ? NULL : hand_out(heap, new_size);
  assert(block != NULL || old_size == 0);
  if (block != NULL) {
    if (moved != NULL) {
      memcpy(moved, block, old_size < new_size ? old_size : new_size);
    }
    give_back(heap, block, old_size);
  }
  return moved;
}

struct memory heap_as_memory(struct heap *heap) {
  return (struct memory){.context = heap, .resize = resize};
}
