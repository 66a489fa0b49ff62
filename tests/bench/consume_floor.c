/* The floor under any reader of a backlog: takes all that stands in some topics with
 * librdkafka's batch interface, looks at nothing, and says how long that took.
 *
 * usage: consume_floor BOOTSTRAP TOPIC...    prints one JSON object */
#include "tests/bench/client.h"

#include <inttypes.h>

enum { TIMEOUT_MS = 20000, BATCH_COUNT = 10000 };

const char program[] = "consume_floor";

struct tally {
  int64_t wanted, taken, bytes;
};

/* Reads far ahead: nothing here takes its time with a message. */
static rd_kafka_t *consumer_open(const char *bootstrap) {
  const char *const properties[][2] = {
      {"bootstrap.servers", bootstrap},
      {"group.id", "consume-floor"},
      {"enable.auto.commit", "false"},
      {"auto.offset.reset", "error"},
      {"check.crcs", "false"},
      {"fetch.wait.max.ms", "10"},
      {"queued.min.messages", "1000000"},
      {"queued.max.messages.kbytes", "262144"},
      {NULL, NULL},
  };
  return client_open(RD_KAFKA_CONSUMER, NULL, properties);
}

/* Adds all partitions of the topic, from their first message on. */
static void topic_add(rd_kafka_t *consumer, const char *topic,
                      rd_kafka_topic_partition_list_t *partitions, struct tally *tally) {
  const int count = partition_count(consumer, topic, TIMEOUT_MS);
  for (int partition = 0; partition < count; partition++) {
    int64_t first;
    int64_t end;
    const rd_kafka_resp_err_t error =
        rd_kafka_query_watermark_offsets(consumer, topic, partition, &first, &end, TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      die(topic, rd_kafka_err2str(error));
    }
    tally->wanted += end - first;
    rd_kafka_topic_partition_list_add(partitions, topic, partition)->offset = first;
  }
}

/* Without transactions among them every offset is a message: all wanted are taken some day. */
static void take_all(rd_kafka_t *consumer, struct tally *tally) {
  rd_kafka_queue_t *const queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_message_t **const messages = malloc(BATCH_COUNT * sizeof *messages);
  double idle_since = seconds_now();
  while (tally->taken < tally->wanted) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH_COUNT);
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        tally->taken++;
        tally->bytes += (int64_t)messages[i]->len;
      }
      rd_kafka_message_destroy(messages[i]);
    }
    if (count > 0) {
      idle_since = seconds_now();
    } else if (seconds_now() - idle_since > TIMEOUT_MS / 1000.0) {
      die("reading", "nothing came any more");
    }
  }
  free(messages);
  rd_kafka_queue_destroy(queue);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fputs("usage: consume_floor BOOTSTRAP TOPIC...\n", stderr);
    return 2;
  }
  struct tally tally = {0};
  rd_kafka_t *const consumer = consumer_open(argv[1]);
  rd_kafka_topic_partition_list_t *const partitions = rd_kafka_topic_partition_list_new(0);
  for (int i = 2; i < argc; i++) {
    topic_add(consumer, argv[i], partitions, &tally);
  }
  const double began = seconds_now();
  rd_kafka_assign(consumer, partitions);
  take_all(consumer, &tally);
  const double seconds = seconds_now() - began;
  printf("{\"messages\": %" PRId64 ", \"bytes\": %" PRId64
         ", \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
         tally.taken, tally.bytes, seconds, cpu_seconds());
  rd_kafka_topic_partition_list_destroy(partitions);
  rd_kafka_destroy(consumer);
  return 0;
}
