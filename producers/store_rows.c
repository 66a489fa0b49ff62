/* Rows for PostgreSQL's binary COPY: a field count, then each field's length and bytes. */
#include "producers/store_internal.h"

#include <string.h>

enum { DEVICE_COLUMN_COUNT = 24, RESULT_COLUMN_COUNT = 21, LETTER_COLUMN_COUNT = 9 };

const char store_device_columns[] =
    "lane, number, changed_batch, seq, at, policy, cause_topic, cause_offset, event_id, "
    "traceparent, serial, os_version, subject, enrollment_ids, flags, escalation, "
    "screen_lock_pin_length, "
    "episode, violations, pending_since, noncompliant_since, clean_since, overdue_since, wipe";

const char store_result_columns[] =
    "lane, seq, batch, kind, at, policy, cause_topic, cause_offset, event_id, traceparent, "
    "device, serial, subject, symbol, outcome, violations, episode, since, name, reason, target";

const char store_letter_columns[] =
    "lane, batch, seq, key, value, headers, timestamp_ms, value_sha256, size_bytes";

static void put_null(struct buffer *rows) {
  buffer_append_u32(rows, UINT32_MAX);
}

static void put_small(struct buffer *rows, uint32_t value) {
  assert(value <= INT16_MAX);
  buffer_append_u32(rows, 2);
  buffer_append_u16(rows, (uint16_t)value);
}

static void put_big(struct buffer *rows, uint64_t value) {
  assert(value <= INT64_MAX);
  buffer_append_u32(rows, 8);
  buffer_append_u64(rows, value);
}

static void put_time(struct buffer *rows, int64_t at_ms) {
  if (at_ms == TIME_NONE) {
    put_null(rows);
  } else {
    row_put_instant(rows, at_ms);
  }
}

static void put_bytes(struct buffer *rows, struct span bytes) {
  assert(bytes.size <= INT32_MAX);
  buffer_append_u32(rows, (uint32_t)bytes.size);
  buffer_append(rows, bytes.data, bytes.size);
}

static bool is_storable(struct span text) {
  return span_is_utf8(text) && (text.size == 0 || memchr(text.data, 0, text.size) == NULL);
}

/* The server refuses a whole batch for one byte that is no UTF-8. Such a byte can only stand in
 * a text made for people, cut in the middle of a letter: there it becomes a question mark. */
static void put_text(struct buffer *rows, struct span text) {
  const size_t start = rows->size + 4;
  put_bytes(rows, text);
  if (!is_storable(text)) {
    for (size_t i = start; i < rows->size; i++) {
      rows->data[i] = rows->data[i] == 0 || rows->data[i] > 127 ? '?' : rows->data[i];
    }
  }
}

static void put_text_or_null(struct buffer *rows, const char *text) {
  if (text == NULL) {
    put_null(rows);
  } else {
    put_text(rows, span_text(text));
  }
}

static void put_cause(struct buffer *rows, const struct cause *cause) {
  if (cause->offset < 0) {
    put_null(rows);
    put_null(rows);
  } else {
    put_small(rows, cause->topic);
    put_big(rows, (uint64_t)cause->offset);
  }
  if (cause->has_event_id) {
    put_bytes(rows, span_of(cause->event_id, EVENT_ID_SIZE));
  } else {
    put_null(rows);
  }
  if (cause->traceparent.size > 0) {
    put_bytes(rows, cause->traceparent);
  } else {
    put_null(rows);
  }
}

/* The columns from symbol to target, which the kinds share. */
struct detail {
  int32_t symbol; /* -1: null, as are negative ones below */
  int32_t outcome;
  bool has_violations, has_episode, has_target;
  violation_set violations;
  uint32_t episode;
  int64_t since_ms;
  const char *name;
  const char *reason;
  struct span target;
};

static struct detail detail_of(const struct result *result) {
  struct detail detail = {.symbol = -1, .outcome = -1, .since_ms = TIME_NONE};
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    detail.symbol = (int32_t)result->change.compliance;
    detail.has_violations = true;
    detail.violations = result->change.violations;
    detail.since_ms = result->change.noncompliant_since_ms;
    break;
  case RESULT_NOTIFICATION:
    detail.name = result->notification.template_name;
    break;
  case RESULT_ACCESS_DECISION:
    detail.name = result->access.resource;
    detail.symbol = (int32_t)result->access.decision;
    detail.reason = result->access.reason;
    break;
  case RESULT_TICKET:
    detail.symbol = (int32_t)result->ticket.action;
    detail.has_episode = detail.has_violations = true;
    detail.episode = result->ticket.episode;
    detail.violations = result->ticket.violations;
    detail.reason = result->ticket.description;
    break;
  case RESULT_LICENSE:
    detail.symbol = (int32_t)result->license.action;
    break;
  case RESULT_AUDIT:
    detail.name = result->audit.actor;
    detail.symbol = (int32_t)result->audit.action;
    detail.has_target = true;
    detail.target = result->audit.target;
    detail.outcome = (int32_t)result->audit.outcome;
    detail.reason = result->audit.reason;
    break;
  case RESULT_DEAD_LETTER:
    detail.symbol = (int32_t)result->dead_letter.reject.code;
    detail.outcome = (int32_t)result->dead_letter.reject.stage;
    detail.reason = result->dead_letter.reject.text;
    detail.target = result->dead_letter.original.key;
    detail.has_target = !result->dead_letter.original.key_is_null && is_storable(detail.target);
    break;
  case RESULT_ACTION:
    detail.symbol = (int32_t)result->action.action;
    detail.outcome = result->action.is_selective;
    detail.name = result->action.parameter;
    detail.has_target = result->action.parameter != NULL;
    detail.target = result->action.parameter_value;
    break;
  case RESULT_KIND_COUNT:
    assert(false);
  }
  return detail;
}

static void put_detail(struct buffer *rows, const struct detail *detail) {
  if (detail->symbol < 0) {
    put_null(rows);
  } else {
    put_small(rows, (uint32_t)detail->symbol);
  }
  if (detail->outcome < 0) {
    put_null(rows);
  } else {
    put_small(rows, (uint32_t)detail->outcome);
  }
  if (detail->has_violations) {
    row_put_integer(rows, detail->violations);
  } else {
    put_null(rows);
  }
  if (detail->has_episode) {
    row_put_integer(rows, detail->episode);
  } else {
    put_null(rows);
  }
  put_time(rows, detail->since_ms);
  put_text_or_null(rows, detail->name);
  put_text_or_null(rows, detail->reason);
  if (detail->has_target) {
    put_text(rows, detail->target);
  } else {
    put_null(rows);
  }
}

static void put_bytes_or_null(struct buffer *rows, struct span bytes, bool is_null) {
  if (is_null) {
    put_null(rows);
  } else {
    put_bytes(rows, bytes);
  }
}

/* Keeps what the dead letter will be made of and no more: what must never be collected is not
 * stored for a moment either. */
static void append_letter(struct buffer *letters, uint32_t lane, uint64_t batch,
                          const struct result *result) {
  const struct original *const original = &result->dead_letter.original;
  const enum reject_code code = result->dead_letter.reject.code;
  const bool has_value = code != REJECT_TOO_LARGE && code != REJECT_NEVER_COLLECTED;
  const bool has_headers = code != REJECT_TOO_LARGE;
  buffer_append_u16(letters, LETTER_COLUMN_COUNT);
  row_put_integer(letters, lane);
  put_big(letters, batch);
  put_big(letters, result->seq);
  put_bytes_or_null(letters, original->key, original->key_is_null);
  put_bytes_or_null(letters, original->value, original->value_is_null || !has_value);
  put_bytes(letters, has_headers ? original->headers : span_of("", 0));
  buffer_append_u32(letters, 8);
  buffer_append_u64(letters, (uint64_t)original->timestamp_ms);
  put_bytes_or_null(letters, span_of(original->value_sha256, sizeof original->value_sha256),
                    has_value);
  put_big(letters, has_value ? 0 : original->size_bytes);
}

void store_append_result(struct buffer *rows, struct buffer *letters, uint32_t lane, uint64_t batch,
                         const struct result *result) {
  buffer_append_u16(rows, RESULT_COLUMN_COUNT);
  row_put_integer(rows, lane);
  put_big(rows, result->seq);
  put_big(rows, batch);
  put_small(rows, result->kind);
  row_put_instant(rows, result->at_ms);
  put_text(rows, span_text(result->policy));
  put_cause(rows, &result->cause);
  if (result->device_number == 0) {
    put_null(rows);
  } else {
    put_big(rows, result->device_number);
  }
  if (result->serial.size == 0) {
    put_null(rows);
  } else {
    put_text(rows, result->serial);
  }
  if (result->has_subject) {
    put_bytes(rows, span_of(result->subject, SUBJECT_SIZE));
  } else {
    put_null(rows);
  }
  const struct detail detail = detail_of(result);
  put_detail(rows, &detail);
  if (result->kind == RESULT_DEAD_LETTER) {
    append_letter(letters, lane, batch, result);
  }
}

/* Place and width in bits. */
static const struct flag_bits {
  uint8_t place, width;
} flag_bits[FLAG_COUNT] = {
    [FLAG_PLATFORM] = {0, 4},           [FLAG_PROFILE] = {4, 4},
    [FLAG_OWNERSHIP] = {8, 2},          [FLAG_STATUS] = {10, 4},
    [FLAG_COMPLIANCE] = {14, 2},        [FLAG_STAGE] = {16, 4},
    [FLAG_ANTIVIRUS_ENABLED] = {20, 2}, [FLAG_DISK_ENCRYPTED] = {22, 2},
    [FLAG_EMAIL_BLOCKED] = {28, 1},     [FLAG_SAP_BLOCKED] = {29, 1},
    [FLAG_TICKET_OPEN] = {30, 1},       [FLAG_HAS_LICENSE] = {31, 1},
    [FLAG_MAIL_HELD] = {0, 4},          [FLAG_OVERDUE_STAGE] = {4, 4},
    [FLAG_OVERDUE_MAIL_HELD] = {8, 4},  [FLAG_THREAT_LEVEL] = {12, 3},
};

void flag_put(uint32_t *flags, enum device_flag flag, uint32_t value) {
  assert(value < 1U << flag_bits[flag].width);
  *flags |= value << flag_bits[flag].place;
}

uint8_t flag_get(uint32_t flags, enum device_flag flag) {
  return (uint8_t)(flags >> flag_bits[flag].place & ((1U << flag_bits[flag].width) - 1));
}

static uint32_t flags_of(const struct device_image *device) {
  const struct device *const state = &device->state;
  uint32_t flags = 0;
  flag_put(&flags, FLAG_PLATFORM, state->platform);
  flag_put(&flags, FLAG_PROFILE, state->profile);
  flag_put(&flags, FLAG_OWNERSHIP, state->ownership);
  flag_put(&flags, FLAG_STATUS, state->status);
  flag_put(&flags, FLAG_COMPLIANCE, state->compliance);
  flag_put(&flags, FLAG_STAGE, state->stage);
  flag_put(&flags, FLAG_ANTIVIRUS_ENABLED, state->antivirus_enabled);
  flag_put(&flags, FLAG_DISK_ENCRYPTED, state->disk_encrypted);
  flag_put(&flags, FLAG_EMAIL_BLOCKED, state->email_blocked);
  flag_put(&flags, FLAG_SAP_BLOCKED, state->sap_blocked);
  flag_put(&flags, FLAG_TICKET_OPEN, state->ticket_open);
  flag_put(&flags, FLAG_HAS_LICENSE, state->has_license);
  return flags;
}

static uint32_t escalation_of(const struct device *state) {
  uint32_t escalation = 0;
  flag_put(&escalation, FLAG_MAIL_HELD, state->mail_held);
  flag_put(&escalation, FLAG_OVERDUE_STAGE, state->overdue_stage);
  flag_put(&escalation, FLAG_OVERDUE_MAIL_HELD, state->overdue_mail_held);
  flag_put(&escalation, FLAG_THREAT_LEVEL, state->threat_level);
  return escalation;
}

/* The columns from flags to violations. */
static void put_state(struct buffer *rows, const struct device_image *device) {
  const struct device *const state = &device->state;
  row_put_integer(rows, flags_of(device));
  put_small(rows, escalation_of(state));
  if (state->has_screen_lock_pin_length) {
    row_put_integer(rows, (uint32_t)state->screen_lock_pin_length);
  } else {
    put_null(rows);
  }
  row_put_integer(rows, state->episode);
  row_put_integer(rows, state->violations);
}

static void put_wipe(struct buffer *rows, const struct device_image *device) {
  const struct wipe *const wipe = device->wipe;
  if (wipe == NULL) {
    put_null(rows);
    return;
  }
  buffer_append_u32(rows, WIPE_HEAD_SIZE + wipe->approver_count * SUBJECT_SIZE);
  buffer_append_u8(rows, device->state.wipe);
  buffer_append_u8(rows, (uint8_t)wipe->reason);
  buffer_append_u64(rows, (uint64_t)wipe->asked_at_ms);
  buffer_append_u64(rows, (uint64_t)wipe->armed_at_ms);
  buffer_append(rows, wipe->asker, SUBJECT_SIZE);
  buffer_append(rows, wipe->approvers, wipe->approver_count * SUBJECT_SIZE);
}

void store_append_device(struct buffer *rows, const struct device_image *device) {
  static const struct cause none = {.offset = -1};
  const bool is_changed = device->is_changed;
  const struct device *const state = &device->state;
  buffer_append_u16(rows, DEVICE_COLUMN_COUNT);
  row_put_integer(rows, device->lane);
  put_big(rows, device->number);
  put_big(rows,
          is_changed ? device->changed_batch : 0); /* 0: what is stored of the last change stays */
  put_big(rows, is_changed ? device->seq : 0);
  row_put_instant(rows, is_changed ? device->at_ms : TIME_NONE);
  put_text(rows, is_changed ? span_text(device->policy) : span_of("", 0));
  put_cause(rows, is_changed ? &device->cause : &none);
  put_text(rows, device->serial);
  put_text(rows, device->os_version);
  put_bytes(rows, span_of(device->subject, SUBJECT_SIZE));
  put_bytes(rows, device->enrollment_ids);
  put_state(rows, device);
  put_time(rows, state->pending_since_ms);
  put_time(rows, state->noncompliant_since_ms);
  put_time(rows, state->clean_since_ms == 0 ? TIME_NONE : state->clean_since_ms);
  put_time(rows, is_changed ? device->overdue_since_ms : TIME_NONE);
  put_wipe(rows, device);
}

void store_append_person(struct buffer *rows, const uint8_t subject[SUBJECT_SIZE],
                         struct span user_email) {
  buffer_append_u16(rows, 2);
  put_bytes(rows, span_of(subject, SUBJECT_SIZE));
  put_text(rows, user_email);
}
