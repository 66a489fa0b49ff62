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

const char *platform_name(enum platform platform);
const char *profile_name(enum profile profile);
const char *ownership_name(enum ownership ownership);

/* A fact that may never have been reported. */
enum tri { TRI_UNKNOWN, TRI_FALSE, TRI_TRUE };

enum {
  EVENT_ID_SIZE = 16,
  SUBJECT_SIZE = 16,
  SERIAL_SIZE_MAX = 64,
  USER_EMAIL_SIZE_MAX = 320,
  OS_VERSION_SIZE_MAX = 64,
};

/* Times in values lie within the years 1970 to 9999 (the public contract). */
#define EVENT_TIME_MIN_MS INT64_C(0)
#define EVENT_TIME_MAX_MS INT64_C(253402300799999)

struct enrollment {
  struct span user_email;
  uint8_t subject[SUBJECT_SIZE]; /* of user_email; the edge fills it in, decode does not */
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
};

enum event_kind { EVENT_ENROLLMENT, EVENT_CHECKIN, EVENT_REPORT };

struct event {
  enum event_kind kind;
  uint8_t event_id[EVENT_ID_SIZE]; /* a UUID's bytes, network order */
  int64_t occurred_at_ms;
  struct span serial;
  union {
    struct enrollment enrollment;
    struct checkin checkin;
    struct report report;
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
