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
