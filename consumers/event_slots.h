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
  X(REPORT_PIN_LENGTH, "screen_lock_pin_length", NODE_INT)

#endif
