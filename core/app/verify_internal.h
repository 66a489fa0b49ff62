/* What the parts of a verification share. For verify*.c alone. */
#ifndef MUSTER_APP_VERIFY_INTERNAL_H
#define MUSTER_APP_VERIFY_INTERNAL_H

#include "core/app/binary.h"
#include "core/app/database.h"
#include "core/app/finding.h"
#include "core/app/journal_source.h"
#include "core/app/journal_tree.h"
#include "core/app/subjects.h"
#include "core/app/verify.h"

struct device_notes; /* verify_devices' own */

struct verify {
  const struct verify_options *options;
  struct verify_result *result;
  struct fetch *fetch;
  struct found *found;
  struct journal_source *journal;
  struct journal_source *second; /* the database's, compared with the topic's; NULL: none */
  struct pg_conn *database, *journal_database; /* two, since each reads while the other does */
  struct subjects *subjects;
  struct replay *replay;
  struct journal_row last;  /* as recorded, of the last batch verified; zeros at first */
  struct journal_row begin; /* of the batch whose snapshot it begins behind; zeros: none */
  int64_t last_epoch;
  uint8_t last_owner[16];
  bool has_last_owner;                  /* not of a batch that an earlier call verified */
  uint64_t last_seq[RESULT_KIND_COUNT]; /* of the result popped last */
  int64_t chase_mono_ms;                /* when the journal was at its end first; 0: not yet */
  struct journal_tree tree;             /* with checkpoints: over the batches verified */
  size_t next_checkpoint;               /* in the options' list */
  int64_t journal_offset;               /* behind the last batch; with a resume_directory */
  int64_t save_mono_ms;                 /* when the state is saved next; 0: nothing was yet */
  struct device_notes *notes;           /* NULL: none yet */
  uint64_t control_count;               /* rows of control messages compared in the database */
  struct error *error;
};

/* Ends the verification with what was found; takes the finding. */
void verify_diverge(struct verify *verify, struct json_t *finding);

/* How long something may still come into sight; nothing does in files. */
int64_t verify_settle_ms(const struct verify *verify);

bool verify_is_over(const struct verify *verify);

/* Compares the records of the batch that was just decided with the topics. */
enum status verify_results(struct verify *verify, const struct journal_row *row) MUST_USE;

/* Takes what stands before result number `seq` off the topics, uncompared. */
enum status verify_skip(struct verify *verify, uint64_t seq) MUST_USE;

/* The same of what may have been written under another environment than the one at hand. */
enum status verify_skip_to(struct verify *verify, uint64_t seq) MUST_USE;

/* Behind the journal's end: tells whether the journal goes on, else finds what is too much. */
enum status verify_rest(struct verify *verify, bool *goes_on) MUST_USE;

/* Compares the results of the batch that was just decided with the view. */
enum status verify_database_results(struct verify *verify, const struct journal_row *row) MUST_USE;

/* Compares the batch's row, its environment and the time of its commit with the database's
 * journal. Who committed it may be another there: see `replay rebuild`. */
enum status verify_database_journal(struct verify *verify,
                                    const struct recorded_batch *batch) MUST_USE;

/* The same batch against the tables behind the views: each column of its results; what its control
 * messages changed. At the end: rows that no batch has, and policies. */
enum status verify_table_results(struct verify *verify, const struct journal_row *row) MUST_USE;
enum status verify_table_control(struct verify *verify, const struct journal_row *row) MUST_USE;
enum status verify_table_rest(struct verify *verify) MUST_USE;
enum status verify_table_policies(struct verify *verify) MUST_USE;

/* Each column of the devices' rows that decides what comes. */
enum status verify_table_devices(struct verify *verify) MUST_USE;

/* Appends the row of a device as store_append_device makes it; what the note does not have of its
 * last change (its batch, event and traceparent) is left empty. */
void verify_make_device_row(struct verify *verify, uint32_t index, struct buffer *rows);

/* At the end: rows that are too much, unless the journal goes on. */
enum status verify_database_rest(struct verify *verify, bool *goes_on) MUST_USE;

/* Waits a few seconds for the topic of the journal to grow. */
enum status verify_await_journal(struct verify *verify, bool *goes_on) MUST_USE;

/* The tree grows by the batch that was just verified; checkpoints of its size are held against
 * it. At the end: those of a larger tree tell that the journal was cut, unless it goes on. */
void verify_checkpoint_batch(struct verify *verify, const struct journal_row *row);
enum status verify_checkpoint_rest(struct verify *verify, bool *goes_on) MUST_USE;

/* Notes the devices that the batch just decided has changed. */
void verify_note_devices(struct verify *verify);
void verify_close_notes(struct verify *verify);

/* The notes as they are kept between two calls: the changes as a snapshot has them, the rest
 * apart. Reading them, the rest comes first. */
void verify_put_notes(const struct verify *verify, struct device_changes *changes,
                      struct buffer *bytes);
void verify_take_notes(struct verify *verify, struct binary *binary);
void verify_take_changes(struct verify *verify, const struct device_changes *changes);

/* With a resume_directory: saves the lane's state after the batch of that entry, when it is time;
 * at the end; and goes on from what was saved, before the first batch. */
enum status verify_save(struct verify *verify, const struct journal_entry *entry) MUST_USE;
enum status verify_save_end(struct verify *verify) MUST_USE;
enum status verify_load(struct verify *verify) MUST_USE;

/* Of what is asked for a later part alone: sets the replay behind a snapshot, if one is good. Then
 * the journal's entries up to its batch are handed to verify_pass, undecided. */
enum status verify_begin(struct verify *verify) MUST_USE;
enum status verify_pass(struct verify *verify, const struct journal_entry *entry) MUST_USE;

void verify_find_short(struct verify *verify); /* at the journal's end: it is before that batch */

/* The replay as it is before anything was decided. */
void verify_reopen_replay(struct verify *verify);

/* What is wrong with a row's place among the others, or NULL; whether its chain is over the row
 * before and what it says; whether its environment's content is that of its digest. */
struct json_t *verify_find_misplaced(struct verify *verify, const struct journal_row *of_batch);
bool verify_chain_holds(const struct verify *verify, const struct journal_row *row);
void verify_check_environment(struct verify *verify, const struct recorded_batch *batch);

/* Of a lane that began at a snapshot: an address that nothing before told, but that the key makes
 * the same subject of, is taken as it stands. Values of records, of results or devices. */
void verify_name_unknown(const struct verify *verify, struct json_t *expected,
                         const struct json_t *found);

/* Compares the devices with the newest record of each, unless the journal goes on; and with their
 * rows in the view, likewise. */
enum status verify_device_topic(struct verify *verify, bool *goes_on) MUST_USE;
enum status verify_device_view(struct verify *verify, bool *goes_on) MUST_USE;

#endif
