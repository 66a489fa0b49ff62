/* core/result: device IDs as text and back, and the names of what is listed. */
#include "core/result.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
  uint64_t number;
  const char *text;
} ids[] = {
    {1, "D001"},
    {9, "D009"},
    {10, "D010"},
    {99, "D099"},
    {100, "D100"},
    {999, "D999"},
    {1000, "D1000"},
    {10000000, "D10000000"},
    {UINT32_MAX, "D4294967295"},
    {UINT64_C(9999999999999999999), "D9999999999999999999"},
};

START_TEST(ids_have_three_digits_at_least) {
  char text[DEVICE_ID_SIZE];
  const size_t size = device_id_format(ids[_i].number, text);
  ck_assert_str_eq(text, ids[_i].text);
  ck_assert_uint_eq(size, strlen(ids[_i].text));
}
END_TEST

START_TEST(ids_are_read_in_either_case) {
  char text[DEVICE_ID_SIZE];
  ck_assert_uint_eq(device_id_parse(span_text(ids[_i].text)), ids[_i].number);
  snprintf(text, sizeof text, "d%s", ids[_i].text + 1);
  ck_assert_uint_eq(device_id_parse(span_text(text)), ids[_i].number);
}
END_TEST

START_TEST(every_number_comes_back) {
  for (uint64_t number = 1; number < 20000; number++) {
    char text[DEVICE_ID_SIZE];
    const size_t size = device_id_format(number, text);
    ck_assert_uint_eq(device_id_parse(span_of(text, size)), number);
  }
}
END_TEST

START_TEST(the_greatest_number_has_room) {
  char text[DEVICE_ID_SIZE];
  ck_assert_uint_eq(device_id_format(UINT64_MAX, text), 21);
  ck_assert_str_eq(text, "D18446744073709551615");
}
END_TEST

static const char *const no_ids[] = {
    "",
    "D",
    "D1",
    "D01",
    "001",
    "D0001",
    "D000",
    "D0999",
    "E001",
    "D00x",
    "D 01",
    "D001 ",
    " D001",
    "D-01",
    "D00:",
    "D00/",
    "$001",
    ("\x04"
     "001"),
    "D0x1",
    "D00000000000000000001",
    "D18446744073709551616",
    "DD01",
    "D001D",
};

START_TEST(other_texts_are_no_ids) {
  ck_assert_uint_eq(device_id_parse(span_text(no_ids[_i])), 0);
}
END_TEST

START_TEST(kinds_have_topics_and_records) {
  ck_assert_str_eq(result_topic_name(RESULT_COMPLIANCE_CHANGE), "compliance-changes");
  ck_assert_str_eq(result_topic_name(RESULT_NOTIFICATION), "notifications");
  ck_assert_str_eq(result_topic_name(RESULT_ACCESS_DECISION), "access-decisions");
  ck_assert_str_eq(result_topic_name(RESULT_TICKET), "tickets");
  ck_assert_str_eq(result_topic_name(RESULT_LICENSE), "licenses");
  ck_assert_str_eq(result_topic_name(RESULT_ACTION), "actions");
  ck_assert_str_eq(result_topic_name(RESULT_AUDIT), "audit");
  ck_assert_str_eq(result_topic_name(RESULT_DEAD_LETTER), "dead-letters");
  ck_assert_str_eq(result_record_name(RESULT_COMPLIANCE_CHANGE), "ComplianceChange");
  ck_assert_str_eq(result_record_name(RESULT_NOTIFICATION), "Notification");
  ck_assert_str_eq(result_record_name(RESULT_ACCESS_DECISION), "AccessDecision");
  ck_assert_str_eq(result_record_name(RESULT_TICKET), "Ticket");
  ck_assert_str_eq(result_record_name(RESULT_LICENSE), "License");
  ck_assert_str_eq(result_record_name(RESULT_AUDIT), "AuditEntry");
}
END_TEST

START_TEST(symbols_have_the_names_of_the_schemas) {
  ck_assert_str_eq(device_status_name(DEVICE_PENDING), "PENDING");
  ck_assert_str_eq(device_status_name(DEVICE_RETIRED), "RETIRED");
  ck_assert_str_eq(compliance_name(COMPLIANCE_UNKNOWN), "UNKNOWN");
  ck_assert_str_eq(compliance_name(COMPLIANCE_NONCOMPLIANT), "NONCOMPLIANT");
  ck_assert_str_eq(access_decision_name(ACCESS_ALLOW), "ALLOW");
  ck_assert_str_eq(access_decision_name(ACCESS_BLOCK), "BLOCK");
  ck_assert_str_eq(ticket_action_name(TICKET_UPDATE), "UPDATE");
  ck_assert_str_eq(license_action_name(LICENSE_RELEASE), "RELEASE");
  ck_assert_str_eq(audit_action_name(AUDIT_REMOTE_TASK), "REMOTE_TASK");
  ck_assert_str_eq(outcome_name(OUTCOME_REFUSED), "REFUSED");
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("result");
  TCase *const tests = tcase_create("ids");
  tcase_add_loop_test(tests, ids_have_three_digits_at_least, 0, (int)COUNT_OF(ids));
  tcase_add_loop_test(tests, ids_are_read_in_either_case, 0, (int)COUNT_OF(ids));
  tcase_add_test(tests, every_number_comes_back);
  tcase_add_test(tests, the_greatest_number_has_room);
  tcase_add_loop_test(tests, other_texts_are_no_ids, 0, (int)COUNT_OF(no_ids));
  suite_add_tcase(all, tests);
  TCase *const names = tcase_create("names");
  tcase_add_test(names, kinds_have_topics_and_records);
  tcase_add_test(names, symbols_have_the_names_of_the_schemas);
  suite_add_tcase(all, names);
  return all;
}

int main(void) {
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
