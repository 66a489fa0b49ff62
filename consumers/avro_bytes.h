/* The primitive values of the Avro binary encoding, read from bytes nobody trusts.
 *
 * Each `bytes_take_` moves past one value and answers NULL, or answers why the bytes are
 * none, for people; then the position is as good as lost. Nothing is allocated. */
#ifndef MUSTER_CONSUMERS_AVRO_BYTES_H
#define MUSTER_CONSUMERS_AVRO_BYTES_H

#include "core/span.h"

struct bytes {
  const uint8_t *at;
  const uint8_t *end;
};

static inline size_t bytes_left(const struct bytes *bytes) {
  return (size_t)(bytes->end - bytes->at);
}

/* The rest of bytes_take_long, for numbers of more than one byte. */
const char *bytes_take_long_slowly(struct bytes *bytes, int64_t *number) MUST_USE;

MUST_USE static inline const char *bytes_take_long(struct bytes *bytes, int64_t *number) {
  if (bytes->at < bytes->end && *bytes->at < 0x80) {
    const uint8_t first = *bytes->at++;
    *number = (first >> 1) ^ -(int64_t)(first & 1);
    return NULL;
  }
  return bytes_take_long_slowly(bytes, number);
}

const char *bytes_take_int(struct bytes *bytes, int64_t *number) MUST_USE;
const char *bytes_take_boolean(struct bytes *bytes, int64_t *number) MUST_USE;
const char *bytes_take_float(struct bytes *bytes, double *real) MUST_USE;
const char *bytes_take_double(struct bytes *bytes, double *real) MUST_USE;
const char *bytes_take_fixed(struct bytes *bytes, uint32_t size, struct span *span) MUST_USE;

MUST_USE static inline const char *bytes_take_bytes(struct bytes *bytes, struct span *span) {
  int64_t size;
  const char *const reason = bytes_take_long(bytes, &size);
  if (reason != NULL) {
    return reason;
  }
  if (size < 0) {
    return "a negative length";
  }
  if ((uint64_t)size > bytes_left(bytes)) {
    return "longer than the rest of the message";
  }
  *span = span_of(bytes->at, (size_t)size);
  bytes->at += size;
  return NULL;
}

/* `is_plain`: printable ASCII alone. */
const char *bytes_take_string(struct bytes *bytes, struct span *span, bool *is_plain) MUST_USE;

/* The index of a symbol or branch of `count`. */
MUST_USE static inline const char *bytes_take_index(struct bytes *bytes, uint32_t count,
                                                    uint32_t *index) {
  int64_t number;
  const char *const reason = bytes_take_long(bytes, &number);
  if (reason != NULL) {
    return reason;
  }
  if (number < 0 || number >= (int64_t)count) {
    return "an index that its type does not have";
  }
  *index = (uint32_t)number;
  return NULL;
}

/* The head of an array's or map's block: the number of its items, 0 is the end. With a
 * size given `block_end` is where the block must end, otherwise NULL. */
const char *bytes_take_block(struct bytes *bytes, uint64_t *count,
                             const uint8_t **block_end) MUST_USE;

#endif
