/* How far a reader of topics is behind: messages not yet taken, and since when the first waits. */
#ifndef MUSTER_APP_LAG_H
#define MUSTER_APP_LAG_H

#include "core/app/config.h"

/* One partition. The first three fields are given, the others are found out. */
struct lag {
  const char *topic; /* without the prefix */
  int32_t partition;
  int64_t next_offset;      /* of the first message not taken; below the topic's start: that */
  int64_t end_offset;       /* of the first message not there yet */
  int64_t messages;         /* between the two; a transaction's markers count, too */
  int64_t waiting_since_ms; /* the stamp of the first message not taken; -1: there is none */
};

/* The number of lanes: of the partitions of the lane topics. Connects on its own. */
enum status lag_lane_count(const struct config *config, int32_t *count,
                           struct error *error) MUST_USE;

/* Asks for all partitions at once. STATUS_UNAVAILABLE past the deadline, STATUS_CONFIG when a
 * topic is missing. */
enum status lag_measure(const struct config *config, struct lag *lags, size_t count,
                        struct error *error) MUST_USE;

#endif
