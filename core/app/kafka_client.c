#include "core/app/kafka_client.h"

#include "core/app/secret.h"
#include "core/app/text.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

enum {
  REFUSALS_MAX = 2,        /* one may come from a broker that has just begun to know its users */
  METADATA_SLICE_MS = 500, /* the first; the next ones are longer, for brokers that are slow */
};

/* librdkafka says why a broker is out of reach in its log alone, from its own threads. The
 * newest complaint is kept for the error that a caller returns when its deadline has passed. */
static struct {
  pthread_mutex_t lock;
  char text[ERROR_TEXT_SIZE / 2];
  unsigned refusals; /* of who we are */
} complaint = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void complaint_keep(const char *text) {
  /* "[thrd:127.0.0.1:9092/bootstrap]: " names a thread, which helps nobody. */
  const char *const end = text[0] == '[' ? strstr(text, "]: ") : NULL;
  pthread_mutex_lock(&complaint.lock);
  snprintf(complaint.text, sizeof complaint.text, "%s", end != NULL ? end + 3 : text);
  pthread_mutex_unlock(&complaint.lock);
}

static void take_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
  if (level <= LOG_ERR) {
    complaint_keep(text);
  }
  if (getenv("MUSTER_LOG_KAFKA") != NULL) {
    fprintf(stderr, "kafka: %s: %s: %s\n", client != NULL ? rd_kafka_name(client) : "?", facility,
            text);
  }
}

/* Called by whoever polls a client. librdkafka itself tries for ever. */
static void take_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
  (void)client, (void)reason, (void)opaque;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
      code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
      code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM) {
    pthread_mutex_lock(&complaint.lock);
    complaint.refusals++;
    pthread_mutex_unlock(&complaint.lock);
  }
}

static unsigned refusals(struct rd_kafka_s *client) {
  rd_kafka_poll(client, 0);
  pthread_mutex_lock(&complaint.lock);
  const unsigned count = complaint.refusals;
  pthread_mutex_unlock(&complaint.lock);
  return count;
}

/* Until 2.6.1 librdkafka's SCRAM says its nonce once too often, which Kafka 4.0 and later refuse.
 */
static const char *advice(const char *why) {
  enum { VERSION_2_6_1 = 0x020601ff };
  return strstr(why, "mechanism SCRAM") != NULL && rd_kafka_version() < VERSION_2_6_1
             ? "; with Kafka 4.0 or later SCRAM needs librdkafka 2.6.1, else use PLAIN or a client "
               "certificate, over TLS"
             : "";
}

enum status kafka_error(struct error *error, enum status status, const char *doing,
                        const char *reason) {
  char why[sizeof complaint.text];
  pthread_mutex_lock(&complaint.lock);
  memcpy(why, complaint.text, sizeof why);
  pthread_mutex_unlock(&complaint.lock);
  const bool adds = status == STATUS_UNAVAILABLE && why[0] != '\0';
  return error_set(error, status, "Kafka: %s: %s%s%s%s%s", doing, reason, adds ? " (" : "",
                   adds ? why : "", adds ? ")" : "", adds ? advice(why) : "");
}

void kafka_explain(struct error *error) {
  char why[sizeof complaint.text];
  pthread_mutex_lock(&complaint.lock);
  memcpy(why, complaint.text, sizeof why);
  pthread_mutex_unlock(&complaint.lock);
  if (why[0] != '\0' && strstr(error->text, "Purged in ") != NULL) {
    const size_t used = strlen(error->text);
    snprintf(error->text + used, sizeof error->text - used, " (%s)", why);
  }
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct error *error) {
  char why[256];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) {
    return true;
  }
  (void)!error_set(error, STATUS_CONFIG, "Kafka property %s: %s", name, why);
  return false;
}

/* One of ours. */
static bool set_own(rd_kafka_conf_t *conf, const struct kafka_property *own, struct error *error) {
  char why[256];
  const bool is_wish = strcmp(own->name, KAFKA_QUEUE_BACKOFF) == 0;
  return (is_wish && rd_kafka_conf_set(conf, own->name, own->value, why, sizeof why) ==
                         RD_KAFKA_CONF_UNKNOWN) ||
         set(conf, own->name, own->value, error);
}

static bool set_secret(rd_kafka_conf_t *conf, const char *name, const char *key, const char *text,
                       const char *file, struct error *error) {
  char *secret;
  if (secret_read(key, text, file, &secret, error) != STATUS_OK) {
    return false;
  }
  const bool good = secret[0] == '\0' || set(conf, name, secret, error);
  secret_free(secret);
  return good;
}

/* How the broker is met: TLS, and who we are. Passwords are read anew for every client. */
static bool set_security(rd_kafka_conf_t *conf, const struct config *config, struct error *error) {
  const struct kafka_property properties[] = {
      {"security.protocol", config->kafka.security_protocol},
      {"sasl.mechanism", config->kafka.sasl_mechanism},
      {"sasl.username", config->kafka.sasl_username},
      {"ssl.ca.location", config->kafka.ssl_ca_file},
      {"ssl.certificate.location", config->kafka.ssl_certificate_file},
      {"ssl.key.location", config->kafka.ssl_key_file},
  };
  bool good = true;
  for (size_t i = 0; good && i < COUNT_OF(properties); i++) {
    good =
        properties[i].value[0] == '\0' || set(conf, properties[i].name, properties[i].value, error);
  }
  return good &&
         set_secret(conf, "sasl.password", "kafka.sasl_password", config->kafka.sasl_password,
                    config->kafka.sasl_password_file, error) &&
         set_secret(conf, "ssl.key.password", "kafka.ssl_key_password",
                    config->kafka.ssl_key_password, config->kafka.ssl_key_password_file, error);
}

struct rd_kafka_conf_s *kafka_conf(const struct config *config, const struct kafka_property *extra,
                                   struct error *error) {
  rd_kafka_conf_t *const conf = rd_kafka_conf_new();
  rd_kafka_conf_set_log_cb(conf, take_log);
  bool good = set(conf, "bootstrap.servers", config->kafka.bootstrap_servers, error) &&
              set(conf, "client.id", "muster", error) && set_security(conf, config, error);
  for (; good && extra != NULL && extra->name != NULL; extra++) {
    good = set_own(conf, extra, error);
  }
  for (size_t i = 0; good && i < config->property_count; i++) {
    good = set(conf, config->properties[i].name, config->properties[i].value, error);
    if (!good) {
      error_wrap(error, "-X");
    }
  }
  if (!good) {
    rd_kafka_conf_destroy(conf);
    return NULL;
  }
  return conf;
}

struct rd_kafka_s *kafka_open(const struct config *config, bool is_producer,
                              const struct kafka_property *extra, struct error *error) {
  rd_kafka_conf_t *const conf = kafka_conf(config, extra, error);
  if (conf == NULL) {
    return NULL;
  }
  char why[256];
  rd_kafka_conf_set_error_cb(conf, take_error);
  rd_kafka_t *const client =
      rd_kafka_new(is_producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, why, sizeof why);
  if (client == NULL) {
    rd_kafka_conf_destroy(conf);
    (void)!error_set(error, STATUS_CONFIG, "Kafka client: %s", why);
  }
  return client;
}

int64_t kafka_clock_mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The broker has answered, and does not let us in; no waiting mends that. */
static enum status refused(struct error *error) {
  char why[sizeof complaint.text];
  pthread_mutex_lock(&complaint.lock);
  memcpy(why, complaint.text, sizeof why);
  pthread_mutex_unlock(&complaint.lock);
  return error_set(error, STATUS_CONFIG,
                   "Kafka refuses who we are: %s; see kafka.sasl_username and its password%s", why,
                   advice(why));
}

enum status kafka_metadata(struct rd_kafka_s *client, int64_t deadline_mono_ms,
                           const struct rd_kafka_metadata **metadata, struct error *error) {
  const unsigned refusals_before = refusals(client);
  int64_t slice_ms = METADATA_SLICE_MS;
  rd_kafka_resp_err_t code;
  do {
    int64_t left_ms = deadline_mono_ms - kafka_clock_mono_ms();
    if (left_ms <= 0) {
      code = RD_KAFKA_RESP_ERR__TIMED_OUT;
      break;
    }
    if (refusals(client) - refusals_before >= REFUSALS_MAX) {
      return refused(error);
    }
    left_ms = left_ms < slice_ms ? left_ms : slice_ms;
    slice_ms *= 2;
    /* All topics: asking for one by name may create it on a broker that is set up so. */
    code = rd_kafka_metadata(client, 1, NULL, metadata, (int)left_ms);
  } while (code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(error, STATUS_UNAVAILABLE, "no answer in time", rd_kafka_err2str(code));
  }
  return STATUS_OK;
}

const char *kafka_topic_short(const struct config *config, const char *topic) {
  const char *const prefix = config->kafka.topic_prefix;
  const size_t size = strlen(prefix);
  return strncmp(topic, prefix, size) == 0 ? topic + size : topic;
}

char *kafka_topic_whole(const struct config *config, const char *name) {
  const size_t size = strlen(config->kafka.topic_prefix) + strlen(name) + 1;
  char *const whole = memory_zeroed(size, 1);
  snprintf(whole, size, "%s%s", config->kafka.topic_prefix, name);
  return whole;
}

enum status kafka_partition_count(struct rd_kafka_s *client, const struct config *config,
                                  const char *name, int32_t *count, struct error *error) {
  const struct rd_kafka_metadata *metadata;
  const enum status status =
      kafka_metadata(client, kafka_clock_mono_ms() + KAFKA_DEADLINE_MS, &metadata, error);
  if (status != STATUS_OK) {
    return status;
  }
  *count = 0;
  const char *const prefix = config->kafka.topic_prefix;
  for (int i = 0; i < metadata->topic_cnt; i++) {
    const char *const topic = metadata->topics[i].topic;
    const char *const rest = kafka_topic_short(config, topic);
    if (rest == topic + strlen(prefix) && strcmp(rest, name) == 0) {
      *count = metadata->topics[i].partition_cnt;
    }
  }
  rd_kafka_metadata_destroy(metadata);
  if (*count <= 0) {
    return error_set(error, STATUS_CONFIG,
                     "Kafka topic %s%s is missing, or not shown to this user: run `muster topics "
                     "create`, or look at the ACLs",
                     prefix, name);
  }
  return STATUS_OK;
}

int32_t kafka_partition_of(enum partitioner partitioner, const void *key, size_t size,
                           int32_t count) {
  assert(count > 0);
  switch (partitioner) {
  case PARTITIONER_MURMUR2:
    return rd_kafka_msg_partitioner_murmur2(NULL, key, size, count, NULL, NULL);
  case PARTITIONER_CRC32:
    return rd_kafka_msg_partitioner_consistent(NULL, key, size, count, NULL, NULL);
  case PARTITIONER_FNV1A:
    return rd_kafka_msg_partitioner_fnv1a(NULL, key, size, count, NULL, NULL);
  }
  assert(false);
  return -1;
}
