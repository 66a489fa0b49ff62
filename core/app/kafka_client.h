/* What every librdkafka client of the program shares: properties, errors, log. */
#ifndef MUSTER_APP_KAFKA_CLIENT_H
#define MUSTER_APP_KAFKA_CLIENT_H

#include "core/app/config.h"

struct kafka_property {
  const char *name;
  const char *value;
};

/* Of every client that reads: a broker that takes requests and answers none is given up after 5 s,
 * not after librdkafka's 60, and the checksums of what is read are looked at. */
#define KAFKA_READ_PROPERTIES                                                                      \
  {"socket.timeout.ms", "5000"}, {                                                                 \
    "check.crcs", "true"                                                                           \
  }

/* How long a full queue rests before more is asked for: by itself a second, in which a backlog's
 * lanes stand still. Debian 12's client (2.0.2) does not know it and looks at each answer. */
#define KAFKA_QUEUE_BACKOFF "fetch.queue.backoff.ms"

/* Opaque here: rd_kafka_conf_t *, rd_kafka_t * in the files that include librdkafka. */
struct rd_kafka_conf_s;
struct rd_kafka_s;
struct rd_kafka_metadata;

/* A configuration with the bootstrap servers, the settings about security, `extra` (may be NULL;
 * ends with a NULL name), then the user's -X properties (they win). NULL and STATUS_CONFIG text in
 * `error` when a property is refused. The caller owns the result until it hands it to rd_kafka_new.
 */
struct rd_kafka_conf_s *kafka_conf(const struct config *config, const struct kafka_property *extra,
                                   struct error *error);

/* A client of that configuration for short commands. Logs go to stderr only when
 * MUSTER_LOG_KAFKA is set. Ends with rd_kafka_destroy. NULL on failure. */
struct rd_kafka_s *kafka_open(const struct config *config, bool is_producer,
                              const struct kafka_property *extra, struct error *error);

enum { KAFKA_DEADLINE_MS = 30000 };

/* The number of partitions of prefix+name: STATUS_UNAVAILABLE past KAFKA_DEADLINE_MS,
 * STATUS_CONFIG when the topic is missing (the text says `muster topics create`). */
enum status kafka_partition_count(struct rd_kafka_s *client, const struct config *config,
                                  const char *name, int32_t *count, struct error *error) MUST_USE;

/* The partition that a key belongs to under the configured partitioner: murmur2 as the Java
 * client, or crc32, fnv1a as librdkafka's (consistent, fnv1a). `count` > 0. */
int32_t kafka_partition_of(enum partitioner partitioner, const void *key, size_t size,
                           int32_t count);

/* A monotonic clock for deadlines; tells nothing about the time of day. */
int64_t kafka_clock_mono_ms(void);

/* Metadata of every topic; never makes one. STATUS_UNAVAILABLE past the deadline, STATUS_CONFIG
 * when the broker refuses who we are; the client is one of kafka_open. The caller ends it with
 * rd_kafka_metadata_destroy. */
enum status kafka_metadata(struct rd_kafka_s *client, int64_t deadline_mono_ms,
                           const struct rd_kafka_metadata **metadata, struct error *error) MUST_USE;

/* Writes "Kafka: doing: reason", with librdkafka's newest complaint about a connection added
 * when `status` is STATUS_UNAVAILABLE. Returns `status`. */
enum status kafka_error(struct error *error, enum status status, const char *doing,
                        const char *reason) MUST_USE;

/* Adds librdkafka's newest complaint where an error tells the effect and not the cause: records of
 * a transaction that failed are said to be purged. */
void kafka_explain(struct error *error);

/* The topic's name without the prefix, which is optional on the command line. */
const char *kafka_topic_short(const struct config *config, const char *topic);

/* prefix+name; the caller frees it. */
char *kafka_topic_whole(const struct config *config, const char *name) MUST_USE;

#endif
