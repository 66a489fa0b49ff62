/* What the processor decides about one message: waits for the audit entry or the dead letter that
 * names it as its cause.
 *
 * Where the lane's topics end is noted before the message is sent, so that nothing is missed and
 * nothing old is read. Joins no group and writes nothing. */
#ifndef MUSTER_APP_DECISION_H
#define MUSTER_APP_DECISION_H

#include "core/app/ask.h"
#include "core/result.h"

struct decision_watch;
struct json_t;         /* jansson's value */
struct schema_learner; /* core/app/registry_client.h */

struct decision {
  bool is_decided;
  bool is_not_allowed;          /* by a dead letter's code: an audit entry tells the same */
  enum outcome outcome;         /* of a dead letter OUTCOME_REFUSED */
  char reason[ERROR_TEXT_SIZE]; /* empty: none was given */
  struct json_t *entry;         /* the audit entry, times as texts; NULL of a dead letter */
};

/* Notes where the audit entries and dead letters of a lane end: of the one that `key` belongs to,
 * or of lane 0 without a key, which decides what the control topic says. The caller closes it in
 * any case. `learner` outlives it. */
enum status decision_watch_open(const struct config *config, struct span key,
                                struct schema_learner *learner, struct decision_watch **watch,
                                struct error *error) MUST_USE;
void decision_watch_close(struct decision_watch *watch); /* NULL is allowed */

/* Waits until something is decided about the message, at most until the deadline of the
 * monotonic clock: then is_decided is false. The caller ends the decision in any case. */
enum status decision_await(struct decision_watch *watch, const struct asked *asked,
                           int64_t deadline_mono_ms, struct decision *decision,
                           struct error *error) MUST_USE;
void decision_fini(struct decision *decision);

#endif
