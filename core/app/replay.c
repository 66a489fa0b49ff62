#include "core/app/replay.h"

#include "core/app/clock.h"
#include "core/app/environment.h"
#include "core/app/found.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { POLL_MS = 50 };

struct input {
  char name[TOPIC_NAME_SIZE];
  int64_t first, end;
};

struct replay {
  struct replay_options options;
  struct fetch *fetch;
  bool is_open; /* the inputs are */
  struct input inputs[TOPIC_COUNT];
  struct lane_state *state;
  struct intake intakes[TOPIC_COUNT];
  struct head heads[TOPIC_COUNT];
  struct batch batch;
  struct buffer batch_last[TOPIC_COUNT];
  struct carrier *carrier;
  struct journal_row previous;          /* as recorded; without its list */
  struct recorded_environment recorded; /* that batches are decided under now */
  struct encoding encoding;
  struct intake_rules rules;
  bool has_environment, has_key;
  struct buffer environment_content;
  struct policy_texts policies;
  struct control_records control;
  struct buffer control_draft;
  bool goes_on;           /* from a snapshot, whose row is `previous` */
  uint64_t partial_count; /* of the batch */
  uint8_t environment[DIGEST_SIZE];
};

enum status replay_fetch_open(const struct config *config, struct fetch **fetch,
                              struct error *error) {
  static const struct kafka_property properties[] = {
      {"group.id", "muster-replay"}, /* the client wants one; nothing is committed under it */
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "error"},
      {"enable.partition.eof", "true"},
      {"isolation.level", "read_committed"},
      {"fetch.wait.max.ms", "10"},
      {"fetch.error.backoff.ms", "50"},
      {"queued.min.messages", "10000"},
      {"queued.max.messages.kbytes", "1024"},
      {KAFKA_QUEUE_BACKOFF, "10"},
      {"fetch.message.max.bytes", "524288"},
      {"allow.auto.create.topics", "false"},
      KAFKA_READ_PROPERTIES,
      {NULL, NULL},
  };
  struct rd_kafka_conf_s *conf = kafka_conf(config, properties, error);
  char control[TOPIC_NAME_SIZE];
  topic_full_name(config, TOPIC_CONTROL, control);
  return conf == NULL ? STATUS_CONFIG : fetch_open(conf, control, clock_wall_ms, fetch, error);
}

enum status replay_fetch_open_from(const struct config *config, const struct replay_files *files,
                                   struct fetch **fetch, struct error *error) {
  if (files == NULL) {
    return replay_fetch_open(config, fetch, error);
  }
  *fetch = fetch_open_stored(files->partitions, files->count);
  return STATUS_OK;
}

struct replay *replay_open(const struct replay_options *options, struct fetch *fetch) {
  struct replay *replay = memory_zeroed(1, sizeof *replay);
  replay->options = *options;
  replay->fetch = fetch;
  replay->state = lane_state_open(options->lane, options->lane_count);
  replay->carrier = carrier_open(&replay->encoding);
  replay->carrier->makes_no_rows = !options->makes_rows;
  if (options->watch.opened != NULL) {
    options->watch.opened(options->watch.context, replay);
  }
  return replay;
}

void replay_close(struct replay *replay) {
  if (replay == NULL) {
    return;
  }
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    source_close(replay->intakes[topic].source);
    intake_fini(&replay->intakes[topic]);
    buffer_fini(&replay->batch_last[topic]);
  }
  batch_fini(&replay->batch, &heap_memory);
  buffer_fini(&replay->environment_content);
  policy_texts_fini(&replay->policies);
  buffer_fini(&replay->control.bytes);
  buffer_fini(&replay->control_draft);
  carrier_close(replay->carrier);
  lane_state_close(replay->state);
  recorded_environment_fini(&replay->recorded);
  free(replay);
}

/* The settings and schemas of the environment that was just read. */
static void apply_environment(struct replay *replay) {
  const struct replay_options *options = &replay->options;
  const struct recorded_environment *recorded = &replay->recorded;
  replay->encoding = (struct encoding){
      .topic_prefix = recorded->settings.kafka.topic_prefix,
      .lane = options->lane,
      .message_bytes_max = (uint64_t)recorded->settings.kafka.message_bytes_max,
      .cloudevents = recorded->settings.kafka.cloudevents,
  };
  environment_frames(recorded->schemas, &recorded->ids, &replay->encoding.frames);
  replay->rules = (struct intake_rules){
      .schemas = recorded->schemas,
      .partitioner = recorded->settings.kafka.partitioner,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .message_bytes_max = recorded->settings.kafka.message_bytes_max,
      .subject_key = options->subject_key,
      .find_subject = replay->has_key ? NULL : options->find_subject,
      .subject_context = options->subject_context,
  };
}

/* From here on this is decided under what the content says, as far as it can be. */
static void take_environment(struct replay *replay, const struct recorded_batch *batch,
                             enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE]) {
  const struct replay_options *options = &replay->options;
  const struct environment own = {
      .config = options->config, .schemas = options->schemas, .lane_count = options->lane_count};
  char own_id[KEY_ID_SIZE];
  char why[ENVIRONMENT_REASON_SIZE];
  *outcome = REPLAY_DECIDED;
  recorded_environment_fini(&replay->recorded);
  if (!environment_read(buffer_span(&batch->environment), &own, &replay->recorded, why)) {
    *outcome = REPLAY_FOREIGN;
    snprintf(reason, REPLAY_REASON_SIZE,
             "decided under an environment that is not this program's: %s", why);
    return;
  }
  environment_key_id(options->subject_key, own_id);
  replay->has_key = options->subject_key.size > 0 && strcmp(own_id, replay->recorded.key_id) == 0;
  if (options->subject_key.size > 0 && !replay->has_key) {
    *outcome = REPLAY_FOREIGN;
    snprintf(reason, REPLAY_REASON_SIZE,
             "decided under the subject key with id %s, not under the one given, %s: give that "
             "key, or none",
             replay->recorded.key_id, own_id);
    return;
  }
  apply_environment(replay);
  environment_set_admins(buffer_span(&batch->environment), &replay->state->lane);
  replay->has_environment = true;
  memcpy(replay->environment, batch->row.environment, DIGEST_SIZE);
  if (replay->environment_content.data != batch->environment.data) {
    buffer_clear(&replay->environment_content);
    buffer_append(&replay->environment_content, batch->environment.data, batch->environment.size);
  }
}

void replay_take_environment(struct replay *replay, const struct recorded_batch *recorded,
                             enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE]) {
  if (recorded->environment.size > 0) {
    take_environment(replay, recorded, outcome, reason);
    return;
  }
  *outcome = REPLAY_DECIDED;
  if (!replay->has_environment ||
      memcmp(replay->environment, recorded->row.environment, DIGEST_SIZE) != 0) {
    *outcome = REPLAY_BROKEN;
    snprintf(reason, REPLAY_REASON_SIZE,
             "its environment began, but the journal has no record of what it is");
  }
}

void replay_go_on(struct replay *replay, struct snapshot *snapshot, enum replay_outcome *outcome,
                  char reason[REPLAY_REASON_SIZE]) {
  struct recorded_batch last = {.row = snapshot->row, .environment = snapshot->environment};
  assert(!replay->is_open);
  take_environment(replay, &last, outcome, reason);
  lane_state_close(replay->state);
  replay->state = snapshot->state;
  snapshot->state = NULL;
  replay->policies = snapshot->policies;
  snapshot->policies = (struct policy_texts){0};
  replay->control = snapshot->control;
  snapshot->control = (struct control_records){0};
  replay->previous = snapshot->row;
  replay->goes_on = true;
}

static enum status ask_bounds(struct replay *replay, enum topic topic, struct error *error) {
  struct input *input = &replay->inputs[topic];
  return found_bounds(replay->fetch, input->name, topic_partition(topic, replay->options.lane),
                      &input->first, &input->end, error);
}

/* From the place, or from where the topic begins or ends now, if that is all there is. */
static enum status open_source(struct replay *replay, enum topic topic, int64_t from,
                               struct error *error) {
  const struct input *input = &replay->inputs[topic];
  const int64_t at = from < input->first ? input->first : from > input->end ? input->end : from;
  source_close(replay->intakes[topic].source);
  replay->intakes[topic].source = NULL;
  return source_open(replay->fetch, input->name, topic_partition(topic, replay->options.lane), at,
                     &replay->intakes[topic].source, error);
}

static enum status open_input(struct replay *replay, enum topic topic, int64_t from,
                              struct error *error) {
  struct input *input = &replay->inputs[topic];
  struct intake *intake = &replay->intakes[topic];
  topic_full_name(replay->options.config, topic, input->name);
  const enum status status = ask_bounds(replay, topic, error);
  if (status != STATUS_OK) {
    return status;
  }
  *intake = (struct intake){.topic = topic, .head = &replay->heads[topic], .next_offset = from};
  return open_source(replay, topic, from, error);
}

static enum status open_inputs(struct replay *replay, const struct journal_row *row,
                               struct error *error) {
  enum status status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    const int64_t from =
        replay->goes_on ? replay->previous.ranges[topic].to : row->ranges[topic].from;
    status = open_input(replay, topic, from, error);
  }
  replay->is_open = status == STATUS_OK;
  return status;
}

/* The ranges go on where the batch before ended, and there are messages up to their ends. */
static enum status check_ranges(struct replay *replay, const struct journal_row *row,
                                enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE],
                                struct error *error) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct offset_range *range = &row->ranges[topic];
    struct input *input = &replay->inputs[topic];
    int64_t next = replay->intakes[topic].next_offset;
    if (range->to > input->end) {
      const enum status status = ask_bounds(replay, topic, error);
      if (status != STATUS_OK) {
        return status;
      }
    }
    *outcome = REPLAY_BROKEN;
    const struct journal_gap *gap = &row->gap;
    if (gap->is_accepted && gap->topic == topic && gap->from == next) {
      next = gap->to;
    }
    if (range->from != next || range->to < range->from) {
      snprintf(reason, REPLAY_REASON_SIZE,
               "its row has read %s from %" PRId64 " to %" PRId64 ", the batch before to %" PRId64,
               input->name, range->from, range->to, next);
      return STATUS_OK;
    }
    if (range->to > input->end) {
      snprintf(reason, REPLAY_REASON_SIZE,
               "its row has read %s to %" PRId64 ", but the topic ends at %" PRId64
               ": it was truncated or recreated",
               input->name, range->to, input->end);
      return STATUS_OK;
    }
    if (range->to > range->from && range->to <= input->first) {
      *outcome = REPLAY_EXPIRED;
      snprintf(reason, REPLAY_REASON_SIZE, "its inputs are gone: %s begins at %" PRId64,
               input->name, input->first);
      return STATUS_OK;
    }
  }
  *outcome = REPLAY_DECIDED;
  return STATUS_OK;
}

static void begin(struct replay *replay, const struct journal_row *row) {
  int64_t next_offsets[TOPIC_COUNT];
  struct lane *lane = &replay->state->lane;
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    assert(replay->heads[topic].state != HEAD_READY);
    replay->heads[topic].state = HEAD_WAITING;
    replay->intakes[topic].stop_offset = row->ranges[topic].to;
    next_offsets[topic] = replay->intakes[topic].next_offset;
    buffer_clear(&replay->batch_last[topic]);
  }
  if (!replay->options.keeps_touches) {
    lane_clear_touches(lane);
  }
  replay->partial_count = 0;
  carrier_begin(replay->carrier, replay->state, row->batch, clock_mono_ms());
  batch_begin(&replay->batch, row->batch, lane, next_offsets);
}

static void take_result(void *context, const struct result *result) {
  struct replay *replay = context;
  const struct sink sink = carrier_sink(replay->carrier);
  if (!replay->options.decides_only) {
    sink.take(sink.context, result);
  }
  if (replay->options.watch.result != NULL) {
    replay->options.watch.result(replay->options.watch.context, result);
  }
}

static struct lane_step step_of(struct replay *replay) {
  return (struct lane_step){.state = replay->state,
                            .batch = &replay->batch,
                            .heads = replay->heads,
                            .intakes = replay->intakes,
                            .batch_last = replay->batch_last};
}

static void end_step(const struct replay *replay) {
  if (replay->options.watch.stepped != NULL) {
    replay->options.watch.stepped(replay->options.watch.context);
  }
}

static void fire_timer(struct replay *replay) {
  const struct replay_watch *watch = &replay->options.watch;
  const struct lane_step step = step_of(replay);
  const struct sink sink = {.context = replay, .take = take_result};
  if (watch->timer != NULL) {
    watch->timer(watch->context, timers_first(&replay->state->lane.timers));
  }
  lane_step_timer(&step, &sink);
  end_step(replay);
}

static void sweep_device(struct replay *replay) {
  const struct replay_watch *watch = &replay->options.watch;
  const struct lane_step step = step_of(replay);
  const struct sink sink = {.context = replay, .take = take_result};
  if (watch->sweep != NULL) {
    watch->sweep(watch->context, &replay->state->lane.control.sweep);
  }
  lane_step_sweep(&step, &sink);
  end_step(replay);
}

/* The text of a policy that becomes known is kept: a snapshot has it. */
static void take_policy(struct replay *replay, const struct lane_step *step,
                        struct carrier *carrier, enum topic topic) {
  const struct sink sink = {.context = replay, .take = take_result};
  const struct policy_change *change = &replay->intakes[topic].event.policy;
  const uint32_t known = replay->state->lane.control.policy_count;
  struct buffer text = {0};
  buffer_append(&text, change->text.data, change->has_text ? change->text.size : 0);
  lane_step_message(step, carrier, &sink, topic);
  if (replay->state->lane.control.policy_count > known) {
    policy_texts_add(&replay->policies, buffer_span(&text));
  }
  buffer_fini(&text);
}

/* What a control message changes beside the devices is kept: a snapshot has it. */
static void take_control(struct replay *replay, const struct lane_step *step,
                         struct carrier *carrier) {
  const struct sink sink = {.context = replay, .take = take_result};
  const struct lane *lane = &replay->state->lane;
  const struct intake *intake = &replay->intakes[TOPIC_CONTROL];
  const uint64_t change_count = lane->control.change_count;
  control_records_draft(&replay->control_draft, &intake->event, &intake->message.cause);
  if (intake->event.kind == EVENT_POLICY) {
    take_policy(replay, step, carrier, TOPIC_CONTROL);
  } else {
    lane_step_message(step, carrier, &sink, TOPIC_CONTROL);
  }
  if (lane->control.change_count != change_count) {
    control_records_add(&replay->control, step->batch->number, lane->clock_ms,
                        buffer_span(&replay->control_draft));
  }
}

static void take_message(struct replay *replay, enum topic topic) {
  const struct replay_watch *watch = &replay->options.watch;
  const struct lane_step step = step_of(replay);
  const struct sink sink = {.context = replay, .take = take_result};
  if (watch->message != NULL) {
    watch->message(watch->context, &replay->intakes[topic]);
  }
  replay->partial_count += replay->intakes[topic].is_partial ? 1 : 0;
  struct carrier *const carrier = replay->options.decides_only ? NULL : replay->carrier;
  if (topic == TOPIC_CONTROL && replay->intakes[topic].is_event) {
    take_control(replay, &step, carrier);
  } else {
    lane_step_message(&step, carrier, &sink, topic);
  }
  end_step(replay);
}

/* Where nothing more comes to a topic below its stop, its last messages are gone; whoever compares
 * the batch sees it. */
static void end_silent_topics(struct replay *replay) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct intake *intake = &replay->intakes[topic];
    if (intake->head->state == HEAD_WAITING && source_end(intake->source) >= 0 &&
        source_end(intake->source) >= replay->inputs[topic].end) {
      intake->head->state = HEAD_AT_END;
    }
  }
}

static enum status refresh(struct replay *replay, struct error *error) {
  enum status status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    status = intake_refresh(&replay->intakes[topic], &replay->rules, error);
  }
  end_silent_topics(replay);
  return status;
}

/* More may have arrived after this. */
static void wait_for_more(struct replay *replay) {
  struct pollfd ready = {.fd = fetch_fd(replay->fetch), .events = POLLIN};
  poll(&ready, 1, POLL_MS);
  fetch_woken(replay->fetch);
  struct error ignored;
  (void)fetch_serve(replay->fetch, &ignored);
}

static bool is_past(const struct replay *replay, int64_t at_ms) {
  return replay->options.until_ms != TIME_NONE && at_ms > replay->options.until_ms;
}

static bool timer_is_past(const struct replay *replay) {
  return is_past(replay, timers_first(&replay->state->lane.timers)->due_at_ms);
}

static bool message_is_past(const struct replay *replay, enum topic topic) {
  const struct head *head = &replay->heads[topic];
  return is_past(replay, replay->state->lane.clock_ms) ||
         (head->is_believed && is_past(replay, head->timestamp_ms));
}

/* Takes the batch's steps up to its last message, or up to the time that is the end. */
static enum status decide_messages(struct replay *replay, const struct journal_row *row,
                                   enum replay_outcome *outcome, struct error *error) {
  int64_t deadline_mono_ms = clock_mono_ms() + KAFKA_DEADLINE_MS;
  enum status status = refresh(replay, error);
  const struct lane_step step = step_of(replay);
  while (status == STATUS_OK) {
    enum topic topic;
    lane_step_believe(replay->heads, row);
    switch (batch_next(&replay->batch, &replay->state->lane, replay->heads, &topic)) {
    case NEXT_SWEEP:
      if (lane_step_sweep_is_cut(&step, row)) {
        return STATUS_OK;
      }
      sweep_device(replay);
      break;
    case NEXT_WAIT:
      if (clock_mono_ms() > deadline_mono_ms) {
        return kafka_error(error, STATUS_UNAVAILABLE, "the input topics", "nothing comes");
      }
      wait_for_more(replay);
      status = refresh(replay, error);
      break;
    case NEXT_TIMER:
      if (timer_is_past(replay)) {
        *outcome = REPLAY_REACHED;
        return STATUS_OK;
      }
      fire_timer(replay);
      break;
    case NEXT_MESSAGE:
      if (message_is_past(replay, topic)) {
        *outcome = REPLAY_REACHED;
        return STATUS_OK;
      }
      take_message(replay, topic);
      deadline_mono_ms = INT64_MAX;
      status = intake_refresh(&replay->intakes[topic], &replay->rules, error);
      if (replay->heads[topic].state == HEAD_WAITING) {
        deadline_mono_ms = clock_mono_ms() + KAFKA_DEADLINE_MS;
      }
      break;
    case NEXT_CLOSE:
    case NEXT_END:
      return STATUS_OK;
    }
  }
  return status;
}

static void seal(struct replay *replay, const struct recorded_batch *recorded) {
  const struct seal seal = {
      .previous = &replay->previous,
      .environment = recorded->row.environment,
      .environment_content = buffer_span(&recorded->environment),
      .witness = recorded->witness,
  };
  struct span batch_last[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    batch_last[topic] = buffer_span(&replay->batch_last[topic]);
  }
  carrier_seal(replay->carrier, &replay->batch, &seal, batch_last);
  replay->previous = recorded->row;
  replay->previous.not_believed = NULL;
  replay->previous.not_believed_count = 0;
}

/* A tampered row may leave messages of its ranges behind. */
static bool has_rest(const struct replay *replay) {
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    if (replay->heads[topic].state == HEAD_READY) {
      return true;
    }
  }
  return false;
}

/* A gap is its batch's only step. What was asked for stands in the row, what is decided need not:
 * the caller compares. */
static enum status decide_gap(struct replay *replay, const struct journal_row *row,
                              enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE],
                              struct error *error) {
  struct journal_gap gap = row->gap;
  const struct offset_range *range = &replay->batch.ranges[gap.topic];
  if (range->from != gap.from) {
    *outcome = REPLAY_BROKEN;
    snprintf(reason, REPLAY_REASON_SIZE,
             "its row tells of a gap in %s at %" PRId64 ", the lane stood at %" PRId64,
             replay->inputs[gap.topic].name, gap.from, range->from);
    return STATUS_OK;
  }
  const struct lane_step step = step_of(replay);
  const struct sink sink = {.context = replay, .take = take_result};
  if (replay->options.watch.gap != NULL) {
    replay->options.watch.gap(replay->options.watch.context, &gap);
  }
  lane_step_gap(&step, &gap, &sink);
  end_step(replay);
  return gap.is_accepted ? open_source(replay, gap.topic, gap.to, error) : STATUS_OK;
}

enum status replay_decide(struct replay *replay, const struct recorded_batch *recorded,
                          enum replay_outcome *outcome, char reason[REPLAY_REASON_SIZE],
                          struct error *error) {
  const struct journal_row *row = &recorded->row;
  enum status status = STATUS_OK;
  replay_take_environment(replay, recorded, outcome, reason);
  if (*outcome == REPLAY_DECIDED && !replay->is_open) {
    status = open_inputs(replay, row, error);
  }
  if (status == STATUS_OK && *outcome == REPLAY_DECIDED) {
    status = check_ranges(replay, row, outcome, reason, error);
  }
  if (status != STATUS_OK || *outcome != REPLAY_DECIDED) {
    return status;
  }
  begin(replay, row);
  status = row->gap.is_set ? decide_gap(replay, row, outcome, reason, error)
                           : decide_messages(replay, row, outcome, error);
  if (status != STATUS_OK || *outcome != REPLAY_DECIDED) {
    return status;
  }
  if (has_rest(replay)) {
    *outcome = REPLAY_BROKEN;
    snprintf(reason, REPLAY_REASON_SIZE,
             "its ranges hold a message that could not be taken in this batch");
    return STATUS_OK;
  }
  const struct lane_step step = step_of(replay);
  while (lane_step_has_timer(&step, row)) {
    if (timer_is_past(replay)) {
      *outcome = REPLAY_REACHED;
      return STATUS_OK;
    }
    fire_timer(replay);
  }
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    /* Behind the last message there may be offsets that no reader sees. */
    replay->intakes[topic].next_offset = row->ranges[topic].to;
  }
  if (replay->options.decides_only) {
    lane_end_batch(&replay->state->lane);
  } else {
    seal(replay, recorded);
  }
  return STATUS_OK;
}

const struct journal_row *replay_row(const struct replay *replay) {
  return &replay->carrier->row;
}

struct span replay_records(const struct replay *replay) {
  return buffer_span(&replay->carrier->records);
}

struct carrier *replay_carrier(struct replay *replay) {
  return replay->carrier;
}

uint64_t replay_partial(const struct replay *replay) {
  return replay->partial_count;
}

struct lane_state *replay_state(struct replay *replay) {
  return replay->state;
}

struct lane_state *replay_take_state(struct replay *replay) {
  struct lane_state *state = replay->state;
  replay->state = NULL;
  return state;
}

const struct encoding *replay_encoding(const struct replay *replay) {
  return &replay->encoding;
}

const struct schemas *replay_schemas(const struct replay *replay) {
  const struct schemas *recorded = replay->recorded.schemas;
  return recorded != NULL ? recorded : replay->options.schemas;
}

const struct policy_texts *replay_policy_texts(const struct replay *replay) {
  return &replay->policies;
}

const struct control_records *replay_control_records(const struct replay *replay) {
  return &replay->control;
}

const struct intake_rules *replay_rules(const struct replay *replay) {
  return &replay->rules;
}

struct span replay_environment(const struct replay *replay) {
  return buffer_span(&replay->environment_content);
}

bool replay_has_key(const struct replay *replay) {
  return replay->has_key;
}

bool replay_find_expired(const struct replay *replay, enum topic *topic, int64_t *first_offset) {
  for (enum topic i = 0; replay->is_open && i < TOPIC_COUNT; i++) {
    if (replay->inputs[i].first > 0) {
      *topic = i;
      *first_offset = replay->inputs[i].first;
      return true;
    }
  }
  return false;
}

int64_t replay_input_first(const struct replay *replay, enum topic topic) {
  return replay->inputs[topic].first;
}

int64_t replay_input_end(const struct replay *replay, enum topic topic) {
  return replay->inputs[topic].end;
}
