#include "tests/lib/stepper.h"

#include "core/app/policy_shipped.h"
#include "core/gap.h"

#include <stdlib.h>

void stepper_init(struct stepper *stepper, uint32_t lane, uint32_t lane_count,
                  const struct render *render) {
  *stepper = (struct stepper){.render = *render, .indent = "  "};
  if (stepper->render.policy == NULL) {
    stepper->render.policy = policy_default();
  }
  const struct memory memory = heap_as_memory(&stepper->heap);
  lane_init(&stepper->lane, lane, lane_count, stepper->render.policy, &memory);
  const int64_t next_offsets[TOPIC_COUNT] = {0};
  batch_begin(&stepper->batch, 1, &stepper->lane, next_offsets);
}

void stepper_fini(struct stepper *stepper) {
  free(stepper->kept);
  batch_fini(&stepper->batch, &stepper->lane.memory);
  lane_fini(&stepper->lane);
  assert(stepper->heap.block_count == 0);
  assert(stepper->heap.byte_count == 0);
}

struct head stepper_head(const struct logged *message) {
  const enum event_kind kind = message->event.kind;
  return (struct head){.state = HEAD_READY,
                       .begins_batch =
                           message->is_event && (kind == EVENT_POLICY || kind == EVENT_STATE ||
                                                 kind == EVENT_PROFILE_REVISION),
                       .ends_batch = message->is_event && kind == EVENT_STATE,
                       .is_believed = message->is_believed,
                       .timestamp_ms = message->timestamp_ms,
                       .offset = message->offset};
}

static void take_result(void *context, const struct result *result) {
  struct stepper *stepper = context;
  /* The index is where an edge finds the person: it is that of the subject, which is told. */
  assert(!result->has_subject || result->person == INDEX_NONE ||
         memcmp(stepper->lane.persons.items[result->person].subject, result->subject,
                SUBJECT_SIZE) == 0);
  fputs(stepper->indent, stepper->render.out);
  render_result(&stepper->render, result);
  fputc('\n', stepper->render.out);
  stepper->line_count++;
}

/* Tells the devices that the step has touched. */
static void tell_devices(struct stepper *stepper) {
  struct lane *lane = &stepper->lane;
  for (uint32_t i = 0; i < lane->touches.count; i++) {
    const struct touch *touch = &lane->touches.items[i];
    uint8_t enrollment_ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(lane, touch->device, touch, enrollment_ids, &image);
    fputs(stepper->indent, stepper->render.out);
    render_device(&stepper->render, &image);
    fputc('\n', stepper->render.out);
    stepper->line_count++;
  }
  lane_end_batch(lane);
  lane_clear_touches(lane);
}

static void keep_control(struct stepper *stepper, const struct event *event,
                         const struct message *caused) {
  struct kept_control kept = {
      .event = *event, .cause = caused->cause, .at_ms = stepper->lane.clock_ms};
  kept.cause.has_event_id = true;
  memcpy(kept.cause.event_id, event->event_id, EVENT_ID_SIZE);
  stepper->kept = realloc(stepper->kept, (stepper->kept_count + 1) * sizeof *stepper->kept);
  stepper->kept[stepper->kept_count++] = kept;
}

void stepper_take(struct stepper *stepper, const struct head heads[TOPIC_COUNT], enum topic topic,
                  const struct logged *message) {
  const struct sink sink = {.context = stepper, .take = take_result};
  const struct message caused = {
      .cause = {.topic = topic, .offset = message->offset, .traceparent = message->traceparent},
      .original = {.timestamp_ms = message->timestamp_ms},
  };
  stepper->line_count = 0;
  batch_take(&stepper->batch, &stepper->lane, heads, topic);
  if (message->is_event) {
    const uint64_t change_count = stepper->lane.control.change_count;
    decide_event(&stepper->lane, &message->event, &caused, &sink);
    if (stepper->lane.control.change_count != change_count) {
      keep_control(stepper, &message->event, &caused);
    }
  } else {
    decide_reject(&stepper->lane, &message->reject, &caused, &sink);
  }
  tell_devices(stepper);
}

void stepper_fire(struct stepper *stepper, const struct head heads[TOPIC_COUNT]) {
  const struct sink sink = {.context = stepper, .take = take_result};
  const struct timer *first = timers_first(&stepper->lane.timers);
  assert(first != NULL);
  int64_t due_at_ms;
  const struct timer_cursor timer = {
      .due_at_ms = first->due_at_ms,
      .device_number = lane_device_number(&stepper->lane, first->device),
      .kind = lane_next_timer(&stepper->lane, first->device, &stepper->lane.devices[first->device],
                              &due_at_ms),
  };
  fputs("  ", stepper->render.out);
  render_timer(&stepper->render, &timer);
  fputc('\n', stepper->render.out);
  stepper->line_count = 0;
  batch_note_timer(&stepper->batch, heads, decide_timer(&stepper->lane, &sink));
  tell_devices(stepper);
}

void stepper_sweep(struct stepper *stepper) {
  const struct sink sink = {.context = stepper, .take = take_result};
  fputs("  ", stepper->render.out);
  render_sweep(&stepper->render,
               lane_device_number(&stepper->lane, stepper->lane.control.sweep.next));
  fputc('\n', stepper->render.out);
  stepper->line_count = 0;
  sweep_step(&stepper->lane, &sink);
  batch_note_sweep(&stepper->batch);
  tell_devices(stepper);
}

void stepper_gap(struct stepper *stepper, struct journal_gap *gap) {
  const struct sink sink = {.context = stepper, .take = take_result};
  stepper->line_count = 0;
  gap_decide(&stepper->lane, &stepper->batch, gap, &sink);
  tell_devices(stepper);
}

void stepper_close(struct stepper *stepper, struct journal_row *row,
                   struct topic_offset **not_believed) {
  struct batch *batch = &stepper->batch;
  batch_row(batch, &stepper->lane, row);
  const size_t size = row->not_believed_count * sizeof **not_believed;
  *not_believed = NULL;
  if (size > 0) {
    *not_believed = malloc(size);
    memcpy(*not_believed, row->not_believed, size);
  }
  row->not_believed = *not_believed;
  int64_t next_offsets[TOPIC_COUNT];
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    next_offsets[topic] = row->ranges[topic].to;
  }
  batch_begin(batch, batch->number + 1, &stepper->lane, next_offsets);
}

/* Those of the configuration stand in the environment, which a lane finds in its journal. */
static void restore_admins(struct lane *lane, const struct control *from) {
  uint8_t subjects[8][SUBJECT_SIZE];
  uint32_t count = 0;
  for (uint32_t i = 0; i < from->holder_count; i++) {
    if (from->holders[i].is_bootstrap) {
      assert(count < COUNT_OF(subjects));
      memcpy(subjects[count++], from->holders[i].subject, SUBJECT_SIZE);
    }
  }
  control_set_bootstrap(&lane->control, &lane->memory, subjects[0], count);
}

void stepper_restart(struct stepper *stepper) {
  struct lane old = stepper->lane;
  struct lane *lane = &stepper->lane;
  lane_init(lane, old.number, old.count, old.control.policies[0].policy, &old.memory);
  for (size_t i = 0; i < stepper->kept_count; i++) {
    sweep_apply_control(lane, &stepper->kept[i].event, &stepper->kept[i].cause,
                        stepper->kept[i].at_ms);
  }
  const struct sweep_cursor cursor = sweep_cursor(&old);
  sweep_restore(lane, &cursor);
  lane->clock_ms = old.clock_ms;
  lane->seq = old.seq;
  lane->batch = old.batch;
  lane->dead_letter_count = old.dead_letter_count;
  restore_admins(lane, &old.control);
  for (uint32_t index = 0; index < old.device_count; index++) {
    uint8_t enrollment_ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(&old, index, NULL, enrollment_ids, &image);
    lane_restore(lane, &image);
  }
  lane_fini(&old);
}

/* A message of a replay: what lies outside of the row's ranges does not exist. */
static const struct logged *next_in_range(const struct topic_log *log, size_t *at,
                                          const struct offset_range *range) {
  while (*at < log->count && log->items[*at].offset < range->from) {
    ++*at;
  }
  return *at < log->count && log->items[*at].offset < range->to ? &log->items[*at] : NULL;
}

static bool was_believed(const struct journal_row *row, enum topic topic, int64_t offset) {
  for (size_t i = 0; i < row->not_believed_count; i++) {
    if (row->not_believed[i].topic == topic && row->not_believed[i].offset == offset) {
      return false;
    }
  }
  return true;
}

bool stepper_replay(struct stepper *stepper, const struct topic_log logs[TOPIC_COUNT],
                    const struct journal_row *row) {
  size_t at[TOPIC_COUNT] = {0};
  for (;;) {
    const struct logged *messages[TOPIC_COUNT];
    struct head heads[TOPIC_COUNT];
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      messages[topic] = next_in_range(&logs[topic], &at[topic], &row->ranges[topic]);
      heads[topic] = (struct head){.state = HEAD_AT_END};
      if (messages[topic] != NULL) {
        heads[topic] = stepper_head(messages[topic]);
        heads[topic].is_believed = was_believed(row, topic, messages[topic]->offset);
      }
    }
    enum topic topic;
    switch (batch_next(&stepper->batch, &stepper->lane, heads, &topic)) {
    case NEXT_WAIT:
      return false;
    case NEXT_CLOSE:
      return stepper->batch.is_ended;
    case NEXT_SWEEP:
      if (row->sweep.is_set &&
          row->sweep.device_number == sweep_cursor(&stepper->lane).device_number) {
        return true;
      }
      stepper_sweep(stepper);
      break;
    case NEXT_END:
      if (stepper->batch.timer_count == row->timer_count) {
        return true;
      }
      if (timers_first(&stepper->lane.timers) == NULL) {
        return false;
      }
      stepper_fire(stepper, heads);
      break;
    case NEXT_TIMER:
      stepper_fire(stepper, heads);
      break;
    case NEXT_MESSAGE:
      fputs("  ", stepper->render.out);
      render_message(&stepper->render, topic, &heads[topic]);
      fputc('\n', stepper->render.out);
      stepper_take(stepper, heads, topic, messages[topic]);
      at[topic]++;
      break;
    }
  }
}

void topic_log_append(struct topic_log *log, const struct logged *message) {
  if (log->count == log->capacity) {
    log->capacity = log->capacity == 0 ? 16 : log->capacity * 2;
    log->items = realloc(log->items, log->capacity * sizeof *log->items);
  }
  log->items[log->count++] = *message;
}

void topic_log_fini(struct topic_log *log) {
  free(log->items);
  *log = (struct topic_log){0};
}
