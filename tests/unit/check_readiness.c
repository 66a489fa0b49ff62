/* core/app/readiness: the reason of the trouble at hand, and of no other. */
#include "core/app/readiness.h"

#include <check.h>
#include <stdlib.h>

static struct readiness readiness;
static char text[128];

static void note(const char *failure, int64_t now_mono_ms) {
  struct error error;
  (void)!error_set(&error, STATUS_UNAVAILABLE, "%s", failure);
  readiness_note(&readiness, &error, now_mono_ms);
}

static void expect(const char *expected, int64_t since_mono_ms) {
  readiness_tell(&readiness, "no", since_mono_ms, text, sizeof text);
  ck_assert_str_eq(text, expected);
}

static void setup(void) {
  readiness = (struct readiness){0};
}

START_TEST(without_a_failure_the_reason_stands_alone) {
  expect("no\n", -1);
}
END_TEST

START_TEST(a_failure_at_the_start_is_told) {
  note("refused", 100);
  expect("no: refused\n", -1);
}
END_TEST

START_TEST(what_was_got_over_is_not_told) {
  note("refused", 10000);
  readiness_well(&readiness, 20000);
  expect("no\n", -1);
  note("gone", 20500);
  expect("no: gone\n", -1);
}
END_TEST

/* The tick that found all well may come after the failure and before it showed. */
START_TEST(a_failure_shows_a_moment_later) {
  note("gone", 20000);
  readiness_well(&readiness, 20050);
  expect("no: gone\n", -1);
}
END_TEST

/* A batch that does not get out is trouble since it began, though all seemed well meanwhile. */
START_TEST(trouble_may_have_begun_before_it_was_seen) {
  note("gone", 20000);
  readiness_well(&readiness, 50000);
  expect("no: gone\n", 20500);
  expect("no\n", 30000);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("readiness");
  TCase *const cases = tcase_create("readiness");
  tcase_add_checked_fixture(cases, setup, NULL);
  tcase_add_test(cases, without_a_failure_the_reason_stands_alone);
  tcase_add_test(cases, a_failure_at_the_start_is_told);
  tcase_add_test(cases, what_was_got_over_is_not_told);
  tcase_add_test(cases, a_failure_shows_a_moment_later);
  tcase_add_test(cases, trouble_may_have_begun_before_it_was_seen);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
