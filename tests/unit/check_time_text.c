/* core/time_text: RFC 3339 both ways over the whole calendar. */
#include "core/time_text.h"

#include <check.h>
#include <stdlib.h>

static const struct {
  const char *text;
  int64_t at_ms;
} good[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"2026-11-01T00:00:00.000Z", INT64_C(1793491200000)},
    {"2026-11-01t00:00:00z", INT64_C(1793491200000)},
    {"2026-11-01 02:00:00+02:00", INT64_C(1793491200000)},
    {"2026-10-31T18:30:00.9999999-05:30", INT64_C(1793491200999)},
    {"2024-02-29T12:00:00Z", INT64_C(1709208000000)},
    {"2000-02-29T00:00:00-00:00", INT64_C(951782400000)},
    {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
    {"2016-12-31T23:59:60.7Z", INT64_C(1483228800000)},
    {"0001-01-01T00:00:00Z", TIME_TEXT_MIN_MS},
    {"9999-12-31T23:59:59.999Z", TIME_TEXT_MAX_MS},
    {"1969-12-31T23:59:59.999Z", -1},
};

static const char *const bad[] = {
    "",
    "2026",
    "2026-11-01",
    "2026-11-01T00:00:00",
    "2026-11-01T00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:61Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00,5Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+01:60",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00ZZ",
    " 2026-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-00:01",
    "+026-01-01T00:00:00Z",
    "2026-1-01T00:00:00Z",
    "2026-01-01T0:00:00Z",
    "9999-12-31T23:59:60Z",
};

START_TEST(time_parse_reads_what_rfc_3339_allows) {
  int64_t at_ms = -7;
  ck_assert(time_parse(span_text(good[_i].text), &at_ms));
  ck_assert_int_eq(at_ms, good[_i].at_ms);
}
END_TEST

START_TEST(time_parse_refuses_what_is_no_instant) {
  int64_t at_ms = -7;
  ck_assert_msg(!time_parse(span_text(bad[_i]), &at_ms), "%s", bad[_i]);
  ck_assert_int_eq(at_ms, -7);
}
END_TEST

START_TEST(time_parse_reads_no_byte_beyond_its_text) {
  const char *const text = "2026-11-01T00:00:00.123+01:00";
  for (size_t size = 0; size < strlen(text); size++) {
    char *const copy = malloc(size > 0 ? size : 1); /* exact: a sanitizer sees a step over it */
    memcpy(copy, text, size);
    int64_t at_ms;
    ck_assert(!time_parse(span_of(copy, size), &at_ms));
    free(copy);
  }
}
END_TEST

START_TEST(time_format_writes_utc_with_milliseconds) {
  char text[TIME_TEXT_SIZE];
  time_format(INT64_C(1793491200000), text);
  ck_assert_str_eq(text, "2026-11-01T00:00:00.000Z");
  time_format(-1, text);
  ck_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
  time_format(TIME_TEXT_MIN_MS, text);
  ck_assert_str_eq(text, "0001-01-01T00:00:00.000Z");
  time_format(TIME_TEXT_MAX_MS, text);
  ck_assert_str_eq(text, "9999-12-31T23:59:59.999Z");
}
END_TEST

START_TEST(time_every_day_survives_the_round_trip) {
  char last[TIME_TEXT_SIZE] = "";
  const int64_t step_ms = INT64_C(86400000) + 1; /* another time of day each time */
  bool is_good = true;
  for (int64_t at_ms = TIME_TEXT_MIN_MS; at_ms <= TIME_TEXT_MAX_MS && is_good; at_ms += step_ms) {
    char text[TIME_TEXT_SIZE];
    int64_t again_ms;
    time_format(at_ms, text);
    is_good = time_parse(span_text(text), &again_ms) && again_ms == at_ms;
    is_good = is_good && strcmp(last, text) < 0; /* one spelling a time, in order */
    memcpy(last, text, sizeof last);
  }
  ck_assert_msg(is_good, "%s", last);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("time_text");
  TCase *const tests = tcase_create("time_text");
  tcase_add_loop_test(tests, time_parse_reads_what_rfc_3339_allows, 0, (int)COUNT_OF(good));
  tcase_add_loop_test(tests, time_parse_refuses_what_is_no_instant, 0, (int)COUNT_OF(bad));
  tcase_add_test(tests, time_parse_reads_no_byte_beyond_its_text);
  tcase_add_test(tests, time_format_writes_utc_with_milliseconds);
  tcase_add_test(tests, time_every_day_survives_the_round_trip);
  tcase_set_timeout(tests, 60);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
