#include "tests/sim/answers.h"

#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdlib.h>

/* An event_id that a device has seen. */
struct seen {
  uint8_t event_id[EVENT_ID_SIZE];
  uint32_t device;
  bool is_command; /* or an enrolment, which may have been refused without being remembered */
};

struct answers {
  struct seen *items;
  size_t count, capacity;
};

struct answers *answers_open(void) {
  return grab(sizeof(struct answers));
}

void answers_close(struct answers *answers) {
  free(answers->items);
  free(answers);
}

static const struct seen *find(const struct answers *answers, const struct event *event,
                               uint32_t device) {
  const struct seen *found = NULL;
  for (size_t i = 0; i < answers->count; i++) {
    const struct seen *item = &answers->items[i];
    if (item->device == device && memcmp(item->event_id, event->event_id, EVENT_ID_SIZE) == 0) {
      found = found == NULL || item->is_command ? item : found;
    }
  }
  return found;
}

static void note(struct answers *answers, const struct event *event, uint32_t device) {
  answers->items = grow(answers->items, answers->count, &answers->capacity, sizeof *answers->items);
  struct seen *item = &answers->items[answers->count++];
  *item = (struct seen){.device = device, .is_command = event->kind == EVENT_COMMAND};
  memcpy(item->event_id, event->event_id, EVENT_ID_SIZE);
}

void answers_check(struct answers *answers, const struct lane *lane, const struct intake *intake,
                   uint64_t count) {
  const struct event *event = &intake->event;
  const bool is_control = intake->topic == TOPIC_CONTROL;
  const bool is_command = intake->topic == TOPIC_COMMANDS;
  const bool is_known = intake->is_event && (is_command || intake->topic == TOPIC_ENROLLMENTS);
  const uint32_t device = is_known ? lane_find(lane, event->serial) : INDEX_NONE;
  const struct seen *before = device != INDEX_NONE ? find(answers, event, device) : NULL;
  uint64_t least = 1;
  uint64_t most = 1;
  if (is_control) {
    least = most = lane->number == 0;
  } else if (before != NULL) {
    least = 0;
    most = !before->is_command;
  }
  CHECK_THAT(!(is_control || is_command) || (count >= least && count <= most),
             "lane %u: %" PRIu64 " audit entries and dead letters of %s %" PRId64, lane->number,
             count, topic_name(intake->topic), intake->head->offset);
  if (device != INDEX_NONE) {
    note(answers, event, device);
  }
}
