/* Snapshots on their topic: partition = lane, each in parts of bounded size one after the other.
 *
 * A part tells which snapshot it belongs to, its number, how many there are, and the digest of the
 * whole. A snapshot of which a part is missing is as if it were not there. */
#ifndef MUSTER_APP_SNAPSHOT_TOPIC_H
#define MUSTER_APP_SNAPSHOT_TOPIC_H

#include "core/app/config.h"
#include "core/app/snapshot.h"

/* Where a snapshot stands. */
struct snapshot_place {
  uint32_t lane, part_count;
  uint64_t batch, size;
  int64_t clock_ms; /* the lane's after that batch; TIME_NONE: it had none */
  int64_t first_offset;
  uint8_t digest[DIGEST_SIZE];
};

struct snapshot_places {
  struct snapshot_place *items; /* by lane, in order of offsets */
  size_t count;
};

/* The whole ones of a lane (-1: of all lanes); the caller frees `items`. */
enum status snapshot_topic_list(const struct config *config, int64_t lane,
                                struct snapshot_places *places, struct error *error) MUST_USE;

/* Appends its bytes; that they are those of the digest, snapshot_read tells. STATUS_REFUSED: they
 * are no longer there. */
enum status snapshot_topic_read(const struct config *config, const struct snapshot_place *place,
                                struct buffer *bytes, struct error *error) MUST_USE;

/* Writes what snapshot_write made; all of it is acknowledged when this is answered. */
enum status snapshot_topic_write(const struct config *config, const struct snapshot *snapshot,
                                 struct span bytes, struct error *error) MUST_USE;

#endif
