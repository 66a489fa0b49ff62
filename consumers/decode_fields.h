/* The parts of decode: taking a record's slots, each checked for its field's domain. Internal to
 * decode.c and decode_control.c, inline for the sake of check-ins and reports. Where one answers
 * false, `reject` names the field. */
#ifndef MUSTER_CONSUMERS_DECODE_FIELDS_H
#define MUSTER_CONSUMERS_DECODE_FIELDS_H

#include "consumers/event_slots.h"
#include "consumers/program.h"
#include "core/event.h"

#define X(slot, path, kind) SLOT_##slot,
enum enrollment_slot { ENROLLMENT_SLOTS(X) };
enum checkin_slot { CHECKIN_SLOTS(X) };
enum report_slot { REPORT_SLOTS(X) };
enum command_slot { COMMAND_SLOTS(X) };
enum policy_slot { POLICY_SLOTS(X) };
enum role_slot { ROLE_SLOTS(X) };
enum tenant_slot { TENANT_SLOTS(X) };
enum revision_slot { REVISION_SLOTS(X) };
enum group_slot { GROUP_SLOTS(X) };
enum state_slot { STATE_SLOTS(X) };
#undef X

/* Always false. */
bool field_refuse(struct reject *reject, const char *field, const char *reason);

static inline bool field_take_time(const struct slot *slot, const char *field, int64_t *at_ms,
                                   struct reject *reject) {
  *at_ms = slot->number;
  return *at_ms >= EVENT_TIME_MIN_MS && *at_ms <= EVENT_TIME_MAX_MS
             ? true
             : field_refuse(reject, field, "not within the years 1970 to 9999");
}

/* UTF-8 of `size_max` bytes at most, without control characters; may be empty. */
static inline bool field_take_text(const struct slot *slot, const char *field, size_t size_max,
                                   struct span *text, struct reject *reject) {
  *text = slot->text;
  if (text->size > size_max) {
    return field_refuse(reject, field, "too long");
  }
  return slot->is_plain || span_is_utf8_text(*text)
             ? true
             : field_refuse(reject, field, "holds a control character");
}

/* Of 1 to 64 printable ASCII characters. */
static inline bool field_take_serial(const struct slot *slot, const char *field,
                                     struct span *serial, struct reject *reject) {
  *serial = slot->text;
  if (serial->size == 0 || serial->size > SERIAL_SIZE_MAX) {
    return field_refuse(reject, field, "not of 1 to 64 characters");
  }
  /* A default is not marked plain. */
  return slot->is_plain || span_is_printable_ascii(*serial)
             ? true
             : field_refuse(reject, field, "not of printable ASCII characters alone");
}

/* An address: a text that is not empty. */
static inline bool field_take_email(const struct slot *slot, const char *field, struct span *email,
                                    struct reject *reject) {
  if (!field_take_text(slot, field, USER_EMAIL_SIZE_MAX, email, reject)) {
    return false;
  }
  return email->size > 0 ? true : field_refuse(reject, field, "empty");
}

/* What follows the record's event_id, occurred_at and, of a command, serial. */
bool decode_command(const struct slot *slots, struct event *event, struct reject *reject) MUST_USE;

/* The same of a control message; `event->kind` tells which record it is. */
bool decode_control(const struct slot *slots, struct event *event, struct reject *reject) MUST_USE;

#endif
