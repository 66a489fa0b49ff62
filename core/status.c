#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int status_exit_code(enum status status) {
  switch (status) {
#define X(name, exit_code)                                                                         \
  case name:                                                                                       \
    return exit_code;
    STATUS_LIST(X)
#undef X
  }
  assert(false);
  return 70;
}

enum status error_set(struct error *error, enum status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return status;
}

void error_wrap(struct error *error, const char *format, ...) {
  char inner[ERROR_TEXT_SIZE];
  memcpy(inner, error->text, sizeof inner);
  va_list arguments;
  va_start(arguments, format);
  const int written = vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  if (written >= 0 && (size_t)written < sizeof error->text) {
    const size_t used = (size_t)written;
    snprintf(error->text + used, sizeof error->text - used, ": %.*s",
             (int)(sizeof error->text - used), inner);
  }
}
