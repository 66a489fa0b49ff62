#include "core/app/policy_yaml.h"

#include "core/app/policy_bind.h"
#include "core/app/policy_text.h"
#include "core/time_text.h"
#include "core/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)

bool bind_text(struct policy_binder *binder, const struct tree_node *node, const char *what,
               char *text, size_t size) {
  const char *given = tree_text(node, what, binder->findings);
  if (given == NULL) {
    return false;
  }
  /* A folded text ends with the end of its line. */
  size_t given_size = strlen(given);
  while (given_size > 0 && given[given_size - 1] == '\n') {
    given_size--;
  }
  if (given_size == 0 || given_size >= size || !span_is_utf8_text(span_of(given, given_size))) {
    finding_add_at(binder->findings, node,
                   "%s takes 1 to %zu bytes of text in one line, without control characters", what,
                   size - 1);
    return false;
  }
  memcpy(text, given, given_size);
  text[given_size] = '\0';
  return true;
}

static bool is_name_byte(char byte, bool is_first) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
         (byte >= '0' && byte <= '9') || (!is_first && (byte == '_' || byte == '-' || byte == '.'));
}

bool bind_name(struct policy_binder *binder, const struct tree_node *node, const char *what,
               char name[POLICY_NAME_SIZE]) {
  const char *text = tree_text(node, what, binder->findings);
  if (text == NULL) {
    return false;
  }
  const size_t size = strlen(text);
  bool is_name = size > 0 && size < POLICY_NAME_SIZE;
  for (size_t i = 0; i < size && is_name; i++) {
    is_name = is_name_byte(text[i], i == 0);
  }
  if (!is_name) {
    finding_add_at(binder->findings, node,
                   "%s takes a name of 1 to %d letters, digits, '_', '-' and '.', not \"%.60s\"",
                   what, (int)POLICY_NAME_SIZE - 1, text);
    return false;
  }
  memcpy(name, text, size + 1);
  return true;
}

bool bind_version(struct policy_binder *binder, const struct tree_node *node, const char *what,
                  char version[OS_VERSION_SIZE_MAX + 1]) {
  const char *text = tree_text(node, what, binder->findings);
  if (text == NULL) {
    return false;
  }
  if (strlen(text) > OS_VERSION_SIZE_MAX || !version_is_known(span_text(text))) {
    finding_add_at(
        binder->findings, node,
        "%s takes a version such as 10.0.22631: numbers with dots between, not \"%.60s\"", what,
        text);
    return false;
  }
  memcpy(version, text, strlen(text) + 1);
  return true;
}

void bind_items(struct policy_binder *binder, const struct tree_node *node, uint32_t count_max,
                const char *what, bind_item_fn bind, void *context) {
  if (node->kind != TREE_SEQUENCE) {
    bind(binder, node, 0, context);
    return;
  }
  if (node->child_count == 0) {
    finding_add_at(binder->findings, node, "an empty list of %s: leave it out", what);
  }
  uint32_t index = 0;
  for (const struct tree_node *item = node->first; item != NULL; item = item->next, index++) {
    if (index == count_max) {
      finding_add_at(binder->findings, item, "at most %" PRIu32 " of %s", count_max, what);
      return;
    }
    bind(binder, item, index, context);
  }
}

/* The items of what must be a list, with a finding for those over `count_max`. */
static void bind_list(struct policy_binder *binder, const struct tree_node *node,
                      uint32_t count_max, const char *what, bind_item_fn bind, void *context) {
  if (node->kind != TREE_SEQUENCE) {
    finding_add_at(binder->findings, node, "%s is a list: lines that begin with \"- \"", what);
    return;
  }
  bind_items(binder, node, count_max, what, bind, context);
}

static void bind_minimum_os(struct policy_binder *binder, const struct tree_node *node) {
  static const char *const names[PLATFORM_COUNT] = {
      [PLATFORM_WINDOWS] = "windows", [PLATFORM_MACOS] = "macos", [PLATFORM_IOS] = "ios",
      [PLATFORM_ANDROID] = "android", [PLATFORM_LINUX] = "linux",
  };
  const struct tree_node *values[PLATFORM_COUNT];
  tree_fields(node, "minimum_os", names, PLATFORM_COUNT, values, binder->findings);
  for (size_t i = 0; i < PLATFORM_COUNT; i++) {
    if (values[i] != NULL) {
      bind_version(binder, values[i], names[i], binder->policy->minimum_os[i]);
    }
  }
}

static void bind_rule_item(struct policy_binder *binder, const struct tree_node *node,
                           uint32_t index, void *context) {
  (void)index;
  (void)context;
  bind_rule(binder, node);
}

static void bind_template(struct policy_binder *binder, const struct tree_node *node,
                          uint32_t index, void *context) {
  struct policy_stage *stage = context;
  if (bind_name(binder, node, "notify", stage->templates[index])) {
    stage->template_count = (uint8_t)(index + 1);
  }
}

static void bind_resource(struct policy_binder *binder, const struct tree_node *node,
                          uint32_t index, void *context) {
  struct policy_stage *stage = context;
  (void)index;
  const char *names[RESOURCE_COUNT];
  for (enum resource resource = 0; resource < RESOURCE_COUNT; resource++) {
    names[resource] = resource_name(resource);
  }
  const size_t i = tree_choice(node, "resource", names, RESOURCE_COUNT, binder->findings);
  if (i < RESOURCE_COUNT) {
    stage->blocks |= (uint8_t)(1u << i);
  }
}

enum { STAGE_AFTER, STAGE_NOTIFY, STAGE_BLOCK, STAGE_TICKET, STAGE_RETIRE, STAGE_FIELD_COUNT };
static const char *const stage_names[STAGE_FIELD_COUNT] = {"after", "notify", "block", "ticket",
                                                           "retire"};

/* "noncompliant for 24 h": the reason of an access decision. */
static void name_reason(struct policy_stage *stage) {
  static const struct {
    int64_t ms;
    const char *name;
  } units[] = {{60 * MINUTE_MS, "h"}, {MINUTE_MS, "min"}, {1000, "s"}, {1, "ms"}};
  size_t i = 0;
  while (stage->after_ms % units[i].ms != 0) {
    i++;
  }
  if (stage->after_ms == 0) {
    snprintf(stage->reason, sizeof stage->reason, "noncompliant");
  } else {
    snprintf(stage->reason, sizeof stage->reason, "noncompliant for %" PRId64 " %s",
             stage->after_ms / units[i].ms, units[i].name);
  }
}

static void bind_stage_fields(struct policy_binder *binder, const struct tree_node *const *values,
                              struct policy_stage *stage) {
  static const char *const open[] = {"open"};
  if (values[STAGE_NOTIFY] != NULL) {
    bind_items(binder, values[STAGE_NOTIFY], POLICY_TEMPLATES_MAX, "notify", bind_template, stage);
  }
  if (values[STAGE_BLOCK] != NULL) {
    bind_items(binder, values[STAGE_BLOCK], RESOURCE_COUNT, "block", bind_resource, stage);
  }
  if (values[STAGE_TICKET] != NULL) {
    stage->opens_ticket =
        tree_choice(values[STAGE_TICKET], "ticket action", open, 1, binder->findings) == 0;
  }
  if (values[STAGE_RETIRE] != NULL) {
    finding_add_at(binder->findings, values[STAGE_RETIRE],
                   "retire is not supported yet: a stage has notify, block and ticket");
  }
}

static void bind_stage(struct policy_binder *binder, const struct tree_node *node, uint32_t index,
                       void *context) {
  struct policy_plan *plan = context;
  const struct tree_node *values[STAGE_FIELD_COUNT];
  struct policy_stage *stage = &plan->stages[index];
  plan->count = index + 1;
  if (!tree_fields(node, "a stage", stage_names, STAGE_FIELD_COUNT, values, binder->findings)) {
    return;
  }
  if (node->child_count == 0 || values[STAGE_AFTER] == NULL) {
    finding_add_at(binder->findings, node, "a stage needs after");
    return;
  }
  if (!tree_duration(values[STAGE_AFTER], "after", &stage->after_ms, binder->findings)) {
    return;
  }
  if (index > 0 && stage->after_ms <= plan->stages[index - 1].after_ms) {
    finding_add_at(binder->findings, values[STAGE_AFTER],
                   "stages stand in order of time: this one is not later than the one before");
  }
  if (node->child_count == 2) {
    finding_add_at(binder->findings, node, "a stage does something: notify, block or ticket");
  }
  name_reason(stage);
  bind_stage_fields(binder, values, stage);
}

static void bind_noncompliant(struct policy_binder *binder, const struct tree_node *node) {
  enum { MINIMUM_CLEAN, STAGES, COUNT };
  static const char *const names[COUNT] = {"minimum_clean", "stages"};
  const struct tree_node *values[COUNT];
  tree_fields(node, "noncompliant", names, COUNT, values, binder->findings);
  if (values[MINIMUM_CLEAN] != NULL) {
    tree_duration(values[MINIMUM_CLEAN], "minimum_clean", &binder->policy->minimum_clean_ms,
                  binder->findings);
  }
  if (values[STAGES] != NULL) {
    bind_list(binder, values[STAGES], POLICY_STAGES_MAX, "stages", bind_stage,
              &binder->policy->noncompliant);
  }
}

/* Blocks and tickets belong to non-compliance: one ticket a device and episode. */
static void check_overdue_stages(struct policy_binder *binder, const struct tree_node *stages) {
  const struct policy *policy = binder->policy;
  const struct tree_node *node = stages->first;
  for (uint32_t i = 0; i < policy->overdue.count; i++, node = node->next) {
    const struct policy_stage *stage = &policy->overdue.stages[i];
    if (stage->blocks != 0 || stage->opens_ticket) {
      finding_add_at(binder->findings, node,
                     "a stage of overdue_sync can notify only: blocks and tickets are for "
                     "non-compliance");
    }
    if (stage->after_ms < policy->overdue_after_ms) {
      finding_add_at(binder->findings, node,
                     "after counts from the last check-in: before interval and grace are over, "
                     "nothing is overdue");
    }
  }
}

static void bind_overdue(struct policy_binder *binder, const struct tree_node *node) {
  enum { INTERVAL, GRACE, STAGES, COUNT };
  static const char *const names[COUNT] = {"interval", "grace", "stages"};
  const struct tree_node *values[COUNT];
  int64_t interval_ms = 0;
  int64_t grace_ms = 0;
  tree_fields(node, "overdue_sync", names, COUNT, values, binder->findings);
  if (values[INTERVAL] == NULL) {
    finding_add_at(binder->findings, node, "overdue_sync needs interval");
    return;
  }
  const uint32_t before_count = findings_count(binder->findings);
  tree_duration(values[INTERVAL], "interval", &interval_ms, binder->findings);
  if (values[GRACE] != NULL) {
    tree_duration(values[GRACE], "grace", &grace_ms, binder->findings);
  }
  binder->policy->overdue_after_ms = interval_ms + grace_ms;
  if (findings_count(binder->findings) == before_count && binder->policy->overdue_after_ms == 0) {
    finding_add_at(binder->findings, values[INTERVAL], "interval is longer than 0");
  }
  if (values[STAGES] != NULL) {
    bind_list(binder, values[STAGES], POLICY_STAGES_MAX, "stages", bind_stage,
              &binder->policy->overdue);
    if (findings_count(binder->findings) == before_count) {
      check_overdue_stages(binder, values[STAGES]);
    }
  }
}

/* "22:00", or "+01:00" when a sign is asked for. */
static bool bind_minutes(struct policy_binder *binder, const struct tree_node *node,
                         const char *what, bool is_signed, int32_t *minutes) {
  const char *text = tree_text(node, what, binder->findings);
  if (text == NULL) {
    return false;
  }
  const char *digits = is_signed && (text[0] == '+' || text[0] == '-') ? text + 1 : text;
  const bool is_shaped = strlen(digits) == 5 && strspn(digits, "0123456789") == 2 &&
                         digits[2] == ':' && strspn(digits + 3, "0123456789") == 2 &&
                         (digits != text) == is_signed;
  const int32_t hours = is_shaped ? (digits[0] - '0') * 10 + digits[1] - '0' : 0;
  const int32_t rest = is_shaped ? (digits[3] - '0') * 10 + digits[4] - '0' : 0;
  if (!is_shaped || hours > (is_signed ? 14 : 23) || rest > 59) {
    finding_add_at(binder->findings, node, "%s takes %s, not %.40s", what,
                   is_signed ? "hours and minutes such as \"+01:00\""
                             : "a time of day such as \"22:00\"",
                   text);
    return false;
  }
  *minutes = (hours * 60 + rest) * (text[0] == '-' ? -1 : 1);
  return true;
}

static void bind_quiet(struct policy_binder *binder, const struct tree_node *node) {
  enum { FROM, TO, UTC_OFFSET, COUNT };
  static const char *const names[COUNT] = {"from", "to", "utc_offset"};
  const struct tree_node *values[COUNT];
  struct policy_quiet *quiet = &binder->policy->quiet;
  tree_fields(node, "quiet_hours", names, COUNT, values, binder->findings);
  if (values[FROM] == NULL || values[TO] == NULL) {
    finding_add_at(binder->findings, node, "quiet_hours needs from and to");
    return;
  }
  if (bind_minutes(binder, values[FROM], "from", false, &quiet->from_min) &&
      bind_minutes(binder, values[TO], "to", false, &quiet->to_min) &&
      quiet->from_min == quiet->to_min) {
    finding_add_at(binder->findings, values[TO], "to is another time than from");
  }
  if (values[UTC_OFFSET] != NULL) {
    bind_minutes(binder, values[UTC_OFFSET], "utc_offset", true, &quiet->utc_offset_min);
  }
}

static void bind_escalation(struct policy_binder *binder, const struct tree_node *node) {
  enum { NONCOMPLIANT, OVERDUE_SYNC, QUIET_HOURS, COUNT };
  static const char *const names[COUNT] = {"noncompliant", "overdue_sync", "quiet_hours"};
  const struct tree_node *values[COUNT];
  tree_fields(node, "escalation", names, COUNT, values, binder->findings);
  if (values[NONCOMPLIANT] != NULL) {
    bind_noncompliant(binder, values[NONCOMPLIANT]);
  }
  if (values[OVERDUE_SYNC] != NULL) {
    bind_overdue(binder, values[OVERDUE_SYNC]);
  }
  if (values[QUIET_HOURS] != NULL) {
    bind_quiet(binder, values[QUIET_HOURS]);
  }
}

enum {
  EXEMPT_DEVICE,
  EXEMPT_SERIAL,
  EXEMPT_RULE,
  EXEMPT_APPROVER,
  EXEMPT_EXPIRES,
  EXEMPT_REASON,
  EXEMPT_FIELD_COUNT
};
static const char *const exemption_names[EXEMPT_FIELD_COUNT] = {"device",   "serial",  "rule",
                                                                "approver", "expires", "reason"};

static void bind_exempt_device(struct policy_binder *binder, const struct tree_node *node,
                               const struct tree_node *const *values,
                               struct policy_exemption *exemption) {
  if ((values[EXEMPT_DEVICE] == NULL) == (values[EXEMPT_SERIAL] == NULL)) {
    finding_add_at(binder->findings, node, "an exemption needs one of device and serial");
    return;
  }
  if (values[EXEMPT_SERIAL] != NULL) {
    if (bind_text(binder, values[EXEMPT_SERIAL], "serial", exemption->serial,
                  sizeof exemption->serial) &&
        !span_is_printable_ascii(span_text(exemption->serial))) {
      finding_add_at(binder->findings, values[EXEMPT_SERIAL],
                     "serial takes 1 to 64 printable ASCII characters");
    }
    return;
  }
  const char *text = tree_text(values[EXEMPT_DEVICE], "device", binder->findings);
  if (text != NULL) {
    exemption->device_number = device_id_parse(span_text(text));
    if (exemption->device_number == 0) {
      finding_add_at(binder->findings, values[EXEMPT_DEVICE],
                     "device takes an ID such as D001, not %.40s", text);
    }
  }
}

static void bind_exempt_rule(struct policy_binder *binder, const struct tree_node *node,
                             struct policy_exemption *exemption) {
  const char *ids[POLICY_RULES_MAX];
  for (uint32_t i = 0; i < binder->policy->rule_count; i++) {
    ids[i] = binder->policy->rules[i].id;
  }
  exemption->rule =
      (uint32_t)tree_choice(node, "rule", ids, binder->policy->rule_count, binder->findings);
}

static void bind_exempt_expires(struct policy_binder *binder, const struct tree_node *node,
                                struct policy_exemption *exemption) {
  const char *text = tree_text(node, "expires", binder->findings);
  if (text != NULL && !time_parse(span_text(text), &exemption->expires_at_ms)) {
    finding_add_at(binder->findings, node,
                   "expires takes an instant such as 2026-12-31T00:00:00Z, not %.40s", text);
  }
}

static void bind_exemption(struct policy_binder *binder, const struct tree_node *node,
                           uint32_t index, void *context) {
  const struct tree_node *values[EXEMPT_FIELD_COUNT];
  struct policy_exemption *exemption = &binder->policy->exemptions[index];
  (void)context;
  binder->policy->exemption_count = index + 1;
  if (!tree_fields(node, "an exemption", exemption_names, EXEMPT_FIELD_COUNT, values,
                   binder->findings)) {
    return;
  }
  for (size_t i = EXEMPT_RULE; i < EXEMPT_FIELD_COUNT; i++) {
    if (values[i] == NULL) {
      finding_add_at(binder->findings, node, "an exemption needs %s", exemption_names[i]);
      return;
    }
  }
  bind_exempt_device(binder, node, values, exemption);
  bind_exempt_rule(binder, values[EXEMPT_RULE], exemption);
  bind_text(binder, values[EXEMPT_APPROVER], "approver", exemption->approver,
            sizeof exemption->approver);
  if (strchr(exemption->approver, '@') != NULL) {
    finding_add_at(binder->findings, values[EXEMPT_APPROVER],
                   "approver is an address of a person, and a policy is never erased: write a "
                   "role or a reference");
  }
  bind_exempt_expires(binder, values[EXEMPT_EXPIRES], exemption);
  bind_text(binder, values[EXEMPT_REASON], "reason", exemption->reason, sizeof exemption->reason);
}

static void bind_policy(struct policy_binder *binder, const struct tree_node *node) {
  enum { VERSION, TITLE, MINIMUM_OS, RULES, ESCALATION, EXEMPTIONS, COUNT };
  static const char *const names[COUNT] = {"version", "title",      "minimum_os",
                                           "rules",   "escalation", "exemptions"};
  const struct tree_node *values[COUNT];
  struct policy *policy = binder->policy;
  if (!tree_fields(node, "a policy", names, COUNT, values, binder->findings)) {
    return;
  }
  if (values[VERSION] == NULL || values[RULES] == NULL) {
    finding_add_at(binder->findings, node, "a policy needs version and rules");
  }
  if (values[VERSION] != NULL) {
    bind_name(binder, values[VERSION], "version", policy->version);
  }
  if (values[TITLE] != NULL) {
    bind_text(binder, values[TITLE], "title", policy->title, sizeof policy->title);
  }
  if (values[MINIMUM_OS] != NULL) {
    bind_minimum_os(binder, values[MINIMUM_OS]);
  }
  if (values[RULES] != NULL) {
    bind_list(binder, values[RULES], POLICY_RULES_MAX, "rules", bind_rule_item, NULL);
  }
  if (values[ESCALATION] != NULL) {
    bind_escalation(binder, values[ESCALATION]);
  }
  if (values[EXEMPTIONS] != NULL) {
    bind_list(binder, values[EXEMPTIONS], POLICY_EXEMPTIONS_MAX, "exemptions", bind_exemption,
              NULL);
  }
}

static void compile(struct policy_binder *binder) {
  uint32_t rule;
  switch (policy_compile(binder->policy, &rule)) {
  case POLICY_FITS:
    return;
  case POLICY_COMPARISONS_TOO_MANY:
    finding_add_at(binder->findings, binder->rule_nodes[rule],
                   "rule %s: a policy has at most %d different comparisons, and this is one more",
                   binder->policy->rules[rule].id, (int)POLICY_COMPARISONS_MAX);
    return;
  case POLICY_CLAUSES_TOO_MANY:
    finding_add_at(binder->findings, binder->rule_nodes[rule],
                   "rule %s: its all and any multiply to too many; split it into several rules",
                   binder->policy->rules[rule].id);
  }
}

bool policy_read(struct span text, struct policy *policy, struct findings *findings) {
  const uint32_t before_count = findings_count(findings);
  struct policy_binder binder = {.policy = policy, .findings = findings};
  *policy = (struct policy){.node_count = 1};
  struct tree *tree = tree_read(text, findings);
  if (tree_root(tree) != NULL) {
    bind_policy(&binder, tree_root(tree));
  }
  if (findings_count(findings) == before_count) {
    compile(&binder);
    policy_hash(policy, policy->hash);
  }
  tree_close(tree);
  return findings_count(findings) == before_count;
}
