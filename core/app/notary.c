#include "core/app/notary.h"

#include "core/app/clock.h"
#include "core/app/journal_source.h"
#include "core/app/journal_tree.h"
#include "core/app/kafka_client.h"
#include "core/app/log.h"
#include "core/app/replay.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SETTLE_MS = 5000, PAUSE_MS = 50, FLUSH_MS = 10000 };

/* A lane as far as it was told of and read. */
struct noted_lane {
  uint64_t noted_batch; /* these two under the lock */
  uint8_t noted_chain[DIGEST_SIZE];
  struct found *found; /* NULL: not read yet */
  struct journal_source *journal;
  struct journal_tree tree;
  uint64_t signed_batch;
  bool is_broken; /* said once; it is not signed any more */
};

struct notary {
  const struct config *config;
  const struct schemas *schemas;
  struct note_key *key;
  struct fetch *fetch;
  rd_kafka_t *producer;
  char topic[256];
  struct noted_lane *lanes;
  uint32_t lane_count;
  pthread_mutex_t lock;
  pthread_cond_t ended;
  pthread_t thread;
  bool is_started, is_ending, is_clean;
};

/* What the lane was told to be at, as the thread works on it. */
struct target {
  uint32_t lane;
  uint64_t batch;
  uint8_t chain[DIGEST_SIZE];
};

enum status notary_open(const struct config *config, const struct schemas *schemas,
                        struct notary **notary, struct error *error) {
  struct note_key *key;
  *notary = NULL;
  if (config->journal.signing_key_file[0] == '\0') {
    return STATUS_OK;
  }
  const enum status status = note_key_load(config->journal.signing_key_file, true, &key, error);
  if (status != STATUS_OK) {
    error_wrap(error, "journal.signing_key_file");
    return status;
  }
  struct notary *made = memory_zeroed(1, sizeof *made);
  *made = (struct notary){.config = config, .schemas = schemas, .key = key};
  snprintf(made->topic, sizeof made->topic, "%scheckpoints", config->kafka.topic_prefix);
  *notary = made;
  return STATUS_OK;
}

static enum status open_clients(struct notary *notary, struct error *error) {
  static const struct kafka_property properties[] = {{"enable.idempotence", "true"},
                                                     {"acks", "all"},
                                                     {"message.timeout.ms", "30000"},
                                                     {NULL, NULL}};
  if (notary->fetch == NULL) {
    const enum status status = replay_fetch_open(notary->config, &notary->fetch, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  if (notary->producer == NULL) {
    notary->producer = kafka_open(notary->config, true, properties, error);
  }
  return notary->producer != NULL ? STATUS_OK : STATUS_CONFIG;
}

static enum status open_lane(struct notary *notary, uint32_t number, struct error *error) {
  struct noted_lane *lane = &notary->lanes[number];
  const char *prefix = notary->config->kafka.topic_prefix;
  if (lane->found != NULL) {
    return STATUS_OK;
  }
  const enum status status = found_open_journal(notary->fetch, prefix, number, &lane->found, error);
  if (status == STATUS_OK) {
    lane->journal = journal_source_of_topic(lane->found, notary->schemas, prefix);
    journal_tree_init(&lane->tree);
  }
  return status;
}

static enum status break_lane(struct noted_lane *lane, struct error *error, const char *why) {
  lane->is_broken = true;
  return error_set(error, STATUS_CONFIG, "batch %" PRIu64 " of the journal's topic %s",
                   lane->tree.frontier.size + 1, why);
}

/* The next row of the topic into the tree. A commit is answered before its markers are written:
 * what was published may come into sight later. */
static enum status read_row(struct noted_lane *lane, struct error *error) {
  const int64_t deadline_mono_ms = clock_mono_ms() + SETTLE_MS;
  for (;;) {
    struct journal_entry entry;
    bool has_more;
    enum status status = journal_source_next(lane->journal, &entry, error);
    if (status == STATUS_REFUSED) {
      lane->is_broken = true;
    }
    if (status == STATUS_OK && entry.batch != NULL) {
      return journal_tree_add(&lane->tree, &entry.batch->row)
                 ? STATUS_OK
                 : break_lane(lane, error, "does not go on from the one before");
    }
    if (status == STATUS_OK) {
      status = found_look_again(lane->found, RECORD_JOURNAL, &has_more, error);
    }
    if (status == STATUS_OK && clock_mono_ms() > deadline_mono_ms) {
      status = error_set(error, STATUS_UNAVAILABLE, "it is not in sight yet");
    }
    if (status != STATUS_OK) {
      return status;
    }
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
  }
}

static enum status read_lane(struct notary *notary, const struct target *target,
                             struct error *error) {
  struct noted_lane *lane = &notary->lanes[target->lane];
  enum status status = open_lane(notary, target->lane, error);
  while (status == STATUS_OK && lane->tree.frontier.size < target->batch) {
    status = read_row(lane, error);
  }
  if (status == STATUS_OK && memcmp(lane->tree.chain, target->chain, DIGEST_SIZE) != 0) {
    status = break_lane(lane, error, "is not what was committed: nothing is signed");
  }
  return status;
}

static enum status publish(struct notary *notary, const struct target *target,
                           struct error *error) {
  struct noted_lane *lane = &notary->lanes[target->lane];
  const struct merkle_tree tree = journal_tree_state(&lane->tree);
  char origin[CHECKPOINT_ORIGIN_SIZE];
  char text[CHECKPOINT_TEXT_SIZE];
  char key[16];
  checkpoint_origin(note_key_name(notary->key), notary->config->kafka.topic_prefix, target->lane,
                    origin);
  const size_t size = checkpoint_sign(notary->key, origin, &tree, text);
  snprintf(key, sizeof key, "%" PRIu32, target->lane);
  const rd_kafka_resp_err_t code = rd_kafka_producev(
      notary->producer, RD_KAFKA_V_TOPIC(notary->topic),
      RD_KAFKA_V_PARTITION((int32_t)target->lane), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE(text, size), RD_KAFKA_V_END);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(error, STATUS_UNAVAILABLE, "a checkpoint", rd_kafka_err2str(code));
  }
  if (rd_kafka_flush(notary->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return kafka_error(error, STATUS_UNAVAILABLE, "a checkpoint", "it is not acknowledged");
  }
  lane->signed_batch = target->batch;
  return STATUS_OK;
}

static bool find_target(struct notary *notary, uint32_t number, struct target *target) {
  struct noted_lane *lane = &notary->lanes[number];
  pthread_mutex_lock(&notary->lock);
  *target = (struct target){.lane = number, .batch = lane->noted_batch};
  memcpy(target->chain, lane->noted_chain, DIGEST_SIZE);
  pthread_mutex_unlock(&notary->lock);
  /* A lane that went to another process and came back may have been read further already. */
  return !lane->is_broken && target->batch > lane->signed_batch &&
         target->batch >= lane->tree.frontier.size;
}

static void sign_all(struct notary *notary) {
  for (uint32_t number = 0; number < notary->lane_count; number++) {
    struct target target;
    struct error error;
    if (!find_target(notary, number, &target)) {
      continue;
    }
    enum status status = open_clients(notary, &error);
    if (status == STATUS_OK) {
      status = read_lane(notary, &target, &error);
    }
    if (status == STATUS_OK) {
      status = publish(notary, &target, &error);
    }
    if (status != STATUS_OK) {
      log_warning("no checkpoint of the journal was signed", LOG_INTEGER("lane", number),
                  LOG_INTEGER("batch", target.batch), LOG_TEXT("error", error.text));
    }
  }
}

/* Until the interval is over, or the run. */
static bool wait_for_turn(struct notary *notary) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += NOTARY_INTERVAL_MS / 1000;
  pthread_mutex_lock(&notary->lock);
  while (!notary->is_ending && pthread_cond_timedwait(&notary->ended, &notary->lock, &until) == 0) {
  }
  const bool is_ending = notary->is_ending;
  pthread_mutex_unlock(&notary->lock);
  return !is_ending;
}

static void *work(void *context) {
  struct notary *notary = context;
  while (wait_for_turn(notary)) {
    sign_all(notary);
  }
  if (notary->is_clean) {
    sign_all(notary);
  }
  return NULL;
}

void notary_start(struct notary *notary, uint32_t lane_count) {
  if (notary == NULL || notary->is_started) {
    return;
  }
  pthread_condattr_t attributes;
  notary->lane_count = lane_count;
  notary->lanes = memory_zeroed(lane_count, sizeof *notary->lanes);
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&notary->lock, NULL);
  pthread_cond_init(&notary->ended, &attributes);
  pthread_condattr_destroy(&attributes);
  const int failed = pthread_create(&notary->thread, NULL, work, notary);
  assert(failed == 0);
  notary->is_started = true;
}

void notary_note(struct notary *notary, const struct journal_row *row) {
  if (notary == NULL || !notary->is_started) {
    return;
  }
  struct noted_lane *lane = &notary->lanes[row->lane];
  pthread_mutex_lock(&notary->lock);
  lane->noted_batch = row->batch;
  memcpy(lane->noted_chain, row->chain, DIGEST_SIZE);
  pthread_mutex_unlock(&notary->lock);
}

static void end_thread(struct notary *notary, bool is_clean) {
  pthread_mutex_lock(&notary->lock);
  notary->is_ending = true;
  notary->is_clean = is_clean;
  pthread_cond_signal(&notary->ended);
  pthread_mutex_unlock(&notary->lock);
  pthread_join(notary->thread, NULL);
  pthread_cond_destroy(&notary->ended);
  pthread_mutex_destroy(&notary->lock);
}

void notary_close(struct notary *notary, bool is_clean) {
  if (notary == NULL) {
    return;
  }
  if (notary->is_started) {
    end_thread(notary, is_clean);
  }
  for (uint32_t number = 0; number < notary->lane_count; number++) {
    journal_source_close(notary->lanes[number].journal);
    found_close(notary->lanes[number].found);
  }
  fetch_close(notary->fetch);
  if (notary->producer != NULL) {
    rd_kafka_purge(notary->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(notary->producer);
  }
  note_key_close(notary->key);
  free(notary->lanes);
  free(notary);
}
