/* What a rule asks of a device and what was seen of it, in words for people.
 *
 * "antivirus_signatures_age at most 168h", "antivirus_signatures_age 200h". The caller frees each
 * text; none is ever NULL. Tickets have these words and a replay makes them again: whoever changes
 * the wording raises the decision version. */
#ifndef MUSTER_APP_POLICY_WORDS_H
#define MUSTER_APP_POLICY_WORDS_H

#include "core/policy.h"

/* What the rule requires, with the platform's minimum for minimum_os: "os_version at least
 * 10.0.22631". */
char *policy_required(const struct policy *policy, uint32_t rule, enum platform platform);

/* The facts that keep the rule from holding for the device at the clock: those of comparisons that
 * hold make no part of it. Ages are to the minute, unless that minute would pass. When the rule
 * holds, every fact that it reads. `os_version` is the device's. */
char *policy_observed(const struct policy *policy, uint32_t rule, const struct device *device,
                      struct span os_version, int64_t clock_ms);

/* Every fact that the rule reads, whether it holds or not. */
char *policy_known(const struct policy *policy, uint32_t rule, const struct device *device,
                   struct span os_version, int64_t clock_ms);

#endif
