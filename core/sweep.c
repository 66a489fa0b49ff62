#include "core/sweep.h"

#include "core/decide_device.h"
#include "core/emit.h"
#include "core/escalate.h"

/* The cause of a sweep outlives its message: its traceparent is copied. */
static void keep_cause(struct lane *lane, const struct cause *cause) {
  struct control *control = &lane->control;
  const uint32_t size = (uint32_t)cause->traceparent.size;
  if (control->traceparent_capacity < size) {
    control->traceparent = lane->memory.resize(lane->memory.context, control->traceparent,
                                               control->traceparent_capacity, size);
    control->traceparent_capacity = size;
  }
  control->sweep.cause = *cause;
  control->sweep.cause.traceparent = (struct span){0};
  if (size > 0) {
    memcpy(control->traceparent, cause->traceparent.data, size);
    control->sweep.cause.traceparent = span_of(control->traceparent, size);
  }
}

static void begin(struct lane *lane, enum sweep_kind kind, const struct cause *cause) {
  lane->control.sweep = (struct sweep){.kind = lane->device_count > 0 ? kind : SWEEP_NONE};
  keep_cause(lane, cause);
}

/* What the bit of a rule is under another policy: that of the rule with the same id. */
static violation_set bit_under(const struct policy *policy, const char *rule_id) {
  for (uint32_t rule = 0; rule < policy->rule_count; rule++) {
    if (span_equal(span_text(policy->rule_ids[rule]), span_text(rule_id))) {
      return 1u << rule;
    }
  }
  return 0;
}

void sweep_begin_policy(struct lane *lane, const struct policy *policy, const struct cause *cause) {
  assert(!sweep_is_open(lane));
  assert(policy != lane->policy);
  const struct policy *from = lane->policy;
  begin(lane, SWEEP_EVALUATE, cause);
  struct sweep *sweep = &lane->control.sweep;
  sweep->from = from;
  for (uint32_t rule = 0; rule < from->rule_count; rule++) {
    sweep->of_bit[rule] = bit_under(policy, from->rule_ids[rule]);
  }
  lane_set_policy(lane, policy);
}

void sweep_begin_push(struct lane *lane, enum profile profile, struct span revision,
                      const struct cause *cause) {
  assert(!sweep_is_open(lane));
  assert(revision.size <= SHORT_NAME_SIZE_MAX);
  begin(lane, SWEEP_PUSH, cause);
  struct sweep *sweep = &lane->control.sweep;
  sweep->profile = profile;
  sweep->revision_size = (uint8_t)revision.size;
  memcpy(sweep->revision, revision.data, revision.size);
}

void sweep_restore(struct lane *lane, const struct sweep_cursor *cursor) {
  struct sweep *sweep = &lane->control.sweep;
  assert(lane->device_count == 0);
  sweep->kind = SWEEP_NONE;
  if (cursor->is_set) {
    sweep->kind = sweep->from != NULL ? SWEEP_EVALUATE : SWEEP_PUSH;
    sweep->next = cursor->device_number == 0
                      ? 0
                      : (uint32_t)((cursor->device_number - 1 - lane->number) / lane->count) + 1;
  }
}

struct sweep_cursor sweep_cursor(const struct lane *lane) {
  const struct sweep *sweep = &lane->control.sweep;
  struct sweep_cursor cursor = {.is_set = sweep_is_open(lane)};
  if (cursor.is_set && sweep->next > 0) {
    cursor.device_number = lane_device_number(lane, sweep->next - 1);
  }
  return cursor;
}

/* The same rules' bits under the new policy; `has_lost`: one of the rules is gone. */
static violation_set carry_over(const struct sweep *sweep, violation_set violations,
                                bool *has_lost) {
  violation_set carried = 0;
  *has_lost = false;
  for (violation_set left = violations; left != 0; left &= left - 1) {
    const violation_set bit = sweep->of_bit[__builtin_ctz(left)];
    carried |= bit;
    *has_lost = *has_lost || bit == 0;
  }
  return carried;
}

/* How many of the plan's stages are over by then. Nobody is given up unseen: that is left to fire.
 */
static uint8_t stages_until(const struct policy_plan *plan, int64_t after_ms) {
  uint8_t count = 0;
  while (count < plan->count && plan->stages[count].after_ms <= after_ms &&
         !plan->stages[count].retires) {
    count++;
  }
  return count;
}

/* The episode counts as having been through what the new plan would have done by the time of the
 * last stage that it has been through: its mails are not sent once more, its blocks are put in
 * force (escalate_catch_up). */
static void carry_stage(const struct policy *from, const struct policy *to, struct device *device) {
  device->mail_held = 0;
  if (device->stage > 0) {
    const int64_t reached_ms = from->noncompliant.stages[device->stage - 1].after_ms;
    device->stage = stages_until(&to->noncompliant, reached_ms);
  }
}

/* The same of missed check-ins. What would not be overdue yet is not any more. */
static void carry_overdue(const struct policy *from, const struct policy *to, int64_t clock_ms,
                          int64_t from_ms, struct device *device) {
  device->overdue_mail_held = 0;
  if (device->overdue_stage == 0) {
    return;
  }
  if (to->overdue_after_ms == 0 || clock_ms - from_ms < to->overdue_after_ms) {
    device->overdue_stage = 0;
    return;
  }
  const uint32_t done = device->overdue_stage - 1u;
  int64_t reached_ms = from->overdue_after_ms;
  if (done > 0 && from->overdue.stages[done - 1].after_ms > reached_ms) {
    reached_ms = from->overdue.stages[done - 1].after_ms;
  }
  device->overdue_stage = (uint8_t)(1 + stages_until(&to->overdue, reached_ms));
}

/* Brings a device under the policy in force. Most have nothing but their timer to look at. */
static void evaluate_next(const struct step *step, uint32_t index) {
  struct lane *lane = step->lane;
  const struct policy *from = lane->control.sweep.from;
  struct device next = lane->devices[index];
  int64_t due_before_ms;
  int64_t due_ms;
  const enum timer_kind kind_before =
      lane_next_timer_under(lane, from, index, &next, &due_before_ms);
  const violation_set before = next.violations;
  bool has_lost;
  next.violations = carry_over(&lane->control.sweep, before, &has_lost);
  const bool is_renamed = next.violations != before;
  carry_stage(from, lane->policy, &next);
  carry_overdue(from, lane->policy, lane->clock_ms, lane_overdue_from_ms(lane, &next), &next);
  if (next.status != DEVICE_WIPED && next.status != DEVICE_RETIRED) {
    escalate_give_back(step, index, &next);
    if (next.compliance != COMPLIANCE_UNKNOWN) {
      decide_evaluate(step, index, &next, has_lost);
    }
    escalate_catch_up(step, index, &next);
  }
  /* When its check-in was due is another instant then. */
  const bool is_redated =
      next.overdue_stage > 0 && from->overdue_after_ms != lane->policy->overdue_after_ms;
  decide_apply(step, index, &next, is_renamed || is_redated);
  if (lane_next_timer_under(lane, lane->policy, index, &lane->devices[index], &due_ms) !=
          kind_before ||
      due_ms != due_before_ms) {
    lane_schedule(lane, index);
    lane_touch(lane, index, false, &step->cause); /* its row tells what is due */
  }
}

/* Sends the profile's revision to one of its devices. */
static void push_next(const struct step *step, uint32_t index) {
  const struct lane *lane = step->lane;
  const struct sweep *sweep = &lane->control.sweep;
  const struct device *device = &lane->devices[index];
  if (device->status != DEVICE_ENROLLED || device->profile != sweep->profile) {
    return;
  }
  struct result result = emit_result(step, RESULT_ACTION);
  result.device_number = lane_device_number(lane, index);
  result.serial = lane_serial(lane, device);
  emit_name_person(step, &result, device->person);
  result.action.action = ACTION_PUSH_PROFILE;
  result.action.parameter = "revision";
  result.action.parameter_value = span_of(sweep->revision, sweep->revision_size);
  emit_send(step, &result);
}

void sweep_step(struct lane *lane, const struct sink *sink) {
  struct sweep *sweep = &lane->control.sweep;
  assert(sweep_is_open(lane));
  const struct step step = {.lane = lane, .cause = sweep->cause, .sink = sink};
  const uint32_t index = sweep->next++;
  if (sweep->kind == SWEEP_EVALUATE) {
    evaluate_next(&step, index);
  } else {
    push_next(&step, index);
  }
  if (sweep->next == lane->device_count) {
    sweep->kind = SWEEP_NONE;
  }
}

/* Puts a policy in force that may or may not be known. */
static void switch_to(struct lane *lane, const struct policy_change *change,
                      const struct cause *cause) {
  const struct known_policy *known = control_find_policy(&lane->control, change->version);
  const struct policy *policy = known != NULL ? known->policy : change->policy;
  if (known == NULL) {
    control_know_policy(&lane->control, &lane->memory, change->hash, policy);
  }
  lane->control.change_count++;
  sweep_begin_policy(lane, policy, cause);
}

void sweep_apply_control(struct lane *lane, const struct event *event, const struct cause *cause,
                         int64_t at_ms) {
  if (event->kind == EVENT_POLICY) {
    switch_to(lane, &event->policy, cause);
  } else if (event->kind == EVENT_PROFILE_REVISION) {
    lane->control.change_count++;
    sweep_begin_push(lane, event->profile_revision.profile, event->profile_revision.revision,
                     cause);
  } else {
    control_apply(&lane->control, &lane->memory, event, at_ms);
  }
}

/* Whether what is known by that version is not what the message means. */
static bool is_another(const struct known_policy *known, const struct policy_change *change) {
  return known->policy != change->policy && memcmp(known->hash, change->hash, 32) != 0;
}

/* Why the policy cannot come into force; NULL: it can. */
static const char *refusal_of(const struct control *control, const struct event *event,
                              const struct known_policy *known) {
  if (!control_may(control, &event->actor, ROLE_ADMIN)) {
    return "a policy is for an ADMIN to apply";
  }
  if (known != NULL && is_another(known, &event->policy)) {
    return "this version is known with another content: give the new one a version of its own";
  }
  if (known == NULL && event->policy.policy == NULL) {
    return "no text was sent and this version was never in force";
  }
  return NULL;
}

/* What concerns no device is a result of lane 0 alone. */
static void tell(const struct step *step, const struct event *event, enum outcome outcome,
                 const char *reason) {
  if (step->lane->number != 0) {
    return;
  }
  char actor[ACTOR_SIZE];
  struct result result = emit_result(step, RESULT_AUDIT);
  result.audit.actor = emit_asker(&event->actor, actor);
  result.audit.action = AUDIT_MANAGE;
  result.audit.target = event->policy.version;
  result.audit.outcome = outcome;
  result.audit.reason = reason;
  emit_send(step, &result);
}

void sweep_decide_policy(const struct step *step, const struct event *event) {
  struct lane *lane = step->lane;
  const struct policy_change *change = &event->policy;
  const struct known_policy *known = control_find_policy(&lane->control, change->version);
  const char *refusal = refusal_of(&lane->control, event, known);
  if (refusal != NULL) {
    tell(step, event, OUTCOME_REFUSED, refusal);
    return;
  }
  if (known != NULL && known->policy == lane->policy) {
    tell(step, event, OUTCOME_OK, "already in force");
    return;
  }
  switch_to(lane, change, &step->cause);
  tell(step, event, OUTCOME_OK, "in force");
}
