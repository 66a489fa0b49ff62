#include "consumers/membership.h"

#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* The lane topics that are subscribed; control has one partition and is read by every member. */
enum {
  SUBSCRIBED_COUNT = TOPIC_COUNT - 1,
  TOPIC_TEXT_SIZE = 256,
  FENCED_AGAIN_MS = 60000, /* see fenced */
  TELL_MS = 1000,          /* between two times that the group is told offsets */
  LAST_WORD_MS = 1000,     /* that the last of them is waited for */
};

struct membership {
  rd_kafka_conf_t *conf; /* of the next client */
  rd_kafka_t *client;
  rd_kafka_queue_t *queue;
  int wake[2];
  char topics[TOPIC_COUNT][TOPIC_TEXT_SIZE];
  int32_t *lanes;
  size_t lane_count;
  enum membership_event pending;
  bool is_assigning; /* what membership_accept answers; lanes are ours */
  int64_t fenced_mono_ms;
  rd_kafka_topic_partition_list_t *noted; /* offsets that the group is not told of yet */
  int64_t told_mono_ms;
  bool has_error;
  struct error error;
};

static enum topic topic_of(const struct membership *membership, const char *name) {
  enum topic topic = 0;
  while (topic < TOPIC_COUNT && strcmp(membership->topics[topic], name) != 0) {
    topic++;
  }
  return topic;
}

static int compare_lanes(const void *a, const void *b) {
  const int32_t left = *(const int32_t *)a;
  const int32_t right = *(const int32_t *)b;
  return (left > right) - (left < right);
}

/* A lane is ours when all its topics are: `range` keeps them together, but nothing is decided
 * on that belief. */
static void note_assignment(struct membership *membership,
                            const rd_kafka_topic_partition_list_t *partitions) {
  free(membership->lanes);
  membership->lanes = calloc((size_t)partitions->cnt + 1, sizeof *membership->lanes);
  assert(membership->lanes != NULL);
  membership->lane_count = 0;
  for (int i = 0; i < partitions->cnt; i++) {
    const int32_t lane = partitions->elems[i].partition;
    if (topic_of(membership, partitions->elems[i].topic) != TOPIC_REPORTS) {
      continue;
    }
    int topics = 0;
    for (int j = 0; j < partitions->cnt; j++) {
      topics += partitions->elems[j].partition == lane;
    }
    if (topics == SUBSCRIBED_COUNT) {
      membership->lanes[membership->lane_count++] = lane;
    }
  }
  qsort(membership->lanes, membership->lane_count, sizeof *membership->lanes, compare_lanes);
}

/* While an assignment that was lost is not handed back, the client goes on with heartbeats, but
 * without its member id: a broker that is back answers them with FENCED_INSTANCE_ID, and that is
 * the end of this client. */
static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque) {
  struct membership *membership = opaque;
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    note_assignment(membership, partitions);
    membership->is_assigning = true;
    membership->pending = MEMBERSHIP_ASSIGNED;
  } else {
    membership->lane_count = 0;
    membership->is_assigning = false;
    membership->pending = MEMBERSHIP_REVOKED;
    if (rd_kafka_assignment_lost(client)) {
      membership->pending = MEMBERSHIP_LOST;
      membership_accept(membership);
    }
  }
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque) {
  (void)client;
  struct membership *membership = opaque;
  membership->has_error = true;
  snprintf(membership->error.text, sizeof membership->error.text, "%s: %s",
           rd_kafka_err2str((rd_kafka_resp_err_t)code), reason);
}

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text) {
  (void)client, (void)level, (void)facility, (void)text; /* errors arrive through on_error */
}

static enum status subscribe(struct membership *membership, struct error *error) {
  rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(SUBSCRIBED_COUNT);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (topic != TOPIC_CONTROL) {
      rd_kafka_topic_partition_list_add(topics, membership->topics[topic], RD_KAFKA_PARTITION_UA);
    }
  }
  const rd_kafka_resp_err_t code = rd_kafka_subscribe(membership->client, topics);
  rd_kafka_topic_partition_list_destroy(topics);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "joining the group: %s",
                         rd_kafka_err2str(code));
}

static enum status open_client(struct membership *membership, struct error *error) {
  char text[256];
  rd_kafka_conf_t *const conf = rd_kafka_conf_dup(membership->conf);
  membership->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (membership->client == NULL) {
    rd_kafka_conf_destroy(conf);
    return error_set(error, STATUS_CONFIG, "Kafka group member: %s", text);
  }
  rd_kafka_poll_set_consumer(membership->client);
  membership->queue = rd_kafka_queue_get_consumer(membership->client);
  rd_kafka_queue_io_event_enable(membership->queue, membership->wake[1], "w", 1);
  return subscribe(membership, error);
}

static void close_client(struct membership *membership) {
  if (membership->queue != NULL) {
    rd_kafka_queue_io_event_enable(membership->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(membership->queue);
    membership->queue = NULL;
  }
  if (membership->client != NULL) {
    rd_kafka_destroy_flags(membership->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    membership->client = NULL;
  }
}

static enum status open_pipe(struct membership *membership, struct error *error) {
  if (pipe(membership->wake) != 0 || fcntl(membership->wake[0], F_SETFL, O_NONBLOCK) < 0 ||
      fcntl(membership->wake[1], F_SETFL, O_NONBLOCK) < 0) {
    return error_set(error, STATUS_UNAVAILABLE, "a pipe for the group's queue: errno %d", errno);
  }
  return STATUS_OK;
}

enum status membership_open(rd_kafka_conf_t *conf, const char *topic_prefix,
                            struct membership **membership, struct error *error) {
  struct membership *made = calloc(1, sizeof *made);
  assert(made != NULL);
  made->wake[0] = made->wake[1] = -1;
  made->noted = rd_kafka_topic_partition_list_new(SUBSCRIBED_COUNT);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    snprintf(made->topics[topic], sizeof made->topics[topic], "%s%s", topic_prefix,
             topic_name(topic));
  }
  rd_kafka_conf_set_opaque(conf, made);
  rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
  rd_kafka_conf_set_error_cb(conf, on_error);
  rd_kafka_conf_set_log_cb(conf, on_log);
  made->conf = conf;
  enum status status = open_pipe(made, error);
  if (status == STATUS_OK) {
    status = open_client(made, error);
  }
  if (status != STATUS_OK) {
    membership_close(made);
    return status;
  }
  *membership = made;
  return STATUS_OK;
}

/* The client ends without leaving the group, and with it what is under way: so this is waited for.
 */
static void tell_last_offsets(struct membership *membership) {
  if (membership->client == NULL || !membership->is_assigning || membership->noted->cnt == 0) {
    return;
  }
  rd_kafka_queue_t *answers = rd_kafka_queue_new(membership->client);
  if (rd_kafka_commit_queue(membership->client, membership->noted, answers, NULL, NULL) == 0) {
    rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, LAST_WORD_MS);
    if (answer != NULL) {
      rd_kafka_event_destroy(answer);
    }
  }
  rd_kafka_queue_destroy(answers);
}

void membership_close(struct membership *membership) {
  if (membership == NULL) {
    return;
  }
  tell_last_offsets(membership);
  close_client(membership);
  rd_kafka_conf_destroy(membership->conf);
  rd_kafka_topic_partition_list_destroy(membership->noted);
  for (size_t i = 0; i < 2; i++) {
    if (membership->wake[i] >= 0) {
      close(membership->wake[i]);
    }
  }
  free(membership->lanes);
  free(membership);
}

int membership_fd(const struct membership *membership) {
  return membership->wake[0];
}

static int64_t mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_fenced(const struct membership *membership) {
  char text[256];
  return rd_kafka_fatal_error(membership->client, text, sizeof text) ==
         RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

/* The group takes nothing from who has no lanes, and may fence who tries. */
static void tell_offsets(struct membership *membership) {
  if (membership->is_assigning && membership->noted->cnt > 0) {
    const rd_kafka_resp_err_t code = rd_kafka_commit(membership->client, membership->noted, 1);
    (void)code; /* information only: the next one says the same and more */
  }
  rd_kafka_topic_partition_list_destroy(membership->noted);
  membership->noted = rd_kafka_topic_partition_list_new(SUBSCRIBED_COUNT);
  membership->told_mono_ms = mono_ms();
}

/* A member that was away for longer than its session may fence itself: a request that it had
 * under way with its former member id reaches the broker after it has joined with a new one. So
 * a client that is fenced is replaced, once; where another process has the same identity, one of
 * the two is soon fenced again. */
static enum membership_event fenced(struct membership *membership) {
  const int64_t now_mono_ms = mono_ms();
  const bool is_again =
      membership->fenced_mono_ms > 0 && now_mono_ms - membership->fenced_mono_ms < FENCED_AGAIN_MS;
  membership->fenced_mono_ms = now_mono_ms;
  membership->is_assigning = false;
  membership->pending = MEMBERSHIP_NOTHING;
  membership->lane_count = 0;
  close_client(membership);
  if (is_again || open_client(membership, &membership->error) != STATUS_OK) {
    return MEMBERSHIP_FENCED;
  }
  return MEMBERSHIP_LOST;
}

enum membership_event membership_poll(struct membership *membership) {
  char bytes[256];
  while (read(membership->wake[0], bytes, sizeof bytes) > 0) {
  }
  if (membership->client == NULL) {
    return MEMBERSHIP_NOTHING; /* fenced for good */
  }
  while (membership->pending == MEMBERSHIP_NOTHING) { /* one event at a time, none unseen */
    rd_kafka_message_t *message = rd_kafka_consumer_poll(membership->client, 0);
    if (message == NULL) {
      break;
    }
    /* No partition is read here: what comes is an error of the subscription. */
    membership->has_error = true;
    snprintf(membership->error.text, sizeof membership->error.text, "%s",
             rd_kafka_message_errstr(message));
    rd_kafka_message_destroy(message);
  }
  if (is_fenced(membership)) {
    return fenced(membership);
  }
  if (mono_ms() - membership->told_mono_ms >= TELL_MS) {
    tell_offsets(membership);
  }
  const enum membership_event event = membership->pending;
  membership->pending = MEMBERSHIP_NOTHING;
  return event;
}

const int32_t *membership_lanes(const struct membership *membership, size_t *count) {
  *count = membership->lane_count;
  return membership->lanes;
}

void membership_accept(struct membership *membership) {
  if (membership->client == NULL) {
    return;
  }
  rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
  tell_offsets(membership); /* of lanes that went away nothing more is said */
  rd_kafka_assign(membership->client, membership->is_assigning ? none : NULL);
  rd_kafka_topic_partition_list_destroy(none);
}

void membership_note_offsets(struct membership *membership, int32_t lane,
                             const int64_t next_offsets[TOPIC_COUNT]) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const char *const name = membership->topics[topic];
    if (topic != TOPIC_CONTROL) {
      rd_kafka_topic_partition_t *noted =
          rd_kafka_topic_partition_list_find(membership->noted, name, lane);
      if (noted == NULL) {
        noted = rd_kafka_topic_partition_list_add(membership->noted, name, lane);
      }
      noted->offset = next_offsets[topic];
    }
  }
}

bool membership_error(struct membership *membership, struct error *error) {
  const bool had_error = membership->has_error;
  if (had_error) {
    *error = membership->error;
    membership->has_error = false;
  }
  return had_error;
}
