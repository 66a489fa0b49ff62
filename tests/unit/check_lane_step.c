/* core/app/lane_step: which stamps a batch that is decided again believes. */
#include "core/app/lane_step.h"

#include <check.h>
#include <stdlib.h>

START_TEST(what_the_row_lists_and_what_no_clock_shows_is_not_believed) {
  static const struct topic_offset listed[] = {{TOPIC_CHECKINS, 7}};
  const struct journal_row row = {.not_believed = listed, .not_believed_count = 1};
  struct head heads[TOPIC_COUNT];
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    heads[topic] = (struct head){.state = HEAD_READY, .timestamp_ms = 1000, .offset = 7};
  }
  heads[TOPIC_ENROLLMENTS].timestamp_ms = -1;
  heads[TOPIC_CONTROL].timestamp_ms = EVENT_TIME_MAX_MS;
  heads[TOPIC_COMMANDS].timestamp_ms = INT64_MAX; /* of a log that was changed: deciding goes on */
  lane_step_believe(heads, &row);
  ck_assert(!heads[TOPIC_CHECKINS].is_believed);
  ck_assert(!heads[TOPIC_ENROLLMENTS].is_believed);
  ck_assert(!heads[TOPIC_COMMANDS].is_believed);
  ck_assert(heads[TOPIC_CONTROL].is_believed);
  ck_assert(heads[TOPIC_REPORTS].is_believed);
}
END_TEST

static Suite *lane_step_suite(void) {
  Suite *suite = suite_create("lane_step");
  TCase *of_stamps = tcase_create("stamps");
  tcase_add_test(of_stamps, what_the_row_lists_and_what_no_clock_shows_is_not_believed);
  suite_add_tcase(suite, of_stamps);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(lane_step_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
