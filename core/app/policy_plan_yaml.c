/* What follows, as a policy's file has it: stages, overdue syncs, quiet hours. */
#include "core/app/policy_bind.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)

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
  static const char *const device[] = {"device"};
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
    stage->retires = tree_choice(values[STAGE_RETIRE], "retire", device, 1, binder->findings) == 0;
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
    finding_add_at(binder->findings, node,
                   "a stage does something: notify, block, ticket or retire");
  }
  name_reason(stage);
  bind_stage_fields(binder, values, stage);
}

/* Nobody's device is given up without a word before, and nothing comes after it. */
static void check_retirement(struct policy_binder *binder, const struct tree_node *stages) {
  const struct policy_plan *plan = &binder->policy->noncompliant;
  const struct tree_node *node = stages->first;
  bool is_told = false;
  for (uint32_t i = 0; i < plan->count; i++, node = node->next) {
    const struct policy_stage *stage = &plan->stages[i];
    if (stage->retires && i + 1 < plan->count) {
      finding_add_at(binder->findings, node->next,
                     "a stage after one that retires the device: nothing is left to do");
    }
    if (stage->retires && (stage->blocks != 0 || stage->opens_ticket)) {
      finding_add_at(binder->findings, node,
                     "a stage that retires can notify beside it: a retirement blocks and resolves "
                     "the ticket by itself");
    }
    if (stage->retires && !is_told) {
      finding_add_at(binder->findings, node,
                     "a device is retired unannounced: an earlier stage must notify");
    }
    is_told = is_told || stage->template_count > 0;
  }
}

static void bind_noncompliant(struct policy_binder *binder, const struct tree_node *node) {
  enum { MINIMUM_CLEAN, STAGES, COUNT };
  static const char *const names[COUNT] = {"minimum_clean", "stages"};
  const struct tree_node *values[COUNT];
  const uint32_t before_count = findings_count(binder->findings);
  tree_fields(node, "noncompliant", names, COUNT, values, binder->findings);
  if (values[MINIMUM_CLEAN] != NULL) {
    tree_duration(values[MINIMUM_CLEAN], "minimum_clean", &binder->policy->minimum_clean_ms,
                  binder->findings);
  }
  if (values[STAGES] != NULL) {
    bind_list(binder, values[STAGES], POLICY_STAGES_MAX, "stages", bind_stage,
              &binder->policy->noncompliant);
    if (findings_count(binder->findings) == before_count) {
      check_retirement(binder, values[STAGES]);
    }
  }
}

/* Blocks and tickets belong to non-compliance: one ticket a device and episode. */
static void check_overdue_stages(struct policy_binder *binder, const struct tree_node *stages) {
  const struct policy *policy = binder->policy;
  const struct tree_node *node = stages->first;
  for (uint32_t i = 0; i < policy->overdue.count; i++, node = node->next) {
    const struct policy_stage *stage = &policy->overdue.stages[i];
    if (stage->blocks != 0 || stage->opens_ticket || stage->retires) {
      finding_add_at(binder->findings, node,
                     "a stage of overdue_sync can notify only: blocks, tickets and retirement are "
                     "for non-compliance");
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

void bind_escalation(struct policy_binder *binder, const struct tree_node *node) {
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
