#include "core/app/policy_text.h"

#include "core/app/text.h"
#include "core/app/yaml_tree.h"
#include "core/time_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* One line under way: its value is written to `out`. */
struct writing {
  struct policy_lines *lines;
  FILE *out;
  char *value;
  size_t value_size;
};

static FILE *begin_line(struct writing *writing, const char *format, ...) PRINTF_LIKE(2, 3);

static FILE *begin_line(struct writing *writing, const char *format, ...) {
  char key[2 * POLICY_NAME_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(key, sizeof key, format, arguments);
  va_end(arguments);
  struct policy_lines *lines = writing->lines;
  lines->items = memory_grown(lines->items, lines->count + 1, sizeof lines->items[0]);
  lines->items[lines->count].key = text_copy(key);
  writing->out = text_stream(&writing->value, &writing->value_size);
  return writing->out;
}

static void end_line(struct writing *writing) {
  text_stream_end(writing->out, &writing->value);
  writing->lines->items[writing->lines->count++].value = writing->value;
}

static void put_line(struct writing *writing, const char *key, const char *value) {
  fputs(value, begin_line(writing, "%s", key));
  end_line(writing);
}

static void put_operand(FILE *out, const struct policy *policy, const struct policy_node *node) {
  char text[DURATION_TEXT_SIZE];
  switch ((enum operand)node->operand) {
  case OPERAND_UNKNOWN:
    fputs("unknown", out);
    return;
  case OPERAND_MINIMUM_OS:
    fputs("minimum_os", out);
    return;
  case OPERAND_VERSION:
    fputs(policy->version_texts[node->text], out);
    return;
  case OPERAND_NUMBER:
    break;
  }
  switch (fact_type_of(node->fact)) {
  case FACT_TYPE_BOOLEAN:
    fputs(node->number != 0 ? "true" : "false", out);
    return;
  case FACT_TYPE_DURATION:
    fputs(duration_format(node->number, text), out);
    return;
  case FACT_TYPE_LEVEL:
    fputs(threat_level_name((enum threat_level)node->number), out);
    return;
  case FACT_TYPE_NUMBER:
  case FACT_TYPE_VERSION:
    fprintf(out, "%" PRId64, node->number);
  }
}

/* As the file has it, on one line. Recursion is as deep as the rule is nested. */
static void put_condition(FILE *out, const struct policy *policy, uint16_t at) {
  const struct policy_node *node = &policy->nodes[at];
  switch ((enum condition_kind)node->kind) {
  case CONDITION_COMPARISON:
    fprintf(out, "[%s, %s, ", fact_name(node->fact), relation_name(node->relation));
    put_operand(out, policy, node);
    fputc(']', out);
    return;
  case CONDITION_NOT:
    fputs("{not: ", out);
    put_condition(out, policy, node->first);
    fputc('}', out);
    return;
  case CONDITION_ALL:
  case CONDITION_ANY:
    fprintf(out, "{%s: [", node->kind == CONDITION_ALL ? "all" : "any");
    for (uint16_t child = node->first; child != 0; child = policy->nodes[child].next) {
      fputs(child == node->first ? "" : ", ", out);
      put_condition(out, policy, child);
    }
    fputs("]}", out);
  }
}

char *policy_requirement(const struct policy *policy, const struct policy_rule *rule) {
  char *text = NULL;
  size_t size;
  FILE *out = text_stream(&text, &size);
  put_condition(out, policy, rule->root);
  text_stream_end(out, &text);
  return text;
}

/* "platforms WINDOWS, MACOS"; nothing when all of them are meant. */
static const char *put_names(FILE *out, const char *separator, const char *what, uint32_t bits,
                             uint32_t count, const char *(*name)(uint32_t)) {
  if (bits == (1u << count) - 1) {
    return separator;
  }
  fprintf(out, "%s%s", separator, what);
  for (uint32_t i = 0, put_count = 0; i < count; i++) {
    if ((bits >> i & 1u) != 0) {
      fprintf(out, "%s%s", put_count++ == 0 ? " " : ", ", name(i));
    }
  }
  return "; ";
}

static const char *name_platform(uint32_t platform) {
  return platform_name(platform);
}

static const char *name_profile(uint32_t profile) {
  return profile_name(profile);
}

static const char *name_ownership(uint32_t ownership) {
  return ownership_name(ownership);
}

static void put_rule(struct writing *writing, const struct policy *policy,
                     const struct policy_rule *rule) {
  fputs(rule->title, begin_line(writing, "rules.%s.title", rule->id));
  end_line(writing);
  fputs(rule->remediation, begin_line(writing, "rules.%s.remediation", rule->id));
  end_line(writing);
  FILE *out = begin_line(writing, "rules.%s.applies_to", rule->id);
  const char *separator = "";
  separator =
      put_names(out, separator, "platforms", rule->scope.platforms, PLATFORM_COUNT, name_platform);
  separator =
      put_names(out, separator, "profiles", rule->scope.profiles, PROFILE_COUNT, name_profile);
  separator = put_names(out, separator, "ownership", rule->scope.ownerships, OWNERSHIP_COUNT,
                        name_ownership);
  fputs(separator[0] == '\0' ? "every device" : "", out);
  end_line(writing);
  put_condition(begin_line(writing, "rules.%s.require", rule->id), policy, rule->root);
  end_line(writing);
}

static void put_rules(struct writing *writing, const struct policy *policy) {
  FILE *out = begin_line(writing, "rules");
  for (uint32_t i = 0; i < policy->rule_count; i++) {
    fprintf(out, "%s%s", i == 0 ? "" : ", ", policy->rules[i].id);
  }
  end_line(writing);
  for (uint32_t i = 0; i < policy->rule_count; i++) {
    put_rule(writing, policy, &policy->rules[i]);
  }
}

static void put_plan(struct writing *writing, const char *name, const struct policy_plan *plan) {
  char text[DURATION_TEXT_SIZE];
  for (uint32_t i = 0; i < plan->count; i++) {
    const struct policy_stage *stage = &plan->stages[i];
    FILE *out =
        begin_line(writing, "escalation.%s.after.%s", name, duration_format(stage->after_ms, text));
    const char *separator = "";
    for (uint32_t at = 0; at < stage->template_count; at++) {
      fprintf(out, "%snotify %s", separator, stage->templates[at]);
      separator = ", ";
    }
    for (enum resource resource = 0; resource < RESOURCE_COUNT; resource++) {
      if ((stage->blocks >> resource & 1u) != 0) {
        fprintf(out, "%sblock %s", separator, resource_name(resource));
        separator = ", ";
      }
    }
    fprintf(out, "%s%s", stage->opens_ticket ? separator : "",
            stage->opens_ticket ? "open ticket" : "");
    end_line(writing);
  }
}

static void put_escalation(struct writing *writing, const struct policy *policy) {
  const struct policy_quiet *quiet = &policy->quiet;
  char text[DURATION_TEXT_SIZE];
  put_plan(writing, "noncompliant", &policy->noncompliant);
  if (policy->minimum_clean_ms > 0) {
    put_line(writing, "escalation.noncompliant.minimum_clean",
             duration_format(policy->minimum_clean_ms, text));
  }
  if (policy->overdue_after_ms > 0) {
    put_line(writing, "escalation.overdue_sync", duration_format(policy->overdue_after_ms, text));
    put_plan(writing, "overdue_sync", &policy->overdue);
  }
  if (quiet->from_min != quiet->to_min) {
    const int32_t offset_min = quiet->utc_offset_min;
    fprintf(begin_line(writing, "escalation.quiet_hours"),
            "%02" PRId32 ":%02" PRId32 " to %02" PRId32 ":%02" PRId32 " UTC%c%02d:%02d",
            quiet->from_min / 60, quiet->from_min % 60, quiet->to_min / 60, quiet->to_min % 60,
            offset_min < 0 ? '-' : '+', abs(offset_min) / 60, abs(offset_min) % 60);
    end_line(writing);
  }
}

static void put_exemption(struct writing *writing, uint32_t number, const char *field,
                          const char *value) {
  fputs(value, begin_line(writing, "exemptions.%" PRIu32 ".%s", number, field));
  end_line(writing);
}

static void put_exemptions(struct writing *writing, const struct policy *policy) {
  for (uint32_t i = 0; i < policy->exemption_count; i++) {
    const struct policy_exemption *exemption = &policy->exemptions[i];
    char device[DEVICE_ID_SIZE];
    char expires[TIME_TEXT_SIZE];
    time_format(exemption->expires_at_ms, expires);
    if (exemption->device_number != 0) {
      device_id_format(exemption->device_number, device);
      put_exemption(writing, i + 1, "device", device);
    } else {
      put_exemption(writing, i + 1, "serial", exemption->serial);
    }
    put_exemption(writing, i + 1, "rule", policy->rules[exemption->rule].id);
    put_exemption(writing, i + 1, "approver", exemption->approver);
    put_exemption(writing, i + 1, "expires", expires);
    put_exemption(writing, i + 1, "reason", exemption->reason);
  }
}

void policy_lines_init(struct policy_lines *lines, const struct policy *policy) {
  *lines = (struct policy_lines){0};
  struct writing writing = {.lines = lines};
  put_line(&writing, "version", policy->version);
  put_line(&writing, "title", policy->title);
  for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    if (policy->minimum_os[platform][0] != '\0') {
      fputs(policy->minimum_os[platform],
            begin_line(&writing, "minimum_os.%s", platform_name(platform)));
      end_line(&writing);
    }
  }
  put_rules(&writing, policy);
  put_escalation(&writing, policy);
  put_exemptions(&writing, policy);
}

void policy_lines_fini(struct policy_lines *lines) {
  for (size_t i = 0; i < lines->count; i++) {
    free(lines->items[i].key);
    free(lines->items[i].value);
  }
  free(lines->items);
  *lines = (struct policy_lines){0};
}

void policy_hash(const struct policy *policy, uint8_t hash[DIGEST_SIZE]) {
  struct policy_lines lines;
  struct digest *digest = digest_open();
  policy_lines_init(&lines, policy);
  for (size_t i = 0; i < lines.count; i++) {
    digest_update(digest, span_text(lines.items[i].key));
    digest_update(digest, span_text("\t"));
    digest_update(digest, span_text(lines.items[i].value));
    digest_update(digest, span_text("\n"));
  }
  digest_final(digest, hash);
  digest_close(digest);
  policy_lines_fini(&lines);
}
