/* consumers/schemas: what is known, from the binary and from a directory. */
#include "consumers/schemas.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void setup(void) {
  snprintf(directory, sizeof directory, "/tmp/check_schemas.XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void put_file(const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *const file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

static void drop_file(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  ck_assert(unlink(path) == 0 || errno == ENOENT);
}

static void teardown(void) {
  static const char *const names[] = {"7.avsc",  "007.avsc",    "other.avsc", "7.old.avsc",
                                      ".x.avsc", "readme.text", "9.avsc",     "99999999999.avsc"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    drop_file(names[i]);
  }
  ck_assert_int_eq(rmdir(directory), 0);
}

#define CHECKIN                                                                                    \
  "{\"type\":\"record\",\"name\":\"CheckIn\",\"fields\":["                                         \
  "{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"},"      \
  "{\"name\":\"serial\",\"type\":\"string\"},{\"name\":\"os_version\",\"type\":\"string\"}]}"

static struct schemas *opened(const char *from) {
  struct schemas *schemas;
  struct error error;
  ck_assert_msg(schemas_open(from, &schemas, &error) == STATUS_OK, "%s", error.text);
  return schemas;
}

START_TEST(schemas_know_our_own) {
  struct schemas *const schemas = opened(NULL);
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    const enum topic topic = input_record_topic(record);
    const struct writer *const writer = schemas_find_own(schemas, input_record_name(record));
    ck_assert_ptr_nonnull(writer);
    ck_assert_ptr_eq(schemas_reader(schemas, record), writer);
    ck_assert_ptr_eq(schemas_find(schemas, writer->fingerprint), writer);
    ck_assert_ptr_eq(schemas_find_of_topic(schemas, topic, writer->fingerprint), writer);
    ck_assert_int_eq(writer->of_topic[topic], record);
    for (enum input_record other = 0; other < INPUT_RECORD_COUNT; other++) {
      ck_assert_int_eq(writer->programs[other] != NULL, other == record);
      ck_assert_int_eq(writer->reasons[other] == NULL, other == record);
    }
  }
  ck_assert_ptr_null(schemas_find_own(schemas, "CheckI"));
  ck_assert_ptr_null(schemas_find_own(schemas, "Nothing"));
  ck_assert_ptr_null(schemas_find(schemas, 0));
  ck_assert_ptr_null(schemas_find_id(schemas, 0));
  schemas_close(schemas);
}
END_TEST

/* The version of the public contract's first page: whoever writes with it still may. */
START_TEST(schemas_know_earlier_versions_as_writers) {
  struct schemas *const schemas = opened(NULL);
  const uint64_t first_fingerprint = UINT64_C(0xf042e3117edbe1d1);
  const struct writer *const first = schemas_find(schemas, first_fingerprint);
  ck_assert_ptr_nonnull(first);
  ck_assert_str_eq(first->source, "ComplianceReport.1.avsc");
  ck_assert_ptr_nonnull(first->programs[INPUT_REPORT]);
  ck_assert_ptr_ne(schemas_reader(schemas, INPUT_REPORT), first);
  ck_assert_ptr_ne(schemas_find_own(schemas, "ComplianceReport"), first);
  ck_assert_ptr_eq(schemas_find_of_topic(schemas, TOPIC_REPORTS, first_fingerprint), first);
  schemas_close(schemas);
}
END_TEST

START_TEST(topics_tell_their_records) {
  ck_assert_uint_eq(topic_record_count(TOPIC_CHECKINS), 1);
  ck_assert_uint_eq(topic_record_count(TOPIC_CONTROL), 6);
  ck_assert_int_eq(topic_first_record(TOPIC_CONTROL), INPUT_POLICY);
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    const enum topic topic = input_record_topic(record);
    const enum input_record first = topic_first_record(topic);
    ck_assert(record >= first && record < first + topic_record_count(topic));
  }
}
END_TEST

START_TEST(schemas_read_a_directory_by_fingerprint_and_id) {
  put_file("7.avsc", CHECKIN);
  put_file("other.avsc", "\"int\"");
  put_file("7.old.avsc", "\"long\"");
  put_file(".x.avsc", "not looked at");
  put_file("readme.text", "not looked at");
  struct schemas *const schemas = opened(directory);
  const struct writer *const writer = schemas_find_id(schemas, 7);
  ck_assert_ptr_nonnull(writer);
  ck_assert_int_eq(writer->schema->nodes[writer->schema->root].kind, NODE_RECORD);
  ck_assert_ptr_nonnull(writer->programs[INPUT_CHECKIN]);
  ck_assert_ptr_null(writer->programs[INPUT_REPORT]);
  ck_assert_ptr_nonnull(writer->reasons[INPUT_REPORT]);
  ck_assert_ptr_eq(schemas_find(schemas, writer->fingerprint), writer);
  ck_assert_ptr_nonnull(schemas_find(schemas, UINT64_C(0x7275d51a3f395c8f)));
  schemas_close(schemas);
}
END_TEST

START_TEST(schemas_text_shows_every_change) {
  char *texts[4];
  struct schemas *schemas = opened(directory);
  texts[0] = schemas_text(schemas);
  schemas_close(schemas);
  put_file("other.avsc", CHECKIN);
  schemas = opened(directory);
  texts[1] = schemas_text(schemas);
  schemas_close(schemas);
  put_file("9.avsc", CHECKIN);
  schemas = opened(directory);
  texts[2] = schemas_text(schemas);
  schemas_close(schemas);
  schemas = opened(directory);
  texts[3] = schemas_text(schemas);
  schemas_close(schemas);
  ck_assert_str_ne(texts[0], texts[1]);
  ck_assert_str_ne(texts[1], texts[2]);
  ck_assert_str_eq(texts[2], texts[3]);
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    free(texts[i]);
  }
}
END_TEST

static void assert_refused(const char *file, const char *said) {
  struct schemas *schemas;
  struct error error;
  ck_assert(schemas_open(directory, &schemas, &error) == STATUS_CONFIG);
  ck_assert_msg(strstr(error.text, file) != NULL, "%s", error.text);
  ck_assert_msg(strstr(error.text, said) != NULL, "%s", error.text);
}

START_TEST(schemas_refuse_with_file_and_reason) {
  char path[256];
  struct schemas *schemas;
  struct error error;
  ck_assert(schemas_open("/nowhere/at/all", &schemas, &error) == STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/at/all"));
  put_file("other.avsc", "{\"type\":");
  assert_refused("other.avsc", "line 1");
  put_file("other.avsc", "\"nothing\"");
  assert_refused("other.avsc", "no type nothing");
  drop_file("other.avsc");
  put_file("99999999999.avsc", "\"int\"");
  assert_refused("99999999999.avsc", "32 bits");
  drop_file("99999999999.avsc");
  put_file("7.avsc", "\"int\"");
  put_file("007.avsc", "\"long\"");
  assert_refused("007.avsc", "both of id 7");
  drop_file("007.avsc");
  snprintf(path, sizeof path, "%s/9.avsc", directory);
  ck_assert_int_eq(symlink("nothing", path), 0);
  assert_refused("9.avsc", "No such file");
  ck_assert_int_eq(unlink(path), 0);
  ck_assert_int_eq(mkdir(path, 0700), 0);
  assert_refused("9.avsc", "directory");
  ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(schemas_put_only_adds_the_id_of_what_is_known) {
  struct schemas *const schemas = opened(NULL);
  struct error error;
  ck_assert(schemas_put(schemas, 3, "a", span_text(CHECKIN), &error) == STATUS_OK);
  ck_assert(schemas_put(schemas, 1, "b", span_text(CHECKIN), &error) == STATUS_OK);
  ck_assert(schemas_put(schemas, 1, "c", span_text(CHECKIN), &error) == STATUS_OK);
  ck_assert(schemas_put(schemas, 1, "d", span_text("\"int\""), &error) == STATUS_CONFIG);
  ck_assert(schemas_put(schemas, -2, "e", span_text("\"int\""), &error) == STATUS_CONFIG);
  ck_assert_ptr_nonnull(schemas_find_id(schemas, 1));
  ck_assert_ptr_eq(schemas_find_id(schemas, 1), schemas_find_id(schemas, 3));
  ck_assert_str_eq(schemas_find_id(schemas, 1)->source, "a");
  ck_assert_ptr_null(schemas_find_id(schemas, 2));
  schemas_close(schemas);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("schemas");
  TCase *const tests = tcase_create("schemas");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, schemas_know_our_own);
  tcase_add_test(tests, schemas_know_earlier_versions_as_writers);
  tcase_add_test(tests, topics_tell_their_records);
  tcase_add_test(tests, schemas_read_a_directory_by_fingerprint_and_id);
  tcase_add_test(tests, schemas_text_shows_every_change);
  tcase_add_test(tests, schemas_refuse_with_file_and_reason);
  tcase_add_test(tests, schemas_put_only_adds_the_id_of_what_is_known);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
