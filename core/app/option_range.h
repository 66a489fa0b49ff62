/* Which part of the log a command looks at: a lane or all, from and to a time, so many at once. */
#ifndef MUSTER_APP_OPTION_RANGE_H
#define MUSTER_APP_OPTION_RANGE_H

#include "core/status.h"

struct option_range {
  int64_t lane;           /* -1: all */
  int64_t from_ms, to_ms; /* TIME_NONE: no bound */
  int64_t jobs;           /* lanes at a time */
};

/* The options' values; NULL: not given. */
struct option_range_texts {
  const char *lane, *from, *to, *jobs;
};

/* STATUS_USAGE names the option and what it takes. */
enum status option_range(const struct option_range_texts *texts, struct option_range *range,
                         struct error *error) MUST_USE;

/* STATUS_USAGE when there is no such lane; -1 is allowed. */
enum status option_lane_exists(int64_t lane, uint32_t lane_count, struct error *error) MUST_USE;

#endif
