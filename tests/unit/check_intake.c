/* core/app/intake: persons of a message, what digests see of it, and policies in control messages.
 * The source is the test's own: one record. */
#include "core/app/intake.h"

#include "consumers/avro_json.h"
#include "core/app/policy_shipped.h"
#include "core/app/policy_text.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

/* ---- One record ---- */

struct source {
  struct record record;
  bool is_popped;
};

const struct record *source_peek(struct source *source) {
  return source->is_popped ? NULL : &source->record;
}

void source_pop(struct source *source) {
  source->is_popped = true;
}

int64_t source_end(const struct source *source) {
  return source->is_popped ? source->record.offset + 1 : -1;
}

const char *source_error(const struct source *source) {
  (void)source;
  return NULL;
}

size_t record_headers_size(const struct record *record) {
  (void)record;
  return 0;
}

void record_headers_copy(const struct record *record, uint8_t *into) {
  (void)record;
  (void)into;
}

bool record_header(const struct record *record, const char *name, struct span *value) {
  (void)record;
  (void)name;
  (void)value;
  return false;
}

static struct schemas *schemas;
static struct source source;
static struct head head;
static struct intake intake;

static const char key[] = "a subject key of at least 32 bytes!";

static void setup(void) {
  struct error error;
  ck_assert_msg(schemas_open(NULL, &schemas, &error) == STATUS_OK, "%s", error.text);
  intake = (struct intake){.source = &source, .head = &head, .stop_offset = -1};
}

static void teardown(void) {
  free((void *)(uintptr_t)source.record.value.data);
  intake_fini(&intake);
  schemas_close(schemas);
}

static void take_json(enum input_record record, json_t *fields, const char *message_key) {
  uint8_t *data;
  size_t size;
  struct error error;
  ck_assert_msg(avro_json_to_value(schemas_reader(schemas, record), SCHEMA_ID_NONE, fields, &data,
                                   &size, &error) == STATUS_OK,
                "%s", error.text);
  json_decref(fields);
  intake.topic = input_record_topic(record);
  source.is_popped = false;
  free((void *)(uintptr_t)source.record.value.data);
  source.record = (struct record){.offset = 7,
                                  .timestamp_ms = 1000,
                                  .read_at_ms = 1000,
                                  .key = span_text(message_key),
                                  .value = span_of(data, size)};
  const struct intake_rules rules = {.schemas = schemas,
                                     .lane_count = 1,
                                     .message_bytes_max = 1 << 20,
                                     .subject_key = span_text(key)};
  intake_reconsider(&intake);
  ck_assert(intake_refresh(&intake, &rules, &error) == STATUS_OK);
  ck_assert_int_eq(head.state, HEAD_READY);
}

#define COMMON                                                                                     \
  "\"event_id\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"occurred_at\":1793491200000,"

static void take(enum input_record record, const char *json, const char *message_key) {
  json_t *const fields = json_loads(json, 0, NULL);
  ck_assert_msg(fields != NULL, "%s", json);
  take_json(record, fields, message_key);
}

static bool canonical_holds(struct span part) {
  const struct span bytes = buffer_span(&intake.canonical);
  for (size_t at = 0; at + part.size <= bytes.size; at++) {
    if (memcmp(bytes.data + at, part.data, part.size) == 0) {
      return true;
    }
  }
  return false;
}

static void assert_person(enum person_field field, const char *lowered) {
  struct span email;
  uint8_t subject[SUBJECT_SIZE];
  const struct named_person *const person = intake_person(&intake, field, &email);
  ck_assert_ptr_nonnull(person);
  ck_assert(span_equal(email, span_text(lowered)));
  subject_of(span_text(key), span_text(lowered), subject);
  ck_assert_mem_eq(person->subject, subject, SUBJECT_SIZE);
  ck_assert(canonical_holds(span_of(subject, SUBJECT_SIZE)));
  ck_assert(!canonical_holds(person->email));
}

static void assert_nobody(enum person_field field) {
  struct span email;
  ck_assert_ptr_null(intake_person(&intake, field, &email));
}

/* ---- Persons ---- */

static const char role[] =
    "{" COMMON "\"user_email\":\"Bob@Example.org\",\"role\":\"ADMIN\",\"change\":\"GRANT\","
    "\"actor_email\":\"ADA@example.org\"}";

START_TEST(a_role_names_two_persons) {
  take(INPUT_ROLE, role, "any key will do");
  ck_assert_msg(intake.is_event, "%s", intake.reject.text);
  assert_person(PERSON_USER, "bob@example.org");
  assert_person(PERSON_ACTOR, "ada@example.org");
}
END_TEST

/* Each address, wherever it stands, gives way to 16 bytes; the rest stays as it is. */
START_TEST(canonical_bytes_hold_subjects_for_addresses) {
  take(INPUT_ROLE, role, "");
  const size_t addresses = strlen("Bob@Example.org") + strlen("ADA@example.org");
  const size_t value = source.record.value.size - addresses + 2 * (size_t)SUBJECT_SIZE;
  /* topic, offset, stamp, key, value, headers */
  ck_assert_uint_eq(intake.canonical.size, 4 + strlen("control") + 8 + 8 + 4 + 4 + value + 4);
  ck_assert(canonical_holds(span_of(source.record.value.data, 10)));
}
END_TEST

START_TEST(an_actor_that_is_not_named_is_left) {
  take(INPUT_COMMAND, "{" COMMON "\"serial\":\"S\",\"command\":\"SYNC\",\"actor_email\":\"\"}",
       "S");
  ck_assert_msg(intake.is_event, "%s", intake.reject.text);
  assert_nobody(PERSON_USER);
  assert_nobody(PERSON_ACTOR);
  ck_assert(canonical_holds(source.record.value));
}
END_TEST

START_TEST(a_command_names_its_actor) {
  take(INPUT_COMMAND,
       "{" COMMON "\"serial\":\"S\",\"command\":\"SYNC\",\"actor_email\":\"Ada@example.org\"}",
       "S");
  ck_assert_msg(intake.is_event, "%s", intake.reject.text);
  assert_person(PERSON_ACTOR, "ada@example.org");
  assert_nobody(PERSON_USER);
}
END_TEST

START_TEST(a_command_has_its_serial_for_a_key) {
  take(INPUT_COMMAND, "{" COMMON "\"serial\":\"S\",\"command\":\"SYNC\"}", "T");
  ck_assert(!intake.is_event);
  ck_assert_int_eq(intake.reject.code, REJECT_KEY_MISMATCH);
}
END_TEST

static void find_by_place(void *context, const struct person_place *place, struct span email,
                          uint8_t subject[SUBJECT_SIZE]) {
  (void)context;
  ck_assert_int_eq(place->topic, TOPIC_CONTROL);
  ck_assert_int_eq(place->offset, 7);
  ck_assert(span_equal(
      email, span_text(place->field == PERSON_USER ? "bob@example.org" : "ada@example.org")));
  memset(subject, 1 + (int)place->field, SUBJECT_SIZE);
}

START_TEST(without_the_key_subjects_are_found_by_place) {
  struct error error;
  take(INPUT_ROLE, role, "");
  const struct intake_rules rules = {.schemas = schemas,
                                     .lane_count = 1,
                                     .message_bytes_max = 1 << 20,
                                     .find_subject = find_by_place};
  intake_reconsider(&intake);
  ck_assert(intake_refresh(&intake, &rules, &error) == STATUS_OK);
  ck_assert_int_eq(intake.event.user.subject[0], 1);
  ck_assert_int_eq(intake.event.actor.subject[0], 2);
}
END_TEST

/* ---- Policies ---- */

static const char other_hash[] = "00ff0123456789abcdef00000000000000000000000000000000000000000a01";

static void take_policy(const char *version, const char *hash, const char *text) {
  json_t *const fields = json_loads("{" COMMON "\"version\":\"\",\"hash\":\"\"}", 0, NULL);
  json_object_set_new(fields, "version", json_string(version));
  json_object_set_new(fields, "hash", json_string(hash));
  json_object_set_new(fields, "text", text != NULL ? json_string(text) : json_null());
  take_json(INPUT_POLICY, fields, "Policy");
}

static void hash_of_default(char text[HEX_DIGEST_SIZE]) {
  uint8_t hash[DIGEST_SIZE];
  policy_hash(policy_default(), hash);
  hex_format(hash, DIGEST_SIZE, text);
}

START_TEST(a_policy_is_compiled_once) {
  char hash[HEX_DIGEST_SIZE];
  hash_of_default(hash);
  take_policy("default", hash,
              policy_shipped_text("default").data == NULL
                  ? ""
                  : (const char *)policy_shipped_text("default").data);
  ck_assert_msg(intake.is_event, "%s", intake.reject.text);
  const struct policy *const policy = intake.event.policy.policy;
  ck_assert_ptr_nonnull(policy);
  ck_assert_str_eq(policy->version, "default");
  take_policy("default", hash, NULL);
  ck_assert(intake.is_event);
  ck_assert_ptr_eq(intake.event.policy.policy, policy);
}
END_TEST

START_TEST(a_policy_without_a_text_may_be_known_to_the_lane_alone) {
  take_policy("default", other_hash, NULL);
  ck_assert_msg(intake.is_event, "%s", intake.reject.text);
  ck_assert_ptr_null(intake.event.policy.policy);
  take_policy("nobody-ships-this", other_hash, NULL);
  ck_assert(intake.is_event);
  ck_assert_ptr_null(intake.event.policy.policy);
}
END_TEST

static void assert_malformed(const char *beginning) {
  ck_assert(!intake.is_event);
  ck_assert_int_eq(intake.reject.code, REJECT_MALFORMED);
  ck_assert_msg(strncmp(intake.reject.text, beginning, strlen(beginning)) == 0, "%s",
                intake.reject.text);
}

START_TEST(a_policy_is_what_its_message_says) {
  char hash[HEX_DIGEST_SIZE];
  hash_of_default(hash);
  const char *const text = (const char *)policy_shipped_text("default").data;
  take_policy("default", other_hash, text);
  assert_malformed("hash: ");
  take_policy("extended", hash, text);
  assert_malformed("version: ");
  take_policy("default", hash, "version: default\nrules: [");
  assert_malformed("text:3:1: not YAML");
  take_policy("default", hash, "");
  assert_malformed("text:");
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("intake");
  TCase *const tests = tcase_create("intake");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, a_role_names_two_persons);
  tcase_add_test(tests, canonical_bytes_hold_subjects_for_addresses);
  tcase_add_test(tests, an_actor_that_is_not_named_is_left);
  tcase_add_test(tests, a_command_names_its_actor);
  tcase_add_test(tests, a_command_has_its_serial_for_a_key);
  tcase_add_test(tests, without_the_key_subjects_are_found_by_place);
  tcase_add_test(tests, a_policy_is_compiled_once);
  tcase_add_test(tests, a_policy_without_a_text_may_be_known_to_the_lane_alone);
  tcase_add_test(tests, a_policy_is_what_its_message_says);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
