/* The floor under any reader of a backlog: takes all that stands in some topics with
 * librdkafka's batch interface, looks at nothing, and says how long that took.
 *
 * usage: consume_floor BOOTSTRAP TOPIC...    prints one JSON object */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { TIMEOUT_MS = 20000, BATCH_COUNT = 10000, ERROR_SIZE = 512 };

struct tally {
  int64_t wanted, taken, bytes;
};

static void die(const char *what, const char *reason) {
  fprintf(stderr, "consume_floor: %s: %s\n", what, reason);
  exit(1);
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_of(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

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
  };
  char error[ERROR_SIZE];
  rd_kafka_conf_t *const conf = rd_kafka_conf_new();
  for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
    if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], error, sizeof error) !=
        RD_KAFKA_CONF_OK) {
      die(properties[i][0], error);
    }
  }
  rd_kafka_t *const consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
  if (consumer == NULL) {
    die(bootstrap, error);
  }
  rd_kafka_poll_set_consumer(consumer);
  return consumer;
}

/* Adds all partitions of the topic, from their first message on. */
static void topic_add(rd_kafka_t *consumer, const char *topic,
                      rd_kafka_topic_partition_list_t *partitions, struct tally *tally) {
  const rd_kafka_metadata_t *metadata;
  rd_kafka_topic_t *const handle = rd_kafka_topic_new(consumer, topic, NULL);
  rd_kafka_resp_err_t error = rd_kafka_metadata(consumer, 0, handle, &metadata, TIMEOUT_MS);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    error = metadata->topics[0].err;
  }
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    die(topic, rd_kafka_err2str(error));
  }
  for (int partition = 0; partition < metadata->topics[0].partition_cnt; partition++) {
    int64_t first;
    int64_t end;
    error = rd_kafka_query_watermark_offsets(consumer, topic, partition, &first, &end, TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      die(topic, rd_kafka_err2str(error));
    }
    tally->wanted += end - first;
    rd_kafka_topic_partition_list_add(partitions, topic, partition)->offset = first;
  }
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
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

  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"messages\": %" PRId64 ", \"bytes\": %" PRId64
         ", \"seconds\": %.3f, \"cpu_seconds\": %.3f}\n",
         tally.taken, tally.bytes, seconds,
         seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
  rd_kafka_topic_partition_list_destroy(partitions);
  rd_kafka_destroy(consumer);
  return 0;
}
