/* Shared by the files that read a policy: core/app/policy_*yaml.c. */
#ifndef MUSTER_APP_POLICY_BIND_H
#define MUSTER_APP_POLICY_BIND_H

#include "core/app/yaml_tree.h"
#include "core/policy.h"

struct policy_binder {
  struct policy *policy;
  struct findings *findings;
  const struct tree_node *rule_nodes[POLICY_RULES_MAX]; /* where the rules stand */
};

/* Copies a scalar of 1 to `size` - 1 bytes without control characters. False, with a finding,
 * when it is not so. */
bool bind_text(struct policy_binder *binder, const struct tree_node *node, const char *what,
               char *text, size_t size);

/* The same for a name: letters, digits, '.', '_' and '-', beginning with a letter or digit. */
bool bind_name(struct policy_binder *binder, const struct tree_node *node, const char *what,
               char name[POLICY_NAME_SIZE]);

/* Copies a version: dotted decimals. */
bool bind_version(struct policy_binder *binder, const struct tree_node *node, const char *what,
                  char version[OS_VERSION_SIZE_MAX + 1]);

/* Calls `bind` for each item of a list; a scalar is a list of one. `bind` gets the index. */
typedef void (*bind_item_fn)(struct policy_binder *binder, const struct tree_node *node,
                             uint32_t index, void *context);
void bind_items(struct policy_binder *binder, const struct tree_node *node, uint32_t count_max,
                const char *what, bind_item_fn bind, void *context);

/* The same of what must be a list. */
void bind_list(struct policy_binder *binder, const struct tree_node *node, uint32_t count_max,
               const char *what, bind_item_fn bind, void *context);

/* The value of `escalation`. */
void bind_escalation(struct policy_binder *binder, const struct tree_node *node);

/* The value of a rule's `applies_to`; NULL: every device. */
void bind_scope(struct policy_binder *binder, const struct tree_node *node,
                struct policy_scope *scope);

/* A rule, the next of the policy. */
void bind_rule(struct policy_binder *binder, const struct tree_node *node);

#endif
