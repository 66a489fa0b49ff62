#include "consumers/base64.h"

#include <stdlib.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_text(struct span bytes) {
  char *const text = malloc((bytes.size + 2) / 3 * 4 + 1);
  assert(text != NULL);
  char *at = text;
  for (size_t i = 0; i < bytes.size; i += 3) {
    const size_t left = bytes.size - i;
    const uint32_t bits = (uint32_t)bytes.data[i] << 16 |
                          (left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0) |
                          (left > 2 ? (uint32_t)bytes.data[i + 2] : 0);
    *at++ = alphabet[bits >> 18];
    *at++ = alphabet[bits >> 12 & 0x3f];
    *at++ = left > 1 ? alphabet[bits >> 6 & 0x3f] : '=';
    *at++ = left > 2 ? alphabet[bits & 0x3f] : '=';
  }
  *at = '\0';
  return text;
}

/* The digit's value; 64 and more is none. */
static uint32_t digit_of(uint8_t c) {
  const char *const found = c == 0 ? NULL : strchr(alphabet, c);
  return found == NULL ? 64 : (uint32_t)(found - alphabet);
}

bool base64_bytes(struct span text, uint8_t **bytes, size_t *size) {
  if (text.size % 4 != 0) {
    return false;
  }
  size_t digits = text.size;
  while (digits > 0 && text.size - digits < 2 && text.data[digits - 1] == '=') {
    digits--;
  }
  uint8_t *const out = malloc(text.size / 4 * 3 + 1);
  assert(out != NULL);
  uint32_t bits = 0;
  *size = 0;
  for (size_t i = 0; i < digits; i++) {
    const uint32_t digit = digit_of(text.data[i]);
    if (digit > 63) {
      free(out);
      return false;
    }
    bits = bits << 6 | digit;
    if (i % 4 > 0) { /* the first digit of four ends no byte */
      out[(*size)++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
  }
  *bytes = out;
  return true;
}
