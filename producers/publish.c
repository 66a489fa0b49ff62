/* One transaction a publication, in this order: begin, produce, wait until the last record has
 * been acknowledged, commit, the last when the caller says so. Nothing is aborted and nothing
 * retried here: after any failure the client is destroyed on the spot, which also lets go of the
 * records, and whoever opens the next publisher of the lane ends what this one had open.
 *
 * (1) A publication has failed if the client saw a connection fail in between, though the
 *     commit was answered: a request sent again after that may reach the broker twice, the
 *     second time in the next transaction. The new client's epoch shuts it out.
 * (2) Commit is called when all is acknowledged: the flush inside it sleeps in steps of 10 ms. */
#include "producers/publish.h"

#include "producers/publish_tune.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  OPEN_TIMEOUT_MS = 30000,
  COMMIT_TIMEOUT_MS = 30000,
  MISSING_TOPIC_WAIT_MS = 2000, /* one just created may not be known to every broker yet */
  DRAIN_TIMEOUT_MS = 1000,      /* see drop_client */
  PAUSE_MS = 2,                 /* see pause_after_commit */
  POLL_INTERVAL = 1024,         /* records between two looks at what was acknowledged */
  MESSAGE_ROOM = 65536,         /* beside a dead letter's original */
  QUEUE_KBYTES_MIN = 131072,
};

struct publisher {
  rd_kafka_t *client; /* NULL after a failure */
  rd_kafka_topic_t *topics[RECORD_COUNT];
  uint32_t lane;
  int64_t committed_mono_ms;
  int64_t produce_timeout_ms;
  /* Of the publication under way. */
  bool is_sent; /* all is acknowledged, the commit is still to come */
  size_t answered_count;
  rd_kafka_resp_err_t failed_code; /* of the first record that failed */
  char failed_topic[256];
  bool has_lost_connection;
  char reason[256]; /* the client's last word about a connection */
};

static int64_t mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  struct publisher *const publisher = opaque;
  publisher->answered_count++;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
      publisher->failed_code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    publisher->failed_code = message->err;
    snprintf(publisher->failed_topic, sizeof publisher->failed_topic, "%s",
             rd_kafka_topic_name(message->rkt));
  }
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
  (void)client;
  struct publisher *const publisher = opaque;
  if (code != RD_KAFKA_RESP_ERR__FATAL) { /* those are asked for where they matter */
    publisher->has_lost_connection = true;
    snprintf(publisher->reason, sizeof publisher->reason, "%s", reason);
  }
}

static enum status set_property(rd_kafka_conf_t *conf, const char *name, const char *value,
                                struct error *error) {
  char text[256];
  if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
    return error_set(error, STATUS_CONFIG, "kafka property %s=%s: %s", name, value, text);
  }
  return STATUS_OK;
}

static enum status set_number(rd_kafka_conf_t *conf, const char *name, int64_t value,
                              struct error *error) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)value);
  return set_property(conf, name, text, error);
}

/* What correctness needs; it overrides the user's properties. */
static enum status configure(rd_kafka_conf_t *conf, const struct publisher_options *options,
                             struct publisher *publisher, struct error *error) {
  char id[512];
  snprintf(id, sizeof id, "%s.%slane-%u", options->group_id, options->topic_prefix, options->lane);
  const int64_t message_size_max = options->message_bytes_max + MESSAGE_ROOM;
  const int64_t queue_kbytes = message_size_max / 1024 * 2;
  rd_kafka_conf_set_opaque(conf, publisher);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
  rd_kafka_conf_set_error_cb(conf, on_error);
  enum status status = publish_tune(conf, &publisher->produce_timeout_ms, error);
  if (status == STATUS_OK) {
    status = set_property(conf, "transactional.id", id, error);
  }
  if (status == STATUS_OK) {
    status = set_property(conf, "enable.idempotence", "true", error);
  }
  if (status == STATUS_OK) {
    status = set_property(conf, "acks", "all", error);
  }
  if (status == STATUS_OK) {
    status = set_number(conf, "message.max.bytes", message_size_max, error);
  }
  if (status == STATUS_OK) {
    status = set_number(conf, "queue.buffering.max.kbytes",
                        queue_kbytes < QUEUE_KBYTES_MIN ? QUEUE_KBYTES_MIN : queue_kbytes, error);
  }
  return status;
}

/* Ends the client. It may be in the middle of anything; purging lets go of the records.
 *
 * What is in flight is waited for, since librdkafka (2.0.2 and later ones) frees the text of a
 * transaction's fatal error when it ends, while the threads that still take answers write it: of
 * a client that was fenced, each answer under way has one. */
static void drop_client(struct publisher *publisher) {
  if (publisher->client == NULL) {
    return;
  }
  const int64_t deadline_ms = mono_ms() + DRAIN_TIMEOUT_MS;
  do {
    rd_kafka_purge(publisher->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_NON_BLOCKING);
  } while (rd_kafka_poll(publisher->client, 10) >= 0 && rd_kafka_outq_len(publisher->client) > 0 &&
           mono_ms() < deadline_ms);
  rd_kafka_purge(publisher->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
                                        RD_KAFKA_PURGE_F_NON_BLOCKING);
  for (size_t i = 0; i < RECORD_COUNT; i++) {
    if (publisher->topics[i] != NULL) {
      rd_kafka_topic_destroy(publisher->topics[i]);
      publisher->topics[i] = NULL;
    }
  }
  rd_kafka_destroy(publisher->client);
  publisher->client = NULL;
}

static enum status status_of(rd_kafka_resp_err_t code) {
  switch ((int)code) {
  case RD_KAFKA_RESP_ERR__FENCED:
  case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
  case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    return STATUS_FENCED;
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
  case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    return STATUS_CONFIG;
  default:
    return STATUS_UNAVAILABLE;
  }
}

static const char *advice_for(rd_kafka_resp_err_t code) {
  switch ((int)code) {
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    return "; run `muster topics create`";
  case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    return "; raise the topic's max.message.bytes above kafka.message_bytes_max + 64 KiB";
  case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    return "; raise the topic's message.timestamp.after.max.ms";
  default:
    return "";
  }
}

/* Says what failed, as precisely as the client knows, and ends it. */
static enum status fail(struct publisher *publisher, const char *doing, rd_kafka_resp_err_t code,
                        struct error *error) {
  char fatal[256] = "";
  rd_kafka_poll(publisher->client, 0); /* for the last words about connections */
  const rd_kafka_resp_err_t fatal_code =
      rd_kafka_fatal_error(publisher->client, fatal, sizeof fatal);
  if (fatal_code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = fatal_code;
  }
  enum status status = error_set(error, status_of(code), "%s for lane %u: %s%s%s%s", doing,
                                 publisher->lane, rd_kafka_err2str(code), advice_for(code),
                                 publisher->reason[0] != '\0' ? "; " : "", publisher->reason);
  drop_client(publisher);
  return status;
}

static enum status fail_call(struct publisher *publisher, const char *doing,
                             rd_kafka_error_t *failure, struct error *error) {
  const rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
  rd_kafka_error_destroy(failure);
  return fail(publisher, doing, code, error);
}

static enum status make_topics(struct publisher *publisher, const char *prefix,
                               struct error *error) {
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    char name[512];
    snprintf(name, sizeof name, "%s%s", prefix, record_topic_name(record));
    publisher->topics[record] = rd_kafka_topic_new(publisher->client, name, NULL);
    if (publisher->topics[record] == NULL) {
      return error_set(error, STATUS_CONFIG, "topic %s: %s", name,
                       rd_kafka_err2str(rd_kafka_last_error()));
    }
  }
  return STATUS_OK;
}

/* STATUS_CONFIG when a topic is missing or has no partition of this lane. */
static enum status check_metadata(const struct publisher *publisher,
                                  const rd_kafka_metadata_t *metadata, struct error *error) {
  for (int i = 0; i < metadata->topic_cnt; i++) {
    const rd_kafka_metadata_topic_t *const topic = &metadata->topics[i];
    if (topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
      return error_set(error, STATUS_CONFIG, "topic %s is missing; run `muster topics create`",
                       topic->topic);
    }
    if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
        topic->err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
      return error_set(error, STATUS_UNAVAILABLE, "topic %s: %s", topic->topic,
                       rd_kafka_err2str(topic->err));
    }
    if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
        publisher->lane >= (uint32_t)topic->partition_cnt) {
      return error_set(error, STATUS_CONFIG, "topic %s has %d partitions, lane %u needs more",
                       topic->topic, topic->partition_cnt, publisher->lane);
    }
  }
  return STATUS_OK;
}

static enum status check_topics(struct publisher *publisher, int64_t deadline_ms,
                                struct error *error) {
  const int64_t missing_until_ms = mono_ms() + MISSING_TOPIC_WAIT_MS;
  for (;;) {
    const rd_kafka_metadata_t *metadata;
    const int64_t left_ms = deadline_ms - mono_ms();
    const rd_kafka_resp_err_t code =
        rd_kafka_metadata(publisher->client, 0, NULL, &metadata, left_ms > 0 ? (int)left_ms : 0);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(publisher, "topics", code, error);
    }
    const enum status status = check_metadata(publisher, metadata, error);
    rd_kafka_metadata_destroy(metadata);
    if (status != STATUS_CONFIG || mono_ms() >= missing_until_ms) {
      return status;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
  }
}

static enum status start(struct publisher *publisher, const struct publisher_options *options,
                         struct error *error) {
  const int64_t deadline_ms = mono_ms() + OPEN_TIMEOUT_MS;
  enum status status = make_topics(publisher, options->topic_prefix, error);
  if (status == STATUS_OK) {
    status = check_topics(publisher, deadline_ms, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  const int64_t left_ms = deadline_ms - mono_ms();
  rd_kafka_error_t *const failure =
      rd_kafka_init_transactions(publisher->client, left_ms > 0 ? (int)left_ms : 0);
  return failure == NULL ? STATUS_OK : fail_call(publisher, "init transactions", failure, error);
}

enum status publisher_open(const struct publisher_options *options, struct publisher **publisher,
                           struct error *error) {
  struct publisher *const opened = calloc(1, sizeof *opened);
  if (opened == NULL) {
    rd_kafka_conf_destroy(options->conf);
    return error_set(error, STATUS_UNAVAILABLE, "publisher: out of memory");
  }
  opened->lane = options->lane;
  opened->committed_mono_ms = mono_ms() - PAUSE_MS;
  enum status status = configure(options->conf, options, opened, error);
  if (status == STATUS_OK) {
    char text[256];
    opened->client = rd_kafka_new(RD_KAFKA_PRODUCER, options->conf, text, sizeof text);
    if (opened->client == NULL) {
      status = error_set(error, STATUS_CONFIG, "kafka producer: %s", text);
    }
  }
  if (opened->client == NULL) { /* only a client that was made has taken it */
    rd_kafka_conf_destroy(options->conf);
  } else {
    status = start(opened, options, error);
  }
  if (status != STATUS_OK) {
    publisher_close(opened);
    return status;
  }
  *publisher = opened;
  return STATUS_OK;
}

void publisher_close(struct publisher *publisher) {
  if (publisher != NULL) {
    drop_client(publisher);
    free(publisher);
  }
}

/* Right after a commit the broker is still writing its markers and answers the next transaction
 * with CONCURRENT_TRANSACTIONS, which costs the client 20 ms; a short wait costs less. */
static void pause_after_commit(const struct publisher *publisher) {
  const int64_t left_ms = publisher->committed_mono_ms + PAUSE_MS - mono_ms();
  if (left_ms > 0) {
    nanosleep(&(struct timespec){.tv_nsec = left_ms * 1000000}, NULL);
  }
}

static uint32_t take_u32(struct span *from) {
  assert(from->size >= sizeof(uint32_t));
  uint32_t value = 0;
  for (size_t i = 0; i < sizeof value; i++) {
    value = value << 8 | from->data[i];
  }
  *from = span_of(from->data + sizeof value, from->size - sizeof value);
  return value;
}

static struct span take_bytes(struct span *from, size_t size) {
  assert(from->size >= size);
  const struct span taken = span_of(from->data, size);
  *from = span_of(from->data + size, from->size - size);
  return taken;
}

/* The client's form of a record's headers; NULL for none. */
static rd_kafka_headers_t *make_headers(struct span headers) {
  if (headers.size == 0) {
    return NULL;
  }
  rd_kafka_headers_t *const made = rd_kafka_headers_new(8);
  while (headers.size > 0) {
    const struct span name = take_bytes(&headers, take_u32(&headers));
    const uint32_t size = take_u32(&headers);
    const bool is_null = size == UINT32_MAX;
    const struct span value = take_bytes(&headers, is_null ? 0 : size);
    rd_kafka_header_add(made, (const char *)name.data, (ssize_t)name.size,
                        is_null ? NULL : value.data, (ssize_t)value.size);
  }
  return made;
}

/* Null and empty differ: a pointer tells them apart. */
static void *pointer_of(struct span span, bool is_null) {
  union {
    const void *read_only;
    void *pointer;
  } bytes = {.read_only = is_null ? NULL : span.size > 0 ? span.data : (const void *)""};
  return bytes.pointer;
}

static rd_kafka_resp_err_t produce(const struct publisher *publisher,
                                   const struct outgoing *record) {
  rd_kafka_headers_t *const headers = make_headers(record->headers);
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      publisher->client, RD_KAFKA_V_RKT(publisher->topics[record->record]),
      RD_KAFKA_V_PARTITION((int32_t)publisher->lane), RD_KAFKA_V_MSGFLAGS(0),
      RD_KAFKA_V_KEY(pointer_of(record->key, record->key_is_null), record->key.size),
      RD_KAFKA_V_VALUE(pointer_of(record->value, record->value_is_null), record->value.size),
      RD_KAFKA_V_TIMESTAMP(record->timestamp_ms), /* -1: none; only 0 would be now */
      RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
    rd_kafka_headers_destroy(headers);
  }
  return code;
}

/* Nothing good can come of the publication any more; no need to wait for the rest. */
static bool is_lost(const struct publisher *publisher) {
  return publisher->failed_code != RD_KAFKA_RESP_ERR_NO_ERROR || publisher->has_lost_connection;
}

/* Hands one record over; a full queue is waited for. */
static rd_kafka_resp_err_t produce_or_wait(struct publisher *publisher,
                                           const struct outgoing *record, int64_t deadline_ms) {
  for (;;) {
    const rd_kafka_resp_err_t code = produce(publisher, record);
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      return code;
    }
    if (is_lost(publisher) || mono_ms() >= deadline_ms) {
      return RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    rd_kafka_poll(publisher->client, 10);
  }
}

/* Hands a part over, adding to the count of records. */
static rd_kafka_resp_err_t produce_part(struct publisher *publisher, struct span records,
                                        int64_t deadline_ms, size_t *count) {
  struct outgoing record;
  size_t position = 0;
  while (!is_lost(publisher) && outgoing_next(records, &position, &record)) {
    const rd_kafka_resp_err_t code = produce_or_wait(publisher, &record, deadline_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return code;
    }
    if (++*count % POLL_INTERVAL == 0) {
      rd_kafka_poll(publisher->client, 0);
    }
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Hands all records over and waits for the last acknowledgement. */
static enum status deliver(struct publisher *publisher, const struct span *parts, size_t part_count,
                           struct error *error) {
  const int64_t deadline_ms = mono_ms() + publisher->produce_timeout_ms;
  size_t count = 0;
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  for (size_t i = 0; i < part_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    code = produce_part(publisher, parts[i], deadline_ms, &count);
  }
  while (code == RD_KAFKA_RESP_ERR_NO_ERROR && publisher->answered_count < count &&
         !is_lost(publisher)) {
    rd_kafka_poll(publisher->client, 100);
    if (mono_ms() >= deadline_ms) {
      code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
  }
  if (publisher->failed_code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    char doing[320];
    snprintf(doing, sizeof doing, "publish to %s", publisher->failed_topic);
    return fail(publisher, doing, publisher->failed_code, error);
  }
  if (publisher->has_lost_connection) { /* (1) */
    code = RD_KAFKA_RESP_ERR__TRANSPORT;
  }
  return code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK : fail(publisher, "publish", code, error);
}

enum status publisher_send(struct publisher *publisher, const struct span *parts, size_t part_count,
                           struct error *error) {
  assert(!publisher->is_sent);
  if (publisher->client == NULL) {
    return error_set(error, STATUS_UNAVAILABLE, "publish for lane %u: it failed before",
                     publisher->lane);
  }
  size_t size = 0;
  for (size_t i = 0; i < part_count; i++) {
    size += parts[i].size;
  }
  if (size == 0) {
    return STATUS_OK;
  }
  pause_after_commit(publisher);
  rd_kafka_poll(publisher->client, 0); /* what was lost while idle does not matter: see (1) */
  publisher->answered_count = 0;
  publisher->has_lost_connection = false;
  publisher->reason[0] = '\0';
  rd_kafka_error_t *failure = rd_kafka_begin_transaction(publisher->client);
  if (failure != NULL) {
    return fail_call(publisher, "begin transaction", failure, error);
  }
  const enum status status = deliver(publisher, parts, part_count, error);
  publisher->is_sent = status == STATUS_OK;
  return status;
}

enum status publisher_commit(struct publisher *publisher, struct error *error) {
  if (!publisher->is_sent) {
    return STATUS_OK;
  }
  publisher->is_sent = false;
  rd_kafka_error_t *const failure =
      rd_kafka_commit_transaction(publisher->client, COMMIT_TIMEOUT_MS); /* (2) */
  if (failure != NULL) {
    return fail_call(publisher, "commit transaction", failure, error);
  }
  rd_kafka_poll(publisher->client, 0);
  if (publisher->has_lost_connection) { /* (1) */
    return fail(publisher, "commit transaction", RD_KAFKA_RESP_ERR__TRANSPORT, error);
  }
  publisher->committed_mono_ms = mono_ms();
  return STATUS_OK;
}

enum status publisher_publish(struct publisher *publisher, const struct span *parts,
                              size_t part_count, struct error *error) {
  const enum status status = publisher_send(publisher, parts, part_count, error);
  return status == STATUS_OK ? publisher_commit(publisher, error) : status;
}
