#include "core/app/kafka_reader.h"

#include "consumers/partition_ends.h"
#include "core/app/kafka_client.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100 };

struct reader {
  const struct kafka_reading *reading;
  rd_kafka_t *client;
  rd_kafka_topic_t *topic;
  char *topic_name;
  int32_t partition_count;
  struct kafka_bounds *bounds; /* one a partition */
  bool stopped;                /* `each` wants no more */
};

static bool wants_partition(const struct reader *reader, int32_t partition) {
  return reader->reading->partition < 0 || reader->reading->partition == partition;
}

static enum status fail(const struct reader *reader, const char *reason, struct error *error) {
  return kafka_error(error, STATUS_UNAVAILABLE, reader->topic_name, reason);
}

/* At read_committed the end is the last stable offset. */
enum status kafka_bounds(struct rd_kafka_s *client, const char *whole_topic, int32_t partition,
                         struct kafka_bounds *bounds, struct error *error) {
  const int64_t deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  for (;;) {
    const int64_t left_ms = deadline_mono_ms - kafka_clock_mono_ms();
    if (left_ms <= 0) {
      return kafka_error(error, STATUS_UNAVAILABLE, whole_topic, "no answer in time");
    }
    const rd_kafka_resp_err_t code =
        partition_ends(client, whole_topic, partition, (int)left_ms, &bounds->first, &bounds->end);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return STATUS_OK;
    }
    if (code != RD_KAFKA_RESP_ERR__TRANSPORT && code != RD_KAFKA_RESP_ERR__TIMED_OUT &&
        code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE &&
        code != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION) {
      return kafka_error(error, STATUS_UNAVAILABLE, whole_topic, rd_kafka_err2str(code));
    }
  }
}

enum status kafka_reader_trouble(const struct rd_kafka_message_s *message, const char *whole_topic,
                                 struct error *error) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
      message->err == RD_KAFKA_RESP_ERR__TRANSPORT ||
      message->err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
    return STATUS_OK; /* the caller's deadline decides */
  }
  return kafka_error(error, STATUS_UNAVAILABLE, whole_topic, rd_kafka_message_errstr(message));
}

/* Deals with what is no record. `at_end` becomes true at the end of a partition. */
static enum status take_error(const struct reader *reader, const rd_kafka_message_t *message,
                              int64_t end, bool *at_end, struct error *error) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    *at_end = message->offset >= end;
  }
  return kafka_reader_trouble(message, reader->topic_name, error);
}

static enum status partition_read(struct reader *reader, int32_t partition, int64_t end,
                                  struct error *error) {
  int64_t deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  enum status status = STATUS_OK;
  bool at_end = false;
  while (status == STATUS_OK && !at_end && !reader->stopped) {
    rd_kafka_message_t *const message = rd_kafka_consume(reader->topic, partition, POLL_MS);
    if (message == NULL) {
      if (kafka_clock_mono_ms() > deadline_mono_ms) {
        return fail(reader, "nothing comes", error);
      }
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = take_error(reader, message, end, &at_end, error);
    } else {
      deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
      at_end = message->offset >= end - 1;
      if (message->offset < end) {
        reader->stopped = !reader->reading->each(reader->reading->context, message);
      }
    }
    rd_kafka_message_destroy(message);
  }
  return status;
}

static enum status partition_visit(struct reader *reader, int32_t partition, struct error *error) {
  const struct kafka_bounds bounds = reader->bounds[partition];
  if (bounds.first >= bounds.end) {
    return STATUS_OK;
  }
  if (rd_kafka_consume_start(reader->topic, partition, bounds.first) != 0) {
    return fail(reader, rd_kafka_err2str(rd_kafka_last_error()), error);
  }
  const enum status status = partition_read(reader, partition, bounds.end, error);
  rd_kafka_consume_stop(reader->topic, partition);
  return status;
}

static enum status follow_queue(struct reader *reader, rd_kafka_queue_t *queue,
                                struct error *error) {
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !reader->stopped) {
    rd_kafka_message_t *const message = rd_kafka_consume_queue(queue, POLL_MS);
    if (message == NULL) {
      continue; /* a broker that is away may come back */
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      reader->stopped = !reader->reading->each(reader->reading->context, message);
    } else {
      bool at_end;
      status = take_error(reader, message, INT64_MAX, &at_end, error);
    }
    rd_kafka_message_destroy(message);
  }
  return status;
}

static enum status follow(struct reader *reader, struct error *error) {
  rd_kafka_queue_t *const queue = rd_kafka_queue_new(reader->client);
  enum status status = STATUS_OK;
  int32_t started;
  for (started = 0; started < reader->partition_count && status == STATUS_OK; started++) {
    if (wants_partition(reader, started) &&
        rd_kafka_consume_start_queue(reader->topic, started, reader->bounds[started].first,
                                     queue) != 0) {
      status = fail(reader, rd_kafka_err2str(rd_kafka_last_error()), error);
    }
  }
  if (status == STATUS_OK) {
    status = follow_queue(reader, queue, error);
  }
  for (int32_t p = 0; p < started; p++) {
    if (wants_partition(reader, p)) {
      rd_kafka_consume_stop(reader->topic, p);
    }
  }
  rd_kafka_queue_destroy(queue);
  return status;
}

static enum status read_partitions(struct reader *reader, struct error *error) {
  if (reader->reading->partition >= reader->partition_count) {
    return error_set(error, STATUS_USAGE, "%s has %" PRId32 " partitions, counted from 0",
                     reader->topic_name, reader->partition_count);
  }
  /* All ends before the first record: what the reading itself brings about is not read. */
  enum status status = STATUS_OK;
  for (int32_t p = 0; p < reader->partition_count && status == STATUS_OK; p++) {
    if (wants_partition(reader, p)) {
      struct kafka_bounds *const bounds = &reader->bounds[p];
      status = kafka_bounds(reader->client, reader->topic_name, p, bounds, error);
      if (bounds->first < reader->reading->offset) {
        bounds->first = reader->reading->offset;
      }
    }
  }
  if (reader->reading->follows && status == STATUS_OK) {
    return follow(reader, error);
  }
  for (int32_t p = 0; p < reader->partition_count && status == STATUS_OK; p++) {
    if (wants_partition(reader, p) && !reader->stopped) {
      status = partition_visit(reader, p, error);
    }
  }
  return status;
}

struct rd_kafka_s *kafka_reader_open(const struct config *config, struct error *error) {
  /* A short wait: at its end a partition answers that there is nothing more only after it. */
  static const struct kafka_property properties[] = {
      {"isolation.level", "read_committed"},
      {"enable.partition.eof", "true"},
      {"enable.auto.commit", "false"},
      {"fetch.wait.max.ms", "10"},
      {"fetch.error.backoff.ms", "50"},
      {"fetch.message.max.bytes", "8388608"},
      {KAFKA_QUEUE_BACKOFF, "10"},
      {"allow.auto.create.topics", "false"},
      KAFKA_READ_PROPERTIES,
      {NULL, NULL},
  };
  return kafka_open(config, false, properties, error);
}

enum status kafka_read(const struct config *config, const struct kafka_reading *reading,
                       struct error *error) {
  struct reader reader = {.reading = reading};
  reader.client = kafka_reader_open(config, error);
  if (reader.client == NULL) {
    return STATUS_CONFIG;
  }
  enum status status =
      kafka_partition_count(reader.client, config, reading->topic, &reader.partition_count, error);
  if (status == STATUS_OK) {
    reader.topic_name = kafka_topic_whole(config, reading->topic);
    reader.topic = rd_kafka_topic_new(reader.client, reader.topic_name, NULL);
    assert(reader.topic != NULL);
    reader.bounds = memory_zeroed((size_t)reader.partition_count, sizeof *reader.bounds);
    status = read_partitions(&reader, error);
    free(reader.bounds);
    rd_kafka_topic_destroy(reader.topic);
    free(reader.topic_name);
  }
  rd_kafka_destroy(reader.client);
  return status;
}
