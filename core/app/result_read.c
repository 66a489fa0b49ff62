#include "core/app/result_read.h"

#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static bool fail(struct result_read *read, const char *why) {
  snprintf(read->reason, sizeof read->reason, "%s", why);
  return false;
}

/* Fields. --------------------------------------------------------------------------------- */

static struct span text_of(const json_t *json) {
  return json_is_string(json) ? span_of(json_string_value(json), json_string_length(json))
                              : (struct span){0};
}

static struct span text_at(const json_t *object, const char *name) {
  return text_of(json_object_get(object, name));
}

static const char *string_at(const json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

static bool number_at(const json_t *object, const char *name, int64_t *number) {
  const json_t *const value = json_object_get(object, name);
  *number = json_integer_value(value);
  return json_is_integer(value);
}

static bool is_time(int64_t at_ms) {
  return at_ms >= -EVENT_TIME_MAX_MS && at_ms <= EVENT_TIME_MAX_MS;
}

/* A time, or null. */
static bool time_at(const json_t *object, const char *name, int64_t *at_ms) {
  if (!number_at(object, name, at_ms)) {
    *at_ms = TIME_NONE;
  }
  return *at_ms == TIME_NONE || is_time(*at_ms);
}

/* Which symbol of a list a text names; `count` for none. The list is given by its function. */
#define SYMBOL_AT(function, type, count)                                                           \
  static bool function##_at(const json_t *object, const char *name, enum type *symbol) {           \
    const char *const text = string_at(object, name);                                              \
    for (enum type i = 0; text != NULL && i < (count); i++) {                                      \
      if (strcmp(text, function(i)) == 0) {                                                        \
        *symbol = i;                                                                               \
        return true;                                                                               \
      }                                                                                            \
    }                                                                                              \
    return false;                                                                                  \
  }
SYMBOL_AT(compliance_name, compliance, COMPLIANCE_COUNT)
SYMBOL_AT(access_decision_name, access_decision, ACCESS_COUNT)
SYMBOL_AT(ticket_action_name, ticket_action, TICKET_ACTION_COUNT)
SYMBOL_AT(license_action_name, license_action, LICENSE_ACTION_COUNT)
SYMBOL_AT(action_kind_name, action_kind, ACTION_KIND_COUNT)
SYMBOL_AT(audit_action_name, audit_action, AUDIT_ACTION_COUNT)
SYMBOL_AT(outcome_name, outcome, OUTCOME_COUNT)

static bool bytes_of_hex(struct span text, uint8_t *bytes, size_t size) {
  bool is_good = text.size == 2 * size;
  for (size_t i = 0; is_good && i < size; i++) {
    const char pair[3] = {(char)text.data[2 * i], (char)text.data[2 * i + 1], '\0'};
    char *end;
    bytes[i] = (uint8_t)strtoul(pair, &end, 16);
    is_good = *end == '\0';
  }
  return is_good;
}

static bool topic_of(struct span name, const char *prefix, enum topic *topic) {
  const size_t size = strlen(prefix);
  for (enum topic i = 0; i < TOPIC_COUNT && name.size > size; i++) {
    if (memcmp(name.data, prefix, size) == 0 &&
        span_equal(span_of(name.data + size, name.size - size), span_text(topic_name(i)))) {
      *topic = i;
      return true;
    }
  }
  return false;
}

/* Headers. -------------------------------------------------------------------------------- */

static uint32_t u32_of(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The next header, in the form of struct original's; false at the end. */
static bool next_header(struct span *rest, struct span *name, struct span *value) {
  if (rest->size < 8) {
    return false;
  }
  *name = span_of(rest->data + 4, u32_of(rest->data));
  const uint8_t *at = name->data + name->size;
  const uint32_t size = u32_of(at);
  *value = size == UINT32_MAX ? (struct span){0} : span_of(at + 4, size);
  const size_t taken = 8 + name->size + value->size;
  *rest = span_of(rest->data + taken, rest->size - taken);
  return true;
}

/* The last of that name; no data when there is none. `before` has what stands before it. */
static struct span last_header(struct span headers, const char *wanted, struct span *before) {
  struct span rest = headers;
  struct span name;
  struct span value;
  struct span last = {0};
  const uint8_t *at = rest.data;
  *before = headers;
  while (next_header(&rest, &name, &value)) {
    if (span_equal(name, span_text(wanted)) && value.data != NULL) {
      last = value;
      *before = span_of(headers.data, (size_t)(at - headers.data));
    }
    at = rest.data;
  }
  return last;
}

static struct span header(struct span headers, const char *name) {
  struct span unused;
  return last_header(headers, name, &unused);
}

static bool header_number(struct span headers, const char *name, int64_t *number) {
  const struct span value = header(headers, name);
  char digits[24];
  char *end;
  snprintf(digits, sizeof digits, "%.*s", (int)value.size, (const char *)value.data);
  *number = strtoll(digits, &end, 10);
  return value.size > 0 && *end == '\0';
}

/* A dead letter. -------------------------------------------------------------------------- */

static bool take_reject(struct span headers, struct reject *reject) {
  static const char *const stages[] = {"KEY_CONVERTER", "VALUE_CONVERTER", "TRANSFORMATION"};
  const struct span code = header(headers, "muster.error");
  const struct span stage = header(headers, "__connect.errors.stage");
  const struct span text = header(headers, "__connect.errors.exception.message");
  reject->code = REJECT_NONE;
  for (enum reject_code i = 0; i < REJECT_COUNT; i++) {
    reject->code = span_equal(code, span_text(reject_code_name(i))) ? i : reject->code;
  }
  reject->stage = STAGE_DECISION;
  for (enum reject_stage i = 0; i < STAGE_DECISION; i++) {
    reject->stage = span_equal(stage, span_text(stages[i])) ? i : reject->stage;
  }
  snprintf(reject->text, sizeof reject->text, "%.*s", (int)text.size, (const char *)text.data);
  return reject->code != REJECT_NONE && text.size < REJECT_TEXT_SIZE;
}

static bool take_left_out(struct span headers, struct original *original) {
  int64_t size;
  const struct span digest = header(headers, "muster.sha256");
  if (digest.size == 0) {
    return true;
  }
  original->size_bytes = header_number(headers, "muster.size", &size) ? (uint64_t)size : 0;
  return bytes_of_hex(digest, original->value_sha256, sizeof original->value_sha256);
}

/* What was decoded before it was refused says its event's id. */
static bool take_event_id(const struct result_reader *reader, struct result_read *read) {
  struct result *const result = &read->result;
  struct event event;
  struct reject reject;
  if (result->dead_letter.reject.stage != STAGE_DECISION) {
    return true;
  }
  if (!decode(reader->schemas, result->cause.topic, result->dead_letter.original.value, &event,
              &reject)) {
    return fail(read, reject.text);
  }
  result->cause.has_event_id = true;
  memcpy(result->cause.event_id, event.event_id, EVENT_ID_SIZE);
  return true;
}

static bool read_letter(const struct result_reader *reader, const struct outgoing *message,
                        struct result_read *read) {
  struct result *const result = &read->result;
  struct span theirs;
  int64_t seq;
  last_header(message->headers, "muster.error", &theirs);
  const struct span ours =
      span_of(message->headers.data + theirs.size, message->headers.size - theirs.size);
  result->dead_letter.original = (struct original){.key = message->key,
                                                   .key_is_null = message->key_is_null,
                                                   .value = message->value,
                                                   .value_is_null = message->value_is_null,
                                                   .headers = theirs,
                                                   .timestamp_ms = message->timestamp_ms};
  const bool is_good = header_number(ours, "muster.seq", &seq) && seq > 0 &&
                       take_reject(ours, &result->dead_letter.reject) &&
                       take_left_out(ours, &result->dead_letter.original) &&
                       topic_of(header(ours, "__connect.errors.topic"), reader->topic_prefix,
                                &result->cause.topic) &&
                       header_number(ours, "__connect.errors.offset", &result->cause.offset) &&
                       result->cause.offset >= 0;
  if (!is_good) {
    return fail(read, "its headers are not those of a dead letter of ours");
  }
  result->seq = (uint64_t)seq;
  result->cause.traceparent = header(theirs, "traceparent");
  return take_event_id(reader, read);
}

/* The others. ----------------------------------------------------------------------------- */

static bool take_cause(const struct result_reader *reader, struct result_read *read,
                       struct span headers) {
  const json_t *const cause = json_object_get(read->json, "cause");
  const struct span event_id = text_at(read->json, "event_id");
  struct cause *const is = &read->result.cause;
  is->has_event_id = event_id.size > 0;
  is->traceparent = header(headers, "traceparent");
  if (is->has_event_id && !decode_uuid(event_id, is->event_id)) {
    return false;
  }
  return !json_is_object(cause) ||
         (topic_of(text_at(cause, "topic"), reader->topic_prefix, &is->topic) &&
          number_at(cause, "offset", &is->offset) && is->offset >= 0);
}

static bool take_subject(struct result_read *read) {
  const struct span subject = text_at(read->json, "subject");
  read->result.has_subject = subject.size > 0;
  return subject.size == 0 || bytes_of_hex(subject, read->result.subject, SUBJECT_SIZE);
}

static bool take_policy(const struct result_reader *reader, struct result_read *read) {
  const struct known_policy *const known =
      control_find_policy(reader->control, text_at(read->json, "policy"));
  if (known == NULL) {
    return fail(read, "it names a policy that was never in force");
  }
  read->result.policy = known->policy->version;
  read->result.rules = policy_rule_names(known->policy);
  return true;
}

static bool take_common(const struct result_reader *reader, struct result_read *read,
                        const struct outgoing *message) {
  struct result *const result = &read->result;
  int64_t seq;
  if (!number_at(read->json, "seq", &seq) || !number_at(read->json, "at", &result->at_ms) ||
      seq <= 0 || !is_time(result->at_ms) || !take_cause(reader, read, message->headers) ||
      !take_subject(read)) {
    return fail(read, "it is no result of ours");
  }
  const struct span device_id = text_at(read->json, "device_id");
  result->seq = (uint64_t)seq;
  result->device_number = device_id_parse(device_id);
  result->serial = text_at(read->json, "serial");
  read->user_email = text_at(read->json, "user_email");
  return take_policy(reader, read);
}

static bool take_violations(struct result_read *read, violation_set *violations) {
  const json_t *const ids = json_object_get(read->json, "violations");
  const struct rule_names *const rules = &read->result.rules;
  *violations = 0;
  for (size_t i = 0; i < json_array_size(ids); i++) {
    const struct span id = text_of(json_array_get(ids, i));
    uint32_t rule = 0;
    while (rule < rules->count && !span_equal(id, span_text(rules->ids[rule]))) {
      rule++;
    }
    if (rule == rules->count) {
      return false;
    }
    *violations |= 1u << rule;
  }
  return json_is_array(ids);
}

static bool take_ticket(struct result_read *read) {
  struct result *const result = &read->result;
  const char *const correlation_id = string_at(read->json, "correlation_id");
  const char *const slash = correlation_id == NULL ? NULL : strrchr(correlation_id, '/');
  result->ticket.episode = slash == NULL ? 0 : (uint32_t)strtoul(slash + 1, NULL, 10);
  result->ticket.description = string_at(read->json, "description");
  return slash != NULL && ticket_action_name_at(read->json, "action", &result->ticket.action) &&
         take_violations(read, &result->ticket.violations);
}

static bool take_action(struct result_read *read) {
  struct result *const result = &read->result;
  json_t *const parameters = json_object_get(read->json, "parameters");
  result->action.is_selective = json_is_true(json_object_get(read->json, "selective"));
  void *const first = json_object_iter(parameters);
  if (first != NULL) {
    result->action.parameter = json_object_iter_key(first);
    result->action.parameter_value = text_of(json_object_iter_value(first));
  }
  return json_object_size(parameters) <= 1 &&
         action_kind_name_at(read->json, "action", &result->action.action);
}

static bool take_audit(struct result_read *read) {
  struct result *const result = &read->result;
  result->audit.actor = string_at(read->json, "actor");
  result->audit.target = text_at(read->json, "target");
  result->audit.reason = string_at(read->json, "reason");
  return result->audit.actor != NULL &&
         audit_action_name_at(read->json, "action", &result->audit.action) &&
         outcome_name_at(read->json, "outcome", &result->audit.outcome);
}

static bool take_fields(struct result_read *read) {
  struct result *const result = &read->result;
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    return time_at(read->json, "noncompliant_since", &result->change.noncompliant_since_ms) &&
           compliance_name_at(read->json, "compliance", &result->change.compliance) &&
           take_violations(read, &result->change.violations);
  case RESULT_NOTIFICATION:
    result->notification.template_name = string_at(read->json, "template");
    return result->notification.template_name != NULL;
  case RESULT_ACCESS_DECISION:
    result->access.resource = string_at(read->json, "resource");
    result->access.reason = string_at(read->json, "reason");
    return result->access.resource != NULL && result->access.reason != NULL &&
           access_decision_name_at(read->json, "decision", &result->access.decision);
  case RESULT_TICKET:
    return take_ticket(read);
  case RESULT_LICENSE:
    return license_action_name_at(read->json, "action", &result->license.action);
  case RESULT_ACTION:
    return take_action(read);
  case RESULT_AUDIT:
    return take_audit(read);
  case RESULT_DEAD_LETTER:
  case RESULT_KIND_COUNT:
    break;
  }
  return false;
}

static json_t *json_of(const struct result_reader *reader, const struct found_record *record,
                       struct reject *reject) {
  const struct outgoing *const message = &record->message;
  const struct writer *const ours = schemas_find_own(reader->schemas, record_name(message->record));
  snprintf(reject->text, sizeof reject->text, "a null value");
  return message->value_is_null ? NULL
                                : avro_json_of_ours(reader->schemas, ours, message->value, reject);
}

bool result_read(const struct result_reader *reader, const struct found_record *record,
                 struct result_read *read) {
  *read = (struct result_read){.result = {.kind = (enum result_kind)record->message.record,
                                          .cause = {.offset = -1},
                                          .person = INDEX_NONE}};
  if (read->result.kind == RESULT_DEAD_LETTER) {
    return read_letter(reader, &record->message, read);
  }
  struct reject reject;
  read->json = json_of(reader, record, &reject);
  if (read->json == NULL) {
    return fail(read, reject.text);
  }
  if (!take_common(reader, read, &record->message)) {
    return false;
  }
  const bool concerns_device = read->result.device_number > 0 || read->result.kind == RESULT_AUDIT;
  return (concerns_device && take_fields(read)) || fail(read, "a field of it says what none can");
}

bool result_read_device_email(const struct result_reader *reader, const struct found_record *record,
                              struct result_read *read) {
  struct reject reject;
  *read = (struct result_read){.json = json_of(reader, record, &reject)};
  read->user_email = text_at(read->json, "user_email");
  return read->json != NULL;
}

void result_read_fini(struct result_read *read) {
  json_decref(read->json);
  read->json = NULL;
}

bool result_read_seq(const struct result_reader *reader, const struct frames *frames,
                     const struct found_record *record, uint64_t *seq) {
  struct found_head head;
  struct reject reject;
  int64_t number = 0;
  if (found_read_head(record, frames, &head)) {
    *seq = (uint64_t)head.seq;
    return head.seq > 0;
  }
  if (record->message.record == RESULT_DEAD_LETTER) {
    return false;
  }
  json_t *const json = json_of(reader, record, &reject);
  const bool is_there = number_at(json, "seq", &number) && number > 0;
  json_decref(json);
  *seq = (uint64_t)number;
  return is_there;
}
