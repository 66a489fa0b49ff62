#include "core/control.h"

void control_init(struct control *control, const struct memory *memory,
                  const struct policy *first) {
  *control = (struct control){0};
  control_know_policy(control, memory, first->hash, first);
}

const struct known_policy *control_find_policy(const struct control *control, struct span version) {
  for (uint32_t i = 0; i < control->policy_count; i++) {
    if (span_equal(span_text(control->policies[i].version), version)) {
      return &control->policies[i];
    }
  }
  return NULL;
}

void control_know_policy(struct control *control, const struct memory *memory,
                         const uint8_t hash[32], const struct policy *policy) {
  control->policies = memory_grow(memory, control->policies, control->policy_count,
                                  &control->policy_capacity, sizeof *control->policies);
  struct known_policy *known = &control->policies[control->policy_count++];
  *known = (struct known_policy){.policy = policy};
  memcpy(known->version, policy->version, sizeof known->version);
  memcpy(known->hash, hash, sizeof known->hash);
}

bool control_apply(struct control *control, const struct memory *memory, const struct event *event,
                   int64_t clock_ms) {
  const bool is_user = event->user.email.size > 0;
  const struct span key = is_user ? span_of(event->user.subject, SUBJECT_SIZE) : event->serial;
  switch (event->kind) {
  case EVENT_ROLE:
    return event->role.is_granted
               ? control_grant(control, memory, event->user.subject, event->role.role)
               : control_revoke(control, event->user.subject, event->role.role);
  case EVENT_TENANT:
    return event->tenant.is_over ? control_end_tenant_event(control, event->tenant.kind, clock_ms)
                                 : control_begin_tenant_event(control, event->tenant.kind);
  case EVENT_GROUP:
    return event->group.is_removed
               ? control_part(control, event->group.group, is_user, key)
               : control_join(control, memory, event->group.group, is_user, key);
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_POLICY:
  case EVENT_PROFILE_REVISION:
  case EVENT_STATE:
    break;
  }
  assert(false);
  return false;
}
