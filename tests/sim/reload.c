#include "tests/sim/reload.h"

#include "core/app/lane_state.h"
#include "core/sweep.h"

#include <inttypes.h>
#include <stdlib.h>

struct reload {
  uint32_t lane;
  uint64_t batch; /* loaded up to there */
  struct lane_state *state;
};

struct reload *reload_open(uint32_t lane) {
  struct reload *reload = grab(sizeof *reload);
  reload->lane = lane;
  reload->state = lane_state_open(lane, sim.plan.lane_count);
  return reload;
}

void reload_close(struct reload *reload) {
  lane_state_close(reload->state);
  free(reload);
}

static void load(void *context, const struct store_control *control) {
  struct reload *reload = context;
  struct error error;
  CHECK_THAT(lane_state_restore_control(reload->state, control, &error) == STATUS_OK, "%s",
             error.text);
}

static bool roles_equal(const struct control *a, const struct control *b) {
  for (uint32_t i = 0; i < a->holder_count; i++) {
    const struct role_holder *holder = &a->holders[i];
    for (enum role role = 0; role < ROLE_COUNT; role++) {
      if (control_has_role(b, holder->subject, role) != ((holder->roles >> role & 1u) != 0)) {
        return false;
      }
    }
  }
  return true;
}

static bool member_equal(const struct group_member *a, const struct group_member *b) {
  return a->group == b->group && a->next == b->next && a->is_user == b->is_user &&
         memcmp(a->subject, b->subject, SUBJECT_SIZE) == 0 &&
         span_equal(span_of(a->serial, a->serial_size), span_of(b->serial, b->serial_size));
}

/* In the order of their coming, too: an entry that has left makes room for the next. */
static bool groups_equal(const struct control *a, const struct control *b) {
  bool are_equal = a->group_count == b->group_count && a->member_count == b->member_count;
  for (uint32_t i = 0; are_equal && i < a->group_count; i++) {
    const struct group *group = &a->groups[i];
    const struct group *other = &b->groups[i];
    are_equal =
        span_equal(span_of(group->name, group->name_size), span_of(other->name, other->name_size));
  }
  for (uint32_t i = 0; are_equal && i < a->member_count; i++) {
    are_equal = member_equal(&a->members[i], &b->members[i]);
  }
  return are_equal;
}

static bool policies_equal(const struct lane *a, const struct lane *b) {
  bool are_equal = a->policy == b->policy && a->control.policy_count == b->control.policy_count;
  for (uint32_t i = 0; are_equal && i < a->control.policy_count; i++) {
    const struct known_policy *known = &a->control.policies[i];
    const struct known_policy *other = &b->control.policies[i];
    are_equal = known->policy == other->policy && strcmp(known->version, other->version) == 0 &&
                memcmp(known->hash, other->hash, sizeof known->hash) == 0;
  }
  return are_equal;
}

static bool causes_equal(const struct cause *a, const struct cause *b) {
  return a->topic == b->topic && a->offset == b->offset && a->has_event_id == b->has_event_id &&
         memcmp(a->event_id, b->event_id, EVENT_ID_SIZE) == 0 &&
         span_equal(a->traceparent, b->traceparent);
}

/* Of what is open alone: what is over is not looked at again. */
static bool sweeps_equal(const struct sweep *a, const struct sweep *b) {
  if (a->kind != b->kind || a->kind == SWEEP_NONE) {
    return a->kind == b->kind;
  }
  if (a->next != b->next || !causes_equal(&a->cause, &b->cause)) {
    return false;
  }
  return a->kind == SWEEP_EVALUATE
             ? a->from == b->from && memcmp(a->of_bit, b->of_bit, sizeof a->of_bit) == 0
             : a->profile == b->profile && span_equal(span_of(a->revision, a->revision_size),
                                                      span_of(b->revision, b->revision_size));
}

static void check(const struct lane *is, const struct lane *was, uint64_t batch) {
  const struct control *a = &is->control;
  const struct control *b = &was->control;
  const char *what =
      !roles_equal(a, b) || !roles_equal(b, a) ? "roles"
      : !groups_equal(a, b)                    ? "groups"
      : !policies_equal(is, was)               ? "policies"
      : a->tenant_events != b->tenant_events   ? "tenant events"
      : memcmp(a->tenant_over_at_ms, b->tenant_over_at_ms, sizeof a->tenant_over_at_ms) != 0
          ? "the end of tenant events"
      : !sweeps_equal(&a->sweep, &b->sweep) ? "the open sweep"
      : a->change_count != b->change_count  ? "the number of changes"
                                            : NULL;
  CHECK_THAT(what == NULL, "lane %u: behind batch %" PRIu64 ", %s would not be loaded as they were",
             was->number, batch, what);
}

void reload_check(struct reload *reload, const struct lane *lane,
                  const struct stored_batch *batch) {
  database_controls(reload->lane, reload->batch, batch->row.batch, load, reload);
  reload->batch = batch->row.batch;
  sweep_restore(&reload->state->lane, &batch->row.sweep);
  check(&reload->state->lane, lane, batch->row.batch);
}
