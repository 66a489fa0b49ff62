/* policy check, test, show and diff: what they print, and how they end. */
#include "core/app/command.h"
#include "core/app/policy_file.h"
#include "core/app/policy_text.h"
#include "core/app/text.h"
#include "tests/lib/capture.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_SIZE = 128 };

static char directory[PATH_SIZE];

static const char *path_of(const char *name) {
  static char paths[4][PATH_SIZE + 64];
  static size_t next;
  char *path = paths[next++ % COUNT_OF(paths)];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  return path;
}

static void write_file(const char *name, const char *text) {
  FILE *file = fopen(path_of(name), "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
}

#define GOOD                                                                                       \
  "version: v1\nrules:\n- {id: lock, title: t, remediation: m,\n"                                  \
  "   require: [screen_lock_pin_length, at_least, 6]}\n"                                           \
  "- {id: disk, title: t, remediation: m, require: [disk_encrypted, is, true]}\n"                  \
  "escalation: {noncompliant: {stages: [{after: 24h, block: email}]}}\n"

/* The same, otherwise written. */
#define SAME                                                                                       \
  "# another hand\nescalation:\n  noncompliant:\n    stages:\n"                                    \
  "      - {block: [email], after: 1d}\n"                                                          \
  "rules:\n- require: [screen_lock_pin_length, at_least, 6]\n  id: 'lock'\n  title: \"t\"\n"       \
  "  remediation: >\n    m\n- {id: disk, title: t, remediation: m,\n"                              \
  "   require: [disk_encrypted, is, true]}\nversion: v1\n"

#define TEST(expected)                                                                             \
  "policy: good.yaml\ntests:\n- name: <a> & \"b\"\n  events:\n  - {at: 0s, enroll: SN1}\n"         \
  "  - {at: 1h, report: SN1, disk_encrypted: true}\n  until: 26h\n  expect:\n" expected

static void set_up(void) {
  snprintf(directory, sizeof directory, "/tmp/check_policy.XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(directory));
  write_file("good.yaml", GOOD);
  write_file("same.yaml", SAME);
  write_file("bad.yaml", "version: v1\nrule: []\n");
  write_file("good_test.yaml", TEST("  - 1h SN1 NONCOMPLIANT [lock]\n  - 25h SN1 block email\n"));
  write_file("bad_test.yaml", TEST("  - 1h SN1 NONCOMPLIANT [lock]\n  - 24h SN1 block email\n"));
}

static void tear_down(void) {
  static const char *const names[] = {"good.yaml",      "same.yaml",     "bad.yaml", "junit.xml",
                                      "good_test.yaml", "bad_test.yaml", "x.yaml"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    unlink(path_of(names[i]));
  }
  ck_assert_int_eq(rmdir(directory), 0);
}

#define RUN(...) capture_command((const char *const[]){"muster", __VA_ARGS__, NULL})

static void printed(int stream, const char *format, ...) PRINTF_LIKE(2, 3);

/* The whole of what went there. */
static void printed(int stream, const char *format, ...) {
  static char text[CAPTURED_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  ck_assert_str_eq(captured[stream], text);
}

START_TEST(check_names_every_finding) {
  ck_assert_int_eq(RUN("policy", "check", path_of("good.yaml"), path_of("bad.yaml")), 1);
  const char *good = strstr(captured[0], "good.yaml: ok, version v1, 2 rules, sha256 ");
  ck_assert_ptr_nonnull(good);
  char expected[512];
  snprintf(expected, sizeof expected,
           "\n%s:2:1: unknown key of a policy: rule; did you mean rules?\n"
           "%s:1:1: a policy needs version and rules\n",
           path_of("bad.yaml"), path_of("bad.yaml"));
  ck_assert_ptr_nonnull(strstr(good, expected));
  printed(1, "muster: 2 findings\n");
  ck_assert_int_eq(RUN("policy", "check", path_of("good.yaml")), 0);
  printed(1, "%s", "");
  ck_assert_int_eq(RUN("policy", "check", path_of("none.yaml")), 2);
  printed(1, "muster: %s: No such file or directory\n", path_of("none.yaml"));
  ck_assert_int_eq(RUN("policy", "check"), 2);
}
END_TEST

START_TEST(test_says_what_differs) {
  ck_assert_int_eq(RUN("policy", "test", path_of("good_test.yaml")), 0);
  printed(0, "ok     <a> & \"b\"\n%s: rules that never fired: disk\n1 passed, 0 failed\n",
          path_of("good_test.yaml"));
  printed(1, "%s", "");
  ck_assert_int_eq(RUN("policy", "test", path_of("bad_test.yaml"), "--junit", path_of("junit.xml")),
                   1);
  printed(0,
          "FAILED <a> & \"b\" (%s:3; - was expected, + was decided)\n"
          "      1h SN1 NONCOMPLIANT [lock]\n"
          "    - 24h SN1 block email\n"
          "    + 25h SN1 block email\n"
          "%s: rules that never fired: disk\n0 passed, 1 failed\n",
          path_of("bad_test.yaml"), path_of("bad_test.yaml"));
  char *xml;
  size_t size;
  struct error error;
  ck_assert_int_eq(policy_file_read(path_of("junit.xml"), &xml, &size, &error), STATUS_OK);
  ck_assert_ptr_nonnull(strstr(xml, "tests=\"1\" failures=\"1\""));
  ck_assert_ptr_nonnull(strstr(xml, "name=\"&lt;a&gt; &amp; &quot;b&quot;\""));
  ck_assert_ptr_nonnull(strstr(xml, "    + 25h SN1 block email\n</failure>"));
  free(xml);
  ck_assert_int_eq(RUN("policy", "test", path_of("good_test.yaml"), "--junit", "/no/such"), 2);
  printed(1, "muster: --junit /no/such: No such file or directory\n");
}
END_TEST

/* Tests of 31 rules: no rule is named as never fired, and JUnit's file has them all. */
START_TEST(every_rule_of_the_baselines_fires) {
  ck_assert_int_eq(RUN("policy", "test", SOURCE_DIR "/tests/data/baselines_test.yaml", "--junit",
                       path_of("junit.xml")),
                   0);
  ck_assert_ptr_null(strstr(captured[0], "never fired"));
  ck_assert_ptr_nonnull(strstr(captured[0], "\n7 passed, 0 failed\n"));
  char *xml;
  size_t size;
  struct error error;
  ck_assert_int_eq(policy_file_read(path_of("junit.xml"), &xml, &size, &error), STATUS_OK);
  ck_assert_ptr_nonnull(strstr(xml, "tests=\"7\" failures=\"0\""));
  size_t case_count = 0;
  for (const char *at = xml; (at = strstr(at, "<testcase ")) != NULL; at++) {
    case_count++;
  }
  ck_assert_uint_eq(case_count, 7);
  ck_assert_ptr_null(strstr(xml, "<failure"));
  free(xml);
}
END_TEST

/* The first finding of a file of tests. */
static const struct {
  const char *text;
  const char *finding;
} wrong[] = {
    {"tests: []\n", "1:1: a file of tests needs policy and tests"},
    {"policy: good.yaml\ntests: x\n", "2:8: tests is a list: lines that begin with \"- \""},
    {"policy: good.yaml\ntests: [{name: a}]\n", "2:9: a test needs name, events and expect"},
    {"policy: good.yaml\ntests: [{name: a, events: [], expects: []}]\n",
     "2:31: unknown key of a test: expects; did you mean expect?"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h}], expect: []}]\n",
     "2:28: an event needs at, and one of enroll, checkin and report with a serial"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, checkin: S, pin: 6}], expect: []}]\n",
     "2:49: unknown key of an event: pin; there is at, enroll, checkin, report, platform, profile, "
     "ownership, os_version, on_demand, antivirus_enabled, antivirus_signatures_age, "
     "disk_encrypted, screen_lock_pin_length, threat_defence"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, report: S, threat_defence: {level: lo}}], "
     "expect: []}]\n",
     "2:72: unknown level lo; did you mean low?"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, report: S, threat_defence: low}], "
     "expect: []}]\n",
     "2:64: threat_defence is written as lines of \"key: value\""},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, checkin: S, threat_defence: {age: 1h}}], "
     "expect: []}]\n",
     "2:65: threat_defence is no part of this event"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, checkin: S, platform: ios}], "
     "expect: []}]\n",
     "2:59: platform is no part of this event"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1, checkin: S}], expect: []}]\n",
     "2:33: at 1 is no duration: its unit is missing; write 24h, 1h30m, 7d or 500ms"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, enroll: S, platform: beos}], "
     "expect: []}]\n",
     "2:58: unknown platform beos; there is WINDOWS, MACOS, IOS, ANDROID, LINUX"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, enroll: S}, {at: 59m, checkin: S}], "
     "expect: []}]\n",
     "2:54: events stand in order of time: this one is before the one above"},
    {"policy: good.yaml\ntests: [{name: a, events: [{at: 1h, enroll: S}], until: 1m, "
     "expect: []}]\n",
     "2:57: until is before the last event"},
    {"policy: good.yaml\ntests: [{name: a, start: now, events: [], expect: []}]\n",
     "2:26: start takes an instant such as 2026-01-01T00:00:00Z, not now"},
};

START_TEST(a_wrong_test_is_told_with_its_place) {
  write_file("x.yaml", wrong[_i].text);
  ck_assert_int_eq(RUN("policy", "test", path_of("x.yaml")), 1);
  char expected[512];
  snprintf(expected, sizeof expected, "%s:%s\n", path_of("x.yaml"), wrong[_i].finding);
  ck_assert_msg(strncmp(captured[0], expected, strlen(expected)) == 0, "%s", captured[0]);
}
END_TEST

START_TEST(tests_without_a_policy_are_refused) {
  write_file("x.yaml", "policy: none\ntests: []\n");
  ck_assert_int_eq(RUN("policy", "test", path_of("x.yaml")), 1);
  printed(1, "muster: none: no such file, and no policy of that version is part of muster\n");
  write_file("x.yaml", "policy: bad.yaml\ntests: []\n");
  ck_assert_int_eq(RUN("policy", "test", path_of("x.yaml")), 1);
  write_file("x.yaml", "policy: default\ntests: []\n");
  ck_assert_int_eq(RUN("policy", "test", path_of("x.yaml")), 1);
  printed(1, "muster: no tests in these files\n");
}
END_TEST

START_TEST(show_tells_the_lines) {
  ck_assert_int_eq(RUN("policy", "show", path_of("good.yaml"), "-o", "ndjson"), 0);
  ck_assert_ptr_nonnull(strstr(captured[0], "{\"key\":\"rules\",\"value\":\"lock, disk\"}\n"));
  ck_assert_ptr_nonnull(strstr(captured[0], "{\"key\":\"rules.lock.require\",\"value\":"
                                            "\"[screen_lock_pin_length, at_least, 6]\"}\n"));
  ck_assert_ptr_nonnull(strstr(captured[0], "{\"key\":\"escalation.noncompliant.after.24h\","
                                            "\"value\":\"block email\"}\n"));
  ck_assert_int_eq(RUN("policy", "show"), 0);
  ck_assert_ptr_nonnull(strstr(captured[0], "os_out_of_date, antivirus"));
  ck_assert_int_eq(RUN("policy", "show", "none.yaml"), 1); /* a version is asked of a database */
}
END_TEST

START_TEST(diff_tells_what_differs) {
  ck_assert_int_eq(RUN("policy", "diff", path_of("good.yaml"), path_of("same.yaml")), 0);
  ck_assert_int_eq(RUN("policy", "diff", "default", "extended", "-o", "csv"), 1);
  printed(1, "%s", "");
  ck_assert_ptr_nonnull(strstr(captured[0], "key,before,after"));
  ck_assert_ptr_nonnull(strstr(captured[0], "version,default,extended"));
  ck_assert_ptr_nonnull(
      strstr(captured[0], "escalation.noncompliant.after.20h,,notify email_block_in_4h"));
  ck_assert_ptr_null(strstr(captured[0], "rules.antivirus"));
  ck_assert_int_eq(RUN("policy", "diff", "default"), 2);
}
END_TEST

static void hash_of(const char *text, uint8_t hash[DIGEST_SIZE]) {
  static struct policy policy;
  static struct findings findings;
  findings = (struct findings){0};
  ck_assert(policy_read(span_text(text), &policy, &findings));
  policy_hash(&policy, hash);
}

START_TEST(the_hash_is_of_the_meaning) {
  uint8_t good[DIGEST_SIZE];
  uint8_t other[DIGEST_SIZE];
  hash_of(GOOD, good);
  hash_of(SAME, other);
  ck_assert_mem_eq(good, other, DIGEST_SIZE);
  /* Every byte that means something counts: a digit, a letter of a text, the order of rules. */
  static const char *const from[] = {"6]}", "title: t", "24h", "v1", "at_least", "email", "lock"};
  static const char *const to[] = {"7]}", "title: u", "25h", "v2", "at_most ", "sap  ", "luck"};
  for (size_t i = 0; i < COUNT_OF(from); i++) {
    char *text = text_copy(GOOD);
    char *place = strstr(text, from[i]);
    ck_assert_uint_eq(strlen(from[i]), strlen(to[i]));
    memcpy(place, to[i], strlen(to[i]));
    hash_of(text, other);
    ck_assert_mem_ne(good, other, DIGEST_SIZE);
    free(text);
  }
}
END_TEST

#define ALL_WORDS(groups)                                                                           \
  "version: v1\nrules:\n- {id: a, title: t, remediation: m, require: [disk_encrypted, is, true],\n" \
  "   applies_to: {user_groups: " groups ", device_groups: kiosks}}\n"                              \
  "on_enrolment: push_profile\ncommands: {users_may: [sync, rename],\n"                             \
  "  wipe: {approvals: 1, limit: 20, per: 1h}}\n"                                                   \
  "escalation: {noncompliant: {stages: [{after: 1h, notify: a},\n"                                  \
  "  {after: 30d, retire: device}]}}\n"

/* What says more than the default is a line, counts for the hash, and is a difference. */
START_TEST(every_new_meaning_is_shown_and_hashed) {
  static const char *const lines[] = {
      "rules.a.applies_to,user_groups board; device_groups kiosks",
      "escalation.noncompliant.after.720h,retire device",
      "on_enrolment,push_profile",
      "commands.users_may,\"RENAME, SYNC\"",
      "commands.wipe.approvals,1",
      "commands.wipe.limit,20 per 1h",
  };
  static const char *const from[] = {"board",    "kiosks",        "on_enrolment: push_profile\n",
                                     ", rename", "approvals: 1",  "limit: 20",
                                     "per: 1h",  "retire: device"};
  static const char *const to[] = {"bored",    "booths",        "# nothing is pushed here  \n",
                                   "        ", "approvals: 2",  "limit: 21",
                                   "per: 2h",  "notify: retire"};
  uint8_t hash[DIGEST_SIZE];
  uint8_t other[DIGEST_SIZE];
  write_file("x.yaml", ALL_WORDS("board"));
  ck_assert_int_eq(RUN("policy", "show", path_of("x.yaml"), "-o", "csv"), 0);
  for (size_t i = 0; i < COUNT_OF(lines); i++) {
    ck_assert_msg(strstr(captured[0], lines[i]) != NULL, "%s in %s", lines[i], captured[0]);
  }
  hash_of(ALL_WORDS("board"), hash);
  for (size_t i = 0; i < COUNT_OF(from); i++) {
    char *text = text_copy(ALL_WORDS("board"));
    memcpy(strstr(text, from[i]), to[i], strlen(from[i]));
    hash_of(text, other);
    ck_assert_msg(memcmp(hash, other, DIGEST_SIZE) != 0, "%s", from[i]);
    free(text);
  }
  hash_of(ALL_WORDS("[board, audit]"), hash);
  hash_of(ALL_WORDS("[audit, board]"), other);
  ck_assert_mem_eq(hash, other, DIGEST_SIZE);
}
END_TEST

/* Recorded results name the version; what it means must stay what it was when they were made. */
START_TEST(the_hash_of_the_default_policy_stays) {
  ck_assert_int_eq(RUN("policy", "show", "-o", "csv"), 0);
  ck_assert_ptr_nonnull(strstr(
      captured[0], "sha256,00dc88e4116ab50150e5e653559e4d95de5e8a1e7b3f94d28d475174e1c2765c"));
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("policy_command");
  TCase *const tests = tcase_create("all");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, check_names_every_finding);
  tcase_add_test(tests, test_says_what_differs);
  tcase_add_test(tests, every_rule_of_the_baselines_fires);
  tcase_add_loop_test(tests, a_wrong_test_is_told_with_its_place, 0, (int)COUNT_OF(wrong));
  tcase_add_test(tests, tests_without_a_policy_are_refused);
  tcase_add_test(tests, show_tells_the_lines);
  tcase_add_test(tests, diff_tells_what_differs);
  tcase_add_test(tests, the_hash_is_of_the_meaning);
  tcase_add_test(tests, every_new_meaning_is_shown_and_hashed);
  tcase_add_test(tests, the_hash_of_the_default_policy_stays);
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
