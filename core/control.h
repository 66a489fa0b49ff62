/* What the control topic says to all lanes: the policy in force, roles, groups, what befalls the
 * tenant.
 *
 * Every lane reads the whole topic and keeps all of it, so that each decides by itself and at its
 * own place of the merged log. What a control message causes beside the devices (an audit entry) is
 * a result of lane 0 alone. */
#ifndef MUSTER_CORE_CONTROL_H
#define MUSTER_CORE_CONTROL_H

#include "core/memory.h"
#include "core/policy.h"
#include "core/table.h"

struct role_holder {
  uint8_t subject[SUBJECT_SIZE];
  uint8_t roles;     /* bits by enum role */
  bool is_bootstrap; /* an ADMIN by the configuration, whatever the roles */
};

/* Somebody, or something, in a group: by subject, or by the serial's text. */
struct group_member {
  uint32_t group;
  uint32_t next; /* the same one in another group: index of a member, INDEX_NONE at the end */
  bool is_user;
  uint8_t subject[SUBJECT_SIZE];
  uint8_t serial_size;
  uint8_t serial[SERIAL_SIZE_MAX];
};

struct group {
  uint8_t name_size;
  uint8_t name[SHORT_NAME_SIZE_MAX];
};

/* A policy that was in force once, or is. */
struct known_policy {
  char version[POLICY_NAME_SIZE];
  uint8_t hash[32];
  const struct policy *policy; /* its owner keeps it as long as the lane */
};

/* Going through the lane's devices after a control message, one step a device. Batches may be cut
 * between any two of them; no message is taken and no timer fires until it is over. */
enum sweep_kind {
  SWEEP_NONE,
  SWEEP_EVALUATE, /* all devices, under another policy */
  SWEEP_PUSH,     /* a profile's enrolled devices get its revision */
};

struct sweep {
  enum sweep_kind kind;
  uint32_t next; /* index of the next device */
  struct cause cause;
  /* Of SWEEP_EVALUATE: the policy that devices from `next` on are still under, and what its bits
   * are under the new one; 0: a rule that is gone. */
  const struct policy *from;
  violation_set of_bit[VIOLATIONS_MAX];
  enum profile profile;
  uint8_t revision_size;
  char revision[SHORT_NAME_SIZE_MAX + 1];
};

struct control {
  struct role_holder *holders;
  uint32_t holder_count, holder_capacity;
  struct group *groups;
  uint32_t group_count, group_capacity;
  struct group_member *members;
  uint32_t member_count, member_capacity;
  struct table by_member;        /* the newest entry of each user and each device */
  struct known_policy *policies; /* the first is the one that lanes begin with */
  uint32_t policy_count, policy_capacity;
  uint8_t tenant_events; /* bits by enum tenant_event_kind: begun and not over */
  int64_t tenant_over_at_ms[TENANT_EVENT_COUNT]; /* when the last one ended; 0: none has */
  /* Of all this, the present sweep included: a message that raises it is kept beside its batch. */
  uint64_t change_count;
  struct sweep sweep;
  uint8_t *traceparent; /* of the sweep's cause, which outlives its message */
  uint32_t traceparent_capacity;
};

/* Knows the policy that lanes begin with. */
void control_init(struct control *control, const struct memory *memory, const struct policy *first);
void control_fini(struct control *control, const struct memory *memory);

/* The policy of that version that was in force; NULL: none was. Valid until the next is known. */
const struct known_policy *control_find_policy(const struct control *control, struct span version);

/* From here on that version, which was not known, is. */
void control_know_policy(struct control *control, const struct memory *memory,
                         const uint8_t hash[32], const struct policy *policy);

/* Whether the actor may do what the role is needed for: nobody named is the operator's console,
 * an ADMIN may everything. */
bool control_may(const struct control *control, const struct named_person *actor, enum role role);

/* Gives a role, or takes it away; false: so it was already. */
bool control_grant(struct control *control, const struct memory *memory,
                   const uint8_t subject[SUBJECT_SIZE], enum role role);
bool control_revoke(struct control *control, const uint8_t subject[SUBJECT_SIZE], enum role role);

/* Does what a role change, a tenant event or a group change asks for; nobody's role is looked at.
 * False: so it was already. */
bool control_apply(struct control *control, const struct memory *memory, const struct event *event,
                   int64_t clock_ms);

/* Whether the subject is an ADMIN: by a role, or by the configuration. */
bool control_is_admin(const struct control *control, const uint8_t subject[SUBJECT_SIZE]);

bool control_has_role(const struct control *control, const uint8_t subject[SUBJECT_SIZE],
                      enum role role);

/* Whether nobody would be an ADMIN without the subject's role. */
bool control_is_last_admin(const struct control *control, const uint8_t subject[SUBJECT_SIZE]);

/* Makes these subjects, SUBJECT_SIZE bytes each, and no others admins by the configuration. */
void control_set_bootstrap(struct control *control, const struct memory *memory,
                           const uint8_t *subjects, uint32_t count);

bool control_begin_tenant_event(struct control *control, enum tenant_event_kind kind);
bool control_end_tenant_event(struct control *control, enum tenant_event_kind kind,
                              int64_t clock_ms);

/* Whether the check-ins of a platform's devices cannot be expected now; otherwise since when they
 * can again: 0 when they always could. */
bool control_is_muted(const struct control *control, enum platform platform);
int64_t control_muted_until_ms(const struct control *control, enum platform platform);

/* Puts a user (`is_user`: `key` is a subject) or a device (a serial) into a group, or takes it out.
 * False: it is so already. */
bool control_join(struct control *control, const struct memory *memory, struct span group,
                  bool is_user, struct span key);
bool control_part(struct control *control, struct span group, bool is_user, struct span key);

/* The groups of a user or a device, as bits by the policy's groups. */
uint32_t control_groups_of(const struct control *control, const struct policy *policy, bool is_user,
                           struct span key);

#endif
