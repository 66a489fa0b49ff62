#include "tests/sim/oracle.h"

#include "core/app/clock.h"
#include "core/app/digest.h"
#include "core/app/environment.h"
#include "core/app/intake.h"
#include "core/app/lane_start.h"
#include "core/app/lane_state.h"
#include "core/app/state_digest.h"
#include "core/app/ticket_words.h"
#include "producers/store.h"
#include "producers/store_internal.h"
#include "tests/sim/answers.h"
#include "tests/sim/broker.h"
#include "tests/sim/database.h"
#include "tests/sim/member.h"
#include "tests/sim/reload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FAR_FUTURE_MS INT64_C(4102444800000)

/* A timer that the wall clock fired: nothing older may have stood in a topic by then. */
struct fired {
  uint64_t batch;
  int64_t due_ms;
};

struct oracle {
  bool is_ended, has_state; /* the batch: by a request for the state, which may be granted */
  uint32_t lane;
  struct encoding encoding;
  struct lane_state *state;
  struct fetch *fetch;
  struct intake_rules rules;
  struct intake intakes[TOPIC_COUNT];
  struct head heads[TOPIC_COUNT];
  const struct journal_row *row; /* being decided again; NULL: everything at once */
  int64_t committed_ms;          /* it, by the true wall clock */
  struct buffer records;         /* of results, all of the lane's */
  struct buffer rows, letters;   /* of one result */
  struct buffer canonical;
  struct digest *inputs, *results;
  uint64_t message_count, timer_count, swept_count;
  struct timer_cursor timer;
  struct fired fired;
  struct reload *reload;
  struct answers *answers;
  uint64_t answer_count; /* audit entries and dead letters, so far */
};

bool oracle_is_covered(void) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    size_t count;
    const struct stored_batch *batches = database_batches(lane, &count);
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      const struct log *log = broker_log(topic, (uint32_t)topic_partition(topic, lane));
      size_t end = log->count;
      while (end > 0 && !entry_is_visible(log, end - 1)) {
        end--;
      }
      const int64_t read = count > 0 ? batches[count - 1].row.ranges[topic].to : 0;
      if (read < (int64_t)end) {
        return false;
      }
    }
  }
  return true;
}

/* Deciding. ------------------------------------------------------------------------------ */

static void check_result(struct oracle *oracle, const struct result *result) {
  const struct span email = result->has_subject && result->person != INDEX_NONE
                                ? lane_state_address(oracle->state, result->person)
                                : (struct span){0};
  buffer_clear(&oracle->canonical);
  encode_result(&oracle->encoding, result, email, &oracle->records, &oracle->canonical);
  digest_update(oracle->results, buffer_span(&oracle->canonical));
  oracle->answer_count += result->kind == RESULT_AUDIT || result->kind == RESULT_DEAD_LETTER;
  if (oracle->row == NULL) {
    return;
  }
  buffer_clear(&oracle->rows);
  buffer_clear(&oracle->letters);
  store_append_result(&oracle->rows, &oracle->letters, oracle->lane, oracle->row->batch, result);
  CHECK_THAT(result->seq <= database_result_count(oracle->lane) &&
                 span_equal(buffer_span(&oracle->rows), database_result(oracle->lane, result->seq)),
             "lane %u: the row of result %" PRIu64 " is not what its batch %" PRIu64 " decides",
             oracle->lane, result->seq, oracle->row->batch);
}

static void take_result(void *context, const struct result *result) {
  struct oracle *oracle = context;
  struct result told = *result;
  char *const description = ticket_description(&oracle->state->lane, result);
  if (result->kind == RESULT_TICKET) {
    told.ticket.description = description;
  }
  check_result(oracle, &told);
  free(description);
}

static bool is_believed(const struct oracle *oracle, enum topic topic) {
  const struct head *head = &oracle->heads[topic];
  if (head->timestamp_ms < 0 || oracle->row == NULL) {
    return head->timestamp_ms >= 0 && head->timestamp_ms != FAR_FUTURE_MS;
  }
  for (size_t i = 0; i < oracle->row->not_believed_count; i++) {
    const struct topic_offset *place = &oracle->row->not_believed[i];
    if (place->topic == topic && place->offset == head->offset) {
      return false;
    }
  }
  CHECK_THAT(head->timestamp_ms != FAR_FUTURE_MS, "lane %u: a stamp of the year 2100 is believed",
             oracle->lane);
  return true;
}

static void look(struct oracle *oracle, enum topic topic) {
  struct error error;
  while (oracle->heads[topic].state == HEAD_WAITING) {
    const enum status status = intake_refresh(&oracle->intakes[topic], &oracle->rules, &error);
    CHECK_THAT(status == STATUS_OK, "the log cannot be read again: %s", error.text);
    clients_pump();
  }
  if (oracle->heads[topic].state == HEAD_READY) {
    oracle->heads[topic].is_believed = is_believed(oracle, topic);
  }
}

/* The message whose turn it is; TOPIC_COUNT: none is left. */
static enum topic pick(struct oracle *oracle) {
  const int64_t clock_ms = oracle->state->lane.clock_ms;
  int64_t unbelieved_ms = clock_ms == LANE_CLOCK_START_MS ? INT64_MAX : clock_ms;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct head *head = &oracle->heads[topic];
    look(oracle, topic);
    if (clock_ms == LANE_CLOCK_START_MS && head->state == HEAD_READY && head->is_believed &&
        head->timestamp_ms < unbelieved_ms) {
      unbelieved_ms = head->timestamp_ms;
    }
  }
  enum topic first = TOPIC_COUNT;
  int64_t first_ms = 0;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct head *head = &oracle->heads[topic];
    const int64_t at_ms = head->is_believed ? head->timestamp_ms : unbelieved_ms;
    if (head->state == HEAD_READY && (first == TOPIC_COUNT || at_ms < first_ms)) {
      first = topic;
      first_ms = at_ms;
    }
  }
  return first;
}

static void fire(struct oracle *oracle) {
  const struct sink sink = {.context = oracle, .take = take_result};
  oracle->timer = decide_timer(&oracle->state->lane, &sink);
  oracle->timer_count++;
}

/* Whether a timer goes before the message whose turn it is. */
static bool is_timer_first(const struct oracle *oracle, const struct head *head) {
  const struct timer *timer = timers_first(&oracle->state->lane.timers);
  const int64_t clock_ms = oracle->state->lane.clock_ms;
  return timer != NULL && (timer->due_at_ms <= clock_ms ||
                           (head->is_believed && timer->due_at_ms <= head->timestamp_ms));
}

static void check_fired(const struct oracle *oracle, enum topic topic) {
  const struct head *head = &oracle->heads[topic];
  const struct log *log = broker_log(topic, (uint32_t)topic_partition(topic, oracle->lane));
  const int64_t skew_ms = sim.plan.has_skew ? SKEW_MS_MAX : 0;
  CHECK_THAT(!head->is_believed || oracle->fired.batch == 0 ||
                 head->timestamp_ms >= oracle->fired.due_ms ||
                 log->items[head->offset].appended_ms >= oracle->fired.due_ms + 1000 - skew_ms,
             "lane %u: batch %" PRIu64 " fires a timer by the wall clock although %s %" PRId64
             ", stamped before, stood there",
             oracle->lane, oracle->fired.batch, topic_name(topic), head->offset);
}

static void take_message(struct oracle *oracle, enum topic topic) {
  struct lane *lane = &oracle->state->lane;
  struct intake *intake = &oracle->intakes[topic];
  const struct head *head = &oracle->heads[topic];
  const struct sink sink = {.context = oracle, .take = take_result};
  const uint64_t answers_before = oracle->answer_count;
  check_fired(oracle, topic);
  oracle->message_count++;
  oracle->is_ended = intake->is_event && intake->event.kind == EVENT_STATE;
  if (head->is_believed) {
    decide_clock(lane, head->timestamp_ms);
  }
  digest_update(oracle->inputs, buffer_span(&intake->canonical));
  if (!intake->is_event) {
    decide_reject(lane, &intake->reject, &intake->message, &sink);
  } else {
    for (enum person_field field = 0; field < PERSON_FIELD_COUNT; field++) {
      struct span email;
      bool is_new;
      const struct named_person *person = intake_person(intake, field, &email);
      if (person != NULL) {
        lane_state_person(oracle->state, person->subject, email, &is_new);
      }
    }
    oracle->has_state =
        oracle->is_ended && control_may(&lane->control, &intake->event.actor, ROLE_OPERATOR);
    decide_event(lane, &intake->event, &intake->message, &sink);
  }
  answers_check(oracle->answers, lane, intake, oracle->answer_count - answers_before);
  intake_pop(intake);
}

/* The devices of an open sweep, as far as the row says. False: the batch ends within it. */
static bool sweep(struct oracle *oracle) {
  struct lane *lane = &oracle->state->lane;
  const struct sink sink = {.context = oracle, .take = take_result};
  const struct sweep_cursor *end = oracle->row != NULL ? &oracle->row->sweep : NULL;
  while (sweep_is_open(lane)) {
    if (end != NULL && end->is_set && end->device_number == sweep_cursor(lane).device_number) {
      return false;
    }
    sweep_step(lane, &sink);
    oracle->swept_count++;
  }
  return true;
}

static void decide_range(struct oracle *oracle) {
  if (!sweep(oracle)) {
    return;
  }
  for (enum topic topic; (topic = pick(oracle)) != TOPIC_COUNT;) {
    CHECK_THAT(oracle->row == NULL || !oracle->is_ended,
               "lane %u: batch %" PRIu64 " goes on behind a request for its state", oracle->lane,
               oracle->row->batch);
    if (is_timer_first(oracle, &oracle->heads[topic])) {
      fire(oracle); /* which may move the clock, and with it the order */
    } else {
      take_message(oracle, topic);
      if (!sweep(oracle)) {
        return;
      }
    }
  }
}

static size_t next_visible(const struct log *log, size_t offset) {
  while (offset < log->count && !entry_is_visible(log, offset)) {
    offset++;
  }
  return offset;
}

/* A control message that stood there may have closed the batch, behind the timers that were due
 * before its stamp: these ended the batch without the wall clock. */
static bool is_before_control(const struct oracle *oracle, int64_t due_ms) {
  const struct log *log = broker_log(TOPIC_CONTROL, 0);
  const size_t next = next_visible(log, (size_t)oracle->row->ranges[TOPIC_CONTROL].to);
  return next < log->count && log->items[next].timestamp_ms >= due_ms &&
         log->items[next].timestamp_ms < FAR_FUTURE_MS &&
         log->items[next].appended_ms <= oracle->committed_ms;
}

static void fire_rest(struct oracle *oracle) {
  while (oracle->timer_count < oracle->row->timer_count &&
         timers_first(&oracle->state->lane.timers) != NULL) {
    const int64_t due_ms = timers_first(&oracle->state->lane.timers)->due_at_ms;
    const uint64_t steps =
        oracle->row->message_count + oracle->row->timer_count + oracle->swept_count;
    if (due_ms > oracle->state->lane.clock_ms && (int64_t)steps < sim.plan.messages_max &&
        !is_before_control(oracle, due_ms)) {
      oracle->fired = (struct fired){.batch = oracle->row->batch, .due_ms = due_ms};
    }
    fire(oracle);
  }
}

static void check_batch(struct oracle *oracle) {
  const struct journal_row *row = oracle->row;
  const struct lane *lane = &oracle->state->lane;
  uint8_t inputs[DIGEST_SIZE];
  uint8_t results[DIGEST_SIZE];
  digest_final(oracle->inputs, inputs);
  digest_final(oracle->results, results);
  CHECK_THAT(memcmp(inputs, row->inputs, DIGEST_SIZE) == 0 &&
                 memcmp(results, row->results, DIGEST_SIZE) == 0 && lane->seq == row->last_seq,
             "lane %u: batch %" PRIu64 " is not what its ranges decide", oracle->lane, row->batch);
  CHECK_THAT(oracle->message_count == row->message_count &&
                 oracle->timer_count == row->timer_count && lane->device_count == row->device_count,
             "lane %u: batch %" PRIu64 " miscounts", oracle->lane, row->batch);
  CHECK_THAT(lane->clock_ms ==
                 (row->clock_after_ms == TIME_NONE ? LANE_CLOCK_START_MS : row->clock_after_ms),
             "lane %u: batch %" PRIu64 " ends with another clock", oracle->lane, row->batch);
  uint8_t state[DIGEST_SIZE] = {0};
  if (oracle->has_state) {
    state_digest(lane, state);
  }
  CHECK_THAT(oracle->has_state == row->has_state && memcmp(state, row->state, DIGEST_SIZE) == 0,
             "lane %u: batch %" PRIu64 " tells another state%s", oracle->lane, row->batch,
             oracle->has_state != row->has_state ? " (or none)" : "");
  const struct sweep_cursor cursor = sweep_cursor(lane);
  CHECK_THAT(cursor.is_set == row->sweep.is_set && cursor.device_number == row->sweep.device_number,
             "lane %u: batch %" PRIu64 " ends elsewhere in a sweep", oracle->lane, row->batch);
}

/* Opening and closing. ------------------------------------------------------------------- */

static void open_oracle(struct oracle *oracle, uint32_t lane) {
  struct error error;
  *oracle = (struct oracle){.lane = lane, .encoding = shared.encoding};
  oracle->encoding.lane = lane;
  oracle->state = lane_state_open(lane, sim.plan.lane_count);
  oracle->reload = reload_open(lane);
  oracle->answers = answers_open();
  oracle->inputs = digest_open();
  oracle->results = digest_open();
  oracle->rules = (struct intake_rules){.schemas = shared.schemas,
                                        .partitioner = shared.config->kafka.partitioner,
                                        .lane = lane,
                                        .lane_count = sim.plan.lane_count,
                                        .message_bytes_max = shared.config->kafka.message_bytes_max,
                                        .subject_key = shared.subject_key};
  enum status status = fetch_open(rd_kafka_conf_new(), NULL, clock_wall_ms, &oracle->fetch, &error);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    struct intake *intake = &oracle->intakes[topic];
    char name[TOPIC_NAME_SIZE];
    topic_full_name(shared.config, topic, name);
    intake->topic = topic;
    intake->head = &oracle->heads[topic];
    assert(status == STATUS_OK);
    status =
        source_open(oracle->fetch, name, topic_partition(topic, lane), 0, &intake->source, &error);
  }
  assert(status == STATUS_OK);
}

static void close_oracle(struct oracle *oracle) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    source_close(oracle->intakes[topic].source);
    intake_fini(&oracle->intakes[topic]);
  }
  fetch_close(oracle->fetch);
  lane_state_close(oracle->state);
  reload_close(oracle->reload);
  answers_close(oracle->answers);
  digest_close(oracle->inputs);
  digest_close(oracle->results);
  buffer_fini(&oracle->records);
  buffer_fini(&oracle->rows);
  buffer_fini(&oracle->letters);
  buffer_fini(&oracle->canonical);
}

/* Admins by the configuration are those of the environment that the batch was decided in. */
static void set_admins(struct oracle *oracle, const struct stored_batch *stored) {
  if (stored->environment.size > 0) {
    environment_set_admins(buffer_span(&stored->environment), &oracle->state->lane);
  }
}

static void replay(struct oracle *oracle) {
  size_t count;
  const struct stored_batch *batches = database_batches(oracle->lane, &count);
  for (size_t i = 0; i < count; i++) {
    oracle->row = &batches[i].row;
    set_admins(oracle, &batches[i]);
    oracle->state->lane.batch = oracle->row->batch;
    oracle->committed_ms = batches[i].true_committed_ms;
    oracle->message_count = oracle->timer_count = oracle->swept_count = 0;
    oracle->is_ended = oracle->has_state = false;
    oracle->timer = (struct timer_cursor){0};
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      oracle->intakes[topic].stop_offset = oracle->row->ranges[topic].to;
      oracle->intakes[topic].next_offset = oracle->row->ranges[topic].from;
      oracle->heads[topic].state = HEAD_WAITING;
    }
    decide_range(oracle);
    fire_rest(oracle);
    check_batch(oracle);
    reload_check(oracle->reload, &oracle->state->lane, &batches[i]);
    lane_end_batch(&oracle->state->lane);
  }
}

/* Everything that stood in the topics, in one go: no batch, no position, no owner. */
static void decide_at_once(struct oracle *oracle) {
  size_t count;
  const struct stored_batch *batches = database_batches(oracle->lane, &count);
  if (count > 0) {
    set_admins(oracle, &batches[0]);
  }
  oracle->state->lane.batch = 1;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    oracle->intakes[topic].stop_offset = members_stop_offset(oracle->lane, topic);
  }
  decide_range(oracle);
}

/* Comparing. ----------------------------------------------------------------------------- */

static void append_header(struct buffer *bytes, const char *name, const void *value, size_t size) {
  buffer_append_u32(bytes, (uint32_t)strlen(name));
  buffer_append(bytes, name, strlen(name));
  buffer_append_u32(bytes, value == NULL ? UINT32_MAX : (uint32_t)size);
  if (value != NULL) {
    buffer_append(bytes, value, size);
  }
}

static bool headers_equal(const rd_kafka_headers_t *headers, struct span expected) {
  struct buffer bytes = {0};
  const char *name;
  const void *value;
  size_t size;
  for (size_t i = 0;
       headers != NULL && rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++) {
    append_header(&bytes, name, value, size);
  }
  const bool are_equal = span_equal(buffer_span(&bytes), expected);
  buffer_fini(&bytes);
  return are_equal;
}

/* Each topic shows what was decided for it, in order, and nothing else. */
static void check_topics(const struct oracle *oracle) {
  size_t at[RESULT_KIND_COUNT] = {0};
  struct outgoing outgoing;
  for (size_t position = 0; outgoing_next(buffer_span(&oracle->records), &position, &outgoing);) {
    const uint32_t kind = outgoing.record;
    const struct log *log = broker_log(OUTPUT_FIRST + kind, oracle->lane);
    at[kind] = next_visible(log, at[kind]);
    CHECK_THAT(at[kind] < log->count, "lane %u: %s lack a result", oracle->lane,
               record_topic_name(kind));
    const struct entry *entry = &log->items[at[kind]];
    CHECK_THAT(entry->timestamp_ms == outgoing.timestamp_ms &&
                   span_equal(entry->key, outgoing.key) &&
                   span_equal(entry->value, outgoing.value) &&
                   entry->key_is_null == outgoing.key_is_null &&
                   entry->value_is_null == outgoing.value_is_null &&
                   headers_equal(entry->headers, outgoing.headers),
               "lane %u: offset %zu of %s is not what was decided", oracle->lane, at[kind],
               record_topic_name(kind));
    at[kind]++;
  }
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    const struct log *log = broker_log(OUTPUT_FIRST + kind, oracle->lane);
    CHECK_THAT(next_visible(log, at[kind]) == log->count, "lane %u: %s show more than was decided",
               oracle->lane, record_topic_name(kind));
  }
}

/* The topic's journal has the database's chain. */
static void check_journal(uint32_t lane) {
  size_t count;
  const struct stored_batch *batches = database_batches(lane, &count);
  const struct log *log = broker_log(OUTPUT_FIRST + RECORD_JOURNAL, lane);
  size_t batch = 0;
  for (size_t at = next_visible(log, 0); at < log->count; at = next_visible(log, at + 1)) {
    const struct span value = log->items[at].value;
    char chain[HEX_DIGEST_SIZE];
    if (value.data[10] != 0) {
      continue; /* an environment */
    }
    if (batch < count) {
      hex_format(batches[batch].row.chain, DIGEST_SIZE, chain);
      CHECK_THAT(memmem(value.data, value.size, chain, sizeof chain - 1) != NULL,
                 "lane %u: batch %zu is published otherwise than it is committed", lane, batch + 1);
    }
    batch++;
  }
  CHECK_THAT(sim.plan.is_tampered || batch == count,
             "lane %u: %zu batches are published, %zu are committed", lane, batch, count);
}

static void check_blocks(const struct oracle *oracle) {
  const struct lane *lane = &oracle->state->lane;
  for (uint32_t i = 0; i * DEVICE_BLOCK_SIZE < lane->device_count; i++) {
    struct device_block block;
    struct buffer expected = {0};
    lane_block(lane, i, &block);
    store_append_block(&expected, &block);
    CHECK_THAT(span_equal(buffer_span(&expected), database_block(oracle->lane, i)),
               "lane %u: block %u is not what was decided", oracle->lane, i);
    buffer_fini(&expected);
  }
}

static void check_devices(const struct oracle *oracle) {
  const struct lane *lane = &oracle->state->lane;
  CHECK_THAT(database_device_count(oracle->lane) == lane->device_count,
             "lane %u: %zu device rows, %u devices", oracle->lane,
             database_device_count(oracle->lane), lane->device_count);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    struct buffer expected = {0};
    lane_image(lane, i, lane_touch_since(lane, i), ids, &image);
    store_append_device(&expected, &image);
    const struct span row = database_device(oracle->lane, image.number);
    for (const char *name = store_device_columns; name != NULL;) {
      char column[40];
      const char *end = strchr(name, ',');
      const size_t size = end != NULL ? (size_t)(end - name) : strlen(name);
      memcpy(column, name, size);
      column[size] = '\0';
      bool is_null;
      bool was_null;
      const struct span is = row_field(row, store_device_columns, column, &is_null);
      const struct span was =
          row_field(buffer_span(&expected), store_device_columns, column, &was_null);
      CHECK_THAT(is_null == was_null && span_equal(is, was),
                 "lane %u: %s of device %" PRIu64 "'s row is not what was decided", oracle->lane,
                 column, image.number);
      name = end != NULL ? end + 2 : NULL;
    }
    buffer_fini(&expected);
  }
}

/* The last record of each device's key tells of its last change. */
static void check_device_topic(const struct oracle *oracle) {
  const struct lane *lane = &oracle->state->lane;
  const struct log *log = broker_log(OUTPUT_FIRST + RECORD_DEVICE, oracle->lane);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    struct buffer record = {0};
    struct outgoing expected;
    size_t position = 0;
    lane_image(lane, i, lane_touch_since(lane, i), ids, &image);
    encode_device(&oracle->encoding, &image, (struct span){0}, &record);
    const bool is_there = outgoing_next(buffer_span(&record), &position, &expected);
    assert(is_there);
    size_t last = log->count;
    for (size_t at = next_visible(log, 0); at < log->count; at = next_visible(log, at + 1)) {
      last = span_equal(log->items[at].key, expected.key) ? at : last;
    }
    CHECK_THAT(last < log->count, "lane %u: device %" PRIu64 " has no record", oracle->lane,
               image.number);
    /* last_sync_at and the address come last: the one moves without a record, the other is not
     * looked up here. */
    const struct span shown = log->items[last].value;
    enum { TAIL_SIZE_MAX = 9 };
    const size_t size = expected.value.size - TAIL_SIZE_MAX;
    CHECK_THAT(shown.size >= size && memcmp(shown.data, expected.value.data, size) == 0,
               "lane %u: the last record of device %" PRIu64 " is not its state", oracle->lane,
               image.number);
    buffer_fini(&record);
  }
}

static void check_timers(const struct oracle *oracle) {
  const struct timer *timer = timers_first(&oracle->state->lane.timers);
  const int64_t skew_ms = sim.plan.has_skew ? SKEW_MS_MAX : 0;
  CHECK_THAT(sim.plan.is_backlog || timer == NULL ||
                 timer->due_at_ms > sim_wall_ms() - skew_ms - 20000,
             "lane %u: a timer due %" PRId64 " ms ago has not fired", oracle->lane,
             sim_wall_ms() - timer->due_at_ms);
}

static void check_lane(uint32_t lane) {
  struct oracle oracle;
  open_oracle(&oracle, lane);
  replay(&oracle);
  check_topics(&oracle);
  check_devices(&oracle);
  check_blocks(&oracle);
  check_device_topic(&oracle);
  check_timers(&oracle);
  if (sim.plan.is_backlog) {
    struct oracle straight;
    open_oracle(&straight, lane);
    decide_at_once(&straight);
    CHECK_THAT(span_equal(buffer_span(&straight.records), buffer_span(&oracle.records)),
               "lane %u: the batches decide otherwise than the log in one go", lane);
    close_oracle(&straight);
  }
  close_oracle(&oracle);
}

void oracle_check(void) {
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    check_journal(lane);
    if (!sim.plan.is_tampered) {
      check_lane(lane);
    }
  }
}
