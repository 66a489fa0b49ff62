/* Rows of PostgreSQL's binary COPY, read back. What stands in the database was written by this
 * program: a row in another form is told, not survived. */
#include "producers/store_internal.h"

#include <libpq-fe.h>
#include <string.h>

enum { COPY_SIGNATURE_SIZE = 11, COPY_HEADER_SIZE = 19 };

static uint64_t big_endian(const uint8_t *bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++) {
    value = value << 8 | bytes[i];
  }
  return value;
}

static bool take(struct row_reader *reader, size_t size, struct span *bytes) {
  if (reader->is_bad || reader->rest.size < size) {
    reader->is_bad = true;
    return false;
  }
  *bytes = span_of(reader->rest.data, size);
  reader->rest = span_of(reader->rest.data + size, reader->rest.size - size);
  return true;
}

bool row_bytes(struct row_reader *reader, struct span *bytes) {
  struct span length;
  if (!take(reader, 4, &length)) {
    return false;
  }
  const uint32_t size = (uint32_t)big_endian(length.data, 4);
  return size != UINT32_MAX && take(reader, size, bytes);
}

int64_t row_integer(struct row_reader *reader, int64_t null_value) {
  struct span bytes;
  if (!row_bytes(reader, &bytes)) {
    return null_value;
  }
  const uint64_t value = big_endian(bytes.data, bytes.size > 8 ? 0 : bytes.size);
  switch (bytes.size) {
  case 1:
    return (int64_t)value;
  case 2:
    return (int16_t)value;
  case 4:
    return (int32_t)value;
  case 8:
    return (int64_t)value;
  default:
    reader->is_bad = true;
    return null_value;
  }
}

int64_t row_time(struct row_reader *reader) {
  const int64_t at_us = row_integer(reader, INT64_MIN); /* INT64_MIN is -infinity there */
  return at_us == INT64_MIN ? TIME_NONE : at_us / 1000 + POSTGRES_EPOCH_MS;
}

struct span row_span(struct row_reader *reader) {
  struct span bytes;
  return row_bytes(reader, &bytes) ? bytes : span_of("", 0);
}

const char *row_text(struct row_reader *reader) {
  struct span bytes;
  if (!row_bytes(reader, &bytes)) {
    return NULL;
  }
  assert(reader->texts.capacity - reader->texts.size > bytes.size);
  const char *const text = (const char *)reader->texts.data + reader->texts.size;
  buffer_append(&reader->texts, bytes.data, bytes.size);
  buffer_append_u8(&reader->texts, 0);
  return text;
}

void row_copy(struct row_reader *reader, uint8_t *bytes, size_t size) {
  struct span found;
  if (row_bytes(reader, &found) && found.size == size) {
    memcpy(bytes, found.data, size);
  } else {
    reader->is_bad = true;
    memset(bytes, 0, size);
  }
}

size_t row_array(struct row_reader *reader, struct row_reader *elements) {
  enum { HEAD_SIZE = 12, DIMENSION_SIZE = 8 };
  *elements = (struct row_reader){0};
  const struct span bytes = row_span(reader);
  if (bytes.size < HEAD_SIZE + DIMENSION_SIZE) {
    return 0; /* an empty array has no dimension */
  }
  const uint8_t *const size = bytes.data + HEAD_SIZE;
  elements->rest =
      span_of(bytes.data + HEAD_SIZE + DIMENSION_SIZE, bytes.size - HEAD_SIZE - DIMENSION_SIZE);
  return (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
}

static void row_cause(struct row_reader *reader, struct cause *cause) {
  cause->topic = (enum topic)row_integer(reader, 0);
  cause->offset = row_integer(reader, -1);
  struct span event_id;
  cause->has_event_id = row_bytes(reader, &event_id);
  if (cause->has_event_id && event_id.size == EVENT_ID_SIZE) {
    memcpy(cause->event_id, event_id.data, EVENT_ID_SIZE);
  }
  cause->traceparent = row_span(reader);
}

static void row_state(struct row_reader *reader, struct device_image *device) {
  struct device *const state = &device->state;
  const uint32_t flags = (uint32_t)row_integer(reader, 0);
  state->platform = flag_get(flags, FLAG_PLATFORM);
  state->profile = flag_get(flags, FLAG_PROFILE);
  state->ownership = flag_get(flags, FLAG_OWNERSHIP);
  state->status = flag_get(flags, FLAG_STATUS);
  state->compliance = flag_get(flags, FLAG_COMPLIANCE);
  state->stage = flag_get(flags, FLAG_STAGE);
  state->antivirus_enabled = flag_get(flags, FLAG_ANTIVIRUS_ENABLED);
  state->disk_encrypted = flag_get(flags, FLAG_DISK_ENCRYPTED);
  state->email_blocked = flag_get(flags, FLAG_EMAIL_BLOCKED) != 0;
  state->sap_blocked = flag_get(flags, FLAG_SAP_BLOCKED) != 0;
  state->ticket_open = flag_get(flags, FLAG_TICKET_OPEN) != 0;
  state->has_license = flag_get(flags, FLAG_HAS_LICENSE) != 0;
  const uint32_t escalation = (uint32_t)row_integer(reader, 0);
  state->mail_held = flag_get(escalation, FLAG_MAIL_HELD);
  state->overdue_stage = flag_get(escalation, FLAG_OVERDUE_STAGE);
  state->overdue_mail_held = flag_get(escalation, FLAG_OVERDUE_MAIL_HELD);
  state->threat_level = flag_get(escalation, FLAG_THREAT_LEVEL);
  const int64_t pin_length = row_integer(reader, INT64_MIN);
  state->has_screen_lock_pin_length = pin_length != INT64_MIN;
  state->screen_lock_pin_length = state->has_screen_lock_pin_length ? (int32_t)pin_length : 0;
  state->episode = (uint32_t)row_integer(reader, 0);
  state->violations = (violation_set)row_integer(reader, 0);
}

static void row_wipe(struct row_reader *reader, struct device_image *device) {
  struct span bytes;
  if (!row_bytes(reader, &bytes)) {
    return;
  }
  const size_t approvers_size = bytes.size - WIPE_HEAD_SIZE;
  struct wipe *wipe = &reader->wipe;
  *wipe = (struct wipe){0};
  if (bytes.size < WIPE_HEAD_SIZE || approvers_size > sizeof wipe->approvers ||
      approvers_size % SUBJECT_SIZE != 0 || bytes.data[0] >= WIPE_STATE_COUNT ||
      bytes.data[1] >= WIPE_REASON_COUNT) {
    reader->is_bad = true;
    return;
  }
  device->state.wipe = bytes.data[0];
  wipe->reason = (enum wipe_reason)bytes.data[1];
  wipe->asked_at_ms = (int64_t)big_endian(bytes.data + 2, 8);
  wipe->armed_at_ms = (int64_t)big_endian(bytes.data + 10, 8);
  memcpy(wipe->asker, bytes.data + 18, SUBJECT_SIZE);
  memcpy(wipe->approvers, bytes.data + WIPE_HEAD_SIZE, approvers_size);
  wipe->approver_count = (uint32_t)(approvers_size / SUBJECT_SIZE);
  device->wipe = wipe;
}

void row_device(struct row_reader *reader, struct device_image *device) {
  *device = (struct device_image){.is_changed = true};
  device->lane = (uint32_t)row_integer(reader, 0);
  device->number = (uint64_t)row_integer(reader, 0);
  row_integer(reader, 0); /* changed_batch */
  device->seq = (uint64_t)row_integer(reader, 0);
  device->at_ms = row_time(reader);
  device->policy = row_text(reader);
  row_cause(reader, &device->cause);
  device->serial = row_span(reader);
  device->os_version = row_span(reader);
  row_copy(reader, device->subject, SUBJECT_SIZE);
  device->enrollment_ids = row_span(reader);
  row_state(reader, device);
  device->state.pending_since_ms = row_time(reader);
  device->state.noncompliant_since_ms = row_time(reader);
  const int64_t clean_since_ms = row_time(reader);
  device->state.clean_since_ms = clean_since_ms == TIME_NONE ? 0 : clean_since_ms;
  device->overdue_since_ms = row_time(reader);
  row_wipe(reader, device);
}

/* The columns from symbol to target. */
static void row_detail(struct row_reader *reader, struct result *result) {
  const int64_t symbol = row_integer(reader, 0);
  const int64_t outcome = row_integer(reader, 0);
  const violation_set violations = (violation_set)row_integer(reader, 0);
  const uint32_t episode = (uint32_t)row_integer(reader, 0);
  const int64_t since_ms = row_time(reader);
  const char *const name = row_text(reader);
  const char *const reason = row_text(reader);
  const struct span target = row_span(reader);
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    result->change.compliance = (enum compliance)symbol;
    result->change.violations = violations;
    result->change.noncompliant_since_ms = since_ms;
    break;
  case RESULT_NOTIFICATION:
    result->notification.template_name = name;
    break;
  case RESULT_ACCESS_DECISION:
    result->access.resource = name;
    result->access.decision = (enum access_decision)symbol;
    result->access.reason = reason;
    break;
  case RESULT_TICKET:
    result->ticket.action = (enum ticket_action)symbol;
    result->ticket.episode = episode;
    result->ticket.violations = violations;
    result->ticket.description = reason;
    break;
  case RESULT_LICENSE:
    result->license.action = (enum license_action)symbol;
    break;
  case RESULT_AUDIT:
    result->audit.actor = name;
    result->audit.action = (enum audit_action)symbol;
    result->audit.target = target;
    result->audit.outcome = (enum outcome)outcome;
    result->audit.reason = reason;
    break;
  case RESULT_DEAD_LETTER:
    reject_set(&result->dead_letter.reject, (enum reject_code)symbol, (enum reject_stage)outcome,
               "%s", reason != NULL ? reason : "");
    break;
  case RESULT_ACTION:
    result->action.action = (enum action_kind)symbol;
    result->action.is_selective = outcome != 0;
    result->action.parameter = name;
    result->action.parameter_value = target;
    break;
  case RESULT_KIND_COUNT:
    reader->is_bad = true;
  }
}

void row_result(struct row_reader *reader, struct result *result) {
  *result = (struct result){0};
  row_integer(reader, 0); /* lane */
  result->seq = (uint64_t)row_integer(reader, 0);
  row_integer(reader, 0); /* batch */
  const int64_t kind = row_integer(reader, RESULT_KIND_COUNT);
  result->kind = kind >= 0 && kind < RESULT_KIND_COUNT ? (enum result_kind)kind : RESULT_KIND_COUNT;
  result->at_ms = row_time(reader);
  result->policy = row_text(reader);
  row_cause(reader, &result->cause);
  result->device_number = (uint64_t)row_integer(reader, 0);
  result->serial = row_span(reader);
  struct span subject;
  result->has_subject = row_bytes(reader, &subject);
  if (result->has_subject && subject.size == SUBJECT_SIZE) {
    memcpy(result->subject, subject.data, SUBJECT_SIZE);
  }
  row_detail(reader, result);
}

/* One message of the server holds whole rows, behind the header in the first one. */
static bool stream_rows(struct row_reader *reader, store_row_fn each, void *context) {
  while (reader->rest.size > 0 && !reader->is_bad) {
    struct span count;
    if (!take(reader, 2, &count)) {
      return false;
    }
    if (big_endian(count.data, 2) == UINT16_MAX) {
      return reader->rest.size == 0; /* the trailer */
    }
    buffer_clear(&reader->texts);
    buffer_reserve(&reader->texts, reader->rest.size + 1); /* a length is longer than a NUL */
    each(context, reader);
  }
  return !reader->is_bad;
}

static bool stream_message(struct row_reader *reader, struct span message, bool *has_header,
                           store_row_fn each, void *context) {
  reader->rest = message;
  if (!*has_header) {
    struct span header;
    struct span extension;
    if (!take(reader, COPY_HEADER_SIZE, &header) ||
        memcmp(header.data, "PGCOPY\n\377\r\n\0", COPY_SIGNATURE_SIZE) != 0 ||
        !take(reader, (size_t)big_endian(header.data + COPY_HEADER_SIZE - 4, 4), &extension)) {
      return false;
    }
    *has_header = true;
  }
  return stream_rows(reader, each, context);
}

enum status store_stream(PGconn *connection, const char *select, const char *what,
                         store_row_fn each, void *context, struct error *error) {
  struct buffer sql = {0};
  store_script(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", select);
  PGresult *result = PQexec(connection, (const char *)sql.data);
  buffer_fini(&sql);
  if (PQresultStatus(result) != PGRES_COPY_OUT) {
    return store_failure(connection, result, what, error);
  }
  PQclear(result);
  struct row_reader reader = {0};
  bool has_header = false;
  bool is_good = true;
  char *message = NULL;
  int size;
  while ((size = PQgetCopyData(connection, &message, 0)) > 0) {
    is_good = is_good &&
              stream_message(&reader, span_of(message, (size_t)size), &has_header, each, context);
    PQfreemem(message);
  }
  buffer_fini(&reader.texts);
  while ((result = PQgetResult(connection)) != NULL) {
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
      return store_failure(connection, result, what, error);
    }
    PQclear(result);
  }
  if (size != -1 || !is_good) {
    return error_set(error, STATUS_UNAVAILABLE, "%s: %s", what,
                     size != -1 ? PQerrorMessage(connection) : "rows in an unknown form");
  }
  return STATUS_OK;
}
