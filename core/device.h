/* A device as its lane knows it: what decides, in one small struct without pointers.
 *
 * Texts live in the lane's tables and are named by index, so that ten million devices fit. */
#ifndef MUSTER_CORE_DEVICE_H
#define MUSTER_CORE_DEVICE_H

#include "core/result.h"

struct device {
  uint32_t serial;     /* index in the lane's serials */
  uint32_t person;     /* index in the lane's persons */
  uint32_t os_version; /* index in the lane's versions */
  uint32_t enrollment; /* newest of the enrolment events seen: index in the lane's list */
  uint32_t episode;    /* episodes of non-compliance begun, this one included */
  int32_t screen_lock_pin_length; /* meaningful when has_screen_lock_pin_length */
  int64_t pending_since_ms;       /* when PENDING began; TIME_NONE before any enrolment */
  int64_t last_sync_at_ms;
  int64_t noncompliant_since_ms; /* of the open episode, also while a clean interval runs */
  int64_t clean_since_ms;        /* compliant in an episode that is still open; 0: not so */
  int64_t antivirus_signatures_at_ms;
  violation_set violations;
  uint32_t timer; /* place in the lane's heap; TIMER_NONE when nothing is due */
  uint8_t platform, profile, ownership, status;
  uint8_t compliance;
  uint8_t stage; /* how many of the plan's stages the present episode has been through */
  uint8_t antivirus_enabled, disk_encrypted; /* enum tri */
  bool has_screen_lock_pin_length;
  bool email_blocked, sap_blocked, ticket_open;
  bool touched; /* changed since the last checkpoint */
  /* No padding: states are compared as bytes. */
  uint8_t mail_held;         /* stage whose mail waits for the end of quiet hours, from 1 */
  uint8_t overdue_stage;     /* 0: not overdue; 1 and how many of that plan's stages are done */
  uint8_t overdue_mail_held; /* as mail_held */
};

static_assert(sizeof(struct device) == 88, "ten million devices are to fit");

/* What happens to a device by itself. At equal times the smaller kind goes first. */
enum timer_kind {
  TIMER_KIND_NONE,
  TIMER_KIND_FAIL, /* PENDING for too long */
  /* Stages of non-compliance. */
  TIMER_KIND_BLOCK,
  TIMER_KIND_TICKET,
  TIMER_KIND_NOTIFY,
  TIMER_KIND_CLEAN,        /* compliant for long enough: the episode ends */
  TIMER_KIND_MAIL,         /* quiet hours are over */
  TIMER_KIND_OVERDUE,      /* a stage of overdue syncs */
  TIMER_KIND_OVERDUE_MAIL, /* its mail, when quiet hours are over */
};

/* All that is stored of a device, with its texts: what a row and a Device record are made of. */
struct device_image {
  uint64_t number;
  uint32_t lane;
  struct span serial;
  struct span os_version;
  uint8_t subject[SUBJECT_SIZE];
  uint32_t person;
  struct span enrollment_ids; /* EVENT_ID_SIZE bytes each, newest first */
  struct device state;
  int64_t next_due_at_ms; /* TIME_NONE: nothing will happen by itself */
  enum timer_kind next_timer;
  /* Of the last change that its Device record shows; when `is_changed` is false, only
   * last_sync_at or facts' dates moved since, and what is stored of these stays. */
  bool is_changed;
  uint64_t changed_batch;
  uint64_t seq; /* the lane's last result number when it changed */
  int64_t at_ms;
  struct cause cause;
  const char *policy;
  struct rule_names rules; /* of the violations; as of a result */
};

#endif
