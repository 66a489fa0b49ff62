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

/* The headers of a record in the form of struct original, appended to `into` (room for
 * record_headers_size bytes). The value of the last header `name`; false when there is none. */
size_t record_headers_size(const struct record *record);
void record_headers_copy(const struct record *record, uint8_t *into);
bool record_header(const struct record *record, const char *name, struct span *value);

#endif
