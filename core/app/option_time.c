#include "core/app/option_time.h"

#include "core/app/option_number.h"
#include "core/time_text.h"

enum status option_time(const char *name, const char *text, int64_t *at_ms, struct error *error) {
  if (text == NULL || time_parse(span_text(text), at_ms)) {
    return STATUS_OK;
  }
  if (option_number(name, text, TIME_TEXT_MIN_MS, TIME_TEXT_MAX_MS, at_ms, error) == STATUS_OK) {
    return STATUS_OK;
  }
  return error_set(error, STATUS_USAGE,
                   "--%s %.80s: a time as 2026-11-01T00:00:00Z is needed, or milliseconds since "
                   "1970 UTC",
                   name, text);
}
