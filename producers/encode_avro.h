/* Avro's binary form, written at a pointer that every call moves on. Nothing is checked here:
 * the caller has reserved the room, see the SIZE constants. Private to encoding. */
#ifndef MUSTER_PRODUCERS_ENCODE_AVRO_H
#define MUSTER_PRODUCERS_ENCODE_AVRO_H

#include "core/result.h"

enum {
  LONG_SIZE_MAX = 10, /* a long, an int, an enum's symbol, a union's branch, a length */
  UUID_TEXT_SIZE = 36,
  DECIMAL_SIZE_MAX = 20,
};

static inline uint8_t *put_bytes(uint8_t *at, const void *data, size_t size) {
  if (size > 0) {
    memcpy(at, data, size);
  }
  return at + size;
}

/* Zigzag, then seven bits a byte, the lowest first. */
static inline uint8_t *put_long(uint8_t *at, int64_t value) {
  uint64_t bits = ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
  while (bits >= 0x80) {
    *at++ = (uint8_t)(bits | 0x80);
    bits >>= 7;
  }
  *at++ = (uint8_t)bits;
  return at;
}

static inline uint8_t *put_unsigned(uint8_t *at, uint64_t value) {
  assert(value <= INT64_MAX);
  return put_long(at, (int64_t)value);
}

static inline uint8_t *put_boolean(uint8_t *at, bool value) {
  *at = value;
  return at + 1;
}

static inline uint8_t *put_string(uint8_t *at, struct span text) {
  return put_bytes(put_unsigned(at, text.size), text.data, text.size);
}

static inline uint8_t *put_text(uint8_t *at, const char *text) {
  return put_string(at, span_text(text));
}

/* The branch of a nullable type, null being its first: what follows a true one is its value. */
static inline uint8_t *put_is_set(uint8_t *at, bool is_set) {
  *at = is_set ? 2 : 0;
  return at + 1;
}

static inline uint8_t *put_nullable_string(uint8_t *at, struct span text) {
  at = put_is_set(at, text.size > 0);
  return text.size > 0 ? put_string(at, text) : at;
}

/* NULL and "" alike are null. */
static inline uint8_t *put_nullable_text(uint8_t *at, const char *text) {
  return put_nullable_string(at, text != NULL ? span_text(text) : (struct span){0});
}

static inline uint8_t *put_nullable_time(uint8_t *at, int64_t at_ms) {
  at = put_is_set(at, at_ms != TIME_NONE);
  return at_ms != TIME_NONE ? put_long(at, at_ms) : at;
}

/* Bare digits, no length before them. */
static inline uint8_t *put_hex_digits(uint8_t *at, const uint8_t *data, size_t size) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < size; i++) {
    *at++ = (uint8_t)digits[data[i] >> 4];
    *at++ = (uint8_t)digits[data[i] & 15];
  }
  return at;
}

static inline uint8_t *put_hex(uint8_t *at, const uint8_t *data, size_t size) {
  return put_hex_digits(put_unsigned(at, 2 * size), data, size);
}

static inline uint8_t *put_uuid(uint8_t *at, const uint8_t uuid[EVENT_ID_SIZE]) {
  static const uint8_t group_sizes[] = {4, 2, 2, 2, 6};
  at = put_unsigned(at, UUID_TEXT_SIZE);
  for (size_t i = 0; i < COUNT_OF(group_sizes); i++) {
    if (i > 0) {
      *at++ = '-';
    }
    at = put_hex_digits(at, uuid, group_sizes[i]);
    uuid += group_sizes[i];
  }
  return at;
}

/* As text for people, not Avro. */
static inline uint8_t *put_decimal(uint8_t *at, uint64_t value) {
  uint8_t digits[DECIMAL_SIZE_MAX];
  size_t first = sizeof digits;
  do {
    digits[--first] = (uint8_t)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  return put_bytes(at, digits + first, sizeof digits - first);
}

/* Network order. */
static inline uint8_t *put_u32(uint8_t *at, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    *at++ = (uint8_t)(value >> shift);
  }
  return at;
}

static inline uint8_t *put_u64(uint8_t *at, uint64_t value) {
  at = put_u32(at, (uint32_t)(value >> 32));
  return put_u32(at, (uint32_t)value);
}

#endif
