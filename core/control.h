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
  struct sweep sweep;
};

#endif
