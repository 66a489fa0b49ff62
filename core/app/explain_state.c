/* What a device's state says: facts, rules, and why it is blocked or is not. */
#include "core/app/explain.h"
#include "core/app/policy_text.h"
#include "core/app/policy_words.h"
#include "core/app/yaml_tree.h"
#include "core/time_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct json_t *explain_time(int64_t at_ms) {
  char text[TIME_TEXT_SIZE];
  if (at_ms == TIME_NONE) {
    return json_null();
  }
  time_format(at_ms, text);
  return json_string(text);
}

static json_t *tri_json(uint8_t tri) {
  return tri == TRI_UNKNOWN ? json_null() : json_boolean(tri == TRI_TRUE);
}

static json_t *text_json(struct span text) {
  return json_stringn((const char *)text.data, text.size);
}

/* NULL: never reported. */
static const char *level_name(const struct device *device) {
  return device->threat_level == 0
             ? NULL
             : threat_level_name((enum threat_level)(device->threat_level - 1));
}

struct json_t *explain_facts(const struct lane *lane, const struct device *device) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s?, s:o}", "os_version",
                   text_json(lane_os_version(lane, device)), "antivirus_enabled",
                   tri_json(device->antivirus_enabled), "antivirus_signatures_at",
                   explain_time(device->antivirus_signatures_at_ms), "disk_encrypted",
                   tri_json(device->disk_encrypted), "screen_lock_pin_length",
                   device->has_screen_lock_pin_length ? json_integer(device->screen_lock_pin_length)
                                                      : json_null(),
                   "threat_defence_level", level_name(device), "threat_defence_at",
                   explain_time(device->threat_at_ms));
}

struct json_t *explain_rules(const struct lane *lane, const struct device *device) {
  const struct policy *policy = lane->policy;
  const violation_set violations = policy_violations(
      policy, device, lane->versions.texts[device->os_version].outcomes, lane->clock_ms);
  json_t *const rules = json_array();
  for (uint32_t i = 0; i < policy->rule_count; i++) {
    const struct policy_rule *rule = &policy->rules[i];
    char *const needs = policy_requirement(policy, rule);
    char *const known =
        policy_known(policy, i, device, lane_os_version(lane, device), lane->clock_ms);
    json_array_append_new(rules,
                          json_pack("{s:s, s:b, s:s, s:s}", "rule", rule->id, "violated",
                                    (int)(violations >> i & 1u), "needs", needs, "known", known));
    free(needs);
    free(known);
  }
  return rules;
}

static void time_or_never(int64_t at_ms, char text[TIME_TEXT_SIZE]) {
  if (at_ms == TIME_NONE) {
    snprintf(text, TIME_TEXT_SIZE, "never");
  } else {
    time_format(at_ms, text);
  }
}

/* The plan's first stage that blocks mail; NULL: none does. */
static const struct policy_stage *blocking_stage(const struct policy *policy, uint32_t *number) {
  for (uint32_t i = 0; i < policy->noncompliant.count; i++) {
    if ((policy->noncompliant.stages[i].blocks >> RESOURCE_EMAIL & 1u) != 0) {
      *number = i;
      return &policy->noncompliant.stages[i];
    }
  }
  return NULL;
}

void explain_block(const struct lane *lane, const struct device *device, char *text, size_t size) {
  char since[TIME_TEXT_SIZE];
  char due[TIME_TEXT_SIZE];
  char clock[TIME_TEXT_SIZE];
  char delay[DURATION_TEXT_SIZE];
  uint32_t number = 0;
  const struct policy_stage *stage = blocking_stage(lane->policy, &number);
  const bool is_waiting =
      stage != NULL && device->compliance == COMPLIANCE_NONCOMPLIANT && device->stage <= number;
  time_or_never(device->noncompliant_since_ms, since);
  time_or_never(is_waiting ? device->noncompliant_since_ms + stage->after_ms : TIME_NONE, due);
  time_or_never(lane->clock_ms, clock);
  duration_format(stage != NULL ? stage->after_ms : 0, delay);
  if (device->email_blocked && device->compliance == COMPLIANCE_NONCOMPLIANT) {
    snprintf(text, size, "blocked: non-compliant since %s, longer than %s", since, delay);
  } else if (device->email_blocked) {
    snprintf(text, size, "blocked: from an earlier episode, until the first compliant report");
  } else if (device->compliance == COMPLIANCE_UNKNOWN) {
    snprintf(text, size, "not blocked: no report has been evaluated");
  } else if (device->compliance == COMPLIANCE_COMPLIANT) {
    snprintf(text, size, "not blocked: no rule was violated when it was evaluated last");
  } else if (is_waiting) {
    snprintf(text, size,
             "not blocked yet: non-compliant since %s; due %s later, at %s, while the lane's clock "
             "is at %s",
             since, delay, due, clock);
  } else {
    snprintf(text, size, "not blocked: non-compliant since %s, and nothing is due", since);
  }
}
