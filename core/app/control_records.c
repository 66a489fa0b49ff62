#include "core/app/control_records.h"

#include "core/policy.h"

static void put_sized(struct buffer *bytes, struct span text) {
  buffer_append_u32(bytes, (uint32_t)text.size);
  buffer_append(bytes, text.data, text.size);
}

static struct span take_sized(struct binary *binary) {
  return binary_take(binary, binary_take_u32(binary));
}

/* What the kinds have of their own: two small numbers and a name. */
struct said {
  uint8_t symbol;
  bool is_off;
  struct span name;
};

static struct said said_by(const struct event *event) {
  switch (event->kind) {
  case EVENT_POLICY:
    return (struct said){.name = event->policy.version};
  case EVENT_ROLE:
    return (struct said){.symbol = (uint8_t)event->role.role, .is_off = !event->role.is_granted};
  case EVENT_TENANT:
    return (struct said){.symbol = (uint8_t)event->tenant.kind, .is_off = event->tenant.is_over};
  case EVENT_PROFILE_REVISION:
    return (struct said){.symbol = (uint8_t)event->profile_revision.profile,
                         .name = event->profile_revision.revision};
  case EVENT_GROUP:
    return (struct said){.is_off = event->group.is_removed, .name = event->group.group};
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_STATE:
    break;
  }
  return (struct said){0};
}

void control_records_draft(struct buffer *draft, const struct event *event,
                           const struct cause *cause) {
  const struct said said = said_by(event);
  const bool has_user = event->user.email.size > 0;
  buffer_clear(draft);
  binary_put_i64(draft, cause->offset);
  buffer_append(draft, event->event_id, EVENT_ID_SIZE);
  buffer_append_u8(draft, (uint8_t)event->kind);
  buffer_append_u8(draft, said.symbol);
  buffer_append_u8(draft, said.is_off ? 1 : 0);
  buffer_append_u8(draft, has_user ? 1 : 0);
  if (has_user) {
    buffer_append(draft, event->user.subject, SUBJECT_SIZE);
  }
  put_sized(draft, said.name);
  put_sized(draft, event->serial);
  put_sized(draft, cause->traceparent);
}

void control_records_add(struct control_records *records, uint64_t batch, int64_t at_ms,
                         struct span draft) {
  buffer_append_u64(&records->bytes, batch);
  binary_put_i64(&records->bytes, at_ms);
  buffer_append(&records->bytes, draft.data, draft.size);
  records->count++;
}

void control_records_extend(struct control_records *records, const struct control_records *from) {
  const size_t size = records->bytes.size;
  assert(size <= from->bytes.size && records->count <= from->count);
  buffer_append(&records->bytes, from->bytes.data + size, from->bytes.size - size);
  records->count = from->count;
}

/* False: a number that is in no table. */
static bool take_said(struct event *event, const struct said *said) {
  switch (event->kind) {
  case EVENT_POLICY:
    event->policy.version = said->name;
    return said->name.size < POLICY_NAME_SIZE;
  case EVENT_ROLE:
    event->role = (struct role_change){.role = said->symbol, .is_granted = !said->is_off};
    return said->symbol < ROLE_COUNT;
  case EVENT_TENANT:
    event->tenant = (struct tenant_event){.kind = said->symbol, .is_over = said->is_off};
    return said->symbol < TENANT_EVENT_COUNT;
  case EVENT_PROFILE_REVISION:
    event->profile_revision =
        (struct profile_revision){.profile = said->symbol, .revision = said->name};
    return said->symbol < PROFILE_COUNT && said->name.size <= SHORT_NAME_SIZE_MAX;
  case EVENT_GROUP:
    event->group = (struct group_change){.group = said->name, .is_removed = said->is_off};
    return said->name.size <= SHORT_NAME_SIZE_MAX;
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_STATE:
    break;
  }
  return false;
}

bool control_records_next(struct binary *rest, struct store_control *control) {
  struct said said;
  struct span subject = {0};
  *control = (struct store_control){.cause = {.topic = TOPIC_CONTROL, .has_event_id = true}};
  struct event *event = &control->event;
  control->batch = binary_take_number(rest, 8);
  control->at_ms = binary_take_i64(rest);
  control->cause.offset = binary_take_i64(rest);
  binary_take_bytes(rest, event->event_id, EVENT_ID_SIZE);
  memcpy(control->cause.event_id, event->event_id, EVENT_ID_SIZE);
  event->kind = binary_take_u8(rest);
  said.symbol = binary_take_u8(rest);
  said.is_off = binary_take_u8(rest) == 1;
  if (binary_take_u8(rest) == 1) {
    subject = binary_take(rest, SUBJECT_SIZE);
  }
  said.name = take_sized(rest);
  event->serial = take_sized(rest);
  control->cause.traceparent = take_sized(rest);
  if (rest->is_short || event->serial.size > SERIAL_SIZE_MAX || control->cause.offset < 0 ||
      control->at_ms < -EVENT_TIME_MAX_MS || control->at_ms > EVENT_TIME_MAX_MS) {
    return false;
  }
  if (subject.size > 0) {
    memcpy(event->user.subject, subject.data, SUBJECT_SIZE);
    event->user.email = subject; /* somebody is named */
  }
  return take_said(event, &said);
}
