/* What the events need of each input record: the slots of its program.
 * The one place that schemas (which makes the programs) and decode (which reads the slots)
 * share. X(slot, path, kind) in the terms of resolve. */
#ifndef MUSTER_CONSUMERS_EVENT_SLOTS_H
#define MUSTER_CONSUMERS_EVENT_SLOTS_H

#define ENROLLMENT_SLOTS(X)                                                                        \
  X(ENROLLMENT_EVENT_ID, "event_id", NODE_STRING)                                                  \
  X(ENROLLMENT_OCCURRED_AT, "occurred_at", NODE_LONG)                                              \
  X(ENROLLMENT_SERIAL, "serial", NODE_STRING)                                                      \
  X(ENROLLMENT_USER_EMAIL, "user_email", NODE_STRING)                                              \
  X(ENROLLMENT_PLATFORM, "platform", NODE_ENUM)                                                    \
  X(ENROLLMENT_PROFILE, "profile", NODE_ENUM)                                                      \
  X(ENROLLMENT_OS_VERSION, "os_version", NODE_STRING)                                              \
  X(ENROLLMENT_OWNERSHIP, "ownership", NODE_ENUM)                                                  \
  X(ENROLLMENT_HAS_CONSENT, "consent?", NODE_UNION)                                                \
  X(ENROLLMENT_NOTICE_VERSION, "consent.notice_version", NODE_STRING)                              \
  X(ENROLLMENT_GIVEN_AT, "consent.given_at", NODE_LONG)

#define CHECKIN_SLOTS(X)                                                                           \
  X(CHECKIN_EVENT_ID, "event_id", NODE_STRING)                                                     \
  X(CHECKIN_OCCURRED_AT, "occurred_at", NODE_LONG)                                                 \
  X(CHECKIN_SERIAL, "serial", NODE_STRING)                                                         \
  X(CHECKIN_OS_VERSION, "os_version", NODE_STRING)                                                 \
  X(CHECKIN_TRIGGER, "trigger", NODE_ENUM)

#define REPORT_SLOTS(X)                                                                            \
  X(REPORT_EVENT_ID, "event_id", NODE_STRING)                                                      \
  X(REPORT_OCCURRED_AT, "occurred_at", NODE_LONG)                                                  \
  X(REPORT_SERIAL, "serial", NODE_STRING)                                                          \
  X(REPORT_HAS_OS_VERSION, "os_version?", NODE_UNION)                                              \
  X(REPORT_OS_VERSION, "os_version", NODE_STRING)                                                  \
  X(REPORT_HAS_ANTIVIRUS, "antivirus_enabled?", NODE_UNION)                                        \
  X(REPORT_ANTIVIRUS, "antivirus_enabled", NODE_BOOLEAN)                                           \
  X(REPORT_HAS_SIGNATURES_AT, "antivirus_signatures_at?", NODE_UNION)                              \
  X(REPORT_SIGNATURES_AT, "antivirus_signatures_at", NODE_LONG)                                    \
  X(REPORT_HAS_DISK, "disk_encrypted?", NODE_UNION)                                                \
  X(REPORT_DISK, "disk_encrypted", NODE_BOOLEAN)                                                   \
  X(REPORT_HAS_PIN_LENGTH, "screen_lock_pin_length?", NODE_UNION)                                  \
  X(REPORT_PIN_LENGTH, "screen_lock_pin_length", NODE_INT)                                         \
  X(REPORT_HAS_THREAT_LEVEL, "threat_defence_level?", NODE_UNION)                                  \
  X(REPORT_THREAT_LEVEL, "threat_defence_level", NODE_ENUM)                                        \
  X(REPORT_HAS_THREAT_AT, "threat_defence_at?", NODE_UNION)                                        \
  X(REPORT_THREAT_AT, "threat_defence_at", NODE_LONG)

#define COMMAND_SLOTS(X)                                                                           \
  X(COMMAND_EVENT_ID, "event_id", NODE_STRING)                                                     \
  X(COMMAND_OCCURRED_AT, "occurred_at", NODE_LONG)                                                 \
  X(COMMAND_SERIAL, "serial", NODE_STRING)                                                         \
  X(COMMAND_KIND, "command", NODE_ENUM)                                                            \
  X(COMMAND_HAS_ACTOR, "actor_email?", NODE_UNION)                                                 \
  X(COMMAND_ACTOR, "actor_email", NODE_STRING)                                                     \
  X(COMMAND_ORIGIN, "origin", NODE_ENUM)                                                           \
  X(COMMAND_HAS_STATUS, "status?", NODE_UNION)                                                     \
  X(COMMAND_STATUS, "status", NODE_ENUM)                                                           \
  X(COMMAND_HAS_WIPE_REASON, "wipe_reason?", NODE_UNION)                                           \
  X(COMMAND_WIPE_REASON, "wipe_reason", NODE_ENUM)                                                 \
  X(COMMAND_HAS_CONFIRM, "confirm?", NODE_UNION)                                                   \
  X(COMMAND_CONFIRM, "confirm", NODE_STRING)                                                       \
  X(COMMAND_HAS_NAME, "name?", NODE_UNION)                                                         \
  X(COMMAND_NAME, "name", NODE_STRING)                                                             \
  X(COMMAND_HAS_NOTE, "note?", NODE_UNION)                                                         \
  X(COMMAND_NOTE, "note", NODE_STRING)

/* What every control message says; its actor stands third. */
#define CONTROL_SLOTS(X, RECORD)                                                                   \
  X(RECORD##_EVENT_ID, "event_id", NODE_STRING)                                                    \
  X(RECORD##_OCCURRED_AT, "occurred_at", NODE_LONG)                                                \
  X(RECORD##_HAS_ACTOR, "actor_email?", NODE_UNION)                                                \
  X(RECORD##_ACTOR, "actor_email", NODE_STRING)

#define POLICY_SLOTS(X)                                                                            \
  CONTROL_SLOTS(X, POLICY)                                                                         \
  X(POLICY_VERSION, "version", NODE_STRING)                                                        \
  X(POLICY_HASH, "hash", NODE_STRING)                                                              \
  X(POLICY_HAS_TEXT, "text?", NODE_UNION)                                                          \
  X(POLICY_TEXT, "text", NODE_STRING)

#define ROLE_SLOTS(X)                                                                              \
  CONTROL_SLOTS(X, ROLE)                                                                           \
  X(ROLE_USER, "user_email", NODE_STRING)                                                          \
  X(ROLE_ROLE, "role", NODE_ENUM)                                                                  \
  X(ROLE_CHANGE, "change", NODE_ENUM)

#define TENANT_SLOTS(X)                                                                            \
  CONTROL_SLOTS(X, TENANT)                                                                         \
  X(TENANT_KIND, "kind", NODE_ENUM)                                                                \
  X(TENANT_CHANGE, "change", NODE_ENUM)

#define REVISION_SLOTS(X)                                                                          \
  CONTROL_SLOTS(X, REVISION)                                                                       \
  X(REVISION_PROFILE, "profile", NODE_ENUM)                                                        \
  X(REVISION_REVISION, "revision", NODE_STRING)

#define GROUP_SLOTS(X)                                                                             \
  CONTROL_SLOTS(X, GROUP)                                                                          \
  X(GROUP_GROUP, "group", NODE_STRING)                                                             \
  X(GROUP_HAS_USER, "user_email?", NODE_UNION)                                                     \
  X(GROUP_USER, "user_email", NODE_STRING)                                                         \
  X(GROUP_HAS_SERIAL, "serial?", NODE_UNION)                                                       \
  X(GROUP_SERIAL, "serial", NODE_STRING)                                                           \
  X(GROUP_CHANGE, "change", NODE_ENUM)

#define STATE_SLOTS(X) CONTROL_SLOTS(X, STATE)

#endif
