#include "core/app/lag.h"

#include "consumers/partition_ends.h"
#include "core/app/kafka_client.h"
#include "core/app/text.h"
#include "core/event.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 100, FIRST_MESSAGES_DEADLINE_MS = 10000 };

static const struct timespec retry_pause = {.tv_nsec = 50 * 1000 * 1000};

/* Small fetches: of each partition the first message is all that is wanted. */
static const struct kafka_property properties[] = {
    {"isolation.level", "read_committed"},
    {"enable.partition.eof", "true"},
    {"enable.auto.commit", "false"},
    {"fetch.wait.max.ms", "10"},
    {"fetch.message.max.bytes", "65536"},
    {"allow.auto.create.topics", "false"},
    KAFKA_READ_PROPERTIES,
    {NULL, NULL},
};

enum status lag_lane_count(const struct config *config, int32_t *count, struct error *error) {
  rd_kafka_t *const client = kafka_open(config, false, properties, error);
  if (client == NULL) {
    return STATUS_CONFIG;
  }
  const enum status status =
      kafka_partition_count(client, config, topic_name(TOPIC_ENROLLMENTS), count, error);
  rd_kafka_destroy(client);
  return status;
}

/* What a topic made a moment ago, or a broker about to come up, answers. */
static bool is_passing(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
}

static enum status find_end(rd_kafka_t *client, const struct config *config, struct lag *lag,
                            struct error *error) {
  const int64_t deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  char *const name = kafka_topic_whole(config, lag->topic);
  int64_t start = 0;
  rd_kafka_resp_err_t code;
  for (;;) {
    const int64_t left_ms = deadline_mono_ms - kafka_clock_mono_ms();
    code = left_ms <= 0 ? RD_KAFKA_RESP_ERR__TIMED_OUT
                        : partition_ends(client, name, lag->partition, (int)left_ms, &start,
                                         &lag->end_offset);
    if (!is_passing(code)) {
      break;
    }
    nanosleep(&retry_pause, NULL);
  }
  enum status status = STATUS_OK;
  if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
      code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
    status = error_set(error, STATUS_CONFIG,
                       "Kafka topic %s has no partition %d: run `muster topics create`", name,
                       (int)lag->partition);
  } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    status = kafka_error(error, STATUS_UNAVAILABLE, name, rd_kafka_err2str(code));
  }
  if (lag->next_offset < start) {
    lag->next_offset = start;
  }
  lag->messages = lag->end_offset > lag->next_offset ? lag->end_offset - lag->next_offset : 0;
  lag->waiting_since_ms = -1;
  free(name);
  return status;
}

/* The partitions whose first waiting message is being fetched. */
struct fetching {
  rd_kafka_queue_t *queue;
  rd_kafka_topic_t **topics; /* one a lag; NULL when nothing is fetched for it */
  struct lag *lags;
  size_t count;
  size_t open_count;
};

static enum status start(struct fetching *fetching, rd_kafka_t *client, const struct config *config,
                         struct error *error) {
  for (size_t i = 0; i < fetching->count; i++) {
    const struct lag *const lag = &fetching->lags[i];
    if (lag->messages == 0) {
      continue;
    }
    char *const name = kafka_topic_whole(config, lag->topic);
    fetching->topics[i] = rd_kafka_topic_new(client, name, NULL);
    free(name);
    if (fetching->topics[i] == NULL ||
        rd_kafka_consume_start_queue(fetching->topics[i], lag->partition, lag->next_offset,
                                     fetching->queue) != 0) {
      return kafka_error(error, STATUS_UNAVAILABLE, lag->topic,
                         rd_kafka_err2str(rd_kafka_last_error()));
    }
    fetching->open_count++;
  }
  return STATUS_OK;
}

/* The lag that a message, or the end of a partition, belongs to; NULL for other events. */
static struct lag *lag_of(const struct fetching *fetching, const rd_kafka_message_t *message) {
  for (size_t i = 0; message->rkt != NULL && i < fetching->count; i++) {
    if (fetching->topics[i] != NULL && fetching->lags[i].partition == message->partition &&
        strcmp(rd_kafka_topic_name(fetching->topics[i]), rd_kafka_topic_name(message->rkt)) == 0) {
      return &fetching->lags[i];
    }
  }
  return NULL;
}

static void take(struct fetching *fetching, bool *is_known, const rd_kafka_message_t *message) {
  struct lag *const lag = lag_of(fetching, message);
  const bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
  if (lag == NULL || is_known[lag - fetching->lags] ||
      (!is_end && message->err != RD_KAFKA_RESP_ERR_NO_ERROR)) {
    return;
  }
  is_known[lag - fetching->lags] = true;
  fetching->open_count--;
  if (is_end) {
    lag->messages = 0; /* what lay between was no message: a transaction's markers */
    return;
  }
  rd_kafka_timestamp_type_t type;
  lag->waiting_since_ms = rd_kafka_message_timestamp(message, &type);
}

/* What does not come in time stays unknown: the number of messages is known by now. */
static void wait_for_first(struct fetching *fetching) {
  const int64_t deadline_mono_ms = kafka_clock_mono_ms() + FIRST_MESSAGES_DEADLINE_MS;
  bool *const is_known = memory_zeroed(fetching->count, sizeof is_known[0]);
  while (fetching->open_count > 0 && kafka_clock_mono_ms() < deadline_mono_ms) {
    rd_kafka_message_t *const message = rd_kafka_consume_queue(fetching->queue, POLL_MS);
    if (message != NULL) {
      take(fetching, is_known, message);
      rd_kafka_message_destroy(message);
    }
  }
  free(is_known);
}

static enum status find_first(rd_kafka_t *client, const struct config *config, struct lag *lags,
                              size_t count, struct error *error) {
  struct fetching fetching = {.queue = rd_kafka_queue_new(client),
                              .topics = memory_zeroed(count, sizeof(rd_kafka_topic_t *)),
                              .lags = lags,
                              .count = count};
  const enum status status = start(&fetching, client, config, error);
  if (status == STATUS_OK) {
    wait_for_first(&fetching);
  }
  for (size_t i = 0; i < count; i++) {
    if (fetching.topics[i] != NULL) {
      rd_kafka_consume_stop(fetching.topics[i], lags[i].partition);
      rd_kafka_topic_destroy(fetching.topics[i]);
    }
  }
  free(fetching.topics);
  rd_kafka_queue_destroy(fetching.queue);
  return status;
}

enum status lag_measure(const struct config *config, struct lag *lags, size_t count,
                        struct error *error) {
  rd_kafka_t *const client = kafka_open(config, false, properties, error);
  if (client == NULL) {
    return STATUS_CONFIG;
  }
  enum status status = STATUS_OK;
  for (size_t i = 0; i < count && status == STATUS_OK; i++) {
    status = find_end(client, config, &lags[i], error);
  }
  if (status == STATUS_OK) {
    status = find_first(client, config, lags, count, error);
  }
  rd_kafka_destroy(client);
  return status;
}
