/* Who holds which role, who is in which group, what befalls the tenant. All changes of it are here.
 */
#include "core/control.h"

static struct role_holder *find_holder(const struct control *control,
                                       const uint8_t subject[SUBJECT_SIZE]) {
  for (uint32_t i = 0; i < control->holder_count; i++) {
    if (memcmp(control->holders[i].subject, subject, SUBJECT_SIZE) == 0) {
      return &control->holders[i];
    }
  }
  return NULL;
}

static struct role_holder *add_holder(struct control *control, const struct memory *memory,
                                      const uint8_t subject[SUBJECT_SIZE]) {
  struct role_holder *holder = find_holder(control, subject);
  if (holder != NULL) {
    return holder;
  }
  control->holders = memory_grow(memory, control->holders, control->holder_count,
                                 &control->holder_capacity, sizeof *control->holders);
  holder = &control->holders[control->holder_count++];
  *holder = (struct role_holder){0};
  memcpy(holder->subject, subject, SUBJECT_SIZE);
  return holder;
}

static bool holds_admin(const struct role_holder *holder) {
  return holder->is_bootstrap || (holder->roles >> ROLE_ADMIN & 1u) != 0;
}

bool control_is_admin(const struct control *control, const uint8_t subject[SUBJECT_SIZE]) {
  const struct role_holder *holder = find_holder(control, subject);
  return holder != NULL && holds_admin(holder);
}

bool control_has_role(const struct control *control, const uint8_t subject[SUBJECT_SIZE],
                      enum role role) {
  const struct role_holder *holder = find_holder(control, subject);
  return holder != NULL && (holder->roles >> role & 1u) != 0;
}

bool control_may(const struct control *control, const struct named_person *actor, enum role role) {
  return actor->email.size == 0 || control_is_admin(control, actor->subject) ||
         control_has_role(control, actor->subject, role);
}

bool control_grant(struct control *control, const struct memory *memory,
                   const uint8_t subject[SUBJECT_SIZE], enum role role) {
  struct role_holder *holder = add_holder(control, memory, subject);
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

bool control_is_last_admin(const struct control *control, const uint8_t subject[SUBJECT_SIZE]) {
  for (uint32_t i = 0; i < control->holder_count; i++) {
    const struct role_holder *holder = &control->holders[i];
    const bool is_subject = memcmp(holder->subject, subject, SUBJECT_SIZE) == 0;
    if (is_subject ? holder->is_bootstrap : holds_admin(holder)) {
      return false;
    }
  }
  return true;
}

void control_set_bootstrap(struct control *control, const struct memory *memory,
                           const uint8_t *subjects, uint32_t count) {
  for (uint32_t i = 0; i < control->holder_count; i++) {
    control->holders[i].is_bootstrap = false;
  }
  for (uint32_t i = 0; i < count; i++) {
    add_holder(control, memory, subjects + (size_t)i * SUBJECT_SIZE)->is_bootstrap = true;
  }
}

bool control_begin_tenant_event(struct control *control, enum tenant_event_kind kind) {
  const bool is_changed = (control->tenant_events & 1u << kind) == 0;
  control->tenant_events = (uint8_t)(control->tenant_events | 1u << kind);
  control->change_count += is_changed;
  return is_changed;
}

bool control_end_tenant_event(struct control *control, enum tenant_event_kind kind,
                              int64_t clock_ms) {
  if ((control->tenant_events & 1u << kind) == 0) {
    return false;
  }
  control->tenant_events = (uint8_t)(control->tenant_events & ~(1u << kind));
  control->tenant_over_at_ms[kind] = clock_ms;
  control->change_count++;
  return true;
}

/* A push certificate is Apple's; without the service upstream nobody can check in. */
static bool concerns(enum tenant_event_kind kind, enum platform platform) {
  return kind == TENANT_UPSTREAM_OUTAGE || platform == PLATFORM_MACOS || platform == PLATFORM_IOS;
}

bool control_is_muted(const struct control *control, enum platform platform) {
  for (enum tenant_event_kind kind = 0; kind < TENANT_EVENT_COUNT; kind++) {
    if ((control->tenant_events & 1u << kind) != 0 && concerns(kind, platform)) {
      return true;
    }
  }
  return false;
}

int64_t control_muted_until_ms(const struct control *control, enum platform platform) {
  int64_t until_ms = 0;
  for (enum tenant_event_kind kind = 0; kind < TENANT_EVENT_COUNT; kind++) {
    if (concerns(kind, platform) && control->tenant_over_at_ms[kind] > until_ms) {
      until_ms = control->tenant_over_at_ms[kind];
    }
  }
  return until_ms;
}
