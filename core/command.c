#include "core/command.h"

#include "core/command_internal.h"
#include "core/decide_device.h"
#include "core/lifecycle.h"

#include <stdarg.h>
#include <stdio.h>

#define TO(status) (1u << DEVICE_##status)

/* What may become of what by SET_STATUS. WIPED comes from a wipe alone, and a device that is out of
 * service comes back by enrolling alone. */
static const uint8_t moves[DEVICE_STATUS_COUNT] = {
    [DEVICE_PENDING] = TO(ENROLLED) | TO(FAILED) | TO(RETIRED),
    [DEVICE_ENROLLED] = TO(PENDING) | TO(RETIRED),
    [DEVICE_FAILED] = TO(PENDING) | TO(ENROLLED) | TO(RETIRED),
    [DEVICE_WIPED] = 0,
    [DEVICE_RETIRED] = 0,
};

/* How a command is audited, and whether it asks something of a device that is in service. */
static const struct command_rule {
  enum audit_action audit;
  bool needs_service;
} rules[COMMAND_COUNT] = {
    [COMMAND_SET_STATUS] = {AUDIT_UPDATE, false},
    [COMMAND_WIPE] = {AUDIT_REMOTE_TASK, true},
    [COMMAND_WITHDRAW_WIPE] = {AUDIT_REMOTE_TASK, false},
    [COMMAND_APPROVE_WIPE] = {AUDIT_REMOTE_TASK, false},
    [COMMAND_RETIRE] = {AUDIT_DELETE, true},
    [COMMAND_RENAME] = {AUDIT_REMOTE_TASK, true},
    [COMMAND_SYNC] = {AUDIT_REMOTE_TASK, true},
};

bool command_allows_move(enum device_status from, enum device_status to) {
  assert(from < DEVICE_STATUS_COUNT && to < DEVICE_STATUS_COUNT);
  return (moves[from] >> to & 1u) != 0;
}

bool asked_refuse(struct asked *asked, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(asked->reason, sizeof asked->reason, format, arguments);
  va_end(arguments);
  return false;
}

bool asked_done(struct asked *asked, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(asked->reason, sizeof asked->reason, format, arguments);
  va_end(arguments);
  return true;
}

static const char *status_of(const struct asked *asked) {
  return device_status_name((enum device_status)asked->device->status);
}

/* The device's own user may ask for what the policy lists, and never for a wipe. */
static bool user_may_ask(struct asked *asked) {
  const struct event *event = asked->event;
  const struct lane *lane = asked->step->lane;
  const enum command_kind kind = event->command.kind;
  const uint8_t *own = lane->persons.items[asked->device->person].subject;
  if (kind == COMMAND_WIPE || kind == COMMAND_APPROVE_WIPE ||
      (lane->policy->commands.of_users >> kind & 1u) == 0) {
    return asked_refuse(asked, "%s is not for users under this policy", command_name(kind));
  }
  if (event->actor.email.size == 0 || memcmp(event->actor.subject, own, SUBJECT_SIZE) != 0) {
    return asked_refuse(asked, "the actor is not the device's user");
  }
  return true;
}

/* A wipe needs somebody who answers for it; for the rest the console will do. */
static bool may_ask(struct asked *asked) {
  const struct event *event = asked->event;
  const struct control *control = &asked->step->lane->control;
  const enum command_kind kind = event->command.kind;
  if (event->command.is_of_user) {
    return user_may_ask(asked);
  }
  if (kind == COMMAND_WIPE || kind == COMMAND_APPROVE_WIPE) {
    if (event->actor.email.size == 0) {
      return asked_refuse(asked, "%s needs an ADMIN, named", command_name(kind));
    }
    return control_may(control, &event->actor, ROLE_ADMIN) ||
           asked_refuse(asked, "%s needs an ADMIN", command_name(kind));
  }
  return control_may(control, &event->actor, ROLE_OPERATOR) ||
         asked_refuse(asked, "%s needs an OPERATOR or an ADMIN", command_name(kind));
}

/* "ENROLLED may become PENDING or RETIRED; WIPED by wipe". */
static bool refuse_move(struct asked *asked, const char *why) {
  const uint32_t to = moves[asked->device->status];
  char list[64] = "";
  if (to == 0) {
    return asked_refuse(asked, "%s%s is left by enrolling again only", why, status_of(asked));
  }
  uint32_t left = to;
  for (enum device_status status = 0; status < DEVICE_STATUS_COUNT; status++) {
    if ((left >> status & 1u) != 0) {
      left &= ~(1u << status);
      const char *before = list[0] == '\0' ? "" : left == 0 ? " or " : ", ";
      const size_t size = strlen(list);
      snprintf(list + size, sizeof list - size, "%s%s", before, device_status_name(status));
    }
  }
  return asked_refuse(asked, "%s%s may become %s; WIPED by wipe", why, status_of(asked), list);
}

/* Does what a move brings along; the move is allowed. */
static bool move(struct asked *asked, enum device_status to) {
  struct device *device = asked->device;
  const char *before = status_of(asked);
  bool is_assigned = false;
  switch (to) {
  case DEVICE_PENDING:
    lifecycle_await(asked->step, device);
    break;
  case DEVICE_ENROLLED:
    is_assigned = lifecycle_enroll(asked->step, asked->index, device);
    break;
  case DEVICE_FAILED:
    device->status = DEVICE_FAILED;
    break;
  case DEVICE_RETIRED:
    lifecycle_retire(asked->step, asked->index, device);
    break;
  case DEVICE_WIPED:
  case DEVICE_STATUS_COUNT:
    assert(false);
  }
  return asked_done(asked, "%s to %s by command%s", before, device_status_name(to),
                    is_assigned ? "; licence assigned" : "");
}

static bool set_status(struct asked *asked) {
  const struct device_command *command = &asked->event->command;
  if (!command->has_status) {
    return asked_refuse(asked, "SET_STATUS without a status");
  }
  if (command->status == asked->device->status) {
    return refuse_move(asked, "it is so already; ");
  }
  if (!command_allows_move((enum device_status)asked->device->status, command->status)) {
    return refuse_move(asked, "");
  }
  return move(asked, command->status);
}

static bool push_task(struct asked *asked, enum action_kind action) {
  const struct span name = asked->event->command.name;
  if (action == ACTION_SYNC) {
    emit_action(asked->step, asked->index, asked->device, action, NULL, (struct span){0});
    return asked_done(asked, "sync asked for");
  }
  if (name.size == 0) {
    return asked_refuse(asked, "RENAME without a name");
  }
  emit_action(asked->step, asked->index, asked->device, action, "name", name);
  return asked_done(asked, "renamed");
}

static bool carry_out(struct asked *asked) {
  const enum command_kind kind = asked->event->command.kind;
  if (rules[kind].needs_service && lifecycle_is_over(asked->device)) {
    return asked_refuse(asked, "the device is %s", status_of(asked));
  }
  switch (kind) {
  case COMMAND_SET_STATUS:
    return set_status(asked);
  case COMMAND_WIPE:
    return command_wipe(asked);
  case COMMAND_WITHDRAW_WIPE:
    return command_withdraw_wipe(asked);
  case COMMAND_APPROVE_WIPE:
    return command_approve_wipe(asked);
  case COMMAND_RETIRE:
    return move(asked, DEVICE_RETIRED);
  case COMMAND_RENAME:
    return push_task(asked, ACTION_RENAME);
  case COMMAND_SYNC:
    return push_task(asked, ACTION_SYNC);
  case COMMAND_COUNT:
    break;
  }
  assert(false);
  return false;
}

static void add_note(struct asked *asked) {
  const struct span note = asked->event->command.note;
  const size_t size = strlen(asked->reason);
  if (note.size > 0) {
    snprintf(asked->reason + size, sizeof asked->reason - size, "; note: %.*s", (int)note.size,
             (const char *)note.data);
  }
}

static void audit_command(struct asked *asked, bool is_done, enum device_status before) {
  const struct event *event = asked->event;
  const enum command_kind kind = event->command.kind;
  char actor[ACTOR_SIZE];
  add_note(asked);
  const bool is_retirement = before != DEVICE_RETIRED && asked->device->status == DEVICE_RETIRED;
  const struct audit audit = {emit_asker(&event->actor, actor),
                              is_retirement ? AUDIT_DELETE : rules[kind].audit,
                              is_done ? OUTCOME_OK : OUTCOME_REFUSED, asked->reason};
  emit_audit(asked->step, asked->index, asked->device, &audit);
}

void decide_command(const struct step *step, const struct event *event, uint32_t index,
                    struct device *device) {
  if (lane_enrollment_seen(step->lane, device, event->event_id)) {
    return;
  }
  lane_remember_enrollment(step->lane, device, event->event_id);
  struct asked asked = {.step = step, .event = event, .index = index, .device = device};
  const enum device_status before = (enum device_status)device->status;
  const bool is_done = may_ask(&asked) && carry_out(&asked);
  audit_command(&asked, is_done, before);
  /* A status update decides compliance, of a device that has reported. */
  if (is_done && device->status != before && device->compliance != COMPLIANCE_UNKNOWN) {
    decide_evaluate(step, index, device, false);
  }
}
