/* What is told of a device: its fields in the public contract's names and order. */
#ifndef MUSTER_APP_DEVICE_COLUMNS_H
#define MUSTER_APP_DEVICE_COLUMNS_H

#include "core/app/output.h"

#define TIME_SQL(column) "(extract(epoch from " #column ") * 1000)::bigint"

/* X(NAME, name, column type, left out of tables of many rows, SQL of muster.device_detail). Lists
 * show the first DEVICE_LIST_COLUMN_COUNT. */
#define DEVICE_COLUMN_LIST(X)                                                                      \
  X(DEVICE_ID, device_id, TEXT, false, "device_id")                                                \
  X(SERIAL, serial, TEXT, false, "serial")                                                         \
  X(USER_EMAIL, user_email, TEXT, false, "user_email")                                             \
  X(PLATFORM, platform, TEXT, false, "platform")                                                   \
  X(PROFILE, profile, TEXT, false, "profile")                                                      \
  X(OWNERSHIP, ownership, TEXT, true, "ownership")                                                 \
  X(OS_VERSION, os_version, TEXT, true, "os_version")                                              \
  X(STATUS, status, TEXT, false, "status")                                                         \
  X(COMPLIANCE, compliance, TEXT, false, "compliance")                                             \
  X(VIOLATIONS, violations, LIST, false, "array_to_string(violations, E'\\n')")                    \
  X(NONCOMPLIANT_SINCE, noncompliant_since, TIME, true, TIME_SQL(noncompliant_since))              \
  X(EMAIL_BLOCKED, email_blocked, BOOLEAN, false, "email_blocked")                                 \
  X(SAP_BLOCKED, sap_blocked, BOOLEAN, true, "sap_blocked")                                        \
  X(TICKET_OPEN, ticket_open, BOOLEAN, true, "ticket_open")                                        \
  X(OVERDUE_SINCE, overdue_since, TIME, true, TIME_SQL(overdue_since))                             \
  X(LAST_SYNC_AT, last_sync_at, TIME, false, TIME_SQL(last_sync_at))                               \
  X(NEXT_ACTION, next_action, TEXT, true, "next_action")                                           \
  X(NEXT_ACTION_AT, next_action_at, TIME, true, TIME_SQL(next_action_at))                          \
  X(LANE, lane, INTEGER, true, "lane")                                                             \
  X(SEQ, seq, INTEGER, true, "seq")                                                                \
  X(AT, at, TIME, true, TIME_SQL(at))                                                              \
  X(CAUSE, cause, JSON, true, "cause")                                                             \
  X(EVENT_ID, event_id, TEXT, true, "event_id")                                                    \
  X(POLICY, policy, TEXT, true, "policy")                                                          \
  X(SUBJECT, subject, TEXT, true, "subject")

enum device_column {
#define X(place, column, kind, hidden, expression) DEVICE_##place,
  DEVICE_COLUMN_LIST(X)
#undef X
      DEVICE_COLUMN_COUNT
};
enum { DEVICE_LIST_COLUMN_COUNT = DEVICE_LANE };

extern const struct column device_columns[DEVICE_COLUMN_COUNT];
extern const char *const device_expressions[DEVICE_COLUMN_COUNT];

#endif
