/* core/policy: every comparison, three-valued logic, whom rules concern, exemptions. */
#include "core/app/policy_shipped.h"
#include "core/app/policy_yaml.h"
#include "core/version.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define CLOCK_MS INT64_C(1767225600000)
enum { AGE, PIN, LEVEL, THREAT_AGE };

static struct policy policy;

static void read_policy(const char *text) {
  static struct findings findings;
  findings = (struct findings){0};
  ck_assert_msg(policy_read(span_text(text), &policy, &findings), "%u:%u: %s in\n%s",
                findings.items[0].line, findings.items[0].column, findings.items[0].text, text);
}

static void read_rule(const char *require) {
  char text[16384];
  snprintf(text, sizeof text,
           "version: v\nminimum_os: {windows: 10.0.22631, macos: 14}\nrules:\n"
           "- id: r\n  title: t\n  remediation: m\n  require: %s\n",
           require);
  read_policy(text);
}

static const struct facts nothing_reported = {
    .numbers = {FACT_NONE, FACT_NONE, FACT_NONE, FACT_NONE}};

static bool holds(const struct facts *facts, const char *os_version) {
  struct policy_outcome versions[PLATFORM_COUNT];
  policy_version_outcomes(&policy, span_text(os_version), versions);
  return policy_evaluate(&policy, facts, &versions[facts->platform]) == 0;
}

/* For a number of 5, 6, 7, and one never reported. */
static const struct {
  const char *comparison;
  bool of_5, of_6, of_7, of_none;
} numbers[] = {
    {"is, 6", false, true, false, false},       {"is_not, 6", true, false, true, false},
    {"below, 6", true, false, false, false},    {"at_most, 6", true, true, false, false},
    {"at_least, 6", false, true, true, false},  {"above, 6", false, false, true, false},
    {"is, unknown", false, false, false, true}, {"is_not, unknown", true, true, true, false},
};

/* X comparison with 6 of a kind of number, written with the suffix. */
static void check_number(const char *name, uint32_t place, int64_t unit, const char *suffix,
                         uint32_t at) {
  struct facts facts = nothing_reported;
  char text[128];
  const bool is_unknown = strstr(numbers[at].comparison, "unknown") != NULL;
  for (int negated = 0; negated < 2; negated++) {
    snprintf(text, sizeof text, negated == 0 ? "[%s, %s%s]" : "{not: [%s, %s%s]}", name,
             numbers[at].comparison, is_unknown ? "" : suffix);
    read_rule(text);
    const bool expected[] = {numbers[at].of_5, numbers[at].of_6, numbers[at].of_7};
    for (int64_t i = 0; i < 3; i++) {
      facts.numbers[place] = (5 + i) * unit;
      ck_assert_msg(holds(&facts, "") == (expected[i] != (negated == 1)), "%s of %d", text,
                    (int)(5 + i));
    }
    facts.numbers[place] = FACT_NONE;
    ck_assert_msg(holds(&facts, "") == (is_unknown ? numbers[at].of_none != (negated == 1) : false),
                  "%s of none", text);
  }
}

START_TEST(numbers_and_durations_are_compared) {
  check_number("screen_lock_pin_length", PIN, 1, "", (uint32_t)_i);
  check_number("antivirus_signatures_age", AGE, HOUR_MS, "h", (uint32_t)_i);
  check_number("threat_defence_age", THREAT_AGE, HOUR_MS, "h", (uint32_t)_i);
}
END_TEST

START_TEST(levels_are_ordered) {
  static const char *const levels[] = {"secured", "low", "medium", "high"};
  for (int64_t limit = 0; limit < THREAT_LEVEL_COUNT; limit++) {
    char text[64];
    snprintf(text, sizeof text, "[threat_defence_level, at_most, %s]", levels[limit]);
    read_rule(text);
    struct facts facts = nothing_reported;
    ck_assert(!holds(&facts, ""));
    for (int64_t level = 0; level < THREAT_LEVEL_COUNT; level++) {
      facts.numbers[LEVEL] = level;
      ck_assert_int_eq(holds(&facts, ""), level <= limit);
    }
  }
}
END_TEST

/* Of false, true and never reported. */
static const struct {
  const char *comparison;
  bool of[3]; /* by enum tri */
} booleans[] = {
    {"[F, is, true]", {[TRI_TRUE] = true}},
    {"[F, is, false]", {[TRI_FALSE] = true}},
    {"[F, is_not, true]", {[TRI_FALSE] = true}},
    {"[F, is_not, false]", {[TRI_TRUE] = true}},
    {"[F, is, unknown]", {[TRI_UNKNOWN] = true}},
    {"[F, is_not, unknown]", {[TRI_TRUE] = true, [TRI_FALSE] = true}},
    {"{not: [F, is, true]}", {[TRI_FALSE] = true}},
    {"{not: [F, is_not, true]}", {[TRI_TRUE] = true}},
    {"{not: [F, is, unknown]}", {[TRI_TRUE] = true, [TRI_FALSE] = true}},
    {"{not: {not: [F, is, true]}}", {[TRI_TRUE] = true}},
    /* Never reported is neither: what one would take for always true is not. */
    {"{any: [[F, is, true], {not: [F, is, true]}]}", {[TRI_TRUE] = true, [TRI_FALSE] = true}},
    {"{not: {all: [[F, is, true], [F, is, false]]}}", {[TRI_TRUE] = true, [TRI_FALSE] = true}},
    {"{all: [[F, is, true], [F, is, false]]}", {false}},
};

START_TEST(booleans_are_compared) {
  static const char *const names[] = {"antivirus_enabled", "disk_encrypted"};
  for (uint32_t fact = 0; fact < COUNT_OF(names); fact++) {
    char text[256];
    size_t used = 0;
    for (const char *at = booleans[_i].comparison; *at != '\0'; at++) {
      used += (size_t)snprintf(text + used, sizeof text - used, *at == 'F' ? "%s" : "%.1s",
                               *at == 'F' ? names[fact] : at);
    }
    read_rule(text);
    for (uint8_t value = 0; value < 3; value++) {
      struct facts facts = nothing_reported;
      facts.booleans[fact] = value;
      ck_assert_msg(holds(&facts, "") == booleans[_i].of[value], "%s of %u", text, value);
    }
  }
}
END_TEST

/* Against 14.0. */
static const struct {
  const char *comparison;
  const char *hold, *fail; /* versions, parted by blanks; "-" is no version */
} versions[] = {
    {"[os_version, is, 14.0]", "14 14.0.0 014", "13.9 14.0.1 15 -"},
    {"[os_version, is_not, 14.0]", "13.9 14.0.1", "14 14.0.0 -"},
    {"[os_version, below, 14.0]", "13.99.99 0", "14 14.1 -"},
    {"[os_version, at_most, 14.0]", "13 14 14.0.0", "14.0.1 -"},
    {"[os_version, at_least, 14.0]", "14 14.1 100", "13.9 -"},
    {"[os_version, above, 14.0]", "14.0.1 15", "14 13 -"},
    {"[os_version, is, unknown]", "-", "14 0"},
    {"[os_version, is_not, unknown]", "14 0", "-"},
    {"{not: [os_version, at_least, 14.0]}", "13.9", "14 15 -"},
    {"{not: [os_version, is, unknown]}", "14", "-"},
    {"[os_version, at_least, minimum_os]", "10.0.22631 11", "10.0.22630 -"},
    {"[os_version, below, minimum_os]", "10.0.22630", "10.0.22631 -"},
    {"{all: [[os_version, at_least, 13], [os_version, below, 15]]}", "13 14.9", "12 15 -"},
};

static void check_versions(const char *comparison, const char *list, bool expected) {
  char text[64];
  snprintf(text, sizeof text, "%s", list);
  for (char *word = text; word != NULL && *word != '\0';) {
    char *blank = strchr(word, ' ');
    if (blank != NULL) {
      *blank = '\0';
    }
    ck_assert_msg(holds(&nothing_reported, strcmp(word, "-") == 0 ? "none" : word) == expected,
                  "%s of %s", comparison, word);
    word = blank == NULL ? NULL : blank + 1;
  }
}

START_TEST(versions_are_compared) {
  read_rule(versions[_i].comparison);
  check_versions(versions[_i].comparison, versions[_i].hold, true);
  check_versions(versions[_i].comparison, versions[_i].fail, false);
}
END_TEST

START_TEST(a_platform_without_a_minimum_takes_any_version) {
  struct facts facts = nothing_reported;
  facts.platform = PLATFORM_LINUX;
  read_rule("[os_version, at_least, minimum_os]");
  ck_assert(holds(&facts, "0"));
  ck_assert(holds(&facts, "rolling"));
  read_rule("[os_version, below, minimum_os]");
  ck_assert(!holds(&facts, "0"));
  ck_assert(!holds(&facts, "rolling"));
  read_rule("{not: [os_version, at_least, minimum_os]}");
  ck_assert(!holds(&facts, "rolling"));
}
END_TEST

START_TEST(rules_concern_whom_they_say) {
  read_policy("version: v\nrules:\n"
              "- {id: a, title: t, remediation: m, require: [disk_encrypted, is, true],\n"
              "   applies_to: {platforms: [ios, android], ownership: personal}}\n"
              "- {id: b, title: t, remediation: m, require: [disk_encrypted, is, true],\n"
              "   applies_to: {profiles: executive}}\n"
              "- {id: c, title: t, remediation: m, require: [disk_encrypted, is, true]}\n");
  const struct policy_outcome none = {0};
  for (uint8_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    for (uint8_t profile = 0; profile < PROFILE_COUNT; profile++) {
      for (uint8_t ownership = 0; ownership < OWNERSHIP_COUNT; ownership++) {
        struct facts facts = nothing_reported;
        facts.platform = platform;
        facts.profile = profile;
        facts.ownership = ownership;
        const bool a = (platform == PLATFORM_IOS || platform == PLATFORM_ANDROID) &&
                       ownership == OWNERSHIP_PERSONAL;
        const violation_set expected = (a ? 1u : 0) | (profile == PROFILE_EXECUTIVE ? 2u : 0) | 4u;
        ck_assert_uint_eq(policy_evaluate(&policy, &facts, &none), expected);
      }
    }
  }
}
END_TEST

START_TEST(exemptions_waive_a_rule_until_they_expire) {
  read_policy(
      "version: v\nrules:\n"
      "- {id: a, title: t, remediation: m, require: [disk_encrypted, is, true]}\n"
      "- {id: b, title: t, remediation: m, require: [disk_encrypted, is, true]}\n"
      "exemptions:\n"
      "- {device: D007, rule: b, approver: CISO, expires: 2026-01-01T00:00:00Z, reason: x}\n"
      "- {serial: SN1, rule: a, approver: CISO, expires: 2026-01-02T00:00:00Z, reason: x}\n");
  const struct span other = span_text("SN2");
  const struct span named = span_text("SN1");
  ck_assert_uint_eq(policy.checks.exempted, 3);
  ck_assert_uint_eq(policy_exempted(&policy, 7, other, CLOCK_MS - 1), 2);
  ck_assert_uint_eq(policy_exempted(&policy, 7, other, CLOCK_MS), 0);
  ck_assert_uint_eq(policy_exempted(&policy, 8, other, CLOCK_MS - 1), 0);
  ck_assert_uint_eq(policy_exempted(&policy, 8, named, CLOCK_MS), 1);
  ck_assert_uint_eq(policy_exempted(&policy, 7, named, CLOCK_MS - 1), 3);
}
END_TEST

/* Three-valued logic by the book, as the compiled form is not made. */
static enum tri not_of(enum tri value) {
  return value == TRI_UNKNOWN ? TRI_UNKNOWN : value == TRI_TRUE ? TRI_FALSE : TRI_TRUE;
}

static enum tri compare(int64_t order, enum relation relation) {
  const bool answers[RELATION_COUNT] = {
      [RELATION_IS] = order == 0,
      [RELATION_IS_NOT] = order != 0,
      [RELATION_BELOW] = order<0, [RELATION_AT_MOST] = order <= 0, [RELATION_AT_LEAST] = order >= 0,
                               [RELATION_ABOVE] = order> 0,
  };
  return answers[relation] ? TRI_TRUE : TRI_FALSE;
}

static enum tri value_of_comparison(const struct policy_node *node, const struct facts *facts,
                                    const char *os_version) {
  static const uint32_t places[FACT_COUNT] = {
      [FACT_ANTIVIRUS_SIGNATURES_AGE] = AGE, [FACT_SCREEN_LOCK_PIN_LENGTH] = PIN,
      [FACT_THREAT_DEFENCE_LEVEL] = LEVEL,   [FACT_THREAT_DEFENCE_AGE] = THREAT_AGE,
      [FACT_ANTIVIRUS_ENABLED] = 0,          [FACT_DISK_ENCRYPTED] = 1};
  const uint32_t place = places[node->fact];
  const enum fact_type type = fact_type_of(node->fact);
  const bool is_known = type == FACT_TYPE_VERSION   ? version_is_known(span_text(os_version))
                        : type == FACT_TYPE_BOOLEAN ? facts->booleans[place] != TRI_UNKNOWN
                                                    : facts->numbers[place] != FACT_NONE;
  if (node->operand == OPERAND_UNKNOWN) {
    return (node->relation == RELATION_IS) != is_known ? TRI_TRUE : TRI_FALSE;
  }
  if (!is_known) {
    return TRI_UNKNOWN;
  }
  if (type == FACT_TYPE_VERSION) {
    return compare(
        version_compare(span_text(os_version), span_text(policy.version_texts[node->text])),
        node->relation);
  }
  const int64_t value =
      type == FACT_TYPE_BOOLEAN ? facts->booleans[place] == TRI_TRUE : facts->numbers[place];
  return compare(value - node->number, node->relation);
}

static enum tri value_of(uint16_t at, const struct facts *facts, const char *os_version) {
  const struct policy_node *node = &policy.nodes[at];
  if (node->kind == CONDITION_COMPARISON) {
    return value_of_comparison(node, facts, os_version);
  }
  if (node->kind == CONDITION_NOT) {
    return not_of(value_of(node->first, facts, os_version));
  }
  /* any of x is not all of not x */
  const bool is_any = node->kind == CONDITION_ANY;
  enum tri sum = TRI_TRUE;
  for (uint16_t child = node->first; child != 0; child = policy.nodes[child].next) {
    const enum tri plain = value_of(child, facts, os_version);
    const enum tri value = is_any ? not_of(plain) : plain;
    if (value == TRI_FALSE || sum == TRI_FALSE) {
      sum = TRI_FALSE;
    } else if (value == TRI_UNKNOWN) {
      sum = TRI_UNKNOWN;
    }
  }
  return is_any ? not_of(sum) : sum;
}

static uint64_t state;

static uint32_t pick(uint32_t count) {
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(state >> 33) % count;
}

static size_t put_condition(char *text, size_t size, uint32_t depth);

static size_t put_comparison(char *text, size_t size) {
  static const char *const relations[] = {"is", "is_not", "below", "at_most", "at_least", "above"};
  static const char *const names[] = {"os_version", "disk_encrypted", "screen_lock_pin_length",
                                      "threat_defence_level"};
  const uint32_t kind = pick(7);
  const char *relation = relations[pick(kind < 4 ? 6 : 2)];
  if (kind == 2) {
    return (size_t)snprintf(text, size, "[threat_defence_level, %s, %s]", relation,
                            threat_level_name(pick(4)));
  }
  if (kind == 4 || kind == 5) {
    return (size_t)snprintf(text, size, "[%s, %s, %s]",
                            kind == 4 ? "antivirus_enabled" : "disk_encrypted", relation,
                            pick(2) == 0 ? "true" : "false");
  }
  if (kind == 6) {
    return (size_t)snprintf(text, size, "[%s, %s, unknown]", names[pick(4)], relation);
  }
  static const char *const left[] = {"screen_lock_pin_length", "antivirus_signatures_age", "",
                                     "os_version"};
  static const char *const suffix[] = {"", "h", "", ".0"};
  return (size_t)snprintf(text, size, "[%s, %s, %u%s]", left[kind], relation, pick(4),
                          suffix[kind]);
}

static size_t put_group(char *text, size_t size, uint32_t depth) {
  size_t used = (size_t)snprintf(text, size, "{%s: [", pick(2) == 0 ? "all" : "any");
  const uint32_t count = 1 + pick(3);
  for (uint32_t i = 0; i < count; i++) {
    used += put_condition(text + used, size - used, depth + 1);
    used += (size_t)snprintf(text + used, size - used, "%s", i + 1 < count ? ", " : "]}");
  }
  return used;
}

static size_t put_condition(char *text, size_t size, uint32_t depth) {
  const uint32_t kind = depth >= 4 ? 0 : pick(4);
  if (kind == 1) {
    size_t used = (size_t)snprintf(text, size, "{not: ");
    used += put_condition(text + used, size - used, depth + 1);
    return used + (size_t)snprintf(text + used, size - used, "}");
  }
  return kind == 0 ? put_comparison(text, size) : put_group(text, size, depth);
}

static struct facts some_facts(void) {
  struct facts facts = {.platform = PLATFORM_WINDOWS};
  for (uint32_t i = 0; i < FACT_BOOLEAN_COUNT; i++) {
    facts.booleans[i] = (uint8_t)pick(3);
  }
  for (uint32_t i = 0; i < FACT_NUMBER_COUNT; i++) {
    const bool is_age = i == AGE || i == THREAT_AGE;
    facts.numbers[i] = pick(4) == 0 ? FACT_NONE : (int64_t)pick(4) * (is_age ? HOUR_MS : 1);
  }
  return facts;
}

START_TEST(compiled_rules_are_three_valued_logic) {
  static const char *const os_versions[] = {"0", "1", "2.0.0", "3.1", "none"};
  state = (uint64_t)_i + 1;
  uint32_t held_count = 0;
  for (uint32_t round = 0; round < 200; round++) {
    static char require[8192];
    put_condition(require, sizeof require, 1);
    read_rule(require);
    for (uint32_t i = 0; i < 50; i++) {
      const struct facts facts = some_facts();
      const char *os_version = os_versions[pick(COUNT_OF(os_versions))];
      const bool expected = value_of(policy.rules[0].root, &facts, os_version) == TRI_TRUE;
      ck_assert_msg(holds(&facts, os_version) == expected, "%s: %d, not so", require, expected);
      held_count += expected;
    }
  }
  ck_assert_uint_gt(held_count, 1000);
  ck_assert_uint_lt(held_count, 9000);
}
END_TEST

/* Minutes of the UTC day: from, to, offset, when a mail is due, when it may be sent. */
static const struct {
  int32_t from_min, to_min, utc_offset_min;
  int64_t due_min, sent_min;
} mails[] = {
    {22 * 60, 6 * 60, 0, 21 * 60 + 59, 21 * 60 + 59},
    {22 * 60, 6 * 60, 0, 22 * 60, 30 * 60},
    {22 * 60, 6 * 60, 0, 24 * 60, 30 * 60},
    {22 * 60, 6 * 60, 0, 5 * 60 + 59, 6 * 60},
    {22 * 60, 6 * 60, 0, 6 * 60, 6 * 60},
    {12 * 60, 13 * 60, 0, 12 * 60, 13 * 60},
    {12 * 60, 13 * 60, 0, 13 * 60, 13 * 60},
    {12 * 60, 13 * 60, 0, 11 * 60, 11 * 60},
    {22 * 60, 6 * 60, 120, 20 * 60, 28 * 60},
    {22 * 60, 6 * 60, 120, 19 * 60, 19 * 60},
    {22 * 60, 6 * 60, -330, 3 * 60 + 30, 11 * 60 + 30},
    {0, 0, 0, 3 * 60, 3 * 60},
};

START_TEST(mails_wait_for_the_end_of_quiet_hours) {
  static struct policy quiet;
  const int64_t minute_ms = 60000;
  quiet.quiet = (struct policy_quiet){.from_min = mails[_i].from_min,
                                      .to_min = mails[_i].to_min,
                                      .utc_offset_min = mails[_i].utc_offset_min};
  /* On any day, the first of 1970 included, whose local time is the day before. */
  const int64_t days_ms[] = {0, CLOCK_MS};
  for (size_t i = 0; i < COUNT_OF(days_ms); i++) {
    ck_assert_int_eq(policy_mail_at(&quiet, days_ms[i] + mails[_i].due_min * minute_ms),
                     days_ms[i] + mails[_i].sent_min * minute_ms);
  }
}
END_TEST

/* Policies that are plain and one that is not: devices by the short way, facts by the long. */
static const struct {
  const char *require;
  bool is_plain;
} ways[] = {
    {"{all: [[screen_lock_pin_length, at_least, 2], [antivirus_signatures_age, at_most, 2h],\n"
     "    [disk_encrypted, is, true], [antivirus_enabled, is_not, unknown]]}",
     true},
    {"[antivirus_signatures_age, is, unknown]", true},
    {"[screen_lock_pin_length, is_not, 1]", false},
    {"{all: [[screen_lock_pin_length, above, 0], [screen_lock_pin_length, below, 3]]}", false},
    {"{any: [[screen_lock_pin_length, above, 1], [disk_encrypted, is, true]]}", false},
    {"[threat_defence_age, is, unknown]", false},
    {"{all: [[threat_defence_level, at_most, medium], [threat_defence_age, at_most, 2h]]}", false},
};

START_TEST(devices_are_held_as_their_facts_are) {
  read_rule(ways[_i].require);
  ck_assert_int_eq(policy.checks.is_plain, ways[_i].is_plain);
  struct policy_outcome outcomes[PLATFORM_COUNT];
  policy_version_outcomes(&policy, span_text("1"), outcomes);
  state = 7;
  uint32_t failed_count = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    const struct facts facts = some_facts();
    const struct device device = {
        .antivirus_enabled = facts.booleans[0],
        .disk_encrypted = facts.booleans[1],
        .antivirus_signatures_at_ms =
            facts.numbers[AGE] == FACT_NONE ? TIME_NONE : CLOCK_MS - facts.numbers[AGE],
        .has_screen_lock_pin_length = facts.numbers[PIN] != FACT_NONE,
        .screen_lock_pin_length =
            (int32_t)(facts.numbers[PIN] == FACT_NONE ? 0 : facts.numbers[PIN]),
        .threat_level = (uint8_t)(facts.numbers[LEVEL] == FACT_NONE ? 0 : facts.numbers[LEVEL] + 1),
        .threat_at_ms = facts.numbers[THREAT_AGE] == FACT_NONE
                            ? TIME_NONE
                            : CLOCK_MS - facts.numbers[THREAT_AGE],
    };
    const violation_set expected = policy_evaluate(&policy, &facts, &outcomes[PLATFORM_WINDOWS]);
    ck_assert_uint_eq(policy_violations(&policy, &device, outcomes, CLOCK_MS), expected);
    failed_count += expected != 0;
  }
  ck_assert_uint_lt(failed_count, 1000);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("policy");
  TCase *const tests = tcase_create("all");
  tcase_add_loop_test(tests, numbers_and_durations_are_compared, 0, (int)COUNT_OF(numbers));
  tcase_add_test(tests, levels_are_ordered);
  tcase_add_loop_test(tests, booleans_are_compared, 0, (int)COUNT_OF(booleans));
  tcase_add_loop_test(tests, versions_are_compared, 0, (int)COUNT_OF(versions));
  tcase_add_test(tests, a_platform_without_a_minimum_takes_any_version);
  tcase_add_test(tests, rules_concern_whom_they_say);
  tcase_add_test(tests, exemptions_waive_a_rule_until_they_expire);
  tcase_add_loop_test(tests, compiled_rules_are_three_valued_logic, 0, 10);
  tcase_add_loop_test(tests, devices_are_held_as_their_facts_are, 0, (int)COUNT_OF(ways));
  tcase_add_loop_test(tests, mails_wait_for_the_end_of_quiet_hours, 0, (int)COUNT_OF(mails));
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
