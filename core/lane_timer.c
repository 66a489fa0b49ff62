/* What happens to a device by itself, and when. */
#include "core/lane.h"

struct next_timer {
  enum timer_kind kind;
  int64_t due_at_ms;
};

/* Takes over what is earlier; at equal times the smaller kind goes first. */
static void offer(struct next_timer *next, enum timer_kind kind, int64_t due_at_ms) {
  if (next->kind == TIMER_KIND_NONE || due_at_ms < next->due_at_ms) {
    *next = (struct next_timer){.kind = kind, .due_at_ms = due_at_ms};
  }
}

/* Of an open episode of non-compliance. */
static void offer_episode(struct next_timer *next, const struct policy *policy,
                          const struct device *device) {
  const struct policy_plan *plan = &policy->noncompliant;
  const int64_t since_ms = device->noncompliant_since_ms;
  if (device->clean_since_ms != 0) {
    offer(next, TIMER_KIND_CLEAN, device->clean_since_ms + policy->minimum_clean_ms);
    return; /* stages and held mails wait for what becomes of it */
  }
  if (device->stage < plan->count) {
    const struct policy_stage *stage = &plan->stages[device->stage];
    offer(next, policy_stage_kind(stage), since_ms + stage->after_ms);
  }
  if (device->mail_held > 0) {
    offer(next, TIMER_KIND_MAIL,
          policy_mail_at(policy, since_ms + plan->stages[device->mail_held - 1].after_ms));
  }
}

int64_t lane_expected_from_ms(const struct device *device) {
  return device->last_sync_at_ms > device->pending_since_ms ? device->last_sync_at_ms
                                                            : device->pending_since_ms;
}

int64_t lane_overdue_from_ms(const struct lane *lane, const struct device *device) {
  const int64_t until_ms = control_muted_until_ms(&lane->control, device->platform);
  const int64_t from_ms = lane_expected_from_ms(device);
  return until_ms > from_ms ? until_ms : from_ms;
}

/* Of a device whose check-ins are expected. What befalls the tenant is not its fault: meanwhile
 * nothing is due, and from its end on the device has its time once more. */
static void offer_overdue(struct next_timer *next, const struct lane *lane,
                          const struct policy *policy, const struct device *device) {
  const struct policy_plan *plan = &policy->overdue;
  if (control_is_muted(&lane->control, device->platform)) {
    return;
  }
  const int64_t since_ms = lane_overdue_from_ms(lane, device);
  if (device->overdue_stage == 0) {
    offer(next, TIMER_KIND_OVERDUE, since_ms + policy->overdue_after_ms);
  } else if (device->overdue_stage <= plan->count) {
    offer(next, TIMER_KIND_OVERDUE, since_ms + plan->stages[device->overdue_stage - 1].after_ms);
  }
  if (device->overdue_mail_held > 0) {
    offer(next, TIMER_KIND_OVERDUE_MAIL,
          policy_mail_at(policy, since_ms + plan->stages[device->overdue_mail_held - 1].after_ms));
  }
}

/* Of a wipe that waits for a check-in. */
static void offer_wipe(struct next_timer *next, const struct lane *lane, uint32_t index,
                       const struct device *device) {
  const bool is_gone = device->status == DEVICE_WIPED || device->status == DEVICE_RETIRED;
  if (device->wipe == WIPE_ARMED && !is_gone) {
    offer(next, TIMER_KIND_WIPE_OVERDUE, lane_wipe(lane, index)->armed_at_ms + WIPE_OVERDUE_MS);
  }
}

enum timer_kind lane_next_timer_under(const struct lane *lane, const struct policy *policy,
                                      uint32_t index, const struct device *device,
                                      int64_t *due_at_ms) {
  struct next_timer next = {.kind = TIMER_KIND_NONE, .due_at_ms = TIME_NONE};
  if (device->status == DEVICE_PENDING) {
    offer(&next, TIMER_KIND_FAIL, device->pending_since_ms + PENDING_MAX_MS);
  }
  if (device->compliance == COMPLIANCE_NONCOMPLIANT || device->clean_since_ms != 0) {
    offer_episode(&next, policy, device);
  }
  if (policy->overdue_after_ms > 0 && device->status == DEVICE_ENROLLED) {
    offer_overdue(&next, lane, policy, device);
  }
  if (device->wipe != WIPE_NONE) {
    offer_wipe(&next, lane, index, device);
  }
  *due_at_ms = next.due_at_ms;
  return next.kind;
}

enum timer_kind lane_next_timer(const struct lane *lane, uint32_t index,
                                const struct device *device, int64_t *due_at_ms) {
  return lane_next_timer_under(lane, lane_policy_of(lane, index), index, device, due_at_ms);
}

void lane_schedule(struct lane *lane, uint32_t index) {
  int64_t due_at_ms;
  lane_next_timer(lane, index, &lane->devices[index], &due_at_ms);
  timers_set(&lane->timers, &lane->memory, lane->devices, index, due_at_ms);
}

static int64_t scheduled_at_ms(const struct lane *lane, uint32_t index) {
  const uint32_t timer = lane->devices[index].timer;
  return timer == TIMER_NONE ? TIME_NONE : lane->timers.heap[timer].due_at_ms;
}

void lane_reschedule(struct lane *lane, const struct cause *cause) {
  for (uint32_t index = 0; index < lane->device_count; index++) {
    const int64_t before_ms = scheduled_at_ms(lane, index);
    lane_schedule(lane, index);
    if (scheduled_at_ms(lane, index) != before_ms) {
      lane_touch(lane, index, false, cause);
    }
  }
}
