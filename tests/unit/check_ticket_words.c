/* What a ticket says for people, of which state of the device, and which tickets say nothing. */
#include "core/app/policy_file.h"
#include "core/app/policy_shipped.h"
#include "core/app/ticket_words.h"
#include "core/decide.h"
#include "tests/lib/heap.h"

#include <check.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define START_MS INT64_C(1767225600000)

static const struct device nothing_reported = {.antivirus_signatures_at_ms = TIME_NONE,
                                               .threat_at_ms = TIME_NONE};

static void must_be(char *text, const char *expected) {
  ck_assert_pstr_eq(text, expected);
  free(text);
}

START_TEST(each_violation_has_a_line_in_policy_order) {
  struct device device = nothing_reported;
  device.antivirus_enabled = TRI_TRUE;
  device.antivirus_signatures_at_ms = START_MS - 200 * HOUR_MS;
  device.disk_encrypted = TRI_FALSE;
  must_be(ticket_words(policy_default(), 0xf, &device, span_text("10.0.19045"), START_MS),
          "The operating system is out of date (os_out_of_date). Seen: os_version 10.0.19045. "
          "Required: os_version at least 10.0.22631. What to do: Install the updates of the "
          "operating system, then sync the device.\n"
          "The antivirus is off, or its signatures are old (antivirus). Seen: "
          "antivirus_signatures_age 200h. Required: antivirus_enabled is true and "
          "antivirus_signatures_age at most 168h. What to do: Turn the antivirus on, let it update "
          "its signatures, then sync the device.\n"
          "The disk is not encrypted (not_encrypted). Seen: disk_encrypted false. Required: "
          "disk_encrypted is true. What to do: Turn on BitLocker, FileVault or the encryption of "
          "the device, then sync it.\n"
          "The screen lock is too weak (weak_screen_lock). Seen: screen_lock_pin_length never "
          "reported. Required: screen_lock_pin_length at least 6. What to do: Set a screen lock of "
          "at least 6 digits, then sync the device.");
  must_be(ticket_words(policy_default(), 0, &device, span_text("14"), START_MS), NULL);
}
END_TEST

START_TEST(the_platform_and_nested_rules_are_told) {
  static struct policy policy;
  struct error error;
  ck_assert_int_eq(policy_load(SOURCE_DIR "/tests/data/baselines.yaml", &policy, &error),
                   STATUS_OK);
  struct device device = nothing_reported;
  device.platform = PLATFORM_MACOS;
  device.disk_encrypted = TRI_TRUE;
  device.has_screen_lock_pin_length = true;
  device.screen_lock_pin_length = 8;
  violation_set violations = 0;
  for (uint32_t rule = 0; rule < policy.rule_count; rule++) {
    const bool is_violated = strcmp(policy.rules[rule].id, "macos_os_current") == 0 ||
                             strcmp(policy.rules[rule].id, "macos_old_needs_more") == 0;
    violations |= is_violated ? 1u << rule : 0;
  }
  must_be(ticket_words(&policy, violations, &device, span_text("13.6"), START_MS),
          "macOS is not the version asked for (macos_os_current). Seen: os_version 13.6. Required: "
          "os_version at least 14.0. What to do: Install the updates of macOS.\n"
          "An old macOS needs a longer lock or encryption (macos_old_needs_more). Seen: os_version "
          "13.6, screen_lock_pin_length 8. Required: os_version at least 14.0 or (disk_encrypted "
          "is true and screen_lock_pin_length at least 10). What to do: Install the newest macOS, "
          "or set a lock of at least 10 digits on an encrypted device.");
}
END_TEST

/* A lane whose one device reports; the descriptions of its tickets, as they are decided. */
static struct {
  struct heap heap;
  struct memory memory;
  struct lane lane;
  enum ticket_action actions[8];
  char *descriptions[8];
  size_t count;
} told;

static void take(void *context, const struct result *result) {
  (void)context;
  char *const description = ticket_description(&told.lane, result);
  if (result->kind != RESULT_TICKET) {
    ck_assert_ptr_null(description);
    return;
  }
  ck_assert_uint_lt(told.count, COUNT_OF(told.actions));
  told.actions[told.count] = result->ticket.action;
  told.descriptions[told.count++] = description;
}

static const struct sink sink = {.take = take};

static void enroll(void) {
  const struct message message = {.cause = {.topic = TOPIC_ENROLLMENTS}};
  struct event event = {.kind = EVENT_ENROLLMENT, .serial = span_text("SN1"), .event_id = {1}};
  event.user.subject[0] = 1;
  event.enrollment.platform = PLATFORM_LINUX;
  event.enrollment.os_version = span_text("1");
  decide_clock(&told.lane, START_MS);
  decide_event(&told.lane, &event, &message, &sink);
  event.kind = EVENT_CHECKIN;
  event.checkin = (struct checkin){.os_version = span_text("1")};
  decide_event(&told.lane, &event, &message, &sink);
}

static void report(int64_t at_ms, enum tri disk_encrypted, int32_t pin_length) {
  const struct message message = {.cause = {.topic = TOPIC_REPORTS}};
  struct event event = {.kind = EVENT_REPORT, .serial = span_text("SN1")};
  event.report = (struct report){.disk_encrypted = disk_encrypted,
                                 .has_screen_lock_pin_length = true,
                                 .screen_lock_pin_length = pin_length};
  decide_clock(&told.lane, at_ms);
  decide_event(&told.lane, &event, &message, &sink);
}

static void must_have_told(size_t at, enum ticket_action action, const char *part,
                           const char *no_part) {
  ck_assert_uint_lt(at, told.count);
  ck_assert_int_eq(told.actions[at], action);
  ck_assert_msg(strstr(told.descriptions[at], part) != NULL, "%s", told.descriptions[at]);
  ck_assert_msg(strstr(told.descriptions[at], no_part) == NULL, "%s", told.descriptions[at]);
}

/* Facts of the report that is being decided, not of the one before, which the lane still has. */
START_TEST(the_decided_state_is_told) {
  told.memory = heap_as_memory(&told.heap);
  lane_init(&told.lane, 0, 1, policy_default(), &told.memory);
  enroll();
  report(START_MS + 1, TRI_TRUE, 5);
  decide_clock(&told.lane, START_MS + 1 + 24 * HOUR_MS);
  while (told.count == 0 && timers_first(&told.lane.timers) != NULL) {
    decide_timer(&told.lane, &sink);
  }
  report(START_MS + 25 * HOUR_MS, TRI_FALSE, 4);
  report(START_MS + 26 * HOUR_MS, TRI_TRUE, 6);
  ck_assert_uint_eq(told.count, 3);
  must_have_told(0, TICKET_OPEN, "Seen: screen_lock_pin_length 5. ", "disk_encrypted");
  must_have_told(1, TICKET_UPDATE, "Seen: screen_lock_pin_length 4. ", "length 5");
  must_have_told(1, TICKET_UPDATE, "Seen: disk_encrypted false. ", "os_version");
  ck_assert_int_eq(told.actions[2], TICKET_RESOLVE);
  ck_assert_ptr_null(told.descriptions[2]);
  free(told.descriptions[0]);
  free(told.descriptions[1]);
  lane_fini(&told.lane);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("ticket_words");
  TCase *const tests = tcase_create("all");
  tcase_add_test(tests, each_violation_has_a_line_in_policy_order);
  tcase_add_test(tests, the_platform_and_nested_rules_are_told);
  tcase_add_test(tests, the_decided_state_is_told);
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
