/* Whole numbers on the command line. */
#ifndef MUSTER_APP_OPTION_NUMBER_H
#define MUSTER_APP_OPTION_NUMBER_H

#include "core/status.h"

/* Reads `text`, the value of option --`name`, as a decimal number from `min` to `max`; NULL, an
 * option that was not given, leaves `*value` alone. STATUS_USAGE names the option and the
 * range. */
enum status option_number(const char *name, const char *text, int64_t min, int64_t max,
                          int64_t *value, struct error *error) MUST_USE;

#endif
