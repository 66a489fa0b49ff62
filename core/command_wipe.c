/* A wipe is asked for, agreed to, and waits for the device's next check-in. */
#include "core/command_internal.h"
#include "core/lifecycle.h"

static bool is_pending(const struct device *device) {
  return device->wipe != WIPE_NONE && device->wipe != WIPE_OVER;
}

/* Whether one more would be too many: what was asked for within the window, whatever became of it.
 */
static bool is_over_limit(const struct lane *lane) {
  const struct policy_commands *commands = &lane->policy->commands;
  uint32_t count = 0;
  if (commands->wipe_limit == 0) {
    return false;
  }
  for (uint32_t i = 0; i < lane->wipes.count; i++) {
    count += lane->clock_ms - lane->wipes.items[i].asked_at_ms < commands->wipe_limit_per_ms;
  }
  return count >= commands->wipe_limit;
}

static bool is_said_right(struct asked *asked) {
  const struct device_command *command = &asked->event->command;
  if (!command->has_wipe_reason) {
    return asked_refuse(asked, "WIPE without a reason: lost, stolen, terminated or breach");
  }
  if (!command->has_confirm || !span_equal(command->confirm, asked->event->serial)) {
    return asked_refuse(asked, "WIPE is not confirmed: the serial is not said once more");
  }
  return true;
}

/* Arms the wipe when enough have agreed. Returns how many are missing. */
static uint32_t arm(struct asked *asked, struct wipe *wipe) {
  const struct lane *lane = asked->step->lane;
  const uint32_t needed = lane->policy->commands.wipe_approvals;
  if (wipe->approver_count < needed) {
    asked->device->wipe = WIPE_UNAPPROVED;
    return needed - wipe->approver_count;
  }
  asked->device->wipe = WIPE_ARMED;
  wipe->armed_at_ms = lane->clock_ms;
  return 0;
}

static bool tell_missing(struct asked *asked, const char *what, const char *why, uint32_t missing) {
  if (missing == 0) {
    return asked_done(asked, "%s: %s", what, why);
  }
  return asked_done(asked, "%s: %s; waits for %u more ADMIN%s to approve", what, why, missing,
                    missing == 1 ? "" : "s");
}

bool command_wipe(struct asked *asked) {
  struct lane *lane = asked->step->lane;
  const struct event *event = asked->event;
  if (!is_said_right(asked)) {
    return false;
  }
  if (is_pending(asked->device)) {
    return asked_refuse(asked, "a wipe is pending already");
  }
  if (is_over_limit(lane)) {
    return asked_refuse(asked, "too many wipes: the policy allows %u in %lld min in a lane",
                        lane->policy->commands.wipe_limit,
                        (long long)(lane->policy->commands.wipe_limit_per_ms / 60000));
  }
  struct wipe *wipe = lane_new_wipe(lane, asked->index);
  wipe->reason = event->command.wipe_reason;
  wipe->asked_at_ms = lane->clock_ms;
  memcpy(wipe->asker, event->actor.subject, SUBJECT_SIZE);
  return tell_missing(asked, "wipe asked", lifecycle_wipe_reason(wipe->reason), arm(asked, wipe));
}

/* The asker does not count, and nobody counts twice. */
static bool has_agreed(const struct wipe *wipe, const uint8_t subject[SUBJECT_SIZE]) {
  bool is_known = memcmp(wipe->asker, subject, SUBJECT_SIZE) == 0;
  for (uint32_t i = 0; i < wipe->approver_count; i++) {
    is_known = is_known || memcmp(wipe->approvers[i], subject, SUBJECT_SIZE) == 0;
  }
  return is_known;
}

bool command_approve_wipe(struct asked *asked) {
  const uint8_t *subject = asked->event->actor.subject;
  if (asked->device->wipe != WIPE_UNAPPROVED) {
    return asked_refuse(asked, "no wipe waits for an approval");
  }
  struct wipe *wipe = lane_wipe(asked->step->lane, asked->index);
  if (has_agreed(wipe, subject)) {
    return asked_refuse(asked, "another ADMIN has to approve");
  }
  assert(wipe->approver_count < WIPE_APPROVALS_MAX);
  memcpy(wipe->approvers[wipe->approver_count++], subject, SUBJECT_SIZE);
  return tell_missing(asked, "wipe approved", lifecycle_wipe_reason(wipe->reason),
                      arm(asked, wipe));
}

bool command_withdraw_wipe(struct asked *asked) {
  if (!is_pending(asked->device)) {
    return asked_refuse(asked, "no wipe is pending");
  }
  asked->device->wipe = WIPE_OVER;
  return asked_done(asked, "wipe withdrawn");
}
