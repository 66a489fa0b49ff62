/* Files of policy tests, read strictly: docs/policies.md. */
#include "core/app/policy_text.h"
#include "core/app/policy_trial.h"
#include "core/app/text.h"
#include "core/time_text.h"

#include <stdlib.h>

/* Where a test begins that does not say: the beginning of 2026. */
#define START_AT_MS INT64_C(1767225600000)

enum {
  AT,
  ENROLL,
  CHECKIN,
  REPORT,
  PLATFORM,
  PROFILE,
  OWNERSHIP,
  OS_VERSION,
  ON_DEMAND,
  ANTIVIRUS_ENABLED,
  SIGNATURES_AGE,
  DISK_ENCRYPTED,
  PIN_LENGTH,
  THREAT_DEFENCE,
  FIELD_COUNT
};
static const char *const field_names[FIELD_COUNT] = {"at",
                                                     "enroll",
                                                     "checkin",
                                                     "report",
                                                     "platform",
                                                     "profile",
                                                     "ownership",
                                                     "os_version",
                                                     "on_demand",
                                                     "antivirus_enabled",
                                                     "antivirus_signatures_age",
                                                     "disk_encrypted",
                                                     "screen_lock_pin_length",
                                                     "threat_defence"};

/* The kinds of event that a field belongs to, as bits. */
static const uint8_t field_kinds[FIELD_COUNT] = {
    [AT] = 7,
    [ENROLL] = 1u << EVENT_ENROLLMENT,
    [CHECKIN] = 1u << EVENT_CHECKIN,
    [REPORT] = 1u << EVENT_REPORT,
    [PLATFORM] = 1u << EVENT_ENROLLMENT,
    [PROFILE] = 1u << EVENT_ENROLLMENT,
    [OWNERSHIP] = 1u << EVENT_ENROLLMENT,
    [OS_VERSION] = 7,
    [ON_DEMAND] = 1u << EVENT_CHECKIN,
    [ANTIVIRUS_ENABLED] = 1u << EVENT_REPORT,
    [SIGNATURES_AGE] = 1u << EVENT_REPORT,
    [DISK_ENCRYPTED] = 1u << EVENT_REPORT,
    [PIN_LENGTH] = 1u << EVENT_REPORT,
    [THREAT_DEFENCE] = 1u << EVENT_REPORT,
};

struct reader {
  struct findings *findings;
  const struct tree_node *values[FIELD_COUNT]; /* of the event at hand */
  struct trial *trial;
};

/* The text of a field that has a domain of its own. */
static bool read_span(struct reader *reader, size_t field, size_t size_max, struct span *text) {
  const struct tree_node *node = reader->values[field];
  const char *given = tree_text(node, field_names[field], reader->findings);
  if (given == NULL) {
    return false;
  }
  *text = span_text(given);
  if (text->size > size_max || !span_is_utf8_text(*text)) {
    finding_add_at(reader->findings, node, "%s takes at most %zu bytes, without control characters",
                   field_names[field], size_max);
    return false;
  }
  return true;
}

static void read_serial(struct reader *reader, struct event *event) {
  const size_t field = event->kind == EVENT_ENROLLMENT ? ENROLL
                       : event->kind == EVENT_CHECKIN  ? CHECKIN
                                                       : REPORT;
  if (read_span(reader, field, SERIAL_SIZE_MAX, &event->serial) &&
      (event->serial.size == 0 || !span_is_printable_ascii(event->serial))) {
    finding_add_at(reader->findings, reader->values[field],
                   "a serial is 1 to 64 printable ASCII characters");
  }
}

/* A choice by its name; `fallback` when it is not given. */
static uint32_t read_choice(struct reader *reader, size_t field, const char *(*name)(uint32_t),
                            uint32_t count, uint32_t fallback) {
  const char *names[8];
  assert(count <= COUNT_OF(names));
  for (uint32_t i = 0; i < count; i++) {
    names[i] = name(i);
  }
  if (reader->values[field] == NULL) {
    return fallback;
  }
  const size_t i =
      tree_choice(reader->values[field], field_names[field], names, count, reader->findings);
  return i < count ? (uint32_t)i : fallback;
}

static void read_enrollment(struct reader *reader, struct enrollment *enrollment) {
  const uint32_t platform =
      read_choice(reader, PLATFORM, choice_platform, PLATFORM_COUNT, PLATFORM_WINDOWS);
  const bool is_mobile = platform == PLATFORM_IOS || platform == PLATFORM_ANDROID;
  enrollment->platform = platform;
  enrollment->profile = read_choice(reader, PROFILE, choice_profile, PROFILE_COUNT,
                                    is_mobile ? PROFILE_MOBILE : PROFILE_STANDARD);
  enrollment->ownership =
      read_choice(reader, OWNERSHIP, choice_ownership, OWNERSHIP_COUNT, OWNERSHIP_CORPORATE);
  enrollment->os_version = span_text("0");
  if (reader->values[OS_VERSION] != NULL) {
    read_span(reader, OS_VERSION, OS_VERSION_SIZE_MAX, &enrollment->os_version);
  }
}

static void read_checkin(struct reader *reader, struct checkin *checkin,
                         struct span os_version_before) {
  bool is_on_demand = false;
  if (reader->values[ON_DEMAND] != NULL) {
    tree_boolean(reader->values[ON_DEMAND], field_names[ON_DEMAND], &is_on_demand,
                 reader->findings);
  }
  checkin->trigger = is_on_demand ? TRIGGER_ON_DEMAND : TRIGGER_SCHEDULED;
  checkin->os_version = os_version_before;
  if (reader->values[OS_VERSION] != NULL) {
    read_span(reader, OS_VERSION, OS_VERSION_SIZE_MAX, &checkin->os_version);
  }
}

static enum tri read_tri(struct reader *reader, size_t field) {
  bool value = false;
  if (reader->values[field] == NULL ||
      !tree_boolean(reader->values[field], field_names[field], &value, reader->findings)) {
    return TRI_UNKNOWN;
  }
  return value ? TRI_TRUE : TRI_FALSE;
}

/* {level: low, age: 2h}; what is left out is not reported. */
static void read_threat_defence(struct reader *reader, struct report *report, int64_t stamp_ms) {
  enum { LEVEL, AGE, COUNT };
  static const char *const names[COUNT] = {"level", "age"};
  const char *levels[THREAT_LEVEL_COUNT];
  const struct tree_node *values[COUNT];
  for (enum threat_level level = 0; level < THREAT_LEVEL_COUNT; level++) {
    levels[level] = threat_level_name(level);
  }
  tree_fields(reader->values[THREAT_DEFENCE], field_names[THREAT_DEFENCE], names, COUNT, values,
              reader->findings);
  if (values[LEVEL] != NULL) {
    const size_t level =
        tree_choice(values[LEVEL], "level", levels, THREAT_LEVEL_COUNT, reader->findings);
    report->has_threat_level = level < THREAT_LEVEL_COUNT;
    report->threat_level = (enum threat_level)(report->has_threat_level ? level : 0);
  }
  int64_t age_ms = 0;
  if (values[AGE] != NULL) {
    report->has_threat_at = tree_duration(values[AGE], "age", &age_ms, reader->findings);
    report->threat_at_ms = stamp_ms - age_ms;
  }
}

static void read_report(struct reader *reader, struct report *report, int64_t stamp_ms) {
  report->antivirus_enabled = read_tri(reader, ANTIVIRUS_ENABLED);
  report->disk_encrypted = read_tri(reader, DISK_ENCRYPTED);
  if (reader->values[OS_VERSION] != NULL) {
    report->has_os_version =
        read_span(reader, OS_VERSION, OS_VERSION_SIZE_MAX, &report->os_version);
  }
  int64_t age_ms = 0;
  if (reader->values[SIGNATURES_AGE] != NULL) {
    report->has_antivirus_signatures_at = tree_duration(
        reader->values[SIGNATURES_AGE], field_names[SIGNATURES_AGE], &age_ms, reader->findings);
    report->antivirus_signatures_at_ms = stamp_ms - age_ms;
  }
  if (reader->values[THREAT_DEFENCE] != NULL) {
    read_threat_defence(reader, report, stamp_ms);
  }
  int64_t length = 0;
  if (reader->values[PIN_LENGTH] != NULL) {
    report->has_screen_lock_pin_length =
        tree_number(reader->values[PIN_LENGTH], field_names[PIN_LENGTH], INT32_MIN, INT32_MAX,
                    &length, reader->findings);
    report->screen_lock_pin_length = (int32_t)length;
  }
}

/* What the device said of its version last, which a check-in that does not say keeps. */
static struct span last_os_version(const struct trial *trial, struct span serial) {
  struct span last = span_text("0");
  for (size_t i = 0; i < trial->event_count; i++) {
    const struct event *event = &trial->events[i].event;
    if (!span_equal(event->serial, serial)) {
      continue;
    }
    if (event->kind == EVENT_ENROLLMENT) {
      last = event->enrollment.os_version;
    } else if (event->kind == EVENT_CHECKIN) {
      last = event->checkin.os_version;
    } else if (event->report.has_os_version) {
      last = event->report.os_version;
    }
  }
  return last;
}

/* Whether the event has just one kind, and only fields of that. */
static bool read_kind(struct reader *reader, const struct tree_node *node, struct event *event) {
  const bool is_given[] = {[EVENT_ENROLLMENT] = reader->values[ENROLL] != NULL,
                           [EVENT_CHECKIN] = reader->values[CHECKIN] != NULL,
                           [EVENT_REPORT] = reader->values[REPORT] != NULL};
  if (is_given[0] + is_given[1] + is_given[2] != 1 || reader->values[AT] == NULL) {
    finding_add_at(reader->findings, node,
                   "an event needs at, and one of enroll, checkin and report with a serial");
    return false;
  }
  event->kind = is_given[EVENT_ENROLLMENT] ? EVENT_ENROLLMENT
                : is_given[EVENT_CHECKIN]  ? EVENT_CHECKIN
                                           : EVENT_REPORT;
  for (size_t i = 0; i < FIELD_COUNT; i++) {
    if (reader->values[i] != NULL && (field_kinds[i] >> event->kind & 1u) == 0) {
      finding_add_at(reader->findings, reader->values[i], "%s is no part of this event",
                     field_names[i]);
    }
  }
  return true;
}

static void read_event(struct reader *reader, const struct tree_node *node) {
  struct trial *trial = reader->trial;
  struct trial_event made = {0};
  if (!tree_fields(node, "an event", field_names, FIELD_COUNT, reader->values, reader->findings) ||
      !read_kind(reader, node, &made.event) ||
      !tree_duration(reader->values[AT], "at", &made.at_ms, reader->findings)) {
    return;
  }
  if (trial->event_count > 0 && made.at_ms < trial->events[trial->event_count - 1].at_ms) {
    finding_add_at(reader->findings, reader->values[AT],
                   "events stand in order of time: this one is before the one above");
  }
  read_serial(reader, &made.event);
  /* Ids tell enrolments apart; 1 and up, since 0 is none. */
  const uint64_t number = trial->event_count + 1;
  memcpy(made.event.event_id, &number, sizeof number);
  switch (made.event.kind) {
  case EVENT_ENROLLMENT:
    read_enrollment(reader, &made.event.enrollment);
    break;
  case EVENT_CHECKIN:
    read_checkin(reader, &made.event.checkin, last_os_version(trial, made.event.serial));
    break;
  case EVENT_REPORT:
    read_report(reader, &made.event.report, trial->start_at_ms + made.at_ms);
    break;
  case EVENT_COMMAND:
  case EVENT_POLICY:
  case EVENT_ROLE:
  case EVENT_TENANT:
  case EVENT_PROFILE_REVISION:
  case EVENT_GROUP:
  case EVENT_STATE:
    assert(false);
  }
  trial->events = memory_grown(trial->events, trial->event_count + 1, sizeof trial->events[0]);
  trial->events[trial->event_count++] = made;
  trial->until_ms = made.at_ms;
}

static bool is_list(const struct tree_node *node, const char *what, struct findings *findings) {
  if (node->kind != TREE_SEQUENCE) {
    finding_add_at(findings, node, "%s is a list: lines that begin with \"- \"", what);
  }
  return node->kind == TREE_SEQUENCE;
}

static void read_expected(struct trial *trial, const struct tree_node *list,
                          struct findings *findings) {
  if (!is_list(list, "expect", findings)) {
    return;
  }
  struct trial_lines *lines = &trial->expected;
  for (const struct tree_node *item = list->first; item != NULL; item = item->next) {
    const char *text = tree_text(item, "a line of expect", findings);
    if (text != NULL) {
      lines->items = memory_grown(lines->items, lines->count + 1, sizeof lines->items[0]);
      lines->items[lines->count++] = text_copy(text);
    }
  }
}

static void read_trial(struct trial *trial, const struct tree_node *node,
                       struct findings *findings) {
  enum { NAME, START, EVENTS, UNTIL, EXPECT, COUNT };
  static const char *const names[COUNT] = {"name", "start", "events", "until", "expect"};
  const struct tree_node *values[COUNT];
  struct reader reader = {.findings = findings, .trial = trial};
  if (!tree_fields(node, "a test", names, COUNT, values, findings)) {
    return;
  }
  if (values[NAME] == NULL || values[EVENTS] == NULL || values[EXPECT] == NULL) {
    finding_add_at(findings, node, "a test needs name, events and expect");
    return;
  }
  trial->name = tree_text(values[NAME], "name", findings);
  const char *start = values[START] == NULL ? NULL : tree_text(values[START], "start", findings);
  if (start != NULL && (!time_parse(span_text(start), &trial->start_at_ms) ||
                        trial->start_at_ms < EVENT_TIME_MIN_MS)) {
    finding_add_at(findings, values[START],
                   "start takes an instant such as 2026-01-01T00:00:00Z, not %.40s", start);
  }
  if (is_list(values[EVENTS], "events", findings)) {
    for (const struct tree_node *item = values[EVENTS]->first; item != NULL; item = item->next) {
      read_event(&reader, item);
    }
  }
  const int64_t last_ms = trial->until_ms;
  if (values[UNTIL] != NULL && tree_duration(values[UNTIL], "until", &trial->until_ms, findings) &&
      trial->until_ms < last_ms) {
    finding_add_at(findings, values[UNTIL], "until is before the last event");
  }
  read_expected(trial, values[EXPECT], findings);
}

bool trials_read(struct span text, struct trials *trials, struct findings *findings) {
  enum { POLICY, TESTS, COUNT };
  static const char *const names[COUNT] = {"policy", "tests"};
  const struct tree_node *values[COUNT] = {NULL};
  const uint32_t before_count = findings_count(findings);
  *trials = (struct trials){.tree = tree_read(text, findings)};
  const struct tree_node *root = tree_root(trials->tree);
  if (root != NULL && tree_fields(root, "a file of tests", names, COUNT, values, findings)) {
    if (values[POLICY] == NULL || values[TESTS] == NULL) {
      finding_add_at(findings, root, "a file of tests needs policy and tests");
    }
    if (values[POLICY] != NULL) {
      trials->policy = tree_text(values[POLICY], "policy", findings);
    }
    if (values[TESTS] != NULL && is_list(values[TESTS], "tests", findings)) {
      trials->items = memory_zeroed(values[TESTS]->child_count, sizeof trials->items[0]);
      for (const struct tree_node *item = values[TESTS]->first; item != NULL; item = item->next) {
        struct trial *trial = &trials->items[trials->count++];
        *trial = (struct trial){.line = item->line, .start_at_ms = START_AT_MS};
        read_trial(trial, item, findings);
      }
    }
  }
  return findings_count(findings) == before_count;
}

void trials_fini(struct trials *trials) {
  for (size_t i = 0; i < trials->count; i++) {
    free(trials->items[i].events);
    trial_lines_fini(&trials->items[i].expected);
  }
  free(trials->items);
  tree_close(trials->tree);
}
