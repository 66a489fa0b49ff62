/* Avro schema resolution, done once: a writer's schema and a reader's become a program. */
#ifndef MUSTER_CONSUMERS_RESOLVE_H
#define MUSTER_CONSUMERS_RESOLVE_H

#include "consumers/program.h"

/* A value that the reader wants; its index in the list is its slot's number. The path is
 * the fields' names with dots between them; that of a union has a "?" behind it and holds
 * the number of the branch, the values in its branches have none:
 * "consent?", "consent.given_at". */
struct slot_path {
  const char *path;
  enum node_kind kind; /* of the reader */
};

/* What is wanted of a reader's schema; at most PROGRAM_SLOTS_MAX paths. */
struct layout {
  const struct slot_path *paths;
  uint32_t count;
};

/* Resolves `writer` to `reader` by the format's rules: fields by name and the reader's
 * aliases, reordered, left out, or filled in from the reader's defaults; promotions; enums
 * by symbol, then the reader's default; unions on either side. What only some values
 * cannot satisfy (a symbol, a branch) is left to program_run.
 *
 * On STATUS_OK the caller owns `*program` (program_free), and both schemas outlive it.
 * STATUS_REFUSED names the field and why the schemas cannot be resolved. A reader's array
 * or map cannot be wanted. A path's kind that is not the reader's is a bug. */
enum status resolve(const struct avro_schema *writer, const struct avro_schema *reader,
                    const struct layout *layout, struct program **program,
                    struct error *error) MUST_USE;

#endif
