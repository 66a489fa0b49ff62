#include "core/version.h"

bool version_is_known(struct span text) {
  bool digit_before = false;
  for (size_t i = 0; i < text.size; i++) {
    const bool digit = text.data[i] >= '0' && text.data[i] <= '9';
    const bool dot = text.data[i] == '.' && digit_before;
    if (!digit && !dot) {
      return false;
    }
    digit_before = digit;
  }
  return digit_before;
}

/* Cuts the next number off, without leading zeros; empty stands for 0 and for "no more". */
static struct span next_part(struct span *rest) {
  size_t size = 0;
  while (size < rest->size && rest->data[size] != '.') {
    size++;
  }
  struct span part = span_of(rest->data, size);
  const size_t cut = size < rest->size ? size + 1 : size;
  *rest = span_of(rest->data + cut, rest->size - cut);
  while (part.size > 0 && part.data[0] == '0') {
    part = span_of(part.data + 1, part.size - 1);
  }
  return part;
}

/* As digits, since a part may be longer than any integer. */
static int compare_parts(struct span a, struct span b) {
  if (a.size != b.size) {
    return a.size < b.size ? -1 : 1;
  }
  return a.size == 0 ? 0 : memcmp(a.data, b.data, a.size);
}

int version_compare(struct span a, struct span b) {
  while (a.size > 0 || b.size > 0) {
    const struct span part_a = next_part(&a);
    const struct span part_b = next_part(&b);
    const int order = compare_parts(part_a, part_b);
    if (order != 0) {
      return order;
    }
  }
  return 0;
}
