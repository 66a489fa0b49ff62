#include "core/app/control_records.h"

static void put_sized(struct buffer *bytes, struct span text) {
  buffer_append_u32(bytes, (uint32_t)text.size);
  buffer_append(bytes, text.data, text.size);
}

static struct span take_sized(struct binary *binary) {
  return binary_take(binary, binary_take_u32(binary));
}

void control_records_draft(struct buffer *draft, const struct event *event,
                           const struct cause *cause) {
  struct control_change change;
  (void)!event_control_change(event, &change); /* one of no such kind changes nothing: not added */
  const bool has_user = event->user.email.size > 0;
  buffer_clear(draft);
  binary_put_i64(draft, cause->offset);
  buffer_append(draft, event->event_id, EVENT_ID_SIZE);
  buffer_append_u8(draft, (uint8_t)event->kind);
  buffer_append_u8(draft, (uint8_t)change.symbol);
  buffer_append_u8(draft, change.is_off ? 1 : 0);
  buffer_append_u8(draft, has_user ? 1 : 0);
  if (has_user) {
    buffer_append(draft, event->user.subject, SUBJECT_SIZE);
  }
  put_sized(draft, change.name);
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

bool control_records_next(struct binary *rest, struct store_control *control) {
  struct control_change change;
  struct span subject = {0};
  *control = (struct store_control){.cause = {.topic = TOPIC_CONTROL, .has_event_id = true}};
  struct event *event = &control->event;
  control->batch = binary_take_number(rest, 8);
  control->at_ms = binary_take_i64(rest);
  control->cause.offset = binary_take_i64(rest);
  binary_take_bytes(rest, event->event_id, EVENT_ID_SIZE);
  memcpy(control->cause.event_id, event->event_id, EVENT_ID_SIZE);
  event->kind = binary_take_u8(rest);
  change.symbol = binary_take_u8(rest);
  change.is_off = binary_take_u8(rest) == 1;
  if (binary_take_u8(rest) == 1) {
    subject = binary_take(rest, SUBJECT_SIZE);
  }
  change.name = take_sized(rest);
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
  return event_take_control_change(event, &change);
}
