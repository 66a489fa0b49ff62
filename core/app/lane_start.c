/* The order matters (ARCHITECTURE.md, "Taking a lane"): the journal's last record is read for
 * its epoch alone; the epoch is raised, after which no earlier owner can commit; transactions
 * are initialised, after which no earlier owner can publish; only then is the journal's last
 * record the published position. */
#include "core/app/lane_start.h"

#include "core/app/clock.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_gap.h"
#include "core/app/log.h"
#include "producers/store_environment.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum { OFFSETS_TIMEOUT_MS = 5000, REPUBLISH_BYTES_MAX = 4 << 20 };

/* Messages of one topic that are still to come: more than a client queues. The simulator's topics
 * are short: it has its own limit, so that both ways of reading come. */
#ifndef FAR_BEHIND
#define FAR_BEHIND 10000
#endif

void topic_full_name(const struct config *config, enum topic topic, char name[TOPIC_NAME_SIZE]) {
  snprintf(name, TOPIC_NAME_SIZE, "%s%s", config->kafka.topic_prefix, topic_name(topic));
}

int32_t topic_partition(enum topic topic, uint32_t lane) {
  return topic == TOPIC_CONTROL ? 0 : (int32_t)lane;
}

static enum status read_position(const struct lane_setup *setup, struct journal_position *position,
                                 struct error *error) {
  static const struct kafka_property properties[] = {KAFKA_READ_PROPERTIES, {NULL, NULL}};
  struct rd_kafka_conf_s *conf = kafka_conf(setup->config, properties, error);
  return conf == NULL ? STATUS_CONFIG
                      : journal_position_read(conf, setup->config->kafka.topic_prefix, setup->lane,
                                              position, error);
}

static enum status take(const struct lane_setup *setup, int64_t epoch_above,
                        struct lane_resources *resources, struct error *error) {
  const enum status status = store_open(setup->config->postgres.dsn, &resources->store, error);
  if (status != STATUS_OK) {
    /* It was let in when the process began: what is refused now, an operator may be changing. */
    return status == STATUS_CONFIG ? STATUS_UNAVAILABLE : status;
  }
  resources->ownership.lane = setup->lane;
  memcpy(resources->ownership.owner, setup->owner, OWNER_SIZE);
  return store_take_lane(resources->store, &resources->ownership, setup->lane_count,
                         setup->config->kafka.topic_prefix, epoch_above, &resources->head, error);
}

static enum status open_publisher(const struct lane_setup *setup, struct lane_resources *resources,
                                  struct error *error) {
  const struct publisher_options options = {
      .conf = kafka_conf(setup->config, NULL, error),
      .group_id = setup->config->kafka.group_id,
      .topic_prefix = setup->config->kafka.topic_prefix,
      .lane = setup->lane,
      .message_bytes_max = setup->config->kafka.message_bytes_max,
  };
  return options.conf == NULL ? STATUS_CONFIG
                              : publisher_open(&options, &resources->publisher, error);
}

static void record_row(void *context, const struct journal_row *row,
                       const struct journal_witness *witness) {
  recorded_add(context, row, witness);
}

static void record_environment(void *context, const struct journal_row *row,
                               const struct journal_witness *witness, struct span content) {
  (void)row;
  (void)witness;
  struct recorded_batches *batches = context;
  buffer_append(&batches->items[batches->count - 1].environment, content.data, content.size);
}

/* What was committed after the device rows were written. */
static enum status load_recorded(const struct lane_setup *setup, struct lane_resources *resources,
                                 struct error *error) {
  const struct store_replay replay = {
      .context = &resources->recorded, .row = record_row, .environment = record_environment};
  return store_load_batches(resources->store, setup->lane, resources->head.checkpoint.batch,
                            resources->head.row.batch, &replay, error);
}

/* PostgreSQL keeps a lower bound of what was published: the topic is never behind it. A topic that
 * is ahead of what was committed tells that a failover has lost the database's tail. */
static enum status check_position(const struct lane_setup *setup, struct lane_resources *resources,
                                  struct error *error) {
  const unsigned long long published = resources->published_batch;
  const unsigned long long bound = resources->head.published_batch;
  const unsigned long long committed = resources->head.row.batch;
  if (published < bound) {
    return error_set(error, STATUS_CONFIG,
                     "lane %u: %sjournal ends at batch %llu but batch %llu was published: the "
                     "topic was truncated or recreated; restore it before going on",
                     setup->lane, setup->config->kafka.topic_prefix, published, bound);
  }
  if (published <= committed) {
    return STATUS_OK;
  }
  log_warning("PostgreSQL has lost batches that were published: deciding them again",
              LOG_INTEGER("lane", setup->lane), LOG_INTEGER("committed_batch", committed),
              LOG_INTEGER("published_batch", published));
  return recorded_read(setup->config, setup->schemas, setup->lane, committed, &resources->recorded,
                       error);
}

/* Their users' addresses are learnt behind them, all at once. */
static void restore_device(void *context, const struct device_image *device, struct span email) {
  struct lane_state *state = context;
  bool is_new;
  lane_state_person(state, device->subject, email, &is_new);
  lane_restore(&state->lane, device);
}

static void restore_address(void *context, const uint8_t subject[SUBJECT_SIZE], struct span email) {
  lane_state_learn(context, subject, email);
}

struct control_restoring {
  struct lane_state *state;
  enum status status;
  struct error *error;
};

static void restore_control(void *context, const struct store_control *control) {
  struct control_restoring *restoring = context;
  if (restoring->status == STATUS_OK) {
    restoring->status = lane_state_restore_control(restoring->state, control, restoring->error);
  }
}

/* What the lane knew, and the sweep that was open, when its device rows were written. */
static enum status load_control(const struct lane_setup *setup, struct lane_resources *resources,
                                struct error *error) {
  const struct journal_row *checkpoint = &resources->head.checkpoint;
  struct control_restoring restoring = {.state = resources->state, .error = error};
  enum status status = store_load_control(resources->store, setup->lane, checkpoint->batch,
                                          restore_control, &restoring, error);
  if (status == STATUS_OK) {
    status = restoring.status;
  }
  if (status == STATUS_OK) {
    sweep_restore(&resources->state->lane, &checkpoint->sweep);
  }
  return status;
}

static enum status load(const struct lane_setup *setup, struct lane_resources *resources,
                        struct error *error) {
  resources->state = lane_state_open(setup->lane, setup->lane_count);
  struct lane *lane = &resources->state->lane;
  enum status status = load_control(setup, resources, error);
  if (status == STATUS_OK) {
    lane_reserve(lane, (uint32_t)resources->head.checkpoint.device_count);
    status =
        store_load_devices(resources->store, setup->lane, restore_device, resources->state, error);
  }
  if (status == STATUS_OK) {
    status =
        store_load_persons(resources->store, setup->lane, restore_address, resources->state, error);
  }
  if (status == STATUS_OK) { /* or the devices may be newer than the rows read before them */
    status = store_check_owner(resources->store, &resources->ownership, error);
  }
  const struct journal_row *checkpoint = &resources->head.checkpoint;
  if (status == STATUS_OK) {
    status = store_load_environment(resources->store, setup->lane, checkpoint->batch,
                                    &resources->environment, error);
  }
  if (status == STATUS_OK && checkpoint->batch > 0) {
    const int64_t clock_ms = checkpoint->clock_after_ms;
    lane->clock_ms = clock_ms == TIME_NONE ? LANE_CLOCK_START_MS : clock_ms;
    lane->seq = checkpoint->last_seq;
    assert(lane->device_count == checkpoint->device_count);
  }
  return status;
}

/* Publishes from its rows what was committed and not published, up to the checkpoint; what comes
 * after it is decided again and published then. */
struct republish {
  const struct lane_setup *setup;
  struct lane_resources *resources;
  struct buffer records, canonical;
  bool has_row;
  struct journal_row row;
  struct journal_witness witness;
  struct buffer not_believed; /* the row's list: what it is given with lives for a call only */
  struct buffer environment;
  enum status status;
  struct error *error;
};

static void send_records(struct republish *republish) {
  if (republish->status == STATUS_OK && republish->records.size > 0) {
    const struct span records = buffer_span(&republish->records);
    republish->status =
        publisher_publish(republish->resources->publisher, &records, 1, republish->error);
  }
  buffer_clear(&republish->records);
}

/* The journal's record ends its batch, so it waits until the batch's results are there. */
static void end_row(struct republish *republish) {
  const struct encoding *encoding = &republish->setup->encoding;
  if (!republish->has_row) {
    return;
  }
  if (republish->environment.size > 0) {
    encode_journal(encoding, &republish->row, &republish->witness,
                   buffer_span(&republish->environment), &republish->records);
  }
  encode_journal(encoding, &republish->row, &republish->witness, (struct span){0},
                 &republish->records);
  republish->has_row = false;
  buffer_clear(&republish->environment);
  republish->resources->published_batch = republish->row.batch;
}

static void replay_row(void *context, const struct journal_row *row,
                       const struct journal_witness *witness) {
  struct republish *republish = context;
  end_row(republish);
  if (republish->records.size > REPUBLISH_BYTES_MAX) {
    send_records(republish);
  }
  republish->row = *row;
  buffer_clear(&republish->not_believed);
  buffer_append(&republish->not_believed, row->not_believed,
                row->not_believed_count * sizeof *row->not_believed);
  republish->row.not_believed = (const void *)republish->not_believed.data;
  republish->witness = *witness;
  republish->has_row = true;
}

static void replay_environment(void *context, const struct journal_row *row,
                               const struct journal_witness *witness, struct span content) {
  (void)row;
  (void)witness;
  struct republish *republish = context;
  buffer_append(&republish->environment, content.data, content.size);
}

/* The names of the rules of a policy that was in force when something was decided. */
static struct rule_names names_under(struct republish *republish, const char *version) {
  const struct control *control = &republish->resources->state->lane.control;
  const struct known_policy *known = control_find_policy(control, span_text(version));
  if (known == NULL && republish->status == STATUS_OK) {
    republish->status = error_set(republish->error, STATUS_CONFIG,
                                  "lane %u: a row names policy %s, which was never in force",
                                  republish->setup->lane, version);
  }
  return known == NULL ? (struct rule_names){0} : policy_rule_names(known->policy);
}

static void replay_result(void *context, const struct result *result, struct span email) {
  struct republish *republish = context;
  struct result named = *result;
  named.rules = names_under(republish, result->policy);
  buffer_clear(&republish->canonical);
  if (republish->status == STATUS_OK) {
    encode_result(&republish->setup->encoding, &named, email, &republish->records,
                  &republish->canonical);
  }
}

/* Devices come at the very end: their states are those after the last batch. */
static void replay_device(void *context, const struct device_image *device, struct span email) {
  struct republish *republish = context;
  struct device_image named = *device;
  named.rules = names_under(republish, device->policy);
  if (republish->status == STATUS_OK) {
    encode_device(&republish->setup->encoding, &named, email, &republish->records);
  }
}

/* What is missing may have been let go by another owner, and what is not known have come with its
 * batches. */
static enum status unless_overtaken(struct lane_resources *resources, enum status status,
                                    struct error *error) {
  const struct error finding = *error;
  const enum status owner = store_check_owner(resources->store, &resources->ownership, error);
  return owner == STATUS_OK ? error_set(error, status, "%s", finding.text) : owner;
}

static enum status publish_rest(const struct lane_setup *setup, struct lane_resources *resources,
                                struct error *error) {
  const uint64_t checkpoint_batch = resources->head.checkpoint.batch;
  if (resources->published_batch >= checkpoint_batch) {
    return STATUS_OK;
  }
  log_info("publishing what an earlier owner left", LOG_INTEGER("lane", setup->lane),
           LOG_INTEGER("published_batch", resources->published_batch),
           LOG_INTEGER("committed_batch", resources->head.row.batch));
  struct republish republish = {.setup = setup, .resources = resources, .error = error};
  const struct store_replay replay = {
      .context = &republish,
      .row = replay_row,
      .environment = replay_environment,
      .result = replay_result,
      .device = replay_device,
  };
  enum status status = store_load_batches(resources->store, setup->lane, resources->published_batch,
                                          checkpoint_batch, &replay, error);
  if (status == STATUS_OK) {
    resources->has_republished = true;
    end_row(&republish);
    send_records(&republish);
    status = republish.status;
  }
  if (status == STATUS_REFUSED || status == STATUS_CONFIG) {
    status = unless_overtaken(resources, status, error);
  }
  buffer_fini(&republish.records);
  buffer_fini(&republish.canonical);
  buffer_fini(&republish.not_believed);
  buffer_fini(&republish.environment);
  return status;
}

static bool has_anchor(const struct journal_row *row, enum topic topic) {
  static const uint8_t none[DIGEST_SIZE];
  return row->ranges[topic].to > 0 && memcmp(row->last_message[topic], none, DIGEST_SIZE) != 0;
}

/* Behind the checkpoint; a lane that has none begins where its first batch did, or else where its
 * topics do: what expired before it came is no gap. */
static int64_t first_offset(const struct lane_resources *resources, const struct topic_ends *ends) {
  if (resources->head.checkpoint.batch > 0) {
    return resources->head.checkpoint.ranges[ends->topic].to;
  }
  return resources->recorded.count > 0 ? resources->recorded.items[0].row.ranges[ends->topic].from
                                       : ends->first;
}

static enum status open_source(const struct lane_setup *setup, struct lane_resources *resources,
                               enum topic topic, struct error *error) {
  char name[TOPIC_NAME_SIZE];
  topic_full_name(setup->config, topic, name);
  const int32_t partition = topic_partition(topic, setup->lane);
  struct topic_ends ends = {.topic = topic};
  enum status status = fetch_offsets(resources->fetch, name, partition, OFFSETS_TIMEOUT_MS,
                                     &ends.first, &ends.end, error);
  if (status != STATUS_OK) {
    resources->lacks_topic = status == STATUS_CONFIG;
    return status;
  }
  int64_t next;
  bool is_moved;
  bool is_whole = false;
  resources->next_offsets[topic] = first_offset(resources, &ends);
  status = lane_gap_position(resources, topic, &next, &is_moved, error);
  if (status == STATUS_OK) {
    status = lane_gap_find(setup, resources, &ends, next, &is_whole, error);
  }
  if (status != STATUS_OK || !is_whole) {
    return status;
  }
  resources->is_anchored[topic] =
      !is_moved && has_anchor(&resources->head.checkpoint, topic) && next - 1 >= ends.first;
  next = resources->is_anchored[topic] ? next - 1 : next;
  struct source **source = &resources->sources[topic];
  if (topic == TOPIC_CONTROL) {
    return source_open_own(resources->fetch, name, partition, next, ends.end, source, error);
  }
  return ends.end - next > FAR_BEHIND
             ? source_open_far(resources->fetch, name, partition, next, source, error)
             : source_open(resources->fetch, name, partition, next, source, error);
}

/* What is queued of a partition must last until the client asks for more, some 5,000 messages in a
 * backlog. In memory a queued message takes five times its size. */
static struct rd_kafka_conf_s *fetch_conf(const struct lane_setup *setup, const char *wait_max_ms,
                                          struct error *error) {
  const struct kafka_property properties[] = {
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"isolation.level", "read_committed"},
      {"fetch.error.backoff.ms", "100"},
      {"queued.min.messages", "10000"},
      {"queued.max.messages.kbytes", "384"},
      {KAFKA_QUEUE_BACKOFF, "10"},
      {"fetch.message.max.bytes", "131072"},
      {"fetch.wait.max.ms", wait_max_ms},
      {"reconnect.backoff.max.ms", "1000"},
      {"check.crcs", "true"},
      {NULL, NULL},
  };
  return kafka_conf(setup->config, properties, error);
}

/* All lanes' topics are read with one client, which waits as long as an idle process may; what is
 * far behind, with one that hardly waits: a lane in a backlog stands still meanwhile. Control,
 * which every lane reads at its own pace, has a client for each: nothing waits there for what an
 * empty answer tells. */
static enum status open_fetch(const struct lane_setup *setup, struct fetch **fetch,
                              struct error *error) {
  struct fetch_confs confs = {.steady = fetch_conf(setup, "100", error)};
  confs.quick = confs.steady == NULL ? NULL : fetch_conf(setup, "10", error);
  confs.own = confs.quick == NULL ? NULL : fetch_conf(setup, "500", error);
  if (confs.own != NULL) {
    return fetch_open_shared(setup->fetch_shared, &confs, clock_wall_ms, fetch, error);
  }
  if (confs.quick != NULL) {
    rd_kafka_conf_destroy(confs.quick);
  }
  if (confs.steady != NULL) {
    rd_kafka_conf_destroy(confs.steady);
  }
  return STATUS_CONFIG;
}

static enum status open_sources(const struct lane_setup *setup, struct lane_resources *resources,
                                struct error *error) {
  enum status status = open_fetch(setup, &resources->fetch, error);
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    status = open_source(setup, resources, topic, error);
  }
  return status == STATUS_OK ? lane_gap_settle(setup, resources, error) : status;
}

/* Between the first look at the journal and the taking, an owner may have published whose taking a
 * failover has then lost: our epoch would be its epoch. The next attempt takes a greater one. */
static enum status check_epoch(const struct journal_position *position,
                               const struct ownership_of_lane *ownership, struct error *error) {
  return !position->found || position->epoch < ownership->epoch
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE,
                         "lane %u: the journal shows epoch %lld, not before ours, %lld",
                         ownership->lane, (long long)position->epoch, (long long)ownership->epoch);
}

static enum status find_position(const struct lane_setup *setup, struct lane_resources *resources,
                                 struct error *error) {
  struct journal_position position;
  enum status status = read_position(setup, &position, error);
  if (status == STATUS_OK) {
    status = take(setup, position.found ? position.epoch : 0, resources, error);
  }
  if (status == STATUS_OK) {
    status = open_publisher(setup, resources, error);
  }
  if (status == STATUS_OK) {
    status = read_position(setup, &position, error);
  }
  if (status == STATUS_OK) {
    status = check_epoch(&position, &resources->ownership, error);
  }
  if (status == STATUS_OK) {
    resources->published_batch = position.found ? position.batch : 0;
    status = load_recorded(setup, resources, error);
  }
  if (status == STATUS_OK) {
    status = check_position(setup, resources, error);
  }
  return status;
}

enum status lane_start(const struct lane_setup *setup, struct lane_resources *resources,
                       struct error *error) {
  enum status status = find_position(setup, resources, error);
  if (status == STATUS_OK) {
    status = load(setup, resources, error);
  }
  if (status == STATUS_OK) {
    status = publish_rest(setup, resources, error);
  }
  if (status == STATUS_OK) {
    status = open_sources(setup, resources, error);
  }
  return status;
}

enum status lane_settle(const struct lane_setup *setup, struct lane_resources *resources,
                        struct error *error) {
  publisher_close(resources->publisher);
  resources->publisher = NULL;
  return open_publisher(setup, resources, error);
}

void lane_resources_release(struct lane_resources *resources) {
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    source_close(resources->sources[topic]);
  }
  fetch_close(resources->fetch);
  publisher_close(resources->publisher);
  store_close(resources->store);
  lane_state_close(resources->state);
  recorded_fini(&resources->recorded);
  buffer_fini(&resources->environment);
  *resources = (struct lane_resources){0};
}
