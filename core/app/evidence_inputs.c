/* The inputs of a lane's batches, into files: as they stand, or without addresses. */
#include "core/app/clock.h"
#include "core/app/evidence_copy_internal.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/replay_lane.h"

#include <poll.h>

enum { POLL_MS = 50 };

/* Inputs as they stand. ------------------------------------------------------------------ */

static enum status put_input(struct copying *copying, struct slice *slice,
                             const struct record *record) {
  const size_t size = record_headers_size(record);
  buffer_clear(&copying->headers);
  if (size > 0) {
    record_headers_copy(record, buffer_reserve(&copying->headers, size));
    copying->headers.size = size;
  }
  const struct stored_record stored = {
      .offset = record->offset,
      .timestamp_ms = record->timestamp_ms,
      .flags = (uint8_t)((record->key_is_null ? STORED_KEY_IS_NULL : 0) |
                         (record->value_is_null ? STORED_VALUE_IS_NULL : 0)),
      .key = record->key,
      .value = record->value,
      .headers = buffer_span(&copying->headers),
  };
  return slice_put(slice, &stored, copying->error);
}

/* The next record below `to`; NULL: there is none. */
static enum status next_input(struct copying *copying, struct source *source, int64_t to,
                              const struct record **record) {
  const int64_t deadline_mono_ms = clock_mono_ms() + KAFKA_DEADLINE_MS;
  for (;;) {
    *record = source_peek(source);
    if (source_error(source) != NULL) {
      return error_set(copying->error, STATUS_CONFIG, "%s", source_error(source));
    }
    if (*record != NULL) {
      *record = (*record)->offset < to ? *record : NULL;
      return STATUS_OK;
    }
    if (source_end(source) >= 0) {
      return STATUS_OK;
    }
    if (clock_mono_ms() > deadline_mono_ms) {
      return kafka_error(copying->error, STATUS_UNAVAILABLE, "an input topic", "nothing comes");
    }
    struct pollfd ready = {.fd = fetch_fd(copying->fetch), .events = POLLIN};
    poll(&ready, 1, POLL_MS);
    fetch_woken(copying->fetch);
    struct error ignored;
    (void)fetch_serve(copying->fetch, &ignored);
  }
}

static enum status copy_records(struct copying *copying, struct slice *slice, int64_t from) {
  struct source *source;
  enum status status =
      source_open(copying->fetch, slice->topic, slice->partition, from, &source, copying->error);
  if (status != STATUS_OK) {
    return status;
  }
  for (;;) {
    const struct record *record;
    status = next_input(copying, source, slice->end, &record);
    if (status == STATUS_OK && record != NULL) {
      status = put_input(copying, slice, record);
    }
    if (status != STATUS_OK || record == NULL) {
      source_close(source);
      return status;
    }
    source_pop(source);
  }
}

/* Opens the slice of an input; it holds what the lane's batches have read, from the first on. */
static enum status open_input(struct copying *copying, enum topic topic) {
  struct slice *slice = &copying->inputs[topic];
  int64_t first;
  int64_t end;
  enum status status = copy_open_slice(
      copying, topic_name(topic), topic_partition(topic, copying->lane), slice, copying->error);
  if (status == STATUS_OK) {
    status =
        found_bounds(copying->fetch, slice->topic, slice->partition, &first, &end, copying->error);
  }
  if (status == STATUS_OK) {
    const int64_t from = copying->begin.ranges[topic].from;
    const int64_t to = copying->end.ranges[topic].to;
    slice->first = from < first ? first : from; /* from there on they are still there */
    slice->end = to > end ? end : to;
    slice->end = slice->end < slice->first ? slice->first : slice->end;
  }
  return status;
}

/* Inputs without addresses. -------------------------------------------------------------- */

static void withhold(const struct intake *intake, struct stored_record *record) {
  record->flags |= STORED_IS_WITHHELD | STORED_VALUE_IS_NULL;
  record->value = record->headers = span_of("", 0);
  record->withheld.reject = intake->reject;
  if (intake->reject.code == REJECT_TOO_LARGE) {
    record->withheld.size_bytes = intake->message.original.size_bytes;
    memcpy(record->withheld.sha256, intake->message.original.value_sha256, STORED_DIGEST_SIZE);
  }
  if (copy_has_at(record->key)) {
    record->key = span_of("", 0);
    record->flags |= STORED_KEY_IS_NULL;
  }
}

static void replace_addresses(struct copying *copying, const struct intake *intake,
                              struct stored_record *record) {
  const struct named_person *persons[PERSON_FIELD_COUNT];
  const size_t count = intake_persons_in(intake, record->value, persons);
  if (count == 0) {
    return;
  }
  const uint8_t *const begin = record->value.data;
  const uint8_t *const end = begin + record->value.size;
  const uint8_t *at = begin;
  buffer_clear(&copying->value);
  for (size_t i = 0; i < count; i++) {
    const struct span email = persons[i]->email;
    buffer_append(&copying->value, at, (size_t)(email.data - at));
    buffer_append(&copying->value, persons[i]->subject, SUBJECT_SIZE);
    at = email.data + email.size;
    record->patches[i] =
        (struct stored_patch){.at = (uint32_t)(email.data - begin), .size = (uint32_t)email.size};
    memcpy(record->patches[i].subject, persons[i]->subject, SUBJECT_SIZE);
  }
  buffer_append(&copying->value, at, (size_t)(end - at));
  record->value = buffer_span(&copying->value);
  record->patch_count = count;
}

/* Headers that may hold an address go, all but the traceparent, which results carry on. */
static void drop_headers(struct copying *copying, const struct intake *intake,
                         struct stored_record *record) {
  static const char name[] = "traceparent";
  const struct span traceparent = intake->message.cause.traceparent;
  record->flags |= STORED_IS_PARTIAL;
  buffer_clear(&copying->headers);
  if (traceparent.size > 0 && !copy_has_at(traceparent)) {
    buffer_append_u32(&copying->headers, sizeof name - 1);
    buffer_append(&copying->headers, name, sizeof name - 1);
    buffer_append_u32(&copying->headers, (uint32_t)traceparent.size);
    buffer_append(&copying->headers, traceparent.data, traceparent.size);
  }
  record->headers = buffer_span(&copying->headers);
}

/* Keys of control messages may be anything, and nothing reads them. */
static void drop_key(struct stored_record *record) {
  record->flags |= STORED_IS_PARTIAL | STORED_KEY_IS_NULL;
  record->key = span_of("", 0);
}

static void take_message(void *context, const struct intake *intake) {
  struct copying *copying = context;
  const struct record *is = source_peek(intake->source);
  struct stored_record record = {
      .offset = is->offset,
      .timestamp_ms = is->timestamp_ms,
      .flags = (uint8_t)((is->key_is_null ? STORED_KEY_IS_NULL : 0) |
                         (is->value_is_null ? STORED_VALUE_IS_NULL : 0)),
      .key = is->key,
      .value = is->value,
      .headers = buffer_span(&intake->headers),
  };
  if (!intake->is_event) {
    withhold(intake, &record);
  } else {
    replace_addresses(copying, intake, &record);
  }
  if (intake->topic == TOPIC_CONTROL && copy_has_at(record.key)) {
    drop_key(&record);
  }
  if (copy_has_at(record.headers)) {
    drop_headers(copying, intake, &record);
  }
  if (copying->status == STATUS_OK) {
    copying->status = slice_put(&copying->inputs[intake->topic], &record, copying->error);
  }
}

static enum status replay_inputs(struct copying *copying) {
  const struct evidence_copy *copy = copying->copy;
  const struct replay_lane_options options = {
      .config = copy->config,
      .schemas = copy->schemas,
      .lane = copying->lane,
      .lane_count = copy->lane_count,
      .subject_key = copy->subject_key,
      .watch = {.context = copying, .message = take_message},
      .until_ms = TIME_NONE,
      .needs_subjects = true,
  };
  struct replay_lane *lane;
  const struct recorded_batch *batch = NULL;
  enum status status = replay_lane_open(&options, &lane, copying->error);
  if (status != STATUS_OK) {
    return status;
  }
  do {
    status = replay_lane_next(lane, &batch, copying->error);
    status = status == STATUS_OK ? copying->status : status;
  } while (status == STATUS_OK && batch != NULL && batch->row.batch < copying->end.batch);
  replay_lane_close(lane);
  return status;
}

/* ---------------------------------------------------------------------------------------- */

enum status copy_inputs(struct copying *copying) {
  enum status status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    status = open_input(copying, topic);
    if (status == STATUS_OK && !copying->copy->is_pseudonymised) {
      status = copy_records(copying, &copying->inputs[topic], copying->inputs[topic].first);
    }
  }
  if (status == STATUS_OK && copying->copy->is_pseudonymised && copying->end.batch > 0) {
    status = replay_inputs(copying);
  }
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (status == STATUS_OK) {
      status = slice_close(&copying->inputs[topic], copying->error);
    } else {
      slice_abandon(&copying->inputs[topic]);
    }
  }
  return status;
}
