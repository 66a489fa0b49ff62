/* What a lane has halted before, as operators are shown it, and what they have asked for. */
#ifndef MUSTER_PRODUCERS_STORE_GAP_H
#define MUSTER_PRODUCERS_STORE_GAP_H

#include "producers/store.h"

/* Offsets that a lane needs and that are gone, or a topic that is not the one it has read. */
struct lane_gap {
  enum topic topic;
  int64_t from; /* where the lane stands */
  int64_t to;   /* where it could go on: where the topic begins now */
  bool has_other;
  int64_t other; /* or here, behind what it has read of it */
  char problem[ERROR_TEXT_SIZE];
};

/* Writes what the lane lacks in the place of what stood there, and lets go of requests that do not
 * fit any more. STATUS_FENCED when the lane has another owner by now. */
enum status store_note_gaps(struct store *store, const struct ownership_of_lane *lane,
                            const struct lane_gap *gaps, size_t count,
                            struct error *error) MUST_USE;

/* What was asked for first. The subject of who asks is not filled in yet. */
struct gap_request {
  bool is_there;
  struct journal_gap gap;
  char user_email[USER_EMAIL_SIZE_MAX + 1]; /* empty: the operator at the console */
};
enum status store_find_gap_request(struct store *store, uint32_t lane, struct gap_request *request,
                                   struct error *error) MUST_USE;

#endif
