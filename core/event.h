/* What happened, as the core sees it: one decoded message. Views point into the message. */
#ifndef MUSTER_CORE_EVENT_H
#define MUSTER_CORE_EVENT_H

#include "core/span.h"

/* The topics of a lane, in the order that equal timestamps are taken (the public contract). */
enum topic {
  TOPIC_CONTROL,
  TOPIC_ENROLLMENTS,
  TOPIC_COMMANDS,
  TOPIC_CHECKINS,
  TOPIC_REPORTS,
  TOPIC_COUNT,
};

/* The topic's name without the prefix: "compliance-reports". */
const char *topic_name(enum topic topic);

#define PLATFORM_LIST(X) X(WINDOWS) X(MACOS) X(IOS) X(ANDROID) X(LINUX)
#define PROFILE_LIST(X) X(STANDARD) X(MOBILE) X(EXECUTIVE)
#define OWNERSHIP_LIST(X) X(CORPORATE) X(PERSONAL)
#define TRIGGER_LIST(X) X(SCHEDULED) X(ON_DEMAND)
#define STATUS_SYMBOLS(X) X(PENDING) X(ENROLLED) X(FAILED) X(WIPED) X(RETIRED)
#define COMMAND_LIST(X)                                                                            \
  X(SET_STATUS) X(WIPE) X(WITHDRAW_WIPE) X(APPROVE_WIPE) X(RETIRE) X(RENAME) X(SYNC)
#define WIPE_REASON_LIST(X) X(LOST) X(STOLEN) X(TERMINATED) X(BREACH)
#define ROLE_LIST(X) X(ADMIN) X(OPERATOR)
#define TENANT_EVENT_LIST(X) X(PUSH_CERTIFICATE_EXPIRED) X(UPSTREAM_OUTAGE)

/* The members' order is the symbols' order in schemas/: the number is the Avro index. */
enum platform {
#define X(name) PLATFORM_##name,
  PLATFORM_LIST(X)
#undef X
      PLATFORM_COUNT
};
enum profile {
#define X(name) PROFILE_##name,
  PROFILE_LIST(X)
#undef X
      PROFILE_COUNT
};
enum ownership {
#define X(name) OWNERSHIP_##name,
  OWNERSHIP_LIST(X)
#undef X
      OWNERSHIP_COUNT
};
enum trigger {
#define X(name) TRIGGER_##name,
  TRIGGER_LIST(X)
#undef X
      TRIGGER_COUNT
};
enum device_status {
#define X(name) DEVICE_##name,
  STATUS_SYMBOLS(X)
#undef X
      DEVICE_STATUS_COUNT
};
enum command_kind {
#define X(name) COMMAND_##name,
  COMMAND_LIST(X)
#undef X
      COMMAND_COUNT
};
enum wipe_reason {
#define X(name) WIPE_##name,
  WIPE_REASON_LIST(X)
#undef X
      WIPE_REASON_COUNT
};
enum role {
#define X(name) ROLE_##name,
  ROLE_LIST(X)
#undef X
      ROLE_COUNT
};
enum tenant_event_kind {
#define X(name) TENANT_##name,
  TENANT_EVENT_LIST(X)
#undef X
      TENANT_EVENT_COUNT
};

const char *platform_name(enum platform platform);
const char *profile_name(enum profile profile);
const char *ownership_name(enum ownership ownership);
const char *device_status_name(enum device_status status);
const char *command_name(enum command_kind command);
const char *wipe_reason_name(enum wipe_reason reason);
const char *role_name(enum role role);
const char *tenant_event_name(enum tenant_event_kind kind);

/* Of a device's threat defence: the least is the best. */
enum threat_level { THREAT_SECURED, THREAT_LOW, THREAT_MEDIUM, THREAT_HIGH, THREAT_LEVEL_COUNT };

/* A fact that may never have been reported. */
enum tri { TRI_UNKNOWN, TRI_FALSE, TRI_TRUE };

enum {
  EVENT_ID_SIZE = 16,
  SUBJECT_SIZE = 16,
  SERIAL_SIZE_MAX = 64,
  USER_EMAIL_SIZE_MAX = 320,
  OS_VERSION_SIZE_MAX = 64,
  SHORT_NAME_SIZE_MAX = 63, /* of versions, revisions, groups, devices' names */
  NOTE_SIZE_MAX = 128,      /* of a command's note */
};

/* A person that a message names by address. */
struct named_person {
  struct span email;             /* empty: nobody is named */
  uint8_t subject[SUBJECT_SIZE]; /* of the address; the edge fills it in, decode does not */
};

/* Times in values lie within the years 1970 to 9999 (the public contract). */
#define EVENT_TIME_MIN_MS INT64_C(0)
#define EVENT_TIME_MAX_MS INT64_C(253402300799999)

struct enrollment {
  enum platform platform;
  enum profile profile;
  enum ownership ownership;
  struct span os_version;
  bool has_consent;
  struct span notice_version;
  int64_t consent_given_at_ms;
};

struct checkin {
  struct span os_version;
  enum trigger trigger;
};

/* What was not reported keeps its last known value. */
struct report {
  bool has_os_version;
  struct span os_version;
  enum tri antivirus_enabled;
  bool has_antivirus_signatures_at;
  int64_t antivirus_signatures_at_ms;
  enum tri disk_encrypted;
  bool has_screen_lock_pin_length;
  int32_t screen_lock_pin_length;
  bool has_threat_level;
  enum threat_level threat_level;
  bool has_threat_at;
  int64_t threat_at_ms; /* when the threat defence looked last */
};

/* What was not said is empty, or false in its `has_`. */
struct device_command {
  enum command_kind kind;
  bool is_of_user; /* the device's own user asks for it */
  bool has_status;
  enum device_status status;
  bool has_wipe_reason;
  enum wipe_reason wipe_reason;
  bool has_confirm;
  struct span confirm;
  struct span name;
  struct span note;
};

struct policy;

struct policy_change {
  struct span version;
  uint8_t hash[32];
  bool has_text;
  struct span text; /* the file, for the edge that compiles it and for the one that keeps it */
  /* What the message's text says, or the program's own policy of that version, compiled; NULL
   * without a text: a version that came into force before. Who made it keeps it while a lane may
   * look at it. */
  const struct policy *policy;
};

struct role_change {
  enum role role;
  bool is_granted; /* to the event's user; false: taken away */
};

struct tenant_event {
  enum tenant_event_kind kind;
  bool is_over;
};

struct profile_revision {
  enum profile profile;
  struct span revision;
};

/* The event's user, or the device of its serial, whichever is named, is put into a group. */
struct group_change {
  struct span group;
  bool is_removed; /* taken out of it instead */
};

enum event_kind {
  EVENT_ENROLLMENT,
  EVENT_CHECKIN,
  EVENT_REPORT,
  EVENT_COMMAND,
  /* Of the control topic: */
  EVENT_POLICY,
  EVENT_ROLE,
  EVENT_TENANT,
  EVENT_PROFILE_REVISION,
  EVENT_GROUP,
  EVENT_STATE, /* each lane tells what it is; nothing of it changes */
};

struct event {
  enum event_kind kind;
  uint8_t event_id[EVENT_ID_SIZE]; /* a UUID's bytes, network order */
  int64_t occurred_at_ms;
  struct span serial;        /* empty in a control message about no device */
  struct named_person user;  /* of an enrollment, a role, a group */
  struct named_person actor; /* who asks for it: of commands and control messages, if said */
  union {
    struct enrollment enrollment;
    struct checkin checkin;
    struct report report;
    struct device_command command;
    struct policy_change policy;
    struct role_change role;
    struct tenant_event tenant;
    struct profile_revision profile_revision;
    struct group_change group;
  };
};

/* Why a message is a dead letter; the names are the public contract's codes. */
#define REJECT_LIST(X)                                                                             \
  X(NONE, "none")                                                                                  \
  X(TOO_LARGE, "too_large")                                                                        \
  X(KEY_MISMATCH, "key_mismatch")                                                                  \
  X(MISROUTED, "misrouted")                                                                        \
  X(MALFORMED, "malformed")                                                                        \
  X(UNKNOWN_SCHEMA, "unknown_schema")                                                              \
  X(NEVER_COLLECTED, "never_collected")                                                            \
  X(UNKNOWN_DEVICE, "unknown_device")                                                              \
  X(NOT_ALLOWED, "not_allowed")

enum reject_code {
#define X(name, text) REJECT_##name,
  REJECT_LIST(X)
#undef X
      REJECT_COUNT
};

/* What control messages that are kept have in common, beside a person, a device and a policy's
 * text: a name, a number and whether something is taken back. */
struct control_change {
  struct span name; /* a view */
  uint32_t symbol;
  bool is_off;
};

/* What the event says of that; false: of a kind of which nothing is kept. */
bool event_control_change(const struct event *event, struct control_change *change) MUST_USE;

/* Puts it into an event of that kind, which keeps the name as a view. False: a kind of which
 * nothing is kept, a number that is in no table, or a name that is too long. */
bool event_take_control_change(struct event *event, const struct control_change *change) MUST_USE;

/* Where in the program's path a message was refused; a header of the dead letter. */
enum reject_stage { STAGE_KEY, STAGE_VALUE, STAGE_DECISION };

enum { REJECT_TEXT_SIZE = 160 };

struct reject {
  enum reject_code code;
  enum reject_stage stage;
  char text[REJECT_TEXT_SIZE]; /* place and reason, for people; holds no value of the message */
};

const char *reject_code_name(enum reject_code code);

/* Fills the reject; `format` as printf. The text is cut at its size. */
void reject_set(struct reject *reject, enum reject_code code, enum reject_stage stage,
                const char *format, ...) PRINTF_LIKE(4, 5);

#endif
