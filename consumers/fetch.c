#include "consumers/fetch.h"

#include "consumers/fetch_client.h"
#include "consumers/partition_ends.h"
#include "consumers/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
  TAKEN_MAX = 512,    /* messages taken from a queue at once: enough that its lock does not show */
  MESSAGE_AHEAD = 32, /* messages: how long before its turn one is fetched into the caches */
  BYTES_AHEAD = 24,   /* the same for what it points to */
  CACHE_LINE_SIZE = 64,
};

struct fetch {
  struct fetch_client *client; /* NULL: from files */
  struct fetch_shared *shared; /* whose client it is; NULL: its own */
  struct fetch_client *quick;  /* shared as well, for what is far behind; NULL: not needed yet */
  rd_kafka_conf_t *quick_conf; /* until then */
  struct fetch_client *own;    /* beside a shared one, for what others read as well; or NULL */
  uint64_t seen, quick_seen, own_seen; /* of the clients' errors */
  const struct stored_partition *partitions;
  size_t partition_count;
  int64_t (*now_ms)(void);
  int wake[2]; /* read end, write end */
};

struct source {
  struct fetch *fetch;
  struct fetch_client *client;
  bool ends_by_mark;                     /* its end is told by the partition's high watermark */
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

static struct fetch *new_fetch(int64_t (*now_ms)(void)) {
  struct fetch *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->now_ms = now_ms;
  made->wake[0] = made->wake[1] = -1;
  return made;
}

enum status fetch_open(rd_kafka_conf_t *conf, const char *beat_topic, int64_t (*now_ms)(void),
                       struct fetch **fetch, struct error *error) {
  struct fetch *made = new_fetch(now_ms);
  enum status status = fetch_client_open(conf, beat_topic, &made->client, error);
  if (status == STATUS_OK) {
    status = open_pipe(made, error);
  }
  if (status != STATUS_OK) {
    fetch_close(made);
    return status;
  }
  *fetch = made;
  return STATUS_OK;
}

enum status fetch_open_shared(struct fetch_shared *shared, const struct fetch_confs *confs,
                              int64_t (*now_ms)(void), struct fetch **fetch, struct error *error) {
  struct fetch *made = new_fetch(now_ms);
  made->shared = shared;
  made->quick_conf = confs->quick;
  enum status status = fetch_client_open(confs->own, NULL, &made->own, error);
  if (status != STATUS_OK) {
    rd_kafka_conf_destroy(confs->steady);
  } else {
    status = fetch_shared_take(shared, FETCH_STEADY, confs->steady, &made->client, error);
  }
  if (status == STATUS_OK) {
    made->seen = fetch_client_error_count(made->client);
    status = open_pipe(made, error);
  }
  if (status != STATUS_OK) {
    fetch_close(made);
    return status;
  }
  *fetch = made;
  return STATUS_OK;
}

struct fetch *fetch_open_stored(const struct stored_partition *partitions, size_t count) {
  struct fetch *made = new_fetch(NULL);
  made->partitions = partitions;
  made->partition_count = count;
  return made;
}

void fetch_close(struct fetch *fetch) {
  if (fetch == NULL) {
    return;
  }
  if (fetch->shared != NULL && fetch->client != NULL) {
    fetch_shared_give_back(fetch->shared, fetch->client);
  } else {
    fetch_client_close(fetch->client);
  }
  if (fetch->quick != NULL) {
    fetch_shared_give_back(fetch->shared, fetch->quick);
  }
  if (fetch->quick_conf != NULL) {
    rd_kafka_conf_destroy(fetch->quick_conf);
  }
  fetch_client_close(fetch->own);
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
  /* One at a time: what another has to say is told by the next call. */
  return fetch_client_serve(fetch->client, &fetch->seen, error) ||
         (fetch->quick != NULL && fetch_client_serve(fetch->quick, &fetch->quick_seen, error)) ||
         (fetch->own != NULL && fetch_client_serve(fetch->own, &fetch->own_seen, error));
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
      partition_ends(fetch_client_handle(fetch->client), topic, partition, timeout_ms, first, next);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return STATUS_OK;
  }
  fetch_client_doubt(fetch->client);
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

static struct source *new_source(struct fetch *fetch, int32_t partition) {
  struct source *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->fetch = fetch;
  made->partition = partition;
  made->end_offset = -1;
  return made;
}

static enum status open_stored(struct fetch *fetch, const char *topic, int32_t partition,
                               int64_t offset, struct source **source, struct error *error) {
  const struct stored_partition *stored = find_stored(fetch, topic, partition);
  if (stored == NULL) {
    return error_set(error, STATUS_CONFIG, "there is no file of %s, partition %d", topic,
                     partition);
  }
  struct source *made = new_source(fetch, partition);
  made->stored = stored;
  made->rest = stored->records;
  made->from = offset;
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

/* Waits until the client has stopped asking. */
static void stop(struct source *source) {
  drop_taken(source);
  if (source->topic != NULL) {
    rd_kafka_consume_stop(source->topic, source->partition);
    fetch_client_end(source->client, rd_kafka_topic_name(source->topic), source->partition);
    rd_kafka_topic_destroy(source->topic);
    source->topic = NULL;
  }
  rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
  rd_kafka_queue_destroy(source->queue);
}

/* Begins to read with one of the reader's clients. Whatever the answer, stop ends it. */
static enum status start(struct source *source, struct fetch_client *client, const char *topic,
                         int64_t offset, struct error *error) {
  struct fetch *fetch = source->fetch;
  rd_kafka_t *handle = fetch_client_handle(client);
  source->client = client;
  source->queue = rd_kafka_queue_new(handle);
  source->topic = rd_kafka_topic_new(handle, topic, NULL);
  rd_kafka_queue_io_event_enable(source->queue, fetch->wake[1], "w", 1);
  if (source->topic != NULL) {
    fetch_client_begin(client, topic, source->partition);
  }
  if (source->topic == NULL ||
      rd_kafka_consume_start_queue(source->topic, source->partition, offset, source->queue) != 0) {
    fetch_client_doubt(client);
    return error_set(error, STATUS_UNAVAILABLE, "reading %s/%d from %lld: %s", topic,
                     source->partition, (long long)offset, rd_kafka_err2str(rd_kafka_last_error()));
  }
  return STATUS_OK;
}

static enum status open_with(struct fetch *fetch, struct fetch_client *client, const char *topic,
                             int32_t partition, int64_t offset, struct source **source,
                             struct error *error) {
  struct source *made = new_source(fetch, partition);
  const enum status status = start(made, client, topic, offset, error);
  if (status != STATUS_OK) {
    source_close(made);
    return status;
  }
  *source = made;
  return STATUS_OK;
}

enum status source_open(struct fetch *fetch, const char *topic, int32_t partition, int64_t offset,
                        struct source **source, struct error *error) {
  return fetch->client == NULL
             ? open_stored(fetch, topic, partition, offset, source, error)
             : open_with(fetch, fetch->client, topic, partition, offset, source, error);
}

enum status source_open_far(struct fetch *fetch, const char *topic, int32_t partition,
                            int64_t offset, struct source **source, struct error *error) {
  if (fetch->quick == NULL) {
    rd_kafka_conf_t *conf = fetch->quick_conf;
    fetch->quick_conf = NULL;
    assert(conf != NULL);
    const enum status status =
        fetch_shared_take(fetch->shared, FETCH_QUICK, conf, &fetch->quick, error);
    if (status != STATUS_OK) {
      return status;
    }
    fetch->quick_seen = fetch_client_error_count(fetch->quick);
  }
  return open_with(fetch, fetch->quick, topic, partition, offset, source, error);
}

enum status source_open_own(struct fetch *fetch, const char *topic, int32_t partition,
                            int64_t offset, int64_t end, struct source **source,
                            struct error *error) {
  const enum status status = open_with(fetch, fetch->own, topic, partition, offset, source, error);
  if (status == STATUS_OK) {
    (*source)->ends_by_mark = true;
    (*source)->end_offset = offset >= end ? offset : -1;
  }
  return status;
}

void source_close(struct source *source) {
  if (source == NULL) {
    return;
  }
  if (source->stored != NULL) {
    free(source->value);
  } else {
    stop(source);
  }
  free(source);
}

/* What was far behind has been read to its end: on with the client whose requests wait longer. */
static void settle(struct source *source) {
  char topic[256];
  snprintf(topic, sizeof topic, "%s", rd_kafka_topic_name(source->topic));
  stop(source);
  source->has_failed =
      start(source, source->fetch->client, topic, source->end_offset, &source->error) != STATUS_OK;
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
    fetch_client_doubt(source->client);
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
        if (source->end_offset >= 0 && source->client == source->fetch->quick) {
          settle(source);
        }
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

/* The answer that brought a message tells how far the partition went then: nothing beyond it is an
 * end, and the next answer, which waits for more to arrive, is not needed to know. */
static void look_at_mark(struct source *source) {
  const int64_t next = source->record.offset + 1;
  int64_t low;
  int64_t high;
  if (rd_kafka_get_watermark_offsets(fetch_client_handle(source->client),
                                     rd_kafka_topic_name(source->topic), source->partition, &low,
                                     &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
      high == next) {
    source->end_offset = next;
  }
}

void source_pop(struct source *source) {
  assert(source->has_record);
  if (source->stored != NULL) {
    source->has_record = false;
    return;
  }
  if (source->ends_by_mark) {
    look_at_mark(source);
  }
  rd_kafka_message_destroy(source->taken[source->next++]);
  source->has_record = false;
}

/* Other threads have made the messages. First the struct, then the key and the value behind it. */
void source_prefetch(const struct source *source) {
  const size_t struct_at = source->next + MESSAGE_AHEAD;
  const size_t bytes_at = source->next + BYTES_AHEAD;
  if (struct_at < source->taken_count) {
    __builtin_prefetch(source->taken[struct_at]);
    __builtin_prefetch((const uint8_t *)source->taken[struct_at] + CACHE_LINE_SIZE);
  }
  if (bytes_at < source->taken_count) {
    const uint8_t *key = source->taken[bytes_at]->key;
    if (key != NULL) {
      __builtin_prefetch(key);
      __builtin_prefetch(key + CACHE_LINE_SIZE);
    }
  }
}

struct span source_key_ahead(const struct source *source, size_t ahead) {
  if (source->next + ahead >= source->taken_count) {
    return (struct span){0};
  }
  const rd_kafka_message_t *message = source->taken[source->next + ahead];
  return span_of(message->key, message->key_len);
}

int64_t source_end(const struct source *source) {
  return source->has_record ? -1 : source->end_offset;
}

int64_t source_lag(const struct source *source, int64_t next) {
  int64_t low;
  int64_t high;
  /* Behind the last message there may be offsets that no reader sees: an end is no lag. */
  if (source->stored != NULL || source_end(source) >= 0 ||
      rd_kafka_get_watermark_offsets(fetch_client_handle(source->client),
                                     rd_kafka_topic_name(source->topic), source->partition, &low,
                                     &high) != 0) {
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
