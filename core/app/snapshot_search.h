/* Which snapshot of a lane a replay begins with: the newest that the journal vouches for, from
 * which the inputs go on without a gap. Those that are left out are named, with the reason. */
#ifndef MUSTER_APP_SNAPSHOT_SEARCH_H
#define MUSTER_APP_SNAPSHOT_SEARCH_H

#include "core/app/config.h"
#include "core/app/snapshot.h"

struct fetch;
struct schemas;
struct snapshot_place;
struct snapshot_search;

struct snapshot_search_options {
  const struct config *config;
  const struct schemas *schemas;
  struct fetch *fetch;
  uint32_t lane, lane_count;
  int64_t until_ms;     /* of the lane's clock, at the latest; TIME_NONE: any */
  bool only_if_expired; /* none where the log still begins at its beginning */
  bool from_oldest;     /* else from the newest */
};

/* Lists what there is; the caller ends it with snapshot_search_close. */
enum status snapshot_search_open(const struct snapshot_search_options *options,
                                 struct snapshot_search **search, struct error *error) MUST_USE;
void snapshot_search_close(struct snapshot_search *search); /* NULL is allowed */

/* The next one that is good: the caller ends it with snapshot_fini. Its row is
 * the journal's. False: there is none. */
enum status snapshot_search_next(struct snapshot_search *search, struct snapshot *snapshot,
                                 bool *has_one, struct error *error) MUST_USE;

/* Notes why the one that was found last could not be begun with. */
void snapshot_search_leave_out(struct snapshot_search *search, const char *reason);

/* Those that were left out, a line each with its end; an empty text: none. */
const char *snapshot_search_left_out(const struct snapshot_search *search);

/* Whether the snapshot that stands there is of the state that its batch's row has the digest of. */
enum status snapshot_search_check(const struct config *config, const struct snapshot_place *place,
                                  const struct journal_row *row, bool *holds,
                                  struct error *error) MUST_USE;

#endif
