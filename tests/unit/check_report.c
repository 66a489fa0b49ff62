/* core/app/report and evidence_story: what is told, and that a page holds no mark-up of others. */
#include "core/app/report.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

static struct result result_of(uint64_t seq, int64_t at_ms, const char *serial) {
  return (struct result){.kind = RESULT_COMPLIANCE_CHANGE,
                         .seq = seq,
                         .at_ms = at_ms,
                         .policy = "default",
                         .device_number = 1,
                         .serial = span_text(serial)};
}

static struct result change(uint64_t seq, int64_t at_ms, enum compliance compliance) {
  struct result result = result_of(seq, at_ms, "SN1");
  result.change.compliance = compliance;
  result.change.violations = compliance == COMPLIANCE_NONCOMPLIANT ? 5 : 0;
  result.change.noncompliant_since_ms = at_ms;
  return result;
}

static void take(struct story *story, const struct result *result) {
  const struct replay_watch watch = story_watch(story);
  watch.result(watch.context, result);
}

static struct story begun(int64_t from_ms, int64_t to_ms) {
  struct story story = {
      .from_ms = from_ms, .to_ms = to_ms, .first_at_ms = TIME_NONE, .last_at_ms = TIME_NONE};
  story_begin_lane(&story, 0, 1);
  return story;
}

START_TEST(the_range_alone_is_told_and_what_was_before_is_known) {
  struct story story = begun(1000, 2000);
  const struct result results[] = {change(1, 500, COMPLIANCE_NONCOMPLIANT),
                                   change(2, 1500, COMPLIANCE_COMPLIANT),
                                   change(3, 2000, COMPLIANCE_NONCOMPLIANT)};
  for (size_t i = 0; i < COUNT_OF(results); i++) {
    take(&story, &results[i]);
  }
  ck_assert_uint_eq(story.device_count, 1);
  ck_assert_uint_eq(story.devices[0].event_count, 1);
  ck_assert_uint_eq(story.devices[0].events[0].seq, 2);
  ck_assert_int_eq(story.devices[0].before.compliance, COMPLIANCE_NONCOMPLIANT);
  ck_assert_uint_eq(story.devices[0].before.violations, 5);
  ck_assert_uint_eq(story.counts[RESULT_COMPLIANCE_CHANGE], 1);
  story_fini(&story);
}
END_TEST

START_TEST(devices_are_told_up_to_a_number) {
  struct story story = begun(TIME_NONE, TIME_NONE);
  for (uint64_t i = 0; i < STORY_DEVICES_MAX + 10; i++) {
    struct result result = change(2 * i + 1, 1000, COMPLIANCE_COMPLIANT);
    result.device_number = i + 1;
    take(&story, &result);
    take(&story, &result);
  }
  ck_assert_uint_eq(story.device_count, STORY_DEVICES_MAX);
  ck_assert_uint_eq(story.untold, 10);
  ck_assert_uint_eq(story.devices[0].event_count, 2);
  story_fini(&story);
}
END_TEST

/* The page as text; the caller frees it. */
static char *page_of(struct story *story, const struct verify_result *result, const char *prefix) {
  const struct report_lane lane = {0, result};
  const struct report_page page = {.topic_prefix = prefix,
                                   .from_ms = TIME_NONE,
                                   .to_ms = TIME_NONE,
                                   .lanes = &lane,
                                   .lane_count = 1,
                                   .story = story};
  char *text = NULL;
  size_t size = 0;
  FILE *const file = open_memstream(&text, &size);
  report_put(&page, file);
  fclose(file);
  return text;
}

START_TEST(nothing_of_others_is_mark_up) {
  static const char hostile[] = "<script>alert('1')&\"";
  struct story story = begun(TIME_NONE, TIME_NONE);
  struct result result = result_of(1, 1000, hostile);
  result.kind = RESULT_NOTIFICATION;
  result.notification.template_name = hostile;
  take(&story, &result);
  struct verify_result of_lane = {.verdict = VERDICT_DIVERGED};
  of_lane.finding = json_pack("{s:s, s:i, s:i, s:s, s:s, s:s}", "what", hostile, "lane", 0, "batch",
                              1, "text", hostile, "expected", hostile, "found", hostile);
  char *text = page_of(&story, &of_lane, hostile);
  ck_assert_ptr_null(strstr(text, "<script"));
  ck_assert_ptr_null(strstr(text, "alert('"));
  ck_assert_ptr_nonnull(strstr(text, "&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;"));
  ck_assert_ptr_nonnull(strstr(text, "What differs"));
  free(text);
  json_decref(of_lane.finding);
  story_fini(&story);
}
END_TEST

START_TEST(a_log_of_nothing_has_a_page) {
  struct story story = begun(TIME_NONE, TIME_NONE);
  const struct verify_result result = {.verdict = VERDICT_VERIFIED};
  char *text = page_of(&story, &result, "muster.");
  ck_assert_ptr_nonnull(strstr(text, "No device has a decision"));
  ck_assert_ptr_null(strstr(text, "<svg"));
  free(text);
  story_fini(&story);
}
END_TEST

static Suite *report_suite(void) {
  Suite *suite = suite_create("report");
  TCase *of_page = tcase_create("page");
  tcase_add_test(of_page, the_range_alone_is_told_and_what_was_before_is_known);
  tcase_add_test(of_page, devices_are_told_up_to_a_number);
  tcase_add_test(of_page, nothing_of_others_is_mark_up);
  tcase_add_test(of_page, a_log_of_nothing_has_a_page);
  suite_add_tcase(suite, of_page);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(report_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
