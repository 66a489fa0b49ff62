/* core/timers: the heap against a plain list of due times. */
#include "core/timers.h"
#include "tests/lib/heap.h"

#include <check.h>
#include <stdlib.h>

enum { DEVICE_COUNT = 300 };

struct fixture {
  struct heap heap;
  struct memory memory;
  struct timers timers;
  struct device devices[DEVICE_COUNT];
  int64_t due_at_ms[DEVICE_COUNT]; /* what the list says */
};

static struct fixture fixture;

static void set_up(void) {
  fixture = (struct fixture){0};
  fixture.memory = heap_as_memory(&fixture.heap);
  for (size_t i = 0; i < DEVICE_COUNT; i++) {
    fixture.devices[i].timer = TIMER_NONE;
    fixture.due_at_ms[i] = TIME_NONE;
  }
}

static void tear_down(void) {
  timers_fini(&fixture.timers, &fixture.memory);
  ck_assert_uint_eq(fixture.heap.block_count, 0);
}

static void set(uint32_t index, int64_t due_at_ms) {
  timers_set(&fixture.timers, &fixture.memory, fixture.devices, index, due_at_ms);
  fixture.due_at_ms[index] = due_at_ms;
}

/* The list's first: the earliest, of equal ones the smallest index. */
static uint32_t first_of_list(void) {
  uint32_t first = INT32_MAX;
  for (uint32_t i = 0; i < DEVICE_COUNT; i++) {
    if (fixture.due_at_ms[i] != TIME_NONE &&
        (first == INT32_MAX || fixture.due_at_ms[i] < fixture.due_at_ms[first])) {
      first = i;
    }
  }
  return first;
}

static void check_places(void) {
  uint32_t set_count = 0;
  for (uint32_t i = 0; i < DEVICE_COUNT; i++) {
    const uint32_t place = fixture.devices[i].timer;
    set_count += place != TIMER_NONE;
    ck_assert_int_eq(place != TIMER_NONE, fixture.due_at_ms[i] != TIME_NONE);
    if (place != TIMER_NONE) {
      ck_assert_uint_lt(place, fixture.timers.count);
      ck_assert_uint_eq(fixture.timers.heap[place].device, i);
      ck_assert_int_eq(fixture.timers.heap[place].due_at_ms, fixture.due_at_ms[i]);
    }
  }
  ck_assert_uint_eq(fixture.timers.count, set_count);
}

static void check_first(void) {
  const struct timer *const first = timers_first(&fixture.timers);
  const uint32_t expected = first_of_list();
  if (expected == INT32_MAX) {
    ck_assert_ptr_null(first);
  } else {
    ck_assert_ptr_nonnull(first);
    ck_assert_uint_eq(first->device, expected);
    ck_assert_int_eq(first->due_at_ms, fixture.due_at_ms[expected]);
  }
}

START_TEST(nothing_is_due_of_nothing) {
  ck_assert_ptr_null(timers_first(&fixture.timers));
  set(7, TIME_NONE);
  ck_assert_ptr_null(timers_first(&fixture.timers));
  set(7, 5);
  set(7, TIME_NONE);
  ck_assert_ptr_null(timers_first(&fixture.timers));
}
END_TEST

START_TEST(equal_times_go_by_number) {
  static const uint32_t order[] = {5, 3, 9, 0, 200, 1, 7};
  for (size_t i = 0; i < COUNT_OF(order); i++) {
    set(order[i], 1000);
  }
  static const uint32_t expected[] = {0, 1, 3, 5, 7, 9, 200};
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    ck_assert_uint_eq(timers_first(&fixture.timers)->device, expected[i]);
    set(expected[i], TIME_NONE);
  }
}
END_TEST

START_TEST(a_timer_set_again_moves) {
  set(1, 100);
  set(2, 200);
  set(3, 300);
  set(3, 50);
  ck_assert_uint_eq(timers_first(&fixture.timers)->device, 3);
  set(3, 50);
  ck_assert_uint_eq(timers_first(&fixture.timers)->device, 3);
  set(3, 400);
  ck_assert_uint_eq(timers_first(&fixture.timers)->device, 1);
  check_places();
}
END_TEST

START_TEST(random_changes_agree_with_a_list) {
  uint64_t state = (uint64_t)_i + 1;
  for (int step = 0; step < 3000; step++) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    const uint32_t index = (uint32_t)(state >> 33) % DEVICE_COUNT;
    const uint64_t choice = (state >> 20) % 4;
    /* Few different times, so that ties are common. */
    set(index, choice == 0 ? TIME_NONE : (int64_t)((state >> 12) % 40));
    check_first();
    if (step % 100 == 0) {
      check_places();
    }
  }
  int64_t last_due_at_ms = INT64_MIN;
  int64_t last_device = -1;
  for (const struct timer *first; (first = timers_first(&fixture.timers)) != NULL;) {
    ck_assert(first->due_at_ms > last_due_at_ms ||
              (first->due_at_ms == last_due_at_ms && first->device > last_device));
    last_due_at_ms = first->due_at_ms;
    last_device = first->device;
    set(first->device, TIME_NONE);
    check_places();
  }
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("timers");
  TCase *const tests = tcase_create("timers");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, nothing_is_due_of_nothing);
  tcase_add_test(tests, equal_times_go_by_number);
  tcase_add_test(tests, a_timer_set_again_moves);
  tcase_add_loop_test(tests, random_changes_agree_with_a_list, 0, 5);
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
