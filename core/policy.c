#include "core/policy.h"

#include "core/version.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

static const struct policy default_policy = {
    .version = "default",
    .rule_ids =
        {
            [RULE_OS_OUT_OF_DATE] = "os_out_of_date",
            [RULE_ANTIVIRUS] = "antivirus",
            [RULE_NOT_ENCRYPTED] = "not_encrypted",
            [RULE_WEAK_SCREEN_LOCK] = "weak_screen_lock",
        },
    .os_version_min =
        {
            [PLATFORM_WINDOWS] = "10.0.22631",
            [PLATFORM_MACOS] = "14.0",
            [PLATFORM_IOS] = "17.0",
            [PLATFORM_ANDROID] = "13",
            [PLATFORM_LINUX] = NULL,
        },
    .antivirus_required = {[PLATFORM_WINDOWS] = true, [PLATFORM_MACOS] = true},
    .signatures_age_max_ms = 168 * HOUR_MS,
    .pin_length_min = 6,
    .block_after_ms = 24 * HOUR_MS,
    .pending_max_ms = 30 * MINUTE_MS,
};

const struct policy *policy_default(void) {
  return &default_policy;
}

uint32_t policy_outdated_platforms(const struct policy *policy, struct span os_version) {
  const bool known = version_is_known(os_version);
  uint32_t outdated = 0;
  for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    const char *minimum = policy->os_version_min[platform];
    if (minimum != NULL && (!known || version_compare(os_version, span_text(minimum)) < 0)) {
      outdated |= 1u << platform;
    }
  }
  return outdated;
}

static bool antivirus_holds(const struct policy *policy, const struct device *device,
                            int64_t clock_ms) {
  return device->antivirus_enabled == TRI_TRUE && device->antivirus_signatures_at_ms != TIME_NONE &&
         clock_ms - device->antivirus_signatures_at_ms <= policy->signatures_age_max_ms;
}

violation_set policy_violations(const struct policy *policy, const struct device *device,
                                uint32_t outdated, int64_t clock_ms) {
  violation_set violations = 0;
  if ((outdated >> device->platform & 1u) != 0) {
    violations |= 1u << RULE_OS_OUT_OF_DATE;
  }
  if (policy->antivirus_required[device->platform] && !antivirus_holds(policy, device, clock_ms)) {
    violations |= 1u << RULE_ANTIVIRUS;
  }
  if (device->disk_encrypted != TRI_TRUE) {
    violations |= 1u << RULE_NOT_ENCRYPTED;
  }
  if (!device->has_screen_lock_pin_length ||
      device->screen_lock_pin_length < policy->pin_length_min) {
    violations |= 1u << RULE_WEAK_SCREEN_LOCK;
  }
  return violations;
}

bool profile_allows(enum profile profile, enum platform platform) {
  switch (profile) {
  case PROFILE_STANDARD:
    return platform == PLATFORM_WINDOWS || platform == PLATFORM_MACOS || platform == PLATFORM_LINUX;
  case PROFILE_MOBILE:
    return platform == PLATFORM_IOS || platform == PLATFORM_ANDROID;
  case PROFILE_EXECUTIVE:
    return true;
  case PROFILE_COUNT:
    break;
  }
  assert(false);
  return false;
}
