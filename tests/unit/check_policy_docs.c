/* docs/policies.md, and the tests of the shipped policies: what they say is so. */
#include "core/app/policy_file.h"
#include "core/app/policy_trial.h"
#include "core/app/text.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct policy policy;
static struct findings findings;

/* The whole file, for the caller to free. */
static char *read_whole(const char *path) {
  char *text;
  size_t size;
  struct error error;
  ck_assert_msg(policy_file_read(path, &text, &size, &error) == STATUS_OK, "%s", error.text);
  return text;
}

/* "LINE:COLUMN: what" of each, for the caller to free. */
static char *findings_text(void) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  for (uint32_t i = 0; i < findings.count; i++) {
    const struct finding *finding = &findings.items[i];
    fprintf(out, "%" PRIu32 ":%" PRIu32 ": %s\n", finding->line, finding->column, finding->text);
  }
  fclose(out);
  return text;
}

static void must_be_clean(const char *what) {
  char *text = findings_text();
  ck_assert_msg(findings.count == 0, "%s: %s", what, text);
  free(text);
}

static char *joined(const struct trial_lines *lines) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  for (size_t i = 0; i < lines->count; i++) {
    fprintf(out, "%s\n", lines->items[i]);
  }
  fclose(out);
  return text;
}

/* Every test under `policy`; the number of tests. */
static size_t run_tests(const char *text, violation_set *fired) {
  struct trials trials;
  findings = (struct findings){0};
  (void)!trials_read(span_text(text), &trials, &findings);
  must_be_clean("a test");
  for (size_t i = 0; i < trials.count; i++) {
    struct trial_lines decided = {0};
    trial_run(&trials.items[i], &policy, &decided, fired);
    char *expected = joined(&trials.items[i].expected);
    char *got = joined(&decided);
    ck_assert_msg(strcmp(expected, got) == 0, "%s: decided\n%s", trials.items[i].name, got);
    free(expected);
    free(got);
    trial_lines_fini(&decided);
  }
  const size_t count = trials.count;
  trials_fini(&trials);
  return count;
}

/* The block that begins with the first "```info" line from `*at` on, for the caller to free; NULL
 * when there is none. Moves `*at` behind it. */
static char *next_block(const char **at, const char *info) {
  char fence[32];
  snprintf(fence, sizeof fence, "\n```%s\n", info);
  const char *begin = strstr(*at, fence);
  if (begin == NULL) {
    return NULL;
  }
  begin += strlen(fence);
  const char *end = strstr(begin, "\n```\n");
  ck_assert_ptr_nonnull(end);
  *at = end;
  return text_copy_size(begin, (size_t)(end + 1 - begin));
}

START_TEST(the_page_s_policy_and_tests_hold) {
  char *page = read_whole(SOURCE_DIR "/docs/policies.md");
  const char *at = page;
  char *text = next_block(&at, "yaml policy");
  ck_assert_ptr_nonnull(text);
  findings = (struct findings){0};
  (void)!policy_read(span_text(text), &policy, &findings);
  must_be_clean("the policy");
  free(text);
  text = next_block(&at, "yaml test");
  ck_assert_ptr_nonnull(text);
  violation_set fired = 0;
  ck_assert_uint_eq(run_tests(text, &fired), 3);
  free(text);
  free(page);
}
END_TEST

START_TEST(the_page_s_findings_are_those) {
  char *page = read_whole(SOURCE_DIR "/docs/policies.md");
  const char *at = page;
  char *wrong = next_block(&at, "yaml wrong");
  ck_assert_ptr_nonnull(wrong);
  char *expected = next_block(&at, "text");
  ck_assert_ptr_nonnull(expected);
  findings = (struct findings){0};
  ck_assert(!policy_read(span_text(wrong), &policy, &findings));
  char *got = findings_text();
  ck_assert_str_eq(got, expected);
  free(got);
  free(wrong);
  free(expected);
  free(page);
}
END_TEST

/* The page names every fact, comparison, level and resource. */
START_TEST(the_page_names_all_there_is) {
  char *page = read_whole(SOURCE_DIR "/docs/policies.md");
  for (enum fact fact = 0; fact < FACT_COUNT; fact++) {
    ck_assert_msg(strstr(page, fact_name(fact)) != NULL, "%s", fact_name(fact));
  }
  for (enum relation relation = 0; relation < RELATION_COUNT; relation++) {
    char text[32];
    snprintf(text, sizeof text, "`%s`", relation_name(relation));
    ck_assert_msg(strstr(page, text) != NULL, "%s", text);
  }
  for (enum threat_level level = 0; level < THREAT_LEVEL_COUNT; level++) {
    ck_assert_msg(strstr(page, threat_level_name(level)) != NULL, "%s", threat_level_name(level));
  }
  free(page);
}
END_TEST

static const char *const shipped[] = {"default", "extended"};

START_TEST(shipped_policies_pass_their_tests_and_every_rule_fires) {
  struct error error;
  char path[256];
  ck_assert_int_eq(policy_load(shipped[_i], &policy, &error), STATUS_OK);
  ck_assert_str_eq(policy.version, shipped[_i]);
  snprintf(path, sizeof path, SOURCE_DIR "/policies/%s_test.yaml", shipped[_i]);
  char *text = read_whole(path);
  violation_set fired = 0;
  ck_assert_uint_gt(run_tests(text, &fired), 3);
  ck_assert_uint_eq(fired, (1u << policy.rule_count) - 1);
  free(text);
}
END_TEST

/* Rules of the number and kind that organisations have; each is seen to fire. */
START_TEST(baselines_of_a_real_size_pass_their_tests) {
  struct error error;
  ck_assert_int_eq(policy_load(SOURCE_DIR "/tests/data/baselines.yaml", &policy, &error),
                   STATUS_OK);
  ck_assert_uint_eq(policy.rule_count, 31);
  ck_assert_uint_gt(policy.checks.clause_count, 0);
  char *text = read_whole(SOURCE_DIR "/tests/data/baselines_test.yaml");
  violation_set fired = 0;
  ck_assert_uint_eq(run_tests(text, &fired), 7);
  ck_assert_uint_eq(fired, (1u << policy.rule_count) - 1);
  free(text);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("policy_docs");
  TCase *const tests = tcase_create("all");
  tcase_add_test(tests, the_page_s_policy_and_tests_hold);
  tcase_add_test(tests, the_page_s_findings_are_those);
  tcase_add_test(tests, the_page_names_all_there_is);
  tcase_add_loop_test(tests, shipped_policies_pass_their_tests_and_every_rule_fires, 0,
                      (int)COUNT_OF(shipped));
  tcase_add_test(tests, baselines_of_a_real_size_pass_their_tests);
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
