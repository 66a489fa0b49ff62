/* Golden traces: every file of tests/golden gives today what it gave when it was recorded.
 * MUSTER_UPDATE_GOLDEN=1 records them anew; what has changed is then for a person to read. */
#include "tests/lib/trace.h"

#include <check.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

static glob_t files;

static bool is_recording(void) {
  const char *const update = getenv("MUSTER_UPDATE_GOLDEN");
  return update != NULL && strcmp(update, "1") == 0;
}

static char *run_or_fail(const char *path, const char *script,
                         const struct trace_options *options) {
  char error[TRACE_ERROR_SIZE];
  char *const text = trace_run(script, options, error);
  if (text == NULL) {
    ck_abort_msg("%s: %s", path, error);
  }
  return text;
}

static void check_file(const char *path, const struct trace_options *options) {
  char *const script = trace_read(path);
  ck_assert_msg(script != NULL, "%s: cannot be read", path);
  char *const text = run_or_fail(path, script, options);
  ck_assert_msg(trace_compare(script, text, stderr),
                "%s: differs as above; MUSTER_UPDATE_GOLDEN=1 records it anew", path);
  free(text);
  free(script);
}

START_TEST(trace_is_as_recorded) {
  const char *const path = files.gl_pathv[_i];
  if (is_recording()) {
    char *const script = trace_read(path);
    ck_assert_msg(script != NULL, "%s: cannot be read", path);
    char *const text = run_or_fail(path, script, &(struct trace_options){0});
    ck_assert(trace_write(path, text));
    free(text);
    free(script);
  }
  check_file(path, &(struct trace_options){0});
}
END_TEST

/* A lane that is loaded from what is stored of it decides as one that was never away. */
START_TEST(restarts_change_nothing) {
  check_file(files.gl_pathv[_i], &(struct trace_options){.restarts = true});
}
END_TEST

START_TEST(there_are_traces) {
  ck_assert_uint_gt(files.gl_pathc, 0);
}
END_TEST

START_TEST(wrong_expectations_are_told) {
  static const char script[] = "# as it was thought\n"
                               "T enroll SN1\n"
                               "  #1 T audit D002\n"
                               "\n"
                               "none reject commands malformed\n";
  char error[TRACE_ERROR_SIZE];
  char *const text = trace_run(script, &(struct trace_options){0}, error);
  ck_assert_ptr_nonnull(text);
  char *told = NULL;
  size_t size = 0;
  FILE *const out = open_memstream(&told, &size);
  ck_assert(!trace_compare(script, text, out));
  ck_assert(trace_compare(text, text, out));
  fclose(out);
  ck_assert_ptr_nonnull(strstr(told, "    3 -   #1 T audit D002\n"));
  ck_assert_ptr_nonnull(strstr(told, "    3 +   #1 T audit D001 SN1 ann by enrollment CREATE"));
  ck_assert_ptr_nonnull(strstr(told, "+   #2 T dead-letters malformed in value"));
  ck_assert_ptr_null(strstr(told, "as it was thought"));
  free(told);
  free(text);
}
END_TEST

static const char *const misspelt[] = {
    "T enrol SN1",
    "T+1x enroll SN1",
    "T+ enroll SN1",
    "1h enroll SN1",
    "T",
    "T enroll",
    "T enroll SN1 platform=BEOS",
    "T enroll SN1 profile=NONE",
    "T enroll SN1 owner=NOBODY",
    "T enroll SN1 healthy",
    "T enroll SN1 offset=x",
    "T checkin SN1 pin=6",
    "T report SN1 pin=six",
    "T report SN1 av=maybe",
    "T report SN1 encryption=maybe",
    "T report SN1 signatures=old",
    "T report SN1 nothing",
    "T reject",
    "T reject elsewhere malformed",
    "T reject control",
    "T reject control none",
    "T reject control malformed user=ann",
    "policy",
    "policy none",
    "lane 4 of 4",
    "lane 4",
    "given",
    "given SN1 status=WIPED",
    "given SN1 status=LOST",
    "given SN1 lost",
    "tick soon",
    "run away",
    "run 0",
    "more",
    "end elsewhere",
    "limit x",
    "T enroll SN1 offset=4\nT enroll SN2 offset=4",
    "more checkins\ntick T",
};

START_TEST(misspelt_lines_are_errors) {
  char error[TRACE_ERROR_SIZE] = "";
  char *const text = trace_run(misspelt[_i], &(struct trace_options){0}, error);
  ck_assert_msg(text == NULL, "understood: %s", misspelt[_i]);
  ck_assert_str_ne(error, "");
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("golden");
  TCase *const traces = tcase_create("traces");
  tcase_add_test(traces, there_are_traces);
  tcase_add_loop_test(traces, trace_is_as_recorded, 0, (int)files.gl_pathc);
  tcase_add_loop_test(traces, restarts_change_nothing, 0, (int)files.gl_pathc);
  suite_add_tcase(all, traces);
  TCase *const runner = tcase_create("runner");
  tcase_add_test(runner, wrong_expectations_are_told);
  tcase_add_loop_test(runner, misspelt_lines_are_errors, 0,
                      (int)(sizeof misspelt / sizeof *misspelt));
  suite_add_tcase(all, runner);
  return all;
}

int main(void) {
  glob(SOURCE_DIR "/tests/golden/*.trace", 0, NULL, &files);
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  globfree(&files);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
