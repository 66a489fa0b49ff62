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
  const struct person_place place = {.topic = TOPIC_ENROLLMENTS, .offset = offset};
  subjects_find(subjects, &place, span_text(email), subject);
  ck_assert_mem_eq(subject, expected, SUBJECT_SIZE);
}

static void note(struct subjects *subjects, enum topic topic, int64_t offset,
                 enum person_field field, const uint8_t subject[SUBJECT_SIZE]) {
  const struct person_place place = {.topic = topic, .offset = offset, .field = field};
  subjects_note(subjects, &place, subject);
}

START_TEST(test_subjects_come_from_what_was_recorded) {
  static const uint8_t none[SUBJECT_SIZE];
  struct person_place place;
  struct subjects *subjects = subjects_open();
  subjects_begin(subjects);
  note(subjects, TOPIC_ENROLLMENTS, 3, PERSON_USER, subject_a);
  note(subjects, TOPIC_ENROLLMENTS, 7, PERSON_USER, subject_b);
  expect_subject(subjects, 3, "a@example.org", subject_a);
  expect_subject(subjects, 5, "a@example.org", subject_a); /* changed nothing, but is known */
  expect_subject(subjects, 6, "c@example.org", none);      /* changed nothing, and is not */
  expect_subject(subjects, 7, "b@example.org", subject_b);
  ck_assert_uint_eq(subjects_unknown(subjects), 1);
  ck_assert(!subjects_conflict(subjects, &place));
  subjects_begin(subjects);
  ck_assert_uint_eq(subjects_unknown(subjects), 0);
  expect_subject(subjects, 8, "b@example.org", subject_b);
  subjects_close(subjects);
}
END_TEST

START_TEST(test_an_address_keeps_its_subject) {
  struct person_place place;
  struct subjects *subjects = subjects_open();
  subjects_begin(subjects);
  note(subjects, TOPIC_ENROLLMENTS, 1, PERSON_USER, subject_a);
  expect_subject(subjects, 1, "a@example.org", subject_a);
  subjects_begin(subjects);
  note(subjects, TOPIC_ENROLLMENTS, 2, PERSON_USER, subject_b);
  expect_subject(subjects, 2, "a@example.org", subject_b);
  ck_assert(subjects_conflict(subjects, &place));
  ck_assert_int_eq(place.offset, 2);
  ck_assert_int_eq(place.topic, TOPIC_ENROLLMENTS);
  subjects_close(subjects);
}
END_TEST

/* A control message names two, and what lane 0 says of it is known before the batch that has it. */
START_TEST(test_subjects_of_a_message_are_told_apart) {
  uint8_t subject[SUBJECT_SIZE];
  struct subjects *subjects = subjects_open();
  note(subjects, TOPIC_CONTROL, 4, PERSON_USER, subject_a);
  note(subjects, TOPIC_CONTROL, 4, PERSON_ACTOR, subject_b);
  note(subjects, TOPIC_CONTROL, 4, PERSON_ACTOR, subject_a); /* the first holds */
  subjects_begin(subjects);
  note(subjects, TOPIC_COMMANDS, 4, PERSON_ACTOR, subject_a);
  struct person_place place = {.topic = TOPIC_CONTROL, .offset = 4, .field = PERSON_ACTOR};
  subjects_find(subjects, &place, span_text("b@example.org"), subject);
  ck_assert_mem_eq(subject, subject_b, SUBJECT_SIZE);
  place.field = PERSON_USER;
  subjects_find(subjects, &place, span_text("a@example.org"), subject);
  ck_assert_mem_eq(subject, subject_a, SUBJECT_SIZE);
  place = (struct person_place){.topic = TOPIC_COMMANDS, .offset = 4, .field = PERSON_USER};
  subjects_find(subjects, &place, span_text("c@example.org"), subject);
  ck_assert_uint_eq(subjects_unknown(subjects), 1);
  ck_assert(!subjects_conflict(subjects, &place));
  subjects_close(subjects);
}
END_TEST

/* A program, and an environment that it recorded; what is read of that. */
static struct config config;
static struct schemas *schemas;
static struct environment environment;
static struct recorded_environment recorded;
static char reason[ENVIRONMENT_REASON_SIZE];

static void open_environment(void) {
  struct error error;
  const struct text_list none = {0};
  ck_assert_int_eq(config_load(&config, NULL, &none, &none, &error), STATUS_OK);
  ck_assert_int_eq(schemas_open(NULL, &schemas, &error), STATUS_OK);
  environment = (struct environment){
      .config = &config, .schemas = schemas, .lane_count = 4, .subject_key = span_text("a key")};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    environment.ids.of[record] = SCHEMA_ID_NONE;
  }
  recorded = (struct recorded_environment){0};
}

static void close_environment(void) {
  recorded_environment_fini(&recorded);
  schemas_close(schemas);
  config_fini(&config);
}

/* What the process recorded, as a value; the caller's. `fetched` becomes this function's. */
static json_t *content_of(const struct environment *of, const struct schemas *known,
                          json_t *fetched) {
  uint8_t digest[DIGEST_SIZE];
  char *text = environment_text(of, known, fetched, digest);
  json_t *content = json_loads(text, 0, NULL);
  free(text);
  json_decref(fetched);
  return content;
}

static bool reads_content(json_t *content) {
  char *text = json_dumps(content, JSON_COMPACT);
  recorded_environment_fini(&recorded);
  const bool answer = environment_read(span_text(text), &environment, &recorded, reason);
  free(text);
  json_decref(content);
  return answer;
}

/* The environment of a default configuration, with one member changed. */
static bool reads(const char *member, json_t *value) {
  json_t *content = content_of(&environment, schemas, json_object());
  if (member != NULL && value == NULL) {
    json_object_del(content, member);
  } else if (member != NULL) {
    json_object_set_new(content, member, value);
  }
  return reads_content(content);
}

START_TEST(test_an_environment_is_ours_or_not) {
  char own_id[KEY_ID_SIZE];
  ck_assert(reads(NULL, NULL));
  environment_key_id(span_text("a key"), own_id);
  ck_assert_str_eq(recorded.key_id, own_id);
  /* Settings are taken over, whatever they are here. */
  ck_assert(reads("message_bytes_max", json_integer(4711)));
  ck_assert_int_eq(recorded.settings.kafka.message_bytes_max, 4711);
  ck_assert(reads("partitioner", json_string("fnv1a")));
  ck_assert_int_eq(recorded.settings.kafka.partitioner, PARTITIONER_FNV1A);
  ck_assert(reads("cloudevents", json_true()));
  ck_assert(recorded.settings.kafka.cloudevents);
  /* Of before there was a registry. */
  ck_assert(reads("fetched", NULL));
  ck_assert(reads("output_ids", NULL));
  ck_assert(reads("registry_url", NULL));
  /* What decides otherwise is refused, and named. */
  ck_assert(!reads("decision_version", json_integer(99)));
  ck_assert_ptr_nonnull(strstr(reason, "decision_version was 99"));
  ck_assert(!reads("partitioner", json_string("random")));
  ck_assert(!reads("policy", json_string("strict")));
  ck_assert(!reads("schemas", json_string("others")));
  ck_assert_ptr_nonnull(strstr(reason, "schemas.directory"));
  ck_assert(!reads("lane_count", NULL));
  ck_assert(!reads("a_setting_of_later", json_true()));
  ck_assert_ptr_nonnull(strstr(reason, "a_setting_of_later"));
}
END_TEST

/* What a process recorded that has a registry, which gave our records the ids from 100 on and the
 * id 7 to `fetched`. */
static json_t *content_with_registry(const char *fetched) {
  struct error error;
  struct config then = config;
  struct schemas *known = schemas_derive(schemas);
  struct environment of = environment;
  then.schemas.registry_url = (char *)(uintptr_t) "http://registry:8081";
  of.config = &then;
  of.schemas = known;
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    const struct writer *ours = schemas_find_own(schemas, record_name(record));
    if (record != RESULT_DEAD_LETTER) {
      of.ids.of[record] = 100 + record;
      ck_assert_int_eq(schemas_put(known, 100 + record, "ours", schemas_own_text(ours), &error),
                       STATUS_OK);
    }
  }
  ck_assert_int_eq(schemas_put(known, 7, "fetched", span_text(fetched), &error), STATUS_OK);
  json_t *content = content_of(&of, known, json_pack("{s:s}", "7", fetched));
  schemas_close(known);
  return content;
}

START_TEST(test_what_a_registry_said_is_taken_from_the_record) {
  struct error error;
  struct frames frames;
  ck_assert_msg(reads_content(content_with_registry("\"int\"")), "%s", reason);
  ck_assert_ptr_nonnull(schemas_find_id(recorded.schemas, 7));
  ck_assert_ptr_null(schemas_find_id(schemas, 7));
  ck_assert_int_eq(recorded.ids.of[RESULT_LICENSE], 100 + RESULT_LICENSE);
  environment_frames(recorded.schemas, &recorded.ids, &frames);
  const uint8_t expected[] = {0, 0, 0, 0, 100 + RESULT_LICENSE};
  ck_assert_uint_eq(frames.of[RESULT_LICENSE].size, sizeof expected);
  ck_assert_mem_eq(frames.of[RESULT_LICENSE].bytes, expected, sizeof expected);
  /* And from nowhere else: what this program's registry would say is of no matter. */
  char *const none = config.schemas.registry_url;
  config.schemas.registry_url = (char *)(uintptr_t) "http://another:8081";
  ck_assert(reads_content(content_with_registry("\"int\"")));
  ck_assert(reads(NULL, NULL) == false); /* it is recorded with that registry, and without ids */
  config.schemas.registry_url = none;
  ck_assert(reads(NULL, NULL));
  ck_assert_ptr_null(schemas_find_id(recorded.schemas, 7));
  ck_assert_int_eq(recorded.ids.of[RESULT_LICENSE], SCHEMA_ID_NONE);
  /* What is known besides is held against it as ever. */
  ck_assert_int_eq(schemas_put(schemas, 8, "directory", span_text("\"long\""), &error), STATUS_OK);
  json_t *content = content_with_registry("\"int\"");
  recorded_environment_fini(&recorded);
  schemas_close(schemas);
  ck_assert_int_eq(schemas_open(NULL, &schemas, &error), STATUS_OK);
  environment.schemas = schemas;
  ck_assert(!reads_content(content));
  ck_assert_ptr_nonnull(strstr(reason, "schemas.directory"));
}
END_TEST

START_TEST(test_what_cannot_be_taken_over_is_named) {
  struct error error;
  json_t *content = content_with_registry("\"int\"");
  json_object_del(json_object_get(content, "output_ids"), record_name(RESULT_LICENSE));
  ck_assert(!reads_content(content));
  content = content_with_registry("\"int\"");
  json_object_set_new(json_object_get(content, "output_ids"), record_name(RECORD_DEVICE),
                      json_pack("{s:s, s:i}", "fingerprint", "0123456789abcdef", "id", 5));
  ck_assert(!reads_content(content));
  ck_assert_ptr_nonnull(strstr(reason, record_name(RECORD_DEVICE)));
  static const struct {
    const char *key, *text;
  } bad[] = {{"x", "\"int\""}, {"", "\"int\""},   {"-1", "\"int\""},        {"9", "{"},
             {"9", NULL},      {"7x", "\"int\""}, {"4294967296", "\"int\""}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    content = content_with_registry("\"int\"");
    json_object_set_new(json_object_get(content, "fetched"), bad[i].key,
                        bad[i].text == NULL ? json_integer(9) : json_string(bad[i].text));
    ck_assert_msg(!reads_content(content), "%s: %s", bad[i].key, bad[i].text);
    ck_assert_ptr_nonnull(strstr(reason, "fetched schema"));
  }
  /* The record and the directory mean two schemas by one id. */
  ck_assert_int_eq(schemas_put(schemas, 107, "directory", span_text("\"long\""), &error),
                   STATUS_OK);
  json_t *fetched = json_pack("{s:s}", "107", "\"int\"");
  ck_assert(!reads_content(content_of(&environment, schemas, fetched)));
  ck_assert_ptr_nonnull(strstr(reason, "107"));
}
END_TEST

static const struct encoding encoding = {
    .topic_prefix = "muster.",
    .lane = 2,
    .frames = {.of[RESULT_LICENSE] = {.bytes = "\xc3\x01", .size = 10},
               .of[RESULT_AUDIT] = {.bytes = "\xc3\x01", .size = 10}}};

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

/* Who asked for it, and whom it is about: how a subject is known without the key. */
START_TEST(test_an_audit_entry_tells_its_persons) {
  static const char actor[] = "61616161616161616161616161616100";
  static const char target[] = "62626262626262626262626262626200";
  size_t position = 0;
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct found_audit audit;
  struct result result = {.kind = RESULT_AUDIT,
                          .seq = 4,
                          .at_ms = 1000,
                          .cause = {.topic = TOPIC_CONTROL, .offset = 9},
                          .policy = "default",
                          .audit = {.actor = actor,
                                    .action = AUDIT_MANAGE,
                                    .target = span_text(target),
                                    .outcome = OUTCOME_OK}};
  encode_result(&encoding, &result, (struct span){0}, &records, &canonical);
  result.audit.actor = "console";
  result.audit.target = span_text("D001");
  encode_result(&encoding, &result, (struct span){0}, &records, &canonical);
  struct found_record record = {.offset = 1};
  ck_assert(outgoing_next(buffer_span(&records), &position, &record.message));
  ck_assert(found_read_audit(&record, &encoding.frames, &audit));
  ck_assert(span_equal(audit.head.cause_topic, span_text("muster.control")));
  ck_assert_int_eq(audit.head.cause_offset, 9);
  ck_assert(audit.has_actor && audit.has_target && !audit.head.has_subject);
  ck_assert(!audit.has_device);
  ck_assert_mem_eq(audit.actor, subject_a, SUBJECT_SIZE);
  ck_assert_mem_eq(audit.target, subject_b, SUBJECT_SIZE);
  ck_assert(outgoing_next(buffer_span(&records), &position, &record.message));
  ck_assert(found_read_audit(&record, &encoding.frames, &audit));
  ck_assert(!audit.has_actor && !audit.has_target);
  buffer_fini(&records);
  buffer_fini(&canonical);
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
  tcase_add_test(cases, test_subjects_of_a_message_are_told_apart);
  tcase_add_test(cases, test_a_result_tells_its_head);
  tcase_add_test(cases, test_an_audit_entry_tells_its_persons);
  tcase_add_test(cases, test_differences_name_the_deepest_fields);
  tcase_add_test(cases, test_a_time_is_a_text_or_milliseconds);
  Suite *suite = suite_create("replay");
  suite_add_tcase(suite, cases);
  TCase *environments = tcase_create("environments");
  tcase_add_checked_fixture(environments, open_environment, close_environment);
  tcase_add_test(environments, test_an_environment_is_ours_or_not);
  tcase_add_test(environments, test_what_a_registry_said_is_taken_from_the_record);
  tcase_add_test(environments, test_what_cannot_be_taken_over_is_named);
  suite_add_tcase(suite, environments);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
