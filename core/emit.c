#include "core/emit.h"

void emit_actor(const uint8_t subject[SUBJECT_SIZE], char text[ACTOR_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < SUBJECT_SIZE; i++) {
    text[2 * i] = digits[subject[i] >> 4];
    text[2 * i + 1] = digits[subject[i] & 15];
  }
  text[ACTOR_SIZE - 1] = '\0';
}

const char *emit_asker(const struct named_person *actor, char text[ACTOR_SIZE]) {
  if (actor->email.size == 0) {
    return "operator";
  }
  emit_actor(actor->subject, text);
  return text;
}

struct result emit_result(const struct step *step, enum result_kind kind) {
  return (struct result){
      .kind = kind,
      .at_ms = step->lane->clock_ms,
      .cause = step->cause,
      .policy = step->lane->policy->version,
      .rules = policy_rule_names(step->lane->policy),
  };
}

void emit_name_person(const struct step *step, struct result *result, uint32_t person) {
  result->has_subject = true;
  result->person = person;
  memcpy(result->subject, step->lane->persons.items[person].subject, SUBJECT_SIZE);
}

/* A result about devices[index], whose state is being changed to `device`. */
static struct result result_about(const struct step *step, enum result_kind kind, uint32_t index,
                                  const struct device *device) {
  struct result result = emit_result(step, kind);
  result.device_number = lane_device_number(step->lane, index);
  result.serial = lane_serial(step->lane, device);
  result.state = device;
  emit_name_person(step, &result, device->person);
  return result;
}

void emit_send(const struct step *step, struct result *result) {
  result->seq = ++step->lane->seq;
  step->sink->take(step->sink->context, result);
}

void emit_change(const struct step *step, uint32_t index, const struct device *device) {
  struct result result = result_about(step, RESULT_COMPLIANCE_CHANGE, index, device);
  result.change.compliance = device->compliance;
  result.change.violations = device->violations;
  result.change.noncompliant_since_ms = device->noncompliant_since_ms;
  emit_send(step, &result);
}

void emit_notification(const struct step *step, uint32_t index, const struct device *device,
                       const char *template_name) {
  struct result result = result_about(step, RESULT_NOTIFICATION, index, device);
  result.notification.template_name = template_name;
  emit_send(step, &result);
}

void emit_access(const struct step *step, uint32_t index, const struct device *device,
                 enum resource resource, enum access_decision decision, const char *reason) {
  struct result result = result_about(step, RESULT_ACCESS_DECISION, index, device);
  result.access.resource = resource_name(resource);
  result.access.decision = decision;
  result.access.reason = reason;
  emit_send(step, &result);
}

void emit_ticket(const struct step *step, uint32_t index, const struct device *device,
                 enum ticket_action action) {
  struct result result = result_about(step, RESULT_TICKET, index, device);
  result.ticket.action = action;
  result.ticket.episode = device->episode;
  result.ticket.violations = device->violations;
  emit_send(step, &result);
}

void emit_license(const struct step *step, uint32_t index, const struct device *device,
                  enum license_action action) {
  struct result result = result_about(step, RESULT_LICENSE, index, device);
  result.license.action = action;
  emit_send(step, &result);
}

void emit_action(const struct step *step, uint32_t index, const struct device *device,
                 enum action_kind action, const char *parameter, struct span value) {
  struct result result = result_about(step, RESULT_ACTION, index, device);
  result.action.action = action;
  result.action.is_selective = action == ACTION_WIPE && device->ownership == OWNERSHIP_PERSONAL;
  result.action.parameter = parameter;
  result.action.parameter_value = value;
  emit_send(step, &result);
}

void emit_audit(const struct step *step, uint32_t index, const struct device *device,
                const struct audit *audit) {
  struct result result = result_about(step, RESULT_AUDIT, index, device);
  char id[DEVICE_ID_SIZE];
  result.audit.actor = audit->actor;
  result.audit.action = audit->action;
  result.audit.target = span_of(id, device_id_format(result.device_number, id));
  result.audit.outcome = audit->outcome;
  result.audit.reason = audit->reason;
  emit_send(step, &result);
}
