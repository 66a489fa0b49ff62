#include "core/app/intake.h"

#include "consumers/decode.h"
#include "consumers/stored.h"
#include "core/app/kafka_client.h"
#include "core/app/policy_store.h"

/* A stamp further than this beyond the wall clock is not believed (the public contract). */
enum { BELIEVED_AHEAD_MS = 5000 };

static void refuse(struct intake *intake, enum reject_code code, enum reject_stage stage,
                   const char *text) {
  intake->is_event = false;
  reject_set(&intake->reject, code, stage, "%s", text);
}

/* Takes the value out of the dead letter, and leaves its digest and size. */
static void leave_out_value(struct original *original) {
  digest_of(original->value, original->value_sha256);
  original->size_bytes = original->value.size;
  original->value = (struct span){0};
  original->value_is_null = true;
  original->headers = (struct span){0};
}

static bool key_is_sound(struct intake *intake, const struct intake_rules *rules,
                         const struct record *record) {
  if (intake->topic == TOPIC_CONTROL) {
    return true; /* control keys are not checked */
  }
  if (record->key_is_null || record->key.size == 0) {
    refuse(intake, REJECT_KEY_MISMATCH, STAGE_KEY, "the key is null or empty");
    return false;
  }
  if (!span_is_utf8(record->key)) {
    refuse(intake, REJECT_KEY_MISMATCH, STAGE_KEY, "the key is not UTF-8");
    return false;
  }
  const int32_t home = kafka_partition_of(rules->partitioner, record->key.data, record->key.size,
                                          (int32_t)rules->lane_count);
  if (home != (int32_t)rules->lane) {
    intake->is_event = false;
    reject_set(&intake->reject, REJECT_MISROUTED, STAGE_KEY,
               "the key belongs to partition %d of %u, not to %u", home, rules->lane_count,
               rules->lane);
    return false;
  }
  return true;
}

/* Check-ins and reports, nearly all messages, name nobody. */
static bool names_persons(const struct event *event) {
  return event->kind != EVENT_CHECKIN && event->kind != EVENT_REPORT;
}

static struct named_person *person_of(struct event *event, enum person_field field) {
  return field == PERSON_USER ? &event->user : &event->actor;
}

const struct named_person *intake_person(const struct intake *intake, enum person_field field,
                                         struct span *email) {
  const struct event *const event = &intake->event;
  const struct named_person *const person = field == PERSON_USER ? &event->user : &event->actor;
  if (!intake->is_event || !names_persons(event) || person->email.size == 0) {
    return NULL;
  }
  *email = span_of(intake->emails[field], person->email.size);
  return person;
}

/* Where a pseudonymised copy of the message has a subject instead of the address; NULL: nowhere. */
static const struct stored_patch *patch_of(const struct record *record, struct span email) {
  const struct stored_record *const stored = record->stored;
  for (size_t i = 0; stored != NULL && i < stored->patch_count; i++) {
    if (record->value.data + stored->patches[i].at == email.data) {
      return &stored->patches[i];
    }
  }
  return NULL;
}

static void find_subject(struct intake *intake, const struct intake_rules *rules,
                         const struct record *record, enum person_field field) {
  struct named_person *const person = person_of(&intake->event, field);
  uint8_t *const kept = intake->emails[field];
  const struct span email = person->email;
  assert(email.size <= sizeof intake->emails[field]);
  for (size_t i = 0; i < email.size; i++) {
    const uint8_t byte = email.data[i];
    kept[i] = byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
  }
  const struct span lowered = span_of(kept, email.size);
  const struct stored_patch *const patch = patch_of(record, email);
  if (patch != NULL) {
    memcpy(person->subject, patch->subject, SUBJECT_SIZE);
    return;
  }
  if (rules->find_subject != NULL) {
    const struct person_place place = {
        .topic = intake->topic, .offset = record->offset, .field = field};
    rules->find_subject(rules->subject_context, &place, lowered, person->subject);
    return;
  }
  if (intake->subjects == NULL) {
    intake->subjects = subject_hash_open(rules->subject_key);
  }
  subject_hash_of(intake->subjects, lowered, person->subject);
}

static void find_subjects(struct intake *intake, const struct intake_rules *rules,
                          const struct record *record) {
  for (enum person_field field = 0; field < PERSON_FIELD_COUNT; field++) {
    if (person_of(&intake->event, field)->email.size > 0) {
      find_subject(intake, rules, record, field);
    }
  }
}

/* Of a message whose content is withheld, what it was refused for is known, and nothing else. */
static bool is_withheld(struct intake *intake, const struct record *record) {
  const struct stored_record *stored = record->stored;
  if (stored == NULL || (stored->flags & STORED_IS_WITHHELD) == 0) {
    return false;
  }
  intake->is_event = false;
  intake->reject = stored->withheld.reject;
  intake->message.original.size_bytes = stored->withheld.size_bytes;
  memcpy(intake->message.original.value_sha256, stored->withheld.sha256, STORED_DIGEST_SIZE);
  return true;
}

static void check(struct intake *intake, const struct intake_rules *rules,
                  const struct record *record) {
  if (is_withheld(intake, record)) {
    return;
  }
  const size_t size_bytes = record->key.size + record->value.size + intake->headers.size;
  if (size_bytes > (uint64_t)rules->message_bytes_max) {
    intake->is_event = false;
    reject_set(&intake->reject, REJECT_TOO_LARGE, STAGE_VALUE,
               "%zu bytes of key, value and headers; at most %lld", size_bytes,
               (long long)rules->message_bytes_max);
    leave_out_value(&intake->message.original);
    return;
  }
  if (!key_is_sound(intake, rules, record)) {
    return;
  }
  if (record->value_is_null) {
    refuse(intake, REJECT_MALFORMED, STAGE_VALUE, "the value is null");
    return;
  }
  intake->is_event =
      decode(rules->schemas, intake->topic, record->value, &intake->event, &intake->reject);
  if (!intake->is_event) {
    uint32_t id;
    if (intake->reject.code == REJECT_UNKNOWN_SCHEMA &&
        decode_unknown_id(rules->schemas, record->value, &id)) {
      intake->unknown_id = id;
    }
    return;
  }
  if (intake->topic != TOPIC_CONTROL && !span_equal(intake->event.serial, record->key)) {
    refuse(intake, REJECT_KEY_MISMATCH, STAGE_VALUE, "the key is not the serial inside");
    return;
  }
  if (intake->event.kind == EVENT_POLICY &&
      !policy_store_take(&intake->event.policy, &intake->reject)) {
    intake->is_event = false;
    return;
  }
  if (names_persons(&intake->event)) {
    find_subjects(intake, rules, record);
  }
}

static void append_sized(struct buffer *buffer, struct span bytes, bool is_null) {
  buffer_append_u32(buffer, is_null ? UINT32_MAX : (uint32_t)bytes.size);
  buffer_append(buffer, bytes.data, bytes.size);
}

size_t intake_persons_in(const struct intake *intake, struct span value,
                         const struct named_person *persons[PERSON_FIELD_COUNT]) {
  size_t count = 0;
  for (enum person_field field = 0; field < PERSON_FIELD_COUNT; field++) {
    struct span lowered;
    const struct named_person *const person = intake_person(intake, field, &lowered);
    if (person != NULL && person->email.data >= value.data &&
        person->email.data < value.data + value.size) {
      persons[count++] = person;
    }
  }
  if (count == PERSON_FIELD_COUNT && persons[0]->email.data > persons[1]->email.data) {
    const struct named_person *const first = persons[0];
    persons[0] = persons[1];
    persons[1] = first;
  }
  return count;
}

/* The value with each address replaced by its subject, so that erasing a person leaves every
 * digest verifiable. What could not be decoded is taken as it is. */
static void append_value(struct intake *intake, const struct record *record) {
  struct buffer *canonical = &intake->canonical;
  const struct span value = record->value;
  const struct named_person *persons[PERSON_FIELD_COUNT];
  const size_t count = intake_persons_in(intake, value, persons);
  if (count == 0) {
    append_sized(canonical, value, record->value_is_null);
    return;
  }
  size_t size = value.size + count * SUBJECT_SIZE;
  for (size_t i = 0; i < count; i++) {
    size -= persons[i]->email.size;
  }
  buffer_append_u32(canonical, (uint32_t)size);
  const uint8_t *at = value.data;
  for (size_t i = 0; i < count; i++) {
    const struct span email = persons[i]->email;
    buffer_append(canonical, at, (size_t)(email.data - at));
    buffer_append(canonical, persons[i]->subject, SUBJECT_SIZE);
    at = email.data + email.size;
  }
  buffer_append(canonical, at, (size_t)(value.data + value.size - at));
}

static void make_canonical(struct intake *intake, const struct record *record) {
  struct buffer *canonical = &intake->canonical;
  buffer_clear(canonical);
  const struct span name = span_text(topic_name(intake->topic));
  append_sized(canonical, name, false);
  buffer_append_u64(canonical, (uint64_t)record->offset);
  buffer_append_u64(canonical, (uint64_t)record->timestamp_ms);
  append_sized(canonical, record->key, record->key_is_null);
  append_value(intake, record);
  append_sized(canonical, buffer_span(&intake->headers), false);
}

static void prepare(struct intake *intake, const struct intake_rules *rules,
                    const struct record *record) {
  buffer_clear(&intake->headers);
  struct span traceparent = {0};
  if (record->has_headers) {
    const size_t size = record_headers_size(record);
    record_headers_copy(record, buffer_reserve(&intake->headers, size));
    intake->headers.size += size;
    record_header(record, "traceparent", &traceparent);
  }
  intake->message = (struct message){
      .cause = {.topic = intake->topic, .offset = record->offset, .traceparent = traceparent},
      .original = {.key = record->key,
                   .key_is_null = record->key_is_null,
                   .value = record->value,
                   .value_is_null = record->value_is_null,
                   .headers = buffer_span(&intake->headers),
                   .timestamp_ms = record->timestamp_ms},
  };
  intake->unknown_id = SCHEMA_ID_NONE;
  intake->is_partial = record->stored != NULL &&
                       (record->stored->flags & (STORED_IS_WITHHELD | STORED_IS_PARTIAL)) != 0;
  check(intake, rules, record);
  make_canonical(intake, record);
  const bool is_believed =
      record->timestamp_ms >= 0 && record->timestamp_ms <= record->read_at_ms + BELIEVED_AHEAD_MS;
  const enum event_kind kind = intake->event.kind;
  *intake->head = (struct head){
      .state = HEAD_READY,
      .begins_batch = intake->is_event && (kind == EVENT_POLICY || kind == EVENT_PROFILE_REVISION ||
                                           kind == EVENT_STATE),
      .ends_batch = intake->is_event && kind == EVENT_STATE,
      .is_believed = is_believed,
      .timestamp_ms = record->timestamp_ms,
      .offset = record->offset};
}

static bool is_anchor(const struct intake *intake) {
  uint8_t digest[DIGEST_SIZE];
  digest_of(buffer_span(&intake->canonical), digest);
  return memcmp(digest, intake->anchor, DIGEST_SIZE) == 0;
}

/* The last message that was taken is read again: if it is not the one whose digest was kept, the
 * topic is another one under the same name. */
static enum status check_anchor(struct intake *intake, const struct intake_rules *rules,
                                const struct record *record, struct error *error) {
  prepare(intake, rules, record);
  bool is_same = is_anchor(intake);
  if (!is_same && intake->is_event) {
    /* Its writer's schema may have been unknown then: the digest was over the bytes. */
    intake->is_event = false;
    make_canonical(intake, record);
    is_same = is_anchor(intake);
  }
  intake->has_anchor = false;
  intake->head->state = HEAD_WAITING;
  intake->is_replaced = record->offset != intake->next_offset - 1 || !is_same;
  if (intake->is_replaced) {
    return error_set(error, STATUS_CONFIG,
                     "%s of lane %u: offset %lld is not the message that was processed last "
                     "(found at %lld): the topic was recreated or truncated, or the subject key is "
                     "another one",
                     topic_name(intake->topic), rules->lane, (long long)intake->next_offset - 1,
                     (long long)record->offset);
  }
  source_pop(intake->source);
  return STATUS_OK;
}

static bool is_past_stop(const struct intake *intake, int64_t offset) {
  return intake->stop_offset >= 0 && offset >= intake->stop_offset;
}

enum status intake_refresh(struct intake *intake, const struct intake_rules *rules,
                           struct error *error) {
  if (intake->head->state == HEAD_READY) {
    return STATUS_OK;
  }
  if (intake->source == NULL) {
    intake->head->state = HEAD_AT_END;
    return STATUS_OK;
  }
  const struct record *record = source_peek(intake->source);
  if (record != NULL && intake->has_anchor) {
    const enum status status = check_anchor(intake, rules, record, error);
    if (status != STATUS_OK) {
      return status;
    }
    record = source_peek(intake->source);
  }
  if (source_error(intake->source) != NULL) {
    return error_set(error, STATUS_CONFIG, "%s", source_error(intake->source));
  }
  if (is_past_stop(intake, intake->next_offset)) {
    intake->head->state = HEAD_AT_END;
  } else if (record != NULL && is_past_stop(intake, record->offset)) {
    intake->head->state = HEAD_AT_END;
  } else if (record != NULL) {
    prepare(intake, rules, record);
  } else {
    /* Before the stop, an end seen earlier may be older than what stood there at the start. */
    const int64_t end = source_end(intake->source);
    const bool is_end = end >= 0 && (intake->stop_offset < 0 || is_past_stop(intake, end));
    intake->head->state = is_end ? HEAD_AT_END : HEAD_WAITING;
  }
  return STATUS_OK;
}

void intake_reconsider(struct intake *intake) {
  intake->head->state = HEAD_WAITING;
  intake->unknown_id = SCHEMA_ID_NONE;
}

void intake_pop(struct intake *intake) {
  assert(intake->head->state == HEAD_READY);
  intake->next_offset = intake->head->offset + 1;
  intake->head->state = HEAD_WAITING;
  source_pop(intake->source);
}

void intake_fini(struct intake *intake) {
  subject_hash_close(intake->subjects);
  buffer_fini(&intake->headers);
  buffer_fini(&intake->canonical);
}
