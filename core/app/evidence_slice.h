/* A file of stored records while it is written. */
#ifndef MUSTER_APP_EVIDENCE_SLICE_H
#define MUSTER_APP_EVIDENCE_SLICE_H

#include "consumers/stored.h"
#include "core/status.h"
#include "producers/buffer.h"

#include <stdio.h>

struct slice {
  FILE *file; /* NULL: not open */
  char *path;
  char topic[STORED_TOPIC_SIZE];
  int32_t partition;
  int64_t first, end; /* of the partition, as the file will say */
  struct buffer bytes;
};

/* Makes the file; what its first line says may change until slice_close. */
enum status slice_open(struct slice *slice, const char *path, const char *topic, int32_t partition,
                       struct error *error) MUST_USE;
enum status slice_put(struct slice *slice, const struct stored_record *record,
                      struct error *error) MUST_USE;

/* Closes it, with its first line. STATUS_UNAVAILABLE when anything could not be written. */
enum status slice_close(struct slice *slice, struct error *error) MUST_USE;

/* Closes it when something else has failed; zeros are allowed. */
void slice_abandon(struct slice *slice);

#endif
