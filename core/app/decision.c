#include "core/app/decision.h"

#include "consumers/avro_json.h"
#include "core/app/clock.h"
#include "core/app/dead_letter.h"
#include "core/app/kafka_client.h"
#include "core/app/kafka_reader.h"
#include "core/app/message_json.h"
#include "core/app/registry_client.h"
#include "core/app/text.h"

#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 100, ENTRY_MS = 2000, AUDIT = 0, DEAD_LETTERS = 1, TOPICS_WATCHED = 2 };

struct decision_watch {
  const struct config *config;
  struct schema_learner *learner;
  rd_kafka_t *client;
  rd_kafka_queue_t *queue;
  rd_kafka_topic_t *topics[TOPICS_WATCHED];
  bool is_started[TOPICS_WATCHED];
  int32_t partition;
};

/* From its present end on. */
static enum status watch_topic(struct decision_watch *watch, const struct config *config,
                               size_t which, struct error *error) {
  static const enum result_kind kinds[] = {
      [AUDIT] = RESULT_AUDIT, [DEAD_LETTERS] = RESULT_DEAD_LETTER};
  char *const whole = kafka_topic_whole(config, result_topic_name(kinds[which]));
  struct kafka_bounds bounds;
  enum status status = kafka_bounds(watch->client, whole, watch->partition, &bounds, error);
  if (status == STATUS_OK) {
    watch->topics[which] = rd_kafka_topic_new(watch->client, whole, NULL);
    assert(watch->topics[which] != NULL);
    watch->is_started[which] = rd_kafka_consume_start_queue(watch->topics[which], watch->partition,
                                                            bounds.end, watch->queue) == 0;
    if (!watch->is_started[which]) {
      status =
          kafka_error(error, STATUS_UNAVAILABLE, whole, rd_kafka_err2str(rd_kafka_last_error()));
    }
  }
  free(whole);
  return status;
}

enum status decision_watch_open(const struct config *config, struct span key,
                                struct schema_learner *learner, struct decision_watch **watch,
                                struct error *error) {
  struct decision_watch *const made = memory_zeroed(1, sizeof *made);
  int32_t lane_count = 0;
  *watch = made;
  made->config = config;
  made->learner = learner;
  made->client = kafka_reader_open(config, error);
  if (made->client == NULL) {
    return STATUS_CONFIG;
  }
  made->queue = rd_kafka_queue_new(made->client);
  enum status status = kafka_partition_count(made->client, config, result_topic_name(RESULT_AUDIT),
                                             &lane_count, error);
  if (status == STATUS_OK && key.size > 0) {
    made->partition = kafka_partition_of(config->kafka.partitioner, key.data, key.size, lane_count);
  }
  for (size_t i = 0; i < TOPICS_WATCHED && status == STATUS_OK; i++) {
    status = watch_topic(made, config, i, error);
  }
  return status;
}

void decision_watch_close(struct decision_watch *watch) {
  if (watch == NULL) {
    return;
  }
  for (size_t i = 0; i < TOPICS_WATCHED; i++) {
    if (watch->is_started[i]) {
      rd_kafka_consume_stop(watch->topics[i], watch->partition);
    }
    if (watch->topics[i] != NULL) {
      rd_kafka_topic_destroy(watch->topics[i]);
    }
  }
  if (watch->queue != NULL) {
    rd_kafka_queue_destroy(watch->queue);
  }
  if (watch->client != NULL) {
    rd_kafka_destroy(watch->client);
  }
  free(watch);
}

/* The message that is waited for. */
struct place {
  char *topic; /* whole */
  int32_t partition;
  int64_t offset;
};

static bool names_place(const json_t *entry, const struct place *place) {
  const json_t *const cause = json_object_get(entry, "cause");
  const char *const topic = json_string_value(json_object_get(cause, "topic"));
  return topic != NULL && strcmp(topic, place->topic) == 0 &&
         json_integer_value(json_object_get(cause, "partition")) == place->partition &&
         json_integer_value(json_object_get(cause, "offset")) == place->offset;
}

static enum outcome outcome_of(const char *name) {
  enum outcome outcome = OUTCOME_OK;
  while (outcome < OUTCOME_COUNT && strcmp(outcome_name(outcome), name) != 0) {
    outcome++;
  }
  return outcome < OUTCOME_COUNT ? outcome : OUTCOME_FAILED;
}

static void take_entry(struct decision_watch *watch, const rd_kafka_message_t *message,
                       const struct place *place, struct decision *decision) {
  const struct span value = span_of(message->payload, message->len);
  struct reject reject;
  schema_learner_see(watch->learner, value);
  json_t *const entry = avro_json_of_ours(
      watch->learner->schemas,
      schemas_find_own(watch->learner->schemas, result_record_name(RESULT_AUDIT)), value, &reject);
  const char *const outcome = json_string_value(json_object_get(entry, "outcome"));
  if (entry == NULL || outcome == NULL || !names_place(entry, place)) {
    json_decref(entry);
    return;
  }
  const char *const reason = json_string_value(json_object_get(entry, "reason"));
  message_json_times(entry);
  decision->is_decided = true;
  decision->outcome = outcome_of(outcome);
  decision->entry = entry;
  snprintf(decision->reason, sizeof decision->reason, "%s", reason != NULL ? reason : "");
}

static void take_letter(const rd_kafka_message_t *message, const struct place *place,
                        struct decision *decision) {
  struct dead_letter letter;
  if (!dead_letter_read(message, &letter) || !span_equal(letter.topic, span_text(place->topic)) ||
      letter.partition != place->partition || letter.offset != place->offset) {
    return;
  }
  decision->is_decided = true;
  decision->outcome = OUTCOME_REFUSED;
  decision->is_not_allowed =
      span_equal(letter.code, span_text(reject_code_name(REJECT_NOT_ALLOWED)));
  snprintf(decision->reason, sizeof decision->reason, "%.*s: %.*s", (int)letter.code.size,
           (const char *)letter.code.data, (int)letter.message.size,
           letter.message.data != NULL ? (const char *)letter.message.data : "");
}

/* What is not allowed is a dead letter and an audit entry, which says more. */
static bool is_whole(const struct decision *decision) {
  return decision->is_decided && (!decision->is_not_allowed || decision->entry != NULL);
}

static enum status await_place(struct decision_watch *watch, const struct place *place,
                               int64_t deadline_mono_ms, struct decision *decision,
                               struct error *error) {
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !is_whole(decision)) {
    const int64_t left_ms = deadline_mono_ms - clock_mono_ms();
    if (left_ms <= 0) {
      break;
    }
    rd_kafka_message_t *const message =
        rd_kafka_consume_queue(watch->queue, (int)(left_ms < POLL_MS ? left_ms : POLL_MS));
    if (message == NULL) {
      continue;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = kafka_reader_trouble(message, place->topic, error);
    } else if (message->rkt == watch->topics[DEAD_LETTERS]) {
      take_letter(message, place, decision);
      deadline_mono_ms = decision->is_not_allowed ? clock_mono_ms() + ENTRY_MS : deadline_mono_ms;
    } else {
      take_entry(watch, message, place, decision);
    }
    rd_kafka_message_destroy(message);
  }
  return status;
}

enum status decision_await(struct decision_watch *watch, const struct asked *asked,
                           int64_t deadline_mono_ms, struct decision *decision,
                           struct error *error) {
  const struct place place = {.topic = kafka_topic_whole(watch->config, topic_name(asked->topic)),
                              .partition = asked->partition,
                              .offset = asked->offset};
  *decision = (struct decision){0};
  const enum status status = await_place(watch, &place, deadline_mono_ms, decision, error);
  free(place.topic);
  return status;
}

void decision_fini(struct decision *decision) {
  json_decref(decision->entry);
  decision->entry = NULL;
}
