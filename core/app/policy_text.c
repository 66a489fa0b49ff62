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

void policy_put_operand(FILE *out, const struct policy *policy, const struct policy_node *node) {
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
    policy_put_operand(out, policy, node);
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

const char *choice_platform(uint32_t platform) {
  return platform_name(platform);
}

const char *choice_profile(uint32_t profile) {
  return profile_name(profile);
}

const char *choice_ownership(uint32_t ownership) {
  return ownership_name(ownership);
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

/* In order of their names: the order in which a file names them means nothing. */
static const char *put_groups(FILE *out, const char *separator, const char *what,
                              const struct policy *policy, uint16_t groups) {
  const char *last = "";
  for (;;) {
    const char *next = NULL;
    for (uint32_t i = 0; i < policy->group_count; i++) {
      const char *name = policy->groups[i];
      if ((groups & 1u << i) != 0 && strcmp(name, last) > 0 &&
          (next == NULL || strcmp(name, next) < 0)) {
        next = name;
      }
    }
    if (next == NULL) {
      return last[0] == '\0' ? separator : "; ";
    }
    if (last[0] == '\0') {
      fprintf(out, "%s%s %s", separator, what, next);
    } else {
      fprintf(out, ", %s", next);
    }
    last = next;
  }
}

static void put_scope(FILE *out, const struct policy *policy, const struct policy_scope *scope) {
  const char *separator = "";
  separator =
      put_names(out, separator, "platforms", scope->platforms, PLATFORM_COUNT, choice_platform);
  separator = put_names(out, separator, "profiles", scope->profiles, PROFILE_COUNT, choice_profile);
  separator =
      put_names(out, separator, "ownership", scope->ownerships, OWNERSHIP_COUNT, choice_ownership);
  separator = put_groups(out, separator, "user_groups", policy, scope->user_groups);
  separator = put_groups(out, separator, "device_groups", policy, scope->device_groups);
  fputs(separator[0] == '\0' ? "every device" : "", out);
}

static void put_rule(struct writing *writing, const struct policy *policy,
                     const struct policy_rule *rule) {
  fputs(rule->title, begin_line(writing, "rules.%s.title", rule->id));
  end_line(writing);
  fputs(rule->remediation, begin_line(writing, "rules.%s.remediation", rule->id));
  end_line(writing);
  put_scope(begin_line(writing, "rules.%s.applies_to", rule->id), policy, &rule->scope);
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
    if (stage->opens_ticket) {
      fprintf(out, "%sopen ticket", separator);
      separator = ", ";
    }
    if (stage->retires) {
      fprintf(out, "%sretire device", separator);
    }
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

/* Only what differs from a policy that says nothing. */
static void put_commands(struct writing *writing, const struct policy *policy) {
  const struct policy_commands *commands = &policy->commands;
  char text[DURATION_TEXT_SIZE];
  if (policy->pushes_profile) {
    put_line(writing, "on_enrolment", "push_profile");
  }
  if (commands->of_users != 1u << COMMAND_SYNC) {
    FILE *out = begin_line(writing, "commands.users_may");
    const char *separator = "";
    for (enum command_kind kind = 0; kind < COMMAND_COUNT; kind++) {
      if ((commands->of_users >> kind & 1u) != 0) {
        fprintf(out, "%s%s", separator, command_name(kind));
        separator = ", ";
      }
    }
    fputs(separator[0] == '\0' ? "none" : "", out);
    end_line(writing);
  }
  if (commands->wipe_approvals > 0) {
    fprintf(begin_line(writing, "commands.wipe.approvals"), "%" PRIu32, commands->wipe_approvals);
    end_line(writing);
  }
  if (commands->wipe_limit > 0) {
    fprintf(begin_line(writing, "commands.wipe.limit"), "%" PRIu32 " per %s", commands->wipe_limit,
            duration_format(commands->wipe_limit_per_ms, text));
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
  put_commands(&writing, policy);
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
