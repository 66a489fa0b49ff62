#include "core/app/binary.h"

#include "core/app/digest.h"

void binary_put_i64(struct buffer *bytes, int64_t value) {
  buffer_append_u64(bytes, (uint64_t)value);
}

void binary_put_text(struct buffer *bytes, struct span text) {
  assert(text.size <= UINT16_MAX);
  buffer_append_u16(bytes, (uint16_t)text.size);
  buffer_append(bytes, text.data, text.size);
}

void binary_put_digest(struct buffer *bytes, size_t begin) {
  uint8_t digest[DIGEST_SIZE];
  digest_of(span_of(bytes->data + begin, bytes->size - begin), digest);
  buffer_append(bytes, digest, DIGEST_SIZE);
}

bool binary_has_digest(struct span bytes) {
  uint8_t digest[DIGEST_SIZE];
  if (bytes.size < DIGEST_SIZE) {
    return false;
  }
  digest_of(span_of(bytes.data, bytes.size - DIGEST_SIZE), digest);
  return memcmp(digest, bytes.data + bytes.size - DIGEST_SIZE, DIGEST_SIZE) == 0;
}

struct span binary_take(struct binary *binary, size_t size) {
  if (binary->is_short || size > binary->rest.size) {
    binary->is_short = true;
    return (struct span){0};
  }
  const struct span taken = span_of(binary->rest.data, size);
  binary->rest = span_of(binary->rest.data + size, binary->rest.size - size);
  return taken;
}

uint64_t binary_take_number(struct binary *binary, size_t size) {
  const struct span bytes = binary_take(binary, size);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size; i++) {
    value = value << 8 | bytes.data[i];
  }
  return value;
}

int64_t binary_take_i64(struct binary *binary) {
  return (int64_t)binary_take_number(binary, 8);
}

uint32_t binary_take_u32(struct binary *binary) {
  return (uint32_t)binary_take_number(binary, 4);
}

uint8_t binary_take_u8(struct binary *binary) {
  return (uint8_t)binary_take_number(binary, 1);
}

struct span binary_take_text(struct binary *binary) {
  return binary_take(binary, binary_take_number(binary, 2));
}

void binary_take_bytes(struct binary *binary, uint8_t *bytes, size_t size) {
  const struct span taken = binary_take(binary, size);
  memset(bytes, 0, size);
  if (taken.size > 0) {
    memcpy(bytes, taken.data, taken.size);
  }
}
