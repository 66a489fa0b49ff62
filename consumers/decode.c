#include "consumers/decode.h"
#include "consumers/decode_fields.h"
#include "consumers/schemas.h"

#include <inttypes.h>

enum {
  SINGLE_OBJECT_HEAD_SIZE = 10, /* C3 01, the fingerprint's lowest byte first */
  UUID_TEXT_SIZE = 36,
};

/* Every record begins with the first two, and that of a device has its serial behind them. */
enum { SLOT_EVENT_ID, SLOT_OCCURRED_AT, SLOT_SERIAL };
static_assert((int)SLOT_ENROLLMENT_SERIAL == (int)SLOT_SERIAL, "of a device");
static_assert((int)SLOT_CHECKIN_SERIAL == (int)SLOT_SERIAL, "of a device");
static_assert((int)SLOT_REPORT_SERIAL == (int)SLOT_SERIAL, "of a device");
static_assert((int)SLOT_COMMAND_SERIAL == (int)SLOT_SERIAL, "of a device");
static_assert((int)SLOT_POLICY_OCCURRED_AT == (int)SLOT_OCCURRED_AT, "in every record");

/* ---- Framing ---- */

static uint32_t half_word_of(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The lowest byte first. */
static uint64_t word_of(const uint8_t *low, const uint8_t *high) {
  return half_word_of(low) | (uint64_t)half_word_of(high) << 32;
}

static uint64_t fingerprint_of(const uint8_t *bytes) {
  return word_of(bytes, bytes + 4);
}

static uint32_t id_of(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool has_fingerprint(struct span value) {
  return value.size >= SINGLE_OBJECT_HEAD_SIZE && value.data[0] == 0xc3 && value.data[1] == 0x01;
}

static struct span behind(struct span value, size_t size) {
  return span_of(value.data + size, value.size - size);
}

const struct writer *decode_framing(const struct schemas *schemas, struct span value,
                                    struct span *body, struct reject *reject) {
  const struct writer *writer = NULL;
  if (has_fingerprint(value)) {
    const uint64_t fingerprint = fingerprint_of(value.data + 2);
    writer = schemas_find(schemas, fingerprint);
    *body = behind(value, SINGLE_OBJECT_HEAD_SIZE);
    if (writer == NULL) {
      reject_set(reject, REJECT_UNKNOWN_SCHEMA, STAGE_VALUE,
                 "no schema with fingerprint %016" PRIx64 " is known", fingerprint);
    }
  } else if (value.size >= CONFLUENT_HEAD_SIZE && value.data[0] == 0x00) {
    const uint32_t id = id_of(value.data + 1);
    writer = schemas_find_id(schemas, id);
    *body = behind(value, CONFLUENT_HEAD_SIZE);
    if (writer == NULL) {
      reject_set(reject, REJECT_UNKNOWN_SCHEMA, STAGE_VALUE,
                 "no schema with id %" PRIu32 " is known", id);
    }
  } else if (value.data == NULL || value.size == 0) {
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "the message has no value");
  } else {
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE,
               "the value begins neither as an Avro single object nor in Confluent's format");
  }
  return writer;
}

bool decode_unknown_id(const struct schemas *schemas, struct span value, uint32_t *id) {
  if (value.size < CONFLUENT_HEAD_SIZE || value.data[0] != 0x00) {
    return false;
  }
  *id = id_of(value.data + 1);
  return schemas_find_id(schemas, *id) == NULL;
}

/* ---- Domains ---- */

bool field_refuse(struct reject *reject, const char *field, const char *reason) {
  reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "%s: %s", field, reason);
  return false;
}

/* Eight hexadecimal digits as four bytes, all eight at once: each byte of `word` is a
 * character, the first the lowest. With no high bit set no sum below carries. */
static bool hex_decode(uint64_t word, uint8_t bytes[4]) {
  const uint64_t ones = UINT64_C(0x0101010101010101);
  const uint64_t high_bits = ones * 0x80;
  const uint64_t lower = word | ones * 0x20;
  const uint64_t is_digit = (word + ones * (0x80 - '0')) & ~(word + ones * (0x7f - '9'));
  const uint64_t is_letter = (lower + ones * (0x80 - 'a')) & ~(lower + ones * (0x7f - 'f'));
  const uint64_t values = (word & ones * 0xf) + (word >> 6 & ones) * 9;
  uint64_t pairs = (values << 4 | values >> 8) & UINT64_C(0x00ff00ff00ff00ff);
  pairs = (pairs | pairs >> 8) & UINT64_C(0x0000ffff0000ffff);
  pairs |= pairs >> 16;
  bytes[0] = (uint8_t)pairs;
  bytes[1] = (uint8_t)(pairs >> 8);
  bytes[2] = (uint8_t)(pairs >> 16);
  bytes[3] = (uint8_t)(pairs >> 24);
  return ((is_digit | is_letter) & ~word & high_bits) == high_bits;
}

bool decode_uuid(struct span text, uint8_t uuid[EVENT_ID_SIZE]) {
  const uint8_t *const at = text.data;
  if (text.size != UUID_TEXT_SIZE || at[8] != '-' || at[13] != '-' || at[18] != '-' ||
      at[23] != '-') {
    return false;
  }
  return hex_decode(word_of(at, at + 4), uuid) && hex_decode(word_of(at + 9, at + 14), uuid + 4) &&
         hex_decode(word_of(at + 19, at + 24), uuid + 8) &&
         hex_decode(word_of(at + 28, at + 32), uuid + 12);
}

static bool take_common(const struct slot *slots, struct event *event, struct reject *reject) {
  if (!decode_uuid(slots[SLOT_EVENT_ID].text, event->event_id)) {
    return field_refuse(reject, "event_id", "not a UUID");
  }
  if (!field_take_time(&slots[SLOT_OCCURRED_AT], "occurred_at", &event->occurred_at_ms, reject)) {
    return false;
  }
  event->user.email.size = event->actor.email.size = 0;
  return true;
}

static bool take_enrollment(const struct slot *slots, struct event *event, struct reject *reject) {
  struct enrollment *const enrollment = &event->enrollment;
  if (!field_take_email(&slots[SLOT_ENROLLMENT_USER_EMAIL], "user_email", &event->user.email,
                        reject)) {
    return false;
  }
  assert(slots[SLOT_ENROLLMENT_PLATFORM].number < PLATFORM_COUNT);
  assert(slots[SLOT_ENROLLMENT_PROFILE].number < PROFILE_COUNT);
  assert(slots[SLOT_ENROLLMENT_OWNERSHIP].number < OWNERSHIP_COUNT);
  enrollment->platform = (enum platform)slots[SLOT_ENROLLMENT_PLATFORM].number;
  enrollment->profile = (enum profile)slots[SLOT_ENROLLMENT_PROFILE].number;
  enrollment->ownership = (enum ownership)slots[SLOT_ENROLLMENT_OWNERSHIP].number;
  enrollment->has_consent = slots[SLOT_ENROLLMENT_HAS_CONSENT].number != 0;
  if (!field_take_text(&slots[SLOT_ENROLLMENT_OS_VERSION], "os_version", OS_VERSION_SIZE_MAX,
                       &enrollment->os_version, reject)) {
    return false;
  }
  if (!enrollment->has_consent) {
    enrollment->notice_version = (struct span){0};
    enrollment->consent_given_at_ms = 0;
    return true;
  }
  return field_take_text(&slots[SLOT_ENROLLMENT_NOTICE_VERSION], "consent.notice_version",
                         OS_VERSION_SIZE_MAX, &enrollment->notice_version, reject) &&
         field_take_time(&slots[SLOT_ENROLLMENT_GIVEN_AT], "consent.given_at",
                         &enrollment->consent_given_at_ms, reject);
}

static bool take_checkin(const struct slot *slots, struct event *event, struct reject *reject) {
  assert(slots[SLOT_CHECKIN_TRIGGER].number < TRIGGER_COUNT);
  event->checkin.trigger = (enum trigger)slots[SLOT_CHECKIN_TRIGGER].number;
  return field_take_text(&slots[SLOT_CHECKIN_OS_VERSION], "os_version", OS_VERSION_SIZE_MAX,
                         &event->checkin.os_version, reject);
}

static enum tri take_tri(const struct slot *has, const struct slot *slot) {
  if (has->number == 0) {
    return TRI_UNKNOWN;
  }
  return slot->number != 0 ? TRI_TRUE : TRI_FALSE;
}

/* In each of its unions the first branch, 0, is null. */
static bool take_report(const struct slot *slots, struct event *event, struct reject *reject) {
  struct report *const report = &event->report;
  *report = (struct report){0};
  report->has_os_version = slots[SLOT_REPORT_HAS_OS_VERSION].number != 0;
  report->has_antivirus_signatures_at = slots[SLOT_REPORT_HAS_SIGNATURES_AT].number != 0;
  report->has_screen_lock_pin_length = slots[SLOT_REPORT_HAS_PIN_LENGTH].number != 0;
  report->antivirus_enabled =
      take_tri(&slots[SLOT_REPORT_HAS_ANTIVIRUS], &slots[SLOT_REPORT_ANTIVIRUS]);
  report->disk_encrypted = take_tri(&slots[SLOT_REPORT_HAS_DISK], &slots[SLOT_REPORT_DISK]);
  if (report->has_screen_lock_pin_length) {
    report->screen_lock_pin_length = (int32_t)slots[SLOT_REPORT_PIN_LENGTH].number;
  }
  report->has_threat_level = slots[SLOT_REPORT_HAS_THREAT_LEVEL].number != 0;
  if (report->has_threat_level) {
    assert(slots[SLOT_REPORT_THREAT_LEVEL].number < THREAT_LEVEL_COUNT);
    report->threat_level = (enum threat_level)slots[SLOT_REPORT_THREAT_LEVEL].number;
  }
  report->has_threat_at = slots[SLOT_REPORT_HAS_THREAT_AT].number != 0;
  if (report->has_threat_at && !field_take_time(&slots[SLOT_REPORT_THREAT_AT], "threat_defence_at",
                                                &report->threat_at_ms, reject)) {
    return false;
  }
  if (report->has_os_version &&
      !field_take_text(&slots[SLOT_REPORT_OS_VERSION], "os_version", OS_VERSION_SIZE_MAX,
                       &report->os_version, reject)) {
    return false;
  }
  return !report->has_antivirus_signatures_at ||
         field_take_time(&slots[SLOT_REPORT_SIGNATURES_AT], "antivirus_signatures_at",
                         &report->antivirus_signatures_at_ms, reject);
}

/* ---- The whole ---- */

static bool take_event(enum input_record record, const struct slot *slots, struct event *event,
                       struct reject *reject) {
  if (!take_common(slots, event, reject)) {
    return false;
  }
  event->kind = (enum event_kind)record;
  const bool is_of_device = record <= INPUT_COMMAND;
  if (is_of_device && !field_take_serial(&slots[SLOT_SERIAL], "serial", &event->serial, reject)) {
    return false;
  }
  switch (event->kind) {
  case EVENT_ENROLLMENT:
    return take_enrollment(slots, event, reject);
  case EVENT_CHECKIN:
    return take_checkin(slots, event, reject);
  case EVENT_REPORT:
    return take_report(slots, event, reject);
  case EVENT_COMMAND:
    return decode_command(slots, event, reject);
  case EVENT_POLICY:
  case EVENT_ROLE:
  case EVENT_TENANT:
  case EVENT_PROFILE_REVISION:
  case EVENT_GROUP:
  case EVENT_STATE:
    break;
  }
  return decode_control(slots, event, reject);
}

bool decode(const struct schemas *schemas, enum topic topic, struct span value, struct event *event,
            struct reject *reject) {
  const struct writer *writer = NULL;
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct span body;
  struct fault fault;
  /* Nearly every message is written with a schema of ours. */
  if (has_fingerprint(value)) {
    body = behind(value, SINGLE_OBJECT_HEAD_SIZE);
    writer = schemas_find_of_topic(schemas, topic, fingerprint_of(value.data + 2));
  }
  if (writer == NULL) {
    writer = decode_framing(schemas, value, &body, reject);
    if (writer == NULL) {
      return false;
    }
  }
  const enum input_record record = writer->of_topic[topic];
  if (writer->programs[record] == NULL) {
    reject_set(reject, REJECT_UNKNOWN_SCHEMA, STAGE_VALUE, "schema %016" PRIx64 ": %s",
               writer->fingerprint, writer->reasons[record]);
    return false;
  }
  if (!program_run(writer->programs[record], body, slots, &fault)) {
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "%s, at byte %zu: %s", fault.place,
               fault.offset + (value.size - body.size), fault.reason);
    return false;
  }
  return take_event(record, slots, event, reject);
}
