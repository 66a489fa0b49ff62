/* The part of a snapshot that is a lane's control state: policies, roles, groups, what befalls the
 * tenant, and the sweep that was open. For snapshot.c alone. */
#ifndef MUSTER_APP_SNAPSHOT_CONTROL_H
#define MUSTER_APP_SNAPSHOT_CONTROL_H

#include "core/app/binary.h"
#include "core/app/snapshot.h"

/* Its place among the policies that the lane knows; INDEX_NONE for none of them. */
uint32_t snapshot_policy_index(const struct control *control, const struct policy *policy);

void snapshot_put_control(const struct snapshot *snapshot, struct buffer *bytes);

/* Into a lane that has no devices yet. False: it is none that a lane can have, or one of its
 * policies is not what it was. */
bool snapshot_take_control(struct binary *binary, struct snapshot *snapshot) MUST_USE;

/* What control messages changed, and the same again. False: none that a lane can have. */
void snapshot_put_records(const struct control_records *records, struct buffer *bytes);
bool snapshot_take_records(struct binary *binary, struct snapshot *snapshot) MUST_USE;

#endif
