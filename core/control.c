#include "core/control.h"

void control_init(struct control *control, const struct memory *memory,
                  const struct policy *first) {
  *control = (struct control){0};
  control_know_policy(control, memory, first->hash, first);
}

static void release(const struct memory *memory, void *block, size_t size) {
  if (block != NULL) {
    memory->resize(memory->context, block, size, 0);
  }
}

void control_fini(struct control *control, const struct memory *memory) {
  release(memory, control->holders, control->holder_capacity * sizeof *control->holders);
  release(memory, control->groups, control->group_capacity * sizeof *control->groups);
  release(memory, control->members, control->member_capacity * sizeof *control->members);
  release(memory, control->policies, control->policy_capacity * sizeof *control->policies);
  release(memory, control->traceparent, control->traceparent_capacity);
  *control = (struct control){0};
}

const struct known_policy *control_find_policy(const struct control *control, struct span version) {
  for (uint32_t i = 0; i < control->policy_count; i++) {
    if (span_equal(span_text(control->policies[i].version), version)) {
      return &control->policies[i];
    }
  }
  return NULL;
}

void control_know_policy(struct control *control, const struct memory *memory,
                         const uint8_t hash[32], const struct policy *policy) {
  control->policies = memory_grow(memory, control->policies, control->policy_count,
                                  &control->policy_capacity, sizeof *control->policies);
  struct known_policy *known = &control->policies[control->policy_count++];
  *known = (struct known_policy){.policy = policy};
  memcpy(known->version, policy->version, sizeof known->version);
  memcpy(known->hash, hash, sizeof known->hash);
}

static struct role_holder *find_holder(const struct control *control,
                                       const uint8_t subject[SUBJECT_SIZE]) {
  for (uint32_t i = 0; i < control->holder_count; i++) {
    if (memcmp(control->holders[i].subject, subject, SUBJECT_SIZE) == 0) {
      return &control->holders[i];
    }
  }
  return NULL;
}

bool control_may(const struct control *control, const struct named_person *actor, enum role role) {
  if (actor->email.size == 0) {
    return true;
  }
  const struct role_holder *holder = find_holder(control, actor->subject);
  return holder != NULL && (holder->roles & (1u << role | 1u << ROLE_ADMIN)) != 0;
}

bool control_grant(struct control *control, const struct memory *memory,
                   const uint8_t subject[SUBJECT_SIZE], enum role role) {
  struct role_holder *holder = find_holder(control, subject);
  if (holder == NULL) {
    control->holders = memory_grow(memory, control->holders, control->holder_count,
                                   &control->holder_capacity, sizeof *control->holders);
    holder = &control->holders[control->holder_count++];
    *holder = (struct role_holder){0};
    memcpy(holder->subject, subject, SUBJECT_SIZE);
  }
  const uint8_t before = holder->roles;
  holder->roles = (uint8_t)(before | 1u << role);
  const bool is_changed = holder->roles != before;
  control->change_count += is_changed;
  return is_changed;
}

bool control_revoke(struct control *control, const uint8_t subject[SUBJECT_SIZE], enum role role) {
  struct role_holder *holder = find_holder(control, subject);
  if (holder == NULL || (holder->roles & 1u << role) == 0) {
    return false;
  }
  holder->roles = (uint8_t)(holder->roles & ~(1u << role));
  control->change_count++;
  return true;
}

bool control_note_tenant(struct control *control, const struct tenant_event *event) {
  const uint8_t bit = (uint8_t)(1u << event->kind);
  if (((control->tenant_events & bit) == 0) == event->is_over) {
    return false;
  }
  control->tenant_events ^= bit;
  control->change_count++;
  return true;
}

/* The group of that name, made when there is none. */
static uint32_t find_group(struct control *control, const struct memory *memory, struct span name) {
  for (uint32_t i = 0; i < control->group_count; i++) {
    const struct group *group = &control->groups[i];
    if (span_equal(span_of(group->name, group->name_size), name)) {
      return i;
    }
  }
  assert(name.size <= SHORT_NAME_SIZE_MAX);
  control->groups = memory_grow(memory, control->groups, control->group_count,
                                &control->group_capacity, sizeof *control->groups);
  struct group *group = &control->groups[control->group_count];
  *group = (struct group){.name_size = (uint8_t)name.size};
  memcpy(group->name, name.data, name.size);
  return control->group_count++;
}

static struct group_member member_of(uint32_t group, const struct event *event) {
  struct group_member member = {.group = group, .is_user = event->user.email.size > 0};
  if (member.is_user) {
    memcpy(member.subject, event->user.subject, SUBJECT_SIZE);
  } else {
    assert(event->serial.size <= SERIAL_SIZE_MAX);
    member.serial_size = (uint8_t)event->serial.size;
    memcpy(member.serial, event->serial.data, event->serial.size);
  }
  return member;
}

static bool is_same_member(const struct group_member *a, const struct group_member *b) {
  return a->group == b->group && a->is_user == b->is_user &&
         memcmp(a->subject, b->subject, SUBJECT_SIZE) == 0 &&
         span_equal(span_of(a->serial, a->serial_size), span_of(b->serial, b->serial_size));
}

bool control_note_group(struct control *control, const struct memory *memory,
                        const struct event *event) {
  const struct group_member member =
      member_of(find_group(control, memory, event->group.group), event);
  uint32_t at = 0;
  while (at < control->member_count && !is_same_member(&control->members[at], &member)) {
    at++;
  }
  const bool is_member = at < control->member_count;
  if (is_member != event->group.is_removed) {
    return false;
  }
  if (is_member) {
    control->members[at] = control->members[--control->member_count];
  } else {
    control->members = memory_grow(memory, control->members, control->member_count,
                                   &control->member_capacity, sizeof *control->members);
    control->members[control->member_count++] = member;
  }
  control->change_count++;
  return true;
}

bool control_apply(struct control *control, const struct memory *memory,
                   const struct event *event) {
  switch (event->kind) {
  case EVENT_ROLE:
    return event->role.is_granted
               ? control_grant(control, memory, event->user.subject, event->role.role)
               : control_revoke(control, event->user.subject, event->role.role);
  case EVENT_TENANT:
    return control_note_tenant(control, &event->tenant);
  case EVENT_GROUP:
    return control_note_group(control, memory, event);
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
  case EVENT_POLICY:
  case EVENT_PROFILE_REVISION:
    break;
  }
  assert(false);
  return false;
}

const char *control_actor(const struct named_person *actor, char text[ACTOR_TEXT_SIZE]) {
  static const char digits[] = "0123456789abcdef";
  if (actor->email.size == 0) {
    return "operator";
  }
  for (size_t i = 0; i < SUBJECT_SIZE; i++) {
    text[2 * i] = digits[actor->subject[i] >> 4];
    text[2 * i + 1] = digits[actor->subject[i] & 0xf];
  }
  text[ACTOR_TEXT_SIZE - 1] = '\0';
  return text;
}
