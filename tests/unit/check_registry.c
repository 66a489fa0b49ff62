/* consumers/registry: what an answer may say, and what it may not. */
#include "consumers/registry.h"
#include "core/app/lane_schemas.h"
#include "core/app/secret.h"
#include "core/app/text.h"

#include "consumers/schemas.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct error error;

static enum status read_text(const char *answer, char **canonical) {
  *canonical = NULL;
  return registry_read_schema(span_text(answer), canonical, &error);
}

START_TEST(a_schema_is_taken_in_its_canonical_form) {
  char *canonical;
  ck_assert(
      read_text(
          "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"A\\\",\\\"doc\\\":\\\"x\\\","
          "\\\"fields\\\":[{\\\"name\\\":\\\"b\\\",\\\"type\\\":{\\\"type\\\":\\\"int\\\"}}]}\"}",
          &canonical) == STATUS_OK);
  ck_assert_str_eq(
      canonical,
      "{\"name\":\"A\",\"type\":\"record\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"}]}");
  free(canonical);
  ck_assert(
      read_text("{\"schema\":\"\\\"int\\\"\",\"schemaType\":\"AVRO\",\"references\":[],\"x\":1}",
                &canonical) == STATUS_OK);
  ck_assert_str_eq(canonical, "\"int\"");
  free(canonical);
  ck_assert(read_text("{\"schema\":\"\\\"int\\\"\",\"schemaType\":null}", &canonical) == STATUS_OK);
  free(canonical);
}
END_TEST

START_TEST(what_is_no_answer_of_a_registry_may_come_right) {
  static const char *const answers[] = {
      "",
      "{",
      "null",
      "[]",
      "7",
      "{}",
      "{\"schema\":7}",
      "{\"schema\":null}",
      "{\"id\":7}",
      "<html>welcome</html>",
      "{\"schema\":\"\\\"int\\\"\"",
      "{\"schema\":\"\\\"int\\\"\"} x",
      "{\"schema\":\"\\\"int\\\"\",\"schema\":\"\\\"long\\\"\"}",
      "{\"schema\":\"\\u0000\"}",
      "{\"schema\":\"\xff\"}",
  };
  for (size_t i = 0; i < COUNT_OF(answers); i++) {
    char *canonical;
    ck_assert_msg(read_text(answers[i], &canonical) == STATUS_UNAVAILABLE, "%s", answers[i]);
    ck_assert_ptr_null(canonical);
  }
}
END_TEST

START_TEST(what_is_no_avro_schema_by_itself_is_definite) {
  static const char *const answers[] = {
      "{\"schema\":\"\"}",
      "{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}",
      "{\"schema\":\"{}\",\"schemaType\":\"JSON\"}",
      "{\"schema\":\"\\\"int\\\"\",\"schemaType\":7}",
      "{\"schema\":\"\\\"int\\\"\",\"references\":[{\"name\":\"a\"}]}",
      "{\"schema\":\"\\\"muster.v1.Nothing\\\"\"}",
      "{\"schema\":\"not \\u001b[31m JSON\"}",
      "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"A\\\"}\"}",
  };
  for (size_t i = 0; i < COUNT_OF(answers); i++) {
    char *canonical;
    ck_assert_msg(read_text(answers[i], &canonical) == STATUS_REFUSED, "%s", answers[i]);
    ck_assert_ptr_null(canonical);
    ck_assert_ptr_null(strchr(error.text, '\x1b'));
  }
}
END_TEST

START_TEST(an_id_is_a_number_of_31_bits) {
  uint32_t id = 0;
  ck_assert(registry_read_id(span_text("{\"id\":2147483647,\"x\":[]}"), &id, &error) == STATUS_OK);
  ck_assert_uint_eq(id, INT32_MAX);
  static const char *const answers[] = {"",
                                        "{}",
                                        "{\"id\":\"7\"}",
                                        "{\"id\":-1}",
                                        "{\"id\":7.0}",
                                        "{\"id\":2147483648}",
                                        "{\"id\":99999999999999999999}",
                                        "[7]"};
  for (size_t i = 0; i < COUNT_OF(answers); i++) {
    ck_assert_msg(registry_read_id(span_text(answers[i]), &id, &error) == STATUS_UNAVAILABLE, "%s",
                  answers[i]);
  }
}
END_TEST

START_TEST(a_password_in_the_url_is_not_in_an_error) {
  const struct registry_options options = {.url = "http://user:topsecret@127.0.0.1:1/base/"};
  struct registry *registry;
  char *canonical;
  ck_assert(registry_open(&options, &registry, &error) == STATUS_OK);
  ck_assert(registry_fetch(registry, 7, &canonical, &error) == STATUS_UNAVAILABLE);
  ck_assert_ptr_null(strstr(error.text, "secret"));
  ck_assert_ptr_nonnull(strstr(error.text, "http://127.0.0.1:1/base"));
  registry_close(registry);
}
END_TEST

/* ---- What a lane knows ---- */

#define CHECKIN                                                                                    \
  "{\"name\":\"muster.v1.CheckIn\",\"type\":\"record\",\"fields\":["                               \
  "{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"},"      \
  "{\"name\":\"serial\",\"type\":\"string\"},{\"name\":\"os_version\",\"type\":\"string\"},"       \
  "{\"name\":\"trigger\",\"type\":{\"name\":\"muster.v1.Trigger\",\"type\":\"enum\","              \
  "\"symbols\":[\"SCHEDULED\",\"ON_DEMAND\"]}}]}"

static struct config config;
static struct schemas *process_schemas;
static struct environment environment;

static void set_up(void) {
  ck_assert(config_load(&config, NULL, NULL, NULL, &error) == STATUS_OK);
  ck_assert(schemas_open(NULL, &process_schemas, &error) == STATUS_OK);
  environment = (struct environment){.config = &config,
                                     .schemas = process_schemas,
                                     .lane_count = 4,
                                     .subject_key = span_text("0123456789abcdef")};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    environment.ids.of[record] = SCHEMA_ID_NONE;
  }
}

static void clean_up(void) {
  schemas_close(process_schemas);
  config_fini(&config);
}

START_TEST(what_a_lane_learns_is_its_own_and_is_recorded) {
  struct lane_schemas one;
  struct lane_schemas other;
  lane_schemas_init(&one, &environment);
  lane_schemas_init(&other, &environment);
  ck_assert(lane_schemas_restore(&one, (struct span){0}, &error) == STATUS_OK);
  ck_assert(lane_schemas_restore(&other, (struct span){0}, &error) == STATUS_OK);
  ck_assert_str_eq(one.text, other.text);
  ck_assert(lane_schemas_has_room(&one, CHECKIN));
  lane_schemas_learn(&one, 7, CHECKIN);
  const struct writer *const writer = schemas_find_id(one.known, 7);
  ck_assert_ptr_nonnull(writer);
  ck_assert(writer_is_of_use(writer));
  ck_assert_ptr_null(schemas_find_id(other.known, 7));
  ck_assert_ptr_null(schemas_find_id(process_schemas, 7));
  ck_assert_str_ne(one.text, other.text);

  ck_assert(lane_schemas_restore(&other, span_text(one.text), &error) == STATUS_OK);
  ck_assert_str_eq(one.text, other.text);
  ck_assert_mem_eq(one.digest, other.digest, DIGEST_SIZE);
  ck_assert_ptr_nonnull(schemas_find_id(other.known, 7));
  ck_assert(lane_schemas_restore(&other, (struct span){0}, &error) == STATUS_OK);
  ck_assert_ptr_null(schemas_find_id(other.known, 7));
  lane_schemas_fini(&one);
  lane_schemas_fini(&other);
}
END_TEST

START_TEST(an_environment_that_cannot_be_read_is_told) {
  static const char *const contents[] = {"{", "{\"fetched\":{\"x\":\"\\\"int\\\"\"}}",
                                         "{\"fetched\":{\"7\":7}}", "{\"fetched\":{\"7\":\"{\"}}",
                                         "{\"fetched\":{\"4294967296\":\"\\\"int\\\"\"}}"};
  struct lane_schemas schemas;
  lane_schemas_init(&schemas, &environment);
  for (size_t i = 0; i < COUNT_OF(contents); i++) {
    ck_assert_msg(lane_schemas_restore(&schemas, span_text(contents[i]), &error) == STATUS_CONFIG,
                  "%s", contents[i]);
  }
  /* Of before there were any. */
  ck_assert(lane_schemas_restore(&schemas, span_text("{\"lane_count\":4}"), &error) == STATUS_OK);
  lane_schemas_fini(&schemas);
}
END_TEST

START_TEST(the_process_has_the_last_word_about_an_id) {
  struct lane_schemas schemas;
  lane_schemas_init(&schemas, &environment);
  ck_assert(schemas_put(process_schemas, 7, "ours", span_text("\"string\""), &error) == STATUS_OK);
  ck_assert(lane_schemas_restore(&schemas, span_text("{\"fetched\":{\"7\":\"\\\"int\\\"\"}}"),
                                 &error) == STATUS_OK);
  ck_assert_uint_eq(schemas_find_id(schemas.known, 7)->fingerprint,
                    schemas_find_id(process_schemas, 7)->fingerprint);
  ck_assert_uint_eq(json_object_size(schemas.fetched), 0);
  lane_schemas_fini(&schemas);
}
END_TEST

START_TEST(an_environment_has_its_limit) {
  struct lane_schemas schemas;
  lane_schemas_init(&schemas, &environment);
  ck_assert(lane_schemas_restore(&schemas, (struct span){0}, &error) == STATUS_OK);
  char *const big = malloc(ENVIRONMENT_SIZE_MAX);
  memset(big, ' ', ENVIRONMENT_SIZE_MAX - 1);
  big[ENVIRONMENT_SIZE_MAX - 1] = '\0';
  ck_assert(!lane_schemas_has_room(&schemas, big));
  free(big);
  static char symbols[20000] = "{\"name\":\"E\",\"type\":\"enum\",\"symbols\":[\"A\"";
  for (int i = 0; strlen(symbols) < sizeof symbols - 20; i++) {
    snprintf(symbols + strlen(symbols), 20, ",\"S%d\"", i);
  }
  memcpy(symbols + strlen(symbols), "]}", 3);
  uint32_t id = 0;
  for (; lane_schemas_has_room(&schemas, symbols); id++) {
    lane_schemas_learn(&schemas, id, symbols);
  }
  ck_assert_uint_gt(id, 10);
  ck_assert_uint_le(strlen(schemas.text), ENVIRONMENT_SIZE_MAX);
  lane_schemas_fini(&schemas);
}
END_TEST

START_TEST(recorded_ids_are_of_the_same_registry_and_schemas) {
  free(config.schemas.registry_url);
  config.schemas.registry_url = text_copy("http://u:topsecret@registry:8081");
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    environment.ids.of[record] = record == RESULT_DEAD_LETTER ? SCHEMA_ID_NONE : 100 + record;
  }
  struct lane_schemas schemas;
  struct output_ids ids;
  lane_schemas_init(&schemas, &environment);
  ck_assert(lane_schemas_restore(&schemas, (struct span){0}, &error) == STATUS_OK);
  ck_assert_ptr_null(strstr(schemas.text, "topsecret"));
  ck_assert(environment_recall_ids(&config, process_schemas, span_text(schemas.text), &ids));
  ck_assert_mem_eq(&ids, &environment.ids, sizeof ids);
  ck_assert(!environment_recall_ids(&config, process_schemas, span_text("{}"), &ids));
  ck_assert(!environment_recall_ids(&config, process_schemas, span_text("x"), &ids));
  config.schemas.registry_url[strlen(config.schemas.registry_url) - 1] = '2';
  ck_assert(!environment_recall_ids(&config, process_schemas, span_text(schemas.text), &ids));
  config.schemas.registry_url[strlen(config.schemas.registry_url) - 1] = '1';
  char *const fingerprint = strstr(schemas.text, "\"fingerprint\":\"") + 15;
  fingerprint[0] = fingerprint[0] == '0' ? '1' : '0';
  ck_assert(!environment_recall_ids(&config, process_schemas, span_text(schemas.text), &ids));
  lane_schemas_fini(&schemas);
}
END_TEST

/* ---- Passwords ---- */

static char path[64];

static void put_secret(const char *bytes, size_t size) {
  snprintf(path, sizeof path, "/tmp/check_registry.XXXXXX");
  const int file = mkstemp(path);
  ck_assert(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0);
}

START_TEST(a_password_is_a_text_or_the_line_of_a_file) {
  char *secret;
  ck_assert(secret_read("a.b", "", "", &secret, &error) == STATUS_OK);
  ck_assert_str_eq(secret, "");
  secret_free(secret);
  put_secret("from file\n", 10);
  ck_assert(secret_read("a.b", "", path, &secret, &error) == STATUS_OK);
  ck_assert_str_eq(secret, "from file");
  secret_free(secret);
  ck_assert(secret_read("a.b", "text", path, &secret, &error) == STATUS_OK);
  ck_assert_str_eq(secret, "text");
  secret_free(secret);
  unlink(path);
  static const struct {
    const char *bytes;
    size_t size;
  } bad[] = {{"", 0}, {"\n", 1}, {"top\nsecret", 10}, {"top\0secret", 10}, {"topsecret\r\n", 11}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    put_secret(bad[i].bytes, bad[i].size);
    ck_assert(secret_read("a.b", "", path, &secret, &error) == STATUS_CONFIG);
    ck_assert_ptr_nonnull(strstr(error.text, "a.b_file"));
    ck_assert_ptr_null(strstr(error.text, "secret"));
    unlink(path);
  }
  ck_assert(secret_read("a.b", "", "/nowhere", &secret, &error) == STATUS_CONFIG);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("registry");
  TCase *const cases = tcase_create("registry");
  tcase_add_test(cases, a_schema_is_taken_in_its_canonical_form);
  tcase_add_test(cases, what_is_no_answer_of_a_registry_may_come_right);
  tcase_add_test(cases, what_is_no_avro_schema_by_itself_is_definite);
  tcase_add_test(cases, an_id_is_a_number_of_31_bits);
  tcase_add_test(cases, a_password_in_the_url_is_not_in_an_error);
  tcase_add_test(cases, a_password_is_a_text_or_the_line_of_a_file);
  suite_add_tcase(suite, cases);
  TCase *const lanes = tcase_create("lanes");
  tcase_set_timeout(lanes, 60); /* a machine that is busy */
  tcase_add_checked_fixture(lanes, set_up, clean_up);
  tcase_add_test(lanes, what_a_lane_learns_is_its_own_and_is_recorded);
  tcase_add_test(lanes, an_environment_that_cannot_be_read_is_told);
  tcase_add_test(lanes, the_process_has_the_last_word_about_an_id);
  tcase_add_test(lanes, an_environment_has_its_limit);
  tcase_add_test(lanes, recorded_ids_are_of_the_same_registry_and_schemas);
  suite_add_tcase(suite, lanes);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
