/* A device as its lane knows it: what decides, in one small struct without pointers.
 *
 * Texts live in the lane's tables and are named by index, so that ten million devices fit. */
#ifndef MUSTER_CORE_DEVICE_H
#define MUSTER_CORE_DEVICE_H

#include "core/result.h"

/* A serial that is longer lies apart; nearly all are shorter, and a look-up reads no more than the
 * device. */
enum { SERIAL_BESIDE_MAX = 17 };

struct device {
  int64_t pending_since_ms; /* when PENDING began; TIME_NONE before any enrolment */
  int64_t last_sync_at_ms;
  int64_t noncompliant_since_ms; /* of the open episode, also while a clean interval runs */
  int64_t clean_since_ms;        /* compliant in an episode that is still open; 0: not so */
  int64_t antivirus_signatures_at_ms;
  int64_t threat_at_ms; /* when the threat defence looked last */
  uint32_t person;      /* index in the lane's persons */
  uint32_t os_version;  /* index in the lane's versions */
  uint32_t enrollment;  /* newest of the enrolment events seen: index in the lane's list */
  uint32_t timer;       /* place in the lane's heap; TIMER_NONE when nothing is due */
  uint32_t touch;       /* index in the lane's touches; TOUCH_NONE: as at the last checkpoint */
  uint32_t episode;     /* episodes of non-compliance begun, this one included */
  int32_t screen_lock_pin_length; /* meaningful when has_screen_lock_pin_length */
  violation_set violations;
  uint8_t platform, profile, ownership, status;
  uint8_t compliance;
  uint8_t stage; /* how many of the plan's stages the present episode has been through */
  uint8_t antivirus_enabled, disk_encrypted; /* enum tri */
  uint8_t mail_held;         /* stage whose mail waits for the end of quiet hours, from 1 */
  uint8_t overdue_stage;     /* 0: not overdue; 1 and how many of that plan's stages are done */
  uint8_t overdue_mail_held; /* as mail_held */
  uint8_t threat_level;      /* 0: never reported; else 1 and an enum threat_level */
  uint8_t wipe;              /* enum wipe_state: what became of the last wipe asked for */
  bool has_screen_lock_pin_length : 1;
  bool email_blocked : 1, sap_blocked : 1, ticket_open : 1;
  bool has_license : 1;
  bool unused : 1, unused_too : 1, unused_as_well : 1; /* No padding: compared as bytes. */
  uint8_t serial_size;
  uint8_t serial[SERIAL_BESIDE_MAX]; /* or, of a longer one, its index in the lane's serials */
};

static_assert(sizeof(struct device) == 112, "ten million devices are to fit");

/* Of the last wipe that was asked for. */
enum wipe_state {
  WIPE_NONE,
  WIPE_UNAPPROVED, /* other admins have to agree */
  WIPE_ARMED,      /* carried out at the next check-in */
  WIPE_OVERDUE,    /* the same, and told to be missing */
  WIPE_OVER,       /* withdrawn, or carried out */
  WIPE_STATE_COUNT
};

enum { WIPE_APPROVALS_MAX = 8 };

/* A wipe that was asked for. It is rare, so the lane keeps it beside the device; it stays when it
 * is over, since a limit counts what was asked for lately. */
struct wipe {
  uint32_t device; /* its index in the lane */
  enum wipe_reason reason;
  uint8_t asker[SUBJECT_SIZE];
  int64_t asked_at_ms;
  int64_t armed_at_ms; /* meaningful from WIPE_ARMED on */
  uint32_t approver_count;
  uint8_t approvers[WIPE_APPROVALS_MAX][SUBJECT_SIZE];
};

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
  TIMER_KIND_RETIRE,       /* a stage of non-compliance that gives the device up */
  TIMER_KIND_WIPE_OVERDUE, /* a wipe that waits for a check-in */
};

/* What moves with nearly every message of a device, and what follows from it: kept apart from its
 * row, by blocks of devices in the order of their numbers. */
enum { DEVICE_BLOCK_SIZE = 32 };

enum device_date {
  DATE_LAST_SYNC,
  DATE_ANTIVIRUS_SIGNATURES,
  DATE_THREAT,
  DATE_NEXT_DUE,
  DEVICE_DATE_COUNT
};

struct device_dates {
  int64_t at_ms[DEVICE_DATE_COUNT]; /* TIME_NONE: never */
  uint8_t next_timer;               /* enum timer_kind */
};

/* Of `count` devices of a lane from index DEVICE_BLOCK_SIZE * number on; only a lane's last block
 * may be short. */
struct device_block {
  uint32_t lane, number;
  uint32_t count;
  int64_t at_ms[DEVICE_DATE_COUNT][DEVICE_BLOCK_SIZE]; /* TIME_NONE: never */
  uint8_t next_timer[DEVICE_BLOCK_SIZE];               /* enum timer_kind */
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
  const struct wipe *wipe; /* NULL: none was ever asked for */
  int64_t next_due_at_ms;  /* TIME_NONE: nothing will happen by itself */
  enum timer_kind next_timer;
  /* Of the last change that its Device record shows; when `is_changed` is false, only
   * last_sync_at or facts' dates moved since, and what is stored of these stays. */
  bool is_changed;
  uint64_t changed_batch;
  uint64_t seq; /* the lane's last result number when it changed */
  int64_t at_ms;
  struct cause cause;
  const char *policy;
  int64_t overdue_since_ms; /* when a check-in was due; TIME_NONE while none is overdue */
  struct rule_names rules;  /* of the violations; as of a result */
};

#endif
