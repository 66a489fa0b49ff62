#include "core/app/evidence_copy_internal.h"

#include "consumers/avro_json.h"
#include "core/app/journal_source.h"
#include "core/app/replay.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

void evidence_slice_name(uint32_t lane, const char *topic, char *name, size_t size) {
  snprintf(name, size, "lanes/%" PRIu32 "/%s.records", lane, topic);
}

enum status copy_open_slice(const struct copying *copying, const char *topic, int32_t partition,
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

bool copy_has_at(struct span bytes) {
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
  if (copy_has_at(record->key)) {
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
  enum status status = copy_open_slice(copying, record_topic_name(kind), (int32_t)copying->lane,
                                       &slice, copying->error);
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
      copy_open_slice(copying, "journal", (int32_t)copying->lane, &slice, copying->error);
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
