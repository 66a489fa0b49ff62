/* core/app/config: every source, their precedence, and what is refused with its place. */
#include "core/app/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/check_config.XXXXXX";
static struct config config;
static struct error error;

static void make_file(void) {
  snprintf(path, sizeof path, "/tmp/check_config.XXXXXX");
  const int fd = mkstemp(path);
  ck_assert_int_ge(fd, 0);
  close(fd);
}

/* Tests may share a process: what one sets, the next must not see. */
static void clean_up(void) {
  static const char *const variables[] = {"MUSTER_KAFKA__GROUP_ID",
                                          "MUSTER_KAFKA__TOPIC_PREFIX",
                                          "MUSTER_LOG_KAFKA",
                                          "MUSTER_ROLES__BOOTSTRAP_ADMINS",
                                          "MUSTER_BATCH__MESSAGES_MAX",
                                          "SECOND",
                                          "PASSWORD"};
  for (size_t i = 0; i < COUNT_OF(variables); i++) {
    unsetenv(variables[i]);
  }
  unlink(path);
}

static void write_file(const char *text) {
  FILE *const file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
}

/* `sets` and `properties` end with NULL; NULL itself is none. */
static struct text_list list_of(const char *const *texts) {
  struct text_list list = {.items = (char **)(uintptr_t)texts};
  while (texts != NULL && texts[list.count] != NULL) {
    list.count++;
  }
  return list;
}

static enum status load(const char *yaml, const char *const *sets, const char *const *properties) {
  if (yaml != NULL) {
    write_file(yaml);
  }
  const struct text_list set_list = list_of(sets);
  const struct text_list property_list = list_of(properties);
  error.text[0] = '\0';
  return config_load(&config, yaml == NULL ? NULL : path, &set_list, &property_list, &error);
}

#define LOAD_OK(yaml, sets) ck_assert_msg(load(yaml, sets, NULL) == STATUS_OK, "%s", error.text)

/* The error is `file` followed by `text`, or just begins with `text`. */
static void assert_refused(enum status status, bool has_file, const char *text) {
  char expected[ERROR_TEXT_SIZE];
  snprintf(expected, sizeof expected, "%s%s", has_file ? path : "", text);
  ck_assert_int_eq(status, STATUS_CONFIG);
  ck_assert_msg(strncmp(error.text, expected, strlen(expected)) == 0, "got: %s", error.text);
}

START_TEST(defaults_are_the_contract_s) {
  LOAD_OK(NULL, NULL);
  ck_assert_str_eq(config.kafka.bootstrap_servers, "127.0.0.1:9092");
  ck_assert_str_eq(config.kafka.group_id, "muster");
  ck_assert_str_eq(config.kafka.topic_prefix, "muster.");
  ck_assert_str_eq(config.kafka.instance, "");
  ck_assert_int_eq(config.kafka.partitioner, PARTITIONER_MURMUR2);
  ck_assert_int_eq(config.kafka.framing, FRAMING_SINGLE_OBJECT);
  ck_assert(!config.kafka.cloudevents);
  ck_assert_int_eq(config.kafka.message_bytes_max, 1048576);
  ck_assert_str_eq(config.schemas.directory, "");
  ck_assert_str_eq(config.http.listen, "127.0.0.1:9464");
  ck_assert_uint_eq(config.roles.bootstrap_admins.count, 0);
  ck_assert_int_eq(config.batch.messages_max, 100000);
  ck_assert_int_eq(config.batch.bytes_max, 4 * 1024 * 1024);
  ck_assert_str_eq(config.log.format, "logfmt");
  ck_assert_str_eq(config.log.level, "info");
  config_fini(&config);
}
END_TEST

START_TEST(a_flag_wins_over_the_environment_over_the_file_over_defaults) {
  static const char yaml[] = "kafka:\n  group_id: from-file\n  topic_prefix: 'file.'\n"
                             "  bootstrap_servers: \"file:1\"\n";
  setenv("MUSTER_KAFKA__GROUP_ID", "from-environment", 1);
  setenv("MUSTER_KAFKA__TOPIC_PREFIX", "environment.", 1);
  setenv("MUSTER_LOG_KAFKA", "1", 1);
  LOAD_OK(yaml, ((const char *const[]){"kafka.group_id=first", "kafka.group_id=last", NULL}));
  ck_assert_str_eq(config.kafka.group_id, "last");
  ck_assert_str_eq(config.kafka.topic_prefix, "environment.");
  ck_assert_str_eq(config.kafka.bootstrap_servers, "file:1");
  ck_assert_str_eq(config.http.listen, "127.0.0.1:9464");
  config_fini(&config);
}
END_TEST

START_TEST(every_type_is_read) {
  LOAD_OK("kafka:\n  partitioner: FNV1A\n  framing: confluent\n  cloudevents: on\n"
          "  message_bytes_max: 2 MiB\nbatch:\n  messages_max: 5\n  bytes_max: 100kB\n"
          "http:\n  listen: off\nlog:\n  format: JSON\nschemas: # nothing of it\n",
          NULL);
  ck_assert_int_eq(config.kafka.partitioner, PARTITIONER_FNV1A);
  ck_assert_int_eq(config.kafka.framing, FRAMING_CONFLUENT);
  ck_assert(config.kafka.cloudevents);
  ck_assert_int_eq(config.kafka.message_bytes_max, 2 * 1024 * 1024);
  ck_assert_int_eq(config.batch.messages_max, 5);
  ck_assert_int_eq(config.batch.bytes_max, 100000);
  ck_assert_str_eq(config.http.listen, "off");
  ck_assert_str_eq(config.log.format, "json");
  config_fini(&config);
}
END_TEST

static void assert_two_admins(void) {
  ck_assert_uint_eq(config.roles.bootstrap_admins.count, 2);
  ck_assert_str_eq(config.roles.bootstrap_admins.items[0], "a@example.org");
  ck_assert_str_eq(config.roles.bootstrap_admins.items[1], "b@example.org");
  config_fini(&config);
}

START_TEST(a_list_is_a_sequence_or_text_with_commas) {
  setenv("SECOND", "b@example.org", 1);
  LOAD_OK("roles:\n  bootstrap_admins:\n    - a@example.org\n    - ${SECOND}\n", NULL);
  assert_two_admins();
  LOAD_OK("roles: {bootstrap_admins: [a@example.org, 'b@example.org']}\n", NULL);
  assert_two_admins();
  LOAD_OK("roles:\n  bootstrap_admins: a@example.org, b@example.org,\n", NULL);
  assert_two_admins();
  LOAD_OK("roles:\n  bootstrap_admins: [c@example.org]\n",
          ((const char *const[]){"roles.bootstrap_admins=a@example.org,b@example.org", NULL}));
  assert_two_admins();
  setenv("MUSTER_ROLES__BOOTSTRAP_ADMINS", "a@example.org,b@example.org", 1);
  LOAD_OK("roles:\n  bootstrap_admins: [c@example.org]\n", NULL);
  assert_two_admins();
  LOAD_OK(NULL, ((const char *const[]){"roles.bootstrap_admins=", NULL}));
  ck_assert_uint_eq(config.roles.bootstrap_admins.count, 0);
  config_fini(&config);
}
END_TEST

START_TEST(variables_are_replaced_after_parsing) {
  setenv("PASSWORD", "x: [y] # \"z\"", 1);
  LOAD_OK("postgres:\n  dsn: host=h password=${PASSWORD} $${kept} $kept\n", NULL);
  ck_assert_str_eq(config.postgres.dsn, "host=h password=x: [y] # \"z\" ${kept} $kept");
  config_fini(&config);
  unsetenv("NOT_SET");
  assert_refused(load("kafka:\n  group_id: a${NOT_SET}\n", NULL, NULL), true,
                 ":2:13: the environment variable NOT_SET is not set");
  assert_refused(load("kafka:\n  group_id: a${NOT_SET\n", NULL, NULL), true, ":2:13: ${ must");
  assert_refused(load("kafka:\n  group_id: ${1A}\n", NULL, NULL), true, ":2:13: ${ must");
}
END_TEST

static const struct {
  const char *yaml;
  const char *text;
} refused[] = {
    {"kafka:\n  grup_id: x\n", ":2:3: unknown key kafka.grup_id; did you mean kafka.group_id?"},
    {"kafka:\n  no_such: x\n", ":2:3: unknown key kafka.no_such"},
    {"kafak:\n  group_id: x\n", ":1:1: unknown section kafak; did you mean kafka?"},
    {"kafka: 5\n", ":1:8: a section holds"},
    {"kafka:\n  group_id:\n    x: y\n", ":2:3: kafka.group_id takes one value"},
    {"kafka:\n  group_id: [x]\n", ":2:13: kafka.group_id takes one value"},
    {"kafka:\n  group_id: x\n  group_id: y\n", ":3:3: kafka.group_id is given twice"},
    {"kafka:\n  group_id: x\nkafka:\n  group_id: y\n", ":4:3: kafka.group_id is given twice"},
    {"kafka:\n  group_id:\n", ":2:12: kafka.group_id has no value"},
    {"kafka:\n  group_id: ~\n", ":2:13: kafka.group_id has no value"},
    {"kafka:\n  group_id: \"\"\n", ":2:13: kafka.group_id must be 1 to 200 letters"},
    {"kafka:\n  group_id: a b\n", ":2:13: kafka.group_id must be 1 to 200 letters"},
    {"kafka:\n  group_id: \"a\\0b\"\n", ":2:13: a value must not hold a zero byte"},
    {"kafka:\n  topic_prefix: a/b\n", ":2:17: kafka.topic_prefix must be at most 200"},
    {"kafka:\n  partitioner: sha1\n",
     ":2:16: kafka.partitioner must be one of murmur2, crc32, fnv1a, not \"sha1\""},
    {"kafka:\n  framing: x\n", ":2:12: kafka.framing must be one of single-object, confluent"},
    {"kafka:\n  cloudevents: maybe\n", ":2:16: kafka.cloudevents must be true or false"},
    {"kafka:\n  message_bytes_max: 5d\n", ":2:22: kafka.message_bytes_max must be a number of"},
    {"kafka:\n  message_bytes_max: -1\n", ":2:22: kafka.message_bytes_max must be a number of"},
    {"kafka:\n  message_bytes_max: 0\n", ":2:22: kafka.message_bytes_max must be between"},
    {"batch:\n  messages_max: 1kB\n", ":2:17: batch.messages_max must be a whole number"},
    {"batch:\n  messages_max: 0\n", ":2:17: batch.messages_max must be between 1 and"},
    {"http:\n  listen: 9464\n", ":2:11: http.listen must be HOST:PORT"},
    {"http:\n  listen: ::1:9464\n", ":2:11: http.listen must be HOST:PORT"},
    {"http:\n  listen: h:65536\n", ":2:11: http.listen must be HOST:PORT"},
    {"schemas:\n  registry_url: ftp://x\n", ":2:17: schemas.registry_url must be a URL"},
    {"roles:\n  bootstrap_admins: [nobody]\n", ":2:21: roles.bootstrap_admins must be mail"},
    {"roles:\n  bootstrap_admins: [[a@b]]\n", ":2:22: an item of a list must be a text"},
    {"roles:\n  bootstrap_admins: {a: b}\n", ":2:3: roles.bootstrap_admins takes a list"},
    {"log:\n  level: loud\n", ":2:10: log.level must be one of debug, info, warning, error"},
    {"- kafka\n", ":1:1: expected sections"},
    {"hello\n", ":1:1: expected sections"},
    {"log:\n  level: info\n---\nlog:\n  level: info\n", ":3:1: one document is enough"},
    {"kafka:\n  group_id: &a x\n  instance: *a\n", ":3:3: kafka.instance takes one value"},
    {"kafka:\n\tgroup_id: x\n", ":2:1: found character that cannot start any token"},
    {"kafka: [\n", ":1:8: a section holds"},
};

START_TEST(what_is_wrong_in_a_file_is_named_with_its_place) {
  const enum status status = load(refused[_i].yaml, NULL, NULL);
  assert_refused(status, true, refused[_i].text);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named) {
  const struct text_list none = {0};
  ck_assert_int_eq(config_load(&config, "/no/such.yaml", &none, &none, &error), STATUS_CONFIG);
  ck_assert_str_eq(error.text, "--config /no/such.yaml: No such file or directory");
  ck_assert_int_eq(config_load(&config, "/tmp", &none, &none, &error), STATUS_CONFIG);
}
END_TEST

START_TEST(an_empty_file_changes_nothing) {
  LOAD_OK("", NULL);
  config_fini(&config);
  LOAD_OK("# nothing\n---\n", NULL);
  ck_assert_str_eq(config.kafka.group_id, "muster");
  config_fini(&config);
}
END_TEST

START_TEST(an_unknown_variable_is_named) {
  setenv("MUSTER_KAFKA__GROUP", "x", 1);
  assert_refused(load(NULL, NULL, NULL), false,
                 "environment variable MUSTER_KAFKA__GROUP: unknown key kafka.group");
  unsetenv("MUSTER_KAFKA__GROUP");
  setenv("MUSTER_BATCH__MESSAGES_MAX", "many", 1);
  assert_refused(load(NULL, NULL, NULL), false,
                 "environment variable MUSTER_BATCH__MESSAGES_MAX: batch.messages_max must be");
}
END_TEST

START_TEST(a_flag_that_is_no_key_value_is_usage) {
  ck_assert_int_eq(load(NULL, (const char *const[]){"kafka.group_id", NULL}, NULL), STATUS_USAGE);
  ck_assert_int_eq(load(NULL, NULL, (const char *const[]){"=x", NULL}), STATUS_USAGE);
  assert_refused(load(NULL, (const char *const[]){"kafka.no_such=1", NULL}, NULL), false,
                 "--set: unknown key kafka.no_such");
  assert_refused(load(NULL, (const char *const[]){"kafka.grop_id=1", NULL}, NULL), false,
                 "--set: unknown key kafka.grop_id; did you mean kafka.group_id?");
}
END_TEST

START_TEST(the_last_of_a_repeated_property_wins) {
  const char *const properties[] = {"a.b=1", "c=2=3", "a.b=4", NULL};
  ck_assert_int_eq(load(NULL, NULL, properties), STATUS_OK);
  ck_assert_uint_eq(config.property_count, 2);
  ck_assert_str_eq(config.properties[0].name, "a.b");
  ck_assert_str_eq(config.properties[0].value, "4");
  ck_assert_str_eq(config.properties[1].value, "2=3");
  config_fini(&config);
}
END_TEST

/* A secret does not stand in an error either. */
START_TEST(no_error_quotes_a_secret) {
  ck_assert_int_eq(
      load(NULL, (const char *const[]){"schemas.registry_url=user:word@x", NULL}, NULL),
      STATUS_CONFIG);
  ck_assert_ptr_null(strstr(error.text, "word"));
}
END_TEST

static char *shown(void) {
  fflush(stdout);
  const int kept = dup(STDOUT_FILENO);
  ck_assert_ptr_nonnull(freopen(path, "w", stdout));
  config_show(&config);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  static char text[4096];
  FILE *const file = fopen(path, "r");
  const size_t size = fread(text, 1, sizeof text - 1, file);
  text[size] = '\0';
  fclose(file);
  return text;
}

START_TEST(what_is_shown_hides_secrets_and_can_be_read_again) {
  const char *const sets[] = {"postgres.dsn=postgresql://u:topsecret@h:1/d?sslpassword=topsecret",
                              "schemas.registry_url=https://u:topsecret@h/x",
                              "kafka.group_id=g",
                              "roles.bootstrap_admins=a@x,b@x",
                              "privacy.subject_key_file=/a${b}\"c",
                              NULL};
  const char *const properties[] = {"sasl.password=topsecret", "sasl.username=u", NULL};
  ck_assert_msg(load(NULL, sets, properties) == STATUS_OK, "%s", error.text);
  char *const text = shown();
  config_fini(&config);
  ck_assert_ptr_null(strstr(text, "topsecret"));
  ck_assert_ptr_nonnull(strstr(text, "user=u password=*** "));
  ck_assert_ptr_nonnull(strstr(text, "https://***@h/x"));
  ck_assert_ptr_nonnull(strstr(text, "# -X sasl.username=u\n"));
  LOAD_OK(text, NULL);
  ck_assert_str_eq(config.kafka.group_id, "g");
  ck_assert_str_eq(config.privacy.subject_key_file, "/a${b}\"c");
  ck_assert_uint_eq(config.roles.bootstrap_admins.count, 2);
  config_fini(&config);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("config");
  TCase *const cases = tcase_create("config");
  tcase_add_checked_fixture(cases, make_file, clean_up);
  tcase_add_test(cases, defaults_are_the_contract_s);
  tcase_add_test(cases, a_flag_wins_over_the_environment_over_the_file_over_defaults);
  tcase_add_test(cases, every_type_is_read);
  tcase_add_test(cases, a_list_is_a_sequence_or_text_with_commas);
  tcase_add_test(cases, variables_are_replaced_after_parsing);
  tcase_add_loop_test(cases, what_is_wrong_in_a_file_is_named_with_its_place, 0,
                      (int)COUNT_OF(refused));
  tcase_add_test(cases, a_file_that_cannot_be_read_is_named);
  tcase_add_test(cases, an_empty_file_changes_nothing);
  tcase_add_test(cases, an_unknown_variable_is_named);
  tcase_add_test(cases, a_flag_that_is_no_key_value_is_usage);
  tcase_add_test(cases, the_last_of_a_repeated_property_wins);
  tcase_add_test(cases, no_error_quotes_a_secret);
  tcase_add_test(cases, what_is_shown_hides_secrets_and_can_be_read_again);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
