#include "consumers/partition_ends.h"

#include <librdkafka/rdkafka.h>

/* `which` is RD_KAFKA_OFFSET_BEGINNING or RD_KAFKA_OFFSET_END, which stand for times, too. */
static rd_kafka_resp_err_t find(rd_kafka_t *client, const char *topic, int32_t partition,
                                int64_t which, int timeout_ms, int64_t *offset) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_t *asked = rd_kafka_topic_partition_list_add(list, topic, partition);
  asked->offset = which;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(client, list, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = asked->err;
  }
  *offset = asked->offset;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && *offset < 0) {
    code = RD_KAFKA_RESP_ERR__TIMED_OUT; /* no answer for this partition */
  }
  rd_kafka_topic_partition_list_destroy(list);
  return code;
}

int partition_ends(rd_kafka_t *client, const char *topic, int32_t partition, int timeout_ms,
                   int64_t *first, int64_t *next) {
  const rd_kafka_resp_err_t code =
      find(client, topic, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, first);
  return code != RD_KAFKA_RESP_ERR_NO_ERROR
             ? code
             : find(client, topic, partition, RD_KAFKA_OFFSET_END, timeout_ms, next);
}
