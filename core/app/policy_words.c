#include "core/app/policy_words.h"

#include "core/app/policy_text.h"
#include "core/app/yaml_tree.h"
#include "core/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS INT64_C(60000)

static FILE *words_open(char **text, size_t *size) {
  FILE *out = open_memstream(text, size);
  if (out == NULL) {
    abort();
  }
  return out;
}

static void put_relation(FILE *out, enum relation relation) {
  for (const char *at = relation_name(relation); *at != '\0'; at++) {
    fputc(*at == '_' ? ' ' : *at, out);
  }
}

static void put_comparison(FILE *out, const struct policy *policy, const struct policy_node *node,
                           enum platform platform) {
  fprintf(out, "%s ", fact_name(node->fact));
  put_relation(out, node->relation);
  fputc(' ', out);
  if (node->operand != OPERAND_MINIMUM_OS) {
    policy_put_operand(out, policy, node);
  } else if (policy->minimum_os[platform][0] != '\0') {
    fputs(policy->minimum_os[platform], out);
  } else {
    fprintf(out, "the minimum of %s, which has none", platform_name(platform));
  }
}

/* Recursion is as deep as the rule is nested. `is_inner`: parts of several stand in brackets. */
static void put_condition(FILE *out, const struct policy *policy, uint16_t at,
                          enum platform platform, bool is_inner) {
  const struct policy_node *node = &policy->nodes[at];
  if (node->kind == CONDITION_COMPARISON) {
    put_comparison(out, policy, node, platform);
    return;
  }
  if (node->kind == CONDITION_NOT) {
    fputs("not (", out);
    put_condition(out, policy, node->first, platform, false);
    fputc(')', out);
    return;
  }
  const bool has_brackets = is_inner && policy->nodes[node->first].next != 0;
  fputs(has_brackets ? "(" : "", out);
  for (uint16_t child = node->first; child != 0; child = policy->nodes[child].next) {
    fputs(child == node->first ? "" : node->kind == CONDITION_ALL ? " and " : " or ", out);
    put_condition(out, policy, child, platform, true);
  }
  fputs(has_brackets ? ")" : "", out);
}

char *policy_required(const struct policy *policy, uint32_t rule, enum platform platform) {
  char *text = NULL;
  size_t size;
  assert(rule < policy->rule_count);
  FILE *const out = words_open(&text, &size);
  put_condition(out, policy, policy->rules[rule].root, platform, false);
  fclose(out);
  return text;
}

/* A device's facts at an instant, and which of them are to be told: bits by fact. */
struct seen {
  const struct policy *policy;
  const struct device *device;
  struct span os_version;
  int64_t clock_ms;
  uint32_t facts;
  uint32_t exact; /* ages that are told to the millisecond */
};

static int64_t age_ms(int64_t clock_ms, int64_t at_ms) {
  return at_ms == TIME_NONE ? FACT_NONE : clock_ms - at_ms;
}

/* A fact other than the version, as a number; FACT_NONE: never reported. */
static int64_t fact_number(const struct seen *seen, enum fact fact) {
  const struct device *device = seen->device;
  switch (fact) {
  case FACT_ANTIVIRUS_ENABLED:
  case FACT_DISK_ENCRYPTED: {
    const uint8_t tri =
        fact == FACT_DISK_ENCRYPTED ? device->disk_encrypted : device->antivirus_enabled;
    return tri == TRI_UNKNOWN ? FACT_NONE : tri == TRI_TRUE;
  }
  case FACT_ANTIVIRUS_SIGNATURES_AGE:
    return age_ms(seen->clock_ms, device->antivirus_signatures_at_ms);
  case FACT_SCREEN_LOCK_PIN_LENGTH:
    return device->has_screen_lock_pin_length ? device->screen_lock_pin_length : FACT_NONE;
  case FACT_THREAT_DEFENCE_LEVEL:
    return device->threat_level == 0 ? FACT_NONE : device->threat_level - 1;
  case FACT_THREAT_DEFENCE_AGE:
    return age_ms(seen->clock_ms, device->threat_at_ms);
  case FACT_OS_VERSION:
  case FACT_COUNT:
    break;
  }
  assert(false);
  return FACT_NONE;
}

static bool number_holds(int64_t number, const struct policy_node *node) {
  if (node->operand == OPERAND_UNKNOWN) {
    return (node->relation == RELATION_IS) == (number == FACT_NONE);
  }
  return relation_satisfied(node->relation, (number > node->number) - (number < node->number));
}

static bool version_holds(const struct seen *seen, const struct policy_node *node) {
  if (node->operand == OPERAND_UNKNOWN) {
    return (node->relation == RELATION_IS) != version_is_known(seen->os_version);
  }
  const char *const other = node->operand == OPERAND_MINIMUM_OS
                                ? seen->policy->minimum_os[seen->device->platform]
                                : seen->policy->version_texts[node->text];
  return relation_satisfied(node->relation, version_compare(seen->os_version, span_text(other)));
}

/* A comparison in three values. */
static enum tri compare(const struct seen *seen, const struct policy_node *node) {
  if (node->fact == FACT_OS_VERSION) {
    if (node->operand == OPERAND_MINIMUM_OS &&
        seen->policy->minimum_os[seen->device->platform][0] == '\0') {
      return node->relation == RELATION_AT_LEAST ? TRI_TRUE : TRI_FALSE;
    }
    if (node->operand != OPERAND_UNKNOWN && !version_is_known(seen->os_version)) {
      return TRI_UNKNOWN;
    }
    return version_holds(seen, node) ? TRI_TRUE : TRI_FALSE;
  }
  const int64_t number = fact_number(seen, node->fact);
  if (node->operand != OPERAND_UNKNOWN && number == FACT_NONE) {
    return TRI_UNKNOWN;
  }
  return number_holds(number, node) ? TRI_TRUE : TRI_FALSE;
}

static int64_t whole_minutes(int64_t ms) {
  return ms - ms % MINUTE_MS;
}

/* Adds the comparison's fact to what is told. */
static void tell_comparison(struct seen *seen, const struct policy_node *node) {
  seen->facts |= 1u << node->fact;
  if (fact_type_of(node->fact) == FACT_TYPE_DURATION && node->operand == OPERAND_NUMBER) {
    const int64_t number = fact_number(seen, node->fact);
    const bool is_misleading = number != FACT_NONE && number_holds(number, node) !=
                                                          number_holds(whole_minutes(number), node);
    seen->exact |= is_misleading ? 1u << node->fact : 0;
  }
}

/* Whether the condition, or under `negated` its opposite, holds. What fails in one that does not is
 * told; so of an `any` that holds nothing is. Recursion is as deep as the rule is nested. */
static bool holds(struct seen *seen, uint16_t at, bool negated) {
  const struct policy *policy = seen->policy;
  const struct policy_node *node = &policy->nodes[at];
  if (node->kind == CONDITION_COMPARISON) {
    const bool is_held = compare(seen, node) == (negated ? TRI_FALSE : TRI_TRUE);
    if (!is_held) {
      tell_comparison(seen, node);
    }
    return is_held;
  }
  if (node->kind == CONDITION_NOT) {
    return holds(seen, node->first, !negated);
  }
  const bool is_all = (node->kind == CONDITION_ALL) != negated;
  const struct seen before = *seen;
  bool is_held = is_all;
  for (uint16_t child = node->first; child != 0; child = policy->nodes[child].next) {
    const bool child_holds = holds(seen, child, negated);
    is_held = is_all ? is_held && child_holds : is_held || child_holds;
  }
  if (is_held) {
    *seen = before;
  }
  return is_held;
}

/* Every fact that the condition reads. */
static void tell_all(struct seen *seen, uint16_t at) {
  const struct policy_node *node = &seen->policy->nodes[at];
  if (node->kind == CONDITION_COMPARISON) {
    tell_comparison(seen, node);
    return;
  }
  for (uint16_t child = node->first; child != 0; child = seen->policy->nodes[child].next) {
    tell_all(seen, child);
  }
}

static void put_age(FILE *out, int64_t ms, bool is_exact) {
  char text[DURATION_TEXT_SIZE];
  const int64_t size_ms = ms < 0 ? -ms : ms;
  fputs(duration_format(is_exact ? size_ms : whole_minutes(size_ms), text), out);
  fputs(ms < 0 ? " ahead" : "", out); /* a date that the log has not come to yet */
}

static void put_fact(FILE *out, const struct seen *seen, enum fact fact) {
  const enum fact_type type = fact_type_of(fact);
  const struct span version = seen->os_version;
  if (type == FACT_TYPE_VERSION) {
    fprintf(out, version_is_known(version) ? "%.*s" : "\"%.*s\"", (int)version.size,
            (const char *)version.data);
    return;
  }
  const int64_t number = fact_number(seen, fact);
  if (number == FACT_NONE) {
    fputs("never reported", out);
  } else if (type == FACT_TYPE_BOOLEAN) {
    fputs(number != 0 ? "true" : "false", out);
  } else if (type == FACT_TYPE_DURATION) {
    put_age(out, number, (seen->exact >> fact & 1u) != 0);
  } else if (type == FACT_TYPE_LEVEL) {
    fputs(threat_level_name((enum threat_level)number), out);
  } else {
    fprintf(out, "%" PRId64, number);
  }
}

static char *told(const struct seen *seen) {
  char *text = NULL;
  size_t size;
  FILE *const out = words_open(&text, &size);
  const char *separator = "";
  for (enum fact fact = 0; fact < FACT_COUNT; fact++) {
    if ((seen->facts >> fact & 1u) != 0) {
      fprintf(out, "%s%s ", separator, fact_name(fact));
      put_fact(out, seen, fact);
      separator = ", ";
    }
  }
  fclose(out);
  return text;
}

static struct seen seen_of(const struct policy *policy, const struct device *device,
                           struct span os_version, int64_t clock_ms) {
  return (struct seen){
      .policy = policy, .device = device, .os_version = os_version, .clock_ms = clock_ms};
}

char *policy_observed(const struct policy *policy, uint32_t rule, const struct device *device,
                      struct span os_version, int64_t clock_ms) {
  assert(rule < policy->rule_count);
  struct seen seen = seen_of(policy, device, os_version, clock_ms);
  if (holds(&seen, policy->rules[rule].root, false)) {
    tell_all(&seen, policy->rules[rule].root);
  }
  return told(&seen);
}

char *policy_known(const struct policy *policy, uint32_t rule, const struct device *device,
                   struct span os_version, int64_t clock_ms) {
  assert(rule < policy->rule_count);
  struct seen seen = seen_of(policy, device, os_version, clock_ms);
  tell_all(&seen, policy->rules[rule].root);
  return told(&seen);
}
