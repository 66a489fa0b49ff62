/* What is asked of a device, and what follows when it does not hold. */
#ifndef MUSTER_CORE_POLICY_H
#define MUSTER_CORE_POLICY_H

#include "core/device.h"

enum rule {
  RULE_OS_OUT_OF_DATE,
  RULE_ANTIVIRUS,
  RULE_NOT_ENCRYPTED,
  RULE_WEAK_SCREEN_LOCK,
  RULE_COUNT
};

struct policy {
  const char *version;
  const char *rule_ids[RULE_COUNT]; /* in policy order: the index is the bit in a violation_set */
  const char *os_version_min[PLATFORM_COUNT]; /* NULL: any version will do */
  bool antivirus_required[PLATFORM_COUNT];
  int64_t signatures_age_max_ms; /* exactly this old passes */
  int32_t pin_length_min;
  int64_t block_after_ms; /* from the moment the device became non-compliant */
  int64_t pending_max_ms; /* without a check-in for this long, provisioning has failed */
};

/* Version `default` of the public contract. */
const struct policy *policy_default(void);

/* Bit p is set when `os_version` violates the rule on platform p: below the minimum, or unknown
 * where there is one. Computed once for each distinct text, not once for each report. */
uint32_t policy_outdated_platforms(const struct policy *policy, struct span os_version);

/* The rules that the device violates at the clock. `outdated` is policy_outdated_platforms of
 * its os_version. A fact that was never reported fails the rule that needs it. */
violation_set policy_violations(const struct policy *policy, const struct device *device,
                                uint32_t outdated, int64_t clock_ms);

/* Which profiles may be on which platforms (the public contract). */
bool profile_allows(enum profile profile, enum platform platform);

#endif
