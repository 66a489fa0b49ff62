/* core/app/watchdog: a loop that stands still ends the process with a word, one that was held up
 * with all of it does not. Each in a process of its own. */
#include "core/app/watchdog.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 400, SAID_SIZE = 65536 };

static void pause_ms(int64_t ms) {
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void turn_for(struct watchdog *watchdog, int64_t ms) {
  for (int64_t waited_ms = 0; waited_ms < ms; waited_ms += 10) {
    watchdog_turn(watchdog);
    pause_ms(10);
  }
}

/* The loop turns, stands still for a while, and turns again. */
static void run(int64_t still_ms) {
  struct watchdog *watchdog = watchdog_start(LIMIT_MS);
  turn_for(watchdog, 200);
  for (int64_t waited_ms = 0; waited_ms < still_ms; waited_ms += 10) {
    pause_ms(10);
  }
  turn_for(watchdog, 200);
  watchdog_stop(watchdog);
  _exit(0);
}

/* Its end, as wait tells it; what it said is in `said`. Frozen for so long after 100 ms. */
static int status_of(int64_t still_ms, int64_t frozen_ms, char said[SAID_SIZE]) {
  int err[2];
  ck_assert(pipe(err) == 0);
  const pid_t child = fork();
  ck_assert(child >= 0);
  if (child == 0) {
    dup2(err[1], STDERR_FILENO);
    run(still_ms);
  }
  close(err[1]);
  if (frozen_ms > 0) {
    pause_ms(100);
    kill(child, SIGSTOP);
    pause_ms(frozen_ms);
    kill(child, SIGCONT);
  }
  size_t size = 0;
  for (ssize_t got; (got = read(err[0], said + size, SAID_SIZE - 1 - size)) > 0;) {
    size += (size_t)got;
  }
  said[size] = '\0';
  close(err[0]);
  int status;
  ck_assert(waitpid(child, &status, 0) == child);
  return status;
}

static char said[SAID_SIZE];

START_TEST(a_loop_that_stands_still_is_the_end) {
  const int status = status_of(10000, 0, said);
  ck_assert(WIFSIGNALED(status));
  ck_assert_int_eq(WTERMSIG(status), SIGABRT);
  ck_assert_ptr_nonnull(strstr(said, "the loop has stood still"));
  ck_assert_ptr_nonnull(
      strstr(said, "check_watchdog")); /* its stack: the program's name, at least */
}
END_TEST

START_TEST(a_loop_that_turns_goes_on) {
  ck_assert_int_eq(status_of(100, 0, said), 0);
  ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(a_process_that_was_frozen_goes_on) {
  ck_assert_int_eq(status_of(0, 3 * LIMIT_MS, said), 0);
  ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(none_is_kept_without_a_limit) {
  struct watchdog *watchdog = watchdog_start(0);
  ck_assert_ptr_null(watchdog);
  watchdog_turn(watchdog);
  watchdog_stop(watchdog);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("watchdog");
  TCase *const cases = tcase_create("watchdog");
  tcase_set_timeout(cases, 30);
  tcase_add_test(cases, a_loop_that_stands_still_is_the_end);
  tcase_add_test(cases, a_loop_that_turns_goes_on);
  tcase_add_test(cases, a_process_that_was_frozen_goes_on);
  tcase_add_test(cases, none_is_kept_without_a_limit);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
