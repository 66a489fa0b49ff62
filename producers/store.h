/* PostgreSQL: one lane's connection. Takes the lane, loads it, commits its batches.
 *
 * Starting (open, take, load) blocks and is called off the loop. Committing does not block:
 * the connection is an fd and a step. A store is used by one thread at a time. */
#ifndef MUSTER_PRODUCERS_STORE_H
#define MUSTER_PRODUCERS_STORE_H

#include "core/device.h"
#include "core/journal.h"
#include "core/status.h"
#include "producers/buffer.h"

struct store;
struct journal_witness; /* producers/encode.h */

enum { OWNER_SIZE = 16 };

/* Who holds a lane: a process start's random id and the lane's epoch, which only grows. */
struct ownership_of_lane {
  uint32_t lane;
  uint8_t owner[OWNER_SIZE];
  int64_t epoch;
};

/* Where a lane stands: its last journal row, and the one that its device rows reflect, which may
 * be an earlier one. Zeros where there is none; not_believed lists are not loaded. */
struct lane_head {
  bool has_row; /* false: a lane that has never committed */
  struct journal_row row;
  struct journal_row checkpoint;
  uint64_t published_batch; /* a lower bound of the published position, 0 for none */
};

/* Connects and checks that every migration of this binary is there: STATUS_CONFIG names what is
 * missing and says `muster migrate`, or says what is wrong with the DSN; STATUS_UNAVAILABLE when
 * there is no answer or a wrong password (the text says which). The caller owns `store`. */
enum status store_open(const char *dsn, struct store **store, struct error *error) MUST_USE;
void store_close(struct store *store); /* NULL is allowed; drops what is under way */

/* Takes a lane: ends the previous owner's recorded backend, waits for the row lock, raises the
 * epoch above the stored one and above `epoch_above`, records this backend and the owner.
 * Fills lane->epoch and `head`. A lane count or a topic prefix that differs from the stored one
 * is STATUS_CONFIG naming both. A store takes one lane, before anything else but loading. */
enum status store_take_lane(struct store *store, struct ownership_of_lane *lane,
                            uint32_t lane_count, const char *topic_prefix, int64_t epoch_above,
                            struct lane_head *head, struct error *error) MUST_USE;

/* Hands every device of the lane to `each`, in order of its number, without its last change and its
 * user's address; views are valid during the call. The places in the lane's tables (state.serial,
 * person, timer, ...) are 0. Streams: memory does not grow with the lane. */
typedef void (*store_device_fn)(void *context, const struct device_image *device,
                                struct span user_email);
enum status store_load_devices(struct store *store, uint32_t lane, store_device_fn each,
                               void *context, struct error *error) MUST_USE;

/* Hands over the addresses of the lane's persons; of one that was erased there is none. Others'
 * may be among them: with few lanes it costs less to read them than to tell them apart. */
typedef void (*store_person_fn)(void *context, const uint8_t subject[SUBJECT_SIZE],
                                struct span user_email);
enum status store_load_persons(struct store *store, uint32_t lane, store_person_fn each,
                               void *context, struct error *error) MUST_USE;

/* STATUS_FENCED when the lane has another owner by now. Called behind several readings: where its
 * former owner's backend cannot be ended, another may have committed between two of them. */
enum status store_check_owner(struct store *store, const struct ownership_of_lane *lane,
                              struct error *error) MUST_USE;

/* Hands over what the batches after `batch` and up to `batch_last` recorded, in order: for each
 * journal row first `row`, then its environment's content if that row began a new one, its
 * results in number order with addresses joined in, and at the very end the devices whose last
 * change that is stored came after `batch`, in order of their number. Without `result` (NULL),
 * journal rows and environments alone. `witness` tells who committed the row. Views and texts are
 * valid during the call. What a dead letter leaves out (too_large, never_collected) was not kept:
 * there its original's value, and of too_large the headers, are empty. */
struct store_replay {
  void *context;
  void (*row)(void *context, const struct journal_row *row, const struct journal_witness *witness);
  void (*environment)(void *context, const struct journal_row *row,
                      const struct journal_witness *witness, struct span content);
  void (*result)(void *context, const struct result *result, struct span user_email);
  void (*device)(void *context, const struct device_image *device, struct span user_email);
};
enum status store_load_batches(struct store *store, uint32_t lane, uint64_t batch,
                               uint64_t batch_last, const struct store_replay *replay,
                               struct error *error) MUST_USE;

/* A control message that changed what the lane knows beside its devices, as it is kept: who is
 * named by subject alone (an `email` that is not empty tells that somebody is). */
struct store_control {
  uint64_t batch;
  int64_t at_ms; /* the lane's clock */
  struct cause cause;
  struct event event; /* of a policy with its text, if it is kept; without what was compiled */
};

/* Hands over what batches up to `batch` kept, in order; views are valid during the call. */
typedef void (*store_control_fn)(void *context, const struct store_control *control);
enum status store_load_control(struct store *store, uint32_t lane, uint64_t batch,
                               store_control_fn each, void *context, struct error *error) MUST_USE;

/* Appends one to a batch's `control`: a policy with its rules' ids, which is kept once. */
void store_append_control(struct buffer *rows, uint32_t lane, const struct store_control *control,
                          struct rule_names rules);

/* The columns of a row in COPY, named once, with ", " between: rows are written and read in this
 * order. */
extern const char store_device_columns[];
extern const char store_block_columns[];
extern const char store_dates_columns[];
extern const char store_result_columns[];

/* Rows as they are decided, in binary COPY form without header and trailer. A result of kind
 * DEAD_LETTER also appends to `letters`. A device's row comes without its dates: they are its
 * block's, or the device's at `index` of its lane, which has a place in a block already. */
void store_append_result(struct buffer *rows, struct buffer *letters, uint32_t lane, uint64_t batch,
                         const struct result *result);
void store_append_device(struct buffer *rows, const struct device_image *device);
void store_append_block(struct buffer *rows, const struct device_block *block);
void store_append_dates(struct buffer *rows, uint32_t lane, uint32_t index,
                        const struct device_dates *dates);
void store_append_person(struct buffer *rows, const uint8_t subject[SUBJECT_SIZE],
                         struct span user_email);

/* What is written of devices, in this order. What has no row yet goes straight in, twice as fast as
 * what has one; rows of new devices are is_changed. KNOWN_DATES move one device of a block that has
 * it, the only one of its block that moved: 80 bytes for 1,400. */
enum device_part {
  NEW_DEVICES,
  KNOWN_DEVICES,
  NEW_BLOCKS,
  KNOWN_BLOCKS,
  KNOWN_DATES,
  DEVICE_PART_COUNT
};

/* Device rows that are made while they are sent, because there are too many to be held. */
struct store_devices {
  bool has[DEVICE_PART_COUNT];
  void *context;
  /* Replaces what is in `rows` by some more rows of the part. False: there are no more of these. */
  bool (*next)(void *context, enum device_part part, struct buffer *rows);
};

/* One batch, or device rows alone. What it points to stays valid until the commit has ended. */
struct store_batch {
  const struct ownership_of_lane *lane;
  const struct journal_row *row; /* NULL: device rows alone */
  uint64_t checkpoint_batch;     /* with this, all device rows reflect that batch; 0: as before */
  int64_t committed_at_ms;       /* wall clock; beside the row, outside the chain */
  uint64_t published_batch;      /* a lower bound known now; dead letters' bytes up to it go */
  bool clears_gaps;              /* the lane lacks nothing: what it was halted before goes */
  struct span environment;       /* content to record, or empty when it is known */
  struct span persons;           /* store_append_person rows; written ahead, insert or nothing */
  struct span devices[DEVICE_PART_COUNT]; /* store_append_device's, _block's and _dates' */
  struct store_devices streamed;          /* instead of `devices`; a `next` of NULL: none */
  struct span results;                    /* store_append_result rows */
  struct span control;                    /* store_append_control's */
  struct span letters; /* original bytes of dead letters, until they are published */
};

/* Starts the commit: the persons in a transaction of their own when there are any, then one
 * transaction, the fence first. */
enum status store_commit_begin(struct store *store, const struct store_batch *batch,
                               struct error *error) MUST_USE;

/* Goes on as far as it can without blocking; call it when the fd is ready. `done` tells whether
 * a commit has ended; between two it finds out when the connection has. STATUS_FENCED: another
 * owner has the lane. STATUS_UNAVAILABLE: the outcome may be unknown; take the lane again and read.
 * STATUS_REFUSED: the database finds the rows themselves wrong (SQLSTATE 22, 23); nothing is
 * written and trying again is of no use: a defect to report. STATUS_CONFIG: a right or a table is
 * missing. In any of these cases nothing more can be done with this store but closing it. */
enum status store_advance(struct store *store, bool *done, struct error *error) MUST_USE;

/* Watch the fd for reading always, for writing only while the store wants it. */
int store_fd(const struct store *store);
bool store_wants_write(const struct store *store);

/* Runs the binary's numbered migrations that the database lacks, each in a transaction, under an
 * advisory lock; creates the roles and, with `keeps_subject_key`, the subject key where they are
 * missing and it may. Says what it did and skipped through `say`, a line without its end at a
 * time. STATUS_CONFIG: the database does not let this user create the schema. */
enum status store_migrate(const char *dsn, bool keeps_subject_key,
                          void (*say)(void *context, const char *line), void *context,
                          struct error *error) MUST_USE;

enum { SUBJECT_KEY_SIZE = 32 };

/* The key that `migrate` made and keeps in the database; STATUS_CONFIG when there is none. */
enum status store_subject_key(const char *dsn, uint8_t key[SUBJECT_KEY_SIZE],
                              struct error *error) MUST_USE;

#endif
