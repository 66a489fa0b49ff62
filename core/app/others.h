/* Whether the lanes of other members have decided and published what stood in the topics at some
 * moment. A run until caught up ends when all lanes have, its own and those of others. Blocks. */
#ifndef MUSTER_APP_OTHERS_H
#define MUSTER_APP_OTHERS_H

#include "core/app/config.h"
#include "core/event.h"

/* The ends of a lane's topics at that moment. */
struct lane_ends {
  int64_t offsets[TOPIC_COUNT];
};

struct others {
  const struct config *config;
  const struct lane_ends *ends; /* by lane */
  bool *is_waited_for;          /* by lane: another member's, and not yet known to be done */
  uint32_t lane_count;
  int64_t taken; /* messages of all lanes, about: it grows while anybody makes progress */
  enum status status;
  struct error error;
};

/* Clears is_waited_for of every lane that has reached its ends and published. */
void others_look(struct others *others);

#endif
