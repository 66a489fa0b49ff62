#include "consumers/avro_bytes.h"

enum { NUMBER_SIZE_MAX = 10, WORD_SIZE = 8 };

static const char ends_too_soon[] = "the message ends within it";

const char *bytes_take_long_slowly(struct bytes *bytes, int64_t *number) {
  uint64_t bits = 0;
  for (unsigned i = 0; i < NUMBER_SIZE_MAX; i++) {
    if (bytes->at == bytes->end) {
      return ends_too_soon;
    }
    const uint64_t byte = *bytes->at++;
    bits |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      if (i == NUMBER_SIZE_MAX - 1 && byte > 1) {
        return "a number of more than 64 bits";
      }
      *number = (int64_t)((bits >> 1) ^ (~(bits & 1) + 1));
      return NULL;
    }
  }
  return "a number of more than 10 bytes";
}

const char *bytes_take_int(struct bytes *bytes, int64_t *number) {
  const char *const reason = bytes_take_long(bytes, number);
  if (reason != NULL) {
    return reason;
  }
  return *number >= INT32_MIN && *number <= INT32_MAX ? NULL : "a number of more than 32 bits";
}

const char *bytes_take_boolean(struct bytes *bytes, int64_t *number) {
  if (bytes->at == bytes->end) {
    return ends_too_soon;
  }
  *number = *bytes->at++;
  return *number <= 1 ? NULL : "a boolean that is neither 0 nor 1";
}

static uint64_t number_of(const uint8_t *bytes, unsigned size) {
  uint64_t number = 0;
  for (unsigned i = 0; i < size; i++) {
    number |= (uint64_t)bytes[i] << (8 * i);
  }
  return number;
}

const char *bytes_take_float(struct bytes *bytes, double *real) {
  struct span span;
  float value;
  const char *const reason = bytes_take_fixed(bytes, sizeof value, &span);
  if (reason != NULL) {
    return reason;
  }
  const uint32_t bits = (uint32_t)number_of(span.data, sizeof bits);
  memcpy(&value, &bits, sizeof value);
  *real = (double)value;
  return NULL;
}

const char *bytes_take_double(struct bytes *bytes, double *real) {
  struct span span;
  const char *const reason = bytes_take_fixed(bytes, sizeof *real, &span);
  if (reason != NULL) {
    return reason;
  }
  const uint64_t bits = number_of(span.data, sizeof bits);
  memcpy(real, &bits, sizeof *real);
  return NULL;
}

const char *bytes_take_fixed(struct bytes *bytes, uint32_t size, struct span *span) {
  if (size > bytes_left(bytes)) {
    return ends_too_soon;
  }
  *span = span_of(bytes->at, size);
  bytes->at += size;
  return NULL;
}

/* Every byte of the word lies in 0x20 to 0x7e. Adding cannot carry from one byte into the
 * next unless its high bit is set, and such a word fails anyway. */
static bool word_is_plain(uint64_t word) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  const uint64_t not_control = word + ones * 0x60;
  const uint64_t is_delete = word + ones;
  return (not_control & ~is_delete & ~word & (ones * 0x80)) == ones * 0x80;
}

static bool text_is_plain(struct span text) {
  uint64_t word;
  if (text.size < WORD_SIZE) {
    return span_is_printable_ascii(text);
  }
  for (size_t i = 0; i + WORD_SIZE <= text.size; i += WORD_SIZE) {
    memcpy(&word, text.data + i, sizeof word);
    if (!word_is_plain(word)) {
      return false;
    }
  }
  memcpy(&word, text.data + text.size - WORD_SIZE, sizeof word);
  return word_is_plain(word);
}

const char *bytes_take_string(struct bytes *bytes, struct span *span, bool *is_plain) {
  const char *const reason = bytes_take_bytes(bytes, span);
  if (reason != NULL) {
    return reason;
  }
  *is_plain = text_is_plain(*span);
  return *is_plain || span_is_utf8(*span) ? NULL : "not UTF-8";
}

const char *bytes_take_block(struct bytes *bytes, uint64_t *count, const uint8_t **block_end) {
  int64_t number;
  int64_t size;
  const char *reason = bytes_take_long(bytes, &number);
  *block_end = NULL;
  if (reason != NULL) {
    return reason;
  }
  *count = (uint64_t)number;
  if (number >= 0) {
    return NULL;
  }
  *count = ~*count + 1; /* of the least number there is too */
  reason = bytes_take_long(bytes, &size);
  if (reason != NULL) {
    return reason;
  }
  if (size < 0 || (uint64_t)size > bytes_left(bytes)) {
    return "a block longer than the rest of the message";
  }
  *block_end = bytes->at + size;
  return NULL;
}
