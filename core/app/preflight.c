#include "core/app/preflight.h"

#include "consumers/partition_ends.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/log.h"
#include "core/app/registry_client.h"
#include "core/result.h"
#include "producers/encode.h"
#include "producers/store_environment.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_SIZE_MIN = 16, KEY_SIZE_MAX = 64, ENDS_TIMEOUT_MS = 10000 };

/* The file's bytes are the key, but for one line end that an editor may have put there. */
static enum status read_key_file(const char *path, uint8_t key[KEY_SIZE_MAX], size_t *size,
                                 struct error *error) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    return error_set(error, STATUS_CONFIG, "privacy.subject_key_file %s: %s", path,
                     strerror(errno));
  }
  uint8_t bytes[KEY_SIZE_MAX + 2];
  *size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  if (*size > 0 && bytes[*size - 1] == '\n') {
    (*size)--;
  }
  if (*size < KEY_SIZE_MIN || *size > KEY_SIZE_MAX) {
    return error_set(error, STATUS_CONFIG, "privacy.subject_key_file %s: a key has %d to %d bytes",
                     path, KEY_SIZE_MIN, KEY_SIZE_MAX);
  }
  memcpy(key, bytes, *size);
  return STATUS_OK;
}

enum status preflight_subject_key(const struct config *config, uint8_t key[64], size_t *size,
                                  struct error *error) {
  if (config->privacy.subject_key_file[0] != '\0') {
    return read_key_file(config->privacy.subject_key_file, key, size, error);
  }
  *size = SUBJECT_KEY_SIZE;
  return store_subject_key(config->postgres.dsn, key, error);
}

static enum status expect_count(struct rd_kafka_s *client, const struct config *config,
                                const char *name, int32_t expected, struct error *error) {
  int32_t count;
  const enum status status = kafka_partition_count(client, config, name, &count, error);
  if (status == STATUS_OK && count != expected) {
    return error_set(error, STATUS_CONFIG, "topic %s%s has %d partitions, not %d",
                     config->kafka.topic_prefix, name, count, expected);
  }
  return status;
}

static enum status check_topics(struct rd_kafka_s *client, const struct config *config,
                                uint32_t *lane_count, struct error *error) {
  int32_t lanes = 0;
  enum status status =
      kafka_partition_count(client, config, topic_name(TOPIC_REPORTS), &lanes, error);
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    const int32_t expected = topic == TOPIC_CONTROL ? 1 : lanes;
    status = expect_count(client, config, topic_name(topic), expected, error);
  }
  for (uint32_t record = 0; record < RECORD_COUNT && status == STATUS_OK; record++) {
    const char *name = record == RECORD_DEVICE    ? "devices"
                       : record == RECORD_JOURNAL ? "journal"
                                                  : result_topic_name((enum result_kind)record);
    status = expect_count(client, config, name, lanes, error);
  }
  *lane_count = (uint32_t)lanes;
  return status;
}

/* As a reader of committed messages sees them. */
static enum status find_ends(struct preflight *preflight, struct rd_kafka_s *client,
                             struct error *error) {
  free(preflight->ends);
  preflight->ends = calloc(preflight->lane_count, sizeof *preflight->ends);
  assert(preflight->ends != NULL);
  for (uint32_t lane = 0; lane < preflight->lane_count; lane++) {
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      char name[TOPIC_NAME_SIZE];
      int64_t first;
      topic_full_name(preflight->config, topic, name);
      const rd_kafka_resp_err_t code =
          partition_ends(client, name, topic_partition(topic, lane), ENDS_TIMEOUT_MS, &first,
                         &preflight->ends[lane].offsets[topic]);
      if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return kafka_error(error, STATUS_UNAVAILABLE, name, rd_kafka_err2str(code));
      }
    }
  }
  return STATUS_OK;
}

struct recall {
  const struct preflight *preflight;
  struct output_ids *ids;
  bool is_found;
};

static void recall_ids(void *context, struct span content) {
  struct recall *recall = context;
  struct output_ids ids;
  if (!recall->is_found && environment_recall_ids(recall->preflight->config,
                                                  recall->preflight->schemas, content, &ids)) {
    *recall->ids = ids;
    recall->is_found = true;
  }
}

/* The registry is out of reach: our schemas have the ids that they had. */
static bool ids_are_recorded(struct preflight *preflight) {
  struct recall recall = {.preflight = preflight, .ids = &preflight->ids};
  struct store *store;
  struct error error;
  if (store_open(preflight->config->postgres.dsn, &store, &error) != STATUS_OK) {
    return false;
  }
  const enum status status = store_load_environments(store, recall_ids, &recall, &error);
  store_close(store);
  return status == STATUS_OK && recall.is_found;
}

static enum status find_ids(struct preflight *preflight, struct error *error) {
  struct registry *registry;
  if (preflight->config->schemas.registry_url[0] == '\0') {
    return STATUS_OK;
  }
  enum status status = registry_of_config(preflight->config, preflight->is_over, preflight->context,
                                          &registry, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = registry_register_outputs(registry, preflight->config, preflight->schemas,
                                     &preflight->ids, error);
  registry_close(registry);
  if (status == STATUS_UNAVAILABLE && ids_are_recorded(preflight)) {
    log_warning("schema registry out of reach: our schemas keep the ids that are recorded",
                LOG_TEXT("error", error->text));
    return STATUS_OK;
  }
  return status;
}

void preflight_run(struct preflight *preflight) {
  struct error *error = &preflight->error;
  struct store *store = NULL;
  preflight->status = store_open(preflight->config->postgres.dsn, &store, error);
  store_close(preflight->status == STATUS_OK ? store : NULL);
  if (preflight->status == STATUS_OK) {
    preflight->status = preflight_subject_key(preflight->config, preflight->subject_key,
                                              &preflight->subject_key_size, error);
  }
  if (preflight->status != STATUS_OK) {
    return;
  }
  static const struct kafka_property properties[] = {KAFKA_READ_PROPERTIES, {NULL, NULL}};
  struct rd_kafka_s *client = kafka_open(preflight->config, false, properties, error);
  if (client == NULL) {
    preflight->status = STATUS_CONFIG;
    return;
  }
  preflight->status = check_topics(client, preflight->config, &preflight->lane_count, error);
  if (preflight->status == STATUS_OK) {
    preflight->status = find_ends(preflight, client, error);
  }
  if (preflight->status == STATUS_OK) {
    preflight->status = find_ids(preflight, error);
  }
  rd_kafka_destroy(client);
}
