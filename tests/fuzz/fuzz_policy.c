/* A policy's file, or a file of a policy's tests: any bytes. What is refused has a finding with a
 * place; what is accepted means the same whatever memory it is read into, is told on whole lines,
 * and can be held against any facts. */
#include "core/app/policy_shipped.h"
#include "core/app/policy_text.h"
#include "core/app/policy_trial.h"
#include "core/app/policy_yaml.h"
#include "tests/fuzz/fuzz.h"

static struct policy policy;
static struct policy again;
static struct findings findings;

enum { DAY_MS = 86400000 };

static void check_findings(bool is_good) {
  HOLDS(is_good == (findings_count(&findings) == 0));
  for (uint32_t i = 0; i < findings.count; i++) {
    HOLDS(findings.items[i].line > 0 && findings.items[i].column > 0);
    HOLDS(findings.items[i].text[0] != '\0');
    HOLDS(strpbrk(findings.items[i].text, "\n\x1b") == NULL);
  }
}

static void check_lines(void) {
  struct policy_lines lines;
  policy_lines_init(&lines, &policy);
  HOLDS(lines.count > 0);
  for (size_t i = 0; i < lines.count; i++) {
    HOLDS(lines.items[i].key[0] != '\0' && strpbrk(lines.items[i].key, "\n\t") == NULL);
    HOLDS(strchr(lines.items[i].value, '\n') == NULL);
  }
  policy_lines_fini(&lines);
}

/* The facts come from the file's own bytes. */
static void check_evaluation(struct span text) {
  struct policy_outcome versions[PLATFORM_COUNT];
  const violation_set all = (violation_set)((UINT64_C(1) << policy.rule_count) - 1);
  for (size_t at = 0; at + 8 <= text.size && at < 256; at += 8) {
    const uint8_t *bytes = text.data + at;
    struct facts facts = {.platform = bytes[0] % PLATFORM_COUNT,
                          .profile = bytes[1] % PROFILE_COUNT,
                          .ownership = bytes[2] % OWNERSHIP_COUNT,
                          .booleans = {bytes[3] % 3, bytes[3] / 3 % 3}};
    for (size_t i = 0; i < FACT_NUMBER_COUNT; i++) {
      facts.numbers[i] = bytes[4 + i] == 0 ? FACT_NONE : (int64_t)bytes[4 + i] * DAY_MS / 32;
    }
    policy_version_outcomes(&policy, span_of(bytes, 4), versions);
    const violation_set failed = policy_evaluate(&policy, &facts, &versions[facts.platform]);
    HOLDS((failed & ~all) == 0);
    HOLDS(failed == policy_evaluate(&again, &facts, &versions[facts.platform]));
    HOLDS((policy_exempted(&policy, bytes[4], span_of(bytes, 2), bytes[5]) & ~all) == 0);
    const int64_t at_ms = (int64_t)bytes[6] * DAY_MS / 97;
    HOLDS(policy_mail_at(&policy, at_ms) >= at_ms);
  }
}

static void read_a_policy(struct span text) {
  memset(&policy, 0, sizeof policy);
  memset(&again, 0xdd, sizeof again);
  findings = (struct findings){0};
  const bool is_good = policy_read(text, &policy, &findings);
  check_findings(is_good);
  findings = (struct findings){0};
  HOLDS(policy_read(text, &again, &findings) == is_good);
  if (is_good) {
    uint8_t hash[DIGEST_SIZE];
    uint8_t hash_again[DIGEST_SIZE];
    policy_hash(&policy, hash);
    policy_hash(&again, hash_again);
    HOLDS(memcmp(hash, hash_again, sizeof hash) == 0);
    check_lines();
    check_evaluation(text);
  }
}

static void read_trials(struct span text) {
  struct trials trials;
  findings = (struct findings){0};
  const bool is_good = trials_read(text, &trials, &findings);
  check_findings(is_good);
  for (size_t i = 0; is_good && i < trials.count; i++) {
    struct trial_lines lines = {0};
    violation_set fired = 0;
    trial_run(&trials.items[i], policy_default(), &lines, &fired);
    trial_lines_fini(&lines);
  }
  trials_fini(&trials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  const struct span text = span_of(data + 1, size - 1);
  if (data[0] == 't') {
    read_trials(text);
  } else {
    read_a_policy(text);
  }
  return 0;
}
