/* Instants on the command line. */
#ifndef MUSTER_APP_OPTION_TIME_H
#define MUSTER_APP_OPTION_TIME_H

#include "core/status.h"

/* Reads `text`, the value of option --`name`: RFC 3339, or milliseconds since 1970 UTC; NULL, an
 * option that was not given, leaves `*at_ms` alone. STATUS_USAGE names the option. */
enum status option_time(const char *name, const char *text, int64_t *at_ms,
                        struct error *error) MUST_USE;

#endif
