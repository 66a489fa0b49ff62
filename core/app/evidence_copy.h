/* The first half of a pack: what stands on the topics, copied into files (consumers/stored.h).
 *
 * Of each lane: its journal up to the end of the range, what its batches read, what they published.
 * Plain, all is copied as it stands, damaged or not. Pseudonymised, the inputs are those that a
 * replay shows: an enrolment's address gives way to its subject; a message that was refused is
 * withheld, since nobody can tell what is in it; headers with an '@' in them go, and addresses
 * of results are null. */
#ifndef MUSTER_APP_EVIDENCE_COPY_H
#define MUSTER_APP_EVIDENCE_COPY_H

#include "core/app/config.h"
#include "core/span.h"
#include "core/status.h"

struct schemas;

struct evidence_copy {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane_count;
  struct span subject_key; /* empty: subjects are taken from recorded results */
  const char *directory;
  int64_t to_ms; /* batches that begin before; TIME_NONE: all */
  bool is_pseudonymised;
};

/* "lanes/0/enrollments.records", the name of a file in every pack; `topic` without its prefix. */
void evidence_slice_name(uint32_t lane, const char *topic, char *name, size_t size);

/* Makes the lane's files below the directory; `*batches` is how many there are. STATUS_REFUSED:
 * pseudonymised, it cannot be replayed to the end of the range; `error` says why. */
enum status evidence_copy_lane(const struct evidence_copy *copy, uint32_t lane, uint64_t *batches,
                               struct error *error) MUST_USE;

#endif
