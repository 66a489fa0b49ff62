#include "core/decide.h"

#include "core/command.h"
#include "core/decide_control.h"
#include "core/decide_device.h"
#include "core/escalate.h"
#include "core/lifecycle.h"
#include "core/profile.h"
#include "core/sweep.h"

static const struct cause timer_cause = {.offset = -1};

void decide_clock(struct lane *lane, int64_t timestamp_ms) {
  if (timestamp_ms > lane->clock_ms) {
    lane->clock_ms = timestamp_ms;
  }
}

static void evaluate(const struct step *step, uint32_t index, struct device *device) {
  decide_evaluate(step, index, device, false);
}

/* Whether a Device record would show the difference; last_sync_at alone is none. */
static bool shows_change(const struct device *a, const struct device *b) {
  return a->person != b->person || a->platform != b->platform || a->profile != b->profile ||
         a->ownership != b->ownership || a->os_version != b->os_version || a->status != b->status ||
         a->compliance != b->compliance || a->violations != b->violations ||
         a->noncompliant_since_ms != b->noncompliant_since_ms ||
         a->email_blocked != b->email_blocked || a->sap_blocked != b->sap_blocked ||
         a->ticket_open != b->ticket_open || (a->overdue_stage > 0) != (b->overdue_stage > 0);
}

/* Whether more moves than what is kept apart from the device's row. */
static bool has_moved(const struct device *a, const struct device *b) {
  struct device dated = *b;
  dated.last_sync_at_ms = a->last_sync_at_ms;
  dated.antivirus_signatures_at_ms = a->antivirus_signatures_at_ms;
  dated.threat_at_ms = a->threat_at_ms;
  return memcmp(a, &dated, sizeof dated) != 0;
}

struct touch *decide_apply(const struct step *step, uint32_t index, const struct device *next,
                           bool is_changed) {
  struct lane *lane = step->lane;
  struct device *device = &lane->devices[index];
  is_changed = is_changed || shows_change(device, next);
  if (!is_changed && memcmp(device, next, sizeof *device) == 0) {
    return NULL;
  }
  const bool moves = is_changed || has_moved(device, next);
  *device = *next;
  lane_schedule(lane, index);
  struct touch *touch = lane_touch(lane, index, is_changed, &step->cause);
  if (moves) { /* else the touch, which lies far from the device, is not even read: 4 % of a run */
    touch->has_moved = true;
  }
  return touch;
}

static void apply(const struct step *step, uint32_t index, const struct device *next, bool is_new) {
  struct touch *touch = decide_apply(step, index, next, is_new);
  if (is_new) {
    touch->is_new = true;
  }
}

/* Another life of the same device. A block of its mail stays until the first compliant report;
 * the episode that was open ends, since nothing is known of the device any more. */
static void start_over(const struct step *step, uint32_t index, struct device *device) {
  lifecycle_await(step, device);
  lifecycle_forget(step, index, device);
}

static bool starts_over(const struct device *device) {
  switch ((enum device_status)device->status) {
  case DEVICE_FAILED:
  case DEVICE_WIPED:
  case DEVICE_RETIRED:
    return true;
  case DEVICE_PENDING:
  case DEVICE_ENROLLED:
    return false;
  case DEVICE_STATUS_COUNT:
    break;
  }
  assert(false);
  return false;
}

static void refuse_enrollment(const struct step *step, const struct event *event, uint32_t index,
                              const struct message *message) {
  struct reject reject;
  reject_set(&reject, REJECT_NOT_ALLOWED, STAGE_DECISION, "profile %s is not for platform %s",
             profile_name(event->enrollment.profile), platform_name(event->enrollment.platform));
  decide_reject(step->lane, &reject, message, step->sink);
  struct result result = emit_result(step, RESULT_AUDIT);
  result.audit.actor = "enrollment";
  result.audit.action = index == INDEX_NONE ? AUDIT_CREATE : AUDIT_UPDATE;
  result.audit.outcome = OUTCOME_REFUSED;
  result.audit.reason = "the profile is not for this platform";
  result.audit.target = event->serial;
  char id[DEVICE_ID_SIZE];
  if (index != INDEX_NONE) {
    result.device_number = lane_device_number(step->lane, index);
    result.audit.target = span_of(id, device_id_format(result.device_number, id));
  }
  result.serial = event->serial;
  emit_name_person(step, &result, lane_person(step->lane, event->user.subject));
  emit_send(step, &result);
}

static void renew(const struct step *step, const struct event *event, struct device *device) {
  const struct enrollment *enrollment = &event->enrollment;
  device->person = lane_person(step->lane, event->user.subject);
  device->platform = (uint8_t)enrollment->platform;
  device->profile = (uint8_t)enrollment->profile;
  device->ownership = (uint8_t)enrollment->ownership;
  lane_set_os_version(step->lane, device, enrollment->os_version);
  lane_remember_enrollment(step->lane, device, event->event_id);
}

static void decide_enrollment(const struct step *step, const struct event *event,
                              const struct message *message) {
  struct lane *lane = step->lane;
  uint32_t index = lane_find(lane, event->serial);
  const bool is_new = index == INDEX_NONE;
  if (!is_new && lane_enrollment_seen(lane, &lane->devices[index], event->event_id)) {
    return;
  }
  if (!profile_allows(event->enrollment.profile, event->enrollment.platform)) {
    refuse_enrollment(step, event, index, message);
    return;
  }
  if (is_new) {
    index = lane_add(lane, event->serial);
  }
  struct device next = lane->devices[index];
  renew(step, event, &next);
  struct audit audit = {"enrollment", AUDIT_UPDATE, OUTCOME_OK, "enrolled again: renewed"};
  if (is_new) {
    next.status = DEVICE_PENDING;
    next.pending_since_ms = lane->clock_ms;
    audit.action = AUDIT_CREATE;
    audit.reason = "enrolled: PENDING until the first check-in";
  } else if (starts_over(&next)) {
    start_over(step, index, &next);
    audit.reason = "enrolled again: PENDING until the first check-in";
  }
  emit_audit(step, index, &next, &audit);
  apply(step, index, &next, is_new);
}

static void enroll_at_checkin(const struct step *step, uint32_t index, struct device *device) {
  static const char *const reasons[2][2] = {
      {"FAILED to ENROLLED: late check-in", "FAILED to ENROLLED: late check-in; licence assigned"},
      {"PENDING to ENROLLED: first check-in",
       "PENDING to ENROLLED: first check-in; licence assigned"},
  };
  const bool was_pending = device->status == DEVICE_PENDING;
  const bool is_assigned = lifecycle_enroll(step, index, device);
  const struct audit audit = {"device", AUDIT_UPDATE, OUTCOME_OK,
                              reasons[was_pending][is_assigned]};
  emit_audit(step, index, device, &audit);
}

static void decide_checkin(const struct step *step, const struct checkin *checkin, uint32_t index) {
  struct device next = step->lane->devices[index];
  next.last_sync_at_ms = step->lane->clock_ms;
  escalate_end_overdue(&next);
  lane_set_os_version(step->lane, &next, checkin->os_version);
  const bool is_wiped = next.wipe == WIPE_ARMED || next.wipe == WIPE_OVERDUE;
  if (is_wiped && !lifecycle_is_over(&next)) {
    lifecycle_wipe(step, index, &next);
  } else if (next.status == DEVICE_PENDING || next.status == DEVICE_FAILED) {
    enroll_at_checkin(step, index, &next);
  }
  if (checkin->trigger == TRIGGER_ON_DEMAND && next.compliance != COMPLIANCE_UNKNOWN &&
      !lifecycle_is_over(&next)) {
    evaluate(step, index, &next);
  }
  apply(step, index, &next, false);
}

/* What was not reported keeps its last known value. */
static void take_facts(const struct step *step, const struct report *report,
                       struct device *device) {
  if (report->has_os_version) {
    lane_set_os_version(step->lane, device, report->os_version);
  }
  if (report->antivirus_enabled != TRI_UNKNOWN) {
    device->antivirus_enabled = (uint8_t)report->antivirus_enabled;
  }
  if (report->has_antivirus_signatures_at) {
    device->antivirus_signatures_at_ms = report->antivirus_signatures_at_ms;
  }
  if (report->disk_encrypted != TRI_UNKNOWN) {
    device->disk_encrypted = (uint8_t)report->disk_encrypted;
  }
  if (report->has_screen_lock_pin_length) {
    device->has_screen_lock_pin_length = true;
    device->screen_lock_pin_length = report->screen_lock_pin_length;
  }
  if (report->has_threat_level) {
    device->threat_level = (uint8_t)(report->threat_level + 1);
  }
  if (report->has_threat_at) {
    device->threat_at_ms = report->threat_at_ms;
  }
}

static void decide_report(const struct step *step, const struct report *report, uint32_t index) {
  struct device next = step->lane->devices[index];
  take_facts(step, report, &next);
  if (!lifecycle_is_over(&next)) {
    evaluate(step, index, &next);
  }
  apply(step, index, &next, false);
}

void decide_event(struct lane *lane, const struct event *event, const struct message *message,
                  const struct sink *sink) {
  struct message caused = *message;
  caused.cause.has_event_id = true;
  memcpy(caused.cause.event_id, event->event_id, EVENT_ID_SIZE);
  const struct step step = {.lane = lane, .cause = caused.cause, .sink = sink};
  if (event->kind == EVENT_POLICY) {
    sweep_decide_policy(&step, event);
    return;
  }
  if (event->kind == EVENT_ENROLLMENT) {
    decide_enrollment(&step, event, &caused);
    return;
  }
  if (event->kind > EVENT_COMMAND) {
    decide_control(&step, event);
    return;
  }
  const uint32_t index = lane_find(lane, event->serial);
  if (index == INDEX_NONE) {
    struct reject reject;
    reject_set(&reject, REJECT_UNKNOWN_DEVICE, STAGE_DECISION,
               "no device with this serial was ever enrolled");
    decide_reject(lane, &reject, &caused, sink);
  } else if (event->kind == EVENT_CHECKIN) {
    decide_checkin(&step, &event->checkin, index);
  } else if (event->kind == EVENT_COMMAND) {
    struct device next = lane->devices[index];
    decide_command(&step, event, index, &next);
    apply(&step, index, &next, false);
  } else {
    decide_report(&step, &event->report, index);
  }
}

void decide_reject(struct lane *lane, const struct reject *reject, const struct message *message,
                   const struct sink *sink) {
  if (message->cause.topic == TOPIC_CONTROL && lane->number != 0) {
    return;
  }
  const struct step step = {.lane = lane, .cause = message->cause, .sink = sink};
  struct result result = emit_result(&step, RESULT_DEAD_LETTER);
  result.dead_letter.reject = *reject;
  result.dead_letter.original = message->original;
  lane->dead_letter_count++;
  emit_send(&step, &result);
}

static void fire_fail(const struct step *step, uint32_t index, struct device *device) {
  const struct audit audit = {"timer", AUDIT_UPDATE, OUTCOME_FAILED,
                              "PENDING to FAILED: no check-in within 30 minutes"};
  device->status = DEVICE_FAILED;
  emit_audit(step, index, device, &audit);
}

struct timer_cursor decide_timer(struct lane *lane, const struct sink *sink) {
  const struct timer *first = timers_first(&lane->timers);
  assert(first != NULL);
  const uint32_t index = first->device;
  struct device next = lane->devices[index];
  int64_t due_at_ms;
  const enum timer_kind kind = lane_next_timer(lane, index, &next, &due_at_ms);
  assert(due_at_ms == first->due_at_ms);
  /* A timer that was late already when it was set fires at the clock of that moment. */
  decide_clock(lane, due_at_ms);
  const struct step step = {.lane = lane, .cause = timer_cause, .sink = sink};
  if (kind == TIMER_KIND_FAIL) {
    fire_fail(&step, index, &next);
  } else if (kind == TIMER_KIND_WIPE_OVERDUE) {
    lifecycle_wipe_overdue(&step, index, &next);
  } else {
    escalate_fire(&step, index, &next, kind);
  }
  apply(&step, index, &next, false);
  return (struct timer_cursor){
      .is_set = true,
      .due_at_ms = due_at_ms,
      .device_number = lane_device_number(lane, index),
      .kind = kind,
  };
}
