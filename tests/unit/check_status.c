/* core/status and core/event: what failed, and what was refused, as codes and texts. */
#include "core/profile.h"
#include "core/status.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(exit_codes_are_those_of_the_contract) {
  ck_assert_int_eq(status_exit_code(STATUS_OK), 0);
  ck_assert_int_eq(status_exit_code(STATUS_REFUSED), 1);
  ck_assert_int_eq(status_exit_code(STATUS_USAGE), 2);
  ck_assert_int_eq(status_exit_code(STATUS_UNAVAILABLE), 75);
  ck_assert_int_eq(status_exit_code(STATUS_FENCED), 75);
  ck_assert_int_eq(status_exit_code(STATUS_CONFIG), 78);
}
END_TEST

START_TEST(errors_are_wrapped_from_the_inside) {
  struct error error;
  ck_assert_int_eq(error_set(&error, STATUS_CONFIG, "port %d is taken", 9464), STATUS_CONFIG);
  error_wrap(&error, "http.%s", "listen");
  error_wrap(&error, "muster.yaml:3");
  ck_assert_str_eq(error.text, "muster.yaml:3: http.listen: port 9464 is taken");
}
END_TEST

START_TEST(long_errors_are_cut) {
  char longer[2 * ERROR_TEXT_SIZE];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  struct error error;
  ck_assert_int_eq(error_set(&error, STATUS_REFUSED, "%s", longer), STATUS_REFUSED);
  ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_SIZE - 1);
  error_wrap(&error, "prefix");
  ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_SIZE - 1);
  ck_assert_int_eq(strncmp(error.text, "prefix: xxx", 11), 0);
  error_wrap(&error, "%s", longer);
  ck_assert_uint_eq(strlen(error.text), ERROR_TEXT_SIZE - 1);
  ck_assert_int_eq(error.text[0], 'x');
}
END_TEST

START_TEST(rejects_are_cut_at_their_room) {
  struct reject reject;
  reject_set(&reject, REJECT_MALFORMED, STAGE_VALUE, "%s, %0*d", "too long", 300, 1);
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  ck_assert_int_eq(reject.stage, STAGE_VALUE);
  ck_assert_uint_eq(strlen(reject.text), REJECT_TEXT_SIZE - 1);
  ck_assert_int_eq(strncmp(reject.text, "too long, 000", 13), 0);
}
END_TEST

START_TEST(codes_are_those_of_the_contract) {
  static const char *const codes[] = {
      "none",           "too_large",       "key_mismatch",   "misrouted",  "malformed",
      "unknown_schema", "never_collected", "unknown_device", "not_allowed"};
  ck_assert_uint_eq(COUNT_OF(codes), REJECT_COUNT);
  for (enum reject_code code = 0; code < REJECT_COUNT; code++) {
    ck_assert_str_eq(reject_code_name(code), codes[code]);
  }
}
END_TEST

START_TEST(topics_are_in_the_order_of_equal_stamps) {
  static const char *const topics[] = {"control", "enrollments", "commands", "checkins",
                                       "compliance-reports"};
  ck_assert_uint_eq(COUNT_OF(topics), TOPIC_COUNT);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    ck_assert_str_eq(topic_name(topic), topics[topic]);
  }
}
END_TEST

START_TEST(symbols_have_the_order_of_the_schemas) {
  ck_assert_str_eq(platform_name(0), "WINDOWS");
  ck_assert_str_eq(platform_name(PLATFORM_COUNT - 1), "LINUX");
  ck_assert_str_eq(profile_name(0), "STANDARD");
  ck_assert_str_eq(profile_name(PROFILE_COUNT - 1), "EXECUTIVE");
  ck_assert_str_eq(ownership_name(0), "CORPORATE");
  ck_assert_str_eq(ownership_name(OWNERSHIP_COUNT - 1), "PERSONAL");
}
END_TEST

START_TEST(profiles_are_for_the_platforms_of_the_contract) {
  static const char *const allowed[PROFILE_COUNT] = {"WINDOWS MACOS LINUX ", "IOS ANDROID ",
                                                     "WINDOWS MACOS IOS ANDROID LINUX "};
  for (enum profile profile = 0; profile < PROFILE_COUNT; profile++) {
    char list[64] = "";
    for (enum platform platform = 0; platform < PLATFORM_COUNT; platform++) {
      if (profile_allows(profile, platform)) {
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s ", platform_name(platform));
      }
    }
    ck_assert_str_eq(list, allowed[profile]);
  }
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("status");
  TCase *const status = tcase_create("status");
  tcase_add_test(status, exit_codes_are_those_of_the_contract);
  tcase_add_test(status, errors_are_wrapped_from_the_inside);
  tcase_add_test(status, long_errors_are_cut);
  suite_add_tcase(all, status);
  TCase *const event = tcase_create("event");
  tcase_add_test(event, rejects_are_cut_at_their_room);
  tcase_add_test(event, codes_are_those_of_the_contract);
  tcase_add_test(event, topics_are_in_the_order_of_equal_stamps);
  tcase_add_test(event, symbols_have_the_order_of_the_schemas);
  tcase_add_test(event, profiles_are_for_the_platforms_of_the_contract);
  suite_add_tcase(all, event);
  return all;
}

int main(void) {
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
