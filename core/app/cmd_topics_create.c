/* Makes the topics of the public contract, or finds them there.
 *
 * All counts are looked at before anything is made, so that a refusal changes nothing. */
#include "core/app/command.h"
#include "core/app/kafka_client.h"
#include "core/app/option_number.h"
#include "core/event.h"
#include "core/result.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CREATE_PARTITIONS, CREATE_REPLICATION_FACTOR, CREATE_RETENTION_MS };

const struct option_spec topics_create_options[] = {
    {"partitions", "N", "lanes: partitions of every topic but control (default 4)"},
    {"replication-factor", "N", "copies of every partition (default: the broker's)"},
    {"retention-ms", "N", "how long records are kept (default: for ever)"},
    {NULL, NULL, NULL},
};

enum { PARTITIONS_MAX = 10000, OVERHEAD_SIZE_MAX = 65536, BROKER_BATCH_SIZE_MAX = 1048588 };

/* What a topic is for; decides its settings. */
enum topic_use { USE_INPUT, USE_STATE, USE_OUTPUT, USE_DEAD_LETTERS };

struct topic_plan {
  char *name; /* whole */
  int32_t partitions;
  enum topic_use use;
  bool exists;
};

enum { TOPICS_MAX = TOPIC_COUNT + RESULT_KIND_COUNT + 4 };

struct creation {
  const struct config *config;
  rd_kafka_t *client;
  int64_t partitions;
  int64_t replication_factor; /* -1: the broker's default */
  int64_t retention_ms;       /* -1: for ever */
  int64_t deadline_mono_ms;
  struct topic_plan topics[TOPICS_MAX];
  size_t topic_count;
};

static void plan_add(struct creation *creation, const char *name, enum topic_use use,
                     int32_t partitions) {
  assert(creation->topic_count < TOPICS_MAX);
  creation->topics[creation->topic_count++] = (struct topic_plan){
      .name = kafka_topic_whole(creation->config, name), .use = use, .partitions = partitions};
}

static void plan(struct creation *creation) {
  const int32_t lanes = (int32_t)creation->partitions;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    plan_add(creation, topic_name(topic), USE_INPUT, topic == TOPIC_CONTROL ? 1 : lanes);
  }
  plan_add(creation, "devices", USE_STATE, lanes);
  for (enum result_kind kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    plan_add(creation, result_topic_name(kind),
             kind == RESULT_DEAD_LETTER ? USE_DEAD_LETTERS : USE_OUTPUT, lanes);
  }
  plan_add(creation, "journal", USE_OUTPUT, lanes);
  plan_add(creation, "snapshots", USE_OUTPUT, lanes);
  plan_add(creation, "checkpoints", USE_OUTPUT, lanes);
}

static const rd_kafka_metadata_topic_t *find(const struct rd_kafka_metadata *metadata,
                                             const char *name) {
  for (int i = 0; i < metadata->topic_cnt; i++) {
    if (strcmp(metadata->topics[i].topic, name) == 0) {
      return &metadata->topics[i];
    }
  }
  return NULL;
}

static enum status check_count(const struct topic_plan *topic, int32_t found, struct error *error) {
  if (found == topic->partitions) {
    return STATUS_OK;
  }
  return error_set(error, STATUS_CONFIG,
                   "topic %s has %" PRId32 " partitions, not %" PRId32
                   ": lanes cannot be re-counted; name the count that is there, or another "
                   "kafka.topic_prefix",
                   topic->name, found, topic->partitions);
}

static enum status look(struct creation *creation, struct error *error) {
  const struct rd_kafka_metadata *metadata;
  enum status status =
      kafka_metadata(creation->client, creation->deadline_mono_ms, &metadata, error);
  if (status != STATUS_OK) {
    return status;
  }
  for (size_t i = 0; i < creation->topic_count && status == STATUS_OK; i++) {
    struct topic_plan *const topic = &creation->topics[i];
    const rd_kafka_metadata_topic_t *const there = find(metadata, topic->name);
    topic->exists = there != NULL && there->partition_cnt > 0;
    if (topic->exists) {
      status = check_count(topic, there->partition_cnt, error);
    }
  }
  rd_kafka_metadata_destroy(metadata);
  return status;
}

static void set_number(rd_kafka_NewTopic_t *topic, const char *name, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%" PRId64, value);
  rd_kafka_NewTopic_set_config(topic, name, text);
}

static void configure(const struct creation *creation, const struct topic_plan *plan,
                      rd_kafka_NewTopic_t *topic) {
  const bool is_state = plan->use == USE_STATE;
  rd_kafka_NewTopic_set_config(topic, "cleanup.policy", is_state ? "compact" : "delete");
  rd_kafka_NewTopic_set_config(topic, "compression.type", "producer");
  set_number(topic, "retention.ms", creation->retention_ms);
  set_number(topic, "retention.bytes", -1);
  if (plan->use == USE_INPUT || plan->use == USE_DEAD_LETTERS) {
    /* A device whose clock is wrong must not make the broker refuse its neighbours' messages,
     * and its dead letter carries the same stamp. */
    set_number(topic, "message.timestamp.after.max.ms", INT64_MAX);
    set_number(topic, "message.timestamp.before.max.ms", INT64_MAX);
    /* What an input takes beside its overhead, a dead letter must take. Above the limit there
     * is room on purpose: a message that is too large is to be accounted for, not lost. */
    const int64_t size = creation->config->kafka.message_bytes_max + OVERHEAD_SIZE_MAX;
    set_number(topic, "max.message.bytes",
               size > BROKER_BATCH_SIZE_MAX ? size : BROKER_BATCH_SIZE_MAX);
  }
}

static enum status make_topic(const struct creation *creation, const struct topic_plan *plan,
                              rd_kafka_NewTopic_t **topic, struct error *error) {
  char why[256];
  *topic = rd_kafka_NewTopic_new(plan->name, plan->partitions, (int)creation->replication_factor,
                                 why, sizeof why);
  if (*topic == NULL) {
    return error_set(error, STATUS_CONFIG, "topic %s: %s", plan->name, why);
  }
  configure(creation, plan, *topic);
  return STATUS_OK;
}

static enum status topic_outcome(const rd_kafka_topic_result_t *result, struct error *error) {
  const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(result);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
    return STATUS_OK; /* somebody else was quicker; the counts are checked once more */
  }
  const char *const text = rd_kafka_topic_result_error_string(result);
  const bool is_late =
      code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || code == RD_KAFKA_RESP_ERR_NOT_CONTROLLER;
  return error_set(error, is_late ? STATUS_UNAVAILABLE : STATUS_CONFIG, "topic %s: %s",
                   rd_kafka_topic_result_name(result),
                   text != NULL ? text : rd_kafka_err2str(code));
}

static enum status request(const struct creation *creation, rd_kafka_NewTopic_t **topics,
                           size_t count, struct error *error) {
  char why[128];
  const int64_t left_ms = creation->deadline_mono_ms - kafka_clock_mono_ms();
  const int wait_ms = left_ms > 1000 ? (int)left_ms : 1000;
  rd_kafka_AdminOptions_t *const options =
      rd_kafka_AdminOptions_new(creation->client, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, why, sizeof why);
  rd_kafka_AdminOptions_set_operation_timeout(options, wait_ms, why, sizeof why);
  rd_kafka_queue_t *const queue = rd_kafka_queue_new(creation->client);
  rd_kafka_CreateTopics(creation->client, topics, count, options, queue);
  rd_kafka_event_t *const event = rd_kafka_queue_poll(queue, -1);

  enum status status = STATUS_OK;
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    status = kafka_error(error, STATUS_UNAVAILABLE, "creating topics",
                         rd_kafka_event_error_string(event));
  } else {
    size_t result_count;
    const rd_kafka_topic_result_t **const results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event), &result_count);
    for (size_t i = 0; i < result_count && status == STATUS_OK; i++) {
      status = topic_outcome(results[i], error);
    }
  }
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  return status;
}

static enum status create_missing(const struct creation *creation, struct error *error) {
  rd_kafka_NewTopic_t *topics[TOPICS_MAX];
  size_t count = 0;
  enum status status = STATUS_OK;
  for (size_t i = 0; i < creation->topic_count && status == STATUS_OK; i++) {
    if (!creation->topics[i].exists) {
      status = make_topic(creation, &creation->topics[i], &topics[count], error);
      count += status == STATUS_OK;
    }
  }
  if (status == STATUS_OK && count > 0) {
    status = request(creation, topics, count, error);
  }
  rd_kafka_NewTopic_destroy_array(topics, count);
  return status;
}

static bool has_leaders(const rd_kafka_metadata_topic_t *topic) {
  if (topic == NULL || topic->err != RD_KAFKA_RESP_ERR_NO_ERROR || topic->partition_cnt == 0) {
    return false;
  }
  for (int i = 0; i < topic->partition_cnt; i++) {
    if (topic->partitions[i].leader < 0) {
      return false;
    }
  }
  return true;
}

/* Returns when a client that starts now would find every partition with a leader. */
static enum status wait_for_leaders(const struct creation *creation, struct error *error) {
  for (;;) {
    const struct rd_kafka_metadata *metadata;
    enum status status =
        kafka_metadata(creation->client, creation->deadline_mono_ms, &metadata, error);
    if (status != STATUS_OK) {
      return status;
    }
    const char *missing = NULL;
    for (size_t i = 0; i < creation->topic_count && status == STATUS_OK; i++) {
      const struct topic_plan *const plan = &creation->topics[i];
      const rd_kafka_metadata_topic_t *const there = find(metadata, plan->name);
      if (!has_leaders(there)) {
        missing = plan->name;
      } else {
        status = check_count(plan, there->partition_cnt, error);
      }
    }
    rd_kafka_metadata_destroy(metadata);
    if (status != STATUS_OK || missing == NULL) {
      return status;
    }
    if (kafka_clock_mono_ms() > creation->deadline_mono_ms) {
      return kafka_error(error, STATUS_UNAVAILABLE, missing, "a partition has no leader");
    }
    usleep(20000);
  }
}

static void report(const struct creation *creation) {
  for (size_t i = 0; i < creation->topic_count; i++) {
    const struct topic_plan *const topic = &creation->topics[i];
    printf("%s %s, %" PRId32 " partition%s\n", topic->exists ? "exists " : "created", topic->name,
           topic->partitions, topic->partitions == 1 ? "" : "s");
  }
}

static enum status read_options(const struct command_line *line, struct creation *creation,
                                struct error *error) {
  enum status status = option_number("partitions", line->options[CREATE_PARTITIONS], 1,
                                     PARTITIONS_MAX, &creation->partitions, error);
  if (status == STATUS_OK) {
    status = option_number("replication-factor", line->options[CREATE_REPLICATION_FACTOR], -1,
                           INT16_MAX, &creation->replication_factor, error);
  }
  if (status == STATUS_OK) {
    status = option_number("retention-ms", line->options[CREATE_RETENTION_MS], -1, INT64_MAX,
                           &creation->retention_ms, error);
  }
  return status;
}

enum status command_topics_create(const struct command_line *line, struct error *error) {
  struct creation creation = {
      .config = &line->config, .partitions = 4, .replication_factor = -1, .retention_ms = -1};
  enum status status = read_options(line, &creation, error);
  if (status != STATUS_OK) {
    return status;
  }
  creation.client = kafka_open(&line->config, true, NULL, error);
  if (creation.client == NULL) {
    return STATUS_CONFIG;
  }
  creation.deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  plan(&creation);
  status = look(&creation, error);
  if (status == STATUS_OK) {
    status = create_missing(&creation, error);
  }
  if (status == STATUS_OK) {
    status = wait_for_leaders(&creation, error);
  }
  if (status == STATUS_OK) {
    report(&creation);
  }
  for (size_t i = 0; i < creation.topic_count; i++) {
    free(creation.topics[i].name);
  }
  rd_kafka_destroy(creation.client);
  return status;
}
