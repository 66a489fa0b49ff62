#include "core/app/found.h"

#include "consumers/avro_bytes.h"
#include "core/app/kafka_client.h"
#include "core/app/text.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OFFSETS_TIMEOUT_MS = 10000, POLL_MS = 50, NAME_SIZE = 256 };

/* One topic: what was copied from its source and not popped yet, in a ring. */
struct found_topic {
  struct source *source;
  char name[NAME_SIZE];
  int64_t first, end;
  int64_t next_offset; /* after the last record that was copied */
  struct found_record *ring;
  size_t capacity, begin, count;
};

struct found {
  struct fetch *fetch;
  uint32_t lane;
  const char *topic_prefix;
  struct found_topic topics[RECORD_COUNT];
  struct found_topic audit_of_lane_0; /* opened when it is first needed, in another lane */
};

enum status found_bounds(struct fetch *fetch, const char *topic, int32_t partition, int64_t *first,
                         int64_t *end, struct error *error) {
  const int64_t deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  for (;;) {
    const enum status status =
        fetch_offsets(fetch, topic, partition, OFFSETS_TIMEOUT_MS, first, end, error);
    if (status != STATUS_UNAVAILABLE || kafka_clock_mono_ms() >= deadline_mono_ms) {
      return status;
    }
    nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
  }
}

static enum status ask_bounds(struct found *found, struct found_topic *topic, struct error *error) {
  return found_bounds(found->fetch, topic->name, (int32_t)found->lane, &topic->first, &topic->end,
                      error);
}

static enum status open_partition(struct found *found, struct found_topic *topic, uint32_t record,
                                  uint32_t partition, struct error *error) {
  snprintf(topic->name, sizeof topic->name, "%s%s", found->topic_prefix, record_topic_name(record));
  enum status status = found_bounds(found->fetch, topic->name, (int32_t)partition, &topic->first,
                                    &topic->end, error);
  if (status == STATUS_OK) {
    topic->next_offset = topic->first;
    status = source_open(found->fetch, topic->name, (int32_t)partition, topic->first,
                         &topic->source, error);
  }
  return status;
}

static enum status open_topic(struct found *found, uint32_t record, struct error *error) {
  return open_partition(found, &found->topics[record], record, found->lane, error);
}

static struct found *make(struct fetch *fetch, const char *topic_prefix, uint32_t lane) {
  struct found *made = memory_zeroed(1, sizeof *made);
  made->fetch = fetch;
  made->lane = lane;
  made->topic_prefix = topic_prefix;
  return made;
}

static enum status hand_over(struct found *made, enum status status, struct found **found) {
  if (status != STATUS_OK) {
    found_close(made);
    return status;
  }
  *found = made;
  return STATUS_OK;
}

/* The journal first: what it tells of was published before the results' ends are asked for. */
enum status found_open(struct fetch *fetch, const char *topic_prefix, uint32_t lane,
                       struct found **found, struct error *error) {
  struct found *made = make(fetch, topic_prefix, lane);
  enum status status = open_topic(made, RECORD_JOURNAL, error);
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    status = open_topic(made, kind, error);
  }
  return hand_over(made, status, found);
}

enum status found_open_journal(struct fetch *fetch, const char *topic_prefix, uint32_t lane,
                               struct found **found, struct error *error) {
  struct found *made = make(fetch, topic_prefix, lane);
  return hand_over(made, open_topic(made, RECORD_JOURNAL, error), found);
}

enum status found_open_devices(struct found *found, struct error *error) {
  return found->topics[RECORD_DEVICE].source != NULL ? STATUS_OK
                                                     : open_topic(found, RECORD_DEVICE, error);
}

enum status found_seek(struct found *found, uint32_t record, int64_t offset, struct error *error) {
  struct found_topic *topic = &found->topics[record];
  source_close(topic->source);
  topic->source = NULL;
  topic->count = 0;
  topic->next_offset = offset < topic->first ? topic->first : offset;
  return source_open(found->fetch, topic->name, (int32_t)found->lane, topic->next_offset,
                     &topic->source, error);
}

enum status found_rewind_devices(struct found *found, struct error *error) {
  return found_seek(found, RECORD_DEVICE, 0, error);
}

int64_t found_position(const struct found *found, uint32_t record) {
  const struct found_topic *topic = &found->topics[record];
  return topic->count > 0 ? topic->ring[topic->begin].offset : topic->next_offset;
}

static void close_topic(struct found_topic *topic) {
  source_close(topic->source);
  for (size_t i = 0; i < topic->capacity; i++) {
    buffer_fini(&topic->ring[i].bytes);
  }
  free(topic->ring);
}

void found_close(struct found *found) {
  if (found == NULL) {
    return;
  }
  for (size_t i = 0; i < RECORD_COUNT; i++) {
    close_topic(&found->topics[i]);
  }
  close_topic(&found->audit_of_lane_0);
  free(found);
}

static struct found_record *at(struct found_topic *topic, size_t ahead) {
  return &topic->ring[(topic->begin + ahead) % topic->capacity];
}

/* Room for one more; the ring is straightened when it grows. */
static void make_room(struct found_topic *topic) {
  if (topic->count < topic->capacity) {
    return;
  }
  const size_t capacity = topic->capacity == 0 ? 8 : 2 * topic->capacity;
  struct found_record *ring = memory_zeroed(capacity, sizeof *ring);
  for (size_t i = 0; i < topic->count; i++) {
    ring[i] = *at(topic, i);
  }
  free(topic->ring);
  topic->ring = ring;
  topic->capacity = capacity;
  topic->begin = 0;
}

static void keep(struct found_topic *topic, uint32_t kind, const struct record *record) {
  make_room(topic);
  struct found_record *kept = at(topic, topic->count++);
  const size_t headers_size = record->has_headers ? record_headers_size(record) : 0;
  buffer_clear(&kept->bytes);
  /* One reservation: the views stay where they are. */
  uint8_t *bytes =
      buffer_reserve(&kept->bytes, record->key.size + record->value.size + headers_size + 1);
  uint8_t *const value = bytes + record->key.size;
  uint8_t *const headers = value + record->value.size;
  if (record->key.size > 0) {
    memcpy(bytes, record->key.data, record->key.size);
  }
  if (record->value.size > 0) {
    memcpy(value, record->value.data, record->value.size);
  }
  if (headers_size > 0) {
    record_headers_copy(record, headers);
  }
  kept->offset = record->offset;
  kept->message = (struct outgoing){.record = kind,
                                    .timestamp_ms = record->timestamp_ms,
                                    .key_is_null = record->key_is_null,
                                    .value_is_null = record->value_is_null,
                                    .key = span_of(bytes, record->key.size),
                                    .value = span_of(value, record->value.size),
                                    .headers = span_of(headers, headers_size)};
  topic->next_offset = record->offset + 1;
}

/* Copies the next record. False at the end; waits for what is on its way. */
static enum status take_one(struct found *found, struct found_topic *topic, uint32_t kind,
                            bool *has_one, struct error *error) {
  const int64_t deadline_mono_ms = kafka_clock_mono_ms() + KAFKA_DEADLINE_MS;
  for (;;) {
    const struct record *record = source_peek(topic->source);
    if (record != NULL) {
      *has_one = record->offset < topic->end;
      if (*has_one) {
        keep(topic, kind, record);
        source_pop(topic->source);
      }
      return STATUS_OK;
    }
    if (source_error(topic->source) != NULL) {
      return error_set(error, STATUS_CONFIG, "%s", source_error(topic->source));
    }
    if (topic->next_offset >= topic->end || source_end(topic->source) >= topic->end) {
      *has_one = false;
      return STATUS_OK;
    }
    if (kafka_clock_mono_ms() > deadline_mono_ms) {
      return kafka_error(error, STATUS_UNAVAILABLE, topic->name, "nothing comes");
    }
    struct pollfd ready = {.fd = fetch_fd(found->fetch), .events = POLLIN};
    poll(&ready, 1, POLL_MS);
    fetch_woken(found->fetch);
    struct error ignored;
    (void)fetch_serve(found->fetch, &ignored);
  }
}

enum status found_peek(struct found *found, uint32_t record, size_t ahead,
                       const struct found_record **is, struct error *error) {
  struct found_topic *topic = &found->topics[record];
  *is = NULL;
  while (topic->count <= ahead) {
    bool has_one;
    const enum status status = take_one(found, topic, record, &has_one, error);
    if (status != STATUS_OK || !has_one) {
      return status;
    }
  }
  *is = at(topic, ahead);
  return STATUS_OK;
}

static void pop(struct found_topic *topic) {
  assert(topic->count > 0);
  topic->begin = (topic->begin + 1) % topic->capacity;
  topic->count--;
}

void found_pop(struct found *found, uint32_t record) {
  pop(&found->topics[record]);
}

enum status found_next_of_lane_0(struct found *found, const struct found_record **is,
                                 struct error *error) {
  struct found_topic *topic = &found->audit_of_lane_0;
  enum status status = STATUS_OK;
  bool has_one = false;
  assert(found->lane != 0); /* a partition is read by one source at a time */
  if (topic->source == NULL) {
    status = open_partition(found, topic, RESULT_AUDIT, 0, error);
  }
  if (topic->count > 0) {
    pop(topic);
  }
  if (status == STATUS_OK) {
    status = take_one(found, topic, RESULT_AUDIT, &has_one, error);
  }
  *is = status == STATUS_OK && has_one ? at(topic, 0) : NULL;
  return status;
}

uint32_t found_lane(const struct found *found) {
  return found->lane;
}

enum status found_look_again(struct found *found, uint32_t record, bool *has_more,
                             struct error *error) {
  struct found_topic *topic = &found->topics[record];
  const int64_t before = topic->end;
  const enum status status = ask_bounds(found, topic, error);
  *has_more = status == STATUS_OK && topic->end > before;
  return status;
}

int64_t found_first(const struct found *found, uint32_t record) {
  return found->topics[record].first;
}

int64_t found_end(const struct found *found, uint32_t record) {
  return found->topics[record].end;
}

static bool take_u32(struct span *from, uint32_t *value) {
  if (from->size < 4) {
    return false;
  }
  *value = (uint32_t)from->data[0] << 24 | (uint32_t)from->data[1] << 16 |
           (uint32_t)from->data[2] << 8 | from->data[3];
  *from = span_of(from->data + 4, from->size - 4);
  return true;
}

static struct span take_bytes(struct span *from, size_t size) {
  const struct span taken = span_of(from->data, size);
  *from = span_of(from->data + size, from->size - size);
  return taken;
}

/* The last header of that name; false when there is none. */
static bool header_value(struct span headers, const char *name, struct span *last) {
  bool is_there = false;
  uint32_t size;
  while (take_u32(&headers, &size)) {
    const struct span found = take_bytes(&headers, size);
    if (!take_u32(&headers, &size)) {
      return false;
    }
    const struct span value = take_bytes(&headers, size == UINT32_MAX ? 0 : size);
    if (span_equal(found, span_text(name))) {
      *last = value;
      is_there = true;
    }
  }
  return is_there;
}

/* The same as a number. */
static bool header_number(struct span headers, const char *name, int64_t *number) {
  struct span value;
  char digits[24];
  char *end;
  if (!header_value(headers, name, &value)) {
    return false;
  }
  snprintf(digits, sizeof digits, "%.*s", (int)value.size, (const char *)value.data);
  *number = strtoll(digits, &end, 10);
  return *end == '\0' && end != digits;
}

/* A dead letter's, which says where it came from as Kafka Connect does. */
static bool read_letter(struct span headers, struct found_head *head) {
  head->has_cause = header_value(headers, "__connect.errors.topic", &head->cause_topic) &&
                    header_number(headers, "__connect.errors.partition", &head->cause_partition) &&
                    header_number(headers, "__connect.errors.offset", &head->cause_offset);
  return header_number(headers, "muster.lane", &head->lane) &&
         header_number(headers, "muster.seq", &head->seq);
}

static bool read_cause(struct bytes *bytes, struct found_head *head) {
  uint32_t branch;
  if (bytes_take_index(bytes, 2, &branch) != NULL) {
    return false;
  }
  head->has_cause = branch == 1;
  bool is_plain;
  return !head->has_cause || (bytes_take_string(bytes, &head->cause_topic, &is_plain) == NULL &&
                              bytes_take_long(bytes, &head->cause_partition) == NULL &&
                              bytes_take_long(bytes, &head->cause_offset) == NULL);
}

/* A nullable text. */
static bool read_text(struct bytes *bytes, bool *is_set, struct span *text) {
  uint32_t branch;
  bool is_plain;
  if (bytes_take_index(bytes, 2, &branch) != NULL) {
    return false;
  }
  *is_set = branch == 1;
  return !*is_set || bytes_take_string(bytes, text, &is_plain) == NULL;
}

static bool hex_value(uint8_t digit, uint8_t *value) {
  *value = (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
}

static bool read_subject(struct span text, uint8_t subject[SUBJECT_SIZE]) {
  bool good = text.size == 2 * SUBJECT_SIZE;
  for (size_t i = 0; good && i < SUBJECT_SIZE; i++) {
    uint8_t high;
    uint8_t low;
    good = hex_value(text.data[2 * i], &high) && hex_value(text.data[2 * i + 1], &low);
    if (good) {
      subject[i] = (uint8_t)(high << 4 | low);
    }
  }
  return good;
}

/* lane, seq, at, cause, event_id, policy, subject. */
static bool read_body(struct bytes *bytes, struct found_head *head) {
  int64_t at_ms;
  struct span text;
  bool is_set;
  bool is_plain;
  return bytes_take_long(bytes, &head->lane) == NULL &&
         bytes_take_long(bytes, &head->seq) == NULL && bytes_take_long(bytes, &at_ms) == NULL &&
         read_cause(bytes, head) && read_text(bytes, &is_set, &text) &&
         bytes_take_string(bytes, &text, &is_plain) == NULL &&
         read_text(bytes, &head->has_subject, &text) &&
         (!head->has_subject || read_subject(text, head->subject));
}

/* device_id, serial, actor, action, target. */
static bool read_persons(struct bytes *bytes, struct found_audit *audit) {
  struct span text;
  bool is_set;
  bool is_plain;
  uint32_t action;
  if (!read_text(bytes, &audit->has_device, &text) || !read_text(bytes, &is_set, &text) ||
      bytes_take_string(bytes, &text, &is_plain) != NULL) {
    return false;
  }
  audit->has_actor = read_subject(text, audit->actor);
  if (bytes_take_index(bytes, AUDIT_ACTION_COUNT, &action) != NULL ||
      bytes_take_string(bytes, &text, &is_plain) != NULL) {
    return false;
  }
  audit->has_target = read_subject(text, audit->target);
  return true;
}

/* What stands behind the frame of a record of ours; false when it is none. */
static bool body_of(const struct outgoing *message, const struct frames *frames,
                    struct bytes *bytes) {
  const struct span value = message->value;
  const size_t size = frames->of[message->record].size;
  if (value.size <= size || memcmp(value.data, frames->of[message->record].bytes, size) != 0) {
    return false;
  }
  *bytes = (struct bytes){.at = value.data + size, .end = value.data + value.size};
  return true;
}

bool found_read_head(const struct found_record *record, const struct frames *frames,
                     struct found_head *head) {
  const struct outgoing *message = &record->message;
  *head = (struct found_head){0};
  if (message->record == RESULT_DEAD_LETTER) {
    return read_letter(message->headers, head);
  }
  struct bytes bytes;
  return body_of(message, frames, &bytes) && read_body(&bytes, head);
}

bool found_read_audit(const struct found_record *record, const struct frames *frames,
                      struct found_audit *audit) {
  struct bytes bytes;
  *audit = (struct found_audit){0};
  return body_of(&record->message, frames, &bytes) && read_body(&bytes, &audit->head) &&
         read_persons(&bytes, audit);
}
