/* A lane decided again, batch by batch, from what its journal recorded.
 *
 * Batches are handed in, in order from the first, or from the one after a snapshot; their messages
 * are read from the input topics by the same intake, merged by the same core and decided by the
 * same steps as in a run. What comes out is looked at by the caller: the batch's row and its
 * records, as a run would have published them; the lane's state; and, through a watch, each step.
 *
 * Nothing is written anywhere: the inputs are assigned, not subscribed, and nothing is committed.
 * What the journal says of the world (stamps not believed, where a batch ended, which timers ended
 * it, settings) is taken from it; the wall clock has no say.
 *
 * What can go wrong is told apart:
 *   - the world: a status, as everywhere;
 *   - a batch that this program cannot decide, which says nothing against it: an environment of
 *     another version, expired inputs (REPLAY_FOREIGN, REPLAY_EXPIRED);
 *   - a batch whose row cannot be, whatever was decided (REPLAY_BROKEN): its ranges do not go on
 *     where the batch before ended, or reach beyond the end of their topic;
 *   - a batch that comes out otherwise is no failure here: the caller compares.
 * After anything but REPLAY_DECIDED the lane cannot go on. */
#ifndef MUSTER_APP_REPLAY_H
#define MUSTER_APP_REPLAY_H

#include "core/app/lane_step.h"
#include "core/app/recorded.h"
#include "core/app/snapshot.h"

struct replay;

/* What somebody looks at meanwhile; NULL: nothing. Views live during the call. */
struct replay_watch {
  void *context;
  void (*opened)(void *context, struct replay *replay); /* whose state the others may look at */
  void (*message)(void *context, const struct intake *intake); /* before it is decided */
  void (*timer)(void *context, const struct timer *timer);     /* before it fires */
  void (*sweep)(void *context, const struct sweep *sweep);     /* before its next device */
  void (*result)(void *context, const struct result *result);
  void (*stepped)(void *context); /* the step is over: the lane shows what it changed */
};

struct replay_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: find_subject tells */
  void (*find_subject)(void *context, const struct person_place *place, struct span lowered_email,
                       uint8_t subject[SUBJECT_SIZE]);
  void *subject_context;
  struct replay_watch watch;
  int64_t until_ms;   /* no step later than this is taken; TIME_NONE: no bound */
  bool keeps_touches; /* until the caller clears the lane's; else each batch begins without */
  bool makes_rows;    /* the carrier has those of results, for a database */
  bool decides_only;  /* results and digests are not made: there is no row and no record */
};

/* The client that reads a lane: for the replay, and for whoever reads its outputs beside. */
enum status replay_fetch_open(const struct config *config, struct fetch **fetch,
                              struct error *error) MUST_USE;

/* Files that stand for the topics; NULL where this is asked for: there are none, ask the broker. */
struct replay_files {
  const struct stored_partition *partitions;
  size_t count;
  bool is_pseudonymised; /* results have no address, dead letters no content */
};

/* From the files when there are any. */
enum status replay_fetch_open_from(const struct config *config, const struct replay_files *files,
                                   struct fetch **fetch, struct error *error) MUST_USE;

/* `options` is copied; what it points to and `fetch` outlive the replay. Reads nothing yet. */
struct replay *replay_open(const struct replay_options *options, struct fetch *fetch);
void replay_close(struct replay *replay); /* NULL is allowed */

enum replay_outcome {
  REPLAY_DECIDED,
  REPLAY_REACHED, /* the next step is later than until_ms: the lane shows the state at that time */
  REPLAY_FOREIGN,
  REPLAY_EXPIRED,
  REPLAY_BROKEN,
};
enum { REPLAY_REASON_SIZE = 512 };

/* Begins after the snapshot's batch, before anything was decided; takes its state. With any outcome
 * but REPLAY_DECIDED its environment cannot be taken over, and `reason` tells why. */
void replay_go_on(struct replay *replay, struct snapshot *snapshot, enum replay_outcome *outcome,
                  char reason[REPLAY_REASON_SIZE]);

/* Takes over the environment that the next batch is decided under; replay_decide does it, too. For
 * whoever must read results of the batch before it is decided (replay_encoding). */
void replay_take_environment(struct replay *replay, const struct recorded_batch *recorded,
                             enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE]);

/* Decides the next batch. With any outcome but REPLAY_DECIDED, `reason` tells why, for people.
 * Waits for messages; STATUS_UNAVAILABLE when none comes for 30 s though they are there. */
enum status replay_decide(struct replay *replay, const struct recorded_batch *recorded,
                          enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE],
                          struct error *error) MUST_USE;

/* Of the batch decided last, until the next: the row, chained to what the journal says of the
 * batch before; the records in the order of publication (results, devices, journal). */
const struct journal_row *replay_row(const struct replay *replay);
struct span replay_records(const struct replay *replay);

/* The same batch with its rows for a database. */
struct carrier *replay_carrier(struct replay *replay);

/* Messages of that batch of which only a part was there: their digests cannot be made. */
uint64_t replay_partial(const struct replay *replay);

struct lane_state *replay_state(struct replay *replay);

/* The state becomes the caller's, who ends it with lane_state_close; the replay is of no more use
 * but to be closed. */
struct lane_state *replay_take_state(struct replay *replay);
const struct encoding *replay_encoding(const struct replay *replay);

/* What is known in the environment that batches are decided under now: what the program knows, the
 * ids of our records and what was fetched. Valid until the next environment. */
const struct schemas *replay_schemas(const struct replay *replay);

/* The texts of the policies that the lane has come to know. */
const struct policy_texts *replay_policy_texts(const struct replay *replay);

/* What control messages have changed beside the devices. */
const struct control_records *replay_control_records(const struct replay *replay);

/* How messages are read in that environment. */
const struct intake_rules *replay_rules(const struct replay *replay);

/* The content of that environment. */
struct span replay_environment(const struct replay *replay);

/* Whether the key given is the one in force; false without a key. */
bool replay_has_key(const struct replay *replay);

/* An input that was read from later than the first batch began: what was there before has
 * expired, or was gone already when it was first read. False: there is none. */
bool replay_find_expired(const struct replay *replay, enum topic *topic, int64_t *first_offset);

/* Where an input topic begins and ends, as last asked. */
int64_t replay_input_first(const struct replay *replay, enum topic topic);
int64_t replay_input_end(const struct replay *replay, enum topic topic);

#endif
