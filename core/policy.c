#include "core/policy.h"

#include "core/version.h"

const char *fact_name(enum fact fact) {
  static const char *const names[FACT_COUNT] = {
#define X(name, text, type) [FACT_##name] = text,
      FACT_LIST(X)
#undef X
  };
  assert(fact < FACT_COUNT);
  return names[fact];
}

enum fact_type fact_type_of(enum fact fact) {
  static const enum fact_type types[FACT_COUNT] = {
#define X(name, text, type) [FACT_##name] = type,
      FACT_LIST(X)
#undef X
  };
  assert(fact < FACT_COUNT);
  return types[fact];
}

const char *threat_level_name(enum threat_level level) {
  static const char *const names[THREAT_LEVEL_COUNT] = {
      [THREAT_SECURED] = "secured",
      [THREAT_LOW] = "low",
      [THREAT_MEDIUM] = "medium",
      [THREAT_HIGH] = "high",
  };
  assert(level < THREAT_LEVEL_COUNT);
  return names[level];
}

const char *relation_name(enum relation relation) {
  static const char *const names[RELATION_COUNT] = {
#define X(name, text) [RELATION_##name] = text,
      RELATION_LIST(X)
#undef X
  };
  assert(relation < RELATION_COUNT);
  return names[relation];
}

const char *resource_name(enum resource resource) {
  static const char *const names[RESOURCE_COUNT] = {
      [RESOURCE_EMAIL] = "email",
      [RESOURCE_SAP] = "sap",
  };
  assert(resource < RESOURCE_COUNT);
  return names[resource];
}

const char *timer_kind_name(enum timer_kind kind) {
  switch (kind) {
  case TIMER_KIND_NONE:
    return NULL;
  case TIMER_KIND_FAIL:
    return "fail";
  case TIMER_KIND_BLOCK:
    return "block";
  case TIMER_KIND_TICKET:
    return "ticket";
  case TIMER_KIND_NOTIFY:
    return "notify";
  case TIMER_KIND_CLEAN:
    return "clean";
  case TIMER_KIND_MAIL:
  case TIMER_KIND_OVERDUE_MAIL:
    return "mail";
  case TIMER_KIND_OVERDUE:
    return "overdue";
  case TIMER_KIND_RETIRE:
    return "retire";
  case TIMER_KIND_WIPE_OVERDUE:
    return "wipe_overdue";
  }
  assert(false);
  return NULL;
}

enum timer_kind policy_stage_kind(const struct policy_stage *stage) {
  if (stage->retires) {
    return TIMER_KIND_RETIRE;
  }
  if (stage->blocks != 0) {
    return TIMER_KIND_BLOCK;
  }
  return stage->opens_ticket ? TIMER_KIND_TICKET : TIMER_KIND_NOTIFY;
}

bool relation_satisfied(enum relation relation, int order) {
  switch (relation) {
  case RELATION_IS:
    return order == 0;
  case RELATION_IS_NOT:
    return order != 0;
  case RELATION_BELOW:
    return order < 0;
  case RELATION_AT_MOST:
    return order <= 0;
  case RELATION_AT_LEAST:
    return order >= 0;
  case RELATION_ABOVE:
    return order > 0;
  case RELATION_COUNT:
    break;
  }
  assert(false);
  return false;
}

static bool version_holds(const struct policy *policy, const struct policy_version_test *test,
                          uint32_t platform, struct span os_version, bool known) {
  if (test->operand == OPERAND_UNKNOWN) {
    return (test->relation == RELATION_IS) != known;
  }
  const char *other = test->operand == OPERAND_MINIMUM_OS ? policy->minimum_os[platform]
                                                          : policy->version_texts[test->text];
  if (other[0] == '\0') {
    /* A platform without a minimum: every version is at least that, an unknown one too. */
    return test->relation == RELATION_AT_LEAST;
  }
  return known && relation_satisfied(test->relation, version_compare(os_version, span_text(other)));
}

static void add_outcome(struct policy_outcome *sum, const struct policy_outcome *outcome,
                        bool holds) {
  sum->failed |= holds ? 0 : outcome->failed;
  sum->holds |= holds ? outcome->holds : 0;
}

void policy_version_outcomes(const struct policy *policy, struct span os_version,
                             struct policy_outcome outcomes[PLATFORM_COUNT]) {
  const bool known = version_is_known(os_version);
  for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    outcomes[platform] = (struct policy_outcome){0};
    for (uint32_t i = 0; i < policy->checks.version_test_count; i++) {
      const struct policy_version_test *test = &policy->checks.version_tests[i];
      add_outcome(&outcomes[platform], &test->outcome,
                  version_holds(policy, test, platform, os_version, known));
    }
  }
}

static inline struct policy_outcome join(struct policy_outcome a, struct policy_outcome b) {
  return (struct policy_outcome){.failed = a.failed | b.failed, .holds = a.holds | b.holds};
}

/* What follows from number `i`. */
static inline struct policy_outcome in_ranges(const struct policy_checks *checks, uint32_t i,
                                              int64_t number) {
  struct policy_outcome sum = {0};
  for (uint32_t at = i == 0 ? 0 : checks->range_ends[i - 1]; at < checks->range_ends[i]; at++) {
    const struct policy_range *range = &checks->ranges[at];
    /* All ones inside: no branch that a device's facts could make the processor guess wrong. */
    const uint64_t inside = 0 - (uint64_t)((number >= range->min) & (number <= range->max));
    sum.failed |= range->outcome.failed & (violation_set)~inside;
    sum.holds |= range->outcome.holds & inside;
  }
  return sum;
}

/* Written out, not as a loop over facts: so they stay in registers. */
violation_set policy_evaluate(const struct policy *policy, const struct facts *facts,
                              const struct policy_outcome *version) {
  static_assert(FACT_BOOLEAN_COUNT == 2 && FACT_NUMBER_COUNT == 4, "each stands below");
  const struct policy_checks *checks = &policy->checks;
  struct policy_outcome sum = join(*version, checks->booleans[0][facts->booleans[0]]);
  sum = join(sum, checks->booleans[1][facts->booleans[1]]);
  sum = join(sum, in_ranges(checks, 0, facts->numbers[0]));
  sum = join(sum, in_ranges(checks, 1, facts->numbers[1]));
  sum = join(sum, in_ranges(checks, 2, facts->numbers[2]));
  sum = join(sum, in_ranges(checks, 3, facts->numbers[3]));
  for (uint32_t i = 0; i < checks->clause_count; i++) {
    const struct policy_clause *clause = &checks->clauses[i];
    sum.failed |= (sum.holds & clause->any_of) == 0 ? clause->rule : 0;
  }
  return sum.failed & checks->scopes[facts->platform][facts->profile][facts->ownership];
}

static inline violation_set failed_outside(const struct policy_range *range, int64_t number) {
  const bool inside = (number >= range->min) & (number <= range->max);
  return range->outcome.failed & ((violation_set)inside - 1);
}

violation_set policy_violations(const struct policy *policy, const struct device *device,
                                const struct policy_outcome versions[PLATFORM_COUNT],
                                int64_t clock_ms) {
  const struct policy_checks *checks = &policy->checks;
  const struct policy_outcome *version = &versions[device->platform];
  const int64_t age_ms = device->antivirus_signatures_at_ms == TIME_NONE
                             ? FACT_NONE
                             : clock_ms - device->antivirus_signatures_at_ms;
  const int64_t pin_length =
      device->has_screen_lock_pin_length ? device->screen_lock_pin_length : FACT_NONE;
  if (checks->is_plain) {
    const violation_set failed =
        version->failed | checks->booleans[0][device->antivirus_enabled].failed |
        checks->booleans[1][device->disk_encrypted].failed |
        failed_outside(&checks->plain[0], age_ms) | failed_outside(&checks->plain[1], pin_length);
    return failed & checks->scopes[device->platform][device->profile][device->ownership];
  }
  const struct facts facts = {
      .platform = device->platform,
      .profile = device->profile,
      .ownership = device->ownership,
      .booleans = {device->antivirus_enabled, device->disk_encrypted},
      .numbers = {age_ms, pin_length,
                  device->threat_level == 0 ? FACT_NONE : device->threat_level - 1,
                  device->threat_at_ms == TIME_NONE ? FACT_NONE : clock_ms - device->threat_at_ms},
  };
  return policy_evaluate(policy, &facts, version);
}

violation_set policy_of_other_groups(const struct policy *policy, violation_set violations,
                                     uint32_t user_groups, uint32_t device_groups) {
  violation_set others = 0;
  for (violation_set left = violations; left != 0; left &= left - 1) {
    const uint32_t rule = (uint32_t)__builtin_ctz(left);
    const struct policy_scope *scope = &policy->rules[rule].scope;
    const bool names_groups = (scope->user_groups | scope->device_groups) != 0;
    if (names_groups && (scope->user_groups & user_groups) == 0 &&
        (scope->device_groups & device_groups) == 0) {
      others |= 1u << rule;
    }
  }
  return others;
}

violation_set policy_exempted(const struct policy *policy, uint64_t device_number,
                              struct span serial, int64_t clock_ms) {
  violation_set exempted = 0;
  for (uint32_t i = 0; i < policy->exemption_count; i++) {
    const struct policy_exemption *exemption = &policy->exemptions[i];
    const bool is_device = exemption->device_number != 0
                               ? exemption->device_number == device_number
                               : span_equal(span_text(exemption->serial), serial);
    if (is_device && clock_ms < exemption->expires_at_ms) {
      exempted |= 1u << exemption->rule;
    }
  }
  return exempted;
}

int64_t policy_mail_at(const struct policy *policy, int64_t at_ms) {
  const struct policy_quiet *quiet = &policy->quiet;
  if (quiet->from_min == quiet->to_min) {
    return at_ms;
  }
  const int64_t minute_ms = 60000;
  const int64_t day_ms = 1440 * minute_ms;
  const int64_t local_ms = at_ms + quiet->utc_offset_min * minute_ms;
  /* Milliseconds of the local day, also before 1970. */
  const int64_t time_ms = ((local_ms % day_ms) + day_ms) % day_ms;
  const int64_t from_ms = quiet->from_min * minute_ms;
  const int64_t to_ms = quiet->to_min * minute_ms;
  const bool is_quiet = from_ms < to_ms ? time_ms >= from_ms && time_ms < to_ms
                                        : time_ms >= from_ms || time_ms < to_ms;
  if (!is_quiet) {
    return at_ms;
  }
  return at_ms + (to_ms - time_ms + day_ms) % day_ms;
}
