/* librdkafka's functions, as far as lanes use them, over the broker in memory. */
#include "tests/sim/client.h"
#include "producers/publish_tune.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rd_kafka_error_s {
  rd_kafka_resp_err_t code;
};

static rd_kafka_t *clients;

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

bool client_is_gone(const rd_kafka_t *client) {
  return member_is_cut_off(client->member);
}

static void drop_unsent(rd_kafka_t *client) {
  for (size_t i = 0; i < client->unsent_count; i++) {
    entry_free(&client->unsent[i].entry);
  }
  client->unsent_count = 0;
}

static void forget_requests(const rd_kafka_t *client);

void rd_kafka_destroy_flags(rd_kafka_t *client, int flags) {
  (void)flags;
  reading_end(client);
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
  if (client_is_gone(client)) {
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
  return client_is_gone(client) ? 0 : (int)(client->unsent_count + client->in_flight_count);
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
  if (client_is_gone(client) || client->fatal != 0) {
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
  if (client_is_gone(client) || client->fatal != 0) {
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

uint32_t client_topic_of(const char *name) {
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
  topic->topic = client_topic_of(name);
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
  if (client_is_gone(client) || broker_is_down()) {
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

/* All clients. --------------------------------------------------------------------------- */

void clients_offer(void) {
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    if (client->member == NULL || member_is_stuck(client->member)) {
      continue;
    }
    if (client->unsent_count > 0 && !client->is_in_flight && client->fatal == 0) {
      sim_offer("records sent", client->member, 10, send_records, client, client->lane);
    }
    reading_offer(client);
  }
}

void clients_stall(void) {
  fault_note(FAULT_FETCH_STALLED);
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    reading_stall(client);
  }
}

void clients_pump(void) {
  for (rd_kafka_t *client = clients; client != NULL; client = client->next) {
    if (client->member == NULL) {
      reading_pump(client);
    }
  }
}
