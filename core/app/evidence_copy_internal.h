/* What the parts of a copy share. For evidence_copy.c, evidence_inputs.c alone. */
#ifndef MUSTER_APP_EVIDENCE_COPY_INTERNAL_H
#define MUSTER_APP_EVIDENCE_COPY_INTERNAL_H

#include "core/app/evidence_copy.h"
#include "core/app/evidence_slice.h"
#include "core/app/found.h"
#include "core/journal.h"

struct copying {
  const struct evidence_copy *copy;
  uint32_t lane;
  struct fetch *fetch;
  struct found *found;
  struct journal_row begin, end; /* the first and the last batch of the range, without lists */
  struct slice inputs[TOPIC_COUNT];
  struct buffer value; /* of the record at hand */
  struct buffer headers;
  enum status status; /* of what a replay shows */
  struct error *error;
};

/* Makes the lane's file of that topic, named without its prefix. */
enum status copy_open_slice(const struct copying *copying, const char *topic, int32_t partition,
                            struct slice *slice, struct error *error) MUST_USE;

/* Whether there may be an address in it. */
bool copy_has_at(struct span bytes);

/* What the lane's batches have read. */
enum status copy_inputs(struct copying *copying) MUST_USE;

#endif
