#include "core/app/evidence_copy.h"

#include "consumers/avro_json.h"
#include "core/app/clock.h"
#include "core/app/evidence_slice.h"
#include "core/app/journal_source.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/replay_lane.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { POLL_MS = 50 };

struct copying {
  const struct evidence_copy *copy;
  uint32_t lane;
  struct fetch *fetch;
  struct found *found;
  struct journal_row begin, end; /* the first and the last batch of the range, without lists */
  struct slice inputs[TOPIC_COUNT];
  struct buffer value; /* of the record at hand */
  struct buffer headers;
  enum status status; /* of what a replay shows */
  struct error *error;
};

void evidence_slice_name(uint32_t lane, const char *topic, char *name, size_t size) {
  snprintf(name, size, "lanes/%" PRIu32 "/%s.records", lane, topic);
}

static enum status open_slice(const struct copying *copying, const char *topic, int32_t partition,
                              struct slice *slice, struct error *error) {
  char name[64 + STORED_TOPIC_SIZE];
  char whole[STORED_TOPIC_SIZE];
  evidence_slice_name(copying->lane, topic, name, sizeof name);
  snprintf(whole, sizeof whole, "%s%s", copying->copy->config->kafka.topic_prefix, topic);
  char *const path = path_join(copying->copy->directory, name);
  const enum status status = slice_open(slice, path, whole, partition, error);
  free(path);
  return status;
}

/* What was published. -------------------------------------------------------------------- */

static struct stored_record stored_of(const struct found_record *found) {
  const struct outgoing *message = &found->message;
  return (struct stored_record){
      .offset = found->offset,
      .timestamp_ms = message->timestamp_ms,
      .flags = (uint8_t)((message->key_is_null ? STORED_KEY_IS_NULL : 0) |
                         (message->value_is_null ? STORED_VALUE_IS_NULL : 0)),
      .key = message->key,
      .value = message->value,
      .headers = message->headers,
  };
}

static bool has_at(struct span bytes) {
  return bytes.size > 0 && memchr(bytes.data, '@', bytes.size) != NULL;
}

/* Our own headers of a dead letter: they come last, and begin with this. */
static struct span own_headers(struct span headers) {
  static const char first[] = {0,   0,   0,   12,  'm', 'u', 's', 't',
                               'e', 'r', '.', 'e', 'r', 'r', 'o', 'r'};
  for (size_t at = headers.size; at-- > 0;) {
    if (headers.size - at >= sizeof first && memcmp(headers.data + at, first, sizeof first) == 0) {
      return span_of(headers.data + at, headers.size - at);
    }
  }
  return span_of(headers.data, 0);
}

static void withhold_letter(struct stored_record *record) {
  record->headers = own_headers(record->headers);
  record->value.size = 0;
  record->flags |= STORED_VALUE_IS_NULL;
  if (has_at(record->key)) {
    record->key.size = 0;
    record->flags |= STORED_KEY_IS_NULL;
  }
}

static size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 128; value >>= 7) {
    size++;
  }
  return size;
}

/* The same value with a null in the place of its address, which stands at its end. */
static enum status erase_address(struct copying *copying, uint32_t kind,
                                 struct stored_record *record) {
  const struct schemas *schemas = copying->copy->schemas;
  struct reject reject = {.text = ""};
  json_t *const json = avro_json_of_ours(schemas, schemas_find_own(schemas, record_name(kind)),
                                         record->value, &reject);
  const json_t *const email = json_object_get(json, "user_email");
  const size_t size = json_string_length(email);
  /* A branch, a length (zigzag), the letters. */
  const size_t tail = email == NULL || json_is_null(email) ? 0 : 1 + varint_size(2 * size) + size;
  const bool is_there = json != NULL && tail <= record->value.size;
  json_decref(json);
  if (!is_there) {
    return error_set(copying->error, STATUS_REFUSED,
                     "lane %u: offset %" PRId64 " of %s cannot be read (%s): nobody can tell "
                     "whether it holds an address; make the pack without --pseudonymised",
                     copying->lane, record->offset, record_topic_name(kind), reject.text);
  }
  if (tail > 0) {
    buffer_clear(&copying->value);
    buffer_append(&copying->value, record->value.data, record->value.size - tail);
    buffer_append_u8(&copying->value, 0);
    record->value = buffer_span(&copying->value);
  }
  return STATUS_OK;
}

/* A result's number, whatever its framing; -1: it is none of ours. */
static int64_t seq_of(const struct found_record *found) {
  struct frames frames = {0};
  struct found_head head;
  const uint32_t kind = found->message.record;
  const struct span value = found->message.value;
  if (kind != RESULT_DEAD_LETTER && value.size > 10) {
    frames.of[kind].size = value.data[0] == 0xc3 ? 10 : 5;
    memcpy(frames.of[kind].bytes, value.data, frames.of[kind].size);
  }
  return found_read_head(found, &frames, &head) ? head.seq : -1;
}

static enum status put_result(struct copying *copying, struct slice *slice, uint32_t kind,
                              const struct found_record *found) {
  struct stored_record record = stored_of(found);
  enum status status = STATUS_OK;
  if (copying->copy->is_pseudonymised && kind == RESULT_DEAD_LETTER) {
    withhold_letter(&record);
  } else if (copying->copy->is_pseudonymised) {
    status = erase_address(copying, kind, &record);
  }
  slice->end = record.offset + 1;
  return status == STATUS_OK ? slice_put(slice, &record, copying->error) : status;
}

/* A topic's results up to the last number of the range. */
static enum status copy_results(struct copying *copying, uint32_t kind) {
  struct slice slice = {0};
  const struct found_record *found = NULL;
  enum status status =
      open_slice(copying, record_topic_name(kind), (int32_t)copying->lane, &slice, copying->error);
  slice.first = slice.end = found_first(copying->found, kind);
  if (status == STATUS_OK) { /* what the journal tells of may have come into sight since */
    bool has_more;
    status = found_look_again(copying->found, kind, &has_more, copying->error);
  }
  if (status == STATUS_OK) {
    status = found_peek(copying->found, kind, 0, &found, copying->error);
  }
  while (status == STATUS_OK && found != NULL && seq_of(found) <= (int64_t)copying->end.last_seq) {
    status = put_result(copying, &slice, kind, found);
    found_pop(copying->found, kind);
    if (status == STATUS_OK) {
      status = found_peek(copying->found, kind, 0, &found, copying->error);
    }
  }
  if (status == STATUS_OK) {
    return slice_close(&slice, copying->error);
  }
  slice_abandon(&slice);
  return status;
}

/* The journal. --------------------------------------------------------------------------- */

static bool is_past(const struct evidence_copy *copy, const struct journal_row *row) {
  return copy->to_ms != TIME_NONE && row->clock_before_ms != TIME_NONE &&
         row->clock_before_ms >= copy->to_ms;
}

static void note_row(struct copying *copying, const struct journal_row *row) {
  if (copying->end.batch == 0) {
    copying->begin = *row;
    copying->begin.not_believed = NULL;
  }
  copying->end = *row;
  copying->end.not_believed = NULL;
}

static enum status put_entry(struct copying *copying, struct slice *slice,
                             const struct journal_entry *entry) {
  enum status status = STATUS_OK;
  const struct found_record *const both[] = {entry->environment, entry->record};
  for (size_t i = 0; i < COUNT_OF(both) && status == STATUS_OK; i++) {
    if (both[i] != NULL) {
      const struct stored_record record = stored_of(both[i]);
      slice->end = record.offset + 1;
      status = slice_put(slice, &record, copying->error);
    }
  }
  note_row(copying, &entry->batch->row);
  return status;
}

static enum status copy_journal(struct copying *copying) {
  struct slice slice = {0};
  struct journal_source *source = journal_source_of_topic(
      copying->found, copying->copy->schemas, copying->copy->config->kafka.topic_prefix);
  enum status status =
      open_slice(copying, "journal", (int32_t)copying->lane, &slice, copying->error);
  slice.first = slice.end = found_first(copying->found, RECORD_JOURNAL);
  for (bool goes_on = status == STATUS_OK; goes_on;) {
    struct journal_entry entry;
    status = journal_source_next(source, &entry, copying->error);
    goes_on =
        status == STATUS_OK && entry.batch != NULL && !is_past(copying->copy, &entry.batch->row);
    if (goes_on) {
      status = put_entry(copying, &slice, &entry);
      goes_on = status == STATUS_OK;
    }
  }
  journal_source_close(source);
  if (status == STATUS_OK) {
    return slice_close(&slice, copying->error);
  }
  slice_abandon(&slice);
  return status;
}

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
  enum status status = open_slice(copying, topic_name(topic), topic_partition(topic, copying->lane),
                                  slice, copying->error);
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
  if (has_at(record->key)) {
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
  if (traceparent.size > 0 && !has_at(traceparent)) {
    buffer_append_u32(&copying->headers, sizeof name - 1);
    buffer_append(&copying->headers, name, sizeof name - 1);
    buffer_append_u32(&copying->headers, (uint32_t)traceparent.size);
    buffer_append(&copying->headers, traceparent.data, traceparent.size);
  }
  record->headers = buffer_span(&copying->headers);
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
  if (has_at(record.headers)) {
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

static enum status copy_inputs(struct copying *copying) {
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

static enum status make_directory(const struct copying *copying) {
  char name[64];
  snprintf(name, sizeof name, "lanes/%" PRIu32, copying->lane);
  char *const path = path_join(copying->copy->directory, name);
  const enum status status = mkdir(path, 0777) == 0 ? STATUS_OK
                                                    : error_set(copying->error, STATUS_UNAVAILABLE,
                                                                "%s: %s", path, strerror(errno));
  free(path);
  return status;
}

enum status evidence_copy_lane(const struct evidence_copy *copy, uint32_t lane, uint64_t *batches,
                               struct error *error) {
  struct copying copying = {.copy = copy, .lane = lane, .error = error};
  enum status status = make_directory(&copying);
  if (status == STATUS_OK) {
    status = replay_fetch_open(copy->config, &copying.fetch, error);
  }
  if (status == STATUS_OK) {
    status =
        found_open(copying.fetch, copy->config->kafka.topic_prefix, lane, &copying.found, error);
  }
  if (status == STATUS_OK) {
    status = copy_journal(&copying);
  }
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    status = copy_results(&copying, kind);
  }
  if (status == STATUS_OK) {
    status = copy_inputs(&copying);
  }
  *batches = copying.end.batch;
  found_close(copying.found);
  fetch_close(copying.fetch);
  buffer_fini(&copying.value);
  buffer_fini(&copying.headers);
  return status;
}
