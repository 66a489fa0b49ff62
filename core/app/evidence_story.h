/* What a report tells of devices: gathered while a lane is decided again.
 *
 * Of each device the state is known as results tell it; of those that are told about, every result
 * in the range as an event. Who is told about: the devices that are named, or the first that have
 * a decision in the range. Grows with the fleet, and with the events of those few. */
#ifndef MUSTER_APP_EVIDENCE_STORY_H
#define MUSTER_APP_EVIDENCE_STORY_H

#include "core/app/policy_text.h"
#include "core/app/replay.h"

enum { STORY_DEVICES_MAX = 40, STORY_EVENTS_MAX = 2000 };

enum story_kind {
  STORY_COMPLIANCE,
  STORY_NOTICE,
  STORY_MAIL, /* let in or kept out */
  STORY_TICKET,
  STORY_LICENCE,
  STORY_AUDIT,
  STORY_ACTION,
  STORY_REFUSED,
  STORY_POLICY, /* another one decides from here on */
};

struct story_event {
  enum story_kind kind;
  int64_t at_ms;
  uint64_t seq;
  uint32_t what; /* compliance, decision, or action, by kind */
  uint32_t violation_count;
  const char *violations; /* their rules by the policy in force then; NULL: none; the event's */
  const char *text; /* template, reason, policy; lives as long as the replay's policies: copied */
};

/* As results tell it. */
struct story_state {
  int64_t noncompliant_since_ms; /* TIME_NONE: is not */
  violation_set violations;
  const struct policy *policy; /* that these are of */
  uint8_t compliance, is_blocked, is_ticket_open, is_told;
};

struct story_device {
  uint64_t number;
  char serial[SERIAL_SIZE_MAX + 1];
  uint32_t violation_count; /* before */
  char *violations;
  struct story_state before; /* when the range begins, or at its first decision in it */
  struct story_event *events;
  size_t event_count;
  uint64_t left_out; /* events above STORY_EVENTS_MAX */
};

/* A policy that has decided. */
struct story_policy {
  char *version;
  uint8_t hash[DIGEST_SIZE];
  struct policy_lines lines;
  int64_t since_ms; /* of its first result */
};

struct story {
  const char *const *wanted; /* device IDs or serials; none: the first with a decision */
  size_t wanted_count;
  int64_t from_ms, to_ms;       /* TIME_NONE: no bound */
  struct story_device *devices; /* in order of number, when all is gathered (story_sort) */
  size_t device_count;
  struct story_policy *policies; /* before the range ends, in order of their first results */
  size_t policy_count;
  uint64_t untold; /* devices with a decision in the range that are not among them */
  uint64_t counts[RESULT_KIND_COUNT]; /* of results in the range */
  int64_t first_at_ms, last_at_ms;    /* of them; TIME_NONE: there is none */
  /* Of the lane under way. */
  uint32_t lane, lane_count;
  struct story_state *states;
  uint32_t state_count;
  char policy[64];                  /* of the last result */
  struct replay *replay;            /* NULL: the default policy decides */
  const struct policy *last_policy; /* that was noted */
};

void story_begin_lane(struct story *story, uint32_t lane, uint32_t lane_count);
struct replay_watch story_watch(struct story *story);
void story_end_lane(struct story *story);
void story_sort(struct story *story);

/* Moves what another tells of its lanes behind this one's; as many devices as are shown. */
void story_join(struct story *story, struct story *other);
void story_fini(struct story *story);

#endif
