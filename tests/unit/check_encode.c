/* producers/encode: every record as avro-c reads it under our schemas, and back to our bytes. */
#include "producers/encode.h"
#include "schemas/embedded.h"

#include <avro.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const rule_ids[] = {"os_out_of_date", "antivirus", "not_encrypted",
                                       "weak_screen_lock"};

/* Even records have a single-object frame, odd ones a Confluent frame. */
static struct encoding an_encoding(void) {
  struct encoding encoding = {.topic_prefix = "muster.", .lane = 3, .message_bytes_max = 1000};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    encoding.frames.of[record].size = record % 2 == 0 ? 10 : 5;
    memcpy(encoding.frames.of[record].bytes, record % 2 == 0 ? "\xc3\x01schemaid" : "\0\0\0\0\x2a",
           record % 2 == 0 ? 10 : 5);
  }
  return encoding;
}

static const struct cause a_message = {
    .topic = TOPIC_REPORTS,
    .offset = 1234567,
    .has_event_id = true,
    .event_id = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4c, 0xde, 0x8f, 0, 1, 2, 3, 4, 5, 0xff},
    .traceparent = {.data = (const uint8_t *)"00-trace-01", .size = 11},
};
static const struct cause a_timer = {.offset = -1};

static struct result a_result(enum result_kind kind, bool is_full) {
  struct result result = {.kind = kind,
                          .seq = 98765,
                          .at_ms = INT64_C(1793491200000),
                          .cause = is_full ? a_message : a_timer,
                          .policy = "default",
                          .rules = {.ids = rule_ids, .count = COUNT_OF(rule_ids)},
                          .device_number = 1000,
                          .serial = span_text("SN-1"),
                          .has_subject = is_full,
                          .subject = {0xde, 0xad, 0xbe, 0xef, [15] = 0x0f}};
  return result;
}

static char *embedded_text(const char *record, size_t *size) {
  char name[64];
  snprintf(name, sizeof name, "%s.avsc", record);
  for (size_t i = 0; i < embedded_file_count; i++) {
    if (strcmp(embedded_files[i].name, name) == 0) {
      *size = embedded_files[i].size;
      return strdup(embedded_files[i].text);
    }
  }
  ck_abort_msg("no schema %s", name);
  return NULL;
}

/* The body as avro-c reads it, as JSON; fails unless avro-c writes the very same bytes. */
static void assert_body(uint32_t record, struct span body, const char *expected) {
  size_t text_size = 0;
  char *const text = embedded_text(record_name(record), &text_size);
  avro_schema_t schema;
  ck_assert_msg(avro_schema_from_json_length(text, text_size, &schema) == 0, "%s", avro_strerror());
  avro_value_iface_t *const class = avro_generic_class_from_schema(schema);
  avro_value_t value;
  ck_assert_int_eq(avro_generic_value_new(class, &value), 0);
  avro_reader_t reader = avro_reader_memory((const char *)body.data, (int64_t)body.size);
  ck_assert_msg(avro_value_read(reader, &value) == 0, "%s", avro_strerror());

  char *const again = malloc(body.size);
  size_t size = 0;
  ck_assert_int_eq(avro_value_sizeof(&value, &size), 0);
  ck_assert_uint_eq(size, body.size);
  avro_writer_t writer = avro_writer_memory(again, (int64_t)body.size);
  ck_assert_int_eq(avro_value_write(writer, &value), 0);
  ck_assert_mem_eq(again, body.data, body.size);

  char *json = NULL;
  ck_assert_int_eq(avro_value_to_json(&value, 1, &json), 0);
  ck_assert_str_eq(json, expected);
  free(json);
  free(again);
  avro_writer_free(writer);
  avro_reader_free(reader);
  avro_value_decref(&value);
  avro_value_iface_decref(class);
  avro_schema_decref(schema);
  free(text);
}

static void assert_text(struct span span, const char *expected) {
  ck_assert_uint_eq(span.size, strlen(expected));
  ck_assert_mem_eq(span.data, expected, span.size);
}

/* The one record of `records`; its body is framed as an_encoding says. */
static struct span only_record(const struct buffer *records, const struct encoding *encoding,
                               struct outgoing *outgoing) {
  size_t position = 0;
  struct outgoing none;
  ck_assert(outgoing_next(buffer_span(records), &position, outgoing));
  ck_assert(!outgoing_next(buffer_span(records), &position, &none));
  const size_t frame_size = encoding->frames.of[outgoing->record].size;
  ck_assert_uint_gt(outgoing->value.size, frame_size);
  ck_assert_mem_eq(outgoing->value.data, encoding->frames.of[outgoing->record].bytes, frame_size);
  return span_of(outgoing->value.data + frame_size, outgoing->value.size - frame_size);
}

#define COMMON                                                                                     \
  "{\"lane\": 3, \"seq\": 98765, \"at\": 1793491200000, \"cause\": {\"Cause\": {\"topic\": "       \
  "\"muster.compliance-reports\", \"partition\": 3, \"offset\": 1234567}}, \"event_id\": "         \
  "{\"string\": \"01234567-89ab-4cde-8f00-0102030405ff\"}, \"policy\": \"default\", "              \
  "\"subject\": {\"string\": \"deadbeef00000000000000000000000f\"}, "
#define COMMON_NULL                                                                                \
  "{\"lane\": 3, \"seq\": 98765, \"at\": 1793491200000, \"cause\": null, \"event_id\": null, "     \
  "\"policy\": \"default\", \"subject\": null, "
#define DEVICE "\"device_id\": \"D1000\", \"serial\": \"SN-1\", "
#define EMAIL "\"user_email\": {\"string\": \"ada@example.org\"}}"
#define EMAIL_NULL "\"user_email\": null}"

/* Encodes with the address when `is_full`; checks what all results have in common. */
static void assert_result(const struct result *result, bool is_full, const char *expected) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct outgoing outgoing;
  encode_result(&encoding, result, is_full ? span_text("ada@example.org") : span_of("", 0),
                &records, &canonical);
  const struct span body = only_record(&records, &encoding, &outgoing);
  ck_assert_uint_eq(outgoing.record, result->kind);
  ck_assert_int_eq(outgoing.timestamp_ms, result->at_ms);
  ck_assert(!outgoing.key_is_null && !outgoing.value_is_null);
  assert_text(outgoing.key, result->device_number != 0 ? "D1000" : "3");
  if (is_full) {
    const char header[] = "\0\0\0\x0btraceparent\0\0\0\x0b"
                          "00-trace-01";
    ck_assert_uint_eq(outgoing.headers.size, sizeof header - 1);
    ck_assert_mem_eq(outgoing.headers.data, header, sizeof header - 1);
  } else {
    ck_assert_uint_eq(outgoing.headers.size, 0);
  }
  assert_body(outgoing.record, body, expected);
  buffer_fini(&records);
  buffer_fini(&canonical);
}

START_TEST(encode_compliance_change) {
  struct result result = a_result(RESULT_COMPLIANCE_CHANGE, true);
  result.change.compliance = COMPLIANCE_NONCOMPLIANT;
  result.change.violations = 0xb;
  result.change.noncompliant_since_ms = 5;
  assert_result(&result, true,
                COMMON DEVICE "\"compliance\": \"NONCOMPLIANT\", \"violations\": "
                              "[\"os_out_of_date\", \"antivirus\", \"weak_screen_lock\"], "
                              "\"noncompliant_since\": {\"long\": 5}}");
  result = a_result(RESULT_COMPLIANCE_CHANGE, false);
  result.change.compliance = COMPLIANCE_COMPLIANT;
  result.change.noncompliant_since_ms = TIME_NONE;
  assert_result(&result, false,
                COMMON_NULL DEVICE "\"compliance\": \"COMPLIANT\", \"violations\": [], "
                                   "\"noncompliant_since\": null}");
}
END_TEST

START_TEST(encode_notification) {
  struct result result = a_result(RESULT_NOTIFICATION, true);
  result.notification.template_name = "noncompliant";
  assert_result(&result, true, COMMON DEVICE "\"template\": \"noncompliant\", " EMAIL);
  result = a_result(RESULT_NOTIFICATION, false);
  result.notification.template_name = "";
  assert_result(&result, false, COMMON_NULL DEVICE "\"template\": \"\", " EMAIL_NULL);
}
END_TEST

START_TEST(encode_access_decision) {
  struct result result = a_result(RESULT_ACCESS_DECISION, true);
  result.access.resource = "email";
  result.access.decision = ACCESS_BLOCK;
  result.access.reason = "noncompliant";
  assert_result(&result, true,
                COMMON DEVICE "\"resource\": \"email\", \"decision\": \"BLOCK\", "
                              "\"reason\": \"noncompliant\", " EMAIL);
  result = a_result(RESULT_ACCESS_DECISION, false);
  result.access.resource = "sap";
  result.access.reason = "compliant";
  assert_result(&result, false,
                COMMON_NULL DEVICE "\"resource\": \"sap\", \"decision\": \"ALLOW\", "
                                   "\"reason\": \"compliant\", " EMAIL_NULL);
}
END_TEST

START_TEST(encode_ticket) {
  struct result result = a_result(RESULT_TICKET, true);
  result.ticket.action = TICKET_UPDATE;
  result.ticket.episode = 12;
  result.ticket.violations = 4;
  result.ticket.description = "One (a).\nTwo (b).";
  assert_result(&result, true,
                COMMON DEVICE "\"action\": \"UPDATE\", \"correlation_id\": \"D1000/12\", "
                              "\"violations\": [\"not_encrypted\"], "
                              "\"description\": {\"string\": \"One (a).\\nTwo (b).\"}}");
  result = a_result(RESULT_TICKET, false);
  result.ticket.action = TICKET_RESOLVE;
  result.ticket.episode = 1;
  assert_result(&result, false,
                COMMON_NULL DEVICE "\"action\": \"RESOLVE\", \"correlation_id\": \"D1000/1\", "
                                   "\"violations\": [], \"description\": null}");
}
END_TEST

START_TEST(encode_license) {
  struct result result = a_result(RESULT_LICENSE, true);
  result.license.action = LICENSE_RELEASE;
  assert_result(&result, true, COMMON DEVICE "\"action\": \"RELEASE\", " EMAIL);
  result = a_result(RESULT_LICENSE, false);
  assert_result(&result, false, COMMON_NULL DEVICE "\"action\": \"ASSIGN\", " EMAIL_NULL);
}
END_TEST

START_TEST(encode_action) {
  struct result result = a_result(RESULT_ACTION, true);
  result.action.action = ACTION_WIPE;
  result.action.is_selective = true;
  result.action.parameter = "reason";
  result.action.parameter_value = span_text("lost");
  assert_result(&result, true,
                COMMON DEVICE "\"action\": \"WIPE\", \"selective\": true, "
                              "\"parameters\": {\"reason\": \"lost\"}}");
  result = a_result(RESULT_ACTION, false);
  result.action.action = ACTION_SYNC;
  assert_result(&result, false,
                COMMON_NULL DEVICE "\"action\": \"SYNC\", \"selective\": false, "
                                   "\"parameters\": {}}");
}
END_TEST

START_TEST(encode_audit) {
  struct result result = a_result(RESULT_AUDIT, true);
  result.audit.actor = "muster";
  result.audit.action = AUDIT_REMOTE_TASK;
  result.audit.target = span_text("D1000");
  result.audit.outcome = OUTCOME_REFUSED;
  result.audit.reason = "platform";
  assert_result(&result, true,
                COMMON "\"device_id\": {\"string\": \"D1000\"}, \"serial\": {\"string\": "
                       "\"SN-1\"}, \"actor\": \"muster\", \"action\": \"REMOTE_TASK\", "
                       "\"target\": \"D1000\", \"outcome\": \"REFUSED\", \"reason\": "
                       "{\"string\": \"platform\"}}");
  result = a_result(RESULT_AUDIT, false);
  result.device_number = 0;
  result.serial = span_of("", 0);
  result.audit.actor = "muster";
  result.audit.target = span_text("SN-9");
  assert_result(&result, false,
                COMMON_NULL "\"device_id\": null, \"serial\": null, \"actor\": \"muster\", "
                            "\"action\": \"ASSIGN\", \"target\": \"SN-9\", \"outcome\": \"OK\", "
                            "\"reason\": null}");
}
END_TEST

static struct device_image a_device(bool is_full) {
  struct device_image image = {
      .number = 1000,
      .serial = span_text("SN-1"),
      .os_version = span_text("14.1"),
      .subject = {0xde, 0xad, 0xbe, 0xef, [15] = 0x0f},
      .state = {.platform = PLATFORM_LINUX,
                .profile = PROFILE_EXECUTIVE,
                .ownership = OWNERSHIP_PERSONAL,
                .status = DEVICE_RETIRED,
                .compliance = COMPLIANCE_NONCOMPLIANT,
                .violations = 0xf,
                .noncompliant_since_ms = 7,
                .email_blocked = true,
                .sap_blocked = true,
                .ticket_open = true,
                .last_sync_at_ms = 8},
      .overdue_since_ms = 9,
      .seq = 98765,
      .at_ms = INT64_C(1793491200000),
      .cause = a_message,
      .policy = "default",
      .rules = {.ids = rule_ids, .count = COUNT_OF(rule_ids)},
  };
  if (!is_full) {
    image.cause = a_timer;
    image.state = (struct device){.last_sync_at_ms = TIME_NONE, .noncompliant_since_ms = TIME_NONE};
    image.overdue_since_ms = TIME_NONE;
  }
  return image;
}

START_TEST(encode_device_state) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct outgoing outgoing;
  struct device_image image = a_device(true);
  encode_device(&encoding, &image, span_text("ada@example.org"), &records);
  struct span body = only_record(&records, &encoding, &outgoing);
  ck_assert_uint_eq(outgoing.record, RECORD_DEVICE);
  ck_assert_int_eq(outgoing.timestamp_ms, image.at_ms);
  assert_text(outgoing.key, "D1000");
  assert_body(RECORD_DEVICE, body,
              COMMON DEVICE
              "\"platform\": \"LINUX\", \"profile\": \"EXECUTIVE\", \"ownership\": \"PERSONAL\", "
              "\"os_version\": \"14.1\", \"status\": \"RETIRED\", \"compliance\": "
              "\"NONCOMPLIANT\", \"violations\": [\"os_out_of_date\", \"antivirus\", "
              "\"not_encrypted\", \"weak_screen_lock\"], \"noncompliant_since\": {\"long\": 7}, "
              "\"email_blocked\": true, \"sap_blocked\": true, \"ticket_open\": true, "
              "\"overdue_since\": {\"long\": 9}, \"last_sync_at\": {\"long\": 8}, " EMAIL);
  buffer_clear(&records);
  image = a_device(false);
  encode_device(&encoding, &image, span_of("", 0), &records);
  body = only_record(&records, &encoding, &outgoing);
  assert_body(RECORD_DEVICE, body,
              "{\"lane\": 3, \"seq\": 98765, \"at\": 1793491200000, \"cause\": null, "
              "\"event_id\": null, \"policy\": \"default\", \"subject\": {\"string\": "
              "\"deadbeef00000000000000000000000f\"}, " DEVICE
              "\"platform\": \"WINDOWS\", \"profile\": \"STANDARD\", \"ownership\": "
              "\"CORPORATE\", \"os_version\": \"14.1\", \"status\": \"PENDING\", \"compliance\": "
              "\"UNKNOWN\", \"violations\": [], \"noncompliant_since\": null, "
              "\"email_blocked\": false, \"sap_blocked\": false, \"ticket_open\": false, "
              "\"overdue_since\": null, \"last_sync_at\": null, " EMAIL_NULL);
  buffer_fini(&records);
}
END_TEST

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define THREES "3333333333333333333333333333333333333333333333333333333333333333"
#define FOURS "4444444444444444444444444444444444444444444444444444444444444444"
#define FIVES "5555555555555555555555555555555555555555555555555555555555555555"
#define SIXES "6666666666666666666666666666666666666666666666666666666666666666"
#define RANGES                                                                                     \
  "[{\"topic\": \"muster.control\", \"from\": 0, \"to\": 0}, "                                     \
  "{\"topic\": \"muster.enrollments\", \"from\": 0, \"to\": 0}, "                                  \
  "{\"topic\": \"muster.commands\", \"from\": 0, \"to\": 0}, "                                     \
  "{\"topic\": \"muster.checkins\", \"from\": 5, \"to\": 300}, "                                   \
  "{\"topic\": \"muster.compliance-reports\", \"from\": 0, \"to\": 0}]"

static const struct journal_witness a_witness = {
    .epoch = 17, .owner = {0xab}, .committed_at_ms = 99};
#define WITNESS "\"owner\": \"ab000000000000000000000000000000\", \"committed_at\": 99, "

static struct journal_row a_row(void) {
  struct journal_row row = {.lane = 3,
                            .batch = 42,
                            .first_seq = 100,
                            .last_seq = 109,
                            .clock_before_ms = 1000,
                            .clock_after_ms = 2000,
                            .ranges = {[TOPIC_CHECKINS] = {.from = 5, .to = 300}},
                            .message_count = 295,
                            .dead_letter_count = 2,
                            .timer_count = 1,
                            .device_count = 50};
  memset(row.environment, 0x11, DIGEST_SIZE);
  memset(row.inputs, 0x22, DIGEST_SIZE);
  memset(row.results, 0x33, DIGEST_SIZE);
  memset(row.chain, 0x44, DIGEST_SIZE);
  memset(row.last_message[TOPIC_CHECKINS], 0x55, DIGEST_SIZE);
  return row;
}

START_TEST(encode_journal_batch) {
  const struct encoding encoding = an_encoding();
  const struct topic_offset not_believed[] = {{TOPIC_CONTROL, 1}, {TOPIC_CHECKINS, 299}};
  struct buffer records = {0};
  struct outgoing outgoing;
  struct journal_row row = a_row();
  row.not_believed = not_believed;
  row.not_believed_count = COUNT_OF(not_believed);
  row.timer =
      (struct timer_cursor){.is_set = true, .due_at_ms = 1500, .device_number = 9, .kind = 2};
  row.sweep = (struct sweep_cursor){.is_set = true, .device_number = 7};
  encode_journal(&encoding, &row, &a_witness, span_of("", 0), &records);
  const struct span body = only_record(&records, &encoding, &outgoing);
  ck_assert_uint_eq(outgoing.record, RECORD_JOURNAL);
  ck_assert_int_eq(outgoing.timestamp_ms, 2000);
  assert_text(outgoing.key, "3");
  assert_body(
      RECORD_JOURNAL, body,
      "{\"kind\": \"BATCH\", \"lane\": 3, \"batch\": 42, \"epoch\": 17, "
      "\"first_seq\": 100, \"last_seq\": 109, \"clock_before\": {\"long\": 1000}, "
      "\"clock_after\": {\"long\": 2000}, \"ranges\": " RANGES ", "
      "\"not_believed\": [{\"topic\": \"muster.control\", \"offset\": 1}, "
      "{\"topic\": \"muster.checkins\", \"offset\": 299}], "
      "\"cursors\": {\"timer\": {\"TimerCursor\": {\"due_at\": 1500, "
      "\"device_number\": 9, \"kind\": 2}}, \"sweep\": {\"SweepCursor\": {\"device_number\": 7}}}, "
      "\"environment\": \"" ONES "\", "
      "\"counts\": {\"messages\": 295, \"results\": 10, \"dead_letters\": 2, "
      "\"timers\": 1, \"devices\": 50}, \"digests\": {\"inputs\": \"" TWOS "\", "
      "\"results\": \"" THREES "\", \"chain\": \"" FOURS "\", \"last_messages\": "
      "[{\"topic\": \"muster.checkins\", \"digest\": \"" FIVES "\"}], \"state\": null}, " WITNESS
      "\"content\": null, \"gap\": null}");
  buffer_fini(&records);
}
END_TEST

/* The decision about a gap is last, with who asked, if anybody is named. */
START_TEST(encode_journal_gap) {
  static const char told[] =
      "{\"kind\": \"BATCH\", \"lane\": 3, \"batch\": 42, \"epoch\": 17, "
      "\"first_seq\": 100, \"last_seq\": 109, \"clock_before\": {\"long\": 1000}, "
      "\"clock_after\": {\"long\": 2000}, \"ranges\": " RANGES ", \"not_believed\": [], "
      "\"cursors\": {\"timer\": null, \"sweep\": null}, \"environment\": \"" ONES "\", "
      "\"counts\": {\"messages\": 295, \"results\": 10, \"dead_letters\": 2, "
      "\"timers\": 1, \"devices\": 50}, \"digests\": {\"inputs\": \"" TWOS "\", "
      "\"results\": \"" THREES "\", \"chain\": \"" FOURS "\", \"last_messages\": "
      "[{\"topic\": \"muster.checkins\", \"digest\": \"" FIVES "\"}], \"state\": null}, " WITNESS
      "\"content\": null, "
      "\"gap\": {\"Gap\": {\"topic\": \"muster.checkins\", \"from\": 300, \"to\": 7, "
      "\"accepted\": %s, \"actor\": %s, \"reason\": \"made anew\", "
      "\"event_id\": \"0a000000-0000-0000-0000-000000000000\", \"asked_at\": 1234}}}";
  const struct encoding encoding = an_encoding();
  for (int i = 0; i < 2; i++) {
    struct buffer records = {0};
    struct outgoing outgoing;
    char expected[4096];
    struct journal_row row = a_row();
    row.gap = (struct journal_gap){.is_set = true,
                                   .is_accepted = i == 0,
                                   .topic = TOPIC_CHECKINS,
                                   .from = 300,
                                   .to = 7,
                                   .asked_at_ms = 1234,
                                   .event_id = {0x0a},
                                   .has_actor = i == 1,
                                   .actor = {0xcd},
                                   .reason = "made anew"};
    encode_journal(&encoding, &row, &a_witness, span_of("", 0), &records);
    snprintf(expected, sizeof expected, told, i == 0 ? "true" : "false",
             i == 0 ? "null" : "{\"string\": \"cd000000000000000000000000000000\"}");
    assert_body(RECORD_JOURNAL, only_record(&records, &encoding, &outgoing), expected);
    buffer_fini(&records);
  }
}
END_TEST

START_TEST(encode_journal_environment) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct outgoing outgoing;
  struct journal_row row = a_row();
  row.clock_before_ms = TIME_NONE;
  row.clock_after_ms = TIME_NONE;
  encode_journal(&encoding, &row, &a_witness, span_text("{}"), &records);
  const struct span body = only_record(&records, &encoding, &outgoing);
  ck_assert_int_eq(outgoing.timestamp_ms, a_witness.committed_at_ms);
  assert_body(RECORD_JOURNAL, body,
              "{\"kind\": \"ENVIRONMENT\", \"lane\": 3, \"batch\": 42, \"epoch\": 17, "
              "\"first_seq\": 100, \"last_seq\": 99, \"clock_before\": null, "
              "\"clock_after\": null, \"ranges\": [], \"not_believed\": [], "
              "\"cursors\": {\"timer\": null, \"sweep\": null}, \"environment\": \"" ONES "\", "
              "\"counts\": {\"messages\": 0, \"results\": 0, \"dead_letters\": 0, "
              "\"timers\": 0, \"devices\": 0}, \"digests\": {\"inputs\": \"\", "
              "\"results\": \"\", \"chain\": \"\", \"last_messages\": [], "
              "\"state\": null}, " WITNESS "\"content\": {\"string\": \"{}\"}, \"gap\": null}");
  buffer_fini(&records);
}
END_TEST

/* These names and values, in this order, and no others. */
static void assert_headers(struct span headers, const char *const (*expected)[2], size_t count) {
  for (size_t i = 0; i < count; i++) {
    for (size_t part = 0; part < 2; part++) {
      ck_assert_uint_ge(headers.size, 4);
      const size_t size = (size_t)headers.data[2] << 8 | headers.data[3];
      headers = span_of(headers.data + 4, headers.size - 4);
      ck_assert_uint_ge(headers.size, size);
      assert_text(span_of(headers.data, size), expected[i][part]);
      headers = span_of(headers.data + size, headers.size - size);
    }
  }
  ck_assert_uint_eq(headers.size, 0);
}

static struct result a_letter(enum reject_code code) {
  struct result result = {.kind = RESULT_DEAD_LETTER, .seq = 7, .at_ms = 5, .cause = a_message};
  result.dead_letter.original = (struct original){.key = span_text("SN-1"),
                                                  .value = span_text("bytes"),
                                                  .headers = span_of("\0\0\0\1h\0\0\0\1v", 10),
                                                  .timestamp_ms = 77,
                                                  .size_bytes = 2000000};
  memset(result.dead_letter.original.value_sha256, 0x66, 32);
  reject_set(&result.dead_letter.reject, code, STAGE_VALUE, "why \xc3\xa9");
  return result;
}

#define CONNECT_HEADERS                                                                            \
  {"__connect.errors.topic", "muster.compliance-reports"}, {"__connect.errors.partition", "3"},    \
      {"__connect.errors.offset", "1234567"}, {                                                    \
    "__connect.errors.stage", "VALUE_CONVERTER"                                                    \
  }

START_TEST(encode_letter_keeps_the_original) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct result result = a_letter(REJECT_KEY_MISMATCH);
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  struct outgoing outgoing;
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert_int_eq(outgoing.timestamp_ms, 77);
  ck_assert(!outgoing.key_is_null && !outgoing.value_is_null);
  assert_text(outgoing.key, "SN-1");
  assert_text(outgoing.value, "bytes");
  const char *const expected[][2] = {
      {"h", "v"},
      {"muster.error", "key_mismatch"},
      {"muster.lane", "3"},
      {"muster.seq", "7"},
      CONNECT_HEADERS,
      {"__connect.errors.exception.class.name", "muster.KeyMismatch"},
      {"__connect.errors.exception.message", "why \xc3\xa9"},
  };
  assert_headers(outgoing.headers, expected, COUNT_OF(expected));

  buffer_clear(&records);
  result.dead_letter.original.key_is_null = true;
  result.dead_letter.original.value_is_null = true;
  result.dead_letter.original.timestamp_ms = -1;
  result.cause.topic = TOPIC_CONTROL;
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert_int_eq(outgoing.timestamp_ms, -1);
  ck_assert(outgoing.key_is_null && outgoing.value_is_null);
  buffer_fini(&records);
  buffer_fini(&canonical);
}
END_TEST

START_TEST(encode_letter_leaves_out_what_is_too_large) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct result result = a_letter(REJECT_TOO_LARGE);
  uint8_t key[1001] = {0};
  result.dead_letter.original.key = span_of(key, sizeof key - 1);
  result.dead_letter.reject.text[5] = '\0'; /* cut within a character */
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  struct outgoing outgoing;
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert(outgoing.value_is_null && !outgoing.key_is_null);
  ck_assert_uint_eq(outgoing.key.size, sizeof key - 1);
  const char *const expected[][2] = {
      {"muster.error", "too_large"},
      {"muster.lane", "3"},
      {"muster.seq", "7"},
      {"muster.sha256", SIXES},
      {"muster.size", "2000000"},
      CONNECT_HEADERS,
      {"__connect.errors.exception.class.name", "muster.TooLarge"},
      {"__connect.errors.exception.message", "why "},
  };
  assert_headers(outgoing.headers, expected, COUNT_OF(expected));

  result.dead_letter.original.key = span_of(key, sizeof key); /* beyond message_bytes_max */
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert(outgoing.key_is_null && outgoing.key.size == 0);
  buffer_fini(&records);
  buffer_fini(&canonical);
}
END_TEST

START_TEST(encode_letter_keeps_no_forbidden_value) {
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  const struct result result = a_letter(REJECT_NEVER_COLLECTED);
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  struct outgoing outgoing;
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert(outgoing.value_is_null);
  const char *const expected[][2] = {
      {"h", "v"},
      {"muster.error", "never_collected"},
      {"muster.lane", "3"},
      {"muster.seq", "7"},
      {"muster.sha256", SIXES},
      {"muster.size", "2000000"},
      CONNECT_HEADERS,
      {"__connect.errors.exception.class.name", "muster.NeverCollected"},
      {"__connect.errors.exception.message", "why \xc3\xa9"},
  };
  assert_headers(outgoing.headers, expected, COUNT_OF(expected));
  buffer_fini(&records);
  buffer_fini(&canonical);
}
END_TEST

START_TEST(canonical_holds_no_address_and_no_frame) {
  struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer with = {0};
  struct buffer without = {0};
  struct result result = a_result(RESULT_LICENSE, true);
  encode_result(&encoding, &result, span_text("ada@example.org"), &records, &with);
  encoding.frames.of[RESULT_LICENSE].size = 0;
  encoding.cloudevents = true;
  encode_result(&encoding, &result, span_of("", 0), &records, &without);
  ck_assert_uint_eq(with.size, without.size);
  ck_assert_mem_eq(with.data, without.data, with.size);

  /* Without an address and a frame the published value is the canonical one. */
  struct outgoing outgoing;
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  const size_t size = outgoing.value.size;
  ck_assert_mem_eq(without.data + without.size - size, outgoing.value.data, size);
  const char front[] = "\0\0\0\x08licenses\0\0\0\x05"
                       "D1000\0\0\x01\xa1";
  ck_assert_mem_eq(without.data, front, sizeof front - 1);

  buffer_clear(&without);
  result.seq++;
  encode_result(&encoding, &result, span_of("", 0), &records, &without);
  ck_assert_mem_ne(with.data, without.data, with.size);
  buffer_fini(&records);
  buffer_fini(&with);
  buffer_fini(&without);
}
END_TEST

START_TEST(cloudevents_describe_the_record) {
  struct encoding encoding = an_encoding();
  encoding.cloudevents = true;
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct result result = a_result(RESULT_LICENSE, true);
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  const struct device_image image = a_device(true);
  encode_device(&encoding, &image, span_of("", 0), &records);
  const struct journal_row row = a_row();
  encode_journal(&encoding, &row, &a_witness, span_of("", 0), &records);
  struct outgoing outgoing;
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  const char *const of_result[][2] = {{"traceparent", "00-trace-01"},
                                      {"ce_specversion", "1.0"},
                                      {"ce_id", "3-98765"},
                                      {"ce_source", "muster"},
                                      {"ce_type", "muster.v1.License"},
                                      {"ce_time", "2026-11-01T00:00:00.000Z"},
                                      {"ce_subject", "D1000"},
                                      {"content-type", "application/avro"}};
  assert_headers(outgoing.headers, of_result, COUNT_OF(of_result));
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  const char *const of_device[][2] = {{"traceparent", "00-trace-01"},
                                      {"ce_specversion", "1.0"},
                                      {"ce_id", "3-98765-D1000-1793491200000"},
                                      {"ce_source", "muster"},
                                      {"ce_type", "muster.v1.Device"},
                                      {"ce_time", "2026-11-01T00:00:00.000Z"},
                                      {"ce_subject", "D1000"},
                                      {"content-type", "application/avro"}};
  assert_headers(outgoing.headers, of_device, COUNT_OF(of_device));
  ck_assert(outgoing_next(buffer_span(&records), &position, &outgoing));
  const char *const of_journal[][2] = {{"ce_specversion", "1.0"},
                                       {"ce_id", "3-journal-42"},
                                       {"ce_source", "muster"},
                                       {"ce_type", "muster.v1.JournalRecord"},
                                       {"ce_time", "1970-01-01T00:00:02.000Z"},
                                       {"content-type", "application/avro"}};
  assert_headers(outgoing.headers, of_journal, COUNT_OF(of_journal));
  buffer_fini(&records);
  buffer_fini(&canonical);
}
END_TEST

/* Texts of every length, so that a bound that is too small is seen by its assertion. */
START_TEST(encode_has_room_for_the_longest) {
  struct encoding encoding = an_encoding();
  encoding.cloudevents = true;
  char long_text[400];
  memset(long_text, 'x', sizeof long_text);
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct result result = a_result(RESULT_COMPLIANCE_CHANGE, true);
  result.seq = INT64_MAX;
  result.at_ms = INT64_MIN + 1;
  result.cause.offset = INT64_MAX;
  result.device_number = UINT64_MAX;
  result.serial = span_of(long_text, SERIAL_SIZE_MAX);
  result.change.violations = 0xf;
  encoding.lane = UINT32_MAX;
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  result.kind = RESULT_LICENSE;
  result.license.action = LICENSE_RELEASE;
  encode_result(&encoding, &result, span_of(long_text, USER_EMAIL_SIZE_MAX), &records, &canonical);
  result.kind = RESULT_TICKET;
  result.ticket.action = TICKET_OPEN;
  result.ticket.episode = UINT32_MAX;
  result.ticket.violations = 0xf;
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  struct outgoing outgoing;
  size_t count = 0;
  for (size_t position = 0; outgoing_next(buffer_span(&records), &position, &outgoing);) {
    count++;
  }
  ck_assert_uint_eq(count, 3);
  buffer_fini(&records);
  buffer_fini(&canonical);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("encode");
  TCase *const tests = tcase_create("encode");
  tcase_add_test(tests, encode_compliance_change);
  tcase_add_test(tests, encode_notification);
  tcase_add_test(tests, encode_access_decision);
  tcase_add_test(tests, encode_ticket);
  tcase_add_test(tests, encode_license);
  tcase_add_test(tests, encode_action);
  tcase_add_test(tests, encode_audit);
  tcase_add_test(tests, encode_device_state);
  tcase_add_test(tests, encode_journal_batch);
  tcase_add_test(tests, encode_journal_gap);
  tcase_add_test(tests, encode_journal_environment);
  tcase_add_test(tests, encode_letter_keeps_the_original);
  tcase_add_test(tests, encode_letter_leaves_out_what_is_too_large);
  tcase_add_test(tests, encode_letter_keeps_no_forbidden_value);
  tcase_add_test(tests, canonical_holds_no_address_and_no_frame);
  tcase_add_test(tests, cloudevents_describe_the_record);
  tcase_add_test(tests, encode_has_room_for_the_longest);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
