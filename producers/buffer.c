#include "producers/buffer.h"

#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 256 };

void buffer_fini(struct buffer *buffer) {
  free(buffer->data);
  *buffer = (struct buffer){0};
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size) {
  if (buffer->capacity - buffer->size < size) {
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
  return buffer->data + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size) {
  if (size > 0) {
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
  }
}

static void append_big_endian(struct buffer *buffer, uint64_t value, size_t size) {
  uint8_t *at = buffer_reserve(buffer, size);
  for (size_t i = 0; i < size; i++) {
    at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
  }
  buffer->size += size;
}

void buffer_append_u8(struct buffer *buffer, uint8_t value) {
  append_big_endian(buffer, value, 1);
}

void buffer_append_u16(struct buffer *buffer, uint16_t value) {
  append_big_endian(buffer, value, 2);
}

void buffer_append_u32(struct buffer *buffer, uint32_t value) {
  append_big_endian(buffer, value, 4);
}

void buffer_append_u64(struct buffer *buffer, uint64_t value) {
  append_big_endian(buffer, value, 8);
}
