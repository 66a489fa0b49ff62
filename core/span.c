#include "core/span.h"

bool span_is_printable_ascii(struct span span) {
  for (size_t i = 0; i < span.size; i++) {
    if (span.data[i] < 0x20 || span.data[i] > 0x7e) {
      return false;
    }
  }
  return true;
}

/* The code point at `at` and its length in bytes; 0 when it is not well formed. */
static size_t utf8_length(const uint8_t *at, size_t left, uint32_t *code_point) {
  static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
  const uint8_t first = at[0];
  size_t length;
  if (first < 0x80) {
    *code_point = first;
    return 1;
  }
  if ((first & 0xe0) == 0xc0) {
    length = 2;
    *code_point = first & 0x1fu;
  } else if ((first & 0xf0) == 0xe0) {
    length = 3;
    *code_point = first & 0x0fu;
  } else if ((first & 0xf8) == 0xf0) {
    length = 4;
    *code_point = first & 0x07u;
  } else {
    return 0;
  }
  if (left < length) {
    return 0;
  }
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return 0;
    }
    *code_point = (*code_point << 6) | (at[i] & 0x3fu);
  }
  const bool surrogate = *code_point >= 0xd800 && *code_point <= 0xdfff;
  if (*code_point < smallest[length] || *code_point > 0x10ffff || surrogate) {
    return 0;
  }
  return length;
}

/* How much of it is ASCII for sure, eight bytes at a time: nearly all texts are, whole. */
static size_t ascii_words_size(struct span span) {
  size_t size = 0;
  uint64_t word = 0;
  while (span.size - size >= sizeof word) {
    memcpy(&word, span.data + size, sizeof word);
    if ((word & UINT64_C(0x8080808080808080)) != 0) {
      break;
    }
    size += sizeof word;
  }
  return size;
}

static bool utf8_walk(struct span span, bool control_allowed) {
  const size_t start = control_allowed ? ascii_words_size(span) : 0;
  for (size_t i = start; i < span.size;) {
    uint32_t code_point;
    const size_t length = utf8_length(span.data + i, span.size - i, &code_point);
    if (length == 0) {
      return false;
    }
    const bool control = code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f);
    if (control && !control_allowed) {
      return false;
    }
    i += length;
  }
  return true;
}

bool span_is_utf8(struct span span) {
  return utf8_walk(span, true);
}

bool span_is_utf8_text(struct span span) {
  return utf8_walk(span, false);
}
