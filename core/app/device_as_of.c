#include "core/app/device_as_of.h"

#include "core/app/digest.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/option_time.h"
#include "core/app/replay_inputs.h"
#include "core/app/replay_lane.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { TEXT_SIZE = 512 };

/* What a replay needs, and the device that is followed when only one is wanted. */
struct as_of {
  const struct command_line *line;
  struct replay_inputs inputs;
  int64_t until_ms;
  const char *serial; /* of the device that is followed; NULL: by index, or none */
  uint32_t index;
  struct lane_state *state; /* of the lane under way */
  struct touch touch;       /* its last change that its record shows */
};

static enum status as_of_open(const struct command_line *line, const char *text,
                              struct as_of *as_of, struct error *error) {
  *as_of = (struct as_of){.line = line, .until_ms = TIME_NONE, .index = INDEX_NONE};
  enum status status = option_time("as-of", text, &as_of->until_ms, error);
  if (status == STATUS_OK) {
    status = replay_inputs_open(&line->config, &as_of->inputs, error);
  }
  return status;
}

/* Keeps the last change of the device that is followed: the lane's note of it lives for a batch. */
static void follow(void *context) {
  struct as_of *as_of = context;
  const struct lane *lane = &as_of->state->lane;
  if (as_of->serial != NULL && as_of->index == INDEX_NONE) {
    as_of->index = lane_find(lane, span_text(as_of->serial));
  }
  if (as_of->index < lane->device_count) {
    const struct touch *touch = lane_touch_since(lane, as_of->index);
    if (touch != NULL && touch->is_changed) {
      as_of->touch = *touch;
      as_of->touch.traceparent_size = 0;
    }
  }
}

/* What a snapshot says of the device that is followed. */
static void begin_at_snapshot(struct as_of *as_of, const struct device_changes *changes) {
  const struct lane *lane = &as_of->state->lane;
  if (as_of->serial != NULL) {
    as_of->index = lane_find(lane, span_text(as_of->serial));
  }
  if (as_of->index < changes->count) {
    const struct device_change *change = &changes->items[as_of->index];
    as_of->touch = (struct touch){.seq = change->seq,
                                  .at_ms = change->at_ms,
                                  .cause = {.topic = change->cause_topic,
                                            .offset = change->cause_offset,
                                            .has_event_id = change->has_event_id},
                                  .policy = change->policy};
    memcpy(as_of->touch.cause.event_id, change->event_id, EVENT_ID_SIZE);
  }
}

/* The lane's state at that time; the caller ends it with lane_state_close. */
static enum status replay_to(struct as_of *as_of, uint32_t number, struct lane_state **state,
                             struct error *error) {
  const struct replay_lane_options options = {
      .config = &as_of->line->config,
      .schemas = as_of->inputs.schemas,
      .lane = number,
      .lane_count = as_of->inputs.lane_count,
      .subject_key = replay_inputs_key(&as_of->inputs),
      .watch = {.context = as_of, .stepped = follow},
      .until_ms = as_of->until_ms,
      .uses_snapshots = true,
      .needs_addresses = true,
  };
  struct replay_lane *lane;
  const struct recorded_batch *batch = NULL;
  enum status status = replay_lane_open(&options, &lane, error);
  if (status != STATUS_OK) {
    return status;
  }
  as_of->state = replay_state(replay_lane_replay(lane));
  if (replay_lane_began_after(lane) > 0) {
    begin_at_snapshot(as_of, replay_lane_changes(lane));
  }
  do {
    status = replay_lane_next(lane, &batch, error);
  } while (status == STATUS_OK && batch != NULL);
  if (status == STATUS_OK) {
    *state = replay_take_state(replay_lane_replay(lane));
  }
  replay_lane_close(lane);
  return status;
}

/* Cells. --------------------------------------------------------------------------------- */

/* Texts that cells look into. */
struct row {
  struct cell cells[DEVICE_COLUMN_COUNT];
  size_t count;
  char id[DEVICE_ID_SIZE], violations[TEXT_SIZE], cause[TEXT_SIZE], event_id[40];
  char subject[2 * SUBJECT_SIZE + 1];
};

static void add(struct row *row, struct cell cell) {
  assert(row->count < DEVICE_COLUMN_COUNT);
  row->cells[row->count++] = cell;
}

static void add_text(struct row *row, const char *text) {
  add(row, text == NULL ? cell_null() : cell_text(span_text(text)));
}

static void add_time(struct row *row, int64_t at_ms) {
  add(row, at_ms == TIME_NONE ? cell_null() : cell_integer(at_ms));
}

static void add_violations(struct row *row, struct rule_names rules, violation_set violations) {
  size_t used = 0;
  for (uint32_t rule = 0; rule < rules.count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      used += (size_t)snprintf(row->violations + used, TEXT_SIZE - used, "%s\n", rules.ids[rule]);
    }
  }
  row->violations[used] = '\0';
  add_text(row, row->violations);
}

/* The columns of lists, in the order of device_columns. */
static void add_state(struct row *row, const struct lane_state *state,
                      const struct device_image *image) {
  const struct device *device = &image->state;
  const struct span email = lane_state_address(state, image->person);
  device_id_format(image->number, row->id);
  add_text(row, row->id);
  add(row, cell_text(image->serial));
  add(row, email.size == 0 ? cell_null() : cell_text(email));
  add_text(row, platform_name((enum platform)device->platform));
  add_text(row, profile_name((enum profile)device->profile));
  add_text(row, ownership_name((enum ownership)device->ownership));
  add(row, cell_text(image->os_version));
  add_text(row, device_status_name((enum device_status)device->status));
  add_text(row, compliance_name((enum compliance)device->compliance));
  add_violations(row, image->rules, device->violations);
  add_time(row, device->noncompliant_since_ms);
  add(row, cell_boolean(device->email_blocked));
  add(row, cell_boolean(device->sap_blocked));
  add(row, cell_boolean(device->ticket_open));
  add_time(row, image->overdue_since_ms);
  add_time(row, device->last_sync_at_ms);
  add_text(row, timer_kind_name(image->next_timer));
  add_time(row, image->next_due_at_ms);
  assert(row->count == DEVICE_LIST_COLUMN_COUNT);
}

static void event_id_text(const uint8_t id[EVENT_ID_SIZE], char text[40]) {
  char hex[2 * EVENT_ID_SIZE + 1];
  hex_format(id, EVENT_ID_SIZE, hex);
  snprintf(text, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* What follows in the columns of one device: its last change. */
static void add_change(struct row *row, const struct as_of *as_of,
                       const struct device_image *image) {
  const struct touch *touch = &as_of->touch;
  add(row, cell_integer(image->lane));
  add(row, cell_integer((int64_t)touch->seq));
  add_time(row, touch->at_ms);
  if (touch->cause.offset < 0) {
    add(row, cell_null());
  } else {
    char name[TOPIC_NAME_SIZE];
    topic_full_name(&as_of->line->config, touch->cause.topic, name);
    snprintf(row->cause, TEXT_SIZE,
             "{\"topic\": \"%s\", \"offset\": %" PRId64 ", \"partition\": %" PRId32 "}", name,
             touch->cause.offset, topic_partition(touch->cause.topic, image->lane));
    add_text(row, row->cause);
  }
  event_id_text(touch->cause.event_id, row->event_id);
  add_text(row, touch->cause.has_event_id ? row->event_id : NULL);
  add_text(row, touch->policy != NULL ? touch->policy->version : image->policy);
  hex_format(image->subject, SUBJECT_SIZE, row->subject);
  add_text(row, row->subject);
  assert(row->count == DEVICE_COLUMN_COUNT);
}

/* A list. -------------------------------------------------------------------------------- */

static bool is_named(const char *wanted, const char *name) {
  return wanted == NULL || strcasecmp(wanted, name) == 0;
}

static bool passes(const struct device_filter *filter, const struct lane_state *state,
                   const struct device_image *image) {
  const struct device *device = &image->state;
  return (filter->user == NULL ||
          (filter->user[0] != '\0' &&
           span_equal(span_text(filter->user), lane_state_address(state, image->person)))) &&
         is_named(filter->status, device_status_name((enum device_status)device->status)) &&
         is_named(filter->compliance, compliance_name((enum compliance)device->compliance)) &&
         is_named(filter->platform, platform_name((enum platform)device->platform)) &&
         is_named(filter->profile, profile_name((enum profile)device->profile)) &&
         is_named(filter->ownership, ownership_name((enum ownership)device->ownership)) &&
         (!filter->is_overdue || device->overdue_stage > 0) &&
         (!filter->is_blocked || device->email_blocked || device->sap_blocked);
}

static void print_device(struct output *output, const struct lane_state *state, uint32_t index,
                         const struct device_filter *filter, int64_t *passed) {
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  struct row row = {.count = 0};
  lane_image(&state->lane, index, NULL, ids, &image);
  if (!passes(filter, state, &image)) {
    return;
  }
  (*passed)++;
  if (*passed > filter->offset && *passed - filter->offset <= filter->limit) {
    add_state(&row, state, &image);
    output_row(output, row.cells);
  }
}

void device_population_row(struct output *output, const struct lane_state *state, uint32_t index,
                           bool has_address) {
  enum { EMAIL = 2 }; /* its place among the columns */
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  struct row row = {.count = 0};
  lane_image(&state->lane, index, NULL, ids, &image);
  add_state(&row, state, &image);
  if (!has_address) {
    row.cells[EMAIL] = cell_null();
  }
  hex_format(image.subject, SUBJECT_SIZE, row.subject);
  add_text(&row, row.subject);
  output_row(output, row.cells);
}

/* In order of device numbers: the first of each lane, the second of each, … */
static enum status print_list(const struct as_of *as_of, struct lane_state *const *states,
                              const struct device_filter *filter, struct error *error) {
  struct output *output =
      output_open(stdout, as_of->line->output, device_columns, DEVICE_LIST_COLUMN_COUNT);
  int64_t passed = 0;
  bool has_more = true;
  for (uint32_t index = 0; has_more; index++) {
    has_more = false;
    for (uint32_t lane = 0; lane < as_of->inputs.lane_count; lane++) {
      if (index < states[lane]->lane.device_count) {
        has_more = true;
        print_device(output, states[lane], index, filter, &passed);
      }
    }
  }
  return output_close(output, error);
}

enum status device_list_as_of(const struct command_line *line, const char *as_of_text,
                              const struct device_filter *filter, struct error *error) {
  struct as_of as_of;
  enum status status = as_of_open(line, as_of_text, &as_of, error);
  struct lane_state **states = memory_zeroed((size_t)as_of.inputs.lane_count + 1, sizeof(void *));
  for (uint32_t lane = 0; lane < as_of.inputs.lane_count && status == STATUS_OK; lane++) {
    status = replay_to(&as_of, lane, &states[lane], error);
  }
  if (status == STATUS_OK) {
    status = print_list(&as_of, states, filter, error);
  }
  for (uint32_t lane = 0; lane < as_of.inputs.lane_count; lane++) {
    lane_state_close(states[lane]);
  }
  free(states);
  replay_inputs_close(&as_of.inputs);
  return status;
}

/* One device. ---------------------------------------------------------------------------- */

static enum status print_one(const struct as_of *as_of, const struct lane_state *state,
                             struct error *error) {
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  struct row row = {.count = 0};
  lane_image(&state->lane, as_of->index, NULL, ids, &image);
  add_state(&row, state, &image);
  add_change(&row, as_of, &image);
  struct output *output =
      output_open_single(stdout, as_of->line->output, device_columns, DEVICE_COLUMN_COUNT);
  output_row(output, row.cells);
  return output_close(output, error);
}

/* Replays a lane for one device; prints it when it is there. */
static enum status get(struct as_of *as_of, uint32_t lane, bool *is_there, struct error *error) {
  struct lane_state *state;
  enum status status = replay_to(as_of, lane, &state, error);
  if (status != STATUS_OK) {
    return status;
  }
  *is_there = as_of->index < state->lane.device_count;
  if (*is_there) {
    status = print_one(as_of, state, error);
  }
  lane_state_close(state);
  return status;
}

enum status device_get_as_of(const struct command_line *line, const char *as_of_text,
                             const char *wanted, struct error *error) {
  struct as_of as_of;
  const uint64_t number = device_id_parse(span_text(wanted));
  bool is_there = false;
  enum status status = as_of_open(line, as_of_text, &as_of, error);
  if (status == STATUS_OK && number > 0 && number <= UINT32_MAX) {
    as_of.index = (uint32_t)((number - 1) / as_of.inputs.lane_count);
    status = get(&as_of, (uint32_t)((number - 1) % as_of.inputs.lane_count), &is_there, error);
  }
  if (status == STATUS_OK && !is_there) {
    as_of.index = INDEX_NONE;
    as_of.serial = wanted;
    const int32_t lane = kafka_partition_of(line->config.kafka.partitioner, wanted, strlen(wanted),
                                            (int32_t)as_of.inputs.lane_count);
    status = get(&as_of, (uint32_t)lane, &is_there, error);
  }
  replay_inputs_close(&as_of.inputs);
  if (status == STATUS_OK && !is_there) {
    status = error_set(error, STATUS_REFUSED, "no device had the ID or serial %.80s at that time",
                       wanted);
  }
  return status;
}
