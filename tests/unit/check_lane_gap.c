/* core/app/lane_gap: where a topic cannot be gone on with, and which gaps can be accepted at all.
 */
#include "core/app/lane_gap.h"

#include <check.h>
#include <stdlib.h>

enum { LANE = 2 };

static struct config config = {.kafka = {.topic_prefix = "muster."}};
static struct recorded_batch batches[3];
static struct lane_setup setup;
static struct lane_resources resources;
static struct error error;

/* A lane whose checkpoint has read check-ins up to 100, with nothing decided behind it. */
static void begin(void) {
  setup = (struct lane_setup){.config = &config, .lane = LANE, .lane_count = 4};
  resources = (struct lane_resources){.recorded = {.items = batches}};
  resources.next_offsets[TOPIC_CHECKINS] = 100;
  for (size_t i = 0; i < COUNT_OF(batches); i++) {
    batches[i] = (struct recorded_batch){.row = {.batch = i + 1}};
    batches[i].row.ranges[TOPIC_CHECKINS] = (struct offset_range){100, 100};
  }
}

static enum status find(int64_t first, int64_t end, int64_t next, bool *is_whole) {
  const struct topic_ends ends = {.topic = TOPIC_CHECKINS, .first = first, .end = end};
  return lane_gap_find(&setup, &resources, &ends, next, is_whole, &error);
}

START_TEST(what_is_there_is_no_gap) {
  static const int64_t ends[][2] = {{0, 200}, {100, 100}, {0, 100}, {100, 200}};
  bool is_whole = false;
  ck_assert_int_eq(find(ends[_i][0], ends[_i][1], 100, &is_whole), STATUS_OK);
  ck_assert(is_whole);
  ck_assert_uint_eq(resources.gap_count, 0);
}
END_TEST

START_TEST(what_has_expired_has_one_way_on) {
  bool is_whole;
  ck_assert_int_eq(find(150, 200, 100, &is_whole), STATUS_OK);
  ck_assert(!is_whole);
  ck_assert_uint_eq(resources.gap_count, 1);
  const struct lane_gap *gap = &resources.gaps[0];
  ck_assert(gap->topic == TOPIC_CHECKINS && gap->from == 100 && gap->to == 150 && !gap->has_other);
  ck_assert_str_eq(gap->problem,
                   "muster.checkins/2: offsets 100 to 149 are gone before they were processed");
}
END_TEST

START_TEST(a_topic_that_is_shorter_has_two) {
  bool is_whole;
  ck_assert_int_eq(find(10, 60, 100, &is_whole), STATUS_OK);
  ck_assert(!is_whole);
  const struct lane_gap *gap = &resources.gaps[0];
  ck_assert(gap->to == 10 && gap->has_other && gap->other == 60);
  ck_assert_ptr_nonnull(
      strstr(gap->problem, "processed up to offset 100 but the topic ends at 60"));
}
END_TEST

START_TEST(an_empty_one_has_one) {
  bool is_whole;
  ck_assert_int_eq(find(0, 0, 100, &is_whole), STATUS_OK);
  ck_assert(!is_whole && resources.gaps[0].to == 0 && !resources.gaps[0].has_other);
}
END_TEST

START_TEST(another_topic_in_the_same_places_is_gone_on_with_from_either_end) {
  bool is_whole;
  setup.is_replaced[TOPIC_CHECKINS] = true;
  ck_assert_int_eq(find(0, 200, 100, &is_whole), STATUS_OK);
  const struct lane_gap *gap = &resources.gaps[0];
  ck_assert(!is_whole && gap->to == 0 && gap->has_other && gap->other == 100);
  ck_assert_ptr_nonnull(strstr(gap->problem, "offset 99 is not the message"));
}
END_TEST

START_TEST(what_recorded_batches_need_cannot_be_accepted) {
  bool is_whole;
  batches[0].row.ranges[TOPIC_CHECKINS].to = 120;
  resources.recorded.count = 1;
  ck_assert_int_eq(find(150, 200, 100, &is_whole), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "cannot be accepted"));
  ck_assert_uint_eq(resources.gap_count, 0);
}
END_TEST

static void accept(struct journal_row *row, int64_t from, int64_t to) {
  row->gap = (struct journal_gap){
      .is_set = true, .is_accepted = true, .topic = TOPIC_CHECKINS, .from = from, .to = to};
}

START_TEST(a_recorded_gap_moves_the_place) {
  int64_t next;
  bool is_moved;
  resources.recorded.count = 3;
  ck_assert_int_eq(lane_gap_position(&resources, TOPIC_CHECKINS, &next, &is_moved, &error),
                   STATUS_OK);
  ck_assert(next == 100 && !is_moved);
  accept(&batches[1].row, 100, 7);
  ck_assert_int_eq(lane_gap_position(&resources, TOPIC_CHECKINS, &next, &is_moved, &error),
                   STATUS_OK);
  ck_assert(next == 7 && is_moved);
  ck_assert_int_eq(lane_gap_position(&resources, TOPIC_REPORTS, &next, &is_moved, &error),
                   STATUS_OK);
  ck_assert(next == 0 && !is_moved);
  batches[1].row.gap.is_accepted = false;
  ck_assert_int_eq(lane_gap_position(&resources, TOPIC_CHECKINS, &next, &is_moved, &error),
                   STATUS_OK);
  ck_assert(next == 100 && !is_moved);
}
END_TEST

START_TEST(reading_on_both_sides_of_one_cannot_be_done_again) {
  int64_t next;
  bool is_moved;
  resources.recorded.count = 3;
  batches[0].row.ranges[TOPIC_CHECKINS].to = 110;
  accept(&batches[1].row, 110, 150);
  ck_assert_int_eq(lane_gap_position(&resources, TOPIC_CHECKINS, &next, &is_moved, &error),
                   STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "on both sides of the gap at 110"));
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("lane_gap");
  TCase *const tests = tcase_create("gaps");
  tcase_add_checked_fixture(tests, begin, NULL);
  tcase_add_loop_test(tests, what_is_there_is_no_gap, 0, 4);
  tcase_add_test(tests, what_has_expired_has_one_way_on);
  tcase_add_test(tests, a_topic_that_is_shorter_has_two);
  tcase_add_test(tests, an_empty_one_has_one);
  tcase_add_test(tests, another_topic_in_the_same_places_is_gone_on_with_from_either_end);
  tcase_add_test(tests, what_recorded_batches_need_cannot_be_accepted);
  tcase_add_test(tests, a_recorded_gap_moves_the_place);
  tcase_add_test(tests, reading_on_both_sides_of_one_cannot_be_done_again);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
