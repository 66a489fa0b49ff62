/* core/batch: a batch's ranges give its steps again. Random arrivals over five topics, late,
 * equal and unbelieved stamps, ticks and cuts; then every batch is replayed from its row alone.
 *
 * MUSTER_SEEDS=N runs so many seeds, MUSTER_SEED=N only that one. */
#include "core/app/policy_file.h"
#include "core/app/policy_shipped.h"
#include "tests/lib/stepper.h"
#include "tests/lib/trace.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>

#define BASE_MS INT64_C(1767225600000)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

enum { SEED_COUNT = 600, BACKLOG_COUNT = 20, ACTION_COUNT = 250, SERIAL_COUNT = 7 };
enum { LANE_COUNT = 2, BELIEVED_AHEAD_MS = 5000 };

/* Pseudo-random numbers (splitmix64): the same for the same seed, everywhere. */
struct dice {
  uint64_t state;
};

static uint64_t roll(struct dice *dice) {
  uint64_t word = dice->state += UINT64_C(0x9e3779b97f4a7c15);
  word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
  return word ^ (word >> 31);
}

static uint64_t below(struct dice *dice, uint64_t count) {
  return roll(dice) % count;
}

static bool one_in(struct dice *dice, uint64_t count) {
  return below(dice, count) == 0;
}

/* What the seeds have met together: a property that was never put to the test proves nothing. */
static struct {
  uint64_t batches, closed, closed_after_timer, unbelieved, ticks, timers, cut_by_size, messages;
  uint64_t behind_clock, equal_stamps, swept, cut_sweeps, ended;
} met;

/* A lane that is fed live, and what it has written down. */
struct live {
  struct dice dice;
  struct stepper stepper;
  struct topic_log logs[TOPIC_COUNT]; /* what stands in the topics */
  size_t fetched[TOPIC_COUNT], taken[TOPIC_COUNT];
  enum { SEEN_WAITING, SEEN_AT_END } seen[TOPIC_COUNT]; /* of a topic that is drained */
  int64_t wall_ms;
  uint64_t limit; /* steps that make a batch full */
  bool may_wait;  /* topics may be waited for; otherwise they are at their ends at once */
  int stampless;  /* so many of the first messages have no stamp, or nearly none of them */
  struct journal_row *rows;
  char **texts; /* the steps of each batch */
  size_t row_count;
  char *text; /* of the batch that is open */
  size_t text_size;
};

static struct span serial_of(uint64_t number) {
  static const char *const serials[SERIAL_COUNT] = {"SN0", "SN1", "SN2", "SN3",
                                                    "SN4", "SN5", "SN6"};
  return span_text(serials[number]);
}

static void make_report(struct dice *dice, int64_t at_ms, struct report *report) {
  static const int32_t pins[] = {0, 5, 6, 6, 6, 8};
  *report = (struct report){
      .antivirus_enabled = one_in(dice, 8) ? TRI_FALSE : (one_in(dice, 4) ? TRI_UNKNOWN : TRI_TRUE),
      .has_antivirus_signatures_at = !one_in(dice, 4),
      .antivirus_signatures_at_ms = at_ms - (int64_t)below(dice, 169) * HOUR_MS,
      .disk_encrypted = one_in(dice, 8) ? TRI_FALSE : TRI_TRUE,
      .has_screen_lock_pin_length = !one_in(dice, 4),
      .screen_lock_pin_length = pins[below(dice, COUNT_OF(pins))],
      .has_os_version = one_in(dice, 4),
      .os_version = span_text(one_in(dice, 3) ? "10.0.19045" : "10.0.22631"),
  };
}

static void make_event(struct dice *dice, enum topic topic, int64_t at_ms, struct event *event) {
  char id[EVENT_ID_SIZE];
  snprintf(id, sizeof id, "%" PRIx64, roll(dice) & 0xffffffffffff);
  *event = (struct event){.occurred_at_ms = at_ms, .serial = serial_of(below(dice, SERIAL_COUNT))};
  memcpy(event->event_id, id, strlen(id));
  if (topic == TOPIC_ENROLLMENTS) {
    event->kind = EVENT_ENROLLMENT;
    event->user.subject[0] = (uint8_t)('a' + below(dice, 3));
    event->enrollment = (struct enrollment){
        .platform = one_in(dice, 10) ? PLATFORM_IOS : PLATFORM_WINDOWS,
        .os_version = span_text("10.0.22631"),
    };
  } else if (topic == TOPIC_CHECKINS) {
    event->kind = EVENT_CHECKIN;
    event->checkin =
        (struct checkin){.os_version = span_text("10.0.22631"),
                         .trigger = one_in(dice, 3) ? TRIGGER_ON_DEMAND : TRIGGER_SCHEDULED};
  } else {
    event->kind = EVENT_REPORT;
    make_report(dice, at_ms, &event->report);
  }
}

static struct policy extended;

/* One of two, so that half of these messages change nothing; or a request for the state. */
static void make_policy(struct dice *dice, struct event *event) {
  const struct policy *policy = one_in(dice, 2) ? &extended : policy_default();
  *event = (struct event){
      .kind = EVENT_POLICY,
      .policy = {.version = span_text(policy->version), .policy = policy},
  };
  memcpy(event->policy.hash, policy->hash, sizeof policy->hash);
  event->event_id[0] = (uint8_t)('a' + below(dice, 26));
  if (one_in(dice, 3)) {
    event->kind = EVENT_STATE;
  }
}

/* Stamps are coarse, so that equal ones and ones equal to due times are common. */
static int64_t make_stamp(struct live *live) {
  struct dice *const dice = &live->dice;
  const int64_t coarse_ms = live->wall_ms / (10 * MINUTE_MS) * (10 * MINUTE_MS);
  if (live->stampless > 0) {
    live->stampless--;
    return one_in(dice, 6) ? coarse_ms : -1;
  }
  switch (below(dice, 12)) {
  case 0:
    return -1;
  case 1:
    return coarse_ms + (int64_t)below(dice, 6) * HOUR_MS; /* a clock that is wrong */
  case 2:
    return coarse_ms - (int64_t)below(dice, 30) * HOUR_MS; /* an outbox */
  case 3:
  case 4:
    return coarse_ms - (int64_t)below(dice, 6) * 10 * MINUTE_MS;
  case 5:
    return live->wall_ms + BELIEVED_AHEAD_MS;
  default:
    return coarse_ms;
  }
}

static void produce(struct live *live) {
  static const enum topic topics[] = {
      TOPIC_CONTROL,  TOPIC_ENROLLMENTS, TOPIC_ENROLLMENTS, TOPIC_COMMANDS, TOPIC_CHECKINS,
      TOPIC_CHECKINS, TOPIC_REPORTS,     TOPIC_REPORTS,     TOPIC_REPORTS,  TOPIC_REPORTS};
  const enum topic topic = topics[below(&live->dice, COUNT_OF(topics))];
  struct topic_log *log = &live->logs[topic];
  const int64_t next = log->count == 0 ? 0 : log->items[log->count - 1].offset + 1;
  struct logged message = {
      .offset = next + (one_in(&live->dice, 8) ? 2 : 0), /* a transaction's marker between */
      .timestamp_ms = make_stamp(live),
      .is_event = topic != TOPIC_COMMANDS && !one_in(&live->dice, 20),
  };
  if (message.is_event && topic == TOPIC_CONTROL) {
    make_policy(&live->dice, &message.event);
  } else if (message.is_event) {
    make_event(&live->dice, topic, live->wall_ms, &message.event);
  } else {
    reject_set(&message.reject, REJECT_MALFORMED, STAGE_VALUE, "made so");
  }
  topic_log_append(log, &message);
}

/* Some of what stands in a topic arrives. What is believed is decided by the wall then. */
static void fetch(struct live *live, enum topic topic) {
  struct topic_log *log = &live->logs[topic];
  const size_t left = log->count - live->fetched[topic];
  const size_t count = left == 0 ? 0 : 1 + below(&live->dice, left);
  for (size_t i = 0; i < count; i++) {
    struct logged *message = &log->items[live->fetched[topic]++];
    message->is_believed =
        message->timestamp_ms >= 0 && message->timestamp_ms <= live->wall_ms + BELIEVED_AHEAD_MS;
  }
}

static void fill_heads(const struct live *live, struct head heads[TOPIC_COUNT]) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (live->taken[topic] < live->fetched[topic]) {
      heads[topic] = stepper_head(&live->logs[topic].items[live->taken[topic]]);
    } else {
      const bool is_waiting = live->seen[topic] == SEEN_WAITING;
      heads[topic] = (struct head){.state = is_waiting ? HEAD_WAITING : HEAD_AT_END};
    }
  }
}

static void open_text(struct live *live) {
  live->text = NULL;
  live->stepper.render.out = open_memstream(&live->text, &live->text_size);
}

static void close_batch(struct live *live) {
  if (batch_is_empty(&live->stepper.batch)) {
    return;
  }
  live->rows = realloc(live->rows, (live->row_count + 1) * sizeof *live->rows);
  live->texts = realloc(live->texts, (live->row_count + 1) * sizeof *live->texts);
  struct topic_offset *not_believed;
  stepper_close(&live->stepper, &live->rows[live->row_count], &not_believed);
  fclose(live->stepper.render.out);
  live->texts[live->row_count++] = live->text;
  open_text(live);
  met.batches++;
}

static void note_message(const struct live *live, enum topic topic, const struct head *head) {
  met.messages++;
  met.unbelieved += !head->is_believed;
  met.behind_clock += head->is_believed && head->timestamp_ms < live->stepper.lane.clock_ms;
  for (enum topic other = topic + 1; other < TOPIC_COUNT; other++) {
    const size_t at = live->taken[other];
    met.equal_stamps += head->is_believed && at < live->fetched[other] &&
                        live->logs[other].items[at].is_believed &&
                        live->logs[other].items[at].timestamp_ms == head->timestamp_ms;
  }
}

static void take(struct live *live, const struct head heads[TOPIC_COUNT], enum topic topic) {
  struct stepper *const stepper = &live->stepper;
  note_message(live, topic, &heads[topic]);
  fputs("  ", stepper->render.out);
  render_message(&stepper->render, topic, &heads[topic]);
  fputc('\n', stepper->render.out);
  stepper_take(stepper, heads, topic, &live->logs[topic].items[live->taken[topic]++]);
}

/* One step, if there is one. False at the end, or when something is waited for. */
static bool step(struct live *live, enum next *next) {
  struct batch *const batch = &live->stepper.batch;
  struct head heads[TOPIC_COUNT];
  enum topic topic;
  fill_heads(live, heads);
  *next = batch_next(batch, &live->stepper.lane, heads, &topic);
  switch (*next) {
  case NEXT_WAIT:
  case NEXT_END:
    return false;
  case NEXT_SWEEP:
    met.swept++;
    met.cut_sweeps += batch_is_empty(batch);
    stepper_sweep(&live->stepper);
    break;
  case NEXT_CLOSE:
    met.closed++;
    met.closed_after_timer += batch->timer_count > 0;
    met.ended += batch->is_ended;
    ck_assert(!batch->is_ended || batch->message_count == 1);
    ck_assert(!batch_is_empty(batch));
    close_batch(live);
    break;
  case NEXT_TIMER:
    met.timers++;
    stepper_fire(&live->stepper, heads);
    break;
  case NEXT_MESSAGE:
    take(live, heads, topic);
    break;
  }
  if (batch_step_count(batch) >= live->limit) {
    met.cut_by_size++;
    close_batch(live);
  }
  return true;
}

/* The wall lets timers fire: the last steps of their batch. */
static void tick(struct live *live) {
  const struct timers *const timers = &live->stepper.lane.timers;
  struct batch *const batch = &live->stepper.batch;
  struct head heads[TOPIC_COUNT];
  bool has_fired = false;
  fill_heads(live, heads);
  while (timers_first(timers) != NULL && timers_first(timers)->due_at_ms <= live->wall_ms - 1000 &&
         batch_step_count(batch) < live->limit) {
    stepper_fire(&live->stepper, heads);
    has_fired = true;
    met.ticks++;
  }
  if (has_fired) {
    close_batch(live);
  }
}

static void pass_time(struct live *live) {
  static const int64_t steps_ms[] = {
      100, 1000, 5000, 10 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS};
  live->wall_ms += steps_ms[below(&live->dice, COUNT_OF(steps_ms))];
}

/* Something happens: to the topics, to the wall, or in the lane. */
static void act(struct live *live) {
  struct dice *const dice = &live->dice;
  enum next next = NEXT_WAIT;
  switch (below(dice, 10)) {
  case 0:
    pass_time(live);
    break;
  case 1:
  case 2:
    produce(live);
    break;
  case 3:
  case 4:
    fetch(live, (enum topic)below(dice, TOPIC_COUNT));
    break;
  case 5: {
    const enum topic topic = (enum topic)below(dice, TOPIC_COUNT);
    live->seen[topic] = live->may_wait && one_in(dice, 3) ? SEEN_WAITING : SEEN_AT_END;
    break;
  }
  case 6:
    if (one_in(dice, 3)) {
      close_batch(live);
    }
    break;
  default:
    for (uint64_t steps = below(dice, 4); steps > 0 && step(live, &next); steps--) {
    }
    if (next == NEXT_END && one_in(dice, 2)) {
      tick(live);
    }
    break;
  }
}

static void live_init(struct live *live, uint64_t seed) {
  *live = (struct live){.dice = {.state = seed * 2654435761u}, .wall_ms = BASE_MS};
  stepper_init(&live->stepper, seed % LANE_COUNT, LANE_COUNT, &(struct render){.base_ms = BASE_MS});
  live->limit = one_in(&live->dice, 3) ? 1 + below(&live->dice, 4) : 8 + below(&live->dice, 60);
  live->may_wait = one_in(&live->dice, 2);
  live->stampless = one_in(&live->dice, 3) ? 30 : 0;
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    live->seen[topic] = SEEN_AT_END;
  }
  open_text(live);
}

/* All that stands in the topics arrives and is taken. */
static void finish(struct live *live) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    while (live->fetched[topic] < live->logs[topic].count) {
      fetch(live, topic);
    }
    live->seen[topic] = SEEN_AT_END;
  }
  enum next next;
  while (step(live, &next)) {
  }
  ck_assert_int_eq(next, NEXT_END);
  close_batch(live);
}

static void live_fini(struct live *live) {
  fclose(live->stepper.render.out);
  free(live->text);
  for (size_t i = 0; i < live->row_count; i++) {
    free((void *)live->rows[i].not_believed);
    free(live->texts[i]);
  }
  free(live->rows);
  free(live->texts);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    topic_log_fini(&live->logs[topic]);
  }
  stepper_fini(&live->stepper);
}

/* The bytes that the chain is made over must be the same: every range, count, clock and cursor. */
static bool rows_are_equal(const struct journal_row *a, const struct journal_row *b) {
  static const uint8_t previous[DIGEST_SIZE];
  uint8_t *const bytes_a = malloc(journal_canonical_size_max(a));
  uint8_t *const bytes_b = malloc(journal_canonical_size_max(b));
  const size_t size_a = journal_canonical(a, previous, bytes_a);
  const size_t size_b = journal_canonical(b, previous, bytes_b);
  const bool is_equal = span_equal(span_of(bytes_a, size_a), span_of(bytes_b, size_b));
  free(bytes_a);
  free(bytes_b);
  return is_equal;
}

static void check_replayed_batch(struct stepper *stepper, const struct live *live, size_t index,
                                 uint64_t seed) {
  const struct journal_row *row = &live->rows[index];
  char *text = NULL;
  size_t size = 0;
  stepper->render.out = open_memstream(&text, &size);
  const bool is_replayed = stepper_replay(stepper, live->logs, row);
  fclose(stepper->render.out);
  if (!is_replayed || !trace_compare(live->texts[index], text, stderr)) {
    struct render render = {
        .out = stderr, .base_ms = BASE_MS, .policy = live->stepper.render.policy};
    render_batch(&render, row);
    ck_abort_msg("seed %" PRIu64 ": batch %" PRIu64 " of %zu is replayed otherwise", seed,
                 row->batch, live->row_count);
  }
  struct journal_row replayed;
  struct topic_offset *not_believed;
  stepper_close(stepper, &replayed, &not_believed);
  ck_assert_msg(rows_are_equal(row, &replayed), "seed %" PRIu64 ": row %" PRIu64 " differs", seed,
                row->batch);
  free(not_believed);
  free(text);
}

static void check_seed(uint64_t seed) {
  struct live live;
  live_init(&live, seed);
  for (int i = 0; i < ACTION_COUNT; i++) {
    act(&live);
  }
  finish(&live);
  struct dice dice = {.state = seed};
  struct stepper replay;
  stepper_init(&replay, seed % LANE_COUNT, LANE_COUNT, &(struct render){.base_ms = BASE_MS});
  for (size_t i = 0; i < live.row_count; i++) {
    check_replayed_batch(&replay, &live, i, seed);
    if (one_in(&dice, 4)) {
      stepper_restart(&replay);
    }
  }
  stepper_fini(&replay);
  live_fini(&live);
}

/* All that stands in the topics, decided in batches of so many steps. */
static char *run_backlog(uint64_t seed, uint64_t limit) {
  struct live live;
  live_init(&live, seed);
  for (int i = 0; i < ACTION_COUNT / 2; i++) {
    produce(&live);
    if (one_in(&live.dice, 3)) {
      pass_time(&live);
    }
  }
  live.limit = limit;
  finish(&live);
  char *text = NULL;
  size_t size = 0;
  FILE *const out = open_memstream(&text, &size);
  for (size_t i = 0; i < live.row_count; i++) {
    fputs(live.texts[i], out);
  }
  fclose(out);
  live_fini(&live);
  return text;
}

START_TEST(sizes_of_batches_change_nothing) {
  const uint64_t seed = (uint64_t)_i + 1;
  char *const whole = run_backlog(seed, UINT64_MAX);
  ck_assert_str_ne(whole, "");
  for (uint64_t limit = 1; limit < 40; limit += limit < 4 ? 1 : 7) {
    char *const cut = run_backlog(seed, limit);
    ck_assert_msg(trace_compare(whole, cut, stderr), "seed %" PRIu64 ", limit %" PRIu64, seed,
                  limit);
    free(cut);
  }
  free(whole);
}
END_TEST

START_TEST(ranges_give_the_steps_again) {
  const char *const chosen = getenv("MUSTER_SEED");
  if (chosen != NULL) {
    check_seed(strtoull(chosen, NULL, 10));
    return;
  }
  const char *const wanted = getenv("MUSTER_SEEDS");
  const uint64_t seed_count = wanted == NULL ? SEED_COUNT : strtoull(wanted, NULL, 10);
  for (uint64_t seed = 1; seed <= seed_count; seed++) {
    check_seed(seed);
  }
  ck_assert_uint_gt(met.batches, 0);
  ck_assert_uint_gt(met.closed, 0);
  ck_assert_uint_gt(met.unbelieved, 0);
  ck_assert_uint_gt(met.ticks, 0);
  ck_assert_uint_gt(met.timers, 0);
  ck_assert_uint_gt(met.cut_by_size, 0);
  ck_assert_uint_gt(met.behind_clock, 0);
  ck_assert_uint_gt(met.equal_stamps, 0);
  ck_assert_uint_gt(met.closed_after_timer, 0);
  ck_assert_uint_gt(met.swept, 0);
  ck_assert_uint_gt(met.cut_sweeps, 0);
  ck_assert_uint_gt(met.ended, 0);
}
END_TEST

START_TEST(a_batch_begins_where_the_lane_stands) {
  struct stepper stepper;
  stepper_init(&stepper, 0, 1, &(struct render){.base_ms = BASE_MS});
  struct lane *const lane = &stepper.lane;
  lane->clock_ms = BASE_MS;
  lane->seq = 41;
  lane->dead_letter_count = 7;
  batch_begin(&stepper.batch, 9, lane, (const int64_t[TOPIC_COUNT]){1, 2, 3, 4, 5});
  ck_assert(batch_is_empty(&stepper.batch));
  ck_assert_uint_eq(lane->batch, 9);

  struct journal_row row;
  batch_row(&stepper.batch, lane, &row);
  ck_assert_uint_eq(row.lane, 0);
  ck_assert_uint_eq(row.batch, 9);
  ck_assert_uint_eq(row.first_seq, 42);
  ck_assert_uint_eq(row.last_seq, 41);
  ck_assert_int_eq(row.clock_before_ms, BASE_MS);
  ck_assert_int_eq(row.clock_after_ms, BASE_MS);
  ck_assert_uint_eq(row.dead_letter_count, 0);
  ck_assert_uint_eq(row.not_believed_count, 0);
  ck_assert(!row.timer.is_set);
  for (int topic = 0; topic < TOPIC_COUNT; topic++) {
    ck_assert_int_eq(row.ranges[topic].from, topic + 1);
    ck_assert_int_eq(row.ranges[topic].to, topic + 1);
  }
  stepper_fini(&stepper);
}
END_TEST

START_TEST(a_timer_alone_is_something) {
  struct stepper stepper;
  stepper_init(&stepper, 0, 1, &(struct render){.base_ms = BASE_MS});
  const struct head heads[TOPIC_COUNT] = {0};
  const struct timer_cursor cursor = {
      .is_set = true, .due_at_ms = BASE_MS, .device_number = 3, .kind = TIMER_KIND_BLOCK};
  batch_note_timer(&stepper.batch, heads, cursor);
  ck_assert(!batch_is_empty(&stepper.batch));
  struct journal_row row;
  batch_row(&stepper.batch, &stepper.lane, &row);
  ck_assert_uint_eq(row.timer.device_number, 3);
  ck_assert_int_eq(row.timer.due_at_ms, BASE_MS);
  ck_assert_uint_eq(row.timer.kind, TIMER_KIND_BLOCK);
  ck_assert_uint_eq(row.timer_count, 1);
  stepper_fini(&stepper);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("batch");
  TCase *const property = tcase_create("property");
  tcase_set_timeout(property, 0); /* as many seeds as are asked for */
  tcase_add_test(property, ranges_give_the_steps_again);
  tcase_add_loop_test(property, sizes_of_batches_change_nothing, 0, BACKLOG_COUNT);
  suite_add_tcase(all, property);
  TCase *const row = tcase_create("row");
  tcase_add_test(row, a_batch_begins_where_the_lane_stands);
  tcase_add_test(row, a_timer_alone_is_something);
  suite_add_tcase(all, row);
  return all;
}

int main(void) {
  struct error error;
  if (policy_load("extended", &extended, &error) != STATUS_OK) {
    return EXIT_FAILURE;
  }
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
