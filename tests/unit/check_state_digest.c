/* core/app/state_digest: the same lane has the same digest however it came about, and another lane
 * another one, whatever it is that differs. */
#include "core/app/state_digest.h"

#include "core/app/snapshot.h"

#include <check.h>
#include <stdlib.h>

#define START_MS INT64_C(1767225600000)

static const uint8_t ann[SUBJECT_SIZE] = {'a', 'n', 'n'};
static const uint8_t bob[SUBJECT_SIZE] = {'b', 'o', 'b'};

/* Two devices of two people; something of everything is there. */
static void fill(struct lane *lane) {
  lane->clock_ms = START_MS;
  lane->seq = 41;
  control_grant(&lane->control, &lane->memory, ann, ROLE_ADMIN);
  control_grant(&lane->control, &lane->memory, bob, ROLE_OPERATOR);
  control_join(&lane->control, &lane->memory, span_text("pilot"), true, span_of(bob, SUBJECT_SIZE));
  control_join(&lane->control, &lane->memory, span_text("pilot"), false, span_text("SN1"));
  for (uint32_t i = 0; i < 2; i++) {
    const uint32_t index = lane_add(lane, span_text(i == 0 ? "SN1" : "SN2"));
    struct device *device = &lane->devices[index];
    device->person = lane_person(lane, i == 0 ? ann : bob);
    device->status = DEVICE_ENROLLED;
    device->last_sync_at_ms = START_MS - i;
    lane_set_os_version(lane, device, span_text("14.0"));
    lane_remember_enrollment(lane, device, (const uint8_t[EVENT_ID_SIZE]){(uint8_t)(i + 1)});
  }
  struct wipe *wipe = lane_new_wipe(lane, 1);
  *wipe = (struct wipe){.device = 1, .reason = WIPE_STOLEN, .asked_at_ms = START_MS - 5};
  memcpy(wipe->asker, ann, SUBJECT_SIZE);
  lane->devices[1].wipe = WIPE_UNAPPROVED;
}

static struct lane_state *made(void) {
  struct lane_state *state = lane_state_open(0, 2);
  fill(&state->lane);
  return state;
}

static void digest_is(const struct lane_state *state, const uint8_t digest[DIGEST_SIZE], bool same,
                      const char *what) {
  uint8_t other[DIGEST_SIZE];
  state_digest(&state->lane, other);
  ck_assert_msg((memcmp(digest, other, DIGEST_SIZE) == 0) == same, "%s", what);
}

START_TEST(a_lane_that_comes_back_has_the_same) {
  struct lane_state *state = made();
  struct lane_state *again = lane_state_open(0, 2);
  uint8_t digest[DIGEST_SIZE];
  state_digest(&state->lane, digest);
  lane_person(&again->lane, bob); /* who is known first is no part of it */
  again->lane.clock_ms = state->lane.clock_ms;
  again->lane.seq = state->lane.seq;
  struct control *control = &again->lane.control;
  control_grant(control, &again->lane.memory, bob, ROLE_OPERATOR);
  control_grant(control, &again->lane.memory, ann, ROLE_ADMIN);
  control_join(control, &again->lane.memory, span_text("pilot"), false, span_text("SN1"));
  control_join(control, &again->lane.memory, span_text("pilot"), true, span_of(bob, SUBJECT_SIZE));
  for (uint32_t i = 0; i < state->lane.device_count; i++) {
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(&state->lane, i, NULL, ids, &image);
    lane_restore(&again->lane, &image);
  }
  digest_is(again, digest, true, "a lane from what is stored");
  lane_state_close(again);
  lane_state_close(state);
}
END_TEST

START_TEST(a_lane_of_a_snapshot_has_the_same) {
  struct snapshot snapshot = {.state = made(), .row = {.batch = 7, .last_seq = 41}};
  struct snapshot read;
  struct buffer bytes = {0};
  char reason[SNAPSHOT_REASON_SIZE];
  uint8_t digest[DIGEST_SIZE];
  const uint8_t subjects[][SUBJECT_SIZE] = {{'a', 'n', 'n'}, {'b', 'o', 'b'}};
  bool is_new;
  state_digest(&snapshot.state->lane, digest);
  for (size_t i = 0; i < COUNT_OF(subjects); i++) {
    lane_state_person(snapshot.state, subjects[i], span_text(""), &is_new);
  }
  device_changes_reach(&snapshot.changes, 2);
  snapshot_write(&snapshot, &bytes);
  ck_assert_msg(snapshot_read(buffer_span(&bytes), &read, reason), "%s", reason);
  digest_is(read.state, digest, true, "a lane from a snapshot");
  buffer_fini(&bytes);
  snapshot_fini(&read);
  snapshot_fini(&snapshot);
}
END_TEST

/* The parts of a device that its lane's memory alone knows: places in tables, marks. */
static bool is_place(size_t at) {
  static const struct {
    size_t at, size;
  } places[] = {{offsetof(struct device, touch), sizeof(uint32_t)},
                {offsetof(struct device, person), sizeof(uint32_t)},
                {offsetof(struct device, os_version), sizeof(uint32_t)},
                {offsetof(struct device, enrollment), sizeof(uint32_t)},
                {offsetof(struct device, timer), sizeof(uint32_t)}};
  for (size_t i = 0; i < COUNT_OF(places); i++) {
    if (at >= places[i].at && at < places[i].at + places[i].size) {
      return true;
    }
  }
  /* Behind the last whole number: bits that are flags, and the serial. */
  return at > offsetof(struct device, wipe);
}

START_TEST(every_bit_of_a_device_makes_another) {
  struct lane_state *state = made();
  uint8_t digest[DIGEST_SIZE];
  size_t tried = 0;
  state_digest(&state->lane, digest);
  for (size_t at = 0; at < sizeof(struct device); at++) {
    for (int bit = 0; bit < 8 && !is_place(at); bit++) {
      uint8_t *const byte = (uint8_t *)&state->lane.devices[1] + at;
      *byte ^= (uint8_t)(1u << bit);
      digest_is(state, digest, false, "a bit of a device");
      *byte ^= (uint8_t)(1u << bit);
      tried++;
    }
  }
  ck_assert_uint_gt(tried, 500);
  digest_is(state, digest, true, "all bits put back");
  lane_state_close(state);
}
END_TEST

static void change_flag(struct lane *lane) {
  lane->devices[0].ticket_open = true;
}
static void change_license(struct lane *lane) {
  lane->devices[0].has_license = true;
}
static void change_email(struct lane *lane) {
  lane->devices[0].email_blocked = true;
}
static void change_sap(struct lane *lane) {
  lane->devices[0].sap_blocked = true;
}
static void change_pin(struct lane *lane) {
  lane->devices[0].has_screen_lock_pin_length = true;
}
static void change_clock(struct lane *lane) {
  lane->clock_ms++;
}
static void change_seq(struct lane *lane) {
  lane->seq++;
}
static void change_person(struct lane *lane) {
  lane->devices[0].person = lane->devices[1].person;
}
static void change_version(struct lane *lane) {
  lane_set_os_version(lane, &lane->devices[0], span_text("14.1"));
}
static void change_enrolment(struct lane *lane) {
  lane_remember_enrollment(lane, &lane->devices[0], (const uint8_t[EVENT_ID_SIZE]){9});
}
static void change_wipe(struct lane *lane) {
  lane_wipe(lane, 1)->reason = WIPE_LOST;
}
static void change_approvals(struct lane *lane) {
  lane_wipe(lane, 1)->approver_count = 1;
}
static void change_role(struct lane *lane) {
  control_revoke(&lane->control, bob, ROLE_OPERATOR);
}
static void change_bootstrap(struct lane *lane) {
  control_set_bootstrap(&lane->control, &lane->memory, bob, 1);
}
static void change_group(struct lane *lane) {
  control_part(&lane->control, span_text("pilot"), false, span_text("SN1"));
}
static void change_tenant(struct lane *lane) {
  control_begin_tenant_event(&lane->control, TENANT_UPSTREAM_OUTAGE);
}
static void change_tenant_end(struct lane *lane) {
  lane->control.tenant_over_at_ms[TENANT_UPSTREAM_OUTAGE] = START_MS;
}
static void change_policy(struct lane *lane) {
  lane->control.policies[0].hash[31] ^= 1;
}
static void change_count(struct lane *lane) {
  lane->devices[lane_add(lane, span_text("SN3"))].person = lane_person(lane, ann);
}

static void (*const changes[])(struct lane *lane) = {
    change_flag,   change_license,    change_email,  change_sap,       change_pin,
    change_clock,  change_seq,        change_person, change_version,   change_enrolment,
    change_wipe,   change_approvals,  change_role,   change_bootstrap, change_group,
    change_tenant, change_tenant_end, change_policy, change_count,
};

START_TEST(every_change_makes_another) {
  struct lane_state *state = made();
  uint8_t digest[DIGEST_SIZE];
  state_digest(&state->lane, digest);
  digest_is(state, digest, true, "the same lane");
  changes[_i](&state->lane);
  digest_is(state, digest, false, "a changed lane");
  lane_state_close(state);
}
END_TEST

static Suite *state_digest_suite(void) {
  Suite *suite = suite_create("state_digest");
  TCase *tests = tcase_create("lanes");
  tcase_add_test(tests, a_lane_that_comes_back_has_the_same);
  tcase_add_test(tests, a_lane_of_a_snapshot_has_the_same);
  tcase_add_test(tests, every_bit_of_a_device_makes_another);
  tcase_add_loop_test(tests, every_change_makes_another, 0, COUNT_OF(changes));
  suite_add_tcase(suite, tests);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(state_digest_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
