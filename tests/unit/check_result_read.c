/* core/app/result_read: what was published, read back, is the row that was committed. */
#include "consumers/schemas.h"
#include "core/app/environment.h"
#include "core/app/lane_state.h"
#include "core/app/policy_shipped.h"
#include "core/app/result_read.h"

#include <check.h>
#include <stdlib.h>

static struct schemas *schemas;
static struct control control;
static struct encoding encoding;
static struct buffer records, canonical, rows, letters, rows_again, letters_again;

static void set_up(void) {
  struct error error;
  struct output_ids ids;
  ck_assert_int_eq(schemas_open(NULL, &schemas, &error), STATUS_OK);
  for (size_t i = 0; i < RECORD_COUNT; i++) {
    ids.of[i] = SCHEMA_ID_NONE;
  }
  encoding = (struct encoding){.topic_prefix = "muster.", .lane = 3, .message_bytes_max = 1000};
  environment_frames(schemas, &ids, &encoding.frames);
  control = (struct control){0};
  control_init(&control, &heap_memory, policy_default());
}

static void tear_down(void) {
  struct buffer *const all[] = {&records, &canonical, &rows, &letters, &rows_again, &letters_again};
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    buffer_fini(all[i]);
    *all[i] = (struct buffer){0};
  }
  control_fini(&control, &heap_memory);
  schemas_close(schemas);
}

static struct result a_result(enum result_kind kind, bool is_full) {
  struct result result = {.kind = kind,
                          .seq = 98765,
                          .at_ms = INT64_C(1793491200000),
                          .cause = {.offset = -1},
                          .policy = policy_default()->version,
                          .rules = policy_rule_names(policy_default()),
                          .device_number = 1000,
                          .serial = span_text("SN-1"),
                          .has_subject = is_full,
                          .subject = {0xde, 0xad, [15] = 0x0f}};
  if (is_full) {
    result.cause = (struct cause){.topic = TOPIC_REPORTS,
                                  .offset = 1234567,
                                  .has_event_id = true,
                                  .event_id = {0x01, 0x23, [6] = 0x4c, [8] = 0x8f, [15] = 0xff},
                                  .traceparent = span_text("00-trace-01")};
  } else {
    memset(result.subject, 0, sizeof result.subject);
  }
  return result;
}

static void put_rows(const struct result *result, struct buffer *to, struct buffer *letters_to) {
  buffer_clear(to);
  buffer_clear(letters_to);
  store_append_result(to, letters_to, encoding.lane, 7, result);
}

/* The record as a reader of its topic has it. */
static struct found_record published(const struct result *result, const char *email) {
  struct found_record record = {.offset = 5};
  size_t position = 0;
  buffer_clear(&records);
  encode_result(&encoding, result, span_text(email), &records, &canonical);
  ck_assert(outgoing_next(buffer_span(&records), &position, &record.message));
  return record;
}

static void assert_comes_back(const struct result *result, const char *email) {
  const struct result_reader reader = {
      .schemas = schemas, .topic_prefix = "muster.", .control = &control};
  const struct found_record record = published(result, email);
  struct result_read read;
  uint64_t seq;
  ck_assert_msg(result_read(&reader, &record, &read), "%s", read.reason);
  ck_assert(result_read_seq(&reader, &encoding.frames, &record, &seq));
  ck_assert_uint_eq(seq, result->seq);
  if (result->kind == RESULT_DEAD_LETTER) { /* which its record does not say */
    read.result.at_ms = result->at_ms;
    read.result.policy = result->policy;
  } else {
    ck_assert(span_equal(read.user_email, span_text(email)));
  }
  put_rows(result, &rows, &letters);
  put_rows(&read.result, &rows_again, &letters_again);
  ck_assert(span_equal(buffer_span(&rows), buffer_span(&rows_again)));
  ck_assert(span_equal(buffer_span(&letters), buffer_span(&letters_again)));
  struct buffer again = {0};
  encode_result(&encoding, &read.result, read.user_email, &again, &canonical);
  ck_assert(span_equal(buffer_span(&again), buffer_span(&records)));
  buffer_fini(&again);
  result_read_fini(&read);
}

START_TEST(test_changes_and_tickets) {
  for (violation_set violations = 0; violations < 16; violations++) {
    struct result change = a_result(RESULT_COMPLIANCE_CHANGE, violations % 2 == 0);
    change.change.compliance = violations == 0 ? COMPLIANCE_COMPLIANT : COMPLIANCE_NONCOMPLIANT;
    change.change.violations = violations;
    change.change.noncompliant_since_ms = violations == 0 ? TIME_NONE : INT64_C(1793000000123);
    assert_comes_back(&change, "");
    struct result ticket = a_result(RESULT_TICKET, violations % 2 == 1);
    ticket.ticket.action = (enum ticket_action)(violations % TICKET_ACTION_COUNT);
    ticket.ticket.episode = UINT32_MAX - violations;
    ticket.ticket.violations = violations;
    ticket.ticket.description = violations == 3 ? NULL : "one line\nand another, \xc3\xa9";
    assert_comes_back(&ticket, "");
  }
}
END_TEST

START_TEST(test_what_names_people) {
  struct result notification = a_result(RESULT_NOTIFICATION, true);
  notification.notification.template_name = "noncompliant";
  assert_comes_back(&notification, "ada@example.org");
  assert_comes_back(&notification, ""); /* erased */
  struct result access = a_result(RESULT_ACCESS_DECISION, true);
  access.access.resource = "email";
  access.access.decision = ACCESS_BLOCK;
  access.access.reason = "";
  assert_comes_back(&access, "ada@example.org");
  struct result license = a_result(RESULT_LICENSE, true);
  license.license.action = LICENSE_RELEASE;
  assert_comes_back(&license, "ada@example.org");
}
END_TEST

START_TEST(test_audit_and_actions) {
  struct result audit = a_result(RESULT_AUDIT, true);
  audit.audit.actor = "timer";
  audit.audit.action = AUDIT_UPDATE;
  audit.audit.target = span_text("D1000");
  audit.audit.outcome = OUTCOME_FAILED;
  audit.audit.reason = "PENDING to FAILED";
  assert_comes_back(&audit, "");
  audit.device_number = 0;
  audit.serial = (struct span){0};
  audit.audit.reason = NULL;
  audit.cause = (struct cause){.topic = TOPIC_CONTROL, .offset = 0};
  assert_comes_back(&audit, "");
  struct result action = a_result(RESULT_ACTION, true);
  action.action.action = ACTION_SYNC;
  assert_comes_back(&action, "");
  action.action.action = ACTION_RENAME;
  action.action.is_selective = true;
  action.action.parameter = "name";
  action.action.parameter_value = span_text("Front desk \xc3\xa9");
  assert_comes_back(&action, "");
}
END_TEST

static struct result a_letter(enum reject_code code, enum reject_stage stage) {
  struct result letter = a_result(RESULT_DEAD_LETTER, false);
  letter.device_number = 0;
  letter.serial = (struct span){0};
  letter.cause = (struct cause){.topic = TOPIC_CHECKINS, .offset = 17};
  reject_set(&letter.dead_letter.reject, code, stage, "the value is null");
  letter.dead_letter.original = (struct original){.key = span_text("SN-9"),
                                                  .value = span_text("not Avro"),
                                                  .timestamp_ms = INT64_C(1793491100000)};
  return letter;
}

/* A dead letter that was sent again and refused again has our headers among its own. */
START_TEST(test_dead_letters) {
  static const char headers[] = "\0\0\0\x0bmuster.code\0\0\0\x01x"
                                "\0\0\0\x0cmuster.error\0\0\0\x09malformed"
                                "\0\0\0\x0btraceparent\xff\xff\xff\xff"
                                "\0\0\0\x0btraceparent\0\0\0\x02t1";
  struct result letter = a_letter(REJECT_MALFORMED, STAGE_VALUE);
  assert_comes_back(&letter, "");
  letter.dead_letter.original.headers = span_of(headers, sizeof headers - 1);
  letter.cause.traceparent = span_text("t1");
  assert_comes_back(&letter, "");
  letter.dead_letter.original.value = (struct span){0};
  letter.dead_letter.original.value_is_null = true;
  letter.dead_letter.original.key_is_null = true;
  letter.dead_letter.original.key = (struct span){0};
  letter.dead_letter.original.timestamp_ms = -1;
  assert_comes_back(&letter, "");
  letter = a_letter(REJECT_TOO_LARGE, STAGE_VALUE);
  letter.dead_letter.original.value = (struct span){0};
  letter.dead_letter.original.value_is_null = true;
  letter.dead_letter.original.value_sha256[4] = 0xab;
  letter.dead_letter.original.size_bytes = 5 << 20;
  assert_comes_back(&letter, "");
}
END_TEST

static bool is_refused(const struct found_record *record) {
  const struct result_reader reader = {
      .schemas = schemas, .topic_prefix = "muster.", .control = &control};
  struct result_read read;
  const bool is_good = result_read(&reader, record, &read);
  result_read_fini(&read);
  return !is_good;
}

START_TEST(test_what_is_none_is_refused) {
  struct result letter = a_letter(REJECT_MALFORMED, STAGE_DECISION); /* not to be decoded */
  struct found_record record = published(&letter, "");
  ck_assert(is_refused(&record));
  record.message.headers = (struct span){0};
  ck_assert(is_refused(&record));
  struct result other = a_result(RESULT_NOTIFICATION, true);
  other.notification.template_name = "noncompliant";
  other.policy = "another"; /* which was never in force */
  record = published(&other, "");
  ck_assert(is_refused(&record));
  other.policy = policy_default()->version;
  record = published(&other, "");
  for (size_t size = 0; size < record.message.value.size; size++) {
    struct found_record cut = record;
    cut.message.value.size = size;
    ck_assert_msg(is_refused(&cut), "%zu bytes", size);
  }
  ck_assert(!is_refused(&record));
}
END_TEST

int main(void) {
  Suite *suite = suite_create("result_read");
  TCase *tests = tcase_create("all");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, test_changes_and_tickets);
  tcase_add_test(tests, test_what_names_people);
  tcase_add_test(tests, test_audit_and_actions);
  tcase_add_test(tests, test_dead_letters);
  tcase_add_test(tests, test_what_is_none_is_refused);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
