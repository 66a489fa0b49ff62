/* A view of bytes that somebody else owns. Never terminated, may hold any byte.
 * A span is valid as long as its owner says; the functions here never allocate. */
#ifndef MUSTER_CORE_SPAN_H
#define MUSTER_CORE_SPAN_H

#include "core/base.h"

#include <string.h>

struct span {
  const uint8_t *data;
  size_t size;
};

static inline struct span span_of(const void *data, size_t size) {
  return (struct span){.data = data, .size = size};
}

/* A view of a terminated text, without its terminator. */
static inline struct span span_text(const char *text) {
  return (struct span){.data = (const uint8_t *)text, .size = strlen(text)};
}

static inline bool span_equal(struct span a, struct span b) {
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Every byte is printable ASCII (0x20 to 0x7e). */
bool span_is_printable_ascii(struct span span);

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool span_is_utf8(struct span span);

/* Well-formed UTF-8 without control characters (C0, DEL, C1). */
bool span_is_utf8_text(struct span span);

#endif
