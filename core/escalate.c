#include "core/escalate.h"

#include "core/lifecycle.h"

#include <stdio.h>

/* Lets in or keeps out, unless that is so already. */
static void set_access(const struct step *step, uint32_t index, struct device *device,
                       enum resource resource, enum access_decision decision, const char *reason) {
  const bool is_email = resource == RESOURCE_EMAIL;
  const bool blocks = decision == ACCESS_BLOCK;
  if ((is_email ? device->email_blocked : device->sap_blocked) == blocks) {
    return;
  }
  if (is_email) {
    device->email_blocked = blocks;
  } else {
    device->sap_blocked = blocks;
  }
  emit_access(step, index, device, resource, decision, reason);
}

void escalate_end(struct device *device) {
  device->noncompliant_since_ms = TIME_NONE;
  device->clean_since_ms = 0;
  device->stage = 0;
  device->mail_held = 0;
}

void escalate_end_overdue(struct device *device) {
  device->overdue_stage = 0;
  device->overdue_mail_held = 0;
}

void escalate_give_back(const struct step *step, uint32_t index, struct device *device) {
  for (enum resource resource = 0; resource < RESOURCE_COUNT; resource++) {
    if ((step->lane->policy->checks.resources >> resource & 1u) == 0) {
      set_access(step, index, device, resource, ACCESS_ALLOW, "no longer managed by the policy");
    }
  }
}

void escalate_resolve_ticket(const struct step *step, uint32_t index, struct device *device) {
  if (device->ticket_open) {
    device->ticket_open = false;
    emit_ticket(step, index, device, TICKET_RESOLVE);
  }
}

static void set_blocks(const struct step *step, uint32_t index, struct device *device,
                       uint8_t blocks, const char *reason) {
  for (enum resource resource = 0; resource < RESOURCE_COUNT; resource++) {
    if ((blocks & 1u << resource) != 0) {
      set_access(step, index, device, resource, ACCESS_BLOCK, reason);
    }
  }
}

/* What a stage is for beside its mails, as far as it is not so already. */
static void put_in_force(const struct step *step, uint32_t index, struct device *device,
                         const struct policy_stage *stage) {
  set_blocks(step, index, device, stage->blocks, stage->reason);
  if (stage->opens_ticket && !device->ticket_open) {
    device->ticket_open = true;
    emit_ticket(step, index, device, TICKET_OPEN);
  }
}

void escalate_catch_up(const struct step *step, uint32_t index, struct device *device) {
  const struct policy_plan *plan = &step->lane->policy->noncompliant;
  if (device->compliance == COMPLIANCE_NONCOMPLIANT) {
    for (uint32_t i = 0; i < device->stage; i++) {
      put_in_force(step, index, device, &plan->stages[i]);
    }
  }
}

static void send_mails(const struct step *step, uint32_t index, const struct device *device,
                       const struct policy_stage *stage) {
  for (uint32_t i = 0; i < stage->template_count; i++) {
    emit_notification(step, index, device, stage->templates[i]);
  }
}

/* Sends the stage's mails, or holds them in quiet hours: `held` is then the stage's number from 1.
 * What is held already is out of date and never sent. */
static void mail(const struct step *step, uint32_t index, const struct device *device,
                 const struct policy_stage *stage, int64_t begin_ms, uint32_t number,
                 uint8_t *held) {
  const int64_t due_at_ms = begin_ms + stage->after_ms;
  if (stage->template_count == 0) {
    return;
  }
  if (policy_mail_at(step->lane->policy, due_at_ms) != due_at_ms) {
    *held = (uint8_t)number;
    return;
  }
  *held = 0;
  send_mails(step, index, device, stage);
}

/* The plan gives the device up. */
static void retire(const struct step *step, uint32_t index, struct device *device) {
  char reason[64];
  snprintf(reason, sizeof reason, "%s to RETIRED: by the policy's plan",
           device_status_name((enum device_status)device->status));
  const struct audit audit = {"policy", AUDIT_DELETE, OUTCOME_OK, reason};
  lifecycle_retire(step, index, device);
  emit_audit(step, index, device, &audit);
}

/* What the plan's next stage asks for. */
static void run_stage(const struct step *step, uint32_t index, struct device *device) {
  const struct policy_stage *stage = &step->lane->policy->noncompliant.stages[device->stage++];
  mail(step, index, device, stage, device->noncompliant_since_ms, device->stage,
       &device->mail_held);
  put_in_force(step, index, device, stage);
  if (stage->retires) {
    retire(step, index, device);
  }
}

/* Becomes overdue, with the stages of that instant; or goes through the next stage. */
static void run_overdue(const struct step *step, uint32_t index, struct device *device) {
  const struct policy *policy = step->lane->policy;
  const struct policy_plan *plan = &policy->overdue;
  const int64_t begin_ms = lane_overdue_from_ms(step->lane, device);
  const bool is_begin = device->overdue_stage == 0;
  if (is_begin) {
    device->overdue_stage = 1;
    if (plan->count == 0 || plan->stages[0].after_ms > policy->overdue_after_ms) {
      return;
    }
  }
  const uint32_t number = device->overdue_stage++;
  mail(step, index, device, &plan->stages[number - 1], begin_ms, number,
       &device->overdue_mail_held);
}

/* What was held goes out. */
static void send_held(const struct step *step, uint32_t index, const struct device *device,
                      const struct policy_plan *plan, uint8_t *held) {
  const struct policy_stage *stage = &plan->stages[*held - 1];
  *held = 0;
  send_mails(step, index, device, stage);
}

void escalate_begin(const struct step *step, uint32_t index, struct device *device) {
  const struct policy_plan *plan = &step->lane->policy->noncompliant;
  if (device->clean_since_ms != 0) {
    device->clean_since_ms = 0;
    emit_change(step, index, device);
    escalate_catch_up(step, index, device); /* the policy may be another than then */
    return;
  }
  device->noncompliant_since_ms = step->lane->clock_ms;
  device->episode++;
  device->stage = 0;
  emit_change(step, index, device);
  while (!lifecycle_is_over(device) && device->stage < plan->count &&
         plan->stages[device->stage].after_ms == 0) {
    run_stage(step, index, device);
  }
}

/* The episode is over: what it took away is given back; so is what a wipe under another policy took
 * away that this one does not manage. */
static void recover(const struct step *step, uint32_t index, struct device *device) {
  escalate_end(device);
  for (enum resource resource = 0; resource < RESOURCE_COUNT; resource++) {
    set_access(step, index, device, resource, ACCESS_ALLOW, "compliant");
  }
  escalate_resolve_ticket(step, index, device);
}

void escalate_withdraw(const struct step *step, uint32_t index, struct device *device,
                       const char *reason) {
  set_blocks(step, index, device, step->lane->policy->checks.resources, reason);
}

void escalate_recovered(const struct step *step, uint32_t index, struct device *device) {
  if (step->lane->policy->minimum_clean_ms > 0 && device->noncompliant_since_ms != TIME_NONE) {
    device->clean_since_ms = step->lane->clock_ms;
    emit_change(step, index, device);
    return;
  }
  device->noncompliant_since_ms = TIME_NONE; /* as the change is to show it */
  emit_change(step, index, device);
  recover(step, index, device);
}

void escalate_fire(const struct step *step, uint32_t index, struct device *device,
                   enum timer_kind kind) {
  const struct policy *policy = step->lane->policy;
  switch (kind) {
  case TIMER_KIND_BLOCK:
  case TIMER_KIND_TICKET:
  case TIMER_KIND_NOTIFY:
  case TIMER_KIND_RETIRE:
    run_stage(step, index, device);
    return;
  case TIMER_KIND_CLEAN:
    recover(step, index, device);
    return;
  case TIMER_KIND_MAIL:
    send_held(step, index, device, &policy->noncompliant, &device->mail_held);
    return;
  case TIMER_KIND_OVERDUE:
    run_overdue(step, index, device);
    return;
  case TIMER_KIND_OVERDUE_MAIL:
    send_held(step, index, device, &policy->overdue, &device->overdue_mail_held);
    return;
  case TIMER_KIND_NONE:
  case TIMER_KIND_FAIL:
  case TIMER_KIND_WIPE_OVERDUE:
    break;
  }
  assert(false);
}
