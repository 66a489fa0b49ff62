/* policy check, show, diff: what can be said of policies without a broker or a database. */
#include "core/app/command.h"
#include "core/app/output.h"
#include "core/app/policy_applied.h"
#include "core/app/policy_file.h"
#include "core/app/policy_text.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void hash_text(const struct policy *policy, char text[HEX_DIGEST_SIZE]) {
  uint8_t hash[DIGEST_SIZE];
  policy_hash(policy, hash);
  hex_format(hash, sizeof hash, text);
}

/* One file: its findings, or one line that says what it is. */
static enum status check_file(const char *file, struct policy *policy, struct findings *findings,
                              struct error *error) {
  char *text = NULL;
  size_t size = 0;
  const enum status status = policy_file_read(file, &text, &size, error);
  if (status != STATUS_OK) {
    return status;
  }
  *findings = (struct findings){0};
  if (policy_read(span_of(text, size), policy, findings)) {
    char hash[HEX_DIGEST_SIZE];
    hash_text(policy, hash);
    printf("%s: ok, version %s, %" PRIu32 " rules, sha256 %s\n", file, policy->version,
           policy->rule_count, hash);
  } else {
    findings_print(file, findings);
  }
  free(text);
  return STATUS_OK;
}

enum status command_policy_check(const struct command_line *line, struct error *error) {
  struct policy *policy = memory_zeroed(1, sizeof *policy);
  struct findings *findings = memory_zeroed(1, sizeof *findings);
  enum status status = STATUS_OK;
  uint32_t finding_count = 0;
  for (size_t i = 0; i < line->argument_count && status == STATUS_OK; i++) {
    status = check_file(line->arguments[i], policy, findings, error);
    finding_count += findings_count(findings);
  }
  free(findings);
  free(policy);
  if (status == STATUS_OK && finding_count > 0) {
    return error_set(error, STATUS_REFUSED, "%" PRIu32 " finding%s", finding_count,
                     finding_count == 1 ? "" : "s");
  }
  return status;
}

static const struct column show_columns[] = {{"key", COLUMN_TEXT, false},
                                             {"value", COLUMN_TEXT, false}};

enum status command_policy_show(const struct command_line *line, struct error *error) {
  struct policy *policy = memory_zeroed(1, sizeof *policy);
  enum status status = policy_find(
      &line->config, line->argument_count == 0 ? "default" : line->arguments[0], policy, error);
  if (status == STATUS_OK) {
    struct policy_lines lines;
    char hash[HEX_DIGEST_SIZE];
    struct output *output = output_open(stdout, line->output, show_columns, COUNT_OF(show_columns));
    hash_text(policy, hash);
    policy_lines_init(&lines, policy);
    output_row(output, (struct cell[]){cell_text(span_text("sha256")), cell_text(span_text(hash))});
    for (size_t i = 0; i < lines.count; i++) {
      output_row(output, (struct cell[]){cell_text(span_text(lines.items[i].key)),
                                         cell_text(span_text(lines.items[i].value))});
    }
    policy_lines_fini(&lines);
    status = output_close(output, error);
  }
  free(policy);
  return status;
}

static const struct column diff_columns[] = {
    {"key", COLUMN_TEXT, false}, {"before", COLUMN_TEXT, false}, {"after", COLUMN_TEXT, false}};

/* NULL when there is no such line. */
static const char *value_of(const struct policy_lines *lines, const char *key) {
  for (size_t i = 0; i < lines->count; i++) {
    if (strcmp(lines->items[i].key, key) == 0) {
      return lines->items[i].value;
    }
  }
  return NULL;
}

static void put_difference(struct output *output, const char *key, const char *before,
                           const char *after) {
  output_row(output, (struct cell[]){cell_text(span_text(key)),
                                     before == NULL ? cell_null() : cell_text(span_text(before)),
                                     after == NULL ? cell_null() : cell_text(span_text(after))});
}

/* Lines of the first that are others or gone, then those that are new. */
static size_t put_differences(struct output *output, const struct policy_lines *before,
                              const struct policy_lines *after) {
  size_t count = 0;
  for (size_t i = 0; i < before->count; i++) {
    const struct policy_line *line = &before->items[i];
    const char *other = value_of(after, line->key);
    if (other == NULL || strcmp(other, line->value) != 0) {
      put_difference(output, line->key, line->value, other);
      count++;
    }
  }
  for (size_t i = 0; i < after->count; i++) {
    if (value_of(before, after->items[i].key) == NULL) {
      put_difference(output, after->items[i].key, NULL, after->items[i].value);
      count++;
    }
  }
  return count;
}

enum status command_policy_diff(const struct command_line *line, struct error *error) {
  struct policy *policies = memory_zeroed(2, sizeof *policies);
  struct policy_lines lines[2] = {{0}};
  enum status status = STATUS_OK;
  for (size_t i = 0; i < 2 && status == STATUS_OK; i++) {
    status = policy_find(&line->config, line->arguments[i], &policies[i], error);
    if (status == STATUS_OK) {
      policy_lines_init(&lines[i], &policies[i]);
    }
  }
  if (status == STATUS_OK) {
    struct output *output = output_open(stdout, line->output, diff_columns, COUNT_OF(diff_columns));
    const size_t count = put_differences(output, &lines[0], &lines[1]);
    status = output_close(output, error);
    if (status == STATUS_OK && count > 0) {
      error->text[0] = '\0';
      status = STATUS_REFUSED; /* they differ: found, and already printed */
    }
  }
  policy_lines_fini(&lines[0]);
  policy_lines_fini(&lines[1]);
  free(policies);
  return status;
}
