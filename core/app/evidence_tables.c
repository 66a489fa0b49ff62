/* The files of a pack that are tables: decisions in the range, and the fleet at its end. */
#include "consumers/avro_json.h"
#include "core/app/device_as_of.h"
#include "core/app/evidence_examine.h"
#include "core/app/lane_state.h"
#include "core/app/message_json.h"
#include "core/app/replay_lane.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

static struct replay_files files_of(const struct examination *examination, uint32_t lane) {
  struct replay_files files = {.is_pseudonymised = examination->terms->is_pseudonymised};
  files.partitions = pack_lane(examination->pack, lane, &files.count);
  return files;
}

/* Decisions. ----------------------------------------------------------------------------- */

/* When each result of the batch at hand was decided. */
struct deciding {
  struct examination *examination;
  FILE *file;
  struct replay_lane *lane;
  uint64_t first_seq;
  int64_t *at_ms; /* by number, from first_seq on */
  size_t count, capacity;
};

static void take_result(void *context, const struct result *result) {
  struct deciding *deciding = context;
  if (deciding->count == deciding->capacity) {
    deciding->capacity = deciding->capacity == 0 ? 1024 : 2 * deciding->capacity;
    deciding->at_ms = memory_grown(deciding->at_ms, deciding->capacity, sizeof *deciding->at_ms);
  }
  deciding->first_seq = deciding->count == 0 ? result->seq : deciding->first_seq;
  deciding->at_ms[deciding->count++] = result->at_ms;
}

static json_t *headers_json(struct span headers) {
  json_t *const json = json_object();
  while (headers.size >= 8) {
    const uint8_t *at = headers.data;
    const size_t name_size = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    const uint8_t *name = at + 4;
    at = name + name_size;
    const size_t size = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    const size_t value_size = size == UINT32_MAX ? 0 : size;
    json_t *const key = json_of_bytes(span_of(name, name_size));
    if (json_is_string(key)) {
      json_object_set_new(json, json_string_value(key),
                          size == UINT32_MAX ? json_null()
                                             : json_of_bytes(span_of(at + 4, value_size)));
    }
    json_decref(key);
    const size_t whole = 8 + name_size + value_size;
    headers = span_of(headers.data + whole, headers.size - whole);
  }
  return json;
}

/* {"topic", "partition", "offset", "timestamp", "key", "headers", "value"}, as `topics cat`, with
 * when it was decided. */
static void put_decision(const struct deciding *deciding, const struct found_record *record,
                         int64_t at_ms) {
  const struct outgoing *message = &record->message;
  const struct schemas *schemas = replay_schemas(replay_lane_replay(deciding->lane));
  const uint32_t number = replay_encoding(replay_lane_replay(deciding->lane))->lane;
  char topic[STORED_TOPIC_SIZE + 64];
  snprintf(topic, sizeof topic, "%s%s", deciding->examination->terms->topic_prefix,
           record_topic_name(message->record));
  json_t *const value =
      message->record == RESULT_DEAD_LETTER
          ? (message->value_is_null ? json_null() : json_of_bytes(message->value))
          : json_of_value(schemas, message->value_is_null ? (struct span){0} : message->value);
  json_t *const json =
      json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:s, s:o}", "at", (json_int_t)at_ms, "headers",
                headers_json(message->headers), "key",
                message->key_is_null ? json_null() : json_of_bytes(message->key), "offset",
                (json_int_t)record->offset, "partition", (json_int_t)number, "timestamp",
                (json_int_t)message->timestamp_ms, "topic", topic, "value", value);
  json_dumpf(json, deciding->file, JSON_COMPACT | JSON_SORT_KEYS);
  putc('\n', deciding->file);
  json_decref(json);
}

static bool is_within(const struct evidence_terms *terms, int64_t at_ms) {
  return (terms->from_ms == TIME_NONE || at_ms >= terms->from_ms) &&
         (terms->to_ms == TIME_NONE || at_ms < terms->to_ms);
}

/* The topic whose next record has that number; NULL: none has, it has expired. */
static enum status find_result(struct deciding *deciding, uint64_t seq,
                               const struct found_record **record, struct error *error) {
  struct found *found = replay_lane_found(deciding->lane);
  const struct frames *frames = &replay_encoding(replay_lane_replay(deciding->lane))->frames;
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    const struct found_record *next;
    struct found_head head;
    const enum status status = found_peek(found, kind, 0, &next, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (next != NULL && found_read_head(next, frames, &head) && head.seq == (int64_t)seq) {
      *record = next;
      return STATUS_OK;
    }
  }
  *record = NULL;
  return STATUS_OK;
}

static enum status put_batch(struct deciding *deciding, struct error *error) {
  enum status status = STATUS_OK;
  for (size_t i = 0; i < deciding->count && status == STATUS_OK; i++) {
    const struct found_record *record = NULL;
    status = find_result(deciding, deciding->first_seq + i, &record, error);
    if (status != STATUS_OK || record == NULL) {
      continue;
    }
    if (is_within(deciding->examination->terms, deciding->at_ms[i])) {
      put_decision(deciding, record, deciding->at_ms[i]);
    }
    found_pop(replay_lane_found(deciding->lane), record->message.record);
  }
  deciding->count = 0;
  return status;
}

/* Of a lane that diverges, the decisions up to there. */
static enum status put_lane(struct deciding *deciding, uint32_t number, struct error *error) {
  struct examination *examination = deciding->examination;
  const struct replay_files files = files_of(examination, number);
  const struct replay_lane_options options = {
      .config = &examination->config,
      .schemas = examination->schemas,
      .lane = number,
      .lane_count = examination->terms->lane_count,
      .watch = {.context = deciding, .result = take_result},
      .until_ms = TIME_NONE,
      .files = &files,
  };
  const struct recorded_batch *batch = NULL;
  const uint64_t batches = examination->lanes[number].result.batches;
  enum status status = replay_lane_open(&options, &deciding->lane, error);
  for (uint64_t i = 0; i < batches && status == STATUS_OK; i++) {
    status = replay_lane_next(deciding->lane, &batch, error);
    if (status == STATUS_OK) {
      status = put_batch(deciding, error);
    }
  }
  replay_lane_close(deciding->lane);
  deciding->lane = NULL;
  return status;
}

static enum status check_written(FILE *file, struct error *error) {
  return fflush(file) == 0 && ferror(file) == 0
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "cannot write: %s", strerror(errno));
}

enum status examination_put_decisions(struct examination *examination, FILE *file,
                                      struct error *error) {
  struct deciding deciding = {.examination = examination, .file = file};
  enum status status = STATUS_OK;
  for (uint32_t lane = 0; lane < examination->terms->lane_count && status == STATUS_OK; lane++) {
    status = put_lane(&deciding, lane, error);
  }
  free(deciding.at_ms);
  return status == STATUS_OK ? check_written(file, error) : status;
}

/* Population. ---------------------------------------------------------------------------- */

static enum status replay_to(struct examination *examination, uint32_t number,
                             struct lane_state **state, struct error *error) {
  const struct evidence_terms *terms = examination->terms;
  const struct replay_files files = files_of(examination, number);
  const struct replay_lane_options options = {
      .config = &examination->config,
      .schemas = examination->schemas,
      .lane = number,
      .lane_count = terms->lane_count,
      .until_ms = terms->to_ms == TIME_NONE ? TIME_NONE : terms->to_ms - 1,
      .files = &files,
  };
  struct replay_lane *lane;
  const struct recorded_batch *batch = NULL;
  const uint64_t batches = examination->lanes[number].result.batches;
  enum status status = replay_lane_open(&options, &lane, error);
  if (status != STATUS_OK) {
    return status;
  }
  uint64_t count = 0;
  do {
    status = count < batches ? replay_lane_next(lane, &batch, error) : STATUS_OK;
  } while (status == STATUS_OK && batch != NULL && ++count < batches);
  if (status == STATUS_OK) {
    *state = replay_take_state(replay_lane_replay(lane));
  }
  replay_lane_close(lane);
  return status;
}

/* In order of device numbers: the first of each lane, the second of each, … */
static enum status put_devices(const struct examination *examination,
                               struct lane_state *const *states, FILE *file, struct error *error) {
  const uint32_t lane_count = examination->terms->lane_count;
  struct column columns[DEVICE_POPULATION_COLUMN_COUNT];
  memcpy(columns, device_columns, DEVICE_LIST_COLUMN_COUNT * sizeof *columns);
  columns[DEVICE_LIST_COLUMN_COUNT] = (struct column){"subject", COLUMN_TEXT, false};
  struct output *output = output_open(file, OUTPUT_CSV, columns, DEVICE_POPULATION_COLUMN_COUNT);
  bool has_more = true;
  for (uint32_t index = 0; has_more; index++) {
    has_more = false;
    for (uint32_t lane = 0; lane < lane_count; lane++) {
      if (index < states[lane]->lane.device_count) {
        has_more = true;
        device_population_row(output, states[lane], index, !examination->terms->is_pseudonymised);
      }
    }
  }
  return output_close(output, error);
}

enum status examination_put_population(struct examination *examination, FILE *file,
                                       struct error *error) {
  const uint32_t lane_count = examination->terms->lane_count;
  struct lane_state **states = memory_zeroed((size_t)lane_count + 1, sizeof *states);
  enum status status = STATUS_OK;
  for (uint32_t lane = 0; lane < lane_count && status == STATUS_OK; lane++) {
    status = replay_to(examination, lane, &states[lane], error);
  }
  if (status == STATUS_OK) {
    status = put_devices(examination, states, file, error);
  }
  for (uint32_t lane = 0; lane < lane_count; lane++) {
    lane_state_close(states[lane]);
  }
  free(states);
  return status == STATUS_OK ? check_written(file, error) : status;
}
