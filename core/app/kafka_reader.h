/* Reading a topic for a short command: to its present end, committed records alone.
 *
 * One partition after the other, each in offset order, so that the same topic reads the same
 * way every time. Joins no consumer group and commits nothing. */
#ifndef MUSTER_APP_KAFKA_READER_H
#define MUSTER_APP_KAFKA_READER_H

#include "core/app/config.h"

struct rd_kafka_message_s; /* rd_kafka_message_t in the files that include librdkafka */

/* Returns false to end the reading. The message is valid during the call. */
typedef bool (*kafka_message_fn)(void *context, const struct rd_kafka_message_s *message);

struct kafka_reading {
  const char *topic; /* without the prefix */
  int64_t partition; /* -1: all of them */
  int64_t offset;    /* of the first record wanted, in every partition read */
  bool follows;      /* goes on at the end, with all partitions at once, until told to stop */
  kafka_message_fn each;
  void *context;
};

/* A client that reads committed records, for who waits for some of his own. Ends with
 * rd_kafka_destroy. NULL on failure. */
struct rd_kafka_s *kafka_reader_open(const struct config *config, struct error *error);

/* The offsets [first, end) of committed records that a partition has now. */
struct kafka_bounds {
  int64_t first, end;
};
enum status kafka_bounds(struct rd_kafka_s *client, const char *whole_topic, int32_t partition,
                         struct kafka_bounds *bounds, struct error *error) MUST_USE;

/* What came instead of a record, if it is a reason to give up: the end of a partition is none, nor
 * is a broker that may come back. */
enum status kafka_reader_trouble(const struct rd_kafka_message_s *message, const char *whole_topic,
                                 struct error *error) MUST_USE;

/* STATUS_CONFIG when the topic is missing, STATUS_USAGE when the partition is, and
 * STATUS_UNAVAILABLE when nothing comes for KAFKA_DEADLINE_MS though more is there. */
enum status kafka_read(const struct config *config, const struct kafka_reading *reading,
                       struct error *error) MUST_USE;

#endif
