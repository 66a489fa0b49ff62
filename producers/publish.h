/* The transactional producer of one lane. Every call blocks: a lane's worker thread owns it. */
#ifndef MUSTER_PRODUCERS_PUBLISH_H
#define MUSTER_PRODUCERS_PUBLISH_H

#include "core/status.h"
#include "producers/encode.h"

struct publisher;
struct rd_kafka_conf_s;

struct publisher_options {
  struct rd_kafka_conf_s *conf; /* with the bootstrap servers and the user's properties; taken */
  const char *group_id;         /* the transactional.id is <group>.<prefix>lane-<p> */
  const char *topic_prefix;
  uint32_t lane;
  int64_t message_bytes_max; /* kafka.message_bytes_max; the producer takes 64 KiB more */
};

/* Makes the producer and initialises its transactions, which ends whatever an earlier owner of
 * the lane had open. Takes options->conf in every case. */
enum status publisher_open(const struct publisher_options *options, struct publisher **publisher,
                           struct error *error) MUST_USE;
void publisher_close(struct publisher *publisher); /* NULL is allowed */

/* Sends the records of all parts, in order, in one transaction, which is left open: no reader of
 * committed records sees them yet. They are not copied; nothing refers to them any more when this
 * returns, whatever the answer. Any answer but STATUS_OK says nothing about what is published:
 * close this publisher, open another, read the position. STATUS_FENCED: the lane has another
 * owner. STATUS_CONFIG: a topic is missing, or refuses a record for its size or timestamp, which
 * no repetition will change. */
enum status publisher_send(struct publisher *publisher, const struct span *parts, size_t part_count,
                           struct error *error) MUST_USE;

/* Commits what was sent; its answers are publisher_send's. A publisher that is closed instead
 * leaves its transaction for the lane's next one to end. */
enum status publisher_commit(struct publisher *publisher, struct error *error) MUST_USE;

/* Both, one after the other. */
enum status publisher_publish(struct publisher *publisher, const struct span *parts,
                              size_t part_count, struct error *error) MUST_USE;

/* The last journal record of a lane that a read_committed reader sees. */
struct journal_position {
  bool found;
  uint64_t batch;
  int64_t epoch;
};

/* Reads back from the last stable offset of muster.journal's partition `lane`, doubling, to the
 * last BATCH record. `conf` is taken. A commit is answered before its markers are written, so
 * this may lag behind one that has just succeeded; once publisher_open for the lane has returned,
 * what it finds is final: no earlier owner's transaction is still to come. STATUS_CONFIG: a topic
 * is missing, or its last record is no journal record of this lane. */
enum status journal_position_read(struct rd_kafka_conf_s *conf, const char *topic_prefix,
                                  uint32_t lane, struct journal_position *position,
                                  struct error *error) MUST_USE;

#endif
