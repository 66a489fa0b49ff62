/* consumers/decode_control: commands and control messages, from values to events and back. */
#include "consumers/avro_json.h"
#include "consumers/decode.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

static struct schemas *schemas;

static void setup(void) {
  struct error error;
  ck_assert_msg(schemas_open(NULL, &schemas, &error) == STATUS_OK, "%s", error.text);
}

static void teardown(void) {
  schemas_close(schemas);
}

/* ---- Messages ---- */

#define COMMON                                                                                     \
  "\"event_id\":\"0f8fad5b-d9cb-469f-a165-70867728950e\",\"occurred_at\":1793491200000,"
#define HASH "\"hash\":\"00ff0123456789abcdef00000000000000000000000000000000000000000a01\""
#define SERIAL "\"serial\":\"C02XK1\","
#define ACTOR "\"actor_email\":\"Ada@example.org\","

static const struct {
  enum input_record record;
  const char *json;
  uint8_t header[8]; /* as another implementation, fastavro, has it */
} own[] = {
    {INPUT_COMMAND,
     "{" COMMON SERIAL ACTOR "\"command\":\"wipe\",\"wipe_reason\":\"Stolen\","
     "\"confirm\":\"C02XK1\",\"note\":\"told by phone\"}",
     {0xcd, 0x81, 0x52, 0x52, 0xa4, 0x32, 0x34, 0x33}},
    {INPUT_POLICY,
     "{" COMMON ACTOR "\"version\":\"2026-11.a_b\"," HASH ",\"text\":\"x\\n\"}",
     {0xe0, 0xca, 0x64, 0x00, 0x8d, 0x80, 0x42, 0x8e}},
    {INPUT_ROLE,
     "{" COMMON ACTOR "\"user_email\":\"Bob@example.org\",\"role\":\"OPERATOR\","
     "\"change\":\"REVOKE\"}",
     {0x06, 0x85, 0x7d, 0x5e, 0xed, 0x49, 0x77, 0x5d}},
    {INPUT_TENANT,
     "{" COMMON "\"kind\":\"UPSTREAM_OUTAGE\",\"change\":\"END\"}",
     {0x9a, 0x5a, 0xba, 0x7e, 0x4f, 0xf8, 0xf3, 0x69}},
    {INPUT_PROFILE_REVISION,
     "{" COMMON "\"profile\":\"EXECUTIVE\",\"revision\":\"r-7\"}",
     {0x8c, 0xd8, 0x99, 0x14, 0x5e, 0x9f, 0x6d, 0x0c}},
    {INPUT_GROUP,
     "{" COMMON "\"group\":\"pilot\",\"serial\":\"C02XK1\",\"change\":\"REMOVE\"}",
     {0x30, 0x0b, 0x87, 0x30, 0x64, 0xef, 0x34, 0x70}},
    {INPUT_STATE,
     "{" COMMON "\"actor_email\":\"Ada@example.org\"}",
     {0xb3, 0xac, 0xb9, 0xf6, 0x23, 0xc3, 0xa9, 0x3b}},
};

static struct span encoded(enum input_record record, const char *json) {
  struct error error = {""};
  uint8_t *data = NULL;
  size_t size = 0;
  json_t *const object = json_loads(json, 0, NULL);
  ck_assert_msg(object != NULL, "%s", json);
  ck_assert_msg(avro_json_to_value(schemas_reader(schemas, record), SCHEMA_ID_NONE, object, &data,
                                   &size, &error) == STATUS_OK,
                "%s", error.text);
  json_decref(object);
  return span_of(data, size);
}

static void drop(struct span value) {
  free((void *)(uintptr_t)value.data);
}

/* From a copy of exactly as many bytes, so that one read too many is seen. */
static bool decoded(enum topic topic, struct span value, struct reject *reject) {
  uint8_t *const copy = malloc(value.size + (value.size == 0));
  struct event event;
  memcpy(copy, value.data, value.size);
  const bool answer = decode(schemas, topic, span_of(copy, value.size), &event, reject);
  free(copy);
  return answer;
}

static void assert_text(struct span span, const char *text) {
  ck_assert_msg(span_equal(span, span_text(text)), "%.*s", (int)span.size, (const char *)span.data);
}

/* ---- What they say ---- */

static void check_event(const struct event *event) {
  switch (event->kind) {
  case EVENT_COMMAND:
    assert_text(event->serial, "C02XK1");
    ck_assert_int_eq(event->command.kind, COMMAND_WIPE);
    ck_assert(!event->command.is_of_user && !event->command.has_status);
    ck_assert(event->command.has_wipe_reason && event->command.has_confirm);
    ck_assert_int_eq(event->command.wipe_reason, WIPE_STOLEN);
    assert_text(event->command.confirm, "C02XK1");
    ck_assert_uint_eq(event->command.name.size, 0);
    assert_text(event->command.note, "told by phone");
    break;
  case EVENT_POLICY:
    assert_text(event->policy.version, "2026-11.a_b");
    ck_assert_mem_eq(event->policy.hash, "\x00\xff\x01\x23", 4);
    ck_assert_mem_eq(event->policy.hash + 30, "\x0a\x01", 2);
    ck_assert(event->policy.has_text && event->policy.policy == NULL);
    assert_text(event->policy.text, "x\n");
    break;
  case EVENT_ROLE:
    assert_text(event->user.email, "Bob@example.org");
    ck_assert_int_eq(event->role.role, ROLE_OPERATOR);
    ck_assert(!event->role.is_granted);
    break;
  case EVENT_TENANT:
    ck_assert_int_eq(event->tenant.kind, TENANT_UPSTREAM_OUTAGE);
    ck_assert(event->tenant.is_over);
    break;
  case EVENT_PROFILE_REVISION:
    ck_assert_int_eq(event->profile_revision.profile, PROFILE_EXECUTIVE);
    assert_text(event->profile_revision.revision, "r-7");
    break;
  case EVENT_STATE:
    ck_assert_uint_eq(event->user.email.size, 0);
    break;
  default:
    ck_assert_int_eq(event->kind, EVENT_GROUP);
    assert_text(event->group.group, "pilot");
    assert_text(event->serial, "C02XK1");
    ck_assert_uint_eq(event->user.email.size, 0);
    ck_assert(event->group.is_removed);
    break;
  }
}

START_TEST(decode_reads_our_own_records) {
  struct event event;
  struct reject reject;
  memset(&event, 0xee, sizeof event); /* nothing of another message stays */
  const struct span value = encoded(own[_i].record, own[_i].json);
  const enum topic topic = input_record_topic(own[_i].record);
  ck_assert_mem_eq(value.data + 2, own[_i].header, 8);
  ck_assert_msg(decode(schemas, topic, value, &event, &reject), "%s", reject.text);
  ck_assert_int_eq((int)event.kind, (int)own[_i].record);
  ck_assert_int_eq(event.occurred_at_ms, INT64_C(1793491200000));
  const bool has_actor = strstr(own[_i].json, "actor_email") != NULL;
  assert_text(event.actor.email, has_actor ? "Ada@example.org" : "");
  ck_assert(event.serial.size > 0 || strstr(own[_i].json, "serial") == NULL);
  check_event(&event);
  drop(value);
}
END_TEST

/* What is printed is taken again, and comes out as the same bytes. */
START_TEST(values_go_to_json_and_back) {
  struct reject reject;
  const struct span value = encoded(own[_i].record, own[_i].json);
  json_t *const json = avro_json_of_value(schemas, value, &reject);
  ck_assert_ptr_nonnull(json);
  char *const text = json_dumps(json, JSON_COMPACT);
  const struct span again = encoded(own[_i].record, text);
  ck_assert(span_equal(again, value));
  free(text);
  json_decref(json);
  drop(again);
  drop(value);
}
END_TEST

START_TEST(unions_of_enums_are_printed_bare) {
  struct reject reject;
  const struct span value = encoded(own[0].record, own[0].json);
  json_t *const json = avro_json_of_value(schemas, value, &reject);
  ck_assert_str_eq(json_string_value(json_object_get(json, "wipe_reason")), "STOLEN");
  ck_assert(json_is_null(json_object_get(json, "status")));
  ck_assert_str_eq(json_string_value(json_object_get(json, "origin")), "OPERATOR");
  json_decref(json);
  drop(value);
}
END_TEST

START_TEST(decode_rejects_every_truncation) {
  struct reject reject;
  const struct span value = encoded(own[_i].record, own[_i].json);
  for (size_t size = 0; size < value.size; size++) {
    ck_assert(!decoded(input_record_topic(own[_i].record), span_of(value.data, size), &reject));
    ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  }
  drop(value);
}
END_TEST

START_TEST(decode_survives_every_flipped_bit) {
  struct reject reject;
  const struct span value = encoded(own[_i].record, own[_i].json);
  uint8_t *const copy = malloc(value.size);
  for (size_t bit = 0; bit < value.size * 8; bit++) {
    memcpy(copy, value.data, value.size);
    copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    const bool answer =
        decoded(input_record_topic(own[_i].record), span_of(copy, value.size), &reject);
    ck_assert(!answer || bit >= 80);
  }
  free(copy);
  drop(value);
}
END_TEST

/* ---- Domains ---- */

#define X16 "xxxxxxxxxxxxxxxx"
#define X64 X16 X16 X16 X16
#define SYNC COMMON SERIAL "\"command\":\"SYNC\""
#define CONTROL_C1 "\xc2\x85"

static const struct {
  enum input_record record;
  const char *json;
  const char *reason; /* the beginning of the text; NULL: it is good */
} domains[] = {
    {INPUT_COMMAND, "{" SYNC "}", NULL},
    {INPUT_COMMAND, "{" SYNC ",\"actor_email\":\"\",\"origin\":\"USER\"}", NULL},
    {INPUT_COMMAND, "{" SYNC ",\"note\":\"" X64 X64 "\"}", NULL},
    {INPUT_COMMAND, "{" SYNC ",\"note\":\"" X64 X64 "x\"}", "note: too long"},
    {INPUT_COMMAND, "{" SYNC ",\"note\":\"\\u0007\"}", "note: holds a control character"},
    {INPUT_COMMAND, "{" SYNC ",\"name\":\"\"}", "name: empty"},
    {INPUT_COMMAND, "{" SYNC ",\"actor_email\":\"" X64 X64 X64 X64 X64 "x\"}",
     "actor_email: too long"},
    {INPUT_COMMAND, "{" COMMON "\"serial\":\"\",\"command\":\"SYNC\"}", "serial: not of 1 to 64"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"SET_STATUS\"}", "status: SET_STATUS needs it"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"SET_STATUS\",\"status\":\"retired\"}", NULL},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"WIPE\",\"confirm\":\"C02XK1\"}",
     "wipe_reason: WIPE needs it"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"WIPE\",\"wipe_reason\":\"LOST\"}",
     "confirm: WIPE needs it"},
    {INPUT_COMMAND,
     "{" COMMON SERIAL "\"command\":\"WIPE\",\"wipe_reason\":\"LOST\",\"confirm\":\"\\u00e9\"}",
     "confirm: not of printable"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"RENAME\"}", "name: RENAME needs it"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"RENAME\",\"name\":\"J\xc3\xbcrgen's\"}", NULL},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"RENAME\",\"name\":\"" X64 "\"}",
     "name: too long"},
    {INPUT_COMMAND, "{" COMMON SERIAL "\"command\":\"RENAME\",\"name\":\"" CONTROL_C1 "\"}",
     "name: holds a control character"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"default\"," HASH "}", NULL},
    {INPUT_POLICY, "{" COMMON "\"version\":\"\"," HASH "}", "version: not of 1 to 63"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"" X64 "\"," HASH "}", "version: not of 1 to 63"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"../a\"," HASH "}", "version: not of 1 to 63"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"1\",\"hash\":\"00\"}", "hash: not of 64"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"1\",\"hash\":\"" X64 "\"}", "hash: not of 64"},
    {INPUT_POLICY, "{" COMMON "\"version\":\"1\",\"hash\":\"AA" X16 X16 X16 "xxxxxxxxxxxxxx\"}",
     "hash: not of 64"},
    {INPUT_ROLE, "{" COMMON "\"user_email\":\"\",\"role\":\"ADMIN\",\"change\":\"GRANT\"}",
     "user_email: empty"},
    {INPUT_ROLE, "{" COMMON "\"user_email\":\"a\\u0001b\",\"role\":\"ADMIN\",\"change\":\"GRANT\"}",
     "user_email: holds a control"},
    {INPUT_PROFILE_REVISION, "{" COMMON "\"profile\":\"MOBILE\",\"revision\":\"a b\"}",
     "revision: not of 1 to 63"},
    {INPUT_GROUP, "{" COMMON "\"group\":\"a/b\",\"serial\":\"S\",\"change\":\"ADD\"}",
     "group: not of 1 to 63"},
    {INPUT_GROUP, "{" COMMON "\"group\":\"a\",\"change\":\"ADD\"}", "user_email: neither"},
    {INPUT_GROUP,
     "{" COMMON "\"group\":\"a\",\"serial\":\"S\",\"user_email\":\"a@b\",\"change\":\"ADD\"}",
     "user_email: serial is given too"},
    {INPUT_GROUP, "{" COMMON "\"group\":\"a\",\"user_email\":\"\",\"change\":\"ADD\"}",
     "user_email: empty"},
    {INPUT_GROUP, "{" COMMON "\"group\":\"a\",\"serial\":\"" X64 "x\",\"change\":\"ADD\"}",
     "serial: not of 1 to 64"},
    {INPUT_GROUP, "{" COMMON "\"group\":\"a\",\"user_email\":\"a@b\",\"change\":\"ADD\"}", NULL},
};

START_TEST(decode_checks_domains) {
  struct reject reject = {0};
  const struct span value = encoded(domains[_i].record, domains[_i].json);
  const bool answer = decoded(input_record_topic(domains[_i].record), value, &reject);
  ck_assert_msg(answer == (domains[_i].reason == NULL), "%s: %s", domains[_i].json, reject.text);
  if (!answer) {
    ck_assert_int_eq(reject.code, REJECT_MALFORMED);
    ck_assert_msg(strncmp(reject.text, domains[_i].reason, strlen(domains[_i].reason)) == 0,
                  "%s: %s", domains[_i].json, reject.text);
  }
  drop(value);
}
END_TEST

/* A record of nobody's, and a device's, have no meaning in the control topic. */
START_TEST(decode_refuses_other_records_of_control) {
  struct error error;
  struct reject reject;
  static const char odd[] = "{\"type\":\"record\",\"name\":\"Odd\",\"fields\":[]}";
  ck_assert(schemas_put(schemas, 9, "odd", span_text(odd), &error) == STATUS_OK);
  static const uint8_t value[] = {0, 0, 0, 0, 9};
  ck_assert(!decoded(TOPIC_CONTROL, span_of(value, sizeof value), &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  const struct span command = encoded(own[0].record, own[0].json);
  ck_assert(!decoded(TOPIC_CONTROL, command, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  const struct span role = encoded(own[2].record, own[2].json);
  ck_assert(!decoded(TOPIC_COMMANDS, role, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  drop(command);
  drop(role);
}
END_TEST

/* Of a writer whose record is a namesake that does not resolve, that record's reason is told. */
START_TEST(decode_tells_why_a_namesake_is_not_read) {
  struct error error;
  struct reject reject;
  static const char lacking[] = "{\"type\":\"record\",\"name\":\"GroupChange\",\"fields\":["
                                "{\"name\":\"group\",\"type\":\"string\"}]}";
  ck_assert(schemas_put(schemas, 9, "odd", span_text(lacking), &error) == STATUS_OK);
  static const uint8_t value[] = {0, 0, 0, 0, 9, 2, 'a'};
  ck_assert(!decoded(TOPIC_CONTROL, span_of(value, sizeof value), &reject));
  ck_assert_ptr_nonnull(strstr(reject.text, "event_id"));
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("decode_control");
  TCase *const tests = tcase_create("decode_control");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_loop_test(tests, decode_reads_our_own_records, 0, (int)COUNT_OF(own));
  tcase_add_loop_test(tests, values_go_to_json_and_back, 0, (int)COUNT_OF(own));
  tcase_add_test(tests, unions_of_enums_are_printed_bare);
  tcase_add_loop_test(tests, decode_rejects_every_truncation, 0, (int)COUNT_OF(own));
  tcase_add_loop_test(tests, decode_survives_every_flipped_bit, 0, (int)COUNT_OF(own));
  tcase_add_loop_test(tests, decode_checks_domains, 0, (int)COUNT_OF(domains));
  tcase_add_test(tests, decode_refuses_other_records_of_control);
  tcase_add_test(tests, decode_tells_why_a_namesake_is_not_read);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
