/* What was decided about a device, newest first: results of its lane, with words for people. */
#ifndef MUSTER_APP_DEVICE_HISTORY_H
#define MUSTER_APP_DEVICE_HISTORY_H

#include "core/app/database.h"

struct json_t; /* jansson's value */

struct device_history {
  int64_t lane, number;
  int64_t last_seq; /* the lane's last result */
  size_t count_max;
};

/* An array of {"at", "topic", "what", and the result under "value"}; the caller owns it. Goes back
 * through the lane's results in steps that grow, and no further than HISTORY_RESULTS_MAX of them:
 * `is_whole` is false when older ones were not looked at. */
enum { HISTORY_RESULTS_MAX = 4 << 20 };
enum status device_history_read(struct pg_conn *database, const struct device_history *history,
                                struct json_t **results, bool *is_whole,
                                struct error *error) MUST_USE;

#endif
