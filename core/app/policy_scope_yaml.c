/* Whom a rule concerns, as a policy's file has it. */
#include "core/app/policy_bind.h"

#include "core/profile.h"

#include <string.h>

/* Names of platforms, profiles or ownerships, as bits. */
struct choices {
  const char *what;
  const char *names[8];
  size_t count;
  uint8_t bits;
};

static void bind_choice(struct policy_binder *binder, const struct tree_node *node, uint32_t index,
                        void *context) {
  struct choices *choices = context;
  (void)index;
  const size_t i =
      tree_choice(node, choices->what, choices->names, choices->count, binder->findings);
  if (i == choices->count) {
    return;
  }
  const uint8_t bit = (uint8_t)(1u << i);
  if ((choices->bits & bit) != 0) {
    finding_add_at(binder->findings, node, "%s is given twice", choices->names[i]);
  }
  choices->bits |= bit;
}

static uint8_t bind_choices(struct policy_binder *binder, const struct tree_node *node,
                            struct choices *choices) {
  if (node == NULL) {
    return (uint8_t)((1u << choices->count) - 1);
  }
  bind_items(binder, node, (uint32_t)choices->count, choices->what, bind_choice, choices);
  return choices->bits;
}

static bool scope_is_empty(const struct policy_scope *scope) {
  for (uint32_t platform = 0; platform < PLATFORM_COUNT; platform++) {
    for (uint32_t profile = 0; profile < PROFILE_COUNT; profile++) {
      if ((scope->platforms >> platform & 1u) != 0 && (scope->profiles >> profile & 1u) != 0 &&
          profile_allows(profile, platform)) {
        return false;
      }
    }
  }
  return true;
}

static void bind_group(struct policy_binder *binder, const struct tree_node *node, uint32_t index,
                       void *context) {
  struct policy *policy = binder->policy;
  uint16_t *groups = context;
  char name[POLICY_NAME_SIZE];
  (void)index;
  if (!bind_name(binder, node, "a group", name)) {
    return;
  }
  uint32_t i = 0;
  while (i < policy->group_count && strcmp(policy->groups[i], name) != 0) {
    i++;
  }
  if (i == POLICY_GROUPS_MAX) {
    finding_add_at(binder->findings, node, "a policy names at most %d different groups",
                   (int)POLICY_GROUPS_MAX);
    return;
  }
  if (i == policy->group_count) {
    memcpy(policy->groups[policy->group_count++], name, sizeof name);
  }
  if ((*groups & 1u << i) != 0) {
    finding_add_at(binder->findings, node, "%s is given twice", name);
  }
  *groups |= (uint16_t)(1u << i);
}

/* The bits of the groups; they join those that the policy names. */
static uint16_t bind_groups(struct policy_binder *binder, const struct tree_node *node,
                            const char *what) {
  uint16_t groups = 0;
  if (node != NULL) {
    bind_items(binder, node, POLICY_GROUPS_MAX, what, bind_group, &groups);
  }
  return groups;
}

static const char *const platform_choices[] = {"windows", "macos", "ios", "android", "linux"};
static const char *const profile_choices[] = {"standard", "mobile", "executive"};
static const char *const ownership_choices[] = {"corporate", "personal"};
static_assert(COUNT_OF(platform_choices) == PLATFORM_COUNT, "as in core/event.h");
static_assert(COUNT_OF(profile_choices) == PROFILE_COUNT, "as in core/event.h");
static_assert(COUNT_OF(ownership_choices) == OWNERSHIP_COUNT, "as in core/event.h");

void bind_scope(struct policy_binder *binder, const struct tree_node *node,
                struct policy_scope *scope) {
  enum { PLATFORMS, PROFILES, OWNERSHIP, USER_GROUPS, DEVICE_GROUPS, COUNT };
  static const char *const names[COUNT] = {"platforms", "profiles", "ownership", "user_groups",
                                           "device_groups"};
  const struct tree_node *values[COUNT] = {NULL};
  if (node != NULL && !tree_fields(node, "applies_to", names, COUNT, values, binder->findings)) {
    return;
  }
  struct choices platforms = {.what = "platform", .count = PLATFORM_COUNT};
  struct choices profiles = {.what = "profile", .count = PROFILE_COUNT};
  struct choices ownerships = {.what = "ownership", .count = OWNERSHIP_COUNT};
  memcpy(platforms.names, platform_choices, sizeof platform_choices);
  memcpy(profiles.names, profile_choices, sizeof profile_choices);
  memcpy(ownerships.names, ownership_choices, sizeof ownership_choices);
  const uint32_t before_count = findings_count(binder->findings);
  scope->user_groups = bind_groups(binder, values[USER_GROUPS], names[USER_GROUPS]);
  scope->device_groups = bind_groups(binder, values[DEVICE_GROUPS], names[DEVICE_GROUPS]);
  scope->platforms = bind_choices(binder, values[PLATFORMS], &platforms);
  scope->profiles = bind_choices(binder, values[PROFILES], &profiles);
  scope->ownerships = bind_choices(binder, values[OWNERSHIP], &ownerships);
  if (findings_count(binder->findings) == before_count && scope_is_empty(scope)) {
    finding_add_at(binder->findings, node,
                   "applies to no device: none of these profiles is for any of these platforms");
  }
}
