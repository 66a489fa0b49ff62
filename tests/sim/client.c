/* librdkafka's functions, as far as lanes use them, over the broker in memory. */
#include "producers/publish_tune.h"
#include "tests/sim/broker.h"
#include "tests/sim/member.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*report_fn)(rd_kafka_t *, const rd_kafka_message_t *, void *);
typedef void (*error_fn)(rd_kafka_t *, int, const char *, void *);

struct rd_kafka_conf_s {
  char transactional_id[128];
  void *opaque;
  report_fn on_report;
  error_fn on_error;
};

struct rd_kafka_error_s {
  rd_kafka_resp_err_t code;
};

struct rd_kafka_topic_s {
  rd_kafka_t *client;
  uint32_t topic;
  char name[96];
};

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

struct rd_kafka_s {
  rd_kafka_t *next;
  struct member *member;
  struct rd_kafka_conf_s conf;
  bool is_producer, is_purged;
  uint32_t lane;
  int64_t epoch; /* -1: none yet */
  struct outbound *unsent;
  size_t unsent_count, unsent_capacity;
  bool is_in_flight;
  size_t in_flight_count; /* records */
  size_t reported_count;  /* answered well, to be reported */
  size_t failed_count;
  bool is_shaken; /* an error about a connection is to be told */
  rd_kafka_resp_err_t fatal;
  enum answer answer; /* to init or commit */
  struct stream *streams;
  struct late *lates;
  uint64_t version; /* of the last reading begun */
};

static rd_kafka_t *clients;
static rd_kafka_resp_err_t last_error;

void clients_begin(void) {
  clients = NULL;
}

void clients_end(void) {
  assert(clients == NULL);
}

/* Configuration. ------------------------------------------------------------------------- */

rd_kafka_conf_t *rd_kafka_conf_new(void) {
  return grab(sizeof(rd_kafka_conf_t));
}

void rd_kafka_conf_destroy(rd_kafka_conf_t *conf) {
  free(conf);
}

rd_kafka_conf_res_t rd_kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                                      char *text, size_t size) {
  (void)text, (void)size;
  if (strcmp(name, "transactional.id") == 0) {
    const size_t length = strlen(value);
    assert(length < sizeof conf->transactional_id);
    memcpy(conf->transactional_id, value, length + 1);
  }
  return RD_KAFKA_CONF_OK;
}

/* Instead of producers/publish_tune.c: its properties mean nothing here. */
enum status publish_tune(rd_kafka_conf_t *conf, int64_t *produce_timeout_ms, struct error *error) {
  (void)conf, (void)error;
  *produce_timeout_ms = 50000;
  return STATUS_OK;
}

void rd_kafka_conf_set_opaque(rd_kafka_conf_t *conf, void *opaque) {
  conf->opaque = opaque;
}

void rd_kafka_conf_set_dr_msg_cb(rd_kafka_conf_t *conf, report_fn on_report) {
  conf->on_report = on_report;
}

void rd_kafka_conf_set_error_cb(rd_kafka_conf_t *conf, error_fn on_error) {
  conf->on_error = on_error;
}

void rd_kafka_conf_set_log_cb(rd_kafka_conf_t *conf,
                              void (*on_log)(const rd_kafka_t *, int, const char *, const char *)) {
  (void)conf, (void)on_log;
}

/* Clients. ------------------------------------------------------------------------------- */

rd_kafka_t *rd_kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *text, size_t size) {
  (void)text, (void)size;
  rd_kafka_t *client = grab(sizeof *client);
  client->member = sim.current;
  client->conf = *conf;
  client->is_producer = type == RD_KAFKA_PRODUCER;
  client->epoch = -1;
  const char *number = strrchr(conf->transactional_id, '-');
  client->lane = number != NULL ? (uint32_t)strtoul(number + 1, NULL, 10) : 0;
  free(conf);
  client->next = clients;
  clients = client;
  return client;
}

const char *rd_kafka_name(const rd_kafka_t *client) {
  (void)client;
  return "simulated";
}

static bool is_gone(const rd_kafka_t *client) {
  return member_is_cut_off(client->member);
}

static void drop_unsent(rd_kafka_t *client) {
  for (size_t i = 0; i < client->unsent_count; i++) {
    entry_free(&client->unsent[i].entry);
  }
  client->unsent_count = 0;
}

static void forget_requests(const rd_kafka_t *client);

static void drop_lates(rd_kafka_t *client) {
  for (struct late *late; (late = client->lates) != NULL;) {
    client->lates = late->next;
    free(late);
  }
}

void rd_kafka_destroy_flags(rd_kafka_t *client, int flags) {
  (void)flags;
  assert(client->streams == NULL);
  drop_lates(client);
  drop_unsent(client);
  free(client->unsent);
  forget_requests(client);
  rd_kafka_t **at = &clients;
  while (*at != client) {
    at = &(*at)->next;
  }
  *at = client->next;
  free(client);
}

void rd_kafka_destroy(rd_kafka_t *client) {
  rd_kafka_destroy_flags(client, 0);
}

static bool has_news(void *context) {
  const rd_kafka_t *client = context;
  return client->reported_count > 0 || client->failed_count > 0 || client->is_shaken;
}

static void report(rd_kafka_t *client, size_t *count, rd_kafka_resp_err_t code) {
  rd_kafka_topic_t topic = {.name = "sim"};
  for (; *count > 0; --*count) {
    const rd_kafka_message_t message = {.err = code, .rkt = &topic};
    client->conf.on_report(client, &message, client->conf.opaque);
  }
}

int rd_kafka_poll(rd_kafka_t *client, int timeout_ms) {
  if (is_gone(client)) {
    client->is_shaken = true;
  } else if (timeout_ms > 0) {
    fiber_wait("polls a client", sim.now_ms + timeout_ms, has_news, client);
  }
  int served = 0;
  if (client->is_shaken && client->conf.on_error != NULL) {
    client->is_shaken = false;
    client->conf.on_error(client, RD_KAFKA_RESP_ERR__TRANSPORT, "connection lost",
                          client->conf.opaque);
    served++;
  }
  if (client->conf.on_report != NULL) {
    served += client->reported_count > 0 || client->failed_count > 0;
    report(client, &client->reported_count, RD_KAFKA_RESP_ERR_NO_ERROR);
    report(client, &client->failed_count,
           client->fatal != 0 ? client->fatal : RD_KAFKA_RESP_ERR__MSG_TIMED_OUT);
  }
  return served;
}

int rd_kafka_outq_len(rd_kafka_t *client) {
  return is_gone(client) ? 0 : (int)(client->unsent_count + client->in_flight_count);
}

rd_kafka_resp_err_t rd_kafka_purge(rd_kafka_t *client, int flags) {
  (void)flags;
  client->failed_count += client->unsent_count;
  drop_unsent(client);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_resp_err_t rd_kafka_fatal_error(rd_kafka_t *client, char *text, size_t size) {
  (void)size;
  text[0] = '\0';
  return client->fatal;
}

rd_kafka_resp_err_t rd_kafka_error_code(const rd_kafka_error_t *error) {
  return error->code;
}

void rd_kafka_error_destroy(rd_kafka_error_t *error) {
  free(error);
}

static rd_kafka_error_t *error_of(rd_kafka_resp_err_t code) {
  rd_kafka_error_t *error = grab(sizeof *error);
  error->code = code;
  return error;
}

/* Requests of a producer. ---------------------------------------------------------------- */

/* Those under way, by client: a client waits for one at a time. */
static struct request *in_network[4 * LANES_MAX * MEMBERS_MAX];

static void network_add(struct request *request) {
  size_t i = 0;
  while (in_network[i] != NULL) {
    i++;
    assert(i < COUNT_OF(in_network));
  }
  in_network[i] = request;
  broker_send(request);
}

static void network_remove(const rd_kafka_t *client) {
  for (size_t i = 0; i < COUNT_OF(in_network); i++) {
    if (in_network[i] != NULL && in_network[i]->client == client) {
      in_network[i] = NULL;
    }
  }
}

static void forget_requests(const rd_kafka_t *client) {
  for (size_t i = 0; i < COUNT_OF(in_network); i++) {
    if (in_network[i] != NULL && in_network[i]->client == client) {
      in_network[i]->client = NULL;
      in_network[i] = NULL;
    }
  }
}

void clients_cut_off(const struct member *member) {
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    if (client->member == member) {
      forget_requests(client);
    }
  }
}

static struct request *new_request(rd_kafka_t *client, enum request_kind kind) {
  struct request *request = grab(sizeof *request);
  request->kind = kind;
  request->client = client;
  request->lane = client->lane;
  request->epoch = client->epoch;
  return request;
}

void client_answered(const struct request *request, enum answer answer, int64_t epoch) {
  rd_kafka_t *client = request->client;
  network_remove(client);
  client->is_shaken = client->is_shaken || request->is_shaken;
  if (answer == ANSWER_FENCED) {
    client->fatal = RD_KAFKA_RESP_ERR__FENCED;
  }
  if (request->kind != REQUEST_PRODUCE) {
    client->answer = answer;
    client->epoch = request->kind == REQUEST_INIT ? epoch : client->epoch;
    return;
  }
  client->is_in_flight = false;
  client->in_flight_count = 0;
  if (answer == ANSWER_OK) {
    client->reported_count += request->record_count;
  } else {
    client->failed_count += request->record_count;
  }
}

/* The client's thread sends what is waiting, some of it. */
static void send_records(void *context, int64_t argument) {
  (void)argument;
  rd_kafka_t *client = context;
  const size_t count =
      draw(2) == 0 ? client->unsent_count : 1 + draw((uint32_t)client->unsent_count);
  struct request *request = new_request(client, REQUEST_PRODUCE);
  request->records = copy_bytes(client->unsent, count * sizeof *client->unsent);
  request->record_count = count;
  memmove(client->unsent, client->unsent + count,
          (client->unsent_count - count) * sizeof *client->unsent);
  client->unsent_count -= count;
  client->is_in_flight = true;
  client->in_flight_count = count;
  network_add(request);
}

static bool is_answered(void *context) {
  const rd_kafka_t *client = context;
  return client->answer != ANSWER_NONE || client->fatal != 0;
}

static rd_kafka_error_t *ask(rd_kafka_t *client, enum request_kind kind, int timeout_ms) {
  if (is_gone(client) || client->fatal != 0) {
    return error_of(client->fatal != 0 ? client->fatal : RD_KAFKA_RESP_ERR__TRANSPORT);
  }
  client->answer = ANSWER_NONE;
  network_add(new_request(client, kind));
  const char *where = kind == REQUEST_INIT ? "initialises transactions" : "commits a transaction";
  const int64_t deadline_ms = sim.now_ms + (timeout_ms < 0 ? 600000 : timeout_ms);
  const bool has_answer = fiber_wait(where, deadline_ms, is_answered, client);
  if (client->fatal != 0) {
    return error_of(client->fatal);
  }
  return has_answer && client->answer == ANSWER_OK ? NULL : error_of(RD_KAFKA_RESP_ERR__TIMED_OUT);
}

rd_kafka_error_t *rd_kafka_init_transactions(rd_kafka_t *client, int timeout_ms) {
  return ask(client, REQUEST_INIT, timeout_ms);
}

rd_kafka_error_t *rd_kafka_begin_transaction(rd_kafka_t *client) {
  if (is_gone(client) || client->fatal != 0) {
    return error_of(client->fatal != 0 ? client->fatal : RD_KAFKA_RESP_ERR__TRANSPORT);
  }
  return NULL;
}

rd_kafka_error_t *rd_kafka_commit_transaction(rd_kafka_t *client, int timeout_ms) {
  fiber_wait("is about to commit a transaction", sim.now_ms, NULL, NULL);
  return ask(client, REQUEST_END, timeout_ms);
}

rd_kafka_resp_err_t rd_kafka_producev(rd_kafka_t *client, ...) {
  struct outbound outbound = {.entry.timestamp_ms = -1};
  va_list list;
  va_start(list, client);
  for (rd_kafka_vtype_t type; (type = va_arg(list, rd_kafka_vtype_t)) != RD_KAFKA_VTYPE_END;) {
    switch ((int)type) {
    case RD_KAFKA_VTYPE_RKT:
      outbound.record = va_arg(list, rd_kafka_topic_t *)->topic - OUTPUT_FIRST;
      break;
    case RD_KAFKA_VTYPE_PARTITION: {
      const int32_t partition = va_arg(list, int32_t);
      CHECK_THAT((uint32_t)partition == client->lane, "a record for partition %d", partition);
      break;
    }
    case RD_KAFKA_VTYPE_MSGFLAGS:
      (void)va_arg(list, int);
      break;
    case RD_KAFKA_VTYPE_KEY:
    case RD_KAFKA_VTYPE_VALUE: {
      const void *data = va_arg(list, void *);
      const size_t size = va_arg(list, size_t);
      struct span *span = type == RD_KAFKA_VTYPE_KEY ? &outbound.entry.key : &outbound.entry.value;
      *(type == RD_KAFKA_VTYPE_KEY ? &outbound.entry.key_is_null : &outbound.entry.value_is_null) =
          data == NULL;
      *span = span_of(copy_bytes(data, size), size);
      break;
    }
    case RD_KAFKA_VTYPE_TIMESTAMP:
      outbound.entry.timestamp_ms = va_arg(list, int64_t);
      break;
    case RD_KAFKA_VTYPE_HEADERS:
      outbound.entry.headers = va_arg(list, rd_kafka_headers_t *);
      break;
    default:
      violation("producev: argument %d is unknown to the simulator", (int)type);
    }
  }
  va_end(list);
  client->unsent =
      grow(client->unsent, client->unsent_count, &client->unsent_capacity, sizeof *client->unsent);
  client->unsent[client->unsent_count++] = outbound;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Topics. -------------------------------------------------------------------------------- */

static uint32_t topic_of(const char *name) {
  const char *dot = strchr(name, '.');
  const char *rest = dot != NULL ? dot + 1 : name;
  for (uint32_t topic = 0; topic < TOPICS_ALL; topic++) {
    if (strcmp(rest, topic < OUTPUT_FIRST ? topic_name(topic)
                                          : record_topic_name(topic - OUTPUT_FIRST)) == 0) {
      return topic;
    }
  }
  violation("there is no topic %s", name);
}

rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *client, const char *name,
                                     rd_kafka_topic_conf_t *conf) {
  (void)conf;
  rd_kafka_topic_t *topic = grab(sizeof *topic);
  topic->client = client;
  topic->topic = topic_of(name);
  assert(strlen(name) < sizeof topic->name);
  memcpy(topic->name, name, strlen(name) + 1);
  return topic;
}

void rd_kafka_topic_destroy(rd_kafka_topic_t *topic) {
  free(topic);
}

const char *rd_kafka_topic_name(const rd_kafka_topic_t *topic) {
  return topic->name;
}

rd_kafka_resp_err_t rd_kafka_metadata(rd_kafka_t *client, int all, rd_kafka_topic_t *only,
                                      const struct rd_kafka_metadata **metadata, int timeout_ms) {
  (void)all, (void)only, (void)timeout_ms;
  fiber_wait("asks for metadata", sim.now_ms, NULL, NULL);
  if (is_gone(client) || broker_is_down()) {
    return RD_KAFKA_RESP_ERR__TRANSPORT;
  }
  /* Of the topics that the client writes. */
  struct rd_kafka_metadata *made = grab(sizeof *made + RECORD_COUNT * sizeof *made->topics);
  made->topic_cnt = RECORD_COUNT;
  made->topics = (struct rd_kafka_metadata_topic *)(made + 1);
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    static char names[RECORD_COUNT][64];
    snprintf(names[record], sizeof names[record], "sim.%s", record_topic_name(record));
    made->topics[record].topic = names[record];
    made->topics[record].partition_cnt = (int)sim.plan.lane_count;
  }
  *metadata = made;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

void rd_kafka_metadata_destroy(const struct rd_kafka_metadata *metadata) {
  free((void *)(uintptr_t)metadata);
}

/* Reading. ------------------------------------------------------------------------------- */

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

void clients_offer(void) {
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    if (client->member == NULL || member_is_stuck(client->member)) {
      continue;
    }
    if (client->unsent_count > 0 && !client->is_in_flight && client->fatal == 0) {
      sim_offer("records sent", client->member, 10, send_records, client, client->lane);
    }
    for (struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
      if (has_more(stream) && (sim.is_draining || sim.step >= stream->silent_until_step)) {
        sim_offer("fetch answered", client->member, 6, fetch_some, stream, stream->topic->topic);
      }
    }
  }
}

void clients_stall(void) {
  fault_note(FAULT_FETCH_STALLED);
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    for (struct stream *stream = client->streams; stream != NULL; stream = stream->next) {
      stream->silent_until_step = sim.step + 50 + draw(400);
    }
  }
}

void clients_pump(void) {
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    for (struct stream *stream = client->streams; client->member == NULL && stream != NULL;
         stream = stream->next) {
      if (has_more(stream)) {
        fetch_some(stream, 0);
      }
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
  if (is_gone(topic->client)) {
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
  if (is_gone(client)) {
    return RD_KAFKA_RESP_ERR__DESTROY;
  }
  if (broker_is_down() || fault(FAULT_READ_FAILED)) {
    fiber_wait("waits for a partition's end", sim.now_ms + draw((uint32_t)timeout_ms + 1), NULL,
               NULL);
    return is_gone(client) ? RD_KAFKA_RESP_ERR__DESTROY : RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
  }
  const struct log *log = broker_log(topic_of(asked->topic), (uint32_t)asked->partition);
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
    if (stream->topic->topic == topic_of(name) && stream->partition == partition) {
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
