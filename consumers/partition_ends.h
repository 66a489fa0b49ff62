/* Where a partition begins and ends, asked of its leader in a bounded time. */
#ifndef MUSTER_CONSUMERS_PARTITION_ENDS_H
#define MUSTER_CONSUMERS_PARTITION_ENDS_H

#include "core/base.h"

struct rd_kafka_s; /* librdkafka's rd_kafka_t */

/* librdkafka's code, 0 when both are known: the offset of the first message, and the one after the
 * last that the client's isolation level shows. rd_kafka_query_watermark_offsets has a time limit
 * for finding the leader alone: when that is a broker that has just died, 2.0.2 keeps the request
 * for as long as the broker is away, and another leader does not help. */
int partition_ends(struct rd_kafka_s *client, const char *topic, int32_t partition, int timeout_ms,
                   int64_t *first, int64_t *next) MUST_USE;

#endif
