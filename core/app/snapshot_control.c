#include "core/app/snapshot_control.h"

#include "core/app/policy_store.h"
#include "core/app/text.h"

#include <stdlib.h>

/* Writing. -------------------------------------------------------------------------------- */

uint32_t snapshot_policy_index(const struct control *control, const struct policy *policy) {
  for (uint32_t i = 0; i < control->policy_count; i++) {
    if (control->policies[i].policy == policy) {
      return i;
    }
  }
  return INDEX_NONE;
}

static void put_policies(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct lane *lane = &snapshot->state->lane;
  const struct control *control = &lane->control;
  assert(snapshot->policies.count + 1 == control->policy_count);
  buffer_append_u32(bytes, control->policy_count);
  for (uint32_t i = 0; i < control->policy_count; i++) {
    const struct span text =
        i == 0 ? (struct span){0} : buffer_span(&snapshot->policies.items[i - 1]);
    binary_put_text(bytes, span_text(control->policies[i].version));
    buffer_append(bytes, control->policies[i].hash, DIGEST_SIZE);
    snapshot_put_long(bytes, text);
  }
  buffer_append_u32(bytes, snapshot_policy_index(control, lane->policy));
}

static void put_people(const struct control *control, struct buffer *bytes) {
  buffer_append_u32(bytes, control->holder_count);
  for (uint32_t i = 0; i < control->holder_count; i++) {
    buffer_append(bytes, control->holders[i].subject, SUBJECT_SIZE);
    buffer_append_u8(bytes, control->holders[i].roles);
    buffer_append_u8(bytes, control->holders[i].is_bootstrap ? 1 : 0);
  }
}

static int compare_members(const void *left, const void *right) {
  const struct group_member *a = *(const struct group_member *const *)left;
  const struct group_member *b = *(const struct group_member *const *)right;
  if (a->is_user != b->is_user) {
    return a->is_user ? 1 : -1;
  }
  int order = memcmp(a->subject, b->subject, SUBJECT_SIZE);
  order = order != 0 ? order : (int)a->serial_size - (int)b->serial_size;
  order = order != 0 ? order : memcmp(a->serial, b->serial, a->serial_size);
  return order != 0 ? order : a->group < b->group ? -1 : a->group > b->group ? 1 : 0;
}

/* Who is in a group now, in an order of their own: how the lane keeps them depends on who has left.
 */
static void put_members(const struct control *control, struct buffer *bytes) {
  const struct group_member **members =
      memory_zeroed((size_t)control->member_count + 1, sizeof(void *));
  uint32_t count = 0;
  for (uint32_t i = 0; i < control->member_count; i++) {
    if (control->members[i].group != INDEX_NONE) {
      members[count++] = &control->members[i];
    }
  }
  qsort(members, count, sizeof(void *), compare_members);
  buffer_append_u32(bytes, count);
  for (uint32_t i = 0; i < count; i++) {
    const struct group_member *member = members[i];
    buffer_append_u32(bytes, member->group);
    buffer_append_u8(bytes, member->is_user ? 1 : 0);
    binary_put_text(bytes, member->is_user ? span_of(member->subject, SUBJECT_SIZE)
                                           : span_of(member->serial, member->serial_size));
  }
  free(members);
}

void snapshot_put_groups(const struct control *control, struct buffer *bytes) {
  buffer_append_u32(bytes, control->group_count);
  for (uint32_t i = 0; i < control->group_count; i++) {
    binary_put_text(bytes, span_of(control->groups[i].name, control->groups[i].name_size));
  }
  put_members(control, bytes);
}

static void put_sweep(const struct control *control, struct buffer *bytes) {
  const struct sweep *sweep = &control->sweep;
  buffer_append_u8(bytes, (uint8_t)sweep->kind);
  if (sweep->kind == SWEEP_NONE) {
    return;
  }
  buffer_append_u32(bytes, sweep->next);
  buffer_append_u8(bytes, (uint8_t)sweep->cause.topic);
  binary_put_i64(bytes, sweep->cause.offset);
  buffer_append_u8(bytes, sweep->cause.has_event_id ? 1 : 0);
  buffer_append(bytes, sweep->cause.event_id, EVENT_ID_SIZE);
  snapshot_put_long(bytes, sweep->cause.traceparent);
  buffer_append_u32(bytes, snapshot_policy_index(control, sweep->from));
  for (size_t i = 0; i < VIOLATIONS_MAX; i++) {
    buffer_append_u32(bytes, sweep->of_bit[i]);
  }
  buffer_append_u8(bytes, (uint8_t)sweep->profile);
  binary_put_text(bytes, span_of(sweep->revision, sweep->revision_size));
}

void snapshot_put_control(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct control *control = &snapshot->state->lane.control;
  put_policies(snapshot, bytes);
  put_people(control, bytes);
  snapshot_put_groups(control, bytes);
  buffer_append_u8(bytes, control->tenant_events);
  for (size_t kind = 0; kind < TENANT_EVENT_COUNT; kind++) {
    binary_put_i64(bytes, control->tenant_over_at_ms[kind]);
  }
  buffer_append_u64(bytes, control->change_count);
  put_sweep(control, bytes);
}

void snapshot_put_records(const struct control_records *records, struct buffer *bytes) {
  buffer_append_u32(bytes, records->count);
  snapshot_put_long(bytes, buffer_span(&records->bytes));
}

/* Reading. -------------------------------------------------------------------------------- */

static bool take_policy(struct binary *binary, struct snapshot *snapshot, uint32_t index) {
  struct lane *lane = &snapshot->state->lane;
  struct policy_change change = {.version = binary_take_text(binary)};
  struct reject reject;
  binary_take_bytes(binary, change.hash, DIGEST_SIZE);
  change.text = snapshot_take_long(binary);
  change.has_text = change.text.size > 0;
  if (binary->is_short || change.version.size >= POLICY_NAME_SIZE) {
    return false;
  }
  if (index == 0) { /* the one that lanes begin with, which is there already */
    return span_equal(change.version, span_text(lane->control.policies[0].version)) &&
           memcmp(change.hash, lane->control.policies[0].hash, DIGEST_SIZE) == 0;
  }
  if (!policy_store_take(&change, &reject) || change.policy == NULL ||
      control_find_policy(&lane->control, change.version) != NULL) {
    return false;
  }
  policy_texts_add(&snapshot->policies, change.text);
  control_know_policy(&lane->control, &lane->memory, change.hash, change.policy);
  return true;
}

static bool take_policies(struct binary *binary, struct snapshot *snapshot) {
  struct lane *lane = &snapshot->state->lane;
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count; i++) {
    if (!take_policy(binary, snapshot, i)) {
      return false;
    }
  }
  const uint32_t in_force = binary_take_u32(binary);
  if (binary->is_short || in_force >= lane->control.policy_count) {
    return false;
  }
  lane_set_policy(lane, lane->control.policies[in_force].policy);
  return true;
}

static void take_holders(struct binary *binary, struct lane *lane) {
  struct control *control = &lane->control;
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    control->holders = memory_grow(&lane->memory, control->holders, control->holder_count,
                                   &control->holder_capacity, sizeof *control->holders);
    struct role_holder *holder = &control->holders[control->holder_count++];
    binary_take_bytes(binary, holder->subject, SUBJECT_SIZE);
    holder->roles = binary_take_u8(binary);
    holder->is_bootstrap = binary_take_u8(binary) == 1;
  }
}

static bool take_groups(struct binary *binary, struct lane *lane) {
  struct control *control = &lane->control;
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    const struct span name = binary_take_text(binary);
    if (name.size > SHORT_NAME_SIZE_MAX) {
      return false;
    }
    control->groups = memory_grow(&lane->memory, control->groups, control->group_count,
                                  &control->group_capacity, sizeof *control->groups);
    struct group *group = &control->groups[control->group_count++];
    *group = (struct group){.name_size = (uint8_t)name.size};
    if (name.size > 0) {
      memcpy(group->name, name.data, name.size);
    }
  }
  return !binary->is_short;
}

static bool take_members(struct binary *binary, struct lane *lane) {
  struct control *control = &lane->control;
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    const uint32_t group = binary_take_u32(binary);
    const bool is_user = binary_take_u8(binary) == 1;
    const struct span key = binary_take_text(binary);
    const bool is_good = group < control->group_count &&
                         (is_user ? key.size == SUBJECT_SIZE : key.size <= SERIAL_SIZE_MAX);
    if (binary->is_short || !is_good) {
      return false;
    }
    const struct group *of = &control->groups[group];
    if (!control_join(control, &lane->memory, span_of(of->name, of->name_size), is_user, key)) {
      return false;
    }
  }
  return !binary->is_short;
}

/* The sweep's cause outlives the snapshot's bytes. */
static void keep_traceparent(struct lane *lane, struct span traceparent) {
  struct control *control = &lane->control;
  if (traceparent.size > 0) {
    control->traceparent = lane->memory.resize(lane->memory.context, control->traceparent,
                                               control->traceparent_capacity, traceparent.size);
    control->traceparent_capacity = (uint32_t)traceparent.size;
    memcpy(control->traceparent, traceparent.data, traceparent.size);
    control->sweep.cause.traceparent = span_of(control->traceparent, traceparent.size);
  }
}

static bool take_sweep(struct binary *binary, struct lane *lane) {
  struct sweep *sweep = &lane->control.sweep;
  const uint8_t kind = binary_take_u8(binary);
  if (kind == SWEEP_NONE || kind > SWEEP_PUSH) {
    return !binary->is_short && kind == SWEEP_NONE;
  }
  sweep->kind = (enum sweep_kind)kind;
  sweep->next = binary_take_u32(binary);
  const uint8_t topic = binary_take_u8(binary);
  sweep->cause.topic = topic < TOPIC_COUNT ? (enum topic)topic : TOPIC_CONTROL;
  sweep->cause.offset = binary_take_i64(binary);
  sweep->cause.has_event_id = binary_take_u8(binary) == 1;
  binary_take_bytes(binary, sweep->cause.event_id, EVENT_ID_SIZE);
  keep_traceparent(lane, snapshot_take_long(binary));
  const uint32_t from = binary_take_u32(binary);
  for (size_t i = 0; i < VIOLATIONS_MAX; i++) {
    sweep->of_bit[i] = binary_take_u32(binary);
  }
  const uint8_t profile = binary_take_u8(binary);
  const struct span revision = binary_take_text(binary);
  const bool is_known = from < lane->control.policy_count;
  if (binary->is_short || profile >= PROFILE_COUNT || revision.size > SHORT_NAME_SIZE_MAX ||
      (sweep->kind == SWEEP_EVALUATE && !is_known)) {
    return false;
  }
  sweep->from = is_known ? lane->control.policies[from].policy : NULL;
  sweep->profile = (enum profile)profile;
  sweep->revision_size = (uint8_t)revision.size;
  if (revision.size > 0) {
    memcpy(sweep->revision, revision.data, revision.size);
  }
  return true;
}

bool snapshot_take_control(struct binary *binary, struct snapshot *snapshot) {
  struct lane *lane = &snapshot->state->lane;
  if (!take_policies(binary, snapshot)) {
    return false;
  }
  take_holders(binary, lane);
  if (!take_groups(binary, lane) || !take_members(binary, lane)) {
    return false;
  }
  lane->control.tenant_events = binary_take_u8(binary);
  for (size_t kind = 0; kind < TENANT_EVENT_COUNT; kind++) {
    lane->control.tenant_over_at_ms[kind] = binary_take_i64(binary);
  }
  lane->control.change_count = binary_take_number(binary, 8);
  return take_sweep(binary, lane);
}

bool snapshot_take_records(struct binary *binary, struct snapshot *snapshot) {
  const uint32_t count = binary_take_u32(binary);
  const struct span bytes = snapshot_take_long(binary);
  struct binary rest = {.rest = bytes};
  for (uint32_t i = 0; i < count; i++) {
    struct store_control control;
    if (!control_records_next(&rest, &control) || control.batch > snapshot->row.batch) {
      return false;
    }
  }
  buffer_append(&snapshot->control.bytes, bytes.data, bytes.size);
  snapshot->control.count = count;
  return rest.rest.size == 0 && !binary->is_short;
}
