#include "core/app/evidence_story.h"

#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void story_begin_lane(struct story *story, uint32_t lane, uint32_t lane_count) {
  story->lane = lane;
  story->lane_count = lane_count;
  story->state_count = 0;
  story->policy[0] = '\0';
}

void story_end_lane(struct story *story) {
  free(story->states);
  story->states = NULL;
  story->state_count = 0;
}

static bool is_within(const struct story *story, int64_t at_ms) {
  return (story->from_ms == TIME_NONE || at_ms >= story->from_ms) &&
         (story->to_ms == TIME_NONE || at_ms < story->to_ms);
}

static struct story_state *state_of(struct story *story, uint64_t number) {
  const uint32_t index = (uint32_t)((number - 1) / story->lane_count);
  if (index >= story->state_count) {
    uint32_t count = story->state_count == 0 ? 64 : story->state_count;
    while (count <= index) {
      count *= 2;
    }
    story->states = memory_grown(story->states, count, sizeof *story->states);
    for (uint32_t i = story->state_count; i < count; i++) {
      story->states[i] = (struct story_state){.noncompliant_since_ms = TIME_NONE};
    }
    story->state_count = count;
  }
  return &story->states[index];
}

static bool is_wanted(const struct story *story, const struct result *result) {
  char id[DEVICE_ID_SIZE];
  device_id_format(result->device_number, id);
  for (size_t i = 0; i < story->wanted_count; i++) {
    const char *wanted = story->wanted[i];
    if (strcasecmp(wanted, id) == 0 || span_equal(span_text(wanted), result->serial)) {
      return true;
    }
  }
  return story->wanted_count == 0 && story->device_count < STORY_DEVICES_MAX;
}

/* Whom this result is of, when it is told about; from its first result in the range on. */
static struct story_device *device_of(struct story *story, struct story_state *state,
                                      const struct result *result) {
  if (state->is_told == 2) { /* it was decided that it is not */
    return NULL;
  }
  for (size_t i = 0; i < story->device_count; i++) {
    if (story->devices[i].number == result->device_number) {
      return &story->devices[i];
    }
  }
  if (!is_wanted(story, result)) {
    state->is_told = 2;
    story->untold++;
    return NULL;
  }
  story->devices = memory_grown(story->devices, story->device_count + 1, sizeof *story->devices);
  struct story_device *device = &story->devices[story->device_count++];
  *device = (struct story_device){.number = result->device_number, .before = *state};
  state->is_told = 1;
  const size_t size = result->serial.size < SERIAL_SIZE_MAX ? result->serial.size : SERIAL_SIZE_MAX;
  memcpy(device->serial, result->serial.data, size);
  return device;
}

static void describe(const struct result *result, struct story_event *event) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    event->kind = STORY_COMPLIANCE;
    event->what = result->change.compliance;
    event->violations = result->change.violations;
    break;
  case RESULT_NOTIFICATION:
    event->kind = STORY_NOTICE;
    event->text = result->notification.template_name;
    break;
  case RESULT_ACCESS_DECISION:
    event->kind = STORY_MAIL;
    event->what = result->access.decision;
    event->text = result->access.resource;
    break;
  case RESULT_TICKET:
    event->kind = STORY_TICKET;
    event->what = result->ticket.action;
    event->violations = result->ticket.violations;
    break;
  case RESULT_LICENSE:
    event->kind = STORY_LICENCE;
    event->what = result->license.action;
    break;
  case RESULT_AUDIT:
    event->kind = STORY_AUDIT;
    event->what = result->audit.action;
    event->text = result->audit.reason;
    break;
  case RESULT_DEAD_LETTER:
    event->kind = STORY_REFUSED;
    event->text = reject_code_name(result->dead_letter.reject.code);
    break;
  case RESULT_ACTION:
  case RESULT_KIND_COUNT:
    event->kind = STORY_ACTION;
    break;
  }
}

static void add_event(struct story_device *device, const struct story_event *event) {
  if (device->event_count == STORY_EVENTS_MAX) {
    device->left_out++;
    return;
  }
  device->events = memory_grown(device->events, device->event_count + 1, sizeof *device->events);
  device->events[device->event_count] = *event;
  device->events[device->event_count].text = event->text == NULL ? NULL : text_copy(event->text);
  device->event_count++;
}

static void follow(struct story_state *state, const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    state->compliance = (uint8_t)result->change.compliance;
    state->violations = result->change.violations;
    state->noncompliant_since_ms = result->change.compliance == COMPLIANCE_NONCOMPLIANT
                                       ? result->change.noncompliant_since_ms
                                       : TIME_NONE;
    break;
  case RESULT_ACCESS_DECISION:
    if (strcmp(result->access.resource, "email") == 0) {
      state->is_blocked = result->access.decision == ACCESS_BLOCK;
    }
    break;
  case RESULT_TICKET:
    state->is_ticket_open = result->ticket.action != TICKET_RESOLVE;
    break;
  case RESULT_NOTIFICATION:
  case RESULT_LICENSE:
  case RESULT_ACTION:
  case RESULT_AUDIT:
  case RESULT_DEAD_LETTER:
  case RESULT_KIND_COUNT:
    break;
  }
}

/* A device's first result under another policy than the lane's last one shows the change. */
static void tell(struct story *story, const struct result *result) {
  struct story_state *state = state_of(story, result->device_number);
  struct story_device *device = device_of(story, state, result);
  struct story_event event = {.at_ms = result->at_ms, .seq = result->seq};
  if (device == NULL) {
    return;
  }
  if (story->policy[0] != '\0' && strcmp(story->policy, result->policy) != 0) {
    const struct story_event change = {
        .kind = STORY_POLICY, .at_ms = result->at_ms, .seq = result->seq, .text = result->policy};
    add_event(device, &change);
  }
  describe(result, &event);
  add_event(device, &event);
}

static void take_result(void *context, const struct result *result) {
  struct story *story = context;
  if (is_within(story, result->at_ms)) {
    story->counts[result->kind]++;
    story->first_at_ms = story->first_at_ms == TIME_NONE || result->at_ms < story->first_at_ms
                             ? result->at_ms
                             : story->first_at_ms;
    story->last_at_ms = result->at_ms > story->last_at_ms ? result->at_ms : story->last_at_ms;
    if (result->device_number > 0) {
      tell(story, result);
    }
  }
  if (result->device_number > 0) {
    follow(state_of(story, result->device_number), result);
  }
  snprintf(story->policy, sizeof story->policy, "%s", result->policy);
}

struct replay_watch story_watch(struct story *story) {
  return (struct replay_watch){.context = story, .result = take_result};
}

static int compare(const void *left, const void *right) {
  const struct story_device *a = left;
  const struct story_device *b = right;
  return a->number < b->number ? -1 : a->number > b->number ? 1 : 0;
}

void story_sort(struct story *story) {
  if (story->device_count > 0) {
    qsort(story->devices, story->device_count, sizeof *story->devices, compare);
  }
}

static void free_device(struct story_device *device) {
  for (size_t i = 0; i < device->event_count; i++) {
    free((void *)(uintptr_t)device->events[i].text);
  }
  free(device->events);
}

static int64_t earlier(int64_t a, int64_t b) {
  return a == TIME_NONE ? b : b == TIME_NONE ? a : a < b ? a : b;
}

void story_join(struct story *story, struct story *other) {
  for (size_t i = 0; i < other->device_count; i++) {
    if (story->device_count == STORY_DEVICES_MAX) {
      free_device(&other->devices[i]);
      story->untold++;
      continue;
    }
    story->devices = memory_grown(story->devices, story->device_count + 1, sizeof *story->devices);
    story->devices[story->device_count++] = other->devices[i];
  }
  for (size_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    story->counts[kind] += other->counts[kind];
  }
  story->untold += other->untold;
  story->first_at_ms = earlier(story->first_at_ms, other->first_at_ms);
  story->last_at_ms = other->last_at_ms > story->last_at_ms ? other->last_at_ms : story->last_at_ms;
  other->device_count = 0;
}

void story_fini(struct story *story) {
  for (size_t i = 0; i < story->device_count; i++) {
    free_device(&story->devices[i]);
  }
  free(story->devices);
  free(story->states);
}
