/* core/app/import_ndjson: lines of JSON as messages. */
#include "core/app/import_ndjson.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#define NOW_MS INT64_C(1793491200000)

static enum status convert(const char *line, struct import_message *message, struct error *error) {
  return ndjson_convert(span_text(line), "muster.", NOW_MS, message, error);
}

static const struct {
  const char *line;
  enum input_record record;
  int64_t timestamp_ms;
} good[] = {
    {"{\"topic\":\"enrollments\",\"serial\":\"A\"}", INPUT_ENROLLMENT, NOW_MS},
    {"{\"topic\":\"muster.checkins\",\"timestamp\":5}", INPUT_CHECKIN, 5},
    {"{\"topic\":\"compliance-reports\",\"timestamp\":\"1970-01-01T00:00:01Z\"}", INPUT_REPORT,
     1000},
    {"{\"topic\":\"checkins\",\"timestamp\":null}", INPUT_CHECKIN, NOW_MS},
    {"{\"topic\":\"checkins\",\"timestamp\":-1}", INPUT_CHECKIN, NOW_MS},
    {" {\"topic\" : \"checkins\"}\r", INPUT_CHECKIN, NOW_MS},
    {"{\"topic\":\"muster.checkins\",\"partition\":3,\"offset\":9,\"timestamp\":7,\"key\":\"A\","
     "\"headers\":{\"traceparent\":\"x\"},\"value\":{\"serial\":\"A\"}}",
     INPUT_CHECKIN, 7},
    {"{\"topic\":\"commands\",\"serial\":\"A\",\"command\":\"SYNC\"}", INPUT_COMMAND, NOW_MS},
    {"{\"topic\":\"control\",\"record\":\"RoleChange\",\"user_email\":\"a@b\"}", INPUT_ROLE,
     NOW_MS},
    {"{\"topic\":\"muster.control\",\"record\":\"Policy\",\"value\":{\"version\":\"1\"}}",
     INPUT_POLICY, NOW_MS},
    /* As `topics cat` prints them: the fields tell. */
    {"{\"topic\":\"control\",\"value\":{\"version\":\"1\",\"hash\":\"00\"}}", INPUT_POLICY, NOW_MS},
    {"{\"topic\":\"control\",\"value\":{\"user_email\":\"a\",\"role\":\"ADMIN\","
     "\"change\":\"GRANT\"}}",
     INPUT_ROLE, NOW_MS},
    {"{\"topic\":\"control\",\"kind\":\"UPSTREAM_OUTAGE\",\"change\":\"BEGIN\"}", INPUT_TENANT,
     NOW_MS},
    {"{\"topic\":\"control\",\"profile\":\"MOBILE\",\"revision\":\"7\"}", INPUT_PROFILE_REVISION,
     NOW_MS},
    {"{\"topic\":\"control\",\"group\":\"pilot\",\"serial\":\"A\",\"change\":\"ADD\"}", INPUT_GROUP,
     NOW_MS},
};

START_TEST(a_good_line_becomes_a_message) {
  struct import_message message;
  struct error error;
  ck_assert_int_eq(convert(good[_i].line, &message, &error), STATUS_OK);
  ck_assert_int_eq(message.record, good[_i].record);
  ck_assert_int_eq(message.timestamp_ms, good[_i].timestamp_ms);
  ck_assert_uint_eq(import_text(message.value, "event_id").size, 36);
  ck_assert_int_eq(json_integer_value(json_object_get(message.value, "occurred_at")),
                   good[_i].timestamp_ms);
  static const char *const envelope[] = {"topic", "timestamp", "key", "headers", "value", "record"};
  for (size_t i = 0; i < COUNT_OF(envelope); i++) {
    ck_assert_ptr_null(json_object_get(message.value, envelope[i]));
  }
  json_decref(message.value);
}
END_TEST

static const struct {
  const char *line;
  const char *reason; /* the beginning of the text */
} bad[] = {
    {"nonsense", "not JSON"},
    {"{\"topic\":\"checkins\"", "not JSON"},
    {"{\"topic\":\"checkins\"} x", "not JSON"},
    {"{\"topic\":\"checkins\",\"topic\":\"checkins\"}", "not JSON: duplicate"},
    {"[]", "not a JSON object"},
    {"{}", "topic: missing"},
    {"{\"topic\":7}", "topic: missing"},
    {"{\"topic\":\"muster.\"}", "topic: \"muster.\" is no input topic"},
    {"{\"topic\":\"devices\"}", "topic: \"devices\" is no input topic"},
    {"{\"topic\":\"checkins\",\"timestamp\":0}", "timestamp: not within"},
    {"{\"topic\":\"checkins\",\"timestamp\":253402300800000}", "timestamp: not within"},
    {"{\"topic\":\"checkins\",\"timestamp\":\"0001-01-01T00:00:00Z\"}", "timestamp: not within"},
    {"{\"topic\":\"checkins\",\"timestamp\":\"tomorrow\"}", "timestamp: neither"},
    {"{\"topic\":\"checkins\",\"timestamp\":1.5}", "timestamp: neither"},
    {"{\"topic\":\"checkins\",\"value\":null}", "value: not an object"},
    {"{\"topic\":\"control\",\"change\":\"BEGIN\"}", "record: missing"},
    {"{\"topic\":\"control\",\"record\":\"Command\"}", "record: control has none of that name"},
    {"{\"topic\":\"commands\",\"record\":\"Wipe\"}", "record: commands has none of that name"},
    {"{\"topic\":\"checkins\",\"value\":{},\"serial\":\"A\"}", "serial: unknown beside"},
};

START_TEST(a_bad_line_is_refused_with_its_reason) {
  struct import_message message;
  struct error error;
  ck_assert_int_eq(convert(bad[_i].line, &message, &error), STATUS_REFUSED);
  ck_assert_msg(strncmp(error.text, bad[_i].reason, strlen(bad[_i].reason)) == 0, "%s: %s",
                bad[_i].line, error.text);
}
END_TEST

START_TEST(what_is_given_is_kept) {
  struct import_message message;
  struct error error;
  ck_assert_int_eq(convert("{\"topic\":\"checkins\",\"event_id\":\"mine\",\"occurred_at\":3,"
                           "\"serial\":\"A\",\"colour\":null}",
                           &message, &error),
                   STATUS_OK);
  ck_assert(span_equal(import_text(message.value, "event_id"), span_text("mine")));
  ck_assert_int_eq(json_integer_value(json_object_get(message.value, "occurred_at")), 3);
  ck_assert_uint_eq(json_object_size(message.value), 4);
  json_decref(message.value);
}
END_TEST

START_TEST(event_ids_differ) {
  struct import_message one, other;
  struct error error;
  ck_assert_int_eq(convert("{\"topic\":\"checkins\"}", &one, &error), STATUS_OK);
  ck_assert_int_eq(convert("{\"topic\":\"checkins\"}", &other, &error), STATUS_OK);
  ck_assert(!span_equal(import_text(one.value, "event_id"), import_text(other.value, "event_id")));
  json_decref(one.value);
  json_decref(other.value);
}
END_TEST

static const struct {
  const char *file, *text;
} beginnings[] = {
    {"\xef\xbb\xbf{}", "{}"},
    {"\xef\xbb\xbf", ""},
    {"\xef\xbb", "\xef\xbb"},
    {"{\xef\xbb\xbf}", "{\xef\xbb\xbf}"},
    {"\xef\xbb\xbf\xef\xbb\xbf", "\xef\xbb\xbf"},
    {"", ""},
};

START_TEST(a_byte_order_mark_is_skipped) {
  const struct span rest = import_without_mark(span_text(beginnings[_i].file));
  ck_assert(span_equal(rest, span_text(beginnings[_i].text)));
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("ndjson");
  TCase *const tests = tcase_create("ndjson");
  tcase_add_loop_test(tests, a_good_line_becomes_a_message, 0, (int)COUNT_OF(good));
  tcase_add_loop_test(tests, a_bad_line_is_refused_with_its_reason, 0, (int)COUNT_OF(bad));
  tcase_add_test(tests, what_is_given_is_kept);
  tcase_add_test(tests, event_ids_differ);
  tcase_add_loop_test(tests, a_byte_order_mark_is_skipped, 0, (int)COUNT_OF(beginnings));
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
