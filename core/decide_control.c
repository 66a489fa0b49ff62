#include "core/decide_control.h"

#include "core/sweep.h"

#include <stdio.h>

enum { CONTROL_REASON_SIZE = 160 };

/* What is to be audited of a control message. */
struct decided {
  enum audit_action action;
  struct span target;
  bool is_done;
  char reason[CONTROL_REASON_SIZE];
};

static void audit_control(const struct step *step, const struct event *event,
                          const struct decided *decided) {
  if (step->lane->number != 0) {
    return;
  }
  char actor[ACTOR_SIZE];
  struct result result = emit_result(step, RESULT_AUDIT);
  if (event->user.email.size > 0) {
    result.has_subject = true;
    result.person = INDEX_NONE;
    memcpy(result.subject, event->user.subject, SUBJECT_SIZE);
  }
  result.audit.actor = emit_asker(&event->actor, actor);
  result.audit.action = decided->action;
  result.audit.target = decided->target;
  result.audit.outcome = decided->is_done ? OUTCOME_OK : OUTCOME_REFUSED;
  result.audit.reason = decided->reason;
  emit_send(step, &result);
}

/* Writes the reason; false: refused. */
static void tell(struct decided *decided, bool is_done, const char *text) {
  decided->is_done = is_done;
  snprintf(decided->reason, sizeof decided->reason, "%s", text);
}

static void grant(const struct step *step, const struct event *event, struct decided *decided) {
  struct control *control = &step->lane->control;
  const uint8_t *subject = event->user.subject;
  const enum role role = event->role.role;
  if (control_has_role(control, subject, role)) {
    tell(decided, false, "holds this role already");
    return;
  }
  control_grant(control, &step->lane->memory, subject, role);
  decided->is_done = true;
  snprintf(decided->reason, sizeof decided->reason, "%s granted", role_name(role));
}

static void revoke(const struct step *step, const struct event *event, struct decided *decided) {
  struct control *control = &step->lane->control;
  const uint8_t *subject = event->user.subject;
  const enum role role = event->role.role;
  if (!control_has_role(control, subject, role)) {
    const bool is_configured = role == ROLE_ADMIN && control_is_admin(control, subject);
    tell(decided, false,
         is_configured ? "is an ADMIN by roles.bootstrap_admins: change the configuration"
                       : "does not hold this role");
    return;
  }
  if (role == ROLE_ADMIN && control_is_last_admin(control, subject)) {
    tell(decided, false, "the last ADMIN: nobody could make another");
    return;
  }
  control_revoke(control, subject, role);
  decided->is_done = true;
  snprintf(decided->reason, sizeof decided->reason, "%s taken away", role_name(role));
}

static void decide_role(const struct step *step, const struct event *event,
                        struct decided *decided) {
  if (!control_may(&step->lane->control, &event->actor, ROLE_ADMIN)) {
    tell(decided, false, "roles are an ADMIN's to give");
  } else if (event->role.is_granted) {
    grant(step, event, decided);
  } else {
    revoke(step, event, decided);
  }
}

static void decide_tenant(const struct step *step, const struct event *event,
                          struct decided *decided) {
  struct control *control = &step->lane->control;
  const enum tenant_event_kind kind = event->tenant.kind;
  const bool is_open = (control->tenant_events & 1u << kind) != 0;
  if (event->tenant.is_over != is_open) {
    tell(decided, false, is_open ? "has begun already" : "has not begun");
    return;
  }
  if (is_open) {
    control_end_tenant_event(control, kind, step->lane->clock_ms);
  } else {
    control_begin_tenant_event(control, kind);
  }
  lane_reschedule(step->lane, &step->cause);
  tell(decided, true,
       is_open ? "over: missed check-ins count again from here on"
               : "begun: missed check-ins do not count meanwhile");
}

static void decide_group(const struct step *step, const struct event *event,
                         struct decided *decided) {
  struct lane *lane = step->lane;
  const struct group_change *change = &event->group;
  const bool is_user = event->user.email.size > 0;
  const struct span key = is_user ? span_of(event->user.subject, SUBJECT_SIZE) : event->serial;
  const bool is_done =
      change->is_removed ? control_part(&lane->control, change->group, is_user, key)
                         : control_join(&lane->control, &lane->memory, change->group, is_user, key);
  const char *what = change->is_removed ? is_done ? "taken out of" : "is not in"
                     : is_done          ? "put into"
                                        : "is already in";
  decided->is_done = is_done;
  snprintf(decided->reason, sizeof decided->reason, "%s group %.*s", what, (int)change->group.size,
           (const char *)change->group.data);
}

static void decide_revision(const struct step *step, const struct event *event,
                            struct decided *decided) {
  const struct profile_revision *revision = &event->profile_revision;
  step->lane->control.change_count++;
  sweep_begin_push(step->lane, revision->profile, revision->revision, &step->cause);
  decided->is_done = true;
  snprintf(decided->reason, sizeof decided->reason, "revision %.*s of %s is pushed",
           (int)revision->revision.size, (const char *)revision->revision.data,
           profile_name(revision->profile));
}

/* What an operator may do: all but roles. */
static void decide_by_operator(const struct step *step, const struct event *event,
                               struct decided *decided) {
  if (!control_may(&step->lane->control, &event->actor, ROLE_OPERATOR)) {
    tell(decided, false, "needs an OPERATOR or an ADMIN");
  } else if (event->kind == EVENT_TENANT) {
    decide_tenant(step, event, decided);
  } else if (event->kind == EVENT_GROUP) {
    decide_group(step, event, decided);
  } else if (event->kind == EVENT_STATE) {
    tell(decided, true, "state told"); /* the batch's row does */
  } else {
    assert(event->kind == EVENT_PROFILE_REVISION);
    decide_revision(step, event, decided);
  }
}

void decide_control(const struct step *step, const struct event *event) {
  char subject[ACTOR_SIZE];
  emit_actor(event->user.subject, subject);
  struct decided decided = {.action = AUDIT_MANAGE, .target = event->serial};
  if (event->user.email.size > 0) {
    decided.target = span_of(subject, ACTOR_SIZE - 1);
  }
  if (event->kind == EVENT_ROLE) {
    decided.action = event->role.is_granted ? AUDIT_ASSIGN : AUDIT_MANAGE;
    decide_role(step, event, &decided);
  } else {
    if (event->kind == EVENT_TENANT) {
      decided.target = span_text(tenant_event_name(event->tenant.kind));
    } else if (event->kind == EVENT_PROFILE_REVISION) {
      decided.target = span_text(profile_name(event->profile_revision.profile));
    } else if (event->kind == EVENT_STATE) {
      decided.target = span_text("state");
    }
    decide_by_operator(step, event, &decided);
  }
  audit_control(step, event, &decided);
}
