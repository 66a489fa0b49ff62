/* Sends one input message for a command of the command line, and tells where it stands. */
#ifndef MUSTER_APP_ASK_H
#define MUSTER_APP_ASK_H

#include "core/app/input_encoder.h"

/* A message that was acknowledged by all. */
struct asked {
  enum topic topic;
  int32_t partition;
  int64_t offset;
  char event_id[37]; /* its UUID, lower case */
};

/* Sends what was encoded to its record's topic, stamped now. Blocks until it is acknowledged.
 * STATUS_REFUSED says why the broker does not take it. STATUS_UNAVAILABLE: it was not acknowledged,
 * and may stand there all the same. */
enum status ask_send(const struct config *config, enum input_record record,
                     const struct encoded_input *encoded, struct asked *asked,
                     struct error *error) MUST_USE;

#endif
