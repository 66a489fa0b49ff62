/* core/app/command: finding the command, its options anywhere, exit codes. */
#include "core/app/command.h"
#include "core/app/command_line.h"
#include "tests/lib/capture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 16 };

static const struct option_spec options[] = {
    {"user", "EMAIL", ""}, {"blocked", NULL, ""}, {"limit", "N", ""}, {0}};

static const struct command command = {.name = "thing list",
                                       .arguments = "[WHAT]",
                                       .summary = "",
                                       .options = options,
                                       .argument_count_min = 0,
                                       .argument_count_max = 1};

static struct invocation invocation;
static struct error error;

/* `words` ends with NULL; what is parsed points into static memory. */
static enum status parse(const char *const *words) {
  static char texts[WORDS_MAX][64];
  char *argv[WORDS_MAX];
  int argc = 0;
  for (; words[argc] != NULL; argc++) {
    snprintf(texts[argc], sizeof texts[argc], "%s", words[argc]);
    argv[argc] = texts[argc];
  }
  error.text[0] = '\0';
  return invocation_parse(&invocation, &command, argc, argv, &error);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(options_stand_before_and_behind_arguments) {
  ck_assert_int_eq(parse(WORDS("--user", "u", "what", "-o", "json", "--blocked")), STATUS_OK);
  ck_assert_uint_eq(invocation.argument_count, 1);
  ck_assert_str_eq(invocation.arguments[0], "what");
  ck_assert_str_eq(invocation.options[0], "u");
  ck_assert_str_eq(invocation.options[1], "");
  ck_assert_ptr_null(invocation.options[2]);
  ck_assert_int_eq(invocation.output, OUTPUT_JSON);
  invocation_fini(&invocation);
}
END_TEST

START_TEST(a_value_is_joined_or_the_next_word) {
  ck_assert_int_eq(
      parse(WORDS("--user=a=b", "-ocsv", "-Xp=1", "-X", "q=2", "--set=k=v", "--config", "-")),
      STATUS_OK);
  ck_assert_str_eq(invocation.options[0], "a=b");
  ck_assert_int_eq(invocation.output, OUTPUT_CSV);
  ck_assert_uint_eq(invocation.properties.count, 2);
  ck_assert_str_eq(invocation.properties.items[0], "p=1");
  ck_assert_str_eq(invocation.properties.items[1], "q=2");
  ck_assert_str_eq(invocation.sets.items[0], "k=v");
  ck_assert_str_eq(invocation.config_file, "-");
  invocation_fini(&invocation);
}
END_TEST

START_TEST(the_last_of_a_repeated_option_wins) {
  ck_assert_int_eq(parse(WORDS("--user", "a", "-o", "csv", "--user=b", "--output", "NDJSON")),
                   STATUS_OK);
  ck_assert_str_eq(invocation.options[0], "b");
  ck_assert_int_eq(invocation.output, OUTPUT_NDJSON);
  invocation_fini(&invocation);
}
END_TEST

START_TEST(two_dashes_end_the_options) {
  ck_assert_int_eq(parse(WORDS("--limit", "-5", "--", "--user")), STATUS_OK);
  ck_assert_str_eq(invocation.options[2], "-5");
  ck_assert_uint_eq(invocation.argument_count, 1);
  ck_assert_str_eq(invocation.arguments[0], "--user");
  invocation_fini(&invocation);
}
END_TEST

static const struct {
  const char *words[4];
  const char *text;
} refused_lines[] = {
    {{"--usr", "x"}, "thing list: unknown option --usr; did you mean --user?"},
    {{"--no-such"}, "thing list: unknown option --no-such"},
    {{"--no-such=5"}, "thing list: unknown option --no-such"},
    {{"-z"}, "thing list: unknown option -z"},
    {{"--user"}, "thing list: option --user needs a value"},
    {{"-o"}, "thing list: option -o needs a value"},
    {{"-o", "xml"}, "-o takes table, json, ndjson or csv, not \"xml\""},
    {{"--blocked=yes"}, "thing list: option --blocked takes no value"},
    {{"--help=yes"}, "thing list: option --help takes no value"},
    {{"a", "b"}, "thing list: unexpected argument \"b\"; usage: muster thing list [WHAT]"},
};

START_TEST(a_wrong_line_is_usage_and_named) {
  ck_assert_int_eq(parse(refused_lines[_i].words), STATUS_USAGE);
  ck_assert_str_eq(error.text, refused_lines[_i].text);
  invocation_fini(&invocation);
}
END_TEST

START_TEST(help_is_asked_for_anywhere) {
  ck_assert_int_eq(parse(WORDS("a", "b", "-h")), STATUS_OK);
  ck_assert(invocation.wants_help);
  invocation_fini(&invocation);
}
END_TEST

/* Of the program's own table. */
static const struct {
  int code;
  const char *words[8]; /* the first is the program */
  const char *text;     /* on stdout when the code is 0, else the whole of stderr */
} runs[] = {
    {0, {"muster", "--version"}, "muster "},
    {0, {"muster", "--help"}, "device list"},
    {0, {"muster", "-h"}, "dead-letter resend"},
    {0, {"muster", "device", "--help"}, "device get ID|SERIAL"},
    {0, {"muster", "device", "list", "-h"}, "--compliance STATE"},
    {0, {"muster", "device", "get", "-h"}, "Usage: muster device get ID|SERIAL"},
    {0, {"muster", "config", "show", "--set", "kafka.group_id=g"}, "group_id: \"g\""},
    {2, {"muster"}, "muster: no command given; see muster --help\n"},
    {2, {"muster", "no-such"}, "muster: unknown command no-such; see muster --help\n"},
    {2, {"muster", "rnu"}, "muster: unknown command rnu; did you mean run?\n"},
    {2,
     {"muster", "device"},
     "muster: device needs a second word: list, get, provision, set-status, wipe, retire, rename, "
     "sync\n"},
    {2,
     {"muster", "device", "lst"},
     "muster: unknown command device lst; did you mean device list?\n"},
    {2,
     {"muster", "device", "destroy", "D001"},
     "muster: unknown command device destroy; there is device list, get, provision, set-status, "
     "wipe, retire, rename, sync\n"},
    {2,
     {"muster", "--set", "status"},
     "muster: unknown option --set before the command; options stand after it\n"},
    {2,
     {"muster", "device", "list", "--as-of", "x"},
     "muster: --as-of x: a time as 2026-11-01T00:00:00Z is needed, or milliseconds since 1970 "
     "UTC\n"},
    {2,
     {"muster", "replay", "--jobs", "0"},
     "muster: --jobs 0: a number from 1 to 256 is needed\n"},
    {2,
     {"muster", "replay", "verify", "--source", "tape"},
     "muster: --source takes topic or postgres, not \"tape\"\n"},
    {2,
     {"muster", "replay", "verfiy"},
     "muster: unknown command replay verfiy; did you mean replay verify?\n"},
    {2,
     {"muster", "device", "get"},
     "muster: device get: missing argument; usage: muster device get ID|SERIAL\n"},
    {2,
     {"muster", "config", "show", "--set", "kafka.group_id"},
     "muster: --set takes KEY=VALUE, not \"kafka.group_id\"\n"},
    {78,
     {"muster", "run", "--set", "kafka.no_such=1"},
     "muster: --set: unknown key kafka.no_such\n"},
    {2,
     {"muster", "device", "list", "--status", "gone"},
     "muster: device list: --status takes PENDING, ENROLLED, FAILED, WIPED, RETIRED, not "
     "\"gone\"\n"},
    {2,
     {"muster", "device", "list", "--sort", "serail"},
     "muster: device list: --sort takes a field, not \"serail\"; did you mean serial?\n"},
    {2,
     {"muster", "device", "list", "--after", "SN1"},
     "muster: device list: --after takes a device ID, not \"SN1\"\n"},
    {2,
     {"muster", "device", "list", "--desc", "--as-of", "0"},
     "muster: device list: --sort, --desc and --after do not go with --as-of\n"},
    {2,
     {"muster", "timer", "list", "--due", "24"},
     "muster: timer list: --due 24: a duration such as 24h is needed, or a time as "
     "2026-11-01T00:00:00Z\n"},
    {2,
     {"muster", "timer", "list", "--platform", "beos"},
     "muster: timer list: --platform takes WINDOWS, MACOS, IOS, ANDROID, LINUX, not \"beos\"\n"},
    {2,
     {"muster", "device", "get", "D001", "--history", "-1"},
     "muster: --history -1: a number from 0 to 100000 is needed\n"},
    {78,
     {"muster", "device", "list", "--set", "postgres.dsn=nonsense"},
     "muster: postgres.dsn is neither \"keyword=value ...\" nor a postgresql:// URI\n"},
};

START_TEST(command_lines_end_with_the_contract_s_codes) {
  const int code = capture_command(runs[_i].words);
  ck_assert_msg(code == runs[_i].code, "exit %d: %s%s", code, captured[0], captured[1]);
  if (code == 0) {
    ck_assert_msg(strstr(captured[0], runs[_i].text) != NULL, "got: %s", captured[0]);
    ck_assert_str_eq(captured[1], "");
  } else {
    ck_assert_str_eq(captured[1], runs[_i].text);
    ck_assert_str_eq(captured[0], "");
  }
}
END_TEST

/* By a dsn that no waiting mends: one that nobody answers takes the whole deadline. */
START_TEST(a_database_out_of_reach_is_75) {
  const int code = capture_command(
      WORDS("muster", "device", "list", "--set",
            "postgres.dsn=host=127.0.0.1 port=1 user=x dbname=x sslmode=x", "-o", "json"));
  ck_assert_int_eq(code, 75);
  ck_assert_str_eq(captured[0], "");
  ck_assert_msg(strncmp(captured[1], "muster: PostgreSQL: ", 20) == 0, "got: %s", captured[1]);
  ck_assert_ptr_eq(strchr(captured[1], '\n'), captured[1] + strlen(captured[1]) - 1);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("command");
  TCase *const cases = tcase_create("command");
  tcase_add_test(cases, options_stand_before_and_behind_arguments);
  tcase_add_test(cases, a_value_is_joined_or_the_next_word);
  tcase_add_test(cases, the_last_of_a_repeated_option_wins);
  tcase_add_test(cases, two_dashes_end_the_options);
  tcase_add_loop_test(cases, a_wrong_line_is_usage_and_named, 0, (int)COUNT_OF(refused_lines));
  tcase_add_test(cases, help_is_asked_for_anywhere);
  tcase_add_loop_test(cases, command_lines_end_with_the_contract_s_codes, 0, (int)COUNT_OF(runs));
  tcase_add_test(cases, a_database_out_of_reach_is_75);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
