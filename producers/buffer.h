/* Bytes that grow at their end. Owns its memory; running out of memory ends the process with a
 * word, since a half-encoded batch must never be sent. */
#ifndef MUSTER_PRODUCERS_BUFFER_H
#define MUSTER_PRODUCERS_BUFFER_H

#include "core/span.h"

struct buffer {
  uint8_t *data;
  size_t size;
  size_t capacity;
};

void buffer_fini(struct buffer *buffer);

/* Room for `size` more bytes at the end, not yet counted in; valid until the next call. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);

void buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Integers in network order, as PostgreSQL's binary formats want them. */
void buffer_append_u8(struct buffer *buffer, uint8_t value);
void buffer_append_u16(struct buffer *buffer, uint16_t value);
void buffer_append_u32(struct buffer *buffer, uint32_t value);
void buffer_append_u64(struct buffer *buffer, uint64_t value);

static inline void buffer_clear(struct buffer *buffer) {
  buffer->size = 0;
}

static inline struct span buffer_span(const struct buffer *buffer) {
  return span_of(buffer->data, buffer->size);
}

#endif
