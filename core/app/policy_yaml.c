#include "core/app/policy_yaml.h"

#include "core/app/policy_bind.h"
#include "core/app/policy_text.h"
#include "core/time_text.h"
#include "core/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { APPROVALS_MAX = 8, WIPE_LIMIT_MAX = 1000000 };

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

void bind_list(struct policy_binder *binder, const struct tree_node *node, uint32_t count_max,
               const char *what, bind_item_fn bind, void *context) {
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

enum { USER_COMMAND_COUNT = 3 };
static const enum command_kind user_commands[USER_COMMAND_COUNT] = {COMMAND_SYNC, COMMAND_RENAME,
                                                                    COMMAND_RETIRE};
static const char *const user_command_names[USER_COMMAND_COUNT] = {"sync", "rename", "retire"};

static void bind_user_command(struct policy_binder *binder, const struct tree_node *node,
                              uint32_t index, void *context) {
  struct policy_commands *commands = context;
  (void)index;
  if (node->kind == TREE_SCALAR && strcmp(node->text, "wipe") == 0) {
    finding_add_at(binder->findings, node,
                   "a wipe takes an admin: users may ask for sync, rename and retire");
    return;
  }
  const size_t i = tree_choice(node, "command of users", user_command_names, USER_COMMAND_COUNT,
                               binder->findings);
  if (i == USER_COMMAND_COUNT) {
    return;
  }
  const uint8_t bit = (uint8_t)(1u << user_commands[i]);
  if ((commands->of_users & bit) != 0) {
    finding_add_at(binder->findings, node, "%s is given twice", user_command_names[i]);
  }
  commands->of_users |= bit;
}

/* A list of commands, or `none`. */
static void bind_users_may(struct policy_binder *binder, const struct tree_node *node) {
  struct policy_commands *commands = &binder->policy->commands;
  commands->of_users = 0;
  if (node->kind != TREE_SCALAR || strcmp(node->text, "none") != 0) {
    bind_items(binder, node, USER_COMMAND_COUNT, "users_may", bind_user_command, commands);
  }
}

static void bind_wipe(struct policy_binder *binder, const struct tree_node *node) {
  enum { APPROVALS, LIMIT, PER, COUNT };
  static const char *const names[COUNT] = {"approvals", "limit", "per"};
  const struct tree_node *values[COUNT];
  struct policy_commands *commands = &binder->policy->commands;
  int64_t number = 0;
  tree_fields(node, "wipe", names, COUNT, values, binder->findings);
  if (values[APPROVALS] != NULL &&
      tree_number(values[APPROVALS], "approvals", 0, APPROVALS_MAX, &number, binder->findings)) {
    commands->wipe_approvals = (uint32_t)number;
  }
  if ((values[LIMIT] == NULL) != (values[PER] == NULL)) {
    finding_add_at(binder->findings, node,
                   "limit and per go together: so many wipes in so long, such as 20 per 1h");
  } else if (values[LIMIT] != NULL &&
             tree_number(values[LIMIT], "limit", 1, WIPE_LIMIT_MAX, &number, binder->findings) &&
             tree_duration(values[PER], "per", &commands->wipe_limit_per_ms, binder->findings)) {
    commands->wipe_limit = (uint32_t)number;
    if (commands->wipe_limit_per_ms == 0) {
      finding_add_at(binder->findings, values[PER], "per is longer than 0");
    }
  }
}

static void bind_commands(struct policy_binder *binder, const struct tree_node *node) {
  enum { USERS_MAY, WIPE, COUNT };
  static const char *const names[COUNT] = {"users_may", "wipe"};
  const struct tree_node *values[COUNT];
  tree_fields(node, "commands", names, COUNT, values, binder->findings);
  if (values[USERS_MAY] != NULL) {
    bind_users_may(binder, values[USERS_MAY]);
  }
  if (values[WIPE] != NULL) {
    bind_wipe(binder, values[WIPE]);
  }
}

static void bind_policy(struct policy_binder *binder, const struct tree_node *node) {
  enum { VERSION, TITLE, MINIMUM_OS, RULES, ESCALATION, ON_ENROLMENT, COMMANDS, EXEMPTIONS, COUNT };
  static const char *const names[COUNT] = {"version",  "title",      "minimum_os",
                                           "rules",    "escalation", "on_enrolment",
                                           "commands", "exemptions"};
  static const char *const on_enrolment[] = {"push_profile"};
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
  if (values[ON_ENROLMENT] != NULL) {
    policy->pushes_profile =
        tree_choice(values[ON_ENROLMENT], "on_enrolment", on_enrolment, 1, binder->findings) == 0;
  }
  if (values[COMMANDS] != NULL) {
    bind_commands(binder, values[COMMANDS]);
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
  policy->commands.of_users = 1u << COMMAND_SYNC; /* unless the file says otherwise */
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
