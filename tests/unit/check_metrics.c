/* core/app/metrics: the exposition, line by line, and before promtool where there is one. */
#include "core/app/metrics.h"

#include "core/event.h"
#include "core/result.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct metrics *metrics;
static char *text;

static void set_up(void) {
  metrics = metrics_open();
}

static void clean_up(void) {
  metrics_close(metrics);
  free(text);
  text = NULL;
}

static const char *exposed(void) {
  free(text);
  text = NULL;
  size_t size;
  FILE *const stream = open_memstream(&text, &size);
  metrics_write(metrics, stream);
  fclose(stream);
  return text;
}

static void assert_line(const char *line) {
  char whole[256];
  snprintf(whole, sizeof whole, "%s\n", line);
  ck_assert_msg(strstr(exposed(), whole) != NULL, "no line \"%s\" in:\n%s", line, text);
}

START_TEST(nothing_counted_is_nothing_shown) {
  ck_assert_str_eq(exposed(), "");
}
END_TEST

START_TEST(counters_add_up_by_lane_and_label) {
  metric_add(metrics, METRIC_MESSAGES, 2, TOPIC_CHECKINS, 3);
  metric_add(metrics, METRIC_MESSAGES, 0, TOPIC_REPORTS, 1);
  metric_add(metrics, METRIC_MESSAGES, 2, TOPIC_CHECKINS, 4e9);
  metric_add(metrics, METRIC_DEAD_LETTERS, 1, REJECT_MISROUTED, 1);
  metric_add(metrics, METRIC_RESULTS, 1, RESULT_TICKET, 1);
  assert_line("# HELP muster_messages_total Messages taken from input topics.");
  assert_line("# TYPE muster_messages_total counter");
  assert_line("muster_messages_total{lane=\"2\",topic=\"checkins\"} 4000000003");
  assert_line("muster_messages_total{lane=\"0\",topic=\"compliance-reports\"} 1");
  assert_line("muster_dead_letters_total{lane=\"1\",code=\"misrouted\"} 1");
  assert_line("muster_results_total{lane=\"1\",topic=\"tickets\"} 1");
  ck_assert_ptr_null(strstr(text, "lane=\"1\",topic=\"checkins\""));
}
END_TEST

START_TEST(a_histogram_is_cumulative) {
  metric_observe(metrics, METRIC_COMMIT_SECONDS, 0, 0.004);
  metric_observe(metrics, METRIC_COMMIT_SECONDS, 0, 0.25);
  metric_observe(metrics, METRIC_COMMIT_SECONDS, 0, 100);
  assert_line("# TYPE muster_commit_seconds histogram");
  assert_line("muster_commit_seconds_bucket{lane=\"0\",le=\"0.0025\"} 0");
  assert_line("muster_commit_seconds_bucket{lane=\"0\",le=\"0.005\"} 1");
  assert_line("muster_commit_seconds_bucket{lane=\"0\",le=\"0.25\"} 2");
  assert_line("muster_commit_seconds_bucket{lane=\"0\",le=\"30\"} 2");
  assert_line("muster_commit_seconds_bucket{lane=\"0\",le=\"+Inf\"} 3");
  assert_line("muster_commit_seconds_count{lane=\"0\"} 3");
}
END_TEST

START_TEST(a_dropped_lane_keeps_its_counters_alone) {
  metric_set(metrics, METRIC_LANE_OWNED, 0, 0, 1);
  metric_set(metrics, METRIC_LANE_OWNED, 1, 0, 1);
  metric_set(metrics, METRIC_LAG_MESSAGES, 1, TOPIC_REPORTS, 5);
  metric_set(metrics, METRIC_READY, 0, 0, 0);
  metric_add(metrics, METRIC_BATCHES, 1, 0, 7);
  metrics_drop_lane(metrics, 1);
  metrics_drop_lane(metrics, 9);
  assert_line("muster_lane_owned{lane=\"0\"} 1");
  assert_line("muster_batches_total{lane=\"1\"} 7");
  assert_line("muster_ready 0");
  ck_assert_ptr_null(strstr(text, "muster_lane_owned{lane=\"1\"}"));
  ck_assert_ptr_null(strstr(text, "muster_lag_messages"));
}
END_TEST

static void fill_all(void) {
#define ADD_COUNTER(metric) metric_add(metrics, metric, 0, 0, 1.5)
#define ADD_GAUGE(metric) metric_add(metrics, metric, 0, 0, 1.5)
#define ADD_HISTOGRAM(metric) metric_observe(metrics, metric, 1, 0.1)
#define X(metric, type, name, labels, help) ADD_##type(METRIC_##metric);
  METRIC_LIST(X)
#undef X
}

START_TEST(promtool_accepts_every_metric) {
  fill_all();
  exposed();
  FILE *const tool = popen("if command -v promtool >/dev/null; then promtool check metrics; "
                           "else cat >/dev/null; fi",
                           "w");
  ck_assert_ptr_nonnull(tool);
  fputs(text, tool);
  ck_assert_int_eq(pclose(tool), 0);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("metrics");
  TCase *const cases = tcase_create("metrics");
  tcase_add_checked_fixture(cases, set_up, clean_up);
  tcase_add_test(cases, nothing_counted_is_nothing_shown);
  tcase_add_test(cases, counters_add_up_by_lane_and_label);
  tcase_add_test(cases, a_histogram_is_cumulative);
  tcase_add_test(cases, a_dropped_lane_keeps_its_counters_alone);
  tcase_add_test(cases, promtool_accepts_every_metric);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
