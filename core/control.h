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

struct role_holder {
  uint8_t subject[SUBJECT_SIZE];
  uint8_t roles; /* bits by enum role */
};

/* Somebody, or something, in a group: by subject, or by the serial's text. */
struct group_member {
  uint32_t group;
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
  struct known_policy *policies; /* the first is the one that lanes begin with */
  uint32_t policy_count, policy_capacity;
  uint8_t tenant_events; /* bits by enum tenant_event_kind: begun and not over */
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

/* Begins what befalls the tenant, or ends it; false: so it was already. */
bool control_note_tenant(struct control *control, const struct tenant_event *event);

/* Puts whoever the event names (its user, or the device of its serial) into the group, or takes
 * them out; false: so it was already. */
bool control_note_group(struct control *control, const struct memory *memory,
                        const struct event *event);

/* Does what a role change, a tenant event or a group change asks for; nobody's role is looked at.
 * False: so it was already. */
bool control_apply(struct control *control, const struct memory *memory, const struct event *event);

/* Who asks, for an audit entry: "operator", or the subject in hex, written into `text`. */
enum { ACTOR_TEXT_SIZE = 2 * SUBJECT_SIZE + 1 };
const char *control_actor(const struct named_person *actor, char text[ACTOR_TEXT_SIZE]);

#endif
