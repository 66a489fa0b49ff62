#include "core/event.h"

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

const char *platform_name(enum platform platform) {
  static const char *const names[PLATFORM_COUNT] = {
#define X(name) [PLATFORM_##name] = #name,
      PLATFORM_LIST(X)
#undef X
  };
  assert(platform < PLATFORM_COUNT);
  return names[platform];
}

const char *profile_name(enum profile profile) {
  static const char *const names[PROFILE_COUNT] = {
#define X(name) [PROFILE_##name] = #name,
      PROFILE_LIST(X)
#undef X
  };
  assert(profile < PROFILE_COUNT);
  return names[profile];
}

const char *ownership_name(enum ownership ownership) {
  static const char *const names[OWNERSHIP_COUNT] = {
#define X(name) [OWNERSHIP_##name] = #name,
      OWNERSHIP_LIST(X)
#undef X
  };
  assert(ownership < OWNERSHIP_COUNT);
  return names[ownership];
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
