#include "core/app/ticket_words.h"

#include "core/app/policy_words.h"
#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>

char *ticket_words(const struct policy *policy, violation_set violations,
                   const struct device *device, struct span os_version, int64_t clock_ms) {
  if (violations == 0) {
    return NULL;
  }
  char *text = NULL;
  size_t size;
  FILE *const out = text_stream(&text, &size);
  for (violation_set left = violations; left != 0; left &= left - 1) {
    const uint32_t rule = (uint32_t)__builtin_ctz(left);
    const struct policy_rule *const of = &policy->rules[rule];
    char *const observed = policy_observed(policy, rule, device, os_version, clock_ms);
    char *const required = policy_required(policy, rule, (enum platform)device->platform);
    fprintf(out, "%s%s (%s). Seen: %s. Required: %s. What to do: %s",
            left == violations ? "" : "\n", of->title, of->id, observed, required, of->remediation);
    free(observed);
    free(required);
  }
  text_stream_end(out, &text);
  return text;
}

char *ticket_description(const struct lane *lane, const struct result *result) {
  if (result->kind != RESULT_TICKET || result->ticket.action == TICKET_RESOLVE) {
    return NULL;
  }
  assert(result->state != NULL && result->policy == lane->policy->version);
  return ticket_words(lane->policy, result->ticket.violations, result->state,
                      lane_os_version(lane, result->state), result->at_ms);
}
