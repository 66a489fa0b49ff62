/* What a rule asks and what was seen of it, in words. */
#include "core/app/policy_file.h"
#include "core/app/policy_words.h"
#include "core/app/text.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOCK_MS INT64_C(1767225600000)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)

static struct policy policy;

static void read_rule(const char *require) {
  static struct findings findings;
  char text[1024];
  findings = (struct findings){0};
  snprintf(text, sizeof text,
           "version: v\nminimum_os: {windows: 10.0.22631}\nrules:\n"
           "- id: r\n  title: t\n  remediation: m\n  require: %s\n",
           require);
  ck_assert_msg(policy_read(span_text(text), &policy, &findings), "%s", findings.items[0].text);
}

static const struct device nothing_reported = {.antivirus_signatures_at_ms = TIME_NONE,
                                               .threat_at_ms = TIME_NONE,
                                               .pending_since_ms = TIME_NONE};

static void must_be(char *text, const char *expected) {
  ck_assert_str_eq(text, expected);
  free(text);
}

static const struct {
  const char *require, *windows, *linux_words;
} required[] = {
    {"[os_version, at_least, minimum_os]", "os_version at least 10.0.22631",
     "os_version at least the minimum of LINUX, which has none"},
    {"[os_version, is_not, unknown]", "os_version is not unknown", "os_version is not unknown"},
    {"{all: [[antivirus_enabled, is, true], [antivirus_signatures_age, at_most, 7d]]}",
     "antivirus_enabled is true and antivirus_signatures_age at most 168h", NULL},
    {"{not: [screen_lock_pin_length, below, 6]}", "not (screen_lock_pin_length below 6)", NULL},
    {"{any: [[os_version, above, 14.1], {all: [[disk_encrypted, is, true], "
     "[threat_defence_level, at_most, low]]}, {all: [[threat_defence_age, below, 90m]]}]}",
     "os_version above 14.1 or (disk_encrypted is true and threat_defence_level at most low) or "
     "threat_defence_age below 1h30m",
     NULL},
    {"{not: {any: [[disk_encrypted, is, false], [antivirus_enabled, is, false]]}}",
     "not (disk_encrypted is false or antivirus_enabled is false)", NULL},
};

START_TEST(what_is_required_is_told) {
  read_rule(required[_i].require);
  must_be(policy_required(&policy, 0, PLATFORM_WINDOWS), required[_i].windows);
  if (required[_i].linux_words != NULL) {
    must_be(policy_required(&policy, 0, PLATFORM_LINUX), required[_i].linux_words);
  }
}
END_TEST

#define ANTIVIRUS                                                                                  \
  "{all: [[antivirus_enabled, is, true], [antivirus_signatures_age, at_most, 168h]]}"
#define EITHER                                                                                     \
  "{any: [[disk_encrypted, is, true], {all: [[screen_lock_pin_length, at_least, 12], "             \
  "[os_version, at_least, 14]]}]}"

static const struct {
  const char *require, *os_version;
  uint8_t antivirus_enabled, disk_encrypted;
  int64_t age_ms; /* -1: never reported */
  int32_t pin_length;
  const char *observed;
} observed[] = {
    /* What holds makes no part of it; when the whole does, all is told. */
    {ANTIVIRUS, "1", TRI_FALSE, 0, HOUR_MS, 0, "antivirus_enabled false"},
    {ANTIVIRUS, "1", TRI_TRUE, 0, 200 * HOUR_MS + 5 * MINUTE_MS + 7, 0,
     "antivirus_signatures_age 200h5m"},
    {ANTIVIRUS, "1", TRI_UNKNOWN, 0, -1, 0,
     "antivirus_enabled never reported, antivirus_signatures_age never reported"},
    {ANTIVIRUS, "1", TRI_TRUE, 0, 90 * MINUTE_MS + 1, 0,
     "antivirus_enabled true, antivirus_signatures_age 1h30m"},
    /* "168h" would not explain it. */
    {ANTIVIRUS, "1", TRI_TRUE, 0, 168 * HOUR_MS + 1, 0, "antivirus_signatures_age 168h1ms"},
    {"[antivirus_signatures_age, above, 1h]", "1", 0, 0, -5 * MINUTE_MS, 0,
     "antivirus_signatures_age 5m ahead"},
    {EITHER, "14.0", 0, TRI_FALSE, -1, 6, "disk_encrypted false, screen_lock_pin_length 6"},
    {EITHER, "13", 0, TRI_FALSE, -1, 12, "os_version 13, disk_encrypted false"},
    {EITHER, "13", 0, TRI_TRUE, -1, 6,
     "os_version 13, disk_encrypted true, screen_lock_pin_length 6"},
    {"{not: {any: [[disk_encrypted, is, false], [screen_lock_pin_length, below, 6]]}}", "1", 0,
     TRI_TRUE, -1, 4, "screen_lock_pin_length 4"},
    {"{not: [screen_lock_pin_length, below, 6]}", "1", 0, 0, -1, 0,
     "screen_lock_pin_length never reported"},
    /* An `any` that holds tells nothing, though a part of it fails. */
    {"{all: [{any: [[disk_encrypted, is, true], [screen_lock_pin_length, at_least, 12]]}, "
     "[antivirus_enabled, is, true]]}",
     "1", TRI_FALSE, TRI_FALSE, -1, 12, "antivirus_enabled false"},
    {"[os_version, at_least, minimum_os]", "rolling", 0, 0, -1, 0, "os_version \"rolling\""},
    {"[threat_defence_level, at_most, low]", "1", 0, 0, -1, 0,
     "threat_defence_level never reported"},
};

static struct device device_of(uint8_t antivirus_enabled, uint8_t disk_encrypted, int64_t age_ms,
                               int32_t pin_length) {
  struct device device = nothing_reported;
  device.antivirus_enabled = antivirus_enabled;
  device.disk_encrypted = disk_encrypted;
  device.antivirus_signatures_at_ms = age_ms == -1 ? TIME_NONE : CLOCK_MS - age_ms;
  device.has_screen_lock_pin_length = pin_length != 0;
  device.screen_lock_pin_length = pin_length;
  return device;
}

START_TEST(what_fails_is_told) {
  const struct device device =
      device_of(observed[_i].antivirus_enabled, observed[_i].disk_encrypted, observed[_i].age_ms,
                observed[_i].pin_length);
  read_rule(observed[_i].require);
  must_be(policy_observed(&policy, 0, &device, span_text(observed[_i].os_version), CLOCK_MS),
          observed[_i].observed);
}
END_TEST

START_TEST(threat_defence_is_told) {
  struct device device = nothing_reported;
  device.threat_level = THREAT_MEDIUM + 1;
  device.threat_at_ms = CLOCK_MS - 25 * HOUR_MS;
  read_rule("{all: [[threat_defence_level, at_most, low], [threat_defence_age, at_most, 24h]]}");
  must_be(policy_observed(&policy, 0, &device, span_text("1"), CLOCK_MS),
          "threat_defence_level medium, threat_defence_age 25h");
  device.threat_level = THREAT_SECURED + 1;
  must_be(policy_observed(&policy, 0, &device, span_text("1"), CLOCK_MS), "threat_defence_age 25h");
}
END_TEST

START_TEST(known_is_all_that_is_read) {
  const struct device device = device_of(TRI_FALSE, TRI_FALSE, HOUR_MS, 0);
  read_rule(ANTIVIRUS);
  must_be(policy_known(&policy, 0, &device, span_text("1"), CLOCK_MS),
          "antivirus_enabled false, antivirus_signatures_age 1h");
}
END_TEST

static const char *const comparisons[] = {
    "[os_version, %s, 14]",
    "[os_version, %s, minimum_os]",
    "[os_version, %s, unknown]",
    "[antivirus_enabled, %s, true]",
    "[antivirus_enabled, %s, false]",
    "[antivirus_enabled, %s, unknown]",
    "[antivirus_signatures_age, %s, 2h]",
    "[antivirus_signatures_age, %s, unknown]",
    "[screen_lock_pin_length, %s, 6]",
    "[screen_lock_pin_length, %s, unknown]",
};

/* Whether the file of a comparison can be read at all: not all relations go with all values. */
static bool can_be_read(const char *require) {
  static struct findings findings;
  char text[1024];
  findings = (struct findings){0};
  snprintf(text, sizeof text,
           "version: v\nrules:\n- {id: r, title: t, remediation: m, require: %s}\n", require);
  return policy_read(span_text(text), &policy, &findings);
}

/* The core's own word for whether it holds, and whether the words name it beside what fails. */
static void compare_with_the_core(const char *condition, const struct device *device,
                                  const char *os_version) {
  char text[256];
  struct policy_outcome versions[PLATFORM_COUNT];
  read_rule(condition);
  policy_version_outcomes(&policy, span_text(os_version), versions);
  const bool fails = policy_violations(&policy, device, versions, CLOCK_MS) != 0;
  snprintf(text, sizeof text, "{all: [%s, [disk_encrypted, is, true]]}", condition);
  read_rule(text);
  char *const words = policy_observed(&policy, 0, device, span_text(os_version), CLOCK_MS);
  ck_assert_msg((strncmp(words, "disk_encrypted ", 15) != 0 || strchr(words, ',') != NULL) == fails,
                "%s: \"%s\" of version %s", condition, words, os_version);
  free(words);
}

/* Every comparison, as it is and under `not`, of every value: told when it fails, and only then. */
START_TEST(the_words_agree_with_the_core) {
  static const char *const versions[] = {"13", "14", "15", "10.0.22631", "10.0.1", "none"};
  const char *const format = comparisons[_i];
  uint32_t read_count = 0;
  for (enum relation relation = 0; relation < RELATION_COUNT; relation++) {
    char plain[128];
    char negated[160];
    snprintf(plain, sizeof plain, format, relation_name(relation));
    snprintf(negated, sizeof negated, "{not: %s}", plain);
    if (!can_be_read(plain)) {
      continue;
    }
    read_count++;
    for (int32_t value = 0; value < 5 * (int32_t)COUNT_OF(versions); value++) {
      struct device device =
          device_of((uint8_t)(value % 3), 0, value % 5 == 4 ? -1 : (value % 5) * HOUR_MS,
                    value % 4 == 0 ? 0 : 4 + value % 4);
      device.platform = value % 2 == 0 ? PLATFORM_WINDOWS : PLATFORM_LINUX;
      compare_with_the_core(plain, &device, versions[value / 5]);
      compare_with_the_core(negated, &device, versions[value / 5]);
    }
  }
  ck_assert_uint_ge(read_count, 2);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("policy_words");
  TCase *const tests = tcase_create("all");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, what_is_required_is_told, 0, (int)COUNT_OF(required));
  tcase_add_loop_test(tests, what_fails_is_told, 0, (int)COUNT_OF(observed));
  tcase_add_test(tests, threat_defence_is_told);
  tcase_add_test(tests, known_is_all_that_is_read);
  tcase_add_loop_test(tests, the_words_agree_with_the_core, 0, (int)COUNT_OF(comparisons));
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
