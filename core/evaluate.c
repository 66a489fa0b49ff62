#include "core/decide_device.h"

#include "core/escalate.h"

/* What rules about other groups say is of no matter here. */
static violation_set of_other_groups(const struct lane *lane, const struct device *device,
                                     violation_set violations) {
  const struct span subject = span_of(lane->persons.items[device->person].subject, SUBJECT_SIZE);
  const struct control *control = &lane->control;
  return policy_of_other_groups(
      lane->policy, violations, control_groups_of(control, lane->policy, true, subject),
      control_groups_of(control, lane->policy, false, lane_serial(lane, device)));
}

/* The rules that concern the device and do not hold. */
static violation_set violations_of(const struct lane *lane, uint32_t index,
                                   const struct device *device) {
  const struct policy *policy = lane->policy;
  violation_set violations = policy_violations(
      policy, device, lane->versions.texts[device->os_version].outcomes, lane->clock_ms);
  if ((violations & policy->checks.exempted) != 0) {
    violations &= ~policy_exempted(policy, lane_device_number(lane, index),
                                   lane_serial(lane, device), lane->clock_ms);
  }
  if (violations != 0 && policy->group_count > 0) {
    violations &= ~of_other_groups(lane, device, violations);
  }
  return violations;
}

void decide_evaluate(const struct step *step, uint32_t index, struct device *device,
                     bool has_lost) {
  const struct lane *lane = step->lane;
  const violation_set violations = violations_of(lane, index, device);
  const enum compliance before = device->compliance;
  const enum compliance now = violations == 0 ? COMPLIANCE_COMPLIANT : COMPLIANCE_NONCOMPLIANT;
  if (now == before && violations == device->violations && !has_lost) {
    return;
  }
  device->compliance = (uint8_t)now;
  device->violations = violations;
  if (now == COMPLIANCE_COMPLIANT) {
    escalate_recovered(step, index, device);
  } else if (before != COMPLIANCE_NONCOMPLIANT) {
    escalate_begin(step, index, device);
  } else {
    emit_change(step, index, device);
    if (device->ticket_open) {
      emit_ticket(step, index, device, TICKET_UPDATE);
    }
  }
}
