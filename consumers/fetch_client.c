#include "consumers/fetch_client.h"

#include "consumers/fetch.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fetch_client {
  rd_kafka_t *handle;
  atomic_bool is_doubted;
  size_t reader_count;  /* of a shared one; under the lock of who shares it */
  pthread_mutex_t lock; /* of what follows */
  struct error error;   /* the last */
  uint64_t error_count;
  char beat_name[256];                       /* its topic; empty: none */
  size_t source_count, beat_partition_count; /* those that read, and that read its partition */
  rd_kafka_topic_t *beat_topic;
  rd_kafka_queue_t *beat_queue; /* both NULL: there is no beat now */
};

struct fetch_shared {
  pthread_mutex_t lock;
  struct fetch_client *newest[FETCH_PACE_COUNT]; /* NULL: nobody reads with it */
  size_t reader_count;                           /* of all that are left, doubted ones included */
  char beat_name[256];
};

/* Errors after which a client may be of no more use: what it is known by was changed, and it goes
 * on with what it was made with. */
static bool is_doubtful(int code) {
  switch (code) {
  case RD_KAFKA_RESP_ERR__FATAL:
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR__SSL:
  case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
  case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    return true;
  default:
    return false;
  }
}

static void on_error(rd_kafka_t *handle, int code, const char *reason, void *opaque) {
  (void)handle;
  struct fetch_client *client = opaque;
  if (is_doubtful(code)) {
    fetch_client_doubt(client);
  }
  pthread_mutex_lock(&client->lock);
  client->error_count++;
  snprintf(client->error.text, sizeof client->error.text, "%s: %s",
           rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
  pthread_mutex_unlock(&client->lock);
}

static void on_log(const rd_kafka_t *handle, int level, const char *facility, const char *text) {
  (void)handle, (void)level, (void)facility, (void)text; /* errors arrive through on_error */
}

enum status fetch_client_open(rd_kafka_conf_t *conf, const char *beat_topic,
                              struct fetch_client **client, struct error *error) {
  struct fetch_client *made = calloc(1, sizeof *made);
  assert(made != NULL);
  snprintf(made->beat_name, sizeof made->beat_name, "%s", beat_topic != NULL ? beat_topic : "");
  pthread_mutex_init(&made->lock, NULL);
  rd_kafka_conf_set_opaque(conf, made);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, on_log);
  char text[256];
  made->handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (made->handle == NULL) {
    rd_kafka_conf_destroy(conf);
    fetch_client_close(made);
    return error_set(error, STATUS_CONFIG, "Kafka consumer: %s", text);
  }
  *client = made;
  return STATUS_OK;
}

void fetch_client_close(struct fetch_client *client) {
  if (client == NULL) {
    return;
  }
  assert(client->source_count == 0);
  if (client->handle != NULL) {
    rd_kafka_destroy_flags(client->handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  pthread_mutex_destroy(&client->lock);
  free(client);
}

rd_kafka_t *fetch_client_handle(const struct fetch_client *client) {
  return client->handle;
}

void fetch_client_doubt(struct fetch_client *client) {
  atomic_store(&client->is_doubted, true);
}

/* What is read for the beat alone is nobody's. */
static void drop_beat(struct fetch_client *client) {
  rd_kafka_message_t *message;
  while (client->beat_queue != NULL &&
         (message = rd_kafka_consume_queue(client->beat_queue, 0)) != NULL) {
    rd_kafka_message_destroy(message);
  }
}

static void start_beat(struct fetch_client *client) {
  client->beat_queue = rd_kafka_queue_new(client->handle);
  client->beat_topic = rd_kafka_topic_new(client->handle, client->beat_name, NULL);
  if (client->beat_topic != NULL) { /* without it, reading is slower, and right */
    (void)rd_kafka_consume_start_queue(client->beat_topic, 0, RD_KAFKA_OFFSET_END,
                                       client->beat_queue);
  }
}

static void stop_beat(struct fetch_client *client) {
  if (client->beat_topic != NULL) {
    rd_kafka_consume_stop(client->beat_topic, 0);
    rd_kafka_topic_destroy(client->beat_topic);
  }
  rd_kafka_queue_destroy(client->beat_queue);
  client->beat_topic = NULL;
  client->beat_queue = NULL;
}

static bool is_beat(const struct fetch_client *client, const char *topic, int32_t partition) {
  return partition == 0 && strcmp(client->beat_name, topic) == 0;
}

/* Starts or stops the beat as the counts have it. Under the lock. */
static void set_beat(struct fetch_client *client) {
  const bool is_due =
      client->source_count > 0 && client->beat_partition_count == 0 && client->beat_name[0] != '\0';
  if (is_due && client->beat_queue == NULL) {
    start_beat(client);
  } else if (!is_due && client->beat_queue != NULL) {
    stop_beat(client);
  }
}

void fetch_client_begin(struct fetch_client *client, const char *topic, int32_t partition) {
  pthread_mutex_lock(&client->lock);
  client->source_count++;
  client->beat_partition_count += is_beat(client, topic, partition);
  set_beat(client);
  pthread_mutex_unlock(&client->lock);
}

void fetch_client_end(struct fetch_client *client, const char *topic, int32_t partition) {
  pthread_mutex_lock(&client->lock);
  client->source_count--;
  client->beat_partition_count -= is_beat(client, topic, partition);
  set_beat(client);
  pthread_mutex_unlock(&client->lock);
}

bool fetch_client_serve(struct fetch_client *client, uint64_t *seen, struct error *error) {
  rd_kafka_poll(client->handle, 0);
  pthread_mutex_lock(&client->lock);
  drop_beat(client);
  const bool has_more = client->error_count != *seen;
  if (has_more) {
    *error = client->error;
    *seen = client->error_count;
  }
  pthread_mutex_unlock(&client->lock);
  return has_more;
}

uint64_t fetch_client_error_count(struct fetch_client *client) {
  pthread_mutex_lock(&client->lock);
  const uint64_t count = client->error_count;
  pthread_mutex_unlock(&client->lock);
  return count;
}

/* Sharing. -------------------------------------------------------------------------------- */

struct fetch_shared *fetch_shared_open(const char *beat_topic) {
  struct fetch_shared *made = calloc(1, sizeof *made);
  assert(made != NULL);
  snprintf(made->beat_name, sizeof made->beat_name, "%s", beat_topic);
  pthread_mutex_init(&made->lock, NULL);
  return made;
}

void fetch_shared_close(struct fetch_shared *shared) {
  if (shared == NULL) {
    return;
  }
  assert(shared->reader_count == 0);
  pthread_mutex_destroy(&shared->lock);
  free(shared);
}

enum status fetch_shared_take(struct fetch_shared *shared, enum fetch_pace pace,
                              rd_kafka_conf_t *conf, struct fetch_client **client,
                              struct error *error) {
  enum status status = STATUS_OK;
  pthread_mutex_lock(&shared->lock);
  struct fetch_client **const newest = &shared->newest[pace];
  if (*newest != NULL && !atomic_load(&(*newest)->is_doubted)) {
    rd_kafka_conf_destroy(conf);
  } else {
    status = fetch_client_open(conf, shared->beat_name, client, error);
    *newest = status == STATUS_OK ? *client : *newest;
  }
  if (status == STATUS_OK) {
    *client = *newest;
    (*client)->reader_count++;
    shared->reader_count++;
  }
  pthread_mutex_unlock(&shared->lock);
  return status;
}

void fetch_shared_give_back(struct fetch_shared *shared, struct fetch_client *client) {
  pthread_mutex_lock(&shared->lock);
  shared->reader_count--;
  const bool is_last = --client->reader_count == 0;
  for (size_t pace = 0; pace < FETCH_PACE_COUNT; pace++) {
    if (is_last && shared->newest[pace] == client) {
      shared->newest[pace] = NULL;
    }
  }
  pthread_mutex_unlock(&shared->lock);
  if (is_last) {
    fetch_client_close(client);
  }
}
