#include "core/profile.h"

#define ON(platform) (1u << PLATFORM_##platform)

static const struct profile_entry catalogue[PROFILE_COUNT] = {
    [PROFILE_STANDARD] = {ON(WINDOWS) | ON(MACOS) | ON(LINUX), "office_365\nvpn\nantivirus\n"},
    [PROFILE_MOBILE] = {ON(IOS) | ON(ANDROID), "email_sync\nconditional_access\n"},
    [PROFILE_EXECUTIVE] = {ON(WINDOWS) | ON(MACOS) | ON(LINUX) | ON(IOS) | ON(ANDROID),
                           "enhanced_security\nmobile_threat_defence\n"},
};

const struct profile_entry *profile_entry(enum profile profile) {
  assert(profile < PROFILE_COUNT);
  return &catalogue[profile];
}

bool profile_allows(enum profile profile, enum platform platform) {
  return (profile_entry(profile)->platforms & 1u << platform) != 0;
}
