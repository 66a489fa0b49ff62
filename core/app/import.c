#include "core/app/import.h"

#include "core/time_text.h"

#include <jansson.h>

struct span import_without_mark(struct span beginning) {
  static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
  const bool has_mark =
      beginning.size >= sizeof mark && memcmp(beginning.data, mark, sizeof mark) == 0;
  return has_mark ? span_of(beginning.data + sizeof mark, beginning.size - sizeof mark) : beginning;
}

struct span import_text(const struct json_t *object, const char *name) {
  const json_t *const value = json_object_get(object, name);
  return json_is_string(value) ? span_of(json_string_value(value), json_string_length(value))
                               : span_of("", 0);
}

bool import_time(const struct json_t *value, int64_t *at_ms) {
  if (json_is_integer(value)) {
    *at_ms = json_integer_value(value);
    return true;
  }
  return json_is_string(value) &&
         time_parse(span_of(json_string_value(value), json_string_length(value)), at_ms);
}
