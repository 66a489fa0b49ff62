/* Reads a journal partition from its end. Offsets are no measure of records: every transaction
 * leaves a marker, and an aborted one leaves records that nobody may see. So the stretch that is
 * read doubles until a BATCH record is in it, or it reaches the start. */
#include "producers/publish.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <time.h>

enum {
  READ_TIMEOUT_MS = 30000,
  ENDS_TIMEOUT_MS = 5000,       /* then a new client asks again, who may lead included */
  MISSING_TOPIC_WAIT_MS = 2000, /* one just created may not be known to every broker yet */
  STRETCH_FIRST = 64,           /* offsets */
  SINGLE_OBJECT_SIZE = 10,
  CONFLUENT_SIZE = 5,
};

struct reader {
  rd_kafka_t *client;
  rd_kafka_topic_t *topic;
  char name[512];
  uint32_t lane;
  int64_t deadline_ms;
  char reason[256]; /* the client's last word about a connection */
};

static int64_t mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int left_ms(const struct reader *reader) {
  const int64_t left = reader->deadline_ms - mono_ms();
  return left > 0 ? (int)left : 0;
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
  (void)client;
  (void)code;
  struct reader *const reader = opaque;
  snprintf(reader->reason, sizeof reader->reason, "%s", reason);
}

static bool take_long(struct span *from, int64_t *value) {
  uint64_t bits = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from->size == 0) {
      return false;
    }
    const uint8_t byte = from->data[0];
    *from = span_of(from->data + 1, from->size - 1);
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
      return true;
    }
  }
  return false;
}

/* What stands at the front of a JournalRecord, in every version of its schema. */
struct front {
  int64_t kind; /* 0: BATCH, 1: ENVIRONMENT */
  int64_t lane;
  int64_t batch;
  int64_t epoch;
};

static bool front_read(struct span value, struct front *front) {
  if (value.size == 0) {
    return false;
  }
  const size_t frame_size = value.data[0] == 0 ? CONFLUENT_SIZE : SINGLE_OBJECT_SIZE;
  if (value.size <= frame_size || (value.data[0] != 0 && value.data[0] != 0xc3)) {
    return false;
  }
  struct span body = span_of(value.data + frame_size, value.size - frame_size);
  return take_long(&body, &front->kind) && take_long(&body, &front->lane) &&
         take_long(&body, &front->batch) && take_long(&body, &front->epoch) &&
         (front->kind == 0 || front->kind == 1) && front->batch >= 1 && front->epoch >= 0;
}

static enum status fail(struct reader *reader, rd_kafka_resp_err_t code, struct error *error) {
  rd_kafka_poll(reader->client, 0); /* for the last words about connections */
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
      code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
    return error_set(error, STATUS_CONFIG,
                     "topic %s has no partition %u; run `muster topics create`", reader->name,
                     reader->lane);
  }
  return error_set(error, STATUS_UNAVAILABLE, "read the end of %s, partition %u: %s%s%s",
                   reader->name, reader->lane, rd_kafka_err2str(code),
                   reader->reason[0] != '\0' ? "; " : "", reader->reason);
}

/* One record; false when it is of no concern. An unreadable one is remembered, since it may be
 * newer than what is found. */
static void take_record(const struct reader *reader, const rd_kafka_message_t *message,
                        struct journal_position *position, int64_t *unreadable_offset) {
  struct front front;
  const struct span value = span_of(message->payload, message->payload ? message->len : 0);
  if (!front_read(value, &front) || front.lane != (int64_t)reader->lane) {
    *unreadable_offset = message->offset;
    return;
  }
  if (front.kind == 0) {
    *position = (struct journal_position){
        .found = true, .batch = (uint64_t)front.batch, .epoch = front.epoch};
    *unreadable_offset = -1;
  }
}

/* Reads from `from` up to the end that a committed reader sees. */
static enum status read_stretch(struct reader *reader, int64_t from, int64_t to,
                                struct journal_position *position, struct error *error) {
  const int32_t partition = (int32_t)reader->lane;
  int64_t unreadable_offset = -1;
  if (rd_kafka_consume_start(reader->topic, partition, from) != 0) {
    return fail(reader, rd_kafka_last_error(), error);
  }
  enum status status = STATUS_OK;
  for (bool ended = false; !ended;) {
    rd_kafka_message_t *const message = rd_kafka_consume(reader->topic, partition, left_ms(reader));
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (message != NULL) {
      code = message->err;
      ended = code == RD_KAFKA_RESP_ERR__PARTITION_EOF || message->offset >= to - 1;
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_record(reader, message, position, &unreadable_offset);
      }
      rd_kafka_message_destroy(message);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      status = fail(reader, code, error);
      ended = true;
    }
  }
  rd_kafka_consume_stop(reader->topic, partition);
  if (status == STATUS_OK && unreadable_offset >= 0) {
    return error_set(error, STATUS_CONFIG,
                     "%s, partition %u, offset %lld: not a journal record of this lane",
                     reader->name, reader->lane, (long long)unreadable_offset);
  }
  return status;
}

/* A partition that was just made or moved has a leader soon. */
static bool is_passing(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
         code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE ||
         code == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH ||
         code == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH;
}

/* One end of the partition. A leader that has just died may be asked for as long as it is away by
 * rd_kafka_query_watermark_offsets, which has no time limit for that. */
static rd_kafka_resp_err_t query_end(struct reader *reader, int64_t which, int64_t *offset) {
  rd_kafka_topic_partition_list_t *const list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_t *const asked =
      rd_kafka_topic_partition_list_add(list, reader->name, (int32_t)reader->lane);
  const int left = left_ms(reader);
  asked->offset = which;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(
      reader->client, list, left < ENDS_TIMEOUT_MS ? left : ENDS_TIMEOUT_MS);
  code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? asked->err : code;
  *offset = asked->offset;
  rd_kafka_topic_partition_list_destroy(list);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR && *offset < 0 ? RD_KAFKA_RESP_ERR__TIMED_OUT : code;
}

static enum status query_watermarks(struct reader *reader, int64_t *low, int64_t *high,
                                    struct error *error) {
  const int64_t missing_until_ms = mono_ms() + MISSING_TOPIC_WAIT_MS;
  for (;;) {
    rd_kafka_resp_err_t code = query_end(reader, RD_KAFKA_OFFSET_BEGINNING, low);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      code = query_end(reader, RD_KAFKA_OFFSET_END, high);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return STATUS_OK;
    }
    const enum status status = fail(reader, code, error);
    const int64_t until_ms = is_passing(code)          ? reader->deadline_ms
                             : status == STATUS_CONFIG ? missing_until_ms
                                                       : 0;
    if (mono_ms() >= until_ms) {
      return status;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  }
}

static enum status find_last(struct reader *reader, struct journal_position *position,
                             struct error *error) {
  int64_t low;
  int64_t high;
  enum status status = query_watermarks(reader, &low, &high, error);
  int64_t from = high;
  for (int64_t stretch = STRETCH_FIRST;
       status == STATUS_OK && !position->found && from > low && high > low; stretch *= 2) {
    from = high - low > stretch ? high - stretch : low;
    status = read_stretch(reader, from, high, position, error);
  }
  return status;
}

/* No group: nothing is joined, committed or looked up, whatever the user's properties say. */
static enum status configure(rd_kafka_conf_t *conf, struct reader *reader, struct error *error) {
  static const struct {
    const char *name;
    const char *value;
  } properties[] = {
      {"group.id", ""},
      {"enable.auto.commit", "false"},
      {"isolation.level", "read_committed"},
      {"enable.partition.eof", "true"},
      {"auto.offset.reset", "error"},
      {"allow.auto.create.topics", "false"},
      {"fetch.wait.max.ms", "10"},
      {"fetch.error.backoff.ms", "20"},
      {"reconnect.backoff.max.ms", "1000"},
  };
  rd_kafka_conf_set_opaque(conf, reader);
  rd_kafka_conf_set_error_cb(conf, on_error);
  for (size_t i = 0; i < COUNT_OF(properties); i++) {
    char text[256];
    if (rd_kafka_conf_set(conf, properties[i].name, properties[i].value, text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
      return error_set(error, STATUS_CONFIG, "kafka consumer: %s", text);
    }
  }
  return STATUS_OK;
}

enum status journal_position_read(struct rd_kafka_conf_s *conf, const char *topic_prefix,
                                  uint32_t lane, struct journal_position *position,
                                  struct error *error) {
  struct reader reader = {.lane = lane, .deadline_ms = mono_ms() + READ_TIMEOUT_MS};
  char text[256] = "";
  *position = (struct journal_position){.found = false};
  snprintf(reader.name, sizeof reader.name, "%s%s", topic_prefix,
           record_topic_name(RECORD_JOURNAL));
  enum status status = configure(conf, &reader, error);
  if (status == STATUS_OK) {
    reader.client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (reader.client == NULL) {
      status = error_set(error, STATUS_CONFIG, "kafka consumer: %s", text);
    }
  }
  if (reader.client == NULL) { /* only a client that was made has taken it */
    rd_kafka_conf_destroy(conf);
    return status;
  }
  reader.topic = rd_kafka_topic_new(reader.client, reader.name, NULL);
  status = reader.topic != NULL ? find_last(&reader, position, error)
                                : fail(&reader, rd_kafka_last_error(), error);
  if (reader.topic != NULL) {
    rd_kafka_topic_destroy(reader.topic);
  }
  rd_kafka_destroy(reader.client);
  return status;
}
