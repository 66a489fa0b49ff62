#include "producers/encode_record.h"

enum {
  VALUE_SIZE_FIXED = 768, /* numbers, ids, digests of a person: all that is not a text */
  HEADERS_SIZE_FIXED = 64,
};

/* What results and devices have in common, in the schemas' order. */
struct common {
  uint64_t seq;
  int64_t at_ms;
  const struct cause *cause;
  const char *policy;
  const uint8_t *subject; /* NULL: no person is concerned */
  struct span device_id;  /* empty: no device is concerned */
  struct span serial;
};

static uint8_t *put_cause(uint8_t *at, const struct encoding *encoding, const struct cause *cause) {
  at = put_is_set(at, cause->offset >= 0);
  if (cause->offset < 0) {
    return at;
  }
  const size_t prefix_size = strlen(encoding->topic_prefix);
  const struct span name = span_text(topic_name(cause->topic));
  at = put_unsigned(at, prefix_size + name.size);
  at = put_bytes(at, encoding->topic_prefix, prefix_size);
  at = put_bytes(at, name.data, name.size);
  at = put_unsigned(at, cause->topic == TOPIC_CONTROL ? 0 : encoding->lane);
  return put_long(at, cause->offset);
}

static uint8_t *put_common(uint8_t *at, const struct encoding *encoding,
                           const struct common *common) {
  at = put_unsigned(at, encoding->lane);
  at = put_unsigned(at, common->seq);
  at = put_long(at, common->at_ms);
  at = put_cause(at, encoding, common->cause);
  at = put_is_set(at, common->cause->has_event_id);
  if (common->cause->has_event_id) {
    at = put_uuid(at, common->cause->event_id);
  }
  at = put_text(at, common->policy);
  at = put_is_set(at, common->subject != NULL);
  if (common->subject != NULL) {
    at = put_hex(at, common->subject, SUBJECT_SIZE);
  }
  return at;
}

static size_t common_size_max(const struct encoding *encoding, const struct common *common) {
  return VALUE_SIZE_FIXED + strlen(encoding->topic_prefix) + strlen(common->policy) +
         common->serial.size;
}

static size_t violations_size_max(const struct rule_names *rules) {
  size_t size = 2 * LONG_SIZE_MAX;
  for (size_t i = 0; i < rules->count; i++) {
    size += LONG_SIZE_MAX + strlen(rules->ids[i]);
  }
  return size;
}

static uint8_t *put_violations(uint8_t *at, const struct rule_names *rules, violation_set set) {
  assert(rules->count >= VIOLATIONS_MAX || set >> rules->count == 0);
  const int count = __builtin_popcount(set);
  if (count > 0) {
    at = put_long(at, count);
    for (violation_set left = set; left != 0; left &= left - 1) {
      at = put_text(at, rules->ids[__builtin_ctz(left)]);
    }
  }
  return put_long(at, 0); /* no further block */
}

static uint8_t *put_audit(uint8_t *at, const struct result *result) {
  at = put_text(at, result->audit.actor);
  at = put_unsigned(at, result->audit.action);
  at = put_string(at, result->audit.target);
  at = put_unsigned(at, result->audit.outcome);
  return put_nullable_text(at, result->audit.reason);
}

static size_t fields_size_max(const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    return violations_size_max(&result->rules);
  case RESULT_TICKET:
    return violations_size_max(&result->rules) +
           (result->ticket.description != NULL ? strlen(result->ticket.description) : 0);
  case RESULT_NOTIFICATION:
    return strlen(result->notification.template_name);
  case RESULT_ACCESS_DECISION:
    return strlen(result->access.resource) + strlen(result->access.reason);
  case RESULT_AUDIT:
    return strlen(result->audit.actor) + result->audit.target.size +
           (result->audit.reason != NULL ? strlen(result->audit.reason) : 0);
  case RESULT_LICENSE:
    return 0;
  case RESULT_ACTION:
    return result->action.parameter == NULL
               ? 0
               : strlen(result->action.parameter) + result->action.parameter_value.size;
  case RESULT_DEAD_LETTER:
  case RESULT_KIND_COUNT:
    break;
  }
  assert(false); /* a kind without fields here */
  return 0;
}

/* The parameters are a map: one block, of one entry. */
static uint8_t *put_action(uint8_t *at, const struct result *result) {
  at = put_unsigned(at, result->action.action);
  at = put_boolean(at, result->action.is_selective);
  if (result->action.parameter != NULL) {
    at = put_long(at, 1);
    at = put_text(at, result->action.parameter);
    at = put_string(at, result->action.parameter_value);
  }
  return put_long(at, 0);
}

/* The fields of a kind after serial, user_email left to the caller. */
static uint8_t *put_fields(uint8_t *at, const struct result *result, struct span device_id) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    at = put_unsigned(at, result->change.compliance);
    at = put_violations(at, &result->rules, result->change.violations);
    return put_nullable_time(at, result->change.noncompliant_since_ms);
  case RESULT_NOTIFICATION:
    return put_text(at, result->notification.template_name);
  case RESULT_ACCESS_DECISION:
    at = put_text(at, result->access.resource);
    at = put_unsigned(at, result->access.decision);
    return put_text(at, result->access.reason);
  case RESULT_TICKET: {
    uint8_t correlation_id[DEVICE_ID_SIZE + 1 + DECIMAL_SIZE_MAX];
    uint8_t *end = put_bytes(correlation_id, device_id.data, device_id.size);
    *end++ = '/';
    end = put_decimal(end, result->ticket.episode);
    at = put_unsigned(at, result->ticket.action);
    at = put_string(at, span_of(correlation_id, (size_t)(end - correlation_id)));
    at = put_violations(at, &result->rules, result->ticket.violations);
    return put_nullable_text(at, result->ticket.description);
  }
  case RESULT_LICENSE:
    return put_unsigned(at, result->license.action);
  case RESULT_AUDIT:
    return put_audit(at, result);
  case RESULT_ACTION:
    return put_action(at, result);
  case RESULT_DEAD_LETTER:
  case RESULT_KIND_COUNT:
    break;
  }
  assert(false); /* a kind without fields here */
  return at;
}

static bool kind_has_email(enum result_kind kind) {
  return kind == RESULT_NOTIFICATION || kind == RESULT_ACCESS_DECISION || kind == RESULT_LICENSE;
}

/* The traceparent first: it alone belongs to the canonical form. */
static void put_headers(struct draft *draft, const struct encoding *encoding,
                        const struct common *common, struct span *traceparent) {
  if (common->cause->traceparent.size > 0) {
    draft->at = put_header(draft->at, "traceparent", common->cause->traceparent);
  }
  *traceparent = draft_headers(draft);
  if (!encoding->cloudevents) {
    return;
  }
  uint8_t id[4 * (DECIMAL_SIZE_MAX + 1) + DEVICE_ID_SIZE];
  uint8_t *end = put_decimal(id, encoding->lane);
  *end++ = '-';
  end = put_decimal(end, common->seq);
  if (draft->head.record == RECORD_DEVICE) { /* several states may have one number */
    *end++ = '-';
    end = put_bytes(end, common->device_id.data, common->device_id.size);
    *end++ = '-';
    end = put_decimal(end, (uint64_t)common->at_ms);
  }
  const struct cloudevent event = {
      .id = span_of(id, (size_t)(end - id)), .at_ms = common->at_ms, .subject = common->device_id};
  draft->at = put_cloudevent(draft->at, encoding, draft->head.record, &event);
}

static uint8_t *put_key(uint8_t *at, const struct encoding *encoding, struct span device_id) {
  return device_id.size > 0 ? put_bytes(at, device_id.data, device_id.size)
                            : put_decimal(at, encoding->lane);
}

/* An audit entry need not concern a device: there both are nullable. */
static uint8_t *put_device(uint8_t *at, enum result_kind kind, const struct common *common) {
  if (kind == RESULT_AUDIT) {
    return put_nullable_string(put_nullable_string(at, common->device_id), common->serial);
  }
  return put_string(put_string(at, common->device_id), common->serial);
}

static void encode_value(const struct encoding *encoding, const struct result *result,
                         const struct common *common, struct span user_email,
                         struct buffer *records, struct buffer *canonical) {
  const bool has_email = kind_has_email(result->kind);
  const size_t size_max = common_size_max(encoding, common) + fields_size_max(result) +
                          user_email.size + HEADERS_SIZE_FIXED + common->cause->traceparent.size +
                          cloudevent_size_max(encoding);
  struct draft draft = draft_begin(records, result->kind, size_max);
  draft.head.timestamp_ms = result->at_ms;
  draft.at = put_key(draft.at, encoding, common->device_id);
  draft_end_key(&draft);
  draft_begin_value(&draft, encoding);
  const uint8_t *const body = draft.at;
  draft.at = put_common(draft.at, encoding, common);
  draft.at = put_device(draft.at, result->kind, common);
  draft.at = put_fields(draft.at, result, common->device_id);
  const struct span body_without_email = span_of(body, (size_t)(draft.at - body));
  if (has_email) {
    draft.at = put_nullable_string(draft.at, user_email);
  }
  draft_end_value(&draft);
  struct span traceparent;
  put_headers(&draft, encoding, common, &traceparent);
  draft_end(&draft);
  canonical_append(canonical, &(struct canonical){.topic = result_topic_name(result->kind),
                                                  .key = draft_key(&draft),
                                                  .timestamp_ms = result->at_ms,
                                                  .headers = traceparent,
                                                  .value = body_without_email,
                                                  .adds_null_email = has_email});
}

void encode_result(const struct encoding *encoding, const struct result *result,
                   struct span user_email, struct buffer *records, struct buffer *canonical) {
  if (result->kind == RESULT_DEAD_LETTER) {
    encode_letter(encoding, result, records, canonical);
    return;
  }
  assert(result->device_number != 0 || result->kind == RESULT_AUDIT);
  char id[DEVICE_ID_SIZE];
  const size_t id_size =
      result->device_number != 0 ? device_id_format(result->device_number, id) : 0;
  const struct common common = {
      .seq = result->seq,
      .at_ms = result->at_ms,
      .cause = &result->cause,
      .policy = result->policy,
      .subject = result->has_subject ? result->subject : NULL,
      .device_id = span_of(id, id_size),
      .serial = result->serial,
  };
  encode_value(encoding, result, &common, user_email, records, canonical);
}

static uint8_t *put_device_fields(uint8_t *at, const struct device_image *image) {
  const struct device *const state = &image->state;
  at = put_unsigned(at, state->platform);
  at = put_unsigned(at, state->profile);
  at = put_unsigned(at, state->ownership);
  at = put_string(at, image->os_version);
  at = put_unsigned(at, state->status);
  at = put_unsigned(at, state->compliance);
  at = put_violations(at, &image->rules, state->violations);
  at = put_nullable_time(at, state->noncompliant_since_ms);
  at = put_boolean(at, state->email_blocked);
  at = put_boolean(at, state->sap_blocked);
  at = put_boolean(at, state->ticket_open);
  at = put_nullable_time(at, image->overdue_since_ms);
  return put_nullable_time(at, state->last_sync_at_ms);
}

void encode_device(const struct encoding *encoding, const struct device_image *device,
                   struct span user_email, struct buffer *records) {
  char id[DEVICE_ID_SIZE];
  const size_t id_size = device_id_format(device->number, id);
  const struct common common = {
      .seq = device->seq,
      .at_ms = device->at_ms,
      .cause = &device->cause,
      .policy = device->policy,
      .subject = device->subject,
      .device_id = span_of(id, id_size),
      .serial = device->serial,
  };
  const size_t size_max = common_size_max(encoding, &common) + violations_size_max(&device->rules) +
                          device->os_version.size + user_email.size + HEADERS_SIZE_FIXED +
                          device->cause.traceparent.size + cloudevent_size_max(encoding);
  struct draft draft = draft_begin(records, RECORD_DEVICE, size_max);
  draft.head.timestamp_ms = device->at_ms;
  draft.at = put_key(draft.at, encoding, common.device_id);
  draft_end_key(&draft);
  draft_begin_value(&draft, encoding);
  draft.at = put_common(draft.at, encoding, &common);
  draft.at = put_string(put_string(draft.at, common.device_id), common.serial);
  draft.at = put_device_fields(draft.at, device);
  draft.at = put_nullable_string(draft.at, user_email);
  draft_end_value(&draft);
  struct span traceparent;
  put_headers(&draft, encoding, &common, &traceparent);
  draft_end(&draft);
}
