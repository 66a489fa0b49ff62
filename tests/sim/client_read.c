/* The reading half of librdkafka's functions, as far as lanes use them. */
#include "tests/sim/client.h"

#include <stdlib.h>
#include <string.h>

struct delivered {
  rd_kafka_message_t message; /* the first: the client's pointer is ours */
  struct delivered *next;
  uint64_t version; /* of the reading that it was fetched for */
  int64_t timestamp_ms;
  rd_kafka_headers_t *headers; /* the log's */
};

struct rd_kafka_queue_s {
  struct delivered *first, **end;
  size_t count;
  int wake_fd; /* -1: none */
  uint64_t version;
};

/* A partition that is being read. */
struct stream {
  struct stream *next;
  rd_kafka_topic_t *topic;
  int32_t partition;
  size_t position;
  int64_t high;   /* where the log ended at the last answer; -1: none yet */
  int64_t eof_at; /* where the end was told last; -1: nowhere */
  uint64_t silent_until_step;
  rd_kafka_queue_t *queue;
  rd_kafka_queue_t own_queue;
};

/* What was asked for a partition when its reading ended: the answer is kept with the partition, and
 * comes into the queue of whoever reads it next, under the version that it was asked for. */
struct late {
  struct late *next;
  uint32_t topic;
  int32_t partition;
  uint64_t version;
  size_t position;
};

static rd_kafka_resp_err_t last_error;

void reading_end(rd_kafka_t *client) {
  assert(client->streams == NULL);
  for (struct late *late; (late = client->lates) != NULL;) {
    client->lates = late->next;
    free(late);
  }
}

static void queue_init(rd_kafka_queue_t *queue) {
  *queue = (rd_kafka_queue_t){.end = &queue->first, .wake_fd = -1};
}

rd_kafka_queue_t *rd_kafka_queue_new(rd_kafka_t *client) {
  (void)client;
  rd_kafka_queue_t *queue = grab(sizeof *queue);
  queue_init(queue);
  return queue;
}

static struct delivered *queue_take(rd_kafka_queue_t *queue) {
  struct delivered *first = queue->first;
  if (first == NULL) {
    return NULL;
  }
  queue->first = first->next;
  queue->count--;
  if (queue->first == NULL) {
    queue->end = &queue->first;
  }
  return first;
}

/* What was fetched for an earlier reading is passed over. */
static rd_kafka_message_t *queue_pop(rd_kafka_queue_t *queue) {
  struct delivered *first;
  while ((first = queue_take(queue)) != NULL && first->version < queue->version) {
    free(first);
  }
  return first == NULL ? NULL : &first->message;
}

static void queue_empty(rd_kafka_queue_t *queue) {
  for (struct delivered *delivered; (delivered = queue_take(queue)) != NULL;) {
    free(delivered);
  }
}

void rd_kafka_queue_destroy(rd_kafka_queue_t *queue) {
  queue_empty(queue);
  free(queue);
}

void rd_kafka_queue_io_event_enable(rd_kafka_queue_t *queue, int fd, const void *payload,
                                    size_t size) {
  (void)payload, (void)size;
  queue->wake_fd = fd;
}

static void queue_push(rd_kafka_queue_t *queue, struct delivered *delivered) {
  if (queue->first == NULL) {
    pipe_signal(queue->wake_fd);
  }
  *queue->end = delivered;
  queue->end = &delivered->next;
  queue->count++;
}

static void deliver_end(struct stream *stream, size_t end) {
  struct delivered *delivered = grab(sizeof *delivered);
  delivered->message.err = RD_KAFKA_RESP_ERR__PARTITION_EOF;
  delivered->message.offset = (int64_t)end;
  delivered->version = stream->queue->version;
  stream->eof_at = (int64_t)end;
  queue_push(stream->queue, delivered);
}

static void deliver_entry(struct stream *stream, size_t offset, uint64_t version) {
  const struct entry *entry =
      &broker_log(stream->topic->topic, (uint32_t)stream->partition)->items[offset];
  struct delivered *delivered = grab(sizeof *delivered);
  delivered->message = (rd_kafka_message_t){
      .rkt = stream->topic,
      .partition = stream->partition,
      .payload = entry->value_is_null ? NULL : (void *)(uintptr_t)entry->value.data,
      .len = entry->value_is_null ? 0 : entry->value.size,
      .key = entry->key_is_null ? NULL : (void *)(uintptr_t)entry->key.data,
      .key_len = entry->key_is_null ? 0 : entry->key.size,
      .offset = (int64_t)offset,
  };
  delivered->version = version;
  delivered->timestamp_ms = entry->timestamp_ms;
  delivered->headers = entry->headers;
  queue_push(stream->queue, delivered);
}

/* A fetch answered: some records, or the word that there are no more. */
static void fetch_some(void *context, int64_t argument) {
  (void)argument;
  struct stream *stream = context;
  if (stream->topic->client->member != NULL && fault(FAULT_FETCH_STALLED)) {
    stream->silent_until_step = sim.step + 10 + draw(400);
    return;
  }
  const struct log *log = broker_log(stream->topic->topic, (uint32_t)stream->partition);
  const size_t end = log_stable_end(log);
  size_t left = draw(3) == 0 ? 1000 : 1 + draw(4);
  stream->high = (int64_t)log->count;
  while (stream->position < end && left-- > 0) {
    if (entry_is_visible(log, stream->position)) {
      deliver_entry(stream, stream->position, stream->queue->version);
    }
    stream->position++;
  }
  if (stream->position == end && draw(2) == 0) {
    deliver_end(stream, end);
  }
}

static bool has_more(const struct stream *stream) {
  const struct log *log = broker_log(stream->topic->topic, (uint32_t)stream->partition);
  const size_t end = log_stable_end(log);
  return stream->queue->count < 50 && (stream->position < end || stream->eof_at != (int64_t)end);
}

void reading_offer(rd_kafka_t *client) {
  for (struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
    if (has_more(stream) && (sim.is_draining || sim.step >= stream->silent_until_step)) {
      sim_offer("fetch answered", client->member, 6, fetch_some, stream, stream->topic->topic);
    }
  }
}

void reading_stall(rd_kafka_t *client) {
  for (struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
    stream->silent_until_step = sim.step + 50 + draw(400);
  }
}

void reading_pump(rd_kafka_t *client) {
  for (struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
    if (has_more(stream)) {
      fetch_some(stream, 0);
    }
  }
}

static struct stream **find_stream(rd_kafka_topic_t *topic, int32_t partition) {
  struct stream **at = &topic->client->streams;
  while (*at != NULL && ((*at)->topic->topic != topic->topic || (*at)->partition != partition)) {
    at = &(*at)->next;
  }
  return at;
}

/* The answer that was under way when the partition was read last. */
static void deliver_late(struct stream *stream) {
  struct late **at = &stream->topic->client->lates;
  while (*at != NULL &&
         ((*at)->topic != stream->topic->topic || (*at)->partition != stream->partition)) {
    at = &(*at)->next;
  }
  struct late *late = *at;
  if (late == NULL) {
    return;
  }
  const struct log *log = broker_log(late->topic, (uint32_t)late->partition);
  for (uint32_t left = 1 + draw(4); left > 0 && late->position < log_stable_end(log); left--) {
    if (entry_is_visible(log, late->position)) {
      deliver_entry(stream, late->position, late->version);
    }
    late->position++;
  }
  *at = late->next;
  free(late);
}

static void keep_late(const struct stream *stream) {
  struct late *late = grab(sizeof *late);
  *late = (struct late){.next = stream->topic->client->lates,
                        .topic = stream->topic->topic,
                        .partition = stream->partition,
                        .version = stream->queue->version,
                        .position = stream->position};
  stream->topic->client->lates = late;
}

int rd_kafka_consume_start_queue(rd_kafka_topic_t *topic, int32_t partition, int64_t offset,
                                 rd_kafka_queue_t *queue) {
  assert(*find_stream(topic, partition) == NULL);
  struct stream *stream = grab(sizeof *stream);
  if (offset == RD_KAFKA_OFFSET_END) {
    offset = (int64_t)log_stable_end(broker_log(topic->topic, (uint32_t)partition));
  }
  *stream = (struct stream){.next = topic->client->streams,
                            .topic = topic,
                            .partition = partition,
                            .position = (size_t)offset,
                            .high = -1,
                            .eof_at = -1};
  queue_init(&stream->own_queue);
  stream->queue = queue != NULL ? queue : &stream->own_queue;
  stream->queue->version = ++topic->client->version;
  topic->client->streams = stream;
  deliver_late(stream);
  return 0;
}

int rd_kafka_consume_start(rd_kafka_topic_t *topic, int32_t partition, int64_t offset) {
  return rd_kafka_consume_start_queue(topic, partition, offset, NULL);
}

int rd_kafka_consume_stop(rd_kafka_topic_t *topic, int32_t partition) {
  struct stream **at = find_stream(topic, partition);
  struct stream *stream = *at;
  if (stream != NULL) {
    *at = stream->next;
    if (topic->client->member != NULL && fault(FAULT_FETCH_LATE)) {
      keep_late(stream);
    }
    queue_empty(&stream->own_queue);
    free(stream);
  }
  return 0;
}

static bool has_message(void *context) {
  const rd_kafka_queue_t *queue = context;
  return queue->first != NULL;
}

rd_kafka_message_t *rd_kafka_consume(rd_kafka_topic_t *topic, int32_t partition, int timeout_ms) {
  struct stream *stream = *find_stream(topic, partition);
  fiber_wait("reads a topic", sim.now_ms + timeout_ms, has_message, stream->queue);
  if (client_is_gone(topic->client)) {
    last_error = RD_KAFKA_RESP_ERR__DESTROY;
    struct delivered *gone = grab(sizeof *gone);
    gone->message.err = RD_KAFKA_RESP_ERR__DESTROY;
    return &gone->message;
  }
  return queue_pop(stream->queue);
}

rd_kafka_message_t *rd_kafka_consume_queue(rd_kafka_queue_t *queue, int timeout_ms) {
  (void)timeout_ms;
  return queue_pop(queue);
}

ssize_t rd_kafka_consume_batch_queue(rd_kafka_queue_t *queue, int timeout_ms,
                                     rd_kafka_message_t **messages, size_t count) {
  (void)timeout_ms;
  size_t taken = 0;
  while (taken < count && (messages[taken] = queue_pop(queue)) != NULL) {
    taken++;
  }
  return (ssize_t)taken;
}

/* The machine may stand still meanwhile: nothing times out, and the wall clock is another. */
static void hold_answer(void) {
  const bool stalls = sim.plan.rates[FAULT_FETCH_STALLED] > 0;
  if (stalls) {
    clients_stall();
  }
  fiber_stall("is told a partition's end late", 100 + draw(200));
  if (!sim.plan.is_backlog && !sim.is_draining && draw(2) == 0) {
    sim_jump();
    if (stalls) {
      clients_stall();
    }
  }
}

/* Of one partition; its offset stands for the end that is asked for. */
rd_kafka_resp_err_t rd_kafka_offsets_for_times(rd_kafka_t *client,
                                               rd_kafka_topic_partition_list_t *list,
                                               int timeout_ms) {
  assert(list->cnt == 1);
  rd_kafka_topic_partition_t *asked = &list->elems[0];
  fiber_wait("asks for a partition's end", sim.now_ms, NULL, NULL);
  if (client_is_gone(client)) {
    return RD_KAFKA_RESP_ERR__DESTROY;
  }
  if (broker_is_down() || fault(FAULT_READ_FAILED)) {
    fiber_wait("waits for a partition's end", sim.now_ms + draw((uint32_t)timeout_ms + 1), NULL,
               NULL);
    return client_is_gone(client) ? RD_KAFKA_RESP_ERR__DESTROY
                                  : RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
  }
  const struct log *log = broker_log(client_topic_of(asked->topic), (uint32_t)asked->partition);
  asked->offset = asked->offset == RD_KAFKA_OFFSET_BEGINNING ? 0 : (int64_t)log_stable_end(log);
  if (fault(FAULT_READ_HELD)) {
    hold_answer();
  }
  fiber_wait("is told a partition's end", sim.now_ms, NULL, NULL);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_get_watermark_offsets(rd_kafka_t *client, const char *name,
                                                   int32_t partition, int64_t *low, int64_t *high) {
  for (const struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
    if (stream->topic->topic == client_topic_of(name) && stream->partition == partition) {
      *low = 0;
      *high = stream->high;
      return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
  }
  return RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

void rd_kafka_message_destroy(rd_kafka_message_t *message) {
  free(message);
}

const char *rd_kafka_message_errstr(const rd_kafka_message_t *message) {
  return rd_kafka_err2str(message->err);
}

int64_t rd_kafka_message_timestamp(const rd_kafka_message_t *message,
                                   rd_kafka_timestamp_type_t *type) {
  const struct delivered *delivered = (const struct delivered *)message;
  *type = delivered->timestamp_ms < 0 ? RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
                                      : RD_KAFKA_TIMESTAMP_CREATE_TIME;
  return delivered->timestamp_ms;
}

rd_kafka_resp_err_t rd_kafka_message_headers(const rd_kafka_message_t *message,
                                             rd_kafka_headers_t **headers) {
  const struct delivered *delivered = (const struct delivered *)message;
  *headers = delivered->headers;
  return *headers != NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__NOENT;
}

rd_kafka_resp_err_t rd_kafka_last_error(void) {
  return last_error;
}
