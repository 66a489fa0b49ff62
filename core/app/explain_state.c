/* What a device's state says: facts, rules, and why it is blocked or is not. */
#include "core/app/explain.h"
#include "core/time_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

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

struct json_t *explain_facts(const struct lane *lane, const struct device *device) {
  return json_pack("{s:o, s:o, s:o, s:o, s:o}", "os_version",
                   text_json(lane_os_version(lane, device)), "antivirus_enabled",
                   tri_json(device->antivirus_enabled), "antivirus_signatures_at",
                   explain_time(device->antivirus_signatures_at_ms), "disk_encrypted",
                   tri_json(device->disk_encrypted), "screen_lock_pin_length",
                   device->has_screen_lock_pin_length ? json_integer(device->screen_lock_pin_length)
                                                      : json_null());
}

static const char *tri_name(uint8_t tri, const char *yes, const char *no) {
  return tri == TRI_TRUE ? yes : tri == TRI_FALSE ? no : "never reported";
}

static void tell_antivirus(const struct lane *lane, const struct device *device, char known[128]) {
  const char *enabled = tri_name(device->antivirus_enabled, "enabled", "not enabled");
  const int64_t at_ms = device->antivirus_signatures_at_ms;
  if (at_ms == TIME_NONE) {
    snprintf(known, 128, "%s, signatures never reported", enabled);
    return;
  }
  const int64_t age_ms = lane->clock_ms - at_ms;
  snprintf(known, 128, "%s, signatures %" PRId64 " h %" PRId64 " min old", enabled,
           age_ms / HOUR_MS, age_ms % HOUR_MS / MINUTE_MS);
}

/* What the rule needs of this device, and what is known of it. */
static void tell_rule(const struct lane *lane, const struct device *device, uint32_t rule,
                      char needs[128], char known[128]) {
  const struct policy *policy = lane->policy;
  const struct span version = lane_os_version(lane, device);
  switch (rule) {
  case RULE_OS_OUT_OF_DATE: {
    const char *minimum = policy->os_version_min[device->platform];
    snprintf(needs, 128, "%s %s", platform_name((enum platform)device->platform),
             minimum == NULL ? "of any version" : minimum);
    snprintf(known, 128, "%.*s", (int)version.size, (const char *)version.data);
    break;
  }
  case RULE_ANTIVIRUS:
    if (!policy->antivirus_required[device->platform]) {
      snprintf(needs, 128, "nothing on %s", platform_name((enum platform)device->platform));
    } else {
      snprintf(needs, 128, "enabled, signatures at most %" PRId64 " h old",
               policy->signatures_age_max_ms / HOUR_MS);
    }
    tell_antivirus(lane, device, known);
    break;
  case RULE_NOT_ENCRYPTED:
    snprintf(needs, 128, "the disk encrypted");
    snprintf(known, 128, "%s", tri_name(device->disk_encrypted, "encrypted", "not encrypted"));
    break;
  case RULE_WEAK_SCREEN_LOCK:
    snprintf(needs, 128, "%" PRId32 " digits", policy->pin_length_min);
    if (device->has_screen_lock_pin_length) {
      snprintf(known, 128, "%" PRId32 " digits", device->screen_lock_pin_length);
    } else {
      snprintf(known, 128, "never reported");
    }
    break;
  default:
    needs[0] = known[0] = '\0';
    break;
  }
}

struct json_t *explain_rules(const struct lane *lane, const struct device *device) {
  const uint32_t outdated = lane->versions.texts[device->os_version].outdated_platforms;
  const violation_set violations =
      policy_violations(lane->policy, device, outdated, lane->clock_ms);
  json_t *const rules = json_array();
  for (uint32_t rule = 0; rule < RULE_COUNT; rule++) {
    char needs[128];
    char known[128];
    tell_rule(lane, device, rule, needs, known);
    json_array_append_new(
        rules, json_pack("{s:s, s:b, s:s, s:s}", "rule", lane->policy->rule_ids[rule], "violated",
                         (int)(violations >> rule & 1u), "needs", needs, "known", known));
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

void explain_block(const struct lane *lane, const struct device *device, char *text, size_t size) {
  char since[TIME_TEXT_SIZE];
  char due[TIME_TEXT_SIZE];
  char clock[TIME_TEXT_SIZE];
  const bool is_waiting = device->stage == STAGE_NOTIFIED;
  time_or_never(device->noncompliant_since_ms, since);
  time_or_never(
      is_waiting ? device->noncompliant_since_ms + lane->policy->block_after_ms : TIME_NONE, due);
  time_or_never(lane->clock_ms, clock);
  if (device->email_blocked && device->compliance == COMPLIANCE_NONCOMPLIANT) {
    snprintf(text, size, "blocked: non-compliant since %s, longer than %" PRId64 " h", since,
             lane->policy->block_after_ms / HOUR_MS);
  } else if (device->email_blocked) {
    snprintf(text, size, "blocked: from an earlier episode, until the first compliant report");
  } else if (device->compliance == COMPLIANCE_UNKNOWN) {
    snprintf(text, size, "not blocked: no report has been evaluated");
  } else if (device->compliance == COMPLIANCE_COMPLIANT) {
    snprintf(text, size, "not blocked: no rule was violated when it was evaluated last");
  } else if (is_waiting) {
    snprintf(text, size,
             "not blocked yet: non-compliant since %s; due %" PRId64
             " h later, at %s, while the lane's clock is at %s",
             since, lane->policy->block_after_ms / HOUR_MS, due, clock);
  } else {
    snprintf(text, size, "not blocked: non-compliant since %s, and nothing is due", since);
  }
}
