/* core/app/snapshot: a lane's state as bytes, and back. */
#include "core/app/binary.h"
#include "core/app/snapshot.h"

#include <check.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)

static struct snapshot snapshot;
static struct buffer bytes;
static char reason[SNAPSHOT_REASON_SIZE];

static void add_device(const char *serial, const char *email, int64_t since_ms) {
  struct lane_state *state = snapshot.state;
  struct lane *lane = &state->lane;
  uint8_t subject[SUBJECT_SIZE] = {0};
  const uint8_t event_id[EVENT_ID_SIZE] = {7, 1};
  const struct cause cause = {.topic = TOPIC_REPORTS, .offset = 41};
  bool is_new;
  memcpy(subject, email, 5);
  const uint32_t index = lane_add(lane, span_text(serial));
  struct device *device = &lane->devices[index];
  device->person = lane_state_person(state, subject, span_text(email), &is_new);
  lane_set_os_version(lane, device, span_text("14.1"));
  device->status = DEVICE_ENROLLED;
  device->last_sync_at_ms = since_ms + HOUR_MS;
  device->compliance = COMPLIANCE_NONCOMPLIANT;
  device->violations = 5;
  device->stage = 1;
  device->episode = 3;
  device->noncompliant_since_ms = since_ms;
  device->has_screen_lock_pin_length = true;
  device->screen_lock_pin_length = -4;
  device->email_blocked = true;
  lane_remember_enrollment(lane, device, event_id);
  lane_schedule(lane, index);
  lane_touch(lane, index, true, &cause);
}

static void set_up(void) {
  snapshot = (struct snapshot){.state = lane_state_open(1, 3)};
  snapshot.state->lane.seq = snapshot.row.last_seq = 77;
  snapshot.state->lane.clock_ms = snapshot.row.clock_after_ms = 400 * HOUR_MS;
  snapshot.state->lane.batch = snapshot.row.batch = 9;
  snapshot.row.lane = 1;
  snapshot.row.ranges[TOPIC_CHECKINS].to = 123;
  snapshot.row.chain[5] = 5;
  snapshot.row.last_message[TOPIC_REPORTS][3] = 8;
  buffer_append(&snapshot.environment, "{}", 2);
  add_device("SN1", "anna@example.org", 20 * HOUR_MS);
  add_device("SN2", "bert@example.org", 10 * HOUR_MS);
  add_device("SN3", "anna@example.org", 30 * HOUR_MS);
  device_changes_note(&snapshot.changes, &snapshot.state->lane);
  bytes = (struct buffer){0};
  snapshot_write(&snapshot, &bytes);
}

static void tear_down(void) {
  lane_end_batch(&snapshot.state->lane);
  snapshot_fini(&snapshot);
  buffer_fini(&bytes);
}

START_TEST(test_what_is_read_is_what_was_written) {
  struct snapshot read;
  struct buffer again = {0};
  ck_assert_msg(snapshot_read(buffer_span(&bytes), &read, reason), "%s", reason);
  const struct lane *lane = &read.state->lane;
  ck_assert_uint_eq(lane->number, 1);
  ck_assert_uint_eq(lane->count, 3);
  ck_assert_uint_eq(lane->device_count, 3);
  ck_assert_uint_eq(read.row.batch, 9);
  ck_assert_int_eq(read.row.ranges[TOPIC_CHECKINS].to, 123);
  const struct device *device = &lane->devices[lane_find(lane, span_text("SN2"))];
  ck_assert_int_eq(device->screen_lock_pin_length, -4);
  ck_assert(device->email_blocked && !device->ticket_open);
  ck_assert_int_eq(timers_first(&lane->timers)->due_at_ms, 34 * HOUR_MS); /* SN2's block */
  ck_assert_int_eq(read.changes.items[2].cause_offset, 41);
  ck_assert_uint_eq(lane->persons.count, 2);
  ck_assert_uint_eq(lane_state_address(read.state, 0).size, 0);
  snapshot_write(&read, &again);
  ck_assert(span_equal(buffer_span(&again), buffer_span(&bytes)));
  buffer_fini(&again);
  snapshot_fini(&read);
}
END_TEST

START_TEST(test_addresses_are_there_when_asked_for) {
  struct snapshot read;
  struct buffer with = {0};
  snapshot.has_addresses = true;
  snapshot_write(&snapshot, &with);
  ck_assert_msg(snapshot_read(buffer_span(&with), &read, reason), "%s", reason);
  ck_assert(span_equal(lane_state_address(read.state, 1), span_text("bert@example.org")));
  snapshot_fini(&read);
  buffer_fini(&with);
}
END_TEST

/* What a database keeps of control messages. */
START_TEST(test_control_records_come_back) {
  const struct cause cause = {.topic = TOPIC_CONTROL, .offset = 5, .traceparent = span_text("t")};
  struct event event = {.kind = EVENT_GROUP, .event_id = {9}, .serial = span_text("SN1")};
  struct buffer draft = {0};
  struct snapshot read;
  event.group = (struct group_change){.group = span_text("pilot"), .is_removed = true};
  control_records_draft(&draft, &event, &cause);
  control_records_add(&snapshot.control, 3, 1234, buffer_span(&draft));
  event = (struct event){.kind = EVENT_ROLE, .user = {.email = span_text("a@b"), .subject = {4}}};
  event.role = (struct role_change){.role = ROLE_ADMIN, .is_granted = true};
  control_records_draft(&draft, &event, &cause);
  control_records_add(&snapshot.control, 8, 1235, buffer_span(&draft));
  bytes.size = 0;
  snapshot_write(&snapshot, &bytes);
  ck_assert_msg(snapshot_read(buffer_span(&bytes), &read, reason), "%s", reason);
  struct binary rest = {.rest = buffer_span(&read.control.bytes)};
  struct store_control control;
  ck_assert(control_records_next(&rest, &control));
  ck_assert(control.batch == 3 && control.at_ms == 1234 && control.cause.offset == 5);
  ck_assert(control.event.kind == EVENT_GROUP && control.event.group.is_removed);
  ck_assert(span_equal(control.event.group.group, span_text("pilot")));
  ck_assert(span_equal(control.event.serial, span_text("SN1")));
  ck_assert(span_equal(control.cause.traceparent, span_text("t")));
  ck_assert_uint_eq(control.cause.event_id[0], 9);
  ck_assert(control_records_next(&rest, &control));
  ck_assert(control.event.role.role == ROLE_ADMIN && control.event.role.is_granted);
  ck_assert(control.event.user.email.size > 0 && control.event.user.subject[0] == 4);
  ck_assert_uint_eq(rest.rest.size, 0);
  ck_assert(!control_records_next(&rest, &control));
  snapshot_fini(&read);
  buffer_fini(&draft);
}
END_TEST

/* No byte can be another, and none can be missing. */
START_TEST(test_damage_is_refused) {
  struct snapshot read;
  for (size_t i = 0; i < bytes.size; i++) {
    bytes.data[i] ^= 1;
    ck_assert_msg(!snapshot_read(buffer_span(&bytes), &read, reason), "byte %zu", i);
    bytes.data[i] ^= 1;
    ck_assert_msg(!snapshot_read(span_of(bytes.data, i), &read, reason), "%zu bytes", i);
  }
}
END_TEST

/* Under a digest of their own, wrong bytes are a lane that might be, or are refused. */
START_TEST(test_forged_bytes_do_no_harm) {
  static const uint8_t masks[] = {0x01, 0x80, 0xff};
  uint32_t refused = 0;
  for (size_t i = 0; i < bytes.size - DIGEST_SIZE; i++) {
    struct snapshot read;
    struct buffer forged = {0};
    buffer_append(&forged, bytes.data, bytes.size - DIGEST_SIZE);
    forged.data[i] ^= masks[i % COUNT_OF(masks)];
    binary_put_digest(&forged, 0);
    if (snapshot_read(buffer_span(&forged), &read, reason)) {
      snapshot_fini(&read);
    } else {
      refused++;
    }
    buffer_fini(&forged);
  }
  ck_assert_uint_gt(refused, 0);
}
END_TEST

int main(void) {
  TCase *tcase = tcase_create("snapshot");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_test(tcase, test_what_is_read_is_what_was_written);
  tcase_add_test(tcase, test_addresses_are_there_when_asked_for);
  tcase_add_test(tcase, test_damage_is_refused);
  tcase_add_test(tcase, test_control_records_come_back);
  tcase_add_test(tcase, test_forged_bytes_do_no_harm);
  Suite *suite = suite_create("snapshot");
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
