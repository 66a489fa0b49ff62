/* Sends one input message for a command of the command line, and tells where it stands. */
#ifndef MUSTER_APP_ASK_H
#define MUSTER_APP_ASK_H

#include "consumers/schemas.h"
#include "core/app/config.h"

struct json_t; /* jansson's value */

/* A message that was acknowledged by all. */
struct asked {
  enum topic topic;
  int32_t partition;
  int64_t offset;
  char event_id[37]; /* its UUID, lower case */
};

/* Sends `fields` as one message of `record`: to the record's topic, under its key (the serial; of
 * a control message the record's name), framed as the configuration says. Fields are named as in
 * the schema; those left out take their defaults, enums any case; event_id and occurred_at are put
 * in when they are missing. Blocks until it is acknowledged.
 * STATUS_REFUSED names the field that is wrong, or why the broker does not take it. */
enum status ask_send(const struct config *config, enum input_record record, struct json_t *fields,
                     struct asked *asked, struct error *error) MUST_USE;

#endif
