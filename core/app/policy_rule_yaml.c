/* The rules of a policy's file: whom they concern, and what they require. */
#include "core/app/policy_bind.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* What a rule might want to name and must not: it would decide by the person. */
static const char *const personal_fields[] = {
    "user_email", "email", "user",        "user_id",   "subject",    "person",
    "serial",     "name",  "device_name", "device_id", "phone",      "imei",
    "location",   "owner", "ip_address",  "address",   "mac_address"};

static uint16_t add_node(struct policy_binder *binder, const struct tree_node *at,
                         enum condition_kind kind) {
  struct policy *policy = binder->policy;
  if (policy->node_count == POLICY_NODES_MAX) {
    finding_add_at(binder->findings, at, "a policy compares at most %d times",
                   (int)POLICY_NODES_MAX - 1);
    return 0;
  }
  policy->nodes[policy->node_count] = (struct policy_node){.kind = (uint8_t)kind};
  return (uint16_t)policy->node_count++;
}

static void refuse_fact(struct policy_binder *binder, const struct tree_node *node) {
  struct suggestion suggestion = {.word = node->text};
  for (size_t i = 0; i < COUNT_OF(personal_fields); i++) {
    if (strcasecmp(personal_fields[i], node->text) == 0) {
      finding_add_at(binder->findings, node,
                     "%s is personal: a rule reads facts of devices, never of persons", node->text);
      return;
    }
  }
  char list[256] = "";
  for (enum fact fact = 0; fact < FACT_COUNT; fact++) {
    suggestion_offer(&suggestion, fact_name(fact));
    strncat(list, fact == 0 ? "" : ", ", sizeof list - strlen(list) - 1);
    strncat(list, fact_name(fact), sizeof list - strlen(list) - 1);
  }
  char nearest[SUGGESTION_TEXT_SIZE];
  suggestion_text(&suggestion, nearest);
  finding_add_at(binder->findings, node, "unknown fact %.60s%s%s", node->text,
                 nearest[0] == '\0' ? "; there is " : nearest, nearest[0] == '\0' ? list : "");
}

static enum fact bind_fact(struct policy_binder *binder, const struct tree_node *node) {
  const char *text = tree_text(node, "a fact", binder->findings);
  if (text == NULL) {
    return FACT_COUNT;
  }
  for (enum fact fact = 0; fact < FACT_COUNT; fact++) {
    if (strcmp(fact_name(fact), text) == 0) {
      return fact;
    }
  }
  refuse_fact(binder, node);
  return FACT_COUNT;
}

static enum relation bind_relation(struct policy_binder *binder, const struct tree_node *node) {
  const char *names[RELATION_COUNT];
  for (enum relation relation = 0; relation < RELATION_COUNT; relation++) {
    names[relation] = relation_name(relation);
  }
  return (enum relation)tree_choice(node, "comparison", names, RELATION_COUNT, binder->findings);
}

static bool bind_version_operand(struct policy_binder *binder, const struct tree_node *value,
                                 struct policy_node *node) {
  struct policy *policy = binder->policy;
  if (value->kind == TREE_SCALAR && strcmp(value->text, "minimum_os") == 0) {
    node->operand = OPERAND_MINIMUM_OS;
    if (node->relation != RELATION_AT_LEAST && node->relation != RELATION_BELOW) {
      finding_add_at(binder->findings, value, "minimum_os goes with at_least or below");
      return false;
    }
    return true;
  }
  node->operand = OPERAND_VERSION;
  char text[OS_VERSION_SIZE_MAX + 1];
  if (!bind_version(binder, value, "os_version", text)) {
    return false;
  }
  uint32_t i = 0;
  while (i < policy->version_text_count && strcmp(policy->version_texts[i], text) != 0) {
    i++;
  }
  if (i == POLICY_VERSION_TEXTS_MAX) {
    finding_add_at(binder->findings, value, "a policy names at most %d different versions",
                   (int)POLICY_VERSION_TEXTS_MAX);
    return false;
  }
  if (i == policy->version_text_count) {
    memcpy(policy->version_texts[policy->version_text_count++], text, sizeof text);
  }
  node->text = (uint16_t)i;
  return true;
}

static bool bind_operand(struct policy_binder *binder, const struct tree_node *value,
                         struct policy_node *node) {
  struct findings *findings = binder->findings;
  const char *what = fact_name(node->fact);
  if (value->kind == TREE_SCALAR && strcmp(value->text, "unknown") == 0) {
    node->operand = OPERAND_UNKNOWN;
    if (node->relation != RELATION_IS && node->relation != RELATION_IS_NOT) {
      finding_add_at(findings, value, "unknown goes with is or is_not");
      return false;
    }
    return true;
  }
  switch (fact_type_of(node->fact)) {
  case FACT_TYPE_VERSION:
    return bind_version_operand(binder, value, node);
  case FACT_TYPE_BOOLEAN: {
    bool boolean = false;
    const bool is_bound = tree_boolean(value, what, &boolean, findings);
    node->number = boolean;
    return is_bound;
  }
  case FACT_TYPE_NUMBER:
    return tree_number(value, what, 0, INT32_MAX - 1, &node->number, findings);
  case FACT_TYPE_DURATION:
    return tree_duration(value, what, &node->number, findings);
  case FACT_TYPE_LEVEL: {
    const char *names[THREAT_LEVEL_COUNT];
    for (enum threat_level level = 0; level < THREAT_LEVEL_COUNT; level++) {
      names[level] = threat_level_name(level);
    }
    node->number = (int64_t)tree_choice(value, what, names, THREAT_LEVEL_COUNT, findings);
    return node->number < THREAT_LEVEL_COUNT;
  }
  }
  return false;
}

/* [fact, comparison, value] */
static uint16_t bind_comparison(struct policy_binder *binder, const struct tree_node *node) {
  if (node->child_count != 3) {
    finding_add_at(binder->findings, node,
                   "a comparison has three parts: [fact, comparison, value], not %" PRIu32,
                   node->child_count);
    return 0;
  }
  const struct tree_node *relation_node = node->first->next;
  const enum fact fact = bind_fact(binder, node->first);
  const enum relation relation = bind_relation(binder, relation_node);
  if (fact == FACT_COUNT || relation == RELATION_COUNT) {
    return 0;
  }
  if (fact_type_of(fact) == FACT_TYPE_BOOLEAN && relation != RELATION_IS &&
      relation != RELATION_IS_NOT) {
    finding_add_at(binder->findings, relation_node, "%s is true or false: it takes is or is_not",
                   fact_name(fact));
    return 0;
  }
  const uint16_t at = add_node(binder, node, CONDITION_COMPARISON);
  struct policy_node *made = &binder->policy->nodes[at];
  if (at == 0) {
    return 0;
  }
  made->fact = (uint8_t)fact;
  made->relation = (uint8_t)relation;
  return bind_operand(binder, relation_node->next, made) ? at : 0;
}

static uint16_t bind_condition(struct policy_binder *binder, const struct tree_node *node,
                               uint32_t depth);

static void bind_conditions(struct policy_binder *binder, const struct tree_node *list,
                            uint16_t parent, uint32_t depth) {
  uint16_t last = 0;
  for (const struct tree_node *item = list->first; item != NULL; item = item->next) {
    const uint16_t child = bind_condition(binder, item, depth);
    if (child == 0) {
      continue; /* a finding: the policy is not used */
    }
    if (last == 0) {
      binder->policy->nodes[parent].first = child;
    } else {
      binder->policy->nodes[last].next = child;
    }
    last = child;
  }
}

/* {all: [...]}, {any: [...]}, {not: condition} */
static uint16_t bind_group(struct policy_binder *binder, const struct tree_node *node,
                           uint32_t depth) {
  static const char *const names[] = {"all", "any", "not"};
  static const enum condition_kind kinds[] = {CONDITION_ALL, CONDITION_ANY, CONDITION_NOT};
  const struct tree_node *values[COUNT_OF(names)];
  tree_fields(node, "a condition", names, COUNT_OF(names), values, binder->findings);
  size_t i = 0;
  while (i < COUNT_OF(names) && values[i] == NULL) {
    i++;
  }
  if (node->child_count != 2 || i == COUNT_OF(names)) {
    if (node->child_count != 2) {
      finding_add_at(binder->findings, node, "a condition is one of all, any and not");
    }
    return 0;
  }
  const uint16_t at = add_node(binder, node, kinds[i]);
  if (at == 0) {
    return 0;
  }
  if (kinds[i] == CONDITION_NOT) {
    binder->policy->nodes[at].first = bind_condition(binder, values[i], depth + 1);
  } else if (values[i]->kind != TREE_SEQUENCE || values[i]->child_count == 0 ||
             values[i]->first->kind == TREE_SCALAR) {
    finding_add_at(binder->findings, values[i], "%s takes a list of conditions", names[i]);
  } else {
    bind_conditions(binder, values[i], at, depth + 1);
  }
  return binder->policy->nodes[at].first == 0 ? 0 : at;
}

/* The index of the node, or 0 with a finding. Recursion is bounded by `depth`. */
static uint16_t bind_condition(struct policy_binder *binder, const struct tree_node *node,
                               uint32_t depth) {
  if (depth > POLICY_NESTING_MAX) {
    finding_add_at(binder->findings, node, "conditions are nested at most %d deep",
                   (int)POLICY_NESTING_MAX);
    return 0;
  }
  switch (node->kind) {
  case TREE_SEQUENCE:
    return bind_comparison(binder, node);
  case TREE_MAPPING:
    return bind_group(binder, node, depth);
  case TREE_SCALAR:
    break;
  }
  finding_add_at(binder->findings, node,
                 "a condition is [fact, comparison, value], or one of all, any and not");
  return 0;
}

static void check_id_is_new(struct policy_binder *binder, const struct tree_node *node,
                            const char *id) {
  for (uint32_t i = 0; i < binder->policy->rule_count; i++) {
    if (strcmp(binder->policy->rules[i].id, id) == 0) {
      finding_add_at(binder->findings, node, "rule %s is there already, in line %" PRIu32, id,
                     binder->rule_nodes[i]->line);
    }
  }
}

void bind_rule(struct policy_binder *binder, const struct tree_node *node) {
  enum { ID, TITLE, REMEDIATION, APPLIES_TO, REQUIRE, COUNT };
  static const char *const names[COUNT] = {"id", "title", "remediation", "applies_to", "require"};
  const struct tree_node *values[COUNT];
  struct policy *policy = binder->policy;
  if (!tree_fields(node, "a rule", names, COUNT, values, binder->findings)) {
    return;
  }
  for (size_t i = 0; i < COUNT; i++) {
    if (values[i] == NULL && i != APPLIES_TO) {
      finding_add_at(binder->findings, node, "a rule needs %s", names[i]);
    }
  }
  struct policy_rule *rule = &policy->rules[policy->rule_count];
  if (values[ID] != NULL && bind_name(binder, values[ID], "id", rule->id)) {
    check_id_is_new(binder, values[ID], rule->id);
  }
  if (values[TITLE] != NULL) {
    bind_text(binder, values[TITLE], "title", rule->title, sizeof rule->title);
  }
  if (values[REMEDIATION] != NULL) {
    bind_text(binder, values[REMEDIATION], "remediation", rule->remediation,
              sizeof rule->remediation);
  }
  bind_scope(binder, values[APPLIES_TO], &rule->scope);
  if (values[REQUIRE] != NULL) {
    rule->root = bind_condition(binder, values[REQUIRE], 1);
  }
  binder->rule_nodes[policy->rule_count++] = node;
}
