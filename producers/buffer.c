#include "producers/buffer.h"

#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

void buffer_fini(struct buffer *buffer) {
  free(buffer->data);
  *buffer = (struct buffer){0};
}

void buffer_grow(struct buffer *buffer, size_t size) {
  size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
  while (capacity - buffer->size < size) {
    capacity *= 2;
  }
  uint8_t *data = realloc(buffer->data, capacity);
  if (data == NULL) {
    fprintf(stderr, "muster: out of memory for %zu bytes\n", capacity);
    abort();
  }
  buffer->data = data;
  buffer->capacity = capacity;
}

void buffer_trim(struct buffer *buffer, size_t capacity_max) {
  if (buffer->capacity > capacity_max) {
    buffer_fini(buffer);
  }
  buffer_clear(buffer);
}
