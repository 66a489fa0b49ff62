#include "core/app/request_send.h"

#include "core/app/kafka_client.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

enum { POLL_MS = 100, WHY_SIZE = 256 };

/* What the broker said about the message. */
struct receipt {
  bool is_there;
  rd_kafka_resp_err_t code;
  int64_t offset;
};

static void take_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  *(struct receipt *)opaque =
      (struct receipt){.is_there = true, .code = message->err, .offset = message->offset};
}

static enum status open_client(const struct config *config, struct receipt *receipt,
                               rd_kafka_t **client, struct error *error) {
  static const struct kafka_property properties[] = {{"enable.idempotence", "true"},
                                                     {"acks", "all"},
                                                     {"message.timeout.ms", "30000"},
                                                     {"linger.ms", "0"},
                                                     {NULL, NULL}};
  rd_kafka_conf_t *const conf = kafka_conf(config, properties, error);
  if (conf == NULL) {
    return STATUS_CONFIG;
  }
  rd_kafka_conf_set_opaque(conf, receipt);
  rd_kafka_conf_set_dr_msg_cb(conf, take_report);
  char why[WHY_SIZE];
  *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (*client == NULL) {
    rd_kafka_conf_destroy(conf);
    return error_set(error, STATUS_CONFIG, "Kafka producer: %s", why);
  }
  return STATUS_OK;
}

static enum status send_one(rd_kafka_t *client, struct span key, struct span value,
                            const struct place *place, struct receipt *receipt,
                            struct error *error) {
  const uint8_t *const key_data = key.size > 0 ? key.data : NULL;
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      client, RD_KAFKA_V_TOPIC(place->topic), RD_KAFKA_V_PARTITION(place->partition),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key_data, key.size),
      RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.size), RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(error, STATUS_UNAVAILABLE, "sending", rd_kafka_err2str(code));
  }
  while (!receipt->is_there) { /* ends with the message's own deadline */
    rd_kafka_poll(client, POLL_MS);
  }
  return receipt->code == RD_KAFKA_RESP_ERR_NO_ERROR
             ? STATUS_OK
             : kafka_error(error, STATUS_UNAVAILABLE, place->topic,
                           rd_kafka_err2str(receipt->code));
}

enum status request_send(const struct config *config, enum topic topic, struct span key,
                         struct span value, struct place *place, struct error *error) {
  struct receipt receipt = {0};
  rd_kafka_t *client = NULL;
  int32_t count = 0;
  *place = (struct place){0};
  enum status status = open_client(config, &receipt, &client, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = kafka_partition_count(client, config, topic_name(topic), &count, error);
  if (status == STATUS_OK) {
    place->topic = kafka_topic_whole(config, topic_name(topic));
    place->partition =
        key.size == 0 ? 0
                      : kafka_partition_of(config->kafka.partitioner, key.data, key.size, count);
    status = send_one(client, key, value, place, &receipt, error);
    place->offset = receipt.offset;
  }
  rd_kafka_destroy(client);
  return status;
}
