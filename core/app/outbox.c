#include "core/app/outbox.h"

#include "core/app/kafka_client.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERHEAD_SIZE_MAX = 65536, DEFAULT_SIZE_MAX = 1000000, POLL_MS = 100 };

struct outbox {
  const struct config *config;
  outbox_refused_fn refused;
  void *context;
  rd_kafka_t *client;
  struct {
    rd_kafka_topic_t *topic; /* NULL until the first message for it */
    int32_t partition_count;
  } topics[TOPIC_COUNT];
  uint64_t sent_count;
  int32_t last_partition;
  int64_t last_offset; /* -1: nothing is acknowledged */
  uint64_t lost_count; /* of which nothing is known */
  char lost_reason[128];
};

/* What another attempt with the same message will not change. */
static bool is_refusal(rd_kafka_resp_err_t code) {
  switch ((int)code) {
  case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
  case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
  case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
  case RD_KAFKA_RESP_ERR_INVALID_RECORD:
  case RD_KAFKA_RESP_ERR_INVALID_MSG:
  case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    return true;
  default:
    return false;
  }
}

static void take_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  struct outbox *const outbox = opaque;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    outbox->sent_count++;
    outbox->last_partition = message->partition;
    outbox->last_offset = message->offset;
  } else if (is_refusal(message->err)) {
    outbox->refused(outbox->context, (uint64_t)(uintptr_t)message->_private,
                    rd_kafka_err2str(message->err));
  } else {
    if (outbox->lost_count++ == 0) {
      snprintf(outbox->lost_reason, sizeof outbox->lost_reason, "%s",
               rd_kafka_err2str(message->err));
    }
  }
}

enum status outbox_open(const struct config *config, outbox_refused_fn refused, void *context,
                        struct outbox **outbox, struct error *error) {
  char size_max[24];
  const int64_t wanted = config->kafka.message_bytes_max + OVERHEAD_SIZE_MAX;
  snprintf(size_max, sizeof size_max, "%" PRId64,
           wanted > DEFAULT_SIZE_MAX ? wanted : DEFAULT_SIZE_MAX);
  const struct kafka_property properties[] = {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"message.max.bytes", size_max},
      {"message.timeout.ms", "30000"},
      {"linger.ms", "20"},
      {"queue.buffering.max.messages", "500000"},
      {"queue.buffering.max.kbytes", "65536"},
      {NULL, NULL},
  };
  rd_kafka_conf_t *const conf = kafka_conf(config, properties, error);
  if (conf == NULL) {
    return STATUS_CONFIG;
  }
  struct outbox *const made = memory_zeroed(1, sizeof *made);
  *made =
      (struct outbox){.config = config, .refused = refused, .context = context, .last_offset = -1};
  rd_kafka_conf_set_opaque(conf, made);
  rd_kafka_conf_set_dr_msg_cb(conf, take_report);
  char why[256];
  made->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (made->client == NULL) {
    rd_kafka_conf_destroy(conf);
    free(made);
    return error_set(error, STATUS_CONFIG, "Kafka producer: %s", why);
  }
  *outbox = made;
  return STATUS_OK;
}

static enum status topic_ready(struct outbox *outbox, enum topic topic, struct error *error) {
  if (outbox->topics[topic].topic != NULL) {
    return STATUS_OK;
  }
  const enum status status =
      kafka_partition_count(outbox->client, outbox->config, topic_name(topic),
                            &outbox->topics[topic].partition_count, error);
  if (status == STATUS_OK) {
    char *const whole = kafka_topic_whole(outbox->config, topic_name(topic));
    outbox->topics[topic].topic = rd_kafka_topic_new(outbox->client, whole, NULL);
    assert(outbox->topics[topic].topic != NULL);
    free(whole);
  }
  return status;
}

static enum status check_lost(const struct outbox *outbox, struct error *error) {
  if (outbox->lost_count == 0) {
    return STATUS_OK;
  }
  char doing[80];
  snprintf(doing, sizeof doing, "%" PRIu64 " messages are not acknowledged", outbox->lost_count);
  return kafka_error(error, STATUS_UNAVAILABLE, doing, outbox->lost_reason);
}

static rd_kafka_resp_err_t produce(const struct outbox *outbox,
                                   const struct outgoing_message *message, int32_t partition) {
  rd_kafka_headers_t *const headers =
      message->headers != NULL ? rd_kafka_headers_copy(message->headers) : NULL;
  /* An empty value is not null: librdkafka tells them apart by the pointer. */
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      outbox->client, RD_KAFKA_V_RKT(outbox->topics[message->topic].topic),
      RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(message->key_is_null ? NULL : message->key.data, message->key.size),
      RD_KAFKA_V_VALUE((void *)(uintptr_t)message->value.data, message->value.size),
      RD_KAFKA_V_TIMESTAMP(message->timestamp_ms), RD_KAFKA_V_HEADERS(headers),
      RD_KAFKA_V_OPAQUE((void *)(uintptr_t)message->tag), RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
    rd_kafka_headers_destroy(headers); /* ours again after a failure */
  }
  return code;
}

enum status outbox_send(struct outbox *outbox, const struct outgoing_message *message,
                        struct error *error) {
  enum status status = topic_ready(outbox, message->topic, error);
  if (status != STATUS_OK) {
    return status;
  }
  const int32_t count = outbox->topics[message->topic].partition_count;
  int32_t partition = message->partition;
  if (!message->key_is_null) {
    partition = kafka_partition_of(outbox->config->kafka.partitioner, message->key.data,
                                   message->key.size, count);
  } else if (partition < 0 || partition >= count) {
    return error_set(error, STATUS_REFUSED, "%s has no partition %" PRId32,
                     topic_name(message->topic), partition);
  }
  rd_kafka_resp_err_t code;
  while ((code = produce(outbox, message, partition)) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
    rd_kafka_poll(outbox->client, POLL_MS);
    status = check_lost(outbox, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  rd_kafka_poll(outbox->client, 0);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return check_lost(outbox, error);
  }
  return is_refusal(code)
             ? error_set(error, STATUS_REFUSED, "%s", rd_kafka_err2str(code))
             : kafka_error(error, STATUS_UNAVAILABLE, "sending", rd_kafka_err2str(code));
}

enum status outbox_flush(struct outbox *outbox, struct error *error) {
  /* Every message ends within its own timeout, acknowledged or not. When one has not been, the
   * deadline has passed, and those behind it, with later ones, are not waited for. */
  while (rd_kafka_outq_len(outbox->client) > 0) {
    rd_kafka_flush(outbox->client, POLL_MS);
    if (outbox->lost_count > 0) {
      rd_kafka_purge(outbox->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    }
  }
  return check_lost(outbox, error);
}

uint64_t outbox_sent_count(const struct outbox *outbox) {
  return outbox->sent_count;
}

void outbox_last(const struct outbox *outbox, int32_t *partition, int64_t *offset) {
  *partition = outbox->last_partition;
  *offset = outbox->last_offset;
}

void outbox_close(struct outbox *outbox) {
  if (outbox == NULL) {
    return;
  }
  rd_kafka_purge(outbox->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    if (outbox->topics[i].topic != NULL) {
      rd_kafka_topic_destroy(outbox->topics[i].topic);
    }
  }
  rd_kafka_destroy(outbox->client);
  free(outbox);
}
