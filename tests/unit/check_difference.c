/* core/app/difference: what two histories decided otherwise. */
#include "core/app/difference.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)

static struct differences *differences;

static void set_up(void) {
  differences = differences_open(TIME_NONE, TIME_NONE);
}

static void tear_down(void) {
  differences_close(differences);
}

static void note_reason(enum history history, enum result_kind kind, const char *what,
                        int64_t at_ms, int64_t since_ms, const char *violations) {
  const struct decision decision = {.kind = kind,
                                    .what = span_text(what),
                                    .at_ms = at_ms,
                                    .since_ms = since_ms,
                                    .device_number = 7,
                                    .serial = span_text("SN7"),
                                    .violations = span_text(violations)};
  differences_note(differences, history, &decision);
}

static void note(enum history history, const char *what, int64_t at_ms, int64_t since_ms) {
  note_reason(history, RESULT_ACCESS_DECISION, what, at_ms, since_ms, "");
}

/* The differences in order, as text. */
static const char *concluded(void) {
  static char text[1024];
  size_t used = 0;
  text[0] = '\0';
  differences_conclude(differences);
  for (size_t i = 0; i < differences_count(differences); i++) {
    const struct difference *is = differences_at(differences, i);
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %s", i == 0 ? "" : "; ",
                             change_name(is->change), is->what);
    for (size_t history = 0; history < HISTORY_COUNT; history++) {
      if (is->at_ms[history] != TIME_NONE) {
        used += (size_t)snprintf(text + used, sizeof text - used, " %lld",
                                 (long long)(is->at_ms[history] / HOUR_MS));
      }
    }
  }
  return text;
}

START_TEST(test_what_both_have_is_none) {
  note(HISTORY_WHAT_IF, "BLOCK", 1 * HOUR_MS, 0);
  note(HISTORY_WHAT_IF, "ALLOW", 1 * HOUR_MS, 0);
  note(HISTORY_THEN, "ALLOW", 1 * HOUR_MS, 0);
  note(HISTORY_THEN, "BLOCK", 1 * HOUR_MS, 0);
  differences_settle(differences);
  /* One history may take its step before the other. */
  note(HISTORY_THEN, "BLOCK", 2 * HOUR_MS, 0);
  differences_settle(differences);
  note(HISTORY_WHAT_IF, "BLOCK", 2 * HOUR_MS, 0);
  differences_settle(differences);
  ck_assert_str_eq(concluded(), "");
  ck_assert_uint_eq(differences_tally_count(differences), 2);
  ck_assert_uint_eq(differences_tally_at(differences, 1)->all[HISTORY_THEN], 2);
  ck_assert_uint_eq(differences_tally_at(differences, 1)->all[HISTORY_WHAT_IF], 2);
}
END_TEST

START_TEST(test_the_same_thing_twice_is_two) {
  note(HISTORY_THEN, "BLOCK", 1 * HOUR_MS, 1 * HOUR_MS);
  note(HISTORY_THEN, "BLOCK", 1 * HOUR_MS, 1 * HOUR_MS);
  note(HISTORY_WHAT_IF, "BLOCK", 1 * HOUR_MS, 1 * HOUR_MS);
  ck_assert_str_eq(concluded(), "only_then BLOCK 1");
}
END_TEST

START_TEST(test_one_of_one_trouble_has_moved) {
  note(HISTORY_THEN, "BLOCK", 24 * HOUR_MS, 0);
  note(HISTORY_WHAT_IF, "BLOCK", 6 * HOUR_MS, 0);
  differences_settle(differences);
  ck_assert_str_eq(concluded(), "moved BLOCK 24 6");
  ck_assert_uint_eq(differences_tally_at(differences, 0)->changes[CHANGE_MOVED], 1);
}
END_TEST

START_TEST(test_of_different_troubles_they_are_two) {
  note(HISTORY_THEN, "BLOCK", 24 * HOUR_MS, 10 * HOUR_MS);
  note(HISTORY_WHAT_IF, "BLOCK", 9 * HOUR_MS, 0);
  differences_settle(differences);
  ck_assert_str_eq(concluded(), "only_what_if BLOCK 9; only_then BLOCK 24");
}
END_TEST

/* What both have at one time is not taken for another's move. */
START_TEST(test_the_same_time_goes_before_a_move) {
  note(HISTORY_THEN, "BLOCK", 10 * HOUR_MS, 0);
  note(HISTORY_THEN, "BLOCK", 20 * HOUR_MS, 0);
  note(HISTORY_WHAT_IF, "ALLOW", 10 * HOUR_MS, 10 * HOUR_MS);
  differences_settle(differences);
  note(HISTORY_WHAT_IF, "BLOCK", 20 * HOUR_MS, 0);
  differences_settle(differences);
  ck_assert_str_eq(concluded(), "only_what_if ALLOW 10; only_then BLOCK 10");
}
END_TEST

START_TEST(test_other_reasons_count_where_the_result_tells_them) {
  note_reason(HISTORY_THEN, RESULT_TICKET, "OPEN", 1 * HOUR_MS, 0, "a\n");
  note_reason(HISTORY_WHAT_IF, RESULT_TICKET, "OPEN", 1 * HOUR_MS, 0, "b\n");
  note_reason(HISTORY_THEN, RESULT_NOTIFICATION, "mail", 1 * HOUR_MS, 0, "a\n");
  note_reason(HISTORY_WHAT_IF, RESULT_NOTIFICATION, "mail", 1 * HOUR_MS, 0, "b\n");
  differences_settle(differences);
  ck_assert_str_eq(concluded(), "reason OPEN 1 1");
  ck_assert_str_eq(differences_at(differences, 0)->violations[HISTORY_THEN], "a\n");
  ck_assert_str_eq(differences_at(differences, 0)->violations[HISTORY_WHAT_IF], "b\n");
}
END_TEST

START_TEST(test_the_bounds_are_from_and_before) {
  differences_close(differences);
  differences = differences_open(2 * HOUR_MS, 4 * HOUR_MS);
  for (int64_t hour = 1; hour <= 4; hour++) {
    note(HISTORY_THEN, "BLOCK", hour * HOUR_MS, hour * HOUR_MS);
  }
  ck_assert_str_eq(concluded(), "only_then BLOCK 2; only_then BLOCK 3");
}
END_TEST

int main(void) {
  Suite *suite = suite_create("difference");
  TCase *tcase = tcase_create("difference");
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_test(tcase, test_what_both_have_is_none);
  tcase_add_test(tcase, test_the_same_thing_twice_is_two);
  tcase_add_test(tcase, test_one_of_one_trouble_has_moved);
  tcase_add_test(tcase, test_of_different_troubles_they_are_two);
  tcase_add_test(tcase, test_the_same_time_goes_before_a_move);
  tcase_add_test(tcase, test_other_reasons_count_where_the_result_tells_them);
  tcase_add_test(tcase, test_the_bounds_are_from_and_before);
  suite_add_tcase(suite, tcase);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
