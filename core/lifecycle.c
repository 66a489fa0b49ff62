#include "core/lifecycle.h"

#include "core/escalate.h"

#include <stdio.h>

bool lifecycle_is_over(const struct device *device) {
  return device->status == DEVICE_WIPED || device->status == DEVICE_RETIRED;
}

/* A licence is held once, however often the device comes and goes between PENDING and ENROLLED. */
bool lifecycle_enroll(const struct step *step, uint32_t index, struct device *device) {
  device->status = DEVICE_ENROLLED;
  const bool is_assigned = !device->has_license;
  if (is_assigned) {
    device->has_license = true;
    emit_license(step, index, device, LICENSE_ASSIGN);
  }
  if (step->lane->policy->pushes_profile) {
    const char *profile = profile_name((enum profile)device->profile);
    emit_action(step, index, device, ACTION_PUSH_PROFILE, "profile", span_text(profile));
  }
  return is_assigned;
}

void lifecycle_await(const struct step *step, struct device *device) {
  device->status = DEVICE_PENDING;
  device->pending_since_ms = step->lane->clock_ms;
  escalate_end_overdue(device);
}

/* What of its compliance is known: no more. A ticket is resolved by whoever knows the order. */
static void end_episode(const struct step *step, uint32_t index, struct device *device) {
  const bool was_known = device->compliance != COMPLIANCE_UNKNOWN;
  device->compliance = COMPLIANCE_UNKNOWN;
  device->violations = 0;
  escalate_end(device);
  escalate_end_overdue(device);
  if (was_known) {
    emit_change(step, index, device);
  }
}

static void clear_facts(struct device *device) {
  device->antivirus_enabled = TRI_UNKNOWN;
  device->antivirus_signatures_at_ms = TIME_NONE;
  device->disk_encrypted = TRI_UNKNOWN;
  device->has_screen_lock_pin_length = false;
  device->screen_lock_pin_length = 0;
  device->threat_level = 0;
  device->threat_at_ms = TIME_NONE;
}

void lifecycle_forget(const struct step *step, uint32_t index, struct device *device) {
  clear_facts(device);
  end_episode(step, index, device);
  escalate_resolve_ticket(step, index, device);
}

/* Out of service: nothing is evaluated, nothing is let in, nothing is paid for. */
static void leave(const struct step *step, uint32_t index, struct device *device,
                  enum device_status status, const char *reason) {
  device->status = (uint8_t)status;
  end_episode(step, index, device);
  escalate_withdraw(step, index, device, reason);
  if (device->has_license) {
    device->has_license = false;
    emit_license(step, index, device, LICENSE_RELEASE);
  }
  escalate_resolve_ticket(step, index, device);
}

void lifecycle_retire(const struct step *step, uint32_t index, struct device *device) {
  emit_action(step, index, device, ACTION_RETIRE, NULL, (struct span){0});
  leave(step, index, device, DEVICE_RETIRED, "retired");
}

const char *lifecycle_wipe_reason(enum wipe_reason reason) {
  static const char *const names[WIPE_REASON_COUNT] = {
      [WIPE_LOST] = "lost",
      [WIPE_STOLEN] = "stolen",
      [WIPE_TERMINATED] = "terminated",
      [WIPE_BREACH] = "breach",
  };
  assert(reason < WIPE_REASON_COUNT);
  return names[reason];
}

void lifecycle_wipe(const struct step *step, uint32_t index, struct device *device) {
  const struct wipe *wipe = lane_wipe(step->lane, index);
  const char *why = lifecycle_wipe_reason(wipe->reason);
  const char *before = device_status_name((enum device_status)device->status);
  device->wipe = WIPE_OVER;
  emit_action(step, index, device, ACTION_WIPE, "reason", span_text(why));
  leave(step, index, device, DEVICE_WIPED, "wiped");
  char actor[ACTOR_SIZE];
  char reason[96];
  emit_actor(wipe->asker, actor);
  snprintf(reason, sizeof reason, "%s to WIPED: %s wipe carried out: %s", before,
           device->ownership == OWNERSHIP_PERSONAL ? "selective" : "full", why);
  const struct audit audit = {actor, AUDIT_DELETE, OUTCOME_OK, reason};
  emit_audit(step, index, device, &audit);
}

void lifecycle_wipe_overdue(const struct step *step, uint32_t index, struct device *device) {
  const struct audit audit = {"timer", AUDIT_REMOTE_TASK, OUTCOME_FAILED,
                              "wipe overdue: no check-in for 9h"};
  device->wipe = WIPE_OVERDUE;
  emit_audit(step, index, device, &audit);
}
