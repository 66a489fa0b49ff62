#include "producers/encode_record.h"

#include "core/time_text.h"

struct draft draft_begin(struct buffer *records, uint32_t record, size_t size_max) {
  struct draft draft = {.records = records,
                        .size_max = sizeof(struct record_head) + size_max,
                        .head = {.record = (uint8_t)record}};
  draft.start = buffer_reserve(records, draft.size_max);
  draft.at = draft.start + sizeof draft.head;
  return draft;
}

void draft_end_key(struct draft *draft) {
  draft->head.key_size = (uint32_t)(draft->at - draft->start - (ptrdiff_t)sizeof draft->head);
}

void draft_begin_value(struct draft *draft, const struct encoding *encoding) {
  const uint8_t record = draft->head.record;
  const size_t size = encoding->frames.of[record].size;
  assert(size <= FRAME_SIZE_MAX);
  draft->at = put_bytes(draft->at, encoding->frames.of[record].bytes, size);
}

static uint8_t *value_start(const struct draft *draft) {
  return draft->start + sizeof draft->head + draft->head.key_size;
}

void draft_end_value(struct draft *draft) {
  draft->head.value_size = (uint32_t)(draft->at - value_start(draft));
}

void draft_end(struct draft *draft) {
  const size_t size = (size_t)(draft->at - draft->start);
  assert(size <= draft->size_max && size <= UINT32_MAX);
  draft->head.headers_size =
      (uint32_t)(draft->at - value_start(draft) - (ptrdiff_t)draft->head.value_size);
  memcpy(draft->start, &draft->head, sizeof draft->head);
  draft->records->size += size;
}

struct span draft_key(const struct draft *draft) {
  return span_of(draft->start + sizeof draft->head, draft->head.key_size);
}

struct span draft_value(const struct draft *draft) {
  return span_of(value_start(draft), draft->head.value_size);
}

struct span draft_headers(const struct draft *draft) {
  const uint8_t *const start = value_start(draft) + draft->head.value_size;
  return span_of(start, (size_t)(draft->at - start));
}

bool outgoing_next(struct span records, size_t *position, struct outgoing *outgoing) {
  if (*position == records.size) {
    return false;
  }
  struct record_head head;
  assert(records.size - *position >= sizeof head);
  memcpy(&head, records.data + *position, sizeof head);
  const uint8_t *const key = records.data + *position + sizeof head;
  *outgoing = (struct outgoing){
      .record = head.record,
      .timestamp_ms = head.timestamp_ms,
      .key_is_null = head.key_is_null,
      .value_is_null = head.value_is_null,
      .key = span_of(key, head.key_size),
      .value = span_of(key + head.key_size, head.value_size),
      .headers = span_of(key + head.key_size + head.value_size, head.headers_size),
  };
  *position += sizeof head + head.key_size + head.value_size + head.headers_size;
  assert(*position <= records.size);
  return true;
}

uint8_t *put_header(uint8_t *at, const char *name, struct span value) {
  const size_t name_size = strlen(name);
  at = put_bytes(put_u32(at, (uint32_t)name_size), name, name_size);
  return put_bytes(put_u32(at, (uint32_t)value.size), value.data, value.size);
}

const char *record_name(uint32_t record) {
  if (record == RECORD_DEVICE) {
    return "Device";
  }
  if (record == RECORD_JOURNAL) {
    return "JournalRecord";
  }
  assert(record < RESULT_KIND_COUNT);
  return result_record_name((enum result_kind)record);
}

const char *record_topic_name(uint32_t record) {
  if (record == RECORD_DEVICE) {
    return "devices";
  }
  if (record == RECORD_JOURNAL) {
    return "journal";
  }
  assert(record < RESULT_KIND_COUNT);
  return result_topic_name((enum result_kind)record);
}

enum { CLOUDEVENT_SIZE_FIXED = 512 };

size_t cloudevent_size_max(const struct encoding *encoding) {
  return encoding->cloudevents ? CLOUDEVENT_SIZE_FIXED + strlen(encoding->topic_prefix) : 0;
}

/* CloudEvents wants a source that is not empty. */
static struct span cloudevent_source(const char *topic_prefix) {
  struct span source = span_text(topic_prefix);
  if (source.size > 0 && source.data[source.size - 1] == '.') {
    source.size--;
  }
  return source.size > 0 ? source : span_text("muster");
}

uint8_t *put_cloudevent(uint8_t *at, const struct encoding *encoding, uint32_t record,
                        const struct cloudevent *event) {
  char type[64] = "muster.v1.";
  strncat(type, record_name(record), sizeof type - strlen(type) - 1);
  int64_t at_ms = event->at_ms < TIME_TEXT_MIN_MS ? TIME_TEXT_MIN_MS : event->at_ms;
  at_ms = at_ms > TIME_TEXT_MAX_MS ? TIME_TEXT_MAX_MS : at_ms;
  char time[TIME_TEXT_SIZE];
  time_format(at_ms, time);
  at = put_header(at, "ce_specversion", span_text("1.0"));
  at = put_header(at, "ce_id", event->id);
  at = put_header(at, "ce_source", cloudevent_source(encoding->topic_prefix));
  at = put_header(at, "ce_type", span_text(type));
  at = put_header(at, "ce_time", span_text(time));
  if (event->subject.size > 0) {
    at = put_header(at, "ce_subject", event->subject);
  }
  return put_header(at, "content-type", span_text("application/avro"));
}

static uint8_t *put_counted(uint8_t *at, bool is_null, struct span bytes, size_t further) {
  assert(bytes.size + further <= INT32_MAX);
  at = put_u32(at, is_null ? UINT32_MAX : (uint32_t)(bytes.size + further));
  return put_bytes(at, bytes.data, bytes.size);
}

void canonical_append(struct buffer *buffer, const struct canonical *canonical) {
  const struct span topic = span_text(canonical->topic);
  const size_t size_max = 4 * sizeof(uint32_t) + sizeof(uint64_t) + topic.size +
                          canonical->key.size + canonical->headers.size + canonical->value.size + 1;
  uint8_t *const start = buffer_reserve(buffer, size_max);
  uint8_t *at = put_counted(start, false, topic, 0);
  at = put_counted(at, canonical->key_is_null, canonical->key, 0);
  at = put_u64(at, (uint64_t)canonical->timestamp_ms);
  at = put_counted(at, false, canonical->headers, 0);
  at = put_counted(at, canonical->value_is_null, canonical->value, canonical->adds_null_email);
  if (canonical->adds_null_email) {
    at = put_is_set(at, false);
  }
  buffer->size += (size_t)(at - start);
}
