/* The floor under any publisher of a backlog's results: takes the records that stand in some
 * topics, and then hands the same bytes to librdkafka once more, in transactions, a producer for
 * each partition as muster has one for each lane. Only the second half is measured.
 *
 * usage: publish_floor BOOTSTRAP TRANSACTIONS PREFIX OTHER_PREFIX TOPIC...
 *
 * The topics PREFIX and TOPIC are read, those of OTHER_PREFIX, with as many partitions, written;
 * TRANSACTIONS for each partition. Says `read` when it has read, goes on when its input has a line
 * or ends, and prints one JSON object. */
#include "tests/bench/client.h"

#include <string.h>
#include <unistd.h>

enum {
  TIMEOUT_MS = 60000,
  BATCH_COUNT = 10000,
  PARTITIONS_MAX = 64,
  NAME_SIZE = 256,
  TOPICS_MAX = 16,
  POLL_INTERVAL = 1000, /* records */
};

const char program[] = "publish_floor";

/* A topic as the consumer knows it and as each producer does. */
struct topic {
  const rd_kafka_topic_t *read;
  rd_kafka_topic_t *written[PARTITIONS_MAX];
};

/* Of one partition, in the order in which they were read: topic after topic. */
struct records {
  rd_kafka_message_t **items;
  size_t count, capacity;
};

static struct records lanes[PARTITIONS_MAX];
static int lane_count;
static struct topic topics[TOPICS_MAX];
static size_t topic_count;

static void need(rd_kafka_error_t *error, const char *what) {
  if (error != NULL) {
    die(what, rd_kafka_error_string(error));
  }
}

static rd_kafka_t *consumer_open(const char *bootstrap) {
  const char *const properties[][2] = {
      {"bootstrap.servers", bootstrap},
      {"group.id", "publish-floor"},
      {"enable.auto.commit", "false"},
      {"enable.partition.eof", "true"},
      {"queued.min.messages", "10000000"},
      {"queued.max.messages.kbytes", "2097151"},
      {NULL, NULL},
  };
  return client_open(RD_KAFKA_CONSUMER, NULL, properties);
}

static void add_topic(rd_kafka_t *consumer, const char *topic,
                      rd_kafka_topic_partition_list_t *partitions) {
  lane_count = partition_count(consumer, topic, TIMEOUT_MS);
  if (lane_count == 0 || lane_count > PARTITIONS_MAX) {
    die(topic, "no such topic, or too many partitions");
  }
  for (int partition = 0; partition < lane_count; partition++) {
    rd_kafka_topic_partition_list_add(partitions, topic, partition)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
  }
}

static struct topic *topic_of(const rd_kafka_message_t *message) {
  for (size_t i = 0; i < topic_count; i++) {
    if (topics[i].read == message->rkt) {
      return &topics[i];
    }
  }
  if (topic_count == TOPICS_MAX) {
    die(rd_kafka_topic_name(message->rkt), "a topic too many");
  }
  topics[topic_count].read = message->rkt;
  return &topics[topic_count++];
}

static void keep(rd_kafka_message_t *message) {
  (void)topic_of(message);
  struct records *const records = &lanes[message->partition];
  if (records->count == records->capacity) {
    records->capacity = records->capacity * 2 + 1024;
    records->items = realloc(records->items, records->capacity * sizeof(rd_kafka_message_t *));
    if (records->items == NULL) {
      die("memory", "none left");
    }
  }
  records->items[records->count++] = message;
}

/* Every partition up to its end. The messages stay, and so does their client. */
static void take_all(rd_kafka_t *consumer, int partition_count) {
  rd_kafka_queue_t *const queue = rd_kafka_queue_get_consumer(consumer);
  rd_kafka_message_t **const messages = malloc(BATCH_COUNT * sizeof(rd_kafka_message_t *));
  while (partition_count > 0) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue, TIMEOUT_MS, messages, BATCH_COUNT);
    if (count <= 0) {
      die("reading", "nothing came any more");
    }
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        keep(messages[i]);
      } else if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition_count--;
        rd_kafka_message_destroy(messages[i]);
      } else {
        die("reading", rd_kafka_message_errstr(messages[i]));
      }
    }
  }
  free(messages);
  rd_kafka_queue_destroy(queue);
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client, (void)opaque;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    die("publishing", rd_kafka_err2str(message->err));
  }
}

/* As a publisher is tuned (producers/publish_tune.c). */
static rd_kafka_t *producer_open(const char *bootstrap, const char *prefix, int lane) {
  char id[NAME_SIZE];
  snprintf(id, sizeof id, "publish-floor-%s%d", prefix, lane);
  const char *const properties[][2] = {
      {"bootstrap.servers", bootstrap},
      {"transactional.id", id},
      {"linger.ms", "0"},
      {"retry.backoff.ms", "5"},
      {"socket.nagle.disable", "true"},
      {"compression.codec", "lz4"},
      {"queue.buffering.max.messages", "200000"},
      {NULL, NULL},
  };
  rd_kafka_conf_t *const conf = rd_kafka_conf_new();
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
  return client_open(RD_KAFKA_PRODUCER, conf, properties);
}

static void open_topics(rd_kafka_t *producer, int lane, const char *prefix, size_t prefix_size) {
  for (size_t i = 0; i < topic_count; i++) {
    char name[NAME_SIZE];
    snprintf(name, sizeof name, "%s%s", prefix, rd_kafka_topic_name(topics[i].read) + prefix_size);
    topics[i].written[lane] = rd_kafka_topic_new(producer, name, NULL);
  }
}

static void produce(rd_kafka_t *producer, int lane, const rd_kafka_message_t *message) {
  rd_kafka_timestamp_type_t type;
  rd_kafka_headers_t *headers = NULL;
  rd_kafka_headers_t *copied = NULL;
  if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    copied = rd_kafka_headers_copy(headers);
  }
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      producer, RD_KAFKA_V_RKT(topic_of(message)->written[lane]), RD_KAFKA_V_PARTITION(lane),
      RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_KEY(message->key, message->key_len),
      RD_KAFKA_V_VALUE(message->payload, message->len),
      RD_KAFKA_V_TIMESTAMP(rd_kafka_message_timestamp(message, &type)), RD_KAFKA_V_HEADERS(copied),
      RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    die(rd_kafka_topic_name(message->rkt), rd_kafka_err2str(code));
  }
}

/* A transaction takes every so-manieth record, so that each has all topics, as batches have. */
static void publish(rd_kafka_t *producer, int lane, size_t first, size_t step) {
  const struct records *const records = &lanes[lane];
  need(rd_kafka_begin_transaction(producer), "begin");
  size_t count = 0;
  for (size_t i = first; i < records->count; i += step) {
    produce(producer, lane, records->items[i]);
    if (++count % POLL_INTERVAL == 0) {
      rd_kafka_poll(producer, 0);
    }
  }
  need(rd_kafka_commit_transaction(producer, TIMEOUT_MS), "commit");
}

int main(int argc, char **argv) {
  const size_t transactions = argc < 6 ? 0 : strtoul(argv[2], NULL, 10);
  if (transactions == 0) {
    fputs("usage: publish_floor BOOTSTRAP TRANSACTIONS PREFIX OTHER_PREFIX TOPIC...\n", stderr);
    return 2;
  }
  const char *const prefix = argv[3];
  rd_kafka_t *const consumer = consumer_open(argv[1]);
  rd_kafka_topic_partition_list_t *const partitions = rd_kafka_topic_partition_list_new(0);
  for (int i = 5; i < argc; i++) {
    char topic[NAME_SIZE];
    snprintf(topic, sizeof topic, "%s%s", prefix, argv[i]);
    add_topic(consumer, topic, partitions);
  }
  rd_kafka_assign(consumer, partitions);
  take_all(consumer, partitions->cnt);
  rd_kafka_assign(consumer, NULL);

  rd_kafka_t *producers[PARTITIONS_MAX];
  for (int lane = 0; lane < lane_count; lane++) {
    producers[lane] = producer_open(argv[1], argv[4], lane);
    open_topics(producers[lane], lane, argv[4], strlen(prefix));
    need(rd_kafka_init_transactions(producers[lane], TIMEOUT_MS), "init");
  }
  puts("read");
  fflush(stdout);
  (void)getchar();
  const double begun = cpu_seconds();
  size_t count = 0;
  for (int lane = 0; lane < lane_count; lane++) {
    for (size_t i = 0; i < transactions; i++) {
      publish(producers[lane], lane, i, transactions);
    }
    count += lanes[lane].count;
  }
  const double spent = cpu_seconds() - begun;
  printf("{\"records\": %zu, \"transactions\": %zu, \"cpu_seconds\": %.3f}\n", count,
         transactions * (size_t)lane_count, spent);
  fflush(stdout);
  _exit(0); /* the messages that were kept are the kernel's to take back */
}
