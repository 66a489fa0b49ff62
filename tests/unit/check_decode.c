/* consumers/decode: from a message's value to an event, or to the reason why not. */
#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "consumers/schemas.h"

#include <avro.h>
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

#define ID "\"event_id\":\"0f8fad5b-d9cb-469f-A165-70867728950E\","
#define COMMON ID "\"occurred_at\":1793491200000,\"serial\":\"C02XK1\","

static const struct {
  enum topic topic;
  const char *record;
  const char *json;
  uint8_t header[8]; /* as another implementation, fastavro, has it */
} own[] = {
    {TOPIC_CHECKINS,
     "CheckIn",
     "{" COMMON "\"os_version\":\"14.1\",\"trigger\":\"ON_DEMAND\"}",
     {0x0c, 0x67, 0x20, 0x19, 0x2a, 0x32, 0x84, 0x7b}},
    {TOPIC_REPORTS,
     "ComplianceReport",
     "{" COMMON "\"os_version\":\"17.4\",\"antivirus_enabled\":true,"
     "\"antivirus_signatures_at\":\"2026-11-01T00:00:00.250Z\",\"disk_encrypted\":false,"
     "\"screen_lock_pin_length\":-6,\"threat_defence_level\":\"medium\","
     "\"threat_defence_at\":1793491200002}",
     {0x36, 0x1a, 0xe0, 0xc9, 0x8f, 0x14, 0xe2, 0x4a}},
    {TOPIC_ENROLLMENTS,
     "Enrollment",
     "{" COMMON "\"user_email\":\"j\xc3\xbcrgen@example.org\",\"platform\":\"MACOS\","
     "\"profile\":\"executive\",\"os_version\":\"14.1\",\"ownership\":\"PERSONAL\","
     "\"consent\":{\"notice_version\":\"2026-1\",\"given_at\":1793491200001}}",
     {0x36, 0xeb, 0xb7, 0x56, 0x9d, 0x42, 0x94, 0xf2}},
};

/* A framed value of `json` as `writer` writes it; freed by the caller. */
static struct span encoded(const struct writer *writer, int64_t id, const char *json) {
  json_error_t json_error;
  struct error error = {""};
  uint8_t *data = NULL;
  size_t size = 0;
  json_t *const object = json_loads(json, 0, &json_error);
  ck_assert_msg(object != NULL, "%s: %s", json_error.text, json);
  ck_assert_msg(avro_json_to_value(writer, id, object, &data, &size, &error) == STATUS_OK, "%s",
                error.text);
  json_decref(object);
  return span_of(data, size);
}

static void drop(struct span value) {
  free((void *)(uintptr_t)value.data);
}

static struct span own_value(int index) {
  const struct writer *const writer = schemas_find_own(schemas, own[index].record);
  ck_assert_ptr_nonnull(writer);
  return encoded(writer, SCHEMA_ID_NONE, own[index].json);
}

static const struct writer *known(const char *text) {
  struct avro_schema *schema;
  struct error error;
  ck_assert_msg(schemas_put(schemas, SCHEMA_ID_NONE, "test", span_text(text), &error) == STATUS_OK,
                "%s", error.text);
  ck_assert(avro_schema_parse(span_text(text), &schema, &error) == STATUS_OK);
  const struct writer *const writer = schemas_find(schemas, schema->fingerprint);
  avro_schema_free(schema);
  return writer;
}

/* Decodes an exact copy, so that a sanitizer sees a step over its end. */
static bool decoded(enum topic topic, struct span value, struct event *event,
                    struct reject *reject) {
  uint8_t *const copy = malloc(value.size > 0 ? value.size : 1);
  memcpy(copy, value.data, value.size);
  *reject = (struct reject){.code = REJECT_NONE};
  const bool answer = decode(schemas, topic, span_of(copy, value.size), event, reject);
  ck_assert_int_eq(answer, reject->code == REJECT_NONE);
  if (!answer) {
    ck_assert(reject->code == REJECT_MALFORMED || reject->code == REJECT_UNKNOWN_SCHEMA);
    ck_assert_int_eq(reject->stage, STAGE_VALUE);
    ck_assert_int_gt((int)strlen(reject->text), 0);
  }
  free(copy);
  return answer;
}

static void assert_text(struct span span, const char *text) {
  ck_assert_msg(span_equal(span, span_text(text)), "%.*s", (int)span.size, (const char *)span.data);
}

/* ---- Our own records ---- */

static void assert_common(const struct event *event) {
  static const uint8_t uuid[EVENT_ID_SIZE] = {0x0f, 0x8f, 0xad, 0x5b, 0xd9, 0xcb, 0x46, 0x9f,
                                              0xa1, 0x65, 0x70, 0x86, 0x77, 0x28, 0x95, 0x0e};
  ck_assert_mem_eq(event->event_id, uuid, sizeof uuid);
  ck_assert_int_eq(event->occurred_at_ms, INT64_C(1793491200000));
  assert_text(event->serial, "C02XK1");
}

START_TEST(decode_reads_our_own_records) {
  struct event event;
  struct reject reject;
  for (int i = 0; i < (int)COUNT_OF(own); i++) {
    const struct span value = own_value(i);
    ck_assert_mem_eq(value.data + 2, own[i].header, 8);
    ck_assert_msg(decode(schemas, own[i].topic, value, &event, &reject), "%s", reject.text);
    assert_common(&event);
    if (own[i].topic == TOPIC_CHECKINS) {
      ck_assert_int_eq(event.kind, EVENT_CHECKIN);
      ck_assert_int_eq(event.checkin.trigger, TRIGGER_ON_DEMAND);
      assert_text(event.checkin.os_version, "14.1");
    } else if (own[i].topic == TOPIC_REPORTS) {
      ck_assert_int_eq(event.kind, EVENT_REPORT);
      ck_assert(event.report.has_os_version);
      assert_text(event.report.os_version, "17.4");
      ck_assert_int_eq(event.report.antivirus_enabled, TRI_TRUE);
      ck_assert_int_eq(event.report.disk_encrypted, TRI_FALSE);
      ck_assert(event.report.has_antivirus_signatures_at);
      ck_assert(event.report.has_threat_level);
      ck_assert_int_eq(event.report.threat_level, THREAT_MEDIUM);
      ck_assert(event.report.has_threat_at);
      ck_assert_int_eq(event.report.threat_at_ms, INT64_C(1793491200002));
      ck_assert_int_eq(event.report.antivirus_signatures_at_ms, INT64_C(1793491200250));
      ck_assert(event.report.has_screen_lock_pin_length);
      ck_assert_int_eq(event.report.screen_lock_pin_length, -6);
    } else {
      ck_assert_int_eq(event.kind, EVENT_ENROLLMENT);
      assert_text(event.user.email, "j\xc3\xbcrgen@example.org");
      ck_assert_int_eq(event.enrollment.platform, PLATFORM_MACOS);
      ck_assert_int_eq(event.enrollment.profile, PROFILE_EXECUTIVE);
      ck_assert_int_eq(event.enrollment.ownership, OWNERSHIP_PERSONAL);
      ck_assert(event.enrollment.has_consent);
      assert_text(event.enrollment.notice_version, "2026-1");
      ck_assert_int_eq(event.enrollment.consent_given_at_ms, INT64_C(1793491200001));
    }
    drop(value);
  }
}
END_TEST

START_TEST(decode_leaves_unknown_what_was_not_reported) {
  struct event event;
  struct reject reject;
  const struct span value = encoded(schemas_find_own(schemas, "ComplianceReport"), SCHEMA_ID_NONE,
                                    "{" ID "\"occurred_at\":0,\"serial\":\"x\"}");
  ck_assert(decode(schemas, TOPIC_REPORTS, value, &event, &reject));
  ck_assert(!event.report.has_os_version);
  ck_assert(!event.report.has_antivirus_signatures_at);
  ck_assert(!event.report.has_screen_lock_pin_length);
  ck_assert(!event.report.has_threat_level);
  ck_assert(!event.report.has_threat_at);
  ck_assert_int_eq(event.report.antivirus_enabled, TRI_UNKNOWN);
  ck_assert_int_eq(event.report.disk_encrypted, TRI_UNKNOWN);
  drop(value);
}
END_TEST

/* As a client writes it that knows the first version only. */
START_TEST(decode_reads_reports_of_the_first_version) {
  struct event event;
  struct reject reject;
  const struct span value = encoded(schemas_find_own(schemas, "ComplianceReport.1"), SCHEMA_ID_NONE,
                                    "{" COMMON "\"os_version\":\"17.4\",\"disk_encrypted\":true}");
  static const uint8_t header[] = {0xd1, 0xe1, 0xdb, 0x7e, 0x11, 0xe3, 0x42, 0xf0};
  ck_assert_mem_eq(value.data + 2, header, sizeof header);
  ck_assert_msg(decode(schemas, TOPIC_REPORTS, value, &event, &reject), "%s", reject.text);
  assert_common(&event);
  assert_text(event.report.os_version, "17.4");
  ck_assert_int_eq(event.report.disk_encrypted, TRI_TRUE);
  ck_assert(!event.report.has_threat_level);
  ck_assert(!event.report.has_threat_at);
  drop(value);
}
END_TEST

START_TEST(decode_rejects_every_truncation_and_addition) {
  struct event event;
  struct reject reject;
  const struct span value = own_value(_i);
  uint8_t *const longer = calloc(value.size + 1, 1);
  for (size_t size = 0; size < value.size; size++) {
    ck_assert(!decoded(own[_i].topic, span_of(value.data, size), &event, &reject));
    ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  }
  memcpy(longer, value.data, value.size);
  ck_assert(!decoded(own[_i].topic, span_of(longer, value.size + 1), &event, &reject));
  ck_assert_ptr_nonnull(strstr(reject.text, "bytes follow"));
  free(longer);
  drop(value);
}
END_TEST

START_TEST(decode_survives_every_flipped_bit) {
  struct event event;
  struct reject reject;
  const struct span value = own_value(_i);
  uint8_t *const copy = malloc(value.size);
  for (size_t bit = 0; bit < value.size * 8; bit++) {
    memcpy(copy, value.data, value.size);
    copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    const bool answer = decoded(own[_i].topic, span_of(copy, value.size), &event, &reject);
    ck_assert(!answer || bit >= 80); /* no head but the right one is taken */
  }
  free(copy);
  drop(value);
}
END_TEST

static uint64_t random_state = 88172645463325252u;

static uint64_t random_next(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

START_TEST(decode_survives_random_damage) {
  struct event event;
  struct reject reject;
  const struct span value = own_value(_i);
  for (int round = 0; round < 20000; round++) {
    uint8_t copy[512];
    size_t size = value.size;
    memcpy(copy, value.data, value.size);
    for (uint64_t changes = random_next() % 6 + 1; changes > 0; changes--) {
      copy[10 + random_next() % (value.size - 10)] = (uint8_t)random_next();
    }
    size -= random_next() % 4 == 0 ? random_next() % (size - 10) : 0;
    (void)!decoded(own[_i].topic, span_of(copy, size), &event, &reject);
  }
  drop(value);
}
END_TEST

/* ---- Framing ---- */

START_TEST(decode_tells_framings_apart) {
  static const struct {
    const char *bytes;
    size_t size;
    enum reject_code code;
  } framings[] = {
      {"", 0, REJECT_MALFORMED},
      {"\xc3", 1, REJECT_MALFORMED},
      {"\xc3\x01\x00\x00\x00\x00\x00\x00\x00", 9, REJECT_MALFORMED},
      {"\xc3\x01\x00\x00\x00\x00\x00\x00\x00\x00", 10, REJECT_UNKNOWN_SCHEMA},
      {"\xc3\x02\x00\x00\x00\x00\x00\x00\x00\x00", 10, REJECT_MALFORMED},
      {"\x00\x00\x00\x00", 4, REJECT_MALFORMED},
      {"\x00\x00\x00\x00\x07", 5, REJECT_UNKNOWN_SCHEMA},
      {"\x01\x00\x00\x00\x07zzzzzzzzz", 14, REJECT_MALFORMED},
      {"{\"serial\":\"x\"}", 14, REJECT_MALFORMED},
  };
  struct event event;
  struct reject reject;
  for (size_t i = 0; i < COUNT_OF(framings); i++) {
    const struct span value = span_of(framings[i].bytes, framings[i].size);
    ck_assert(!decoded(TOPIC_CHECKINS, value, &event, &reject));
    ck_assert_int_eq(reject.code, framings[i].code);
  }
  ck_assert(!decode(schemas, TOPIC_CHECKINS, (struct span){0}, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
}
END_TEST

START_TEST(decode_takes_confluent_ids) {
  struct error error;
  struct event event;
  struct reject reject;
  const struct writer *const writer = schemas_find_own(schemas, "CheckIn");
  char *const text = json_dumps(writer->schema->json, 0);
  ck_assert(schemas_put(schemas, 0x01020304, "x", span_text(text), &error) == STATUS_OK);
  const struct span value = encoded(writer, 0x01020304, own[0].json);
  ck_assert_mem_eq(value.data, "\x00\x01\x02\x03\x04", 5);
  ck_assert(decode(schemas, TOPIC_CHECKINS, value, &event, &reject));
  assert_common(&event);
  ck_assert(!decode(schemas, TOPIC_REPORTS, value, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  free(text);
  drop(value);
}
END_TEST

START_TEST(decode_refuses_records_of_other_topics) {
  struct event event;
  struct reject reject;
  const struct span value = own_value(0);
  ck_assert(!decode(schemas, TOPIC_COMMANDS, value, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  ck_assert_ptr_nonnull(strstr(reject.text, "cannot become"));
  ck_assert(!decode(schemas, TOPIC_CONTROL, value, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  drop(value);
}
END_TEST

/* ---- Other writers ---- */

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"CheckIn\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define STRING(name) FIELD(name, "\"string\"")
#define BASE STRING("event_id") "," FIELD("occurred_at", "\"long\"") "," STRING("serial")
#define FIXED "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}"
#define COLOURS                                                                                    \
  "{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":"                                    \
  "[\"null\",\"double\",\"string\"]}}"
#define TREE                                                                                       \
  "{\"type\":\"record\",\"name\":\"Tree\",\"fields\":[" FIELD(                                     \
      "left", "[\"null\",\"Tree\"]") "," FIELD("right", "[\"null\",\"Tree\"]") "]}"

/* Writers whose check-ins are read as ours; `more` follows the common fields. */
static const struct {
  const char *schema;
  const char *more;
} evolved[] = {
    {RECORD(BASE "," STRING("os_version")), "\"os_version\":\"14.1\""},
    {RECORD(STRING("os_version") "," STRING("serial") "," FIELD("occurred_at",
                                                                "\"int\"") "," STRING("event_id")),
     "\"os_version\":\"14.1\",\"occurred_at\":5"},
    {RECORD(BASE "," FIELD("os_version", "\"bytes\"")), "\"os_version\":\"MTQuMQ==\""},
    {RECORD(BASE "," FIELD("os_version", "[\"string\"]")), "\"os_version\":\"14.1\""},
    {RECORD(BASE "," FIELD("os_version", "[\"null\",\"int\",\"string\"]")),
     "\"os_version\":\"14.1\""},
    {"[\"null\"," RECORD(BASE "," STRING("os_version")) "]", "\"os_version\":\"14.1\""},
    {RECORD(FIELD("colour", COLOURS) "," BASE "," STRING("os_version") "," FIELD("f", FIXED)),
     "\"os_version\":\"14.1\",\"f\":\"AAAA\",\"colour\":{\"a\":[],\"b\":[null,1.5,\"x\"]}"},
    {RECORD(FIELD("tree", TREE) "," BASE "," STRING("os_version")),
     "\"os_version\":\"14.1\",\"tree\":{\"left\":{\"left\":null,\"right\":null},\"right\":"
     "{\"left\":{\"left\":null,\"right\":{\"left\":null,\"right\":null}},\"right\":null}}"},
    {RECORD(BASE "," STRING("os_version") "," FIELD(
         "trigger", "{\"type\":\"enum\",\"name\":\"x.Trigger\",\"symbols\":"
                    "[\"OTHER\",\"SCHEDULED\"]}")),
     "\"os_version\":\"14.1\",\"trigger\":\"SCHEDULED\""},
};

START_TEST(decode_reads_evolved_writers) {
  char json[1024];
  struct event event;
  struct reject reject;
  const struct writer *const writer = known(evolved[_i].schema);
  ck_assert_msg(writer->programs[INPUT_CHECKIN] != NULL, "%s", writer->reasons[INPUT_CHECKIN]);
  const bool gives_time = strstr(evolved[_i].more, "occurred_at") != NULL;
  snprintf(json, sizeof json, "{%s\"serial\":\"C02XK1\",%s%s}", ID,
           gives_time ? "" : "\"occurred_at\":1793491200000,", evolved[_i].more);
  const struct span value = encoded(writer, SCHEMA_ID_NONE, json);
  ck_assert_msg(decode(schemas, TOPIC_CHECKINS, value, &event, &reject), "%s", reject.text);
  assert_text(event.serial, "C02XK1");
  assert_text(event.checkin.os_version, "14.1");
  ck_assert_int_eq(event.checkin.trigger, TRIGGER_SCHEDULED);
  ck_assert_int_eq(event.occurred_at_ms, gives_time ? 5 : INT64_C(1793491200000));
  uint8_t *const copy = malloc(value.size);
  for (size_t bit = 0; bit < value.size * 8; bit++) {
    memcpy(copy, value.data, value.size);
    (void)!decoded(TOPIC_CHECKINS, span_of(copy, bit / 8), &event, &reject);
    copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    (void)!decoded(TOPIC_CHECKINS, span_of(copy, value.size), &event, &reject);
  }
  free(copy);
  drop(value);
}
END_TEST

/* Everything that may be left out of a report was unknown to its writer's schema. */
START_TEST(decode_fills_in_what_the_writer_did_not_know) {
  struct event event;
  struct reject reject;
  const struct writer *const writer =
      known("{\"type\":\"record\",\"name\":\"ComplianceReport\",\"fields\":[" BASE "]}");
  const struct span value = encoded(writer, SCHEMA_ID_NONE,
                                    "{" ID "\"occurred_at\":1793491200000,"
                                    "\"serial\":\"C02XK1\"}");
  ck_assert_msg(decode(schemas, TOPIC_REPORTS, value, &event, &reject), "%s", reject.text);
  assert_common(&event);
  ck_assert(!event.report.has_os_version);
  ck_assert(!event.report.has_antivirus_signatures_at);
  ck_assert(!event.report.has_screen_lock_pin_length);
  ck_assert_int_eq(event.report.antivirus_enabled, TRI_UNKNOWN);
  ck_assert_int_eq(event.report.disk_encrypted, TRI_UNKNOWN);
  drop(value);
}
END_TEST

/* Writers that cannot be read as ours, and a part of why. */
static const struct {
  const char *schema;
  const char *said;
} foreign[] = {
    {RECORD(BASE), "os_version: the writer does not have it"},
    {RECORD(BASE "," FIELD("os_version", "\"int\"")), "os_version: int cannot become string"},
    {RECORD(BASE "," FIELD("os_version", "[\"null\",\"int\"]")), "os_version: int cannot become"},
    {RECORD(STRING("event_id") "," STRING("serial") "," STRING("os_version") "," FIELD(
         "occurred_at", "\"double\"")),
     "occurred_at: double cannot become long"},
    {RECORD(BASE "," STRING("os_version") "," STRING("trigger")), "trigger: string cannot"},
    {RECORD(BASE "," STRING("os_version") "," FIELD(
         "trigger", "{\"type\":\"enum\",\"name\":\"Other\",\"symbols\":[\"A\"]}")),
     "enum Other cannot become enum muster.v1.Trigger"},
    {"{\"type\":\"record\",\"name\":\"CheckOut\",\"fields\":[" BASE "," STRING("os_version") "]}",
     "record CheckOut cannot become record muster.v1.CheckIn"},
    {"\"string\"", "value: string cannot become record"},
};

START_TEST(decode_knows_no_way_from_foreign_writers) {
  struct event event;
  struct reject reject;
  const struct writer *const writer = known(foreign[_i].schema);
  uint8_t value[10] = {0xc3, 0x01};
  for (int i = 0; i < 8; i++) {
    value[2 + i] = (uint8_t)(writer->fingerprint >> (8 * i));
  }
  ck_assert(!decode(schemas, TOPIC_CHECKINS, span_of(value, sizeof value), &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  ck_assert_msg(strstr(reject.text, foreign[_i].said) != NULL, "%s", reject.text);
}
END_TEST

/* Its writer is fine, this value of it is not. */
START_TEST(decode_refuses_values_that_cannot_be_resolved) {
  struct event event;
  struct reject reject;
  const struct writer *writer = known(evolved[8].schema);
  struct span value =
      encoded(writer, SCHEMA_ID_NONE, "{" COMMON "\"os_version\":\"\",\"trigger\":\"OTHER\"}");
  ck_assert(!decode(schemas, TOPIC_CHECKINS, value, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  ck_assert_ptr_nonnull(strstr(reject.text, "trigger"));
  drop(value);
  writer = known(evolved[4].schema);
  value = encoded(writer, SCHEMA_ID_NONE, "{" COMMON "\"os_version\":null}");
  ck_assert(!decode(schemas, TOPIC_CHECKINS, value, &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  ck_assert_ptr_nonnull(strstr(reject.text, "os_version"));
  drop(value);
}
END_TEST

/* ---- Hostile bodies ---- */

#define LONG_MAX_BYTES "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" /* the least number there is */

static const struct {
  const char *schema; /* of the first field */
  const char *bytes;
  size_t size;
  const char *said;
} hostile[] = {
    {"\"string\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "more than 10 bytes"},
    {"\"string\"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, "more than 64 bits"},
    {"\"string\"", LONG_MAX_BYTES, 10, "negative"},
    {"\"string\"", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, "longer than the rest"},
    {"\"bytes\"", "\x01", 1, "negative"},
    {"\"bytes\"", "\x04x", 2, "longer than the rest"},
    {"\"string\"", "\x04\xc0\x80", 3, "not UTF-8"},
    {"\"string\"", "\x06\xed\xa0\x80", 4, "not UTF-8"},
    {"\"int\"", "\x80\x80\x80\x80\x10", 5, "more than 32 bits"},
    {"\"boolean\"", "\x02", 1, "neither 0 nor 1"},
    {"\"double\"", "\x02", 1, "ends within"},
    {"[\"null\",\"int\"]", "\x04", 1, "an index"},
    {"[\"null\",\"int\"]", "\x01", 1, "an index"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", "\x02", 1, "an index"},
    {"{\"type\":\"fixed\",\"name\":\"E\",\"size\":4}", "\x02", 1, "ends within"},
    {"{\"type\":\"array\",\"items\":\"int\"}", LONG_MAX_BYTES "\x00", 11, "ends within"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x01\x40\x02\x00", 4, "a block longer"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x01\x01\x02\x00", 4, "a block longer"},
    {"{\"type\":\"array\",\"items\":\"int\"}", "\x01\x04\x02\x00", 4, "a block that does not"},
    {"{\"type\":\"array\",\"items\":\"null\"}", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10,
     "too many items"},
    {"{\"type\":\"array\",\"items\":\"null\"}", LONG_MAX_BYTES "\x00", 11, "too many items"},
    {"{\"type\":\"map\",\"values\":\"null\"}", "\x02\x02\xff\x00", 4, "not UTF-8"},
    {TREE,
     "\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02"
     "\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02",
     40, "nested too deeply"},
    {"{\"type\":\"record\",\"name\":\"Self\",\"fields\":[" FIELD("self", "\"Self\"") "]}", "", 0,
     "nested too deeply"},
};

START_TEST(decode_bounds_hostile_bodies) {
  char schema[1024];
  uint8_t value[128] = {0xc3, 0x01};
  struct event event;
  struct reject reject;
  snprintf(schema, sizeof schema, RECORD(FIELD("first", "%s") "," BASE "," STRING("os_version")),
           hostile[_i].schema);
  const struct writer *const writer = known(schema);
  ck_assert_ptr_nonnull(writer->programs[INPUT_CHECKIN]);
  for (int i = 0; i < 8; i++) {
    value[2 + i] = (uint8_t)(writer->fingerprint >> (8 * i));
  }
  memcpy(value + 10, hostile[_i].bytes, hostile[_i].size);
  ck_assert(!decoded(TOPIC_CHECKINS, span_of(value, 10 + hostile[_i].size), &event, &reject));
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  ck_assert_msg(strstr(reject.text, hostile[_i].said) != NULL, "%s", reject.text);
}
END_TEST

/* ---- Domains ---- */

#define SIXTEEN "0123456789abcdef"
#define SIXTY_FOUR SIXTEEN SIXTEEN SIXTEEN SIXTEEN
#define THREE_HUNDRED_TWENTY SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR SIXTY_FOUR

/* A member of a good enrollment replaced; NULL is still good. */
static const struct {
  const char *member;
  const char *json;
  const char *field;
} domains[] = {
    {"serial", "\"\"", "serial"},
    {"serial", "\"" SIXTY_FOUR "\"", NULL},
    {"serial", "\"" SIXTY_FOUR "x\"", "serial"},
    {"serial", "\"a\\tb\"", "serial"},
    {"serial", "\"a\\u00e9\"", "serial"},
    {"serial", "\"a b~\"", NULL},
    {"user_email", "\"\"", "user_email"},
    {"user_email", "\"" THREE_HUNDRED_TWENTY "\"", NULL},
    {"user_email", "\"" THREE_HUNDRED_TWENTY "x\"", "user_email"},
    {"user_email", "\"a\\u0085b\"", "user_email"},
    {"user_email", "\"a\\u007fb\"", "user_email"},
    {"user_email", "\"a\\nb@example.org\"", "user_email"},
    {"os_version", "\"\"", NULL},
    {"os_version", "\"" SIXTY_FOUR "\"", NULL},
    {"os_version", "\"" SIXTY_FOUR "x\"", "os_version"},
    {"os_version", "\"1\\u0001\"", "os_version"},
    {"os_version", "\"caf\\u00e9\"", NULL},
    {"occurred_at", "0", NULL},
    {"occurred_at", "-1", "occurred_at"},
    {"occurred_at", "253402300799999", NULL},
    {"occurred_at", "253402300800000", "occurred_at"},
    {"occurred_at", "-9223372036854775808", "occurred_at"},
    {"consent", "null", NULL},
    {"consent", "{\"notice_version\":\"\",\"given_at\":0}", NULL},
    {"consent", "{\"notice_version\":\"" SIXTY_FOUR "x\",\"given_at\":0}", "notice_version"},
    {"consent", "{\"notice_version\":\"\",\"given_at\":-1}", "consent.given_at"},
    {"event_id", "\"\"", "event_id"},
    {"event_id", "\"0f8fad5b-d9cb-469f-a165-70867728950\"", "event_id"},
    {"event_id", "\"0f8fad5b-d9cb-469f-a165-70867728950g\"", "event_id"},
    {"event_id", "\"0f8fad5bd-9cb-469f-a165-70867728950e\"", "event_id"},
    {"event_id", "\"0f8fad5b-d9cb-469f-a165-7086772\\u00e9950\"", "event_id"},
    {"event_id", "\"FFFFFFFF-ffff-FFFF-ffff-FFFFFFFFFFFF\"", NULL},
};

START_TEST(decode_checks_domains) {
  struct event event;
  struct reject reject;
  json_t *const object = json_loads(own[2].json, 0, NULL);
  json_t *const member = json_loads(domains[_i].json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  ck_assert_ptr_nonnull(member);
  json_object_set_new(object, domains[_i].member, member);
  char *const json = json_dumps(object, 0);
  const struct span value = encoded(schemas_find_own(schemas, "Enrollment"), SCHEMA_ID_NONE, json);
  const bool answer = decoded(TOPIC_ENROLLMENTS, value, &event, &reject);
  ck_assert_msg(answer == (domains[_i].field == NULL), "%s", reject.text);
  if (!answer) {
    ck_assert_int_eq(reject.code, REJECT_MALFORMED);
    ck_assert_msg(strstr(reject.text, domains[_i].field) != NULL, "%s", reject.text);
  }
  free(json);
  json_decref(object);
  drop(value);
}
END_TEST

/* ---- Another implementation ---- */

/* avro-c reads what we write, all of it, and writes the same bytes. */
START_TEST(decode_agrees_with_avro_c) {
  const struct writer *const writer = schemas_find_own(schemas, own[_i].record);
  const struct span value = own_value(_i);
  const size_t size = value.size - 10;
  char *const text = json_dumps(writer->schema->json, 0);
  uint8_t *const again = calloc(size + 1, 1);
  avro_schema_t schema;
  avro_value_t datum;
  ck_assert_int_eq(avro_schema_from_json_length(text, strlen(text), &schema), 0);
  avro_value_iface_t *const iface = avro_generic_class_from_schema(schema);
  ck_assert_int_eq(avro_generic_value_new(iface, &datum), 0);
  const avro_reader_t reader = avro_reader_memory((const char *)value.data + 10, (int64_t)size);
  ck_assert_int_eq(avro_value_read(reader, &datum), 0);
  char byte;
  ck_assert_int_ne(avro_read(reader, &byte, 1), 0);
  const avro_writer_t out = avro_writer_memory((char *)again, (int64_t)size + 1);
  ck_assert_int_eq(avro_value_write(out, &datum), 0);
  ck_assert_int_eq(avro_writer_tell(out), (int64_t)size);
  ck_assert_mem_eq(again, value.data + 10, size);
  avro_value_t serial;
  const char *serial_text;
  size_t serial_size;
  ck_assert_int_eq(avro_value_get_by_name(&datum, "serial", &serial, NULL), 0);
  ck_assert_int_eq(avro_value_get_string(&serial, &serial_text, &serial_size), 0);
  ck_assert_str_eq(serial_text, "C02XK1");
  avro_writer_free(out);
  avro_reader_free(reader);
  avro_value_decref(&datum);
  avro_value_iface_decref(iface);
  avro_schema_decref(schema);
  free(again);
  free(text);
  drop(value);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("decode");
  TCase *const tests = tcase_create("decode");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, decode_reads_our_own_records);
  tcase_add_test(tests, decode_leaves_unknown_what_was_not_reported);
  tcase_add_test(tests, decode_reads_reports_of_the_first_version);
  tcase_add_loop_test(tests, decode_rejects_every_truncation_and_addition, 0, (int)COUNT_OF(own));
  tcase_add_loop_test(tests, decode_survives_every_flipped_bit, 0, (int)COUNT_OF(own));
  tcase_add_loop_test(tests, decode_survives_random_damage, 0, (int)COUNT_OF(own));
  tcase_add_test(tests, decode_tells_framings_apart);
  tcase_add_test(tests, decode_takes_confluent_ids);
  tcase_add_test(tests, decode_refuses_records_of_other_topics);
  tcase_add_loop_test(tests, decode_reads_evolved_writers, 0, (int)COUNT_OF(evolved));
  tcase_add_loop_test(tests, decode_knows_no_way_from_foreign_writers, 0, (int)COUNT_OF(foreign));
  tcase_add_test(tests, decode_fills_in_what_the_writer_did_not_know);
  tcase_add_test(tests, decode_refuses_values_that_cannot_be_resolved);
  tcase_add_loop_test(tests, decode_bounds_hostile_bodies, 0, (int)COUNT_OF(hostile));
  tcase_add_loop_test(tests, decode_checks_domains, 0, (int)COUNT_OF(domains));
  tcase_add_loop_test(tests, decode_agrees_with_avro_c, 0, (int)COUNT_OF(own));
  tcase_set_timeout(tests, 60);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
