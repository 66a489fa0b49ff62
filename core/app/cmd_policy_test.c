/* policy test: a policy's tests, run by the core on a virtual clock. */
#include "core/app/command.h"
#include "core/app/policy_file.h"
#include "core/app/policy_trial.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct option_spec policy_test_options[] = {
    {"junit", "FILE", "Write the outcome to FILE as JUnit's XML"}, {0}};
enum { OPTION_JUNIT };

struct testing {
  struct policy *policy;
  struct findings *findings;
  FILE *junit; /* NULL: not asked for; the suites are written as they come */
  size_t passed_count, failed_count;
};

/* The lines of both, by the longest part that they share: - was expected, + was decided. */
static void put_difference(const struct trial_lines *expected, const struct trial_lines *decided,
                           FILE *out) {
  const size_t width = decided->count + 1;
  uint32_t *shared = memory_zeroed((expected->count + 1) * width, sizeof *shared);
  for (size_t i = expected->count; i-- > 0;) {
    for (size_t j = decided->count; j-- > 0;) {
      const uint32_t down = shared[(i + 1) * width + j];
      const uint32_t right = shared[i * width + j + 1];
      const bool is_same = strcmp(expected->items[i], decided->items[j]) == 0;
      shared[i * width + j] =
          is_same ? shared[(i + 1) * width + j + 1] + 1 : (down > right ? down : right);
    }
  }
  size_t i = 0;
  size_t j = 0;
  while (i < expected->count || j < decided->count) {
    if (i < expected->count && j < decided->count &&
        strcmp(expected->items[i], decided->items[j]) == 0) {
      fprintf(out, "      %s\n", expected->items[i++]);
      j++;
    } else if (j == decided->count ||
               (i < expected->count && shared[(i + 1) * width + j] >= shared[i * width + j + 1])) {
      fprintf(out, "    - %s\n", expected->items[i++]);
    } else {
      fprintf(out, "    + %s\n", decided->items[j++]);
    }
  }
  free(shared);
}

static bool lines_equal(const struct trial_lines *a, const struct trial_lines *b) {
  bool equal = a->count == b->count;
  for (size_t i = 0; i < a->count && equal; i++) {
    equal = strcmp(a->items[i], b->items[i]) == 0;
  }
  return equal;
}

/* Control characters cannot be written in XML 1.0 at all. */
static void put_xml(FILE *out, const char *text) {
  for (; *text != '\0'; text++) {
    switch (*text) {
    case '&':
      fputs("&amp;", out);
      break;
    case '<':
      fputs("&lt;", out);
      break;
    case '>':
      fputs("&gt;", out);
      break;
    case '"':
      fputs("&quot;", out);
      break;
    default:
      fputc((unsigned char)*text < ' ' && *text != '\n' ? '?' : *text, out);
    }
  }
}

static void put_case(FILE *junit, const char *file, const char *name, const char *difference) {
  if (junit == NULL) {
    return;
  }
  fputs("    <testcase classname=\"", junit);
  put_xml(junit, file);
  fputs("\" name=\"", junit);
  put_xml(junit, name);
  if (difference == NULL) {
    fputs("\"/>\n", junit);
    return;
  }
  fputs("\">\n      <failure message=\"decided otherwise\">\n", junit);
  put_xml(junit, difference);
  fputs("</failure>\n    </testcase>\n", junit);
}

static void run_trial(struct testing *testing, const char *file, const struct trial *trial,
                      FILE *cases, violation_set *fired) {
  struct trial_lines decided = {0};
  trial_run(trial, testing->policy, &decided, fired);
  const bool is_passed = lines_equal(&trial->expected, &decided);
  char *difference = NULL;
  if (is_passed) {
    printf("ok     %s\n", trial->name);
    testing->passed_count++;
  } else {
    size_t size = 0;
    FILE *out = open_memstream(&difference, &size);
    if (out == NULL) {
      abort();
    }
    put_difference(&trial->expected, &decided, out);
    fclose(out);
    printf("FAILED %s (%s:%" PRIu32 "; - was expected, + was decided)\n%s", trial->name, file,
           trial->line, difference);
    testing->failed_count++;
  }
  put_case(cases, file, trial->name, difference);
  free(difference);
  trial_lines_fini(&decided);
}

static void put_never_fired(const struct policy *policy, const char *file, violation_set fired) {
  const char *separator = ": rules that never fired: ";
  for (uint32_t rule = 0; rule < policy->rule_count; rule++) {
    if ((fired >> rule & 1u) == 0) {
      printf("%s%s", separator[0] == ':' ? file : "", separator);
      printf("%s", policy->rule_ids[rule]);
      separator = ", ";
    }
  }
  fputs(separator[0] == ',' ? "\n" : "", stdout);
}

/* The policy's file stands beside the tests'; what is no file there is a version. */
static enum status load_policy(struct testing *testing, const char *file, const char *name,
                               struct error *error) {
  const char *slash = strrchr(file, '/');
  const size_t directory_size = slash == NULL || name[0] == '/' ? 0 : (size_t)(slash - file + 1);
  char *path = memory_zeroed(directory_size + strlen(name) + 1, 1);
  memcpy(path, file, directory_size);
  memcpy(path + directory_size, name, strlen(name));
  const bool is_there = access(path, F_OK) == 0;
  const enum status status = policy_load(is_there ? path : name, testing->policy, error);
  free(path);
  return status;
}

/* The suite of a file, whose cases are in `cases`. */
static void put_suite(FILE *junit, const char *file, const struct trials *trials,
                      size_t failed_count, const char *cases) {
  fputs("  <testsuite name=\"", junit);
  put_xml(junit, file);
  fprintf(junit, "\" tests=\"%zu\" failures=\"%zu\">\n%s  </testsuite>\n", trials->count,
          failed_count, cases);
}

static void run_trials(struct testing *testing, const char *file, const struct trials *trials) {
  const size_t failed_before_count = testing->failed_count;
  violation_set fired = 0;
  char *cases = NULL;
  size_t size = 0;
  FILE *out = testing->junit == NULL ? NULL : open_memstream(&cases, &size);
  for (size_t i = 0; i < trials->count; i++) {
    run_trial(testing, file, &trials->items[i], out, &fired);
  }
  put_never_fired(testing->policy, file, fired);
  if (out != NULL) {
    fclose(out);
    put_suite(testing->junit, file, trials, testing->failed_count - failed_before_count, cases);
    free(cases);
  }
}

static enum status test_file(struct testing *testing, const char *file, struct error *error) {
  char *text = NULL;
  size_t size = 0;
  struct trials trials;
  enum status status = policy_file_read(file, &text, &size, error);
  if (status != STATUS_OK) {
    return status;
  }
  *testing->findings = (struct findings){0};
  if (!trials_read(span_of(text, size), &trials, testing->findings)) {
    findings_print(file, testing->findings);
    status = error_set(error, STATUS_REFUSED, "%s: %" PRIu32 " findings", file,
                       findings_count(testing->findings));
  } else {
    status = load_policy(testing, file, trials.policy, error);
  }
  if (status == STATUS_OK) {
    run_trials(testing, file, &trials);
  }
  trials_fini(&trials);
  free(text);
  return status;
}

static enum status open_junit(struct testing *testing, const char *file, struct error *error) {
  if (file == NULL) {
    return STATUS_OK;
  }
  testing->junit = fopen(file, "w");
  if (testing->junit == NULL) {
    return error_set(error, STATUS_USAGE, "--junit %s: %s", file, strerror(errno));
  }
  fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n", testing->junit);
  return STATUS_OK;
}

static enum status close_junit(struct testing *testing, const char *file, enum status status,
                               struct error *error) {
  if (testing->junit == NULL) {
    return status;
  }
  fputs("</testsuites>\n", testing->junit);
  const bool is_written = ferror(testing->junit) == 0;
  if ((fclose(testing->junit) != 0 || !is_written) && status == STATUS_OK) {
    return error_set(error, STATUS_UNAVAILABLE, "--junit %s: %s", file, strerror(errno));
  }
  return status;
}

enum status command_policy_test(const struct command_line *line, struct error *error) {
  struct testing testing = {.policy = memory_zeroed(1, sizeof(struct policy)),
                            .findings = memory_zeroed(1, sizeof(struct findings))};
  const char *junit = line->options[OPTION_JUNIT];
  enum status status = open_junit(&testing, junit, error);
  for (size_t i = 0; i < line->argument_count && status == STATUS_OK; i++) {
    status = test_file(&testing, line->arguments[i], error);
  }
  status = close_junit(&testing, junit, status, error);
  free(testing.findings);
  free(testing.policy);
  if (status != STATUS_OK) {
    return status;
  }
  printf("%zu passed, %zu failed\n", testing.passed_count, testing.failed_count);
  if (testing.failed_count > 0) {
    error->text[0] = '\0';
    return STATUS_REFUSED; /* what failed is printed */
  }
  if (testing.passed_count == 0) {
    return error_set(error, STATUS_REFUSED, "no tests in these files");
  }
  return STATUS_OK;
}
