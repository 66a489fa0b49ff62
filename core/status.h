/* What became of something that the outside world can make fail.
 *
 * Three kinds of failure, three treatments: a bug is an assertion; bad input is a
 * `struct reject` and becomes a dead letter; what the world refuses is a status. */
#ifndef MUSTER_CORE_STATUS_H
#define MUSTER_CORE_STATUS_H

#include "core/base.h"

/* X(name, process exit code). The codes are the public contract's. */
#define STATUS_LIST(X)                                                                             \
  X(STATUS_OK, 0)                                                                                  \
  X(STATUS_REFUSED, 1)      /* ran, and found or refused what it looks for */                      \
  X(STATUS_USAGE, 2)        /* the command line */                                                 \
  X(STATUS_UNAVAILABLE, 75) /* a service out of reach; trying again may help */                    \
  X(STATUS_FENCED, 75)      /* somebody else owns the lane now */                                  \
  X(STATUS_CONFIG, 78)      /* configuration, a missing migration or topic included */

enum status {
#define X(name, exit_code) name,
  STATUS_LIST(X)
#undef X
};

enum { ERROR_TEXT_SIZE = 512 };

/* Says what, where and what to do. Filled where it happens, wrapped by callers that know
 * more, printed or logged once by whoever stops passing it on. */
struct error {
  char text[ERROR_TEXT_SIZE];
};

int status_exit_code(enum status status);

/* Writes the text and returns `status`, so that a failure is one line where it happens. */
enum status error_set(struct error *error, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4) MUST_USE;

/* Puts "prefix: " before the text. */
void error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
