/* The parts of decode: taking a record's slots, each checked for its field's domain. Internal to
 * decode.c and decode_control.c. Where one answers false, `reject` names the field. */
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
#undef X

/* Always false. */
bool field_refuse(struct reject *reject, const char *field, const char *reason);

bool field_take_time(const struct slot *slot, const char *field, int64_t *at_ms,
                     struct reject *reject) MUST_USE;

/* UTF-8 of `size_max` bytes at most, without control characters; may be empty. */
bool field_take_text(const struct slot *slot, const char *field, size_t size_max, struct span *text,
                     struct reject *reject) MUST_USE;

/* Of 1 to 64 printable ASCII characters. */
bool field_take_serial(const struct slot *slot, const char *field, struct span *serial,
                       struct reject *reject) MUST_USE;

/* An address: a text that is not empty. */
bool field_take_email(const struct slot *slot, const char *field, struct span *email,
                      struct reject *reject) MUST_USE;

/* What follows the record's event_id, occurred_at and, of a command, serial. */
bool decode_command(const struct slot *slots, struct event *event, struct reject *reject) MUST_USE;

/* The same of a control message; `event->kind` tells which record it is. */
bool decode_control(const struct slot *slots, struct event *event, struct reject *reject) MUST_USE;

#endif
