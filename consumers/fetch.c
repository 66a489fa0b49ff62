#include "consumers/fetch.h"

#include "consumers/partition_ends.h"
#include "consumers/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Messages taken from a queue at once: enough that the queue's lock does not show. */
enum { TAKEN_MAX = 512 };

struct fetch {
  rd_kafka_t *client; /* NULL: from files */
  const struct stored_partition *partitions;
  size_t partition_count;
  int64_t (*now_ms)(void);
  int wake[2]; /* read end, write end */
  bool has_error;
  struct error error;
};

struct source {
  struct fetch *fetch;
  const struct stored_partition *stored; /* NULL: from the client */
  struct span rest;                      /* of its records */
  struct stored_record stored_record;
  uint8_t *value; /* of a record that was pseudonymised */
  rd_kafka_topic_t *topic;
  rd_kafka_queue_t *queue;
  int64_t from; /* of a file: records before it are passed over */
  int32_t partition;
  rd_kafka_message_t *taken[TAKEN_MAX];
  size_t taken_count, next;
  int64_t taken_at_ms;
  bool has_record;
  struct record record;
  int64_t end_offset; /* -1: more has arrived since, or the end was never seen */
  bool has_failed;
  bool is_gone;
  struct error error;
};

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
  (void)client;
  struct fetch *fetch = opaque;
  fetch->has_error = true;
  snprintf(fetch->error.text, sizeof fetch->error.text, "%s: %s",
           rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
  (void)client, (void)level, (void)facility, (void)text; /* errors arrive through on_error */
}

static enum status open_pipe(struct fetch *fetch, struct error *error) {
  if (pipe(fetch->wake) != 0) {
    return error_set(error, STATUS_UNAVAILABLE, "a pipe for the consumer's queues: errno %d",
                     errno);
  }
  for (size_t i = 0; i < 2; i++) {
    /* The client writes while it holds a queue's lock: a write that blocks would hang it. */
    if (fcntl(fetch->wake[i], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(fetch->wake[i], F_SETFD, FD_CLOEXEC) < 0) {
      return error_set(error, STATUS_UNAVAILABLE, "a pipe for the consumer's queues: errno %d",
                       errno);
    }
  }
  return STATUS_OK;
}

enum status fetch_open(rd_kafka_conf_t *conf, int64_t (*now_ms)(void), struct fetch **fetch,
                       struct error *error) {
  struct fetch *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->now_ms = now_ms;
  made->wake[0] = made->wake[1] = -1;
  rd_kafka_conf_set_opaque(conf, made);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, on_log);
  enum status status = open_pipe(made, error);
  if (status == STATUS_OK) {
    char text[256];
    made->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
    if (made->client == NULL) {
      status = error_set(error, STATUS_CONFIG, "Kafka consumer: %s", text);
    }
  }
  if (status != STATUS_OK) {
    rd_kafka_conf_destroy(conf);
    fetch_close(made);
    return status;
  }
  *fetch = made;
  return STATUS_OK;
}

struct fetch *fetch_open_stored(const struct stored_partition *partitions, size_t count) {
  struct fetch *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->partitions = partitions;
  made->partition_count = count;
  made->wake[0] = made->wake[1] = -1;
  return made;
}

void fetch_close(struct fetch *fetch) {
  if (fetch == NULL) {
    return;
  }
  if (fetch->client != NULL) {
    rd_kafka_destroy_flags(fetch->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  for (size_t i = 0; i < 2; i++) {
    if (fetch->wake[i] >= 0) {
      close(fetch->wake[i]);
    }
  }
  free(fetch);
}

int fetch_fd(const struct fetch *fetch) {
  return fetch->wake[0];
}

void fetch_woken(struct fetch *fetch) {
  char bytes[256];
  while (fetch->client != NULL && read(fetch->wake[0], bytes, sizeof bytes) > 0) {
  }
}

bool fetch_serve(struct fetch *fetch, struct error *error) {
  if (fetch->client == NULL) {
    return false;
  }
  rd_kafka_poll(fetch->client, 0);
  const bool had_error = fetch->has_error;
  if (had_error) {
    *error = fetch->error;
    fetch->has_error = false;
  }
  return had_error;
}

static const struct stored_partition *find_stored(const struct fetch *fetch, const char *topic,
                                                  int32_t partition) {
  for (size_t i = 0; i < fetch->partition_count; i++) {
    const struct stored_partition *stored = &fetch->partitions[i];
    if (stored->partition == partition && strcmp(stored->topic, topic) == 0) {
      return stored;
    }
  }
  return NULL;
}

static enum status stored_offsets(const struct fetch *fetch, const char *topic, int32_t partition,
                                  int64_t *first, int64_t *next, struct error *error) {
  const struct stored_partition *stored = find_stored(fetch, topic, partition);
  if (stored == NULL) {
    return error_set(error, STATUS_CONFIG, "there is no file of %s, partition %d", topic,
                     partition);
  }
  *first = stored->first;
  *next = stored->end;
  return STATUS_OK;
}

enum status fetch_offsets(struct fetch *fetch, const char *topic, int32_t partition, int timeout_ms,
                          int64_t *first, int64_t *next, struct error *error) {
  if (fetch->client == NULL) {
    return stored_offsets(fetch, topic, partition, first, next, error);
  }
  const rd_kafka_resp_err_t code =
      partition_ends(fetch->client, topic, partition, timeout_ms, first, next);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return STATUS_OK;
  }
  const bool is_missing = code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                          code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                          code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
  if (is_missing) {
    return error_set(error, STATUS_CONFIG, "topic %s has no partition %d: `muster topics create`",
                     topic, partition);
  }
  return error_set(error, STATUS_UNAVAILABLE, "offsets of %s/%d: %s", topic, partition,
                   rd_kafka_err2str(code));
}

enum status source_open(struct fetch *fetch, const char *topic, int32_t partition, int64_t offset,
                        struct source **source, struct error *error) {
  struct source *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->fetch = fetch;
  made->partition = partition;
  made->end_offset = -1;
  if (fetch->client == NULL) {
    made->stored = find_stored(fetch, topic, partition);
    if (made->stored == NULL) {
      free(made);
      return error_set(error, STATUS_CONFIG, "there is no file of %s, partition %d", topic,
                       partition);
    }
    made->rest = made->stored->records;
    made->from = offset;
    *source = made;
    return STATUS_OK;
  }
  made->queue = rd_kafka_queue_new(fetch->client);
  made->topic = rd_kafka_topic_new(fetch->client, topic, NULL);
  rd_kafka_queue_io_event_enable(made->queue, fetch->wake[1], "w", 1);
  if (made->topic == NULL ||
      rd_kafka_consume_start_queue(made->topic, partition, offset, made->queue) != 0) {
    const enum status status =
        error_set(error, STATUS_UNAVAILABLE, "reading %s/%d from %lld: %s", topic, partition,
                  (long long)offset, rd_kafka_err2str(rd_kafka_last_error()));
    source_close(made);
    return status;
  }
  *source = made;
  return STATUS_OK;
}

static void drop_taken(struct source *source) {
  for (size_t i = source->next; i < source->taken_count; i++) {
    rd_kafka_message_destroy(source->taken[i]);
  }
  source->taken_count = source->next = 0;
  source->has_record = false;
}

void source_close(struct source *source) {
  if (source == NULL) {
    return;
  }
  if (source->stored != NULL) {
    free(source->value);
    free(source);
    return;
  }
  drop_taken(source);
  if (source->topic != NULL) {
    rd_kafka_consume_stop(source->topic, source->partition);
    rd_kafka_topic_destroy(source->topic);
  }
  rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
  rd_kafka_queue_destroy(source->queue);
  free(source);
}

static void note_error(struct source *source, const rd_kafka_message_t *message) {
  switch (message->err) {
  case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    source->end_offset = message->offset;
    break;
  case RD_KAFKA_RESP_ERR__TRANSPORT:
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
  case RD_KAFKA_RESP_ERR__RESOLVE:
    break; /* heals by itself; the client tries again */
  default:
    source->is_gone = message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                      message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
                      message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                      message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                      message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    source->has_failed = true;
    snprintf(source->error.text, sizeof source->error.text, "%s/%d, offset %lld: %s",
             rd_kafka_topic_name(source->topic), source->partition, (long long)message->offset,
             rd_kafka_message_errstr(message));
    break;
  }
}

static void take_more(struct source *source) {
  const ssize_t count = rd_kafka_consume_batch_queue(source->queue, 0, source->taken, TAKEN_MAX);
  source->next = 0;
  source->taken_at_ms = source->fetch->now_ms();
  source->taken_count = count > 0 ? (size_t)count : 0;
}

static void show(struct source *source, rd_kafka_message_t *message) {
  rd_kafka_timestamp_type_t type;
  const int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
  rd_kafka_headers_t *headers;
  source->end_offset = -1;
  source->has_record = true;
  source->record = (struct record){
      .offset = message->offset,
      .timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp_ms,
      .read_at_ms = source->taken_at_ms,
      .key = span_of(message->key, message->key_len),
      .value = span_of(message->payload, message->len),
      .key_is_null = message->key == NULL,
      .value_is_null = message->payload == NULL,
      .has_headers = rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR,
      .message = message,
  };
}

static void show_stored(struct source *source) {
  const struct stored_record *is = &source->stored_record;
  struct span value = is->value;
  if (is->patch_count > 0) {
    const size_t size = stored_value_size(is);
    source->value = realloc(source->value, size + 1);
    assert(source->value != NULL);
    stored_value(is, source->value);
    value = span_of(source->value, size);
  }
  source->has_record = true;
  source->record = (struct record){
      .offset = is->offset,
      .timestamp_ms = is->timestamp_ms,
      .read_at_ms = is->timestamp_ms,
      .key = is->key,
      .value = value,
      .key_is_null = (is->flags & STORED_KEY_IS_NULL) != 0,
      .value_is_null = (is->flags & STORED_VALUE_IS_NULL) != 0,
      .has_headers = is->headers.size > 0,
      .stored = is,
  };
}

static const struct record *peek_stored(struct source *source) {
  const struct stored_partition *stored = source->stored;
  while (!source->has_record && !source->has_failed && source->rest.size > 0) {
    if (!stored_next(&source->rest, &source->stored_record)) {
      source->has_failed = true;
      snprintf(source->error.text, sizeof source->error.text,
               "the file of %s, partition %d, is damaged at byte %zu of its records", stored->topic,
               stored->partition, stored->records.size - source->rest.size);
    } else if (source->stored_record.offset >= source->from) {
      show_stored(source);
    }
  }
  source->end_offset = source->has_record || source->has_failed ? -1 : stored->end;
  return source->has_record ? &source->record : NULL;
}

const struct record *source_peek(struct source *source) {
  if (source->stored != NULL) {
    return peek_stored(source);
  }
  while (!source->has_record && !source->has_failed) {
    if (source->next == source->taken_count) {
      take_more(source);
      if (source->taken_count == 0) {
        return NULL;
      }
    }
    rd_kafka_message_t *message = source->taken[source->next];
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      show(source, message);
    } else {
      note_error(source, message);
      rd_kafka_message_destroy(message);
      source->next++;
    }
  }
  return source->has_record ? &source->record : NULL;
}

void source_pop(struct source *source) {
  assert(source->has_record);
  if (source->stored != NULL) {
    source->has_record = false;
    return;
  }
  rd_kafka_message_destroy(source->taken[source->next++]);
  source->has_record = false;
}

int64_t source_end(const struct source *source) {
  return source->has_record ? -1 : source->end_offset;
}

int64_t source_lag(const struct source *source, int64_t next) {
  int64_t low;
  int64_t high;
  /* Behind the last message there may be offsets that no reader sees: an end is no lag. */
  if (source->stored != NULL || source_end(source) >= 0 ||
      rd_kafka_get_watermark_offsets(source->fetch->client, rd_kafka_topic_name(source->topic),
                                     source->partition, &low, &high) != 0) {
    return 0;
  }
  return high > next ? high - next : 0;
}

const char *source_error(const struct source *source) {
  return source->has_failed ? source->error.text : NULL;
}

bool source_is_gone(const struct source *source) {
  return source->is_gone;
}

static rd_kafka_headers_t *headers_of(const struct record *record) {
  rd_kafka_headers_t *headers = NULL;
  if (record->has_headers) {
    rd_kafka_message_headers(record->message, &headers);
  }
  return headers;
}

size_t record_headers_size(const struct record *record) {
  if (record->stored != NULL) {
    return record->stored->headers.size;
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const char *name;
  const void *value;
  size_t value_size;
  size_t size = 0;
  for (size_t i = 0;
       headers != NULL && rd_kafka_header_get_all(headers, i, &name, &value, &value_size) == 0;
       i++) {
    size += 8 + strlen(name) + (value == NULL ? 0 : value_size);
  }
  return size;
}

/* A u32 of the headers in the form of struct original; false when it is not there. */
static bool take_u32(struct span *rest, uint32_t *value) {
  if (rest->size < 4) {
    return false;
  }
  *value = (uint32_t)rest->data[0] << 24 | (uint32_t)rest->data[1] << 16 |
           (uint32_t)rest->data[2] << 8 | rest->data[3];
  *rest = span_of(rest->data + 4, rest->size - 4);
  return true;
}

/* The last of that name; a file may hold anything. */
static bool stored_header(const struct record *record, const char *name, struct span *value) {
  struct span rest = record->stored->headers;
  bool is_there = false;
  uint32_t size;
  while (take_u32(&rest, &size) && size <= rest.size) {
    const bool is_named = span_equal(span_of(rest.data, size), span_text(name));
    rest = span_of(rest.data + size, rest.size - size);
    if (!take_u32(&rest, &size) || (size != UINT32_MAX && size > rest.size)) {
      break;
    }
    const bool is_null = size == UINT32_MAX;
    if (is_named) {
      is_there = !is_null;
      *value = span_of(rest.data, is_null ? 0 : size);
    }
    rest = is_null ? rest : span_of(rest.data + size, rest.size - size);
  }
  return is_there;
}

static uint8_t *put_u32(uint8_t *into, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    *into++ = (uint8_t)(value >> shift);
  }
  return into;
}

void record_headers_copy(const struct record *record, uint8_t *into) {
  if (record->stored != NULL) {
    if (record->stored->headers.size > 0) {
      memcpy(into, record->stored->headers.data, record->stored->headers.size);
    }
    return;
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const char *name;
  const void *value;
  size_t value_size;
  for (size_t i = 0;
       headers != NULL && rd_kafka_header_get_all(headers, i, &name, &value, &value_size) == 0;
       i++) {
    const size_t name_size = strlen(name);
    into = put_u32(into, (uint32_t)name_size);
    memcpy(into, name, name_size);
    into = put_u32(into + name_size, value == NULL ? UINT32_MAX : (uint32_t)value_size);
    if (value != NULL) {
      memcpy(into, value, value_size);
      into += value_size;
    }
  }
}

bool record_header(const struct record *record, const char *name, struct span *value) {
  if (record->stored != NULL) {
    return stored_header(record, name, value);
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const void *data;
  size_t size;
  if (headers == NULL || rd_kafka_header_get_last(headers, name, &data, &size) != 0 ||
      data == NULL) {
    return false;
  }
  *value = span_of(data, size);
  return true;
}
