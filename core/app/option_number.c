#include "core/app/option_number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum status option_number(const char *name, const char *text, int64_t min, int64_t max,
                          int64_t *value, struct error *error) {
  if (text == NULL) {
    return STATUS_OK;
  }
  const char first = text[0] == '-' ? text[1] : text[0];
  char *end = NULL;
  errno = 0;
  const long long number = strtoll(text, &end, 10);
  if (first < '0' || first > '9' || *end != '\0' || errno != 0 || number < min || number > max) {
    if (max == INT64_MAX) {
      return error_set(error, STATUS_USAGE, "--%s %s: a number from %" PRId64 " on is needed", name,
                       text, min);
    }
    return error_set(error, STATUS_USAGE,
                     "--%s %s: a number from %" PRId64 " to %" PRId64 " is needed", name, text, min,
                     max);
  }
  *value = number;
  return STATUS_OK;
}
