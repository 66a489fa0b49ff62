/* Bytes that grow at their end. Owns its memory; running out of memory ends the process with a
 * word, since a half-encoded batch must never be sent. */
#ifndef MUSTER_PRODUCERS_BUFFER_H
#define MUSTER_PRODUCERS_BUFFER_H

#include "core/span.h"

#include <endian.h>

struct buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
};

void buffer_fini(struct buffer *buffer);

/* Makes room for `size` more bytes: the rare part of buffer_reserve. */
void buffer_grow(struct buffer *buffer, size_t size);

/* Room for `size` more bytes at the end, not yet counted in; valid until the next call. In the
 * header, as what follows, since rows are written a field of a few bytes at a time. */
static inline uint8_t *buffer_reserve(struct buffer *buffer, size_t size) {
  if (buffer->capacity - buffer->size < size) {
    buffer_grow(buffer, size);
  }
  return buffer->data + buffer->size;
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t size) {
  if (size > 0) {
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
  }
}

/* Integers in network order, as PostgreSQL's binary formats want them. */
static inline void buffer_append_u8(struct buffer *buffer, uint8_t value) {
  *buffer_reserve(buffer, 1) = value;
  buffer->size += 1;
}

static inline void buffer_append_u16(struct buffer *buffer, uint16_t value) {
  const uint16_t ordered = htobe16(value);
  buffer_append(buffer, &ordered, sizeof ordered);
}

static inline void buffer_append_u32(struct buffer *buffer, uint32_t value) {
  const uint32_t ordered = htobe32(value);
  buffer_append(buffer, &ordered, sizeof ordered);
}

static inline void buffer_append_u64(struct buffer *buffer, uint64_t value) {
  const uint64_t ordered = htobe64(value);
  buffer_append(buffer, &ordered, sizeof ordered);
}

/* Empties it and, when it has grown beyond `capacity_max` bytes, gives its memory back. */
void buffer_trim(struct buffer *buffer, size_t capacity_max);

static inline void buffer_clear(struct buffer *buffer) {
  buffer->size = 0;
}

static inline struct span buffer_span(const struct buffer *buffer) {
  return span_of(buffer->data, buffer->size);
}

#endif
