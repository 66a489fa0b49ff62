/* core/version: dotted decimals, compared number by number. */
#include "core/version.h"

#include <check.h>
#include <stdlib.h>

static const char *const known[] = {
    "0", "7", "14", "14.0", "10.0.22631.2715", "007", "0.0.0", "123456789012345678901234567890.1",
};

static const char *const unknown[] = {
    "",   ".",  "1.",  ".1", "1..2",   " 1", "1 ",  "1.2 ", "v1",  "1.2a",    "1-2",
    "+1", "-1", "1,2", "１", "1.\xff", "a",  "1.a", "1/2",  "1:2", "unknown", "1.2.x",
};

START_TEST(dotted_decimals_are_known) {
  ck_assert(version_is_known(span_text(known[_i])));
}
END_TEST

START_TEST(other_texts_are_unknown) {
  ck_assert(!version_is_known(span_text(unknown[_i])));
}
END_TEST

START_TEST(a_nul_is_no_digit) {
  ck_assert(!version_is_known(span_of("1\0", 2)));
}
END_TEST

/* From the lowest to the highest; those in one row are equal. */
static const char *const order[][4] = {
    {"0", "0.0", "00", "0.0.0"},
    {"0.0.1", "0.0.01", "0.0.1.0", "00.0.1"},
    {"0.1", "0.01", "0.1.0", "0.1.0.0"},
    {"1", "1.0", "01", "1.0.0.0.0"},
    {"1.2", "1.02", "1.2.0", "01.2"},
    {"1.10", "1.010", "1.10.0", "1.10.0.0"},
    {"2", "2.0", "02", "2.00"},
    {"9.99.999", "9.99.999.0", "09.99.999", "9.099.999"},
    {"10.0.22630.9999", "10.0.22630.09999", "10.00.22630.9999", "10.0.22630.9999.0"},
    {"10.0.22631", "10.0.22631.0", "010.0.22631", "10.0.0022631"},
    {"10.0.22631.1", "10.0.22631.01", "10.0.22631.1.0", "10.00.22631.1"},
    {"18446744073709551615", "018446744073709551615", "18446744073709551615.0",
     "18446744073709551615.0.0"},
    {"18446744073709551616", "0018446744073709551616", "18446744073709551616.0",
     "18446744073709551616.00"},
};

START_TEST(numbers_decide_the_order) {
  for (size_t a = 0; a < COUNT_OF(order); a++) {
    for (size_t b = 0; b < COUNT_OF(order); b++) {
      for (size_t i = 0; i < 16; i++) {
        const int sign = version_compare(span_text(order[a][i / 4]), span_text(order[b][i % 4]));
        ck_assert_int_eq(sign < 0, a < b);
        ck_assert_int_eq(sign > 0, a > b);
      }
    }
  }
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("version");
  TCase *const tests = tcase_create("version");
  tcase_add_loop_test(tests, dotted_decimals_are_known, 0, (int)COUNT_OF(known));
  tcase_add_loop_test(tests, other_texts_are_unknown, 0, (int)COUNT_OF(unknown));
  tcase_add_test(tests, a_nul_is_no_digit);
  tcase_add_test(tests, numbers_decide_the_order);
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
