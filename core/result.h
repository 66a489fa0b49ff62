/* What was decided: one numbered line of a lane's output, or the new state of a device.
 *
 * A result's identity is its lane and number; everything in it follows from the log, so a
 * replay makes the same result. It names people by subject only. Views inside a result
 * live as long as the message that caused it: whoever keeps one copies it. */
#ifndef MUSTER_CORE_RESULT_H
#define MUSTER_CORE_RESULT_H

#include "core/event.h"

/* No such instant: not reported, not scheduled, never happened. */
#define TIME_NONE INT64_MIN

/* X(kind, topic name without prefix, Avro record name). The number of a kind is stored in the
 * database: new kinds go to the end. */
#define RESULT_KIND_LIST(X)                                                                        \
  X(COMPLIANCE_CHANGE, "compliance-changes", "ComplianceChange")                                   \
  X(NOTIFICATION, "notifications", "Notification")                                                 \
  X(ACCESS_DECISION, "access-decisions", "AccessDecision")                                         \
  X(TICKET, "tickets", "Ticket")                                                                   \
  X(LICENSE, "licenses", "License")                                                                \
  X(ACTION, "actions", "Action")                                                                   \
  X(AUDIT, "audit", "AuditEntry")                                                                  \
  X(DEAD_LETTER, "dead-letters", "")

enum result_kind {
#define X(kind, topic, record) RESULT_##kind,
  RESULT_KIND_LIST(X)
#undef X
      RESULT_KIND_COUNT
};

const char *result_topic_name(enum result_kind kind);
const char *result_record_name(enum result_kind kind);

/* Symbols' order is the order in schemas/ and the number stored in the database. */
#define COMPLIANCE_SYMBOLS(X) X(UNKNOWN) X(COMPLIANT) X(NONCOMPLIANT)
#define DECISION_SYMBOLS(X) X(ALLOW) X(BLOCK)
#define TICKET_SYMBOLS(X) X(OPEN) X(UPDATE) X(RESOLVE)
#define LICENSE_SYMBOLS(X) X(ASSIGN) X(RELEASE)
#define AUDIT_ACTION_SYMBOLS(X) X(ASSIGN) X(CREATE) X(DELETE) X(MANAGE) X(REMOTE_TASK) X(UPDATE)
#define ACTION_SYMBOLS(X) X(PUSH_PROFILE) X(WIPE) X(RETIRE) X(RENAME) X(SYNC)
#define OUTCOME_SYMBOLS(X) X(OK) X(REFUSED) X(FAILED)

enum compliance {
#define X(name) COMPLIANCE_##name,
  COMPLIANCE_SYMBOLS(X)
#undef X
      COMPLIANCE_COUNT
};
enum access_decision {
#define X(name) ACCESS_##name,
  DECISION_SYMBOLS(X)
#undef X
      ACCESS_COUNT
};
enum ticket_action {
#define X(name) TICKET_##name,
  TICKET_SYMBOLS(X)
#undef X
      TICKET_ACTION_COUNT
};
enum license_action {
#define X(name) LICENSE_##name,
  LICENSE_SYMBOLS(X)
#undef X
      LICENSE_ACTION_COUNT
};
enum audit_action {
#define X(name) AUDIT_##name,
  AUDIT_ACTION_SYMBOLS(X)
#undef X
      AUDIT_ACTION_COUNT
};
enum action_kind {
#define X(name) ACTION_##name,
  ACTION_SYMBOLS(X)
#undef X
      ACTION_KIND_COUNT
};
enum outcome {
#define X(name) OUTCOME_##name,
  OUTCOME_SYMBOLS(X)
#undef X
      OUTCOME_COUNT
};

const char *compliance_name(enum compliance compliance);
const char *access_decision_name(enum access_decision decision);
const char *ticket_action_name(enum ticket_action action);
const char *license_action_name(enum license_action action);
const char *audit_action_name(enum audit_action action);
const char *action_kind_name(enum action_kind action);
const char *outcome_name(enum outcome outcome);

/* A set of violated rules: bit i is rule i of the policy, in policy order. */
typedef uint32_t violation_set;
enum { VIOLATIONS_MAX = 32 };

/* The rules' ids in policy order: bit i of a violation set is ids[i]. */
struct rule_names {
  const char *const *ids;
  uint32_t count;
};

/* The message that caused something. `offset` < 0: a timer did. The partition is the lane's,
 * or 0 for control. */
struct cause {
  enum topic topic;
  int64_t offset;
  bool has_event_id;
  uint8_t event_id[EVENT_ID_SIZE];
  struct span traceparent; /* the header's value, carried over byte for byte; size 0: none */
};

/* A message as it came, for its dead letter. */
struct original {
  struct span key;
  bool key_is_null;
  struct span value;
  bool value_is_null;
  /* All headers in order, opaque here: for each a big-endian u32 length and its name, then a
   * big-endian i32 length (-1: null) and its value. */
  struct span headers;
  int64_t timestamp_ms; /* as stamped; -1 when there was none */
  /* Of a value that its dead letter leaves out (too_large, never_collected). */
  uint8_t value_sha256[32];
  uint64_t size_bytes;
};

struct device;

struct result {
  enum result_kind kind;
  uint64_t seq; /* dense from 1 in its lane */
  int64_t at_ms;
  struct cause cause;
  const char *policy;      /* version in force; lives as long as the lane */
  struct rule_names rules; /* its own; of one read back, whoever knows policies fills them in */
  uint64_t device_number;  /* 0: concerns no device */
  struct span serial;      /* empty when it concerns no device */
  /* The device in the state that it is being changed to, while the sink is called; NULL: it
   * concerns none, or the result was read back. */
  const struct device *state;
  bool has_subject;
  uint8_t subject[SUBJECT_SIZE];
  /* The subject's index in the lane, where the edge finds the address; UINT32_MAX: nobody whose
   * address a result like this would show. */
  uint32_t person;
  union {
    struct {
      enum compliance compliance;
      violation_set violations;
      int64_t noncompliant_since_ms;
    } change;
    struct {
      const char *template_name;
    } notification;
    struct {
      const char *resource;
      enum access_decision decision;
      const char *reason;
    } access;
    struct {
      enum ticket_action action;
      uint32_t episode; /* correlation_id is "<device id>/<episode>" */
      violation_set violations;
      const char *description; /* for people: by whoever knows the policy's texts; NULL: none */
    } ticket;
    struct {
      enum license_action action;
    } license;
    struct {
      enum action_kind action;
      bool is_selective;
      /* One parameter at most: "name" of RENAME, "revision" or "profile" of PUSH_PROFILE, "reason"
       * of WIPE. NULL: none. */
      const char *parameter;
      struct span parameter_value;
    } action;
    struct {
      const char *actor; /* "device", "timer", …, or the subject of who asked for it, in hex */
      enum audit_action action;
      struct span target; /* a device ID, or the serial of what did not become a device */
      enum outcome outcome;
      const char *reason;
    } audit;
    struct {
      struct reject reject;
      struct original original;
    } dead_letter;
  };
};

/* Takes results as they are decided, in order. Called by the core, implemented by an edge:
 * the message's views are valid during the call only. */
struct sink {
  void *context;
  void (*take)(void *context, const struct result *result);
};

enum { DEVICE_ID_SIZE = 24 };

/* "D" and at least three digits, terminated: 1 is D001, 1000 is D1000. Returns the length. */
size_t device_id_format(uint64_t number, char text[DEVICE_ID_SIZE]);

/* The number of a device ID in either case ("d001"); 0 when it is none. */
uint64_t device_id_parse(struct span text);

#endif
