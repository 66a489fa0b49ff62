#include "tests/lib/render.h"

#include <inttypes.h>

enum { MS_PER_SECOND = 1000, MS_PER_MINUTE = 60000 };
#define MS_PER_HOUR INT64_C(3600000)

/* Of a lane's first hours without a clock: no test is in the year 1970. */
static bool is_near_start(int64_t at_ms) {
  return at_ms >= LANE_CLOCK_START_MS && at_ms < LANE_CLOCK_START_MS + 1000 * MS_PER_HOUR;
}

void render_time(const struct render *render, int64_t at_ms) {
  if (at_ms == TIME_NONE) {
    fputc('-', render->out);
    return;
  }
  static const struct {
    int64_t ms;
    const char *name;
  } units[] = {{MS_PER_HOUR, "h"}, {MS_PER_MINUTE, "m"}, {MS_PER_SECOND, "s"}, {1, "ms"}};
  const bool is_start = is_near_start(at_ms);
  const int64_t distance_ms = at_ms - (is_start ? LANE_CLOCK_START_MS : render->base_ms);
  int64_t left_ms = distance_ms < 0 ? -distance_ms : distance_ms;
  fputs(is_start ? "start" : "T", render->out);
  fputs(distance_ms == 0 ? "" : distance_ms < 0 ? "-" : "+", render->out);
  for (size_t i = 0; i < COUNT_OF(units); i++) {
    if (left_ms >= units[i].ms) {
      fprintf(render->out, "%" PRId64 "%s", left_ms / units[i].ms, units[i].name);
      left_ms %= units[i].ms;
    }
  }
}

static void put_stamp(const struct render *render, int64_t timestamp_ms) {
  if (timestamp_ms < 0) {
    fputs("without a stamp", render->out);
  } else {
    render_time(render, timestamp_ms);
  }
}

static void put_span(const struct render *render, struct span span) {
  fwrite(span.data, 1, span.size, render->out);
}

/* Ids and subjects are texts padded with zeros, in tests. */
static void put_padded(const struct render *render, const uint8_t *bytes, size_t size) {
  while (size > 0 && bytes[size - 1] == 0) {
    size--;
  }
  put_span(render, span_of(bytes, size));
}

static void put_device_id(const struct render *render, uint64_t number) {
  char id[DEVICE_ID_SIZE];
  device_id_format(number, id);
  fputs(id, render->out);
}

static void put_violations(const struct render *render, struct rule_names rules,
                           violation_set violations) {
  const char *separator = "";
  fputc('[', render->out);
  for (uint32_t rule = 0; rule < rules.count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      fprintf(render->out, "%s%s", separator, rules.ids[rule]);
      separator = ",";
    }
  }
  fputc(']', render->out);
}

static void put_change(const struct render *render, const struct result *result) {
  fprintf(render->out, "%s ", compliance_name(result->change.compliance));
  put_violations(render, result->rules, result->change.violations);
  if (result->change.noncompliant_since_ms != TIME_NONE) {
    fputs(" since ", render->out);
    render_time(render, result->change.noncompliant_since_ms);
  }
}

static void put_ticket(const struct render *render, const struct result *result) {
  fprintf(render->out, "%s ", ticket_action_name(result->ticket.action));
  put_device_id(render, result->device_number);
  fprintf(render->out, "/%" PRIu32 " ", result->ticket.episode);
  put_violations(render, result->rules, result->ticket.violations);
}

/* A subject in hex is shown as the text that it was made of. */
static void put_named(const struct render *render, struct span text) {
  static const char digits[] = "0123456789abcdef";
  uint8_t subject[SUBJECT_SIZE] = {0};
  bool is_subject = text.size == 2 * sizeof subject;
  for (size_t i = 0; i < text.size && is_subject; i++) {
    const char *at = memchr(digits, text.data[i], 16);
    is_subject = at != NULL;
    subject[i / 2] = (uint8_t)(subject[i / 2] << 4 | (is_subject ? at - digits : 0));
  }
  if (is_subject) {
    put_padded(render, subject, sizeof subject);
  } else {
    put_span(render, text);
  }
}

static void put_action(const struct render *render, const struct result *result) {
  fprintf(render->out, "%s%s", action_kind_name(result->action.action),
          result->action.is_selective ? " selective" : "");
  if (result->action.parameter != NULL) {
    fprintf(render->out, " %s=", result->action.parameter);
    put_span(render, result->action.parameter_value);
  }
}

static void put_audit(const struct render *render, const struct result *result) {
  fputs("by ", render->out);
  put_named(render, span_text(result->audit.actor));
  fprintf(render->out, " %s ", audit_action_name(result->audit.action));
  put_named(render, result->audit.target);
  fprintf(render->out, " %s \"%s\"", outcome_name(result->audit.outcome), result->audit.reason);
}

static void put_dead_letter(const struct render *render, const struct result *result) {
  static const char *const stages[] = {
      [STAGE_KEY] = "key", [STAGE_VALUE] = "value", [STAGE_DECISION] = "decision"};
  const struct original *original = &result->dead_letter.original;
  fprintf(render->out, "%s in %s \"%s\" ", reject_code_name(result->dead_letter.reject.code),
          stages[result->dead_letter.reject.stage], result->dead_letter.reject.text);
  put_stamp(render, original->timestamp_ms);
}

static void put_part(const struct render *render, const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    put_change(render, result);
    break;
  case RESULT_NOTIFICATION:
    fputs(result->notification.template_name, render->out);
    break;
  case RESULT_ACCESS_DECISION:
    fprintf(render->out, "%s %s \"%s\"", result->access.resource,
            access_decision_name(result->access.decision), result->access.reason);
    break;
  case RESULT_TICKET:
    put_ticket(render, result);
    break;
  case RESULT_LICENSE:
    fputs(license_action_name(result->license.action), render->out);
    break;
  case RESULT_ACTION:
    put_action(render, result);
    break;
  case RESULT_AUDIT:
    put_audit(render, result);
    break;
  case RESULT_DEAD_LETTER:
    put_dead_letter(render, result);
    break;
  case RESULT_KIND_COUNT:
    assert(false);
  }
}

static void put_cause(const struct render *render, const struct cause *cause) {
  if (cause->offset < 0) {
    fputs(" <- timer", render->out);
    return;
  }
  fprintf(render->out, " <- %s/%" PRId64, topic_name(cause->topic), cause->offset);
  if (cause->has_event_id) {
    fputc(' ', render->out);
    put_padded(render, cause->event_id, EVENT_ID_SIZE);
  }
  if (cause->traceparent.size > 0) {
    fputs(" trace=", render->out);
    put_span(render, cause->traceparent);
  }
}

void render_result(const struct render *render, const struct result *result) {
  fprintf(render->out, "#%" PRIu64 " ", result->seq);
  render_time(render, result->at_ms);
  fprintf(render->out, " %s ", result_topic_name(result->kind));
  if (result->device_number != 0) {
    put_device_id(render, result->device_number);
    fputc(' ', render->out);
  }
  if (result->serial.size > 0) {
    put_span(render, result->serial);
    fputc(' ', render->out);
  }
  if (result->has_subject) {
    put_padded(render, result->subject, SUBJECT_SIZE);
    fputc(' ', render->out);
  }
  put_part(render, result);
  if (strcmp(result->policy, "default") != 0) {
    fprintf(render->out, " policy=%s", result->policy);
  }
  put_cause(render, &result->cause);
}

void render_timer(const struct render *render, const struct timer_cursor *timer) {
  fprintf(render->out, "timer %s ", timer_kind_name(timer->kind));
  put_device_id(render, timer->device_number);
  fputc(' ', render->out);
  render_time(render, timer->due_at_ms);
}

void render_sweep(const struct render *render, uint64_t device_number) {
  fputs("sweep ", render->out);
  put_device_id(render, device_number);
}

void render_message(const struct render *render, enum topic topic, const struct head *head) {
  fprintf(render->out, "%s/%" PRId64 " ", topic_name(topic), head->offset);
  put_stamp(render, head->timestamp_ms);
  if (!head->is_believed) {
    fputs(" (not believed)", render->out);
  }
}

static void put_instant(const struct render *render, const char *name, int64_t at_ms) {
  if (at_ms != TIME_NONE) {
    fputs(name, render->out);
    render_time(render, at_ms);
  }
}

static void put_facts(const struct render *render, const struct device *device) {
  static const char *const answers[] = {
      [TRI_UNKNOWN] = NULL, [TRI_FALSE] = "off", [TRI_TRUE] = "on"};
  if (device->antivirus_enabled != TRI_UNKNOWN) {
    fprintf(render->out, " av=%s", answers[device->antivirus_enabled]);
  }
  put_instant(render, " signatures=", device->antivirus_signatures_at_ms);
  if (device->disk_encrypted != TRI_UNKNOWN) {
    fprintf(render->out, " encryption=%s", answers[device->disk_encrypted]);
  }
  if (device->has_screen_lock_pin_length) {
    fprintf(render->out, " pin=%" PRId32, device->screen_lock_pin_length);
  }
  if (device->threat_level > 0) {
    fprintf(render->out, " threat=%s",
            threat_level_name((enum threat_level)(device->threat_level - 1)));
  }
  put_instant(render, " threat-at=", device->threat_at_ms);
}

static void put_wipe(const struct render *render, const struct device *device) {
  static const char *const states[WIPE_STATE_COUNT] = {"", " wipe-unapproved", " wipe-armed",
                                                       " wipe-overdue", ""};
  fputs(states[device->wipe], render->out);
}

static void put_standing(const struct render *render, const struct device_image *image) {
  const struct device *device = &image->state;
  /* Of the default policy's plan; another's are told by number. */
  static const char *const stages[] = {"", " notified", " escalated"};
  const bool is_default = strcmp(image->policy, "default") == 0;
  fprintf(render->out, "%s %s", device_status_name(device->status),
          compliance_name(device->compliance));
  if (device->compliance == COMPLIANCE_NONCOMPLIANT) {
    fputc(' ', render->out);
    put_violations(render, image->rules, device->violations);
  }
  put_instant(render, " since ", device->noncompliant_since_ms);
  if (is_default) {
    fputs(stages[device->stage], render->out);
  } else if (device->stage > 0) {
    fprintf(render->out, " stage=%u", device->stage);
  }
  put_instant(render, " clean since ",
              device->clean_since_ms == 0 ? TIME_NONE : device->clean_since_ms);
  fputs(device->overdue_stage > 0 ? " overdue" : "", render->out);
  fputs(device->mail_held > 0 || device->overdue_mail_held > 0 ? " mail-held" : "", render->out);
  fputs(device->email_blocked ? " email-blocked" : "", render->out);
  fputs(device->sap_blocked ? " sap-blocked" : "", render->out);
  fputs(device->ticket_open ? " ticket-open" : "", render->out);
  put_wipe(render, device);
  if (device->episode > 0) {
    fprintf(render->out, " episode=%" PRIu32, device->episode);
  }
}

void render_device(const struct render *render, const struct device_image *image) {
  const struct device *const device = &image->state;
  fputs(image->is_changed ? "= " : "~ ", render->out);
  put_device_id(render, image->number);
  fputc(' ', render->out);
  put_span(render, image->serial);
  fputc(' ', render->out);
  put_padded(render, image->subject, SUBJECT_SIZE);
  fprintf(render->out, " %s %s %s os=", profile_name(device->profile),
          platform_name(device->platform), ownership_name(device->ownership));
  put_span(render, image->os_version);
  fputc(' ', render->out);
  put_standing(render, image);
  put_instant(render, " synced=", device->last_sync_at_ms);
  put_facts(render, device);
  if (image->next_timer != TIMER_KIND_NONE) {
    fprintf(render->out, " next=%s@", timer_kind_name(image->next_timer));
    render_time(render, image->next_due_at_ms);
  }
}

static void put_count(const struct render *render, uint64_t count, const char *what) {
  if (count > 0) {
    fprintf(render->out, ", %" PRIu64 " %s%s", count, what, count == 1 ? "" : "s");
  }
}

void render_batch(const struct render *render, const struct journal_row *row) {
  fprintf(render->out, "batch %" PRIu64 ":", row->batch);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (row->ranges[topic].from != row->ranges[topic].to) {
      fprintf(render->out, " %s %" PRId64 "..%" PRId64 ",", topic_name(topic),
              row->ranges[topic].from, row->ranges[topic].to);
    }
  }
  fprintf(render->out, " seq %" PRIu64 "..%" PRIu64 ", clock ", row->first_seq, row->last_seq);
  render_time(render, row->clock_before_ms);
  fputs("..", render->out);
  render_time(render, row->clock_after_ms);
  for (size_t i = 0; i < row->not_believed_count; i++) {
    fprintf(render->out, ", not believed %s/%" PRId64, topic_name(row->not_believed[i].topic),
            row->not_believed[i].offset);
  }
  put_count(render, row->message_count, "message");
  put_count(render, row->timer_count, "timer");
  put_count(render, row->dead_letter_count, "dead letter");
  put_count(render, row->device_count, "device");
  if (row->timer.is_set) {
    fputs(", last ", render->out);
    render_timer(render, &row->timer);
  }
  if (row->gap.is_set) {
    fprintf(render->out, ", gap %s %" PRId64 "..%" PRId64 "%s", topic_name(row->gap.topic),
            row->gap.from, row->gap.to, row->gap.is_accepted ? "" : " refused");
  }
  if (row->sweep.is_set) {
    fputs(", swept to ", render->out);
    put_device_id(render, row->sweep.device_number);
  }
}
