#include "core/app/evidence_story.h"

#include "core/app/policy_shipped.h"
#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void story_begin_lane(struct story *story, uint32_t lane, uint32_t lane_count) {
  story->lane = lane;
  story->lane_count = lane_count;
  story->state_count = 0;
  story->policy[0] = '\0';
  story->replay = NULL;
  story->last_policy = NULL;
}

static void take_replay(void *context, struct replay *replay) {
  ((struct story *)context)->replay = replay;
}

/* What a result's violations are of: the policy in force, or while devices are decided anew under
 * another the one before. */
static const struct policy *policy_of(const struct story *story, const struct result *result) {
  if (story->replay == NULL) {
    return policy_default();
  }
  const struct lane *lane = &replay_state(story->replay)->lane;
  const uint64_t number = result->device_number;
  const uint32_t index = number == 0 ? INDEX_NONE : (uint32_t)((number - 1) / story->lane_count);
  return strcmp(result->policy, lane->policy->version) == 0 || index >= lane->device_count
             ? lane->policy
             : lane_policy_of(lane, index);
}

/* The rules' ids with commas between; NULL: none. The caller's. */
static char *name_violations(const struct policy *policy, violation_set violations) {
  char *text = NULL;
  size_t size = 0;
  FILE *const stream = violations == 0 || policy == NULL ? NULL : open_memstream(&text, &size);
  const char *separator = "";
  for (uint32_t rule = 0; stream != NULL && rule < policy->rule_count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      fprintf(stream, "%s%s", separator, policy->rule_ids[rule]);
      separator = ", ";
    }
  }
  if (stream != NULL) {
    fclose(stream);
  }
  return text;
}

static uint32_t count_of(violation_set violations) {
  return (uint32_t)__builtin_popcount(violations);
}

static struct story_policy *find_policy(struct story *story, const uint8_t hash[DIGEST_SIZE]) {
  for (size_t i = 0; i < story->policy_count; i++) {
    if (memcmp(story->policies[i].hash, hash, DIGEST_SIZE) == 0) {
      return &story->policies[i];
    }
  }
  return NULL;
}

static void add_policy(struct story *story, const struct story_policy *policy) {
  story->policies = memory_grown(story->policies, story->policy_count + 1, sizeof *policy);
  story->policies[story->policy_count++] = *policy;
}

static void note_policy(struct story *story, const struct policy *policy, int64_t at_ms) {
  if (policy == story->last_policy || (story->to_ms != TIME_NONE && at_ms >= story->to_ms)) {
    return;
  }
  struct story_policy noted = {.since_ms = at_ms};
  policy_hash(policy, noted.hash);
  struct story_policy *known = find_policy(story, noted.hash);
  story->last_policy = policy;
  if (known != NULL) {
    known->since_ms = at_ms < known->since_ms ? at_ms : known->since_ms;
    return;
  }
  noted.version = text_copy(policy->version);
  policy_lines_init(&noted.lines, policy);
  add_policy(story, &noted);
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
  *device = (struct story_device){.number = result->device_number,
                                  .before = *state,
                                  .violation_count = count_of(state->violations),
                                  .violations = name_violations(state->policy, state->violations)};
  state->is_told = 1;
  const size_t size = result->serial.size < SERIAL_SIZE_MAX ? result->serial.size : SERIAL_SIZE_MAX;
  memcpy(device->serial, result->serial.data, size);
  return device;
}

static void set_violations(struct story_event *event, const struct policy *policy,
                           violation_set violations) {
  event->violation_count = count_of(violations);
  event->violations = name_violations(policy, violations);
}

static void describe(const struct policy *policy, const struct result *result,
                     struct story_event *event) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    event->kind = STORY_COMPLIANCE;
    event->what = result->change.compliance;
    set_violations(event, policy, result->change.violations);
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
    set_violations(event, policy, result->ticket.violations);
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
    free((void *)(uintptr_t)event->violations);
    return;
  }
  device->events = memory_grown(device->events, device->event_count + 1, sizeof *device->events);
  device->events[device->event_count] = *event;
  device->events[device->event_count].text = event->text == NULL ? NULL : text_copy(event->text);
  device->event_count++;
}

static void follow(const struct story *story, struct story_state *state,
                   const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    state->compliance = (uint8_t)result->change.compliance;
    state->violations = result->change.violations;
    state->policy = policy_of(story, result);
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
  describe(policy_of(story, result), result, &event);
  add_event(device, &event);
}

static void take_result(void *context, const struct result *result) {
  struct story *story = context;
  note_policy(story, policy_of(story, result), result->at_ms);
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
    follow(story, state_of(story, result->device_number), result);
  }
  snprintf(story->policy, sizeof story->policy, "%s", result->policy);
}

struct replay_watch story_watch(struct story *story) {
  return (struct replay_watch){.context = story, .opened = take_replay, .result = take_result};
}

static int compare_policies(const void *left, const void *right) {
  const struct story_policy *a = left;
  const struct story_policy *b = right;
  return a->since_ms < b->since_ms ? -1 : a->since_ms > b->since_ms ? 1 : 0;
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
  if (story->policy_count > 0) {
    qsort(story->policies, story->policy_count, sizeof *story->policies, compare_policies);
  }
}

static void free_device(struct story_device *device) {
  for (size_t i = 0; i < device->event_count; i++) {
    free((void *)(uintptr_t)device->events[i].text);
    free((void *)(uintptr_t)device->events[i].violations);
  }
  free(device->violations);
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
  for (size_t i = 0; i < other->policy_count; i++) {
    struct story_policy *known = find_policy(story, other->policies[i].hash);
    if (known == NULL) {
      add_policy(story, &other->policies[i]);
      other->policies[i] = (struct story_policy){.version = NULL};
    } else {
      known->since_ms = earlier(known->since_ms, other->policies[i].since_ms);
    }
  }
}

void story_fini(struct story *story) {
  for (size_t i = 0; i < story->device_count; i++) {
    free_device(&story->devices[i]);
  }
  for (size_t i = 0; i < story->policy_count; i++) {
    free(story->policies[i].version);
    policy_lines_fini(&story->policies[i].lines);
  }
  free(story->policies);
  free(story->devices);
  free(story->states);
}
