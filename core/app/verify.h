/* One lane verified: decided again, and held against everything that was emitted.
 *
 * The first thing that is not as it was decided ends the lane's verification and is named. Only
 * reads; blocks: runs on a thread of its own. */
#ifndef MUSTER_APP_VERIFY_H
#define MUSTER_APP_VERIFY_H

#include "core/app/checkpoint_list.h"
#include "core/app/config.h"
#include "core/app/found.h"
#include "core/app/replay.h"

#include <stdatomic.h>
#include <stdio.h>

struct json_t; /* jansson's value */

/* How far it is; read by another thread meanwhile. */
struct verify_progress {
  atomic_uint_fast64_t batches, messages, results;
  atomic_uint_fast64_t read, to_read; /* offsets of the inputs; 0 while nobody knows */
  atomic_bool is_done;
};

struct verify_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane, lane_count;
  struct span subject_key; /* empty: subjects are taken from recorded results */
  bool reads_journal_from_database;
  bool compares_database; /* the views beside the topics */
  int64_t from_ms, to_ms; /* compares batches that reach into [from, to); TIME_NONE: no bound */
  const struct replay_files *files; /* instead of the topics; NULL: the topics */
  struct replay_watch watch;
  const struct checkpoint_list *checkpoints; /* held against the journal; NULL: none */
  const char *resume_directory; /* where its state is kept, and gone on from; NULL: not so */
  struct verify_progress *progress;
};

enum verdict {
  VERDICT_VERIFIED,
  VERDICT_DIVERGED,     /* `finding` names the first divergence */
  VERDICT_UNVERIFIABLE, /* this program cannot tell, from `batches` + 1 on; `reason` says why */
};

const char *verify_verdict_name(enum verdict verdict); /* "verified" */

struct verify_result {
  enum status status; /* anything but STATUS_OK: the world failed, `error` says how */
  struct error error;
  enum verdict verdict;
  struct json_t *finding; /* or NULL; the caller's */
  struct json_t *gaps;    /* that were accepted, an array; NULL: none. The caller's */
  char reason[REPLAY_REASON_SIZE];
  uint64_t batches, messages, timers;  /* decided again and as recorded */
  uint64_t compared_from, compared_to; /* batches whose results were compared; 0: none */
  uint64_t results[RESULT_KIND_COUNT]; /* compared */
  uint64_t rows;                       /* compared in the database */
  uint64_t devices;                    /* whose newest record was compared */
  uint64_t expired;                    /* results that retention has taken: by digest alone */
  uint64_t erased;                     /* results whose address has been erased since */
  uint64_t unknown_subjects;           /* enrolments whose digest could not be checked */
  uint64_t withheld;                   /* dead letters whose content is, in a pseudonymised pack */
  uint64_t partial;                    /* batches whose digests could not be made for that */
  uint64_t undecided;                  /* offsets of the inputs behind the journal's end */
  uint64_t checkpoints;                /* signed, and as the journal stands */
  uint64_t signed_batch;               /* the last batch that one of them covers */
  uint64_t resumed_from;               /* batch that this call began with; 0: the first */
  uint64_t began_after;                /* batch whose snapshot it relies on; 0: none */
  int64_t began_at_ms;                 /* the lane's clock then */
  uint64_t journal_from;   /* of a lane that began at a snapshot: what is left of its journal begins
                            * with that batch; 0: with the first */
  char *left_out;          /* snapshots that were not begun with, and why: lines; the caller's */
  struct merkle_tree tree; /* with checkpoints or files: over the batches verified */
  bool is_moving; /* a run went on and on: what stands behind the batches was not looked at */
  bool has_key;   /* subjects were checked */
  uint64_t
      whole_from; /* of an unverifiable lane: from this batch on the inputs are there; 0: no such */
  uint8_t chain[DIGEST_SIZE]; /* of the last batch verified */
};

/* The batch behind the last one that was verified. */
uint64_t verify_next_batch(const struct verify_result *result);
/* How many of result->gaps it went over. */
size_t verify_gap_count(const struct verify_result *result);

/* One of them in a line for people: what was never seen, and who accepted that. The caller frees.
 */
char *verify_gap_text(const struct json_t *gap);

/* All that it went over, a line each, for people. */
void verify_gaps_print(FILE *out, const struct verify_result *result);

void verify_lane(const struct verify_options *options, struct verify_result *result);

#endif
