/* core/lane: devices and their texts, what is stored of them and comes back, what is due. */
#include "core/app/policy_shipped.h"
#include "core/decide.h"
#include "tests/lib/heap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS INT64_C(60000)
#define START_MS INT64_C(1767225600000)

struct fixture {
  struct heap heap;
  struct memory memory;
  struct lane lane;
};

static struct fixture fixture;

static void set_up(void) {
  fixture = (struct fixture){0};
  fixture.memory = heap_as_memory(&fixture.heap);
  lane_init(&fixture.lane, 0, 1, policy_default(), &fixture.memory);
}

static void tear_down(void) {
  lane_fini(&fixture.lane);
  ck_assert_uint_eq(fixture.heap.block_count, 0);
  ck_assert_uint_eq(fixture.heap.byte_count, 0);
}

static uint32_t add(struct lane *lane, const char *serial, const char *os_version) {
  const uint32_t index = lane_add(lane, span_text(serial));
  const uint8_t subject[SUBJECT_SIZE] = {'a', 'n', 'n'};
  lane->devices[index].person = lane_person(lane, subject);
  lane_set_os_version(lane, &lane->devices[index], span_text(os_version));
  return index;
}

static void ignore(void *context, const struct result *result) {
  (void)context;
  (void)result;
}

static const struct sink no_sink = {.take = ignore};

START_TEST(an_empty_lane_holds_nothing) {
  ck_assert_uint_eq(lane_find(&fixture.lane, span_text("SN1")), INDEX_NONE);
  ck_assert_ptr_null(timers_first(&fixture.lane.timers));
  ck_assert_uint_eq(fixture.heap.block_count, 1); /* the list of policies that were in force */
}
END_TEST

START_TEST(a_device_starts_without_anything) {
  struct lane *lane = &fixture.lane;
  const uint32_t index = lane_add(lane, span_text("SN1"));
  const struct device *device = &lane->devices[index];
  ck_assert(span_equal(lane_serial(lane, device), span_text("SN1")));
  ck_assert_uint_eq(lane_os_version(lane, device).size, 0);
  ck_assert_int_eq(device->last_sync_at_ms, TIME_NONE);
  ck_assert_int_eq(device->pending_since_ms, TIME_NONE);
  ck_assert_int_eq(device->noncompliant_since_ms, TIME_NONE);
  ck_assert_int_eq(device->antivirus_signatures_at_ms, TIME_NONE);
  ck_assert_int_eq(device->compliance, COMPLIANCE_UNKNOWN);
  ck_assert_uint_eq(lane_find(lane, span_text("SN1")), index);
  ck_assert_uint_eq(lane_find(lane, span_text("sn1")), INDEX_NONE);
  ck_assert_uint_eq(lane_find(lane, span_text("SN")), INDEX_NONE);
}
END_TEST

START_TEST(many_devices_are_found_by_serials_of_any_length) {
  struct lane *lane = &fixture.lane;
  enum { COUNT = 20000 };
  char serial[SERIAL_SIZE_MAX + 1];
  for (uint32_t i = 0; i < COUNT; i++) {
    const int width = 5 + (int)(i % (SERIAL_SIZE_MAX - 4));
    snprintf(serial, sizeof serial, "%0*u", width, i);
    ck_assert_uint_eq(lane_add(lane, span_text(serial)), i);
  }
  for (uint32_t i = 0; i < COUNT; i++) {
    const int width = 5 + (int)(i % (SERIAL_SIZE_MAX - 4));
    snprintf(serial, sizeof serial, "%0*u", width, i);
    ck_assert_uint_eq(lane_find(lane, span_text(serial)), i);
    ck_assert(span_equal(lane_serial(lane, &lane->devices[i]), span_text(serial)));
  }
}
END_TEST

/* As a copy, as changes are made, and put back in another lane. */
START_TEST(a_serial_of_any_length_goes_with_its_device) {
  struct lane *lane = &fixture.lane;
  char serial[SERIAL_SIZE_MAX + 1];
  memset(serial, 'S', sizeof serial - 1);
  serial[sizeof serial - 1] = '\0';
  for (size_t size = 1; size <= SERIAL_SIZE_MAX; size++) {
    lane_prefetch_slot(lane, span_of(serial, size));
    lane_prefetch_device(lane, span_of(serial, size));
    const uint32_t index = lane_add(lane, span_of(serial, size));
    lane_prefetch_device(lane, span_of(serial, size));
    lane->devices[index].person = lane_person(lane, (const uint8_t[SUBJECT_SIZE]){1});
  }
  struct lane restored;
  lane_init(&restored, lane->number, lane->count, policy_default(), &fixture.memory);
  lane_add(&restored, span_text("a first one that is long, so that places differ"));
  for (uint32_t index = 0; index < lane->device_count; index++) {
    const struct device next = lane->devices[index];
    ck_assert(span_equal(lane_serial(lane, &next), span_of(serial, index + 1)));
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(lane, index, NULL, ids, &image);
    image.number = lane_device_number(&restored, index + 1);
    lane_restore(&restored, &image);
    ck_assert_uint_eq(lane_find(&restored, span_of(serial, index + 1)), index + 1);
  }
  /* Each of the long ones is kept once. */
  ck_assert_uint_eq(restored.serials.size, lane->serials.size + 47);
  lane_fini(&restored);
}
END_TEST

START_TEST(numbers_interleave_over_lanes) {
  enum { LANE_COUNT = 4, DEVICE_COUNT = 300 };
  bool is_given[LANE_COUNT * DEVICE_COUNT + 1] = {false};
  for (uint32_t number = 0; number < LANE_COUNT; number++) {
    struct lane lane;
    lane_init(&lane, number, LANE_COUNT, policy_default(), &fixture.memory);
    for (uint32_t k = 0; k < DEVICE_COUNT; k++) {
      const uint64_t device_number = lane_device_number(&lane, k);
      ck_assert_uint_eq(device_number, (uint64_t)k * LANE_COUNT + number + 1);
      ck_assert(!is_given[device_number]);
      is_given[device_number] = true;
    }
    lane_fini(&lane);
  }
}
END_TEST

START_TEST(version_texts_are_shared_and_given_back) {
  struct lane *lane = &fixture.lane;
  const uint32_t a = add(lane, "A", "14.0");
  const uint32_t b = add(lane, "B", "14.0");
  const uint32_t shared = lane->devices[a].os_version;
  ck_assert_uint_eq(lane->devices[b].os_version, shared);
  ck_assert_uint_eq(lane->versions.texts[shared].references, 2);

  /* The same again is no second reference. */
  lane_set_os_version(lane, &lane->devices[a], span_text("14.0"));
  ck_assert_uint_eq(lane->versions.texts[shared].references, 2);

  lane_set_os_version(lane, &lane->devices[a], span_text("14.1"));
  ck_assert_uint_eq(lane->versions.texts[shared].references, 1);
  ck_assert(span_equal(lane_os_version(lane, &lane->devices[b]), span_text("14.0")));
  lane_set_os_version(lane, &lane->devices[b], span_text("14.1"));
  ck_assert_uint_eq(lane->versions.texts[shared].references, 0);
  ck_assert_uint_eq(lane->versions.count, 2);

  /* A new text takes the room of the one that nobody has; then of none. */
  lane_set_os_version(lane, &lane->devices[a], span_text("15"));
  ck_assert_uint_eq(lane->devices[a].os_version, shared);
  ck_assert_uint_eq(lane->versions.count, 2);
  const uint32_t c = add(lane, "C", "");
  ck_assert_uint_eq(lane->versions.count, 3);
  ck_assert_uint_eq(lane_os_version(lane, &lane->devices[c]).size, 0);
  ck_assert(span_equal(lane_os_version(lane, &lane->devices[a]), span_text("15")));
}
END_TEST

START_TEST(version_texts_that_come_and_go_take_no_room) {
  struct lane *lane = &fixture.lane;
  const uint32_t a = add(lane, "A", "0");
  const uint32_t b = add(lane, "B", "0");
  char text[OS_VERSION_SIZE_MAX + 1];
  for (unsigned i = 1; i < 5000; i++) {
    snprintf(text, sizeof text, "%0*u", 1 + (int)(i % OS_VERSION_SIZE_MAX), i);
    lane_set_os_version(lane, &lane->devices[i % 2 == 0 ? a : b], span_text(text));
    ck_assert(
        span_equal(lane_os_version(lane, &lane->devices[i % 2 == 0 ? a : b]), span_text(text)));
  }
  ck_assert_uint_le(lane->versions.count, 3);
  ck_assert_uint_eq(lane->versions.by_text.count, 2);
}
END_TEST

/* Bits of the platforms on which the device's version fails the rule by itself. */
static uint32_t outdated_platforms(const struct lane *lane, uint32_t index) {
  const struct version_text *version = &lane->versions.texts[lane->devices[index].os_version];
  uint32_t outdated = 0;
  for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    outdated |= version->outcomes[platform].failed == 0 ? 0 : 1u << platform;
  }
  return outdated;
}

START_TEST(versions_know_where_they_are_outdated) {
  struct lane *lane = &fixture.lane;
  const uint32_t a = add(lane, "A", "13");
  ck_assert_uint_eq(outdated_platforms(lane, a), 1u << PLATFORM_MACOS | 1u << PLATFORM_IOS);
  lane_set_os_version(lane, &lane->devices[a], span_text("n/a"));
  ck_assert_uint_eq(outdated_platforms(lane, a), 1u << PLATFORM_WINDOWS | 1u << PLATFORM_MACOS |
                                                     1u << PLATFORM_IOS | 1u << PLATFORM_ANDROID);
}
END_TEST

START_TEST(persons_are_dense_in_order_of_first_sight) {
  struct lane *lane = &fixture.lane;
  for (uint32_t i = 0; i < 1000; i++) {
    const uint8_t subject[SUBJECT_SIZE] = {(uint8_t)i, (uint8_t)(i >> 8), [15] = 1};
    ck_assert_uint_eq(lane_person(lane, subject), i);
    ck_assert_uint_eq(lane_person(lane, subject), i);
  }
  const uint8_t first[SUBJECT_SIZE] = {[15] = 1};
  ck_assert_uint_eq(lane_person(lane, first), 0);
  ck_assert_uint_eq(lane->persons.count, 1000);
}
END_TEST

static void id_of(uint32_t number, uint8_t event_id[EVENT_ID_SIZE]) {
  memset(event_id, 0, EVENT_ID_SIZE);
  memcpy(event_id, &number, sizeof number);
  event_id[15] = 7;
}

static bool has_seen(const struct lane *lane, uint32_t index, uint32_t number) {
  uint8_t id[EVENT_ID_SIZE];
  id_of(number, id);
  return lane_enrollment_seen(lane, &lane->devices[index], id);
}

START_TEST(only_the_last_enrolments_are_remembered) {
  enum { COUNT = ENROLLMENTS_SEEN_MAX + 30 };
  struct lane *lane = &fixture.lane;
  const uint32_t index = add(lane, "A", "1");
  const uint32_t other = add(lane, "B", "1");
  uint8_t id[EVENT_ID_SIZE];
  for (uint32_t i = 0; i < COUNT; i++) {
    ck_assert(!has_seen(lane, index, i));
    id_of(i, id);
    lane_remember_enrollment(lane, &lane->devices[index], id);
    ck_assert(has_seen(lane, index, i));
    ck_assert(has_seen(lane, index, i < ENROLLMENTS_SEEN_MAX ? 0 : i + 1 - ENROLLMENTS_SEEN_MAX));
    ck_assert(i < ENROLLMENTS_SEEN_MAX || !has_seen(lane, index, i - ENROLLMENTS_SEEN_MAX));
    ck_assert(!has_seen(lane, other, i));
  }
  static uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  lane_image(lane, index, NULL, ids, &image);
  ck_assert_uint_eq(image.enrollment_ids.size, sizeof ids);
  for (uint32_t i = 0; i < ENROLLMENTS_SEEN_MAX; i++) {
    id_of(COUNT - 1 - i, id);
    ck_assert_mem_eq(ids + (size_t)i * EVENT_ID_SIZE, id, EVENT_ID_SIZE);
  }

  /* The same list comes back, in its order. */
  struct lane restored;
  lane_init(&restored, 0, 1, policy_default(), &fixture.memory);
  lane_restore(&restored, &image);
  ck_assert(has_seen(&restored, 0, COUNT - 1));
  ck_assert(has_seen(&restored, 0, COUNT - ENROLLMENTS_SEEN_MAX));
  ck_assert(!has_seen(&restored, 0, COUNT - ENROLLMENTS_SEEN_MAX - 1));
  id_of(COUNT, id);
  lane_remember_enrollment(&restored, &restored.devices[0], id);
  ck_assert(!has_seen(&restored, 0, COUNT - ENROLLMENTS_SEEN_MAX));
  ck_assert(has_seen(&restored, 0, COUNT + 1 - ENROLLMENTS_SEEN_MAX));
  lane_fini(&restored);
}
END_TEST

START_TEST(what_happens_next_follows_from_the_state) {
  const struct lane lane = {.policy = policy_default(), .count = 1};
  struct device device = {.status = DEVICE_PENDING, .pending_since_ms = START_MS};
  int64_t due_at_ms;
  ck_assert_int_eq(lane_next_timer(&lane, 0, &device, &due_at_ms), TIMER_KIND_FAIL);
  ck_assert_int_eq(due_at_ms, START_MS + 30 * MINUTE_MS);

  /* At equal times FAIL comes first; a block that is earlier comes before it. */
  device.compliance = COMPLIANCE_NONCOMPLIANT;
  device.stage = 1;
  device.noncompliant_since_ms = START_MS + 30 * MINUTE_MS - 24 * 60 * MINUTE_MS;
  ck_assert_int_eq(lane_next_timer(&lane, 0, &device, &due_at_ms), TIMER_KIND_FAIL);
  ck_assert_int_eq(due_at_ms, START_MS + 30 * MINUTE_MS);
  device.noncompliant_since_ms--;
  ck_assert_int_eq(lane_next_timer(&lane, 0, &device, &due_at_ms), TIMER_KIND_BLOCK);
  ck_assert_int_eq(due_at_ms, START_MS + 30 * MINUTE_MS - 1);

  device.status = DEVICE_ENROLLED;
  ck_assert_int_eq(lane_next_timer(&lane, 0, &device, &due_at_ms), TIMER_KIND_BLOCK);
  device.stage = 2;
  ck_assert_int_eq(lane_next_timer(&lane, 0, &device, &due_at_ms), TIMER_KIND_NONE);
  ck_assert_int_eq(due_at_ms, TIME_NONE);
  ck_assert_ptr_null(timer_kind_name(TIMER_KIND_NONE));
  ck_assert_str_eq(timer_kind_name(TIMER_KIND_FAIL), "fail");
  ck_assert_str_eq(timer_kind_name(TIMER_KIND_BLOCK), "block");
}
END_TEST

START_TEST(a_batch_touches_a_device_once) {
  struct lane *lane = &fixture.lane;
  const uint32_t a = add(lane, "A", "1");
  const uint32_t b = add(lane, "B", "1");
  const struct cause first = {
      .topic = TOPIC_CHECKINS, .offset = 1, .traceparent = span_text("00-1")};
  const struct cause second = {.topic = TOPIC_REPORTS, .offset = 2};
  lane->clock_ms = START_MS;
  lane->seq = 5;
  lane_touch(lane, b, false, &first);
  lane_touch(lane, a, true, &first);
  ck_assert_uint_eq(lane->touches.count, 2);
  const struct touch *touch = &lane->touches.items[1];
  ck_assert_uint_eq(touch->device, a);
  ck_assert(touch->is_changed);
  ck_assert_uint_eq(touch->seq, 5);
  ck_assert_int_eq(touch->at_ms, START_MS);
  ck_assert_int_eq(touch->cause.offset, 1);
  ck_assert_uint_eq(touch->cause.traceparent.size, 0);

  /* The last change counts; what is no change leaves it. */
  lane->clock_ms = START_MS + 1;
  lane->seq = 6;
  lane_touch(lane, a, true, &second);
  lane->seq = 7;
  lane_touch(lane, a, false, &first);
  ck_assert_uint_eq(lane->touches.count, 2);
  ck_assert_uint_eq(touch->seq, 6);
  ck_assert_int_eq(touch->at_ms, START_MS + 1);
  ck_assert_int_eq(touch->cause.offset, 2);
  ck_assert(!lane->touches.items[0].is_changed);

  lane_end_batch(lane);
  lane_clear_touches(lane);
  ck_assert_uint_eq(lane->touches.count, 0);
  ck_assert_ptr_null(lane_touch_since(lane, a));
  ck_assert_ptr_null(lane_touch_since(lane, b));
  lane_touch(lane, b, true, &second);
  ck_assert_uint_eq(lane->touches.items[0].device, b);
}
END_TEST

START_TEST(touches_outlive_their_batch) {
  struct lane *lane = &fixture.lane;
  struct touches *touches = &lane->touches;
  const uint32_t a = add(lane, "A", "1");
  const uint32_t b = add(lane, "B", "1");
  const uint32_t c = add(lane, "C", "1");
  const struct cause cause = {.topic = TOPIC_CHECKINS, .offset = 1};
  lane->batch = 7;
  lane_touch(lane, c, true, &cause);
  lane_touch(lane, a, false, &cause);
  lane_touch(lane, b, true, &cause);
  lane_touch(lane, c, true, &cause);
  /* In the order of their first change; what is no change is not among them. */
  ck_assert_uint_eq(touches->batch_changed_count, 2);
  ck_assert_uint_eq(touches->items[touches->batch_changed[0]].device, c);
  ck_assert_uint_eq(touches->items[touches->batch_changed[1]].device, b);

  lane_end_batch(lane);
  ck_assert_uint_eq(touches->batch_changed_count, 0);
  ck_assert_uint_eq(touches->count, 3);
  lane->batch = 8;
  lane_touch(lane, b, false, &cause);
  lane_touch(lane, a, true, &cause);
  ck_assert_uint_eq(touches->count, 3);
  ck_assert_uint_eq(touches->batch_changed_count, 1);
  ck_assert_uint_eq(touches->items[touches->batch_changed[0]].device, a);
  ck_assert_uint_eq(touches->items[0].batch, 7);
  ck_assert_uint_eq(touches->items[1].batch, 8);
  ck_assert(touches->items[2].is_changed);

  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  lane_image(lane, b, &touches->items[2], ids, &image);
  ck_assert(image.is_changed);
  ck_assert_uint_eq(image.changed_batch, 7);

  lane_end_batch(lane);
  lane_clear_touches(lane);
  ck_assert_uint_eq(touches->count, 0);
}
END_TEST

static void decide_one(struct lane *lane, const struct event *event) {
  const struct message message = {.cause = {.topic = TOPIC_ENROLLMENTS}};
  decide_event(lane, event, &message, &no_sink);
}

static const struct event enrolling = {
    .kind = EVENT_ENROLLMENT,
    .event_id = {1},
    .serial = {.data = (const uint8_t *)"SN1", .size = 3},
    .user = {.subject = {1}},
    .enrollment = {.os_version = {.data = (const uint8_t *)"11", .size = 2}},
};
static const struct event checking_in = {
    .kind = EVENT_CHECKIN,
    .serial = {.data = (const uint8_t *)"SN1", .size = 3},
    .checkin = {.os_version = {.data = (const uint8_t *)"11", .size = 2}},
};

START_TEST(a_device_is_new_until_it_has_a_row) {
  struct lane *lane = &fixture.lane;
  decide_one(lane, &enrolling);
  ck_assert(lane->touches.items[0].is_new);
  decide_one(lane, &checking_in);
  lane_end_batch(lane);
  decide_one(lane, &checking_in);
  ck_assert(lane->touches.items[0].is_new);
  lane_end_batch(lane);
  lane_clear_touches(lane);
  decide_one(lane, &checking_in);
  ck_assert_uint_eq(lane->touches.count, 0); /* nothing has changed */
  lane->clock_ms = START_MS;
  decide_one(lane, &checking_in);
  ck_assert_uint_eq(lane->touches.count, 1);
  ck_assert(!lane->touches.items[0].is_new);
}
END_TEST

/* States are compared as bytes, so a fact that was cleared is as one never reported. */
START_TEST(starting_over_leaves_no_fact) {
  struct lane *lane = &fixture.lane;
  decide_one(lane, &enrolling);
  decide_one(lane, &checking_in);
  struct device fresh = lane->devices[0];
  const struct event report = {
      .kind = EVENT_REPORT,
      .serial = enrolling.serial,
      .report = {.antivirus_enabled = TRI_TRUE,
                 .has_antivirus_signatures_at = true,
                 .antivirus_signatures_at_ms = START_MS,
                 .disk_encrypted = TRI_TRUE,
                 .has_screen_lock_pin_length = true,
                 .screen_lock_pin_length = 9},
  };
  decide_one(lane, &report);
  lane->devices[0].status = DEVICE_RETIRED;
  struct event again = enrolling;
  again.event_id[0] = 2;
  decide_one(lane, &again);
  decide_one(lane, &checking_in);
  fresh.enrollment = lane->devices[0].enrollment;
  ck_assert_mem_eq(&lane->devices[0], &fresh, sizeof fresh);
}
END_TEST

START_TEST(touches_keep_up_with_new_devices) {
  struct lane *lane = &fixture.lane;
  const struct cause cause = {.topic = TOPIC_ENROLLMENTS};
  char serial[16];
  for (uint32_t i = 0; i < 500; i++) {
    snprintf(serial, sizeof serial, "SN%u", i);
    lane_touch(lane, add(lane, serial, "1"), true, &cause);
    lane_touch(lane, i / 2, true, &cause);
  }
  ck_assert_uint_eq(lane->touches.count, 500);
  for (uint32_t i = 0; i < 500; i++) {
    ck_assert_uint_eq(lane->touches.items[i].device, i);
  }
}
END_TEST

START_TEST(an_image_tells_the_last_change) {
  struct lane *lane = &fixture.lane;
  const uint32_t index = add(lane, "A", "14.0");
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  struct device *device = &lane->devices[index];
  device->status = DEVICE_PENDING;
  device->pending_since_ms = START_MS;
  lane_image(lane, index, NULL, ids, &image);
  ck_assert_uint_eq(image.number, 1);
  ck_assert(!image.is_changed);
  ck_assert_int_eq(image.cause.offset, -1);
  ck_assert_int_eq(image.next_timer, TIMER_KIND_FAIL);
  ck_assert_int_eq(image.next_due_at_ms, START_MS + 30 * MINUTE_MS);
  ck_assert_str_eq(image.policy, "default");
  ck_assert_mem_eq(image.subject, "ann", 4);

  char traceparent[] = "00-1-2-01";
  const struct cause cause = {
      .topic = TOPIC_CHECKINS, .offset = 9, .traceparent = span_text(traceparent)};
  device->status = DEVICE_ENROLLED;
  lane->seq = 3;
  lane->clock_ms = START_MS;
  const struct touch unchanged = *lane_touch(lane, index, false, &cause);
  lane_image(lane, index, &unchanged, ids, &image);
  ck_assert(!image.is_changed);
  ck_assert_int_eq(image.next_timer, TIMER_KIND_NONE);
  ck_assert_int_eq(image.next_due_at_ms, TIME_NONE);
  const struct touch *changed = lane_touch(lane, index, true, &cause);
  memset(traceparent, 'x', sizeof traceparent); /* the message goes away */
  lane_image(lane, index, changed, ids, &image);
  ck_assert(span_equal(image.cause.traceparent, span_text("00-1-2-01")));
  ck_assert(image.is_changed);
  ck_assert_uint_eq(image.seq, 3);
  ck_assert_int_eq(image.at_ms, START_MS);
  ck_assert_int_eq(image.cause.offset, 9);
}
END_TEST

/* Random numbers: the same for the same seed. */
static uint32_t roll(uint64_t *state, uint32_t count) {
  *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*state >> 33) % count;
}

static void random_event(uint64_t *state, struct event *event, char serial[16]) {
  static const char *const versions[] = {"10.0.22631", "10.0.19045", "14.0", "", "beta", "11"};
  const struct span os_version = span_text(versions[roll(state, COUNT_OF(versions))]);
  const uint32_t choice = roll(state, 3);
  snprintf(serial, 16, "SN%u", roll(state, 40));
  *event = (struct event){.kind = (enum event_kind)choice, .serial = span_text(serial)};
  id_of(roll(state, 200), event->event_id);
  if (choice == EVENT_ENROLLMENT) {
    event->user.subject[0] = (uint8_t)(1 + roll(state, 5));
    event->enrollment = (struct enrollment){
        .platform = roll(state, 2) == 0 ? PLATFORM_WINDOWS : PLATFORM_MACOS,
        .os_version = os_version,
    };
  } else if (choice == EVENT_CHECKIN) {
    event->checkin = (struct checkin){.os_version = os_version, .trigger = roll(state, 2)};
  } else {
    event->report = (struct report){
        .has_os_version = roll(state, 2) == 0,
        .os_version = os_version,
        .antivirus_enabled = roll(state, 4) == 0 ? roll(state, 3) : TRI_TRUE,
        .has_antivirus_signatures_at = roll(state, 2) == 0,
        .antivirus_signatures_at_ms = START_MS - roll(state, 150) * 60 * MINUTE_MS,
        .disk_encrypted = roll(state, 4) == 0 ? roll(state, 3) : TRI_TRUE,
        .has_screen_lock_pin_length = roll(state, 2) == 0,
        .screen_lock_pin_length = (int32_t)roll(state, 10) + 3,
    };
  }
}

/* Messages and timers, until the lane has devices in all sorts of states. */
static void live_through(struct lane *lane, uint64_t *state, int step_count) {
  char serial[16];
  for (int i = 0; i < step_count; i++) {
    struct event event;
    random_event(state, &event, serial);
    const struct message message = {.cause = {.topic = TOPIC_CHECKINS, .offset = i}};
    decide_clock(lane, (i == 0 ? START_MS : lane->clock_ms) + roll(state, 5) * MINUTE_MS);
    const struct timer *first;
    while ((first = timers_first(&lane->timers)) != NULL && first->due_at_ms <= lane->clock_ms) {
      decide_timer(lane, &no_sink);
    }
    decide_event(lane, &event, &message, &no_sink);
  }
}

static void check_same_image(const struct lane *a, const struct lane *b, uint32_t index) {
  uint8_t ids[2][ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image[2];
  lane_image(a, index, NULL, ids[0], &image[0]);
  lane_image(b, index, NULL, ids[1], &image[1]);
  ck_assert_uint_eq(image[0].number, image[1].number);
  ck_assert(span_equal(image[0].serial, image[1].serial));
  ck_assert(span_equal(image[0].os_version, image[1].os_version));
  ck_assert_mem_eq(image[0].subject, image[1].subject, SUBJECT_SIZE);
  ck_assert(span_equal(image[0].enrollment_ids, image[1].enrollment_ids));
  ck_assert_int_eq(image[0].next_due_at_ms, image[1].next_due_at_ms);
  ck_assert_int_eq(image[0].next_timer, image[1].next_timer);
  for (size_t i = 0; i < 2; i++) {
    /* Indexes into tables of its own lane. */
    image[i].state.person = image[i].state.os_version = image[i].state.enrollment = 0;
    image[i].state.timer = image[i].state.touch = 0;
    memset(image[i].state.serial, 0, sizeof image[i].state.serial);
  }
  ck_assert_mem_eq(&image[0].state, &image[1].state, sizeof image[0].state);
}

static void check_same_timers(struct lane *a, struct lane *b) {
  ck_assert_uint_eq(a->timers.count, b->timers.count);
  while (timers_first(&a->timers) != NULL) {
    const struct timer first_a = *timers_first(&a->timers);
    const struct timer first_b = *timers_first(&b->timers);
    ck_assert_int_eq(first_a.due_at_ms, first_b.due_at_ms);
    ck_assert_uint_eq(first_a.device, first_b.device);
    timers_set(&a->timers, &a->memory, a->devices, first_a.device, TIME_NONE);
    timers_set(&b->timers, &b->memory, b->devices, first_b.device, TIME_NONE);
  }
}

START_TEST(a_lane_comes_back_as_it_was_stored) {
  struct lane *lane = &fixture.lane;
  uint64_t state = (uint64_t)_i + 1;
  live_through(lane, &state, 1500);
  ck_assert_uint_gt(lane->device_count, 30);
  ck_assert_uint_gt(lane->timers.count, 0);
  struct lane restored;
  lane_init(&restored, lane->number, lane->count, policy_default(), &fixture.memory);
  for (uint32_t index = 0; index < lane->device_count; index++) {
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(lane, index, NULL, ids, &image);
    lane_restore(&restored, &image);
  }
  ck_assert_uint_eq(restored.device_count, lane->device_count);
  ck_assert_uint_eq(restored.touches.count, 0);
  for (uint32_t index = 0; index < lane->device_count; index++) {
    check_same_image(lane, &restored, index);
  }
  /* Only what is held is there. */
  ck_assert_uint_eq(restored.versions.count, lane->versions.by_text.count);
  uint32_t references = 0;
  for (uint32_t i = 0; i < restored.versions.count; i++) {
    references += restored.versions.texts[i].references;
  }
  ck_assert_uint_eq(references, restored.device_count);
  check_same_timers(lane, &restored);
  lane_fini(&restored);
}
END_TEST

START_TEST(counts_are_those_of_the_devices_that_hold_them) {
  struct lane *lane = &fixture.lane;
  uint64_t state = (uint64_t)_i + 100;
  live_through(lane, &state, 800);
  uint32_t *const held = calloc(lane->versions.count, sizeof *held);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    held[lane->devices[i].os_version]++;
  }
  for (uint32_t i = 0; i < lane->versions.count; i++) {
    ck_assert_uint_eq(lane->versions.texts[i].references, held[i]);
  }
  free(held);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("lane");
  TCase *const tests = tcase_create("lane");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, an_empty_lane_holds_nothing);
  tcase_add_test(tests, a_device_starts_without_anything);
  tcase_add_test(tests, many_devices_are_found_by_serials_of_any_length);
  tcase_add_test(tests, a_serial_of_any_length_goes_with_its_device);
  tcase_add_test(tests, numbers_interleave_over_lanes);
  tcase_add_test(tests, version_texts_are_shared_and_given_back);
  tcase_add_test(tests, version_texts_that_come_and_go_take_no_room);
  tcase_add_test(tests, versions_know_where_they_are_outdated);
  tcase_add_test(tests, persons_are_dense_in_order_of_first_sight);
  tcase_add_test(tests, only_the_last_enrolments_are_remembered);
  tcase_add_test(tests, what_happens_next_follows_from_the_state);
  tcase_add_test(tests, a_batch_touches_a_device_once);
  tcase_add_test(tests, touches_outlive_their_batch);
  tcase_add_test(tests, a_device_is_new_until_it_has_a_row);
  tcase_add_test(tests, starting_over_leaves_no_fact);
  tcase_add_test(tests, touches_keep_up_with_new_devices);
  tcase_add_test(tests, an_image_tells_the_last_change);
  tcase_add_loop_test(tests, a_lane_comes_back_as_it_was_stored, 0, 10);
  tcase_add_loop_test(tests, counts_are_those_of_the_devices_that_hold_them, 0, 10);
  suite_add_tcase(all, tests);
  return all;
}

int main(void) {
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
