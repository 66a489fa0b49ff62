/* What was emitted: a lane's partitions of the output topics, read side by side.
 *
 * A simple consumer's assignment: no group, no commits. Committed records alone, from where each
 * topic begins to where it ended when it was opened; records are copied, so that one can look
 * ahead. Memory is what is looked at. A lane's result topics, and its journal. */
#ifndef MUSTER_APP_FOUND_H
#define MUSTER_APP_FOUND_H

#include "consumers/fetch.h"
#include "core/app/config.h"
#include "producers/buffer.h"
#include "producers/encode.h"

/* One record, in the form of what is compared with it. Views live until it is popped. */
struct found_record {
  int64_t offset;
  struct outgoing message;
  struct buffer bytes; /* what the views look into */
};

/* What a result says of itself at its beginning: the same fields in the same order in every
 * schema, and headers of a dead letter. */
struct found_head {
  int64_t lane, seq;
  bool has_cause;
  struct span cause_topic; /* whole */
  int64_t cause_partition, cause_offset;
  bool has_subject;
  uint8_t subject[SUBJECT_SIZE];
};

/* What an audit entry says besides of persons. */
struct found_audit {
  struct found_head head;
  bool has_device;
  bool has_actor, has_target; /* who asked for it, and whom it is about: subjects */
  uint8_t actor[SUBJECT_SIZE], target[SUBJECT_SIZE];
};

struct found;

/* Where a partition begins and ends; asks again until KAFKA_DEADLINE_MS while nobody can tell. */
enum status found_bounds(struct fetch *fetch, const char *topic, int32_t partition, int64_t *first,
                         int64_t *end, struct error *error) MUST_USE;

/* Opens the topic of every kind of result and the journal's, in partition `lane`; not yet that of
 * the devices (RECORD_DEVICE), which found_open_devices adds. `fetch` outlives it. STATUS_CONFIG: a
 * topic is missing, or has no such partition. */
enum status found_open(struct fetch *fetch, const char *topic_prefix, uint32_t lane,
                       struct found **found, struct error *error) MUST_USE;
enum status found_open_devices(struct found *found, struct error *error) MUST_USE;

/* The same with the journal's topic alone. */
enum status found_open_journal(struct fetch *fetch, const char *topic_prefix, uint32_t lane,
                               struct found **found, struct error *error) MUST_USE;

/* Begins with the devices' first record again. */
enum status found_rewind_devices(struct found *found, struct error *error) MUST_USE;
void found_close(struct found *found); /* NULL is allowed */

/* The record that stands `ahead` places after the next one of that topic (an enum result_kind, or
 * RECORD_JOURNAL); NULL when the topic ends before it. Waits for what is on its way.
 * STATUS_UNAVAILABLE when nothing comes for 30 s though more is there. */
enum status found_peek(struct found *found, uint32_t record, size_t ahead,
                       const struct found_record **is, struct error *error) MUST_USE;
void found_pop(struct found *found, uint32_t record);

/* Asks once more where the topic ends: a transaction's partitions are marked one by one, so a
 * result may come into sight after its journal record. Tells whether there is more now. */
enum status found_look_again(struct found *found, uint32_t record, bool *has_more,
                             struct error *error) MUST_USE;

/* Goes on with the record at that offset. */
enum status found_seek(struct found *found, uint32_t record, int64_t offset,
                       struct error *error) MUST_USE;

/* Of the next record, which may not be there yet. */
int64_t found_position(const struct found *found, uint32_t record);

/* Where the partition began and ended when it was asked last. */
int64_t found_first(const struct found *found, uint32_t record);
int64_t found_end(const struct found *found, uint32_t record);

/* False when the record is none that this program writes to that topic. */
bool found_read_head(const struct found_record *record, const struct frames *frames,
                     struct found_head *head) MUST_USE;

/* The same of a record of RESULT_AUDIT, with what it says of persons. */
bool found_read_audit(const struct found_record *record, const struct frames *frames,
                      struct found_audit *audit) MUST_USE;

/* Of lane 0's audit entries, which alone tell what became of control messages: the next one, for
 * whoever reads another lane; NULL at the end. Valid until the next call, or found_close. */
enum status found_next_of_lane_0(struct found *found, const struct found_record **is,
                                 struct error *error) MUST_USE;
uint32_t found_lane(const struct found *found);

#endif
