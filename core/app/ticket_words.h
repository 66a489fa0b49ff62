/* What a ticket says for whoever works on it: a line for each violation, with what was seen, what
 * is required and what to do. It holds a device's facts and the policy's own texts, no person. */
#ifndef MUSTER_APP_TICKET_WORDS_H
#define MUSTER_APP_TICKET_WORDS_H

#include "core/lane.h"

/* "TITLE (rule_id). Seen: OBSERVED. Required: REQUIRED. What to do: REMEDIATION", in policy order,
 * with line feeds between lines. `violations` are bits of the policy's rules, `os_version` is the
 * device's. A violation whose facts hold by now, since it is as of the last evaluation, shows all
 * that its rule reads. The caller frees it; NULL when there are no violations. */
char *ticket_words(const struct policy *policy, violation_set violations,
                   const struct device *device, struct span os_version, int64_t clock_ms);

/* That of a result just decided in the lane, as the sink has it; NULL unless it opens or updates a
 * ticket. The caller frees it. */
char *ticket_description(const struct lane *lane, const struct result *result);

#endif
