/* Binary forms of our own: integers in network order, texts with their length before them. */
#ifndef MUSTER_APP_BINARY_H
#define MUSTER_APP_BINARY_H

#include "core/journal.h"
#include "producers/buffer.h"

void binary_put_i64(struct buffer *bytes, int64_t value);
void binary_put_text(struct buffer *bytes, struct span text); /* at most 65,535 bytes */

/* Appends the SHA-256 of what stands from `begin` on; and tells whether bytes end with theirs. */
void binary_put_digest(struct buffer *bytes, size_t begin);
bool binary_has_digest(struct span bytes);

/* What is left to be read; once something was too short, everything reads as zeros. */
struct binary {
  struct span rest;
  bool is_short;
};

struct span binary_take(struct binary *binary, size_t size);
uint64_t binary_take_number(struct binary *binary, size_t size); /* of so many bytes, 8 at most */
int64_t binary_take_i64(struct binary *binary);
uint32_t binary_take_u32(struct binary *binary);
uint8_t binary_take_u8(struct binary *binary);
struct span binary_take_text(struct binary *binary);

/* `size` bytes, zeros when there are not so many. */
void binary_take_bytes(struct binary *binary, uint8_t *bytes, size_t size);

#endif
