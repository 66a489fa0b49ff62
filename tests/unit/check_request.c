/* What commands that ask refuse before anything is sent: each field by its name, exit 2. No broker
 * is there: whatever got past the checks would end with 75. */
#include "core/app/request.h"
#include "core/app/text.h"
#include "tests/lib/capture.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROVISION "muster", "device", "provision", "SN1"
#define ANN "--user", "ann@example.org"
#define LAPTOP "--profile", "standard", "--platform", "windows"

static const struct {
  const char *words[16];
  const char *text; /* on stderr, behind "muster: " */
} refused[] = {
    {{"muster", "device", "provision", ANN, LAPTOP}, "device provision: serial is missing"},
    {{PROVISION, "--serial", "SN2"}, "device provision: serial is given twice"},
    {{PROVISION, LAPTOP, "--os-version", "1"}, "device provision: user_email is missing"},
    {{PROVISION, "--user", "ann", LAPTOP}, "device provision: user_email: a mail address"},
    {{PROVISION, "--user", "@x", LAPTOP}, "device provision: user_email: a mail address"},
    {{PROVISION, "--user", "ann@", LAPTOP}, "device provision: user_email: a mail address"},
    {{PROVISION, "--user", "a\tb@x", LAPTOP}, "device provision: user_email: a mail address"},
    {{PROVISION, ANN, "--platform", "ios"}, "device provision: profile is missing"},
    {{PROVISION, ANN, "--profile", "vip"},
     "device provision: profile takes STANDARD, MOBILE, EXECUTIVE, not \"vip\""},
    {{PROVISION, ANN, "--profile", "mobile"}, "device provision: platform is missing"},
    {{PROVISION, ANN, "--profile", "mobile", "--platform", "beos"},
     "device provision: platform takes WINDOWS, MACOS, IOS, ANDROID, LINUX, not \"beos\""},
    {{PROVISION, ANN, LAPTOP}, "device provision: os_version is missing"},
    {{PROVISION, ANN, LAPTOP, "--os-version", "11 Pro"},
     "device provision: os_version: dotted decimals"},
    {{PROVISION, ANN, LAPTOP, "--os-version", "1", "--ownership", "mine"},
     "device provision: ownership takes CORPORATE, PERSONAL, not \"mine\""},
    {{PROVISION, ANN, LAPTOP, "--os-version", "1", "--notice-at", "2026-11-01T00:00:00Z"},
     "device provision: --notice-at goes with --notice"},
    {{"muster", "device", "provision", "S\xc3\xa4", ANN},
     "device provision: serial: 1 to 64 printable ASCII characters is needed"},
    {{"muster", "device", "set-status", "SN1", "lost"},
     "device set-status: status takes PENDING, ENROLLED, FAILED, WIPED, RETIRED, not \"lost\""},
    {{"muster", "device", "set-status", "SN1", "wiped", "--admin", "a@b", "--user", "a@b"},
     "device set-status: either --admin or --user asks"},
    {{"muster", "device", "wipe", "SN1", "--admin", "a@b", "--confirm", "SN1"},
     "device wipe: wipe_reason is missing: give --reason REASON"},
    {{"muster", "device", "wipe", "SN1", "--admin", "a@b", "--reason", "bored"},
     "device wipe: wipe_reason takes LOST, STOLEN, TERMINATED, BREACH, not \"bored\""},
    {{"muster", "device", "wipe", "SN1", "--admin", "a@b", "--reason", "lost"},
     "device wipe: confirm is missing: give --confirm SERIAL"},
    /* The only admin of the configuration does not ask for a wipe unsaid. */
    {{"muster", "device", "wipe", "SN1", "--reason", "lost", "--confirm", "SN1", "--set",
      "roles.bootstrap_admins=a@b"},
     "device wipe: actor_email is missing: give --admin EMAIL"},
    {{"muster", "device", "wipe", "SN1", "--approve"},
     "device wipe: actor_email is missing: give --admin EMAIL"},
    {{"muster", "device", "wipe", "SN1", "--approve", "--withdraw"},
     "device wipe: --withdraw and --approve exclude each other"},
    {{"muster", "device", "wipe", "SN1", "--withdraw", "--reason", "lost"},
     "device wipe: --reason and --confirm ask for a new wipe"},
    {{"muster", "device", "rename", "SN1"}, "device rename: name is missing"},
    {{"muster", "device", "rename", "SN1", ""}, "device rename: name: 1 to 63 characters"},
    {{"muster", "device", "sync", "SN1", "--admin", "root"},
     "device sync: actor_email: a mail address"},
    {{"muster", "device", "sync", "S\x01N"}, "a device ID or a serial of 1 to 64 printable"},
    {{"muster", "device", "sync", "SN1", "--timeout", "soon"},
     "--timeout soon: a number from 1 to 86400 is needed"},
    {{"muster", "role", "grant", "root"}, "role grant: user_email: a mail address"},
    {{"muster", "role", "revoke", "a@b", "boss"},
     "role revoke: role takes ADMIN, OPERATOR, not \"boss\""},
    {{"muster", "tenant", "begin", "rain"},
     "tenant begin: kind takes PUSH_CERTIFICATE_EXPIRED, UPSTREAM_OUTAGE, not \"rain\""},
    {{"muster", "profile", "push", "mobile"}, "profile push: revision is missing"},
    {{"muster", "profile", "push", "mobile", "--revision", "r 1"},
     "profile push: revision: 1 to 63 letters"},
    {{"muster", "group", "add", "vips"}, "group add: either --user EMAIL or --serial SERIAL"},
    {{"muster", "group", "add", "vips", ANN, "--serial", "SN1"},
     "group add: either --user EMAIL or --serial SERIAL"},
    {{"muster", "group", "remove", "v i p", ANN}, "group remove: group: 1 to 63 letters"},
};

START_TEST(a_field_is_refused_by_its_name) {
  const int code = capture_command(refused[_i].words);
  ck_assert_msg(code == 2, "exit %d: %s", code, captured[1]);
  ck_assert_str_eq(captured[0], "");
  ck_assert_msg(strncmp(captured[1], "muster: ", 8) == 0 &&
                    strncmp(captured[1] + 8, refused[_i].text, strlen(refused[_i].text)) == 0,
                "got: %s", captured[1]);
}
END_TEST

/* Findings are printed with their places, and nothing is sent. */
START_TEST(a_policy_with_findings_is_not_applied) {
  char path[] = "/tmp/check_request.XXXXXX";
  const int file = mkstemp(path);
  ck_assert_int_ge(file, 0);
  ck_assert_int_eq(write(file, "version: v1\nrule: []\n", 21), 21);
  close(file);
  const int code = capture_command((const char *const[]){"muster", "policy", "apply", path, NULL});
  unlink(path);
  ck_assert_int_eq(code, 1);
  ck_assert_ptr_nonnull(strstr(captured[0], ":2:1: "));
  ck_assert_ptr_nonnull(strstr(captured[1], "nothing is sent"));
}
END_TEST

static struct command_line line_with_admins(char **admins, size_t count) {
  return (struct command_line){.config.roles.bootstrap_admins = {admins, count}};
}

START_TEST(the_only_admin_asks_unless_another_is_named) {
  char ann[] = "ann@example.org";
  char bob[] = "bob@example.org";
  char *admins[] = {ann, bob};
  const struct {
    size_t admin_count;
    const char *given;
    const char *expected;
  } cases[] = {{0, NULL, NULL}, {1, NULL, ann}, {2, NULL, NULL}, {1, "eve@x.org", "eve@x.org"}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const struct command_line line = line_with_admins(admins, cases[i].admin_count);
    struct error error;
    json_t *const fields = json_object();
    ck_assert_int_eq(request_actor(fields, &line, "x", cases[i].given, &error), STATUS_OK);
    ck_assert_pstr_eq(json_string_value(json_object_get(fields, "actor_email")), cases[i].expected);
    json_decref(fields);
  }
}
END_TEST

START_TEST(names_are_taken_in_any_case) {
  static const char *const names[] = {"ONE", "TWO", NULL};
  const struct field field = {"number", NULL, FIELD_TEXT, names};
  struct error error;
  json_t *const fields = json_object();
  ck_assert_int_eq(request_field(fields, "x", &field, "tWo", &error), STATUS_OK);
  ck_assert_str_eq(json_string_value(json_object_get(fields, "number")), "TWO");
  ck_assert_int_eq(request_field(fields, "x", &field, NULL, &error), STATUS_OK);
  ck_assert_uint_eq(json_object_size(fields), 1);
  json_decref(fields);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("request");
  TCase *const cases = tcase_create("request");
  tcase_add_loop_test(cases, a_field_is_refused_by_its_name, 0, (int)COUNT_OF(refused));
  tcase_add_test(cases, a_policy_with_findings_is_not_applied);
  tcase_add_test(cases, the_only_admin_asks_unless_another_is_named);
  tcase_add_test(cases, names_are_taken_in_any_case);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
