/* A message as it was read: bytes and where they stood. Views live until the record is popped
 * from its source. */
#ifndef MUSTER_CONSUMERS_RECORD_H
#define MUSTER_CONSUMERS_RECORD_H

#include "core/span.h"

struct stored_record; /* consumers/stored.h */

struct record {
  int64_t offset;
  int64_t timestamp_ms; /* -1: none */
  int64_t read_at_ms;   /* wall clock when it was taken from the client's queue */
  struct span key;
  struct span value;
  bool key_is_null, value_is_null;
  bool has_headers;
  void *message;                      /* the client's own; NULL of one from a file: */
  const struct stored_record *stored; /* headers, what was taken out, why it is withheld */
};

#endif
