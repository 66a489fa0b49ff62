#include "producers/publish_tune.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_TIMEOUT_MS = 30000, VALUE_SIZE = 512 };

static enum status set_property(rd_kafka_conf_t *conf, const char *name, const char *value,
                                struct error *error) {
  char text[256];
  if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
    return error_set(error, STATUS_CONFIG, "kafka property %s=%s: %s", name, value, text);
  }
  return STATUS_OK;
}

/* librdkafka's own value. A topic's property is found in a conf that has one of a topic alone. */
static bool default_of(const char *name, char value[VALUE_SIZE]) {
  size_t size = VALUE_SIZE;
  rd_kafka_conf_t *const defaults = rd_kafka_conf_new();
  rd_kafka_conf_set_default_topic_conf(defaults, rd_kafka_topic_conf_new());
  const bool is_known = rd_kafka_conf_get(defaults, name, value, &size) == RD_KAFKA_CONF_OK;
  rd_kafka_conf_destroy(defaults);
  return is_known;
}

/* Whether somebody gave the property another value than librdkafka's default. A topic's property
 * is unknown to a conf in which nobody has set one of a topic. */
static bool is_chosen(const rd_kafka_conf_t *conf, const char *name) {
  char chosen[VALUE_SIZE];
  char standard[VALUE_SIZE];
  size_t size = sizeof chosen;
  return rd_kafka_conf_get(conf, name, chosen, &size) == RD_KAFKA_CONF_OK &&
         default_of(name, standard) && strcmp(chosen, standard) != 0;
}

static enum status set_unchosen(rd_kafka_conf_t *conf, const char *name, const char *value,
                                struct error *error) {
  return is_chosen(conf, name) ? STATUS_OK : set_property(conf, name, value, error);
}

static int64_t number_of(const rd_kafka_conf_t *conf, const char *name) {
  char value[VALUE_SIZE];
  size_t size = sizeof value;
  const rd_kafka_conf_res_t found = rd_kafka_conf_get(conf, name, value, &size);
  assert(found == RD_KAFKA_CONF_OK);
  return strtoll(value, NULL, 10);
}

enum status publish_tune(rd_kafka_conf_t *conf, int64_t *produce_timeout_ms, struct error *error) {
  static const struct {
    const char *name;
    const char *value;
  } tuning[] = {
      {"linger.ms", "0"},
      {"retry.backoff.ms", "5"},
      {"reconnect.backoff.max.ms", "1000"},
      {"socket.nagle.disable", "true"},
      {"compression.codec", "lz4"},
      {"queue.buffering.max.messages", "200000"},
      {"transaction.timeout.ms", "60000"},
  };
  enum status status = STATUS_OK;
  for (size_t i = 0; status == STATUS_OK && i < COUNT_OF(tuning); i++) {
    status = set_unchosen(conf, tuning[i].name, tuning[i].value, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  const int64_t transaction_ms = number_of(conf, "transaction.timeout.ms");
  const int64_t half_ms = transaction_ms / 2;
  char text[32];
  *produce_timeout_ms = transaction_ms - transaction_ms / 6;
  snprintf(text, sizeof text, "%lld",
           (long long)(half_ms < MESSAGE_TIMEOUT_MS ? half_ms : MESSAGE_TIMEOUT_MS));
  return set_unchosen(conf, "message.timeout.ms", text, error);
}
