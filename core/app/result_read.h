/* A result read back from its record on a topic: the way back from what was published.
 *
 * What a record does not have is said: of a dead letter the time at which it was decided and the
 * policy then. Whoever reads encodes again what comes out and compares: nothing is believed. */
#ifndef MUSTER_APP_RESULT_READ_H
#define MUSTER_APP_RESULT_READ_H

#include "core/app/found.h"
#include "core/control.h"

struct json_t;  /* jansson's value */
struct schemas; /* consumers/schemas.h */

/* What records are read under. */
struct result_reader {
  const struct schemas *schemas; /* what was known in the environment of the batch */
  const char *topic_prefix;
  const struct control *control; /* the policies that were ever in force */
};

/* Views into the record and into `json`. */
struct result_read {
  struct result result; /* of a dead letter without `at_ms` and `policy` */
  struct span user_email;
  struct json_t *json;
  char reason[REJECT_TEXT_SIZE]; /* why there is none, for people */
};

/* False: the record is no result of ours under any schema that is known, or names a policy that was
 * never in force. In either case the caller ends it with result_read_fini. */
bool result_read(const struct result_reader *reader, const struct found_record *record,
                 struct result_read *read) MUST_USE;
void result_read_fini(struct result_read *read);

/* The address alone, of a device's state (RECORD_DEVICE); empty where it has been erased. */
bool result_read_device_email(const struct result_reader *reader, const struct found_record *record,
                              struct result_read *read) MUST_USE;

/* The number alone; false when it cannot be told. */
bool result_read_seq(const struct result_reader *reader, const struct frames *frames,
                     const struct found_record *record, uint64_t *seq) MUST_USE;

#endif
