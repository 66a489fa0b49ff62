/* core/app/policy_yaml: what a policy's file may say, and what is said of one that is wrong. */
#include "core/app/policy_shipped.h"
#include "core/app/policy_yaml.h"
#include "core/app/text.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct policy policy;
static struct findings findings;

static bool read_text(const char *text) {
  findings = (struct findings){0};
  return policy_read(span_text(text), &policy, &findings);
}

#define RULE_HEAD "version: v\nrules:\n- id: r\n  title: t\n  remediation: m\n"
#define RULE(require) RULE_HEAD "  require: " require "\n"
#define GOOD RULE("[disk_encrypted, is, true]")
#define STAGES(stages) GOOD "escalation:\n  noncompliant:\n    stages:\n" stages
#define OVERDUE(lines) GOOD "escalation:\n  overdue_sync:\n" lines
#define QUIET(lines) GOOD "escalation:\n  quiet_hours: " lines "\n"
#define COMMANDS(value) GOOD "commands: " value "\n"
#define EXEMPT(fields) GOOD "exemptions:\n- {" fields "}\n"
#define NESTED_7 "{not: {not: {not: {not: {not: {not: {not: "
#define CLOSED_7 "}}}}}}}"

/* The first finding of each text. */
static const struct {
  const char *text;
  const char *finding;
} wrong[] = {
    {"", "1:1: the file is empty"},
    {"- a\n", "1:1: a policy is written as lines of \"key: value\""},
    {"version: v\nrules: [\n", "3:1: not YAML: did not find expected node content while parsing a "
                               "flow node"},
    {"version: \xff\n", "1:10: not YAML: invalid leading UTF-8 octet"},
    {"version: v\n---\nversion: v\n", "2:1: one document is enough"},
    {"version: &a v\n", "1:10: anchors (&) and tags (!) are not taken here"},
    {"version: *a\n", "1:10: aliases (*) are not taken here"},
    {"version: !!str v\n", "1:10: anchors (&) and tags (!) are not taken here"},
    {"[a]: v\n", "1:1: a key must be a plain name"},
    {GOOD "verison: v\n", "7:1: unknown key of a policy: verison; did you mean version?"},
    {GOOD "colour: v\n", "7:1: unknown key of a policy: colour; there is version, title, "
                         "minimum_os, rules, escalation, on_enrolment, commands, exemptions"},
    {GOOD "\"a\\n\\eb\": v\n", "7:1: unknown key of a policy: a??b; there is version, title, "
                               "minimum_os, rules, escalation, on_enrolment, commands, exemptions"},
    {GOOD "version: w\n", "7:1: version is given twice, first in line 1"},
    {"rules: []\n", "1:1: a policy needs version and rules"},
    {"version: v\nrules: []\n", "2:8: an empty list of rules: leave it out"},
    {"version: v\nrules: r\n", "2:8: rules is a list: lines that begin with \"- \""},
    {"version:\nrules: r\n", "1:9: version has no value"},
    {"version: [v]\nrules: r\n", "1:10: version takes one value, not a list"},
    {"version: a b\nrules: r\n", "1:10: version takes a name of 1 to 63 letters, digits, '_', '-' "
                                 "and '.', not \"a b\""},
    {"version: .v\nrules: r\n", "1:10: version takes a name of 1 to 63 letters, digits, '_', '-' "
                                "and '.', not \".v\""},
    {GOOD "title: \"a\\nb\"\n", "7:8: title takes 1 to 127 bytes of text in one line, without "
                                "control characters"},
    /* Platforms' minimums. */
    {GOOD "minimum_os: 10\n", "7:13: minimum_os is written as lines of \"key: value\""},
    {GOOD "minimum_os: {window: 10}\n", "7:14: unknown key of minimum_os: window; did you mean "
                                        "windows?"},
    {GOOD "minimum_os: {ios: 17.x}\n", "7:19: ios takes a version such as 10.0.22631: numbers with "
                                       "dots between, not \"17.x\""},
    /* Rules. */
    {"version: v\nrules:\n- r\n", "3:3: a rule is written as lines of \"key: value\""},
    {"version: v\nrules:\n- id: r\n  title: t\n  remediation: m\n", "3:3: a rule needs require"},
    {"version: v\nrules:\n- requires: r\n", "3:3: unknown key of a rule: requires; did you mean "
                                            "require?"},
    {GOOD "- {id: r, title: t, remediation: m, require: [disk_encrypted, is, true]}\n",
     "7:8: rule r is there already, in line 3"},
    {RULE("yes"), "6:12: a condition is [fact, comparison, value], or one of all, any and not"},
    {RULE("[disk_encrypted, is]"), "6:12: a comparison has three parts: [fact, comparison, value], "
                                   "not 2"},
    {RULE("[disk_encryptd, is, true]"), "6:13: unknown fact disk_encryptd; did you mean "
                                        "disk_encrypted?"},
    {RULE("[colour, is, true]"),
     "6:13: unknown fact colour; there is os_version, antivirus_enabled, disk_encrypted, "
     "antivirus_signatures_age, screen_lock_pin_length, threat_defence_level, threat_defence_age"},
    {RULE("[user_email, is, a]"), "6:13: user_email is personal: a rule reads facts of devices, "
                                  "never of persons"},
    {RULE("[Serial, is, a]"), "6:13: Serial is personal: a rule reads facts of devices, never of "
                              "persons"},
    {RULE("[[a], is, a]"), "6:13: a fact takes one value, not a list"},
    {RULE("[disk_encrypted, equals, true]"), "6:29: unknown comparison equals; there is is, "
                                             "is_not, below, at_most, at_least, above"},
    {RULE("[disk_encrypted, at_leats, true]"), "6:29: unknown comparison at_leats; did you mean "
                                               "at_least?"},
    {RULE("[disk_encrypted, below, true]"), "6:29: disk_encrypted is true or false: it takes is or "
                                            "is_not"},
    {RULE("[disk_encrypted, is, yes]"), "6:33: disk_encrypted takes true or false, not yes"},
    {RULE("[disk_encrypted, is, {a: b}]"), "6:33: disk_encrypted takes one value, not a mapping"},
    {RULE("[screen_lock_pin_length, at_least, six]"),
     "6:47: screen_lock_pin_length takes a whole number from 0 to 2147483646, not six"},
    {RULE("[screen_lock_pin_length, at_least, 6.5]"),
     "6:47: screen_lock_pin_length takes a whole number from 0 to 2147483646, not 6.5"},
    {RULE("[screen_lock_pin_length, at_least, -1]"),
     "6:47: screen_lock_pin_length takes a whole number from 0 to 2147483646, not -1"},
    {RULE("[antivirus_signatures_age, at_most, 168]"),
     "6:48: antivirus_signatures_age 168 is no duration: its unit is missing; write 24h, 1h30m, 7d "
     "or 500ms"},
    {RULE("[antivirus_signatures_age, at_most, 7 days]"),
     "6:48: antivirus_signatures_age 7 days is no duration; write 24h, 1h30m, 7d or 500ms"},
    {RULE("[antivirus_signatures_age, at_most, 30m1h]"),
     "6:48: antivirus_signatures_age 30m1h is no duration; write 24h, 1h30m, 7d or 500ms"},
    {RULE("[antivirus_signatures_age, at_most, 4000d]"),
     "6:48: antivirus_signatures_age 4000d is no duration; write 24h, 1h30m, 7d or 500ms"},
    {RULE("[os_version, at_least, Sonoma]"), "6:35: os_version takes a version such as 10.0.22631: "
                                             "numbers with dots between, not \"Sonoma\""},
    {RULE("[os_version, is, minimum_os]"), "6:29: minimum_os goes with at_least or below"},
    {RULE("[os_version, below, unknown]"), "6:32: unknown goes with is or is_not"},
    {RULE("[threat_defence_level, at_most, lo]"), "6:44: unknown threat_defence_level lo; did you "
                                                  "mean low?"},
    {RULE("{all: []}"), "6:18: all takes a list of conditions"},
    {RULE("{any: [disk_encrypted, is, true]}"), "6:18: any takes a list of conditions"},
    {RULE("{none: [[disk_encrypted, is, true]]}"), "6:13: unknown key of a condition: none; there "
                                                   "is all, any, not"},
    {RULE("{}"), "6:12: a condition is one of all, any and not"},
    {RULE("{not: [disk_encrypted, is, true], all: [[disk_encrypted, is, true]]}"),
     "6:12: a condition is one of all, any and not"},
    {RULE(NESTED_7 "{not: [disk_encrypted, is, true]}" CLOSED_7),
     "6:60: conditions are nested at most 8 deep"},
    /* Whom a rule concerns. */
    {GOOD "  applies_to: windows\n", "7:15: applies_to is written as lines of \"key: value\""},
    {GOOD "  applies_to: {platforms: [windows, beos]}\n", "7:37: unknown platform beos; there is "
                                                          "windows, macos, ios, android, linux"},
    {GOOD "  applies_to: {profiles: [mobile, mobile]}\n", "7:35: mobile is given twice"},
    {GOOD "  applies_to: {ownership: []}\n", "7:27: an empty list of ownership: leave it out"},
    {GOOD "  applies_to: {user_groups: [sales, sales]}\n", "7:37: sales is given twice"},
    {GOOD "  applies_to: {device_groups: a@b.c}\n",
     "7:31: a group takes a name of 1 to 63 letters, digits, '_', '-' and '.', not \"a@b.c\""},
    {GOOD "  applies_to: {groups: sales}\n", "7:16: unknown key of applies_to: groups; there is "
                                             "platforms, profiles, ownership, user_groups, "
                                             "device_groups"},
    {GOOD "  applies_to: {platforms: linux, profiles: mobile}\n",
     "7:15: applies to no device: none of these profiles is for any of these platforms"},
    /* Escalation. */
    {STAGES("    - {notify: a}\n"), "10:7: a stage needs after"},
    {STAGES("    - {after: 1h}\n"),
     "10:7: a stage does something: notify, block, ticket or retire"},
    {STAGES("    - {after: 1h, notify: a}\n    - {after: 60m, notify: b}\n"),
     "11:15: stages stand in order of time: this one is not later than the one before"},
    {STAGES("    - {after: 1h, block: vpn}\n"), "10:26: unknown resource vpn; there is email, sap"},
    {STAGES("    - {after: 1h, ticket: close}\n"), "10:27: unknown ticket action close; there is "
                                                   "open"},
    {STAGES("    - {after: 1h, retire: true}\n"), "10:27: unknown retire true; there is "
                                                  "device"},
    {STAGES("    - {after: 1h, block: email}\n    - {after: 2h, retire: device}\n"),
     "11:7: a device is retired unannounced: an earlier stage must notify"},
    {STAGES("    - {after: 1h, retire: device, notify: gone}\n"),
     "10:7: a device is retired unannounced: an earlier stage must notify"},
    {STAGES("    - {after: 1h, notify: a}\n    - {after: 2h, retire: device}\n"
            "    - {after: 3h, notify: b}\n"),
     "12:7: a stage after one that retires the device: nothing is left to do"},
    {STAGES("    - {after: 1h, notify: a}\n    - {after: 2h, retire: device, ticket: open}\n"),
     "11:7: a stage that retires can notify beside it: a retirement blocks and resolves the ticket "
     "by itself"},
    {OVERDUE("    interval: 8h\n    stages:\n    - {after: 9h, retire: device}\n"),
     "11:7: a stage of overdue_sync can notify only: blocks, tickets and retirement are for "
     "non-compliance"},
    {STAGES("    - {after: 1h, notify: [a, b, c, d, e]}\n"), "10:40: at most 4 of notify"},
    {GOOD "escalation:\n  noncompliant: {minimum_clean: 1}\n",
     "8:33: minimum_clean 1 is no duration: its unit is missing; write 24h, 1h30m, 7d or 500ms"},
    {OVERDUE("    grace: 1h\n"), "9:5: overdue_sync needs interval"},
    {OVERDUE("    interval: 0s\n"), "9:15: interval is longer than 0"},
    {OVERDUE("    interval: 8h\n    stages:\n    - {after: 9h, ticket: open}\n"),
     "11:7: a stage of overdue_sync can notify only: blocks, tickets and retirement are for "
     "non-compliance"},
    {OVERDUE("    interval: 8h\n    grace: 1h\n    stages:\n    - {after: 8h, notify: a}\n"),
     "12:7: after counts from the last check-in: before interval and grace are over, nothing is "
     "overdue"},
    {QUIET("{from: \"22:00\"}"), "8:16: quiet_hours needs from and to"},
    {QUIET("{from: \"22:00\", to: \"22:00\"}"), "8:36: to is another time than from"},
    {QUIET("{from: \"24:00\", to: \"06:00\"}"), "8:23: from takes a time of day such as \"22:00\", "
                                                "not 24:00"},
    {QUIET("{from: \"22:00\", to: \"6:00\"}"), "8:36: to takes a time of day such as \"22:00\", "
                                               "not 6:00"},
    {QUIET("{from: \"22:00\", to: \"06:00\", utc_offset: \"01:00\"}"),
     "8:57: utc_offset takes hours and minutes such as \"+01:00\", not 01:00"},
    /* Enrolment and commands. */
    {GOOD "on_enrolment: push\n", "7:15: unknown on_enrolment push; there is push_profile"},
    {COMMANDS("{user_may: sync}"), "7:12: unknown key of commands: user_may; did you mean "
                                   "users_may?"},
    {COMMANDS("{users_may: [sync, renam]}"), "7:30: unknown command of users renam; did you mean "
                                             "rename?"},
    {COMMANDS("{users_may: [sync, sync]}"), "7:30: sync is given twice"},
    {COMMANDS("{users_may: []}"), "7:23: an empty list of users_may: leave it out"},
    {COMMANDS("{users_may: [wipe]}"), "7:24: a wipe takes an admin: users may ask for sync, rename "
                                      "and retire"},
    {COMMANDS("{users_may: [none]}"), "7:24: unknown command of users none; there is sync, rename, "
                                      "retire"},
    {COMMANDS("{wipe: 20}"), "7:18: wipe is written as lines of \"key: value\""},
    {COMMANDS("{wipe: {approvals: 9}}"), "7:30: approvals takes a whole number from 0 to 8, not 9"},
    {COMMANDS("{wipe: {limit: 20}}"), "7:18: limit and per go together: so many wipes in so long, "
                                      "such as 20 per 1h"},
    {COMMANDS("{wipe: {limit: 0, per: 1h}}"), "7:26: limit takes a whole number from 1 to 1000000, "
                                              "not 0"},
    {COMMANDS("{wipe: {limit: 20, per: 0s}}"), "7:35: per is longer than 0"},
    /* Exemptions. */
    {EXEMPT("device: D001, rule: r, approver: CISO, expires: 2027-01-01T00:00:00Z"),
     "8:3: an exemption needs reason"},
    {EXEMPT("rule: r, approver: CISO, expires: 2027-01-01T00:00:00Z, reason: x"),
     "8:3: an exemption needs one of device and serial"},
    {EXEMPT("device: X1, rule: r, approver: CISO, expires: 2027-01-01T00:00:00Z, reason: x"),
     "8:12: device takes an ID such as D001, not X1"},
    {EXEMPT("device: D001, rule: q, approver: CISO, expires: 2027-01-01T00:00:00Z, reason: x"),
     "8:24: unknown rule q; did you mean r?"},
    {EXEMPT("serial: S, rule: r, approver: a@b.c, expires: 2027-01-01T00:00:00Z, reason: x"),
     "8:34: approver is an address of a person, and a policy is never erased: write a role or a "
     "reference"},
    {EXEMPT("serial: S, rule: r, approver: CISO, expires: next year, reason: x"),
     "8:49: expires takes an instant such as 2026-12-31T00:00:00Z, not next year"},
};

START_TEST(a_wrong_file_is_told_with_its_place) {
  ck_assert(!read_text(wrong[_i].text));
  const struct finding *first = &findings.items[0];
  char text[FINDING_TEXT_SIZE + 32];
  snprintf(text, sizeof text, "%u:%u: %s", first->line, first->column, first->text);
  ck_assert_str_eq(text, wrong[_i].finding);
}
END_TEST

START_TEST(every_finding_is_told) {
  ck_assert(!read_text("version: v\ntitel: t\nrules:\n- id: a b\n  title: t\n  remediation: m\n"
                       "  require: [user_email, is, x]\n- id: c\n"));
  ck_assert_uint_eq(findings.count, 6);
  ck_assert_uint_eq(findings.items[0].line, 2);
  ck_assert_uint_eq(findings.items[1].line, 4);
  ck_assert_uint_eq(findings.items[2].line, 7);
  ck_assert_uint_eq(findings.items[5].line, 8);
}
END_TEST

/* `count` times `item`, in which # is the number, between `head` and `tail`; the caller frees
 * it. */
static char *repeated(const char *head, const char *item, size_t count, const char *tail) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  fputs(head, out);
  for (size_t i = 0; i < count; i++) {
    for (const char *at = item; *at != '\0'; at++) {
      if (*at == '#') {
        fprintf(out, "%zu", i);
      } else {
        fputc(*at, out);
      }
    }
  }
  fputs(tail, out);
  fclose(out);
  return text;
}

static const struct {
  const char *head, *item, *tail;
  size_t fits_count, too_many_count;
  const char *finding;
} limits[] = {
    {"version: v\nrules:\n",
     "- {id: r#, title: t, remediation: m, require: [disk_encrypted, is, true]}\n", "", 32, 33,
     "at most 32 of rules"},
    {RULE_HEAD "  require:\n    all:\n", "    - [screen_lock_pin_length, at_least, #]\n", "", 64,
     65, "rule r: a policy has at most 64 different comparisons, and this is one more"},
    {RULE_HEAD "  require:\n    all:\n", "    - [disk_encrypted, is, true]\n", "", 510, 511,
     "a policy compares at most 511 times"},
    {RULE_HEAD "  require:\n    any:\n",
     "    - all: [[screen_lock_pin_length, above, 1#], [antivirus_signatures_age, below, 1#h]]\n",
     "", 6, 7, "rule r: its all and any multiply to too many; split it into several rules"},
    {RULE_HEAD "  require:\n    all:\n", "    - [os_version, is_not, 1.#]\n", "", 64, 65,
     "a policy names at most 64 different versions"},
    {GOOD "escalation: {noncompliant: {stages: [", "{after: 1#h, notify: a}, ", "]}}\n", 8, 9,
     "at most 8 of stages"},
    {RULE_HEAD "  require: [disk_encrypted, is, true]\n  applies_to: {device_groups: [a, b, c, d], "
               "user_groups: [",
     "g#, ", "]}\n", 12, 13, "a policy names at most 16 different groups"},
    {GOOD "exemptions:\n",
     "- {serial: S#, rule: r, approver: a, expires: 2027-01-01T00:00:00Z, reason: b}\n", "", 128,
     129, "at most 128 of exemptions"},
    {"", "[", "", 0, 25, "nested too deeply"},
    {"a: [", "x, ", "]\n", 0, 20000, "too many values in one file"},
    {"# ", "a long comment ", "\n", 0, 20000, "a file of 300003 bytes, at most 262144 are read"},
};

START_TEST(what_is_too_much_is_refused) {
  if (limits[_i].fits_count > 0) {
    char *fits = repeated(limits[_i].head, limits[_i].item, limits[_i].fits_count, limits[_i].tail);
    ck_assert_msg(read_text(fits), "%u:%u: %s", findings.items[0].line, findings.items[0].column,
                  findings.items[0].text);
    free(fits);
  }
  char *text =
      repeated(limits[_i].head, limits[_i].item, limits[_i].too_many_count, limits[_i].tail);
  ck_assert(!read_text(text));
  ck_assert_str_eq(findings.items[0].text, limits[_i].finding);
  free(text);
}
END_TEST

START_TEST(more_findings_than_are_kept_are_counted) {
  char *text = repeated("version: v\n", "x#: 1\n", FINDINGS_MAX + 20, "");
  ck_assert(!read_text(text));
  ck_assert_uint_eq(findings.count, FINDINGS_MAX);
  ck_assert_uint_eq(findings_count(&findings), FINDINGS_MAX + 21);
  /* A full list hides nothing: one that is good is good, one that is not is not. */
  ck_assert(policy_read(span_text(GOOD), &policy, &findings));
  ck_assert(!policy_read(span_text("version: v\n"), &policy, &findings));
  free(text);
}
END_TEST

/* Every prefix of a good file, and every file with one byte less, is read without harm. */
START_TEST(damaged_files_do_no_harm) {
  const struct span whole = policy_shipped_text("extended");
  ck_assert_uint_gt(whole.size, 1000);
  char *text = text_copy_size((const char *)whole.data, whole.size);
  ck_assert(policy_read(whole, &policy, &findings));
  for (size_t i = 0; i < whole.size; i++) {
    findings = (struct findings){0};
    (void)!policy_read(span_of(text, i), &policy, &findings);
    findings = (struct findings){0};
    const char kept = text[i];
    text[i] = i % 3 == 0 ? '[' : i % 3 == 1 ? ':' : '\0';
    (void)!policy_read(span_of(text, whole.size), &policy, &findings);
    text[i] = kept;
  }
  free(text);
}
END_TEST

START_TEST(the_default_policy_is_the_contract_s) {
  static const char *const ids[] = {"os_out_of_date", "antivirus", "not_encrypted",
                                    "weak_screen_lock"};
  const struct policy *got = policy_default();
  ck_assert_str_eq(got->version, "default");
  ck_assert_uint_eq(got->rule_count, COUNT_OF(ids));
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    ck_assert_str_eq(got->rule_ids[i], ids[i]);
    ck_assert_str_ne(got->rules[i].title, "");
    ck_assert_str_ne(got->rules[i].remediation, "");
  }
  ck_assert_str_eq(got->minimum_os[PLATFORM_WINDOWS], "10.0.22631");
  ck_assert_str_eq(got->minimum_os[PLATFORM_LINUX], "");
  ck_assert_uint_eq(got->noncompliant.count, 2);
  ck_assert_int_eq(got->noncompliant.stages[0].after_ms, 0);
  ck_assert_str_eq(got->noncompliant.stages[0].templates[0], "noncompliant");
  ck_assert_uint_eq(got->noncompliant.stages[0].blocks, 0);
  ck_assert_int_eq(got->noncompliant.stages[1].after_ms, INT64_C(86400000));
  ck_assert_uint_eq(got->noncompliant.stages[1].blocks, 1u << RESOURCE_EMAIL);
  ck_assert(got->noncompliant.stages[1].opens_ticket);
  ck_assert_str_eq(got->noncompliant.stages[1].reason, "noncompliant for 24 h");
  ck_assert(got->checks.is_plain);
  ck_assert_uint_eq(got->overdue.count, 0);
  ck_assert_int_eq(got->overdue_after_ms, 0);
  ck_assert_int_eq(got->minimum_clean_ms, 0);
  ck_assert_ptr_null(policy_shipped_text("none").data);
}
END_TEST

/* Each new meaning is kept, and a policy that says nothing of commands lets users sync. */
START_TEST(commands_groups_and_retirement_are_read) {
  ck_assert(read_text(GOOD));
  ck_assert_uint_eq(policy.commands.of_users, 1u << COMMAND_SYNC);
  ck_assert_uint_eq(policy.commands.wipe_limit, 0);
  ck_assert(!policy.pushes_profile);
  ck_assert(read_text(COMMANDS("{users_may: none}")));
  ck_assert_uint_eq(policy.commands.of_users, 0);
  ck_assert(read_text(GOOD "  applies_to: {user_groups: [board, sales], device_groups: board}\n"
                           "on_enrolment: push_profile\n"
                           "commands:\n  users_may: [rename, retire]\n"
                           "  wipe: {approvals: 1, limit: 20, per: 1h}\n"
                           "escalation: {noncompliant: {stages: [{after: 1h, notify: a},\n"
                           "  {after: 30d, notify: b, retire: device}]}}\n"));
  ck_assert_uint_eq(policy.group_count, 2);
  ck_assert_str_eq(policy.groups[1], "sales");
  ck_assert_uint_eq(policy.rules[0].scope.user_groups, 3);
  ck_assert_uint_eq(policy.rules[0].scope.device_groups, 1);
  ck_assert(policy.pushes_profile);
  ck_assert_uint_eq(policy.commands.of_users, 1u << COMMAND_RENAME | 1u << COMMAND_RETIRE);
  ck_assert_uint_eq(policy.commands.wipe_approvals, 1);
  ck_assert_uint_eq(policy.commands.wipe_limit, 20);
  ck_assert_int_eq(policy.commands.wipe_limit_per_ms, 3600000);
  ck_assert(!policy.noncompliant.stages[0].retires);
  ck_assert(policy.noncompliant.stages[1].retires);
  ck_assert_uint_eq(policy.noncompliant.stages[1].template_count, 1);
}
END_TEST

START_TEST(durations_are_written_as_they_are_read) {
  static const struct {
    const char *text;
    int64_t ms;
    const char *written;
  } durations[] = {{"0s", 0, "0s"},           {"24h", 86400000, "24h"},
                   {"7d", 604800000, "168h"}, {"1d1h1m1s1ms", 90061001, "25h1m1s1ms"},
                   {"90m", 5400000, "1h30m"}, {"500ms", 500, "500ms"}};
  for (size_t i = 0; i < COUNT_OF(durations); i++) {
    int64_t ms = -1;
    char text[DURATION_TEXT_SIZE];
    ck_assert(duration_parse(durations[i].text, &ms));
    ck_assert_int_eq(ms, durations[i].ms);
    ck_assert_str_eq(duration_format(ms, text), durations[i].written);
  }
  static const char *const wrong_ones[] = {"",    "h",    "1",  "1 h",          "1h1h", "1s1h",
                                           "-1h", "1.5h", "1w", "99999999999d", "3651d"};
  for (size_t i = 0; i < COUNT_OF(wrong_ones); i++) {
    int64_t ms;
    ck_assert_msg(!duration_parse(wrong_ones[i], &ms), "%s", wrong_ones[i]);
  }
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("policy_yaml");
  TCase *const tests = tcase_create("all");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, a_wrong_file_is_told_with_its_place, 0, (int)COUNT_OF(wrong));
  tcase_add_test(tests, every_finding_is_told);
  tcase_add_loop_test(tests, what_is_too_much_is_refused, 0, (int)COUNT_OF(limits));
  tcase_add_test(tests, more_findings_than_are_kept_are_counted);
  tcase_add_test(tests, damaged_files_do_no_harm);
  tcase_add_test(tests, the_default_policy_is_the_contract_s);
  tcase_add_test(tests, commands_groups_and_retirement_are_read);
  tcase_add_test(tests, durations_are_written_as_they_are_read);
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
