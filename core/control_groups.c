/* Groups: few of them, with many members, each in few. */
#include "core/control.h"

static struct span group_name(const struct group *group) {
  return span_of(group->name, group->name_size);
}

/* Of a user the subject, of a device its serial: of the same size at times, so the kind counts too.
 */
static struct span member_key(const struct group_member *member) {
  return member->is_user ? span_of(member->subject, SUBJECT_SIZE)
                         : span_of(member->serial, member->serial_size);
}

struct member_list {
  const struct group_member *members;
  bool is_user; /* of what is looked for */
};

static bool member_equal(const void *context, uint32_t index, struct span key) {
  const struct member_list *list = context;
  const struct group_member *member = &list->members[index];
  return member->is_user == list->is_user && span_equal(member_key(member), key);
}

static uint64_t member_hash(const void *context, uint32_t index) {
  const struct member_list *list = context;
  return hash_bytes(member_key(&list->members[index]));
}

/* The newest entry of that user or device. */
static uint32_t find_member(const struct control *control, bool is_user, struct span key) {
  const struct member_list list = {.members = control->members, .is_user = is_user};
  return table_find(&control->by_member, hash_bytes(key), key, member_equal, &list);
}

static uint32_t find_group(const struct control *control, struct span name) {
  for (uint32_t i = 0; i < control->group_count; i++) {
    if (span_equal(group_name(&control->groups[i]), name)) {
      return i;
    }
  }
  return INDEX_NONE;
}

static uint32_t add_group(struct control *control, const struct memory *memory, struct span name) {
  const uint32_t known = find_group(control, name);
  if (known != INDEX_NONE) {
    return known;
  }
  assert(name.size <= SHORT_NAME_SIZE_MAX);
  control->groups = memory_grow(memory, control->groups, control->group_count,
                                &control->group_capacity, sizeof *control->groups);
  struct group *group = &control->groups[control->group_count];
  *group = (struct group){.name_size = (uint8_t)name.size};
  memcpy(group->name, name.data, name.size);
  return control->group_count++;
}

/* The member's entry for the group; one that has left has INDEX_NONE for its group. */
static struct group_member *find_entry(const struct control *control, uint32_t group, bool is_user,
                                       struct span key) {
  for (uint32_t at = find_member(control, is_user, key); at != INDEX_NONE;
       at = control->members[at].next) {
    if (control->members[at].group == group) {
      return &control->members[at];
    }
  }
  return NULL;
}

static void add_member(struct control *control, const struct memory *memory, uint32_t group,
                       bool is_user, struct span key) {
  const uint32_t before = find_member(control, is_user, key);
  control->members = memory_grow(memory, control->members, control->member_count,
                                 &control->member_capacity, sizeof *control->members);
  const uint32_t index = control->member_count++;
  struct group_member *member = &control->members[index];
  *member = (struct group_member){.group = group, .next = INDEX_NONE, .is_user = is_user};
  assert(key.size <= (is_user ? SUBJECT_SIZE : SERIAL_SIZE_MAX));
  memcpy(is_user ? member->subject : member->serial, key.data, key.size);
  member->serial_size = is_user ? 0 : (uint8_t)key.size;
  if (before != INDEX_NONE) {
    member->next = control->members[before].next;
    control->members[before].next = index;
    return;
  }
  const struct member_list list = {.members = control->members, .is_user = is_user};
  table_add(&control->by_member, memory, hash_bytes(key), index, member_hash, &list);
}

bool control_join(struct control *control, const struct memory *memory, struct span group,
                  bool is_user, struct span key) {
  const uint32_t index = add_group(control, memory, group);
  if (find_entry(control, index, is_user, key) != NULL) {
    return false;
  }
  struct group_member *left = find_entry(control, INDEX_NONE, is_user, key);
  if (left != NULL) {
    left->group = index;
  } else {
    add_member(control, memory, index, is_user, key);
  }
  control->change_count++;
  return true;
}

bool control_part(struct control *control, struct span group, bool is_user, struct span key) {
  const uint32_t index = find_group(control, group);
  struct group_member *member =
      index == INDEX_NONE ? NULL : find_entry(control, index, is_user, key);
  if (member != NULL) {
    member->group = INDEX_NONE;
    control->change_count++;
  }
  return member != NULL;
}

static uint32_t policy_bit(const struct policy *policy, const struct group *group) {
  for (uint32_t i = 0; i < policy->group_count; i++) {
    if (span_equal(group_name(group), span_text(policy->groups[i]))) {
      return 1u << i;
    }
  }
  return 0;
}

uint32_t control_groups_of(const struct control *control, const struct policy *policy, bool is_user,
                           struct span key) {
  uint32_t groups = 0;
  for (uint32_t at = find_member(control, is_user, key); at != INDEX_NONE;
       at = control->members[at].next) {
    const uint32_t group = control->members[at].group;
    groups |= group == INDEX_NONE ? 0 : policy_bit(policy, &control->groups[group]);
  }
  return groups;
}

static void give_back(const struct memory *memory, void *block, size_t size) {
  if (block != NULL) {
    memory->resize(memory->context, block, size, 0);
  }
}

void control_fini(struct control *control, const struct memory *memory) {
  give_back(memory, control->holders, control->holder_capacity * sizeof *control->holders);
  give_back(memory, control->groups, control->group_capacity * sizeof *control->groups);
  give_back(memory, control->members, control->member_capacity * sizeof *control->members);
  give_back(memory, control->policies, control->policy_capacity * sizeof *control->policies);
  give_back(memory, control->traceparent, control->traceparent_capacity);
  table_fini(&control->by_member, memory);
  *control = (struct control){0};
}
