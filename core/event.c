#include "core/event.h"

#include "core/names.h"

#include <stdarg.h>
#include <stdio.h>

const char *topic_name(enum topic topic) {
  static const char *const names[TOPIC_COUNT] = {
      [TOPIC_CONTROL] = "control",
      [TOPIC_ENROLLMENTS] = "enrollments",
      [TOPIC_COMMANDS] = "commands",
      [TOPIC_CHECKINS] = "checkins",
      [TOPIC_REPORTS] = "compliance-reports",
  };
  assert(topic < TOPIC_COUNT);
  return names[topic];
}

NAMES_OF(platform_name, platform, PLATFORM_LIST, PLATFORM_COUNT)
NAMES_OF(profile_name, profile, PROFILE_LIST, PROFILE_COUNT)
NAMES_OF(ownership_name, ownership, OWNERSHIP_LIST, OWNERSHIP_COUNT)
NAMES_OF(device_status_name, device_status, STATUS_SYMBOLS, DEVICE_STATUS_COUNT)
NAMES_OF(command_name, command_kind, COMMAND_LIST, COMMAND_COUNT)
NAMES_OF(wipe_reason_name, wipe_reason, WIPE_REASON_LIST, WIPE_REASON_COUNT)
NAMES_OF(role_name, role, ROLE_LIST, ROLE_COUNT)
NAMES_OF(tenant_event_name, tenant_event_kind, TENANT_EVENT_LIST, TENANT_EVENT_COUNT)

bool event_control_change(const struct event *event, struct control_change *change) {
  *change = (struct control_change){0};
  switch (event->kind) {
  case EVENT_POLICY:
    change->name = event->policy.version;
    return true;
  case EVENT_ROLE:
    change->symbol = event->role.role;
    change->is_off = !event->role.is_granted;
    return true;
  case EVENT_TENANT:
    change->symbol = event->tenant.kind;
    change->is_off = event->tenant.is_over;
    return true;
  case EVENT_PROFILE_REVISION:
    change->symbol = event->profile_revision.profile;
    change->name = event->profile_revision.revision;
    return true;
  case EVENT_GROUP:
    change->is_off = event->group.is_removed;
    change->name = event->group.group;
    return true;
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_STATE:
    break;
  }
  return false;
}

bool event_take_control_change(struct event *event, const struct control_change *change) {
  switch (event->kind) {
  case EVENT_POLICY:
    event->policy.version = change->name;
    return change->name.size <= SHORT_NAME_SIZE_MAX;
  case EVENT_ROLE:
    event->role =
        (struct role_change){.role = (enum role)change->symbol, .is_granted = !change->is_off};
    return change->symbol < ROLE_COUNT;
  case EVENT_TENANT:
    event->tenant = (struct tenant_event){.kind = (enum tenant_event_kind)change->symbol,
                                          .is_over = change->is_off};
    return change->symbol < TENANT_EVENT_COUNT;
  case EVENT_PROFILE_REVISION:
    event->profile_revision = (struct profile_revision){.profile = (enum profile)change->symbol,
                                                        .revision = change->name};
    return change->symbol < PROFILE_COUNT && change->name.size <= SHORT_NAME_SIZE_MAX;
  case EVENT_GROUP:
    event->group = (struct group_change){.group = change->name, .is_removed = change->is_off};
    return change->name.size <= SHORT_NAME_SIZE_MAX;
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_STATE:
    break;
  }
  return false;
}

const char *reject_code_name(enum reject_code code) {
  static const char *const names[REJECT_COUNT] = {
#define X(name, text) [REJECT_##name] = text,
      REJECT_LIST(X)
#undef X
  };
  assert(code < REJECT_COUNT);
  return names[code];
}

void reject_set(struct reject *reject, enum reject_code code, enum reject_stage stage,
                const char *format, ...) {
  reject->code = code;
  reject->stage = stage;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reject->text, sizeof reject->text, format, arguments);
  va_end(arguments);
}
