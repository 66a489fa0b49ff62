/* The parts of a replay that need no broker: subjects without a key, environments of others,
 * results' heads, and how differences are shown. */
#include "consumers/schemas.h"
#include "core/app/environment.h"
#include "core/app/finding.h"
#include "core/app/option_time.h"
#include "core/app/subjects.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

static const uint8_t subject_a[SUBJECT_SIZE] = "aaaaaaaaaaaaaaa";
static const uint8_t subject_b[SUBJECT_SIZE] = "bbbbbbbbbbbbbbb";

static void expect_subject(struct subjects *subjects, int64_t offset, const char *email,
                           const uint8_t expected[SUBJECT_SIZE]) {
  uint8_t subject[SUBJECT_SIZE];
  subjects_find(subjects, offset, span_text(email), subject);
  ck_assert_mem_eq(subject, expected, SUBJECT_SIZE);
}

START_TEST(test_subjects_come_from_what_was_recorded) {
  static const uint8_t none[SUBJECT_SIZE];
  int64_t offset;
  struct subjects *subjects = subjects_open();
  subjects_begin(subjects);
  subjects_note(subjects, 3, subject_a);
  subjects_note(subjects, 7, subject_b);
  expect_subject(subjects, 3, "a@example.org", subject_a);
  expect_subject(subjects, 5, "a@example.org", subject_a); /* changed nothing, but is known */
  expect_subject(subjects, 6, "c@example.org", none);      /* changed nothing, and is not */
  expect_subject(subjects, 7, "b@example.org", subject_b);
  ck_assert_uint_eq(subjects_unknown(subjects), 1);
  ck_assert(!subjects_conflict(subjects, &offset));
  subjects_begin(subjects);
  ck_assert_uint_eq(subjects_unknown(subjects), 0);
  expect_subject(subjects, 8, "b@example.org", subject_b);
  subjects_close(subjects);
}
END_TEST

START_TEST(test_an_address_keeps_its_subject) {
  int64_t offset;
  struct subjects *subjects = subjects_open();
  subjects_begin(subjects);
  subjects_note(subjects, 1, subject_a);
  expect_subject(subjects, 1, "a@example.org", subject_a);
  subjects_begin(subjects);
  subjects_note(subjects, 2, subject_b);
  expect_subject(subjects, 2, "a@example.org", subject_b);
  ck_assert(subjects_conflict(subjects, &offset));
  ck_assert_int_eq(offset, 2);
  subjects_close(subjects);
}
END_TEST

/* The environment of a default configuration, with one member changed. */
static bool reads(const char *member, json_t *value, struct config *settings, char *key_id,
                  char *reason) {
  struct error error;
  struct config config;
  struct schemas *schemas;
  const struct text_list none = {0};
  uint8_t digest[DIGEST_SIZE];
  ck_assert_int_eq(config_load(&config, NULL, &none, &none, &error), STATUS_OK);
  ck_assert_int_eq(schemas_open(NULL, &schemas, &error), STATUS_OK);
  char *text = environment_text(&config, schemas, 4, span_text("a key"), digest);
  json_t *content = json_loads(text, 0, NULL);
  if (member != NULL && value == NULL) {
    json_object_del(content, member);
  } else if (member != NULL) {
    json_object_set_new(content, member, value);
  }
  char *changed = json_dumps(content, JSON_COMPACT);
  const bool answer =
      environment_read(span_text(changed), &config, schemas, 4, settings, key_id, reason);
  settings->kafka.topic_prefix = NULL; /* belongs to the configuration */
  free(changed);
  free(text);
  json_decref(content);
  schemas_close(schemas);
  config_fini(&config);
  return answer;
}

START_TEST(test_an_environment_is_ours_or_not) {
  struct config settings;
  char key_id[KEY_ID_SIZE];
  char own_id[KEY_ID_SIZE];
  char reason[ENVIRONMENT_REASON_SIZE];
  ck_assert(reads(NULL, NULL, &settings, key_id, reason));
  environment_key_id(span_text("a key"), own_id);
  ck_assert_str_eq(key_id, own_id);
  /* Settings are taken over, whatever they are here. */
  ck_assert(reads("message_bytes_max", json_integer(4711), &settings, key_id, reason));
  ck_assert_int_eq(settings.kafka.message_bytes_max, 4711);
  ck_assert(reads("partitioner", json_string("fnv1a"), &settings, key_id, reason));
  ck_assert_int_eq(settings.kafka.partitioner, PARTITIONER_FNV1A);
  ck_assert(reads("cloudevents", json_true(), &settings, key_id, reason));
  ck_assert(settings.kafka.cloudevents);
  /* What decides otherwise is refused, and named. */
  ck_assert(!reads("decision_version", json_integer(99), &settings, key_id, reason));
  ck_assert_ptr_nonnull(strstr(reason, "decision_version was 99"));
  ck_assert(!reads("partitioner", json_string("random"), &settings, key_id, reason));
  ck_assert(!reads("policy", json_string("strict"), &settings, key_id, reason));
  ck_assert(!reads("schemas", json_string("others"), &settings, key_id, reason));
  ck_assert_ptr_nonnull(strstr(reason, "schemas.directory"));
  ck_assert(!reads("lane_count", NULL, &settings, key_id, reason));
  ck_assert(!reads("a_setting_of_later", json_true(), &settings, key_id, reason));
  ck_assert_ptr_nonnull(strstr(reason, "a_setting_of_later"));
}
END_TEST

static const struct encoding encoding = {
    .topic_prefix = "muster.",
    .lane = 2,
    .frames = {.of[RESULT_LICENSE] = {.bytes = "\xc3\x01", .size = 10}}};

static void encode(struct buffer *records, struct found_record *record) {
  size_t position = 0;
  struct buffer canonical = {0};
  struct result result = {.kind = RESULT_LICENSE,
                          .seq = 300,
                          .at_ms = 1000,
                          .cause = {.topic = TOPIC_CHECKINS, .offset = 12345},
                          .policy = "default",
                          .device_number = 3,
                          .serial = span_text("S"),
                          .has_subject = true};
  memcpy(result.subject, subject_a, SUBJECT_SIZE);
  encode_result(&encoding, &result, span_text("a@example.org"), records, &canonical);
  *record = (struct found_record){.offset = 1};
  ck_assert(outgoing_next(buffer_span(records), &position, &record->message));
  buffer_fini(&canonical);
}

START_TEST(test_a_result_tells_its_head) {
  struct buffer records = {0};
  struct found_record record;
  struct found_head head;
  encode(&records, &record);
  ck_assert(found_read_head(&record, &encoding.frames, &head));
  ck_assert_int_eq(head.lane, 2);
  ck_assert_int_eq(head.seq, 300);
  ck_assert(head.has_cause);
  ck_assert(span_equal(head.cause_topic, span_text("muster.checkins")));
  ck_assert_int_eq(head.cause_offset, 12345);
  ck_assert(head.has_subject);
  ck_assert_mem_eq(head.subject, subject_a, SUBJECT_SIZE);
  /* Cut anywhere within, it is none. */
  for (size_t size = 0; size < 60; size++) {
    struct found_record cut = record;
    cut.message.value.size = size;
    ck_assert(!found_read_head(&cut, &encoding.frames, &head));
  }
  buffer_fini(&records);
}
END_TEST

START_TEST(test_differences_name_the_deepest_fields) {
  json_t *expected =
      json_pack("{s:i, s:{s:s, s:i}, s:[s]}", "a", 1, "b", "c", "x", "d", 2, "e", "f");
  json_t *found = json_pack("{s:i, s:{s:s, s:i}, s:[s], s:b}", "a", 1, "b", "c", "y", "d", 2, "e",
                            "g", "new", 1);
  json_t *differences = finding_differences(expected, found);
  json_t *wanted = json_pack("[{s:s, s:s, s:s}, {s:s, s:[s], s:[s]}, {s:s, s:n, s:b}]", "field",
                             "b.c", "expected", "x", "found", "y", "field", "e", "expected", "f",
                             "found", "g", "field", "new", "expected", "found", 1);
  ck_assert(json_equal(differences, wanted));
  json_decref(differences);
  json_decref(wanted);
  json_decref(expected);
  json_decref(found);
}
END_TEST

START_TEST(test_a_time_is_a_text_or_milliseconds) {
  struct error error;
  int64_t at_ms = 5;
  ck_assert_int_eq(option_time("at", NULL, &at_ms, &error), STATUS_OK);
  ck_assert_int_eq(at_ms, 5);
  ck_assert_int_eq(option_time("at", "1970-01-01T00:00:01Z", &at_ms, &error), STATUS_OK);
  ck_assert_int_eq(at_ms, 1000);
  ck_assert_int_eq(option_time("at", "1748822400000", &at_ms, &error), STATUS_OK);
  ck_assert_int_eq(at_ms, 1748822400000);
  ck_assert_int_eq(option_time("at", "yesterday", &at_ms, &error), STATUS_USAGE);
  ck_assert_ptr_nonnull(strstr(error.text, "--at"));
}
END_TEST

int main(void) {
  TCase *cases = tcase_create("replay");
  tcase_add_test(cases, test_subjects_come_from_what_was_recorded);
  tcase_add_test(cases, test_an_address_keeps_its_subject);
  tcase_add_test(cases, test_an_environment_is_ours_or_not);
  tcase_add_test(cases, test_a_result_tells_its_head);
  tcase_add_test(cases, test_differences_name_the_deepest_fields);
  tcase_add_test(cases, test_a_time_is_a_text_or_milliseconds);
  Suite *suite = suite_create("replay");
  suite_add_tcase(suite, cases);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
