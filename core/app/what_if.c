#include "core/app/what_if.h"

#include "core/app/policy_text.h"
#include "core/app/text.h"
#include "core/decide.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_SIZE = 256, VIOLATIONS_SIZE = VIOLATIONS_MAX * POLICY_NAME_SIZE };

/* What the step under way says of a device, before the lane shows it. */
struct told {
  uint64_t device_number; /* 0: nothing yet */
  violation_set violations;
  int64_t since_ms;
};

struct what_if {
  struct differences *differences;
  const struct lane *then; /* the replay's */
  struct lane *lane;       /* under the other policy */
  struct lane own;         /* which is that one, unless a snapshot was begun with */
  struct lane_state *copy; /* of the snapshot's state; NULL: none */
  struct told told[HISTORY_COUNT];
  const struct policy *policy; /* the other one */
  int64_t from_ms;             /* it comes into force then; TIME_NONE: from the beginning */
  bool is_switched;
  bool is_batch_new; /* none of its steps was taken yet */
  bool is_policy;    /* the step is a policy's message, which the other history does not have */
};

/* A result as a decision. ---------------------------------------------------------------- */

static struct span what_of(const struct result *result, char text[TEXT_SIZE]) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    return span_text(compliance_name(result->change.compliance));
  case RESULT_NOTIFICATION:
    return span_text(result->notification.template_name);
  case RESULT_ACCESS_DECISION:
    snprintf(text, TEXT_SIZE, "%s %s", access_decision_name(result->access.decision),
             result->access.resource);
    return span_text(text);
  case RESULT_TICKET:
    return span_text(ticket_action_name(result->ticket.action));
  case RESULT_LICENSE:
    return span_text(license_action_name(result->license.action));
  case RESULT_AUDIT:
    snprintf(text, TEXT_SIZE, "%s %s", audit_action_name(result->audit.action),
             outcome_name(result->audit.outcome));
    return span_text(text);
  case RESULT_DEAD_LETTER:
    return span_text(reject_code_name(result->dead_letter.reject.code));
  case RESULT_ACTION:
    return span_text(action_kind_name(result->action.action));
  case RESULT_KIND_COUNT:
    break;
  }
  return (struct span){0};
}

static int compare_ids(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of their texts: two policies may have the same rules in another order. */
static struct span violations_of(const struct policy *policy, violation_set violations,
                                 char text[VIOLATIONS_SIZE]) {
  const char *ids[VIOLATIONS_MAX];
  size_t count = 0;
  size_t used = 0;
  for (uint32_t rule = 0; rule < policy->rule_count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      ids[count++] = policy->rule_ids[rule];
    }
  }
  if (count > 1) {
    qsort(ids, count, sizeof *ids, compare_ids);
  }
  for (size_t i = 0; i < count; i++) {
    used += (size_t)snprintf(text + used, VIOLATIONS_SIZE - used, "%s\n", ids[i]);
  }
  return span_of(text, used);
}

/* When the trouble began that a result is about. */
static int64_t since_of(const struct device *device, const struct result *result) {
  if (device->noncompliant_since_ms != TIME_NONE) {
    return device->noncompliant_since_ms;
  }
  if (device->status == DEVICE_PENDING && device->pending_since_ms != TIME_NONE) {
    return device->pending_since_ms;
  }
  if (result->cause.offset < 0 && device->last_sync_at_ms != TIME_NONE) {
    return device->last_sync_at_ms; /* syncs are overdue */
  }
  return result->at_ms;
}

/* Results come before the lane shows what the step has changed: a change tells it. */
static void look_at_device(struct told *told, const struct lane *lane,
                           const struct result *result) {
  if (told->device_number != result->device_number) {
    const uint32_t index = (uint32_t)((result->device_number - lane->number - 1) / lane->count);
    const struct device *device = &lane->devices[index];
    assert(index < lane->device_count);
    *told = (struct told){.device_number = result->device_number,
                          .violations = device->violations,
                          .since_ms = since_of(device, result)};
  }
  if (result->kind == RESULT_COMPLIANCE_CHANGE) {
    told->violations = result->change.violations;
    if (result->change.compliance == COMPLIANCE_NONCOMPLIANT) {
      told->since_ms = result->change.noncompliant_since_ms;
    }
  } else if (result->kind == RESULT_TICKET) {
    told->violations = result->ticket.violations;
  }
}

static void note(struct what_if *what_if, enum history history, const struct result *result) {
  const struct lane *lane = history == HISTORY_THEN ? what_if->then : what_if->lane;
  struct told *told = &what_if->told[history];
  char text[TEXT_SIZE];
  char violations[VIOLATIONS_SIZE];
  struct decision decision = {
      .kind = result->kind,
      .what = what_of(result, text),
      .at_ms = result->at_ms,
      .since_ms = result->at_ms,
      .device_number = result->device_number,
      .serial = result->serial,
  };
  if (result->device_number > 0) {
    look_at_device(told, lane, result);
    decision.since_ms = told->since_ms;
    decision.violations = violations_of(lane->policy, told->violations, violations);
  }
  differences_note(what_if->differences, history, &decision);
}

static void take_then(void *context, const struct result *result) {
  const struct what_if *what_if = context;
  if (!what_if->is_policy) {
    note(context, HISTORY_THEN, result);
  }
}

static void take_what_if(void *context, const struct result *result) {
  note(context, HISTORY_WHAT_IF, result);
}

/* The steps, a second time. --------------------------------------------------------------- */

static bool is_before(const struct timer_cursor *a, const struct timer_cursor *b) {
  if (a->due_at_ms != b->due_at_ms) {
    return a->due_at_ms < b->due_at_ms;
  }
  return a->device_number != b->device_number ? a->device_number < b->device_number
                                              : a->kind <= b->kind;
}

static bool next_timer(const struct lane *lane, struct timer_cursor *cursor) {
  const struct timer *first = timers_first(&lane->timers);
  if (first == NULL) {
    return false;
  }
  cursor->is_set = true;
  cursor->kind =
      lane_next_timer(lane, first->device, &lane->devices[first->device], &cursor->due_at_ms);
  cursor->device_number = lane_device_number(lane, first->device);
  return true;
}

/* Fires what comes up to that place among the timers; the clock goes where the log's has gone. */
static void advance(struct what_if *what_if, const struct timer_cursor *to, int64_t clock_ms) {
  const struct sink sink = {.context = what_if, .take = take_what_if};
  struct timer_cursor next;
  while (next_timer(what_if->lane, &next) && is_before(&next, to)) {
    decide_timer(what_if->lane, &sink);
    what_if->told[HISTORY_WHAT_IF].device_number = 0;
  }
  decide_clock(what_if->lane, clock_ms);
}

static void advance_to_time(struct what_if *what_if, int64_t at_ms) {
  const struct timer_cursor end = {
      .due_at_ms = at_ms, .device_number = UINT64_MAX, .kind = UINT32_MAX};
  advance(what_if, &end, at_ms);
}

/* The other policy comes into force, unless it means what is in force: then nothing is looked at
 * anew, as nothing was. */
static void switch_policy(struct what_if *what_if) {
  static const struct cause none = {.offset = -1};
  const struct sink sink = {.context = what_if, .take = take_what_if};
  struct lane *lane = what_if->lane;
  uint8_t in_force[DIGEST_SIZE];
  uint8_t other[DIGEST_SIZE];
  what_if->is_switched = true;
  advance_to_time(what_if, what_if->from_ms - 1);
  decide_clock(lane, what_if->from_ms);
  policy_hash(lane->policy, in_force);
  policy_hash(what_if->policy, other);
  if (memcmp(in_force, other, DIGEST_SIZE) == 0) {
    return;
  }
  sweep_begin_policy(lane, what_if->policy, &none);
  while (sweep_is_open(lane)) {
    what_if->told[HISTORY_WHAT_IF].device_number = 0;
    sweep_step(lane, &sink);
  }
  what_if->told[HISTORY_WHAT_IF].device_number = 0;
}

/* Admins by the configuration are those of the batch's environment. */
static void take_bootstrap(struct what_if *what_if) {
  const struct control *then = &what_if->then->control;
  uint8_t *subjects = memory_zeroed((size_t)then->holder_count + 1, SUBJECT_SIZE);
  uint32_t count = 0;
  for (uint32_t i = 0; i < then->holder_count; i++) {
    if (then->holders[i].is_bootstrap) {
      memcpy(subjects + (size_t)count++ * SUBJECT_SIZE, then->holders[i].subject, SUBJECT_SIZE);
    }
  }
  control_set_bootstrap(&what_if->lane->control, &what_if->lane->memory, subjects, count);
  free(subjects);
  what_if->is_batch_new = false;
}

/* Before a step at that time. */
static void reach(struct what_if *what_if, int64_t at_ms) {
  if (what_if->is_batch_new) {
    take_bootstrap(what_if);
  }
  if (!what_if->is_switched && at_ms >= what_if->from_ms) {
    switch_policy(what_if);
  }
}

static void step_message(void *context, const struct intake *intake) {
  struct what_if *what_if = context;
  const struct head *head = intake->head;
  const struct sink sink = {.context = what_if, .take = take_what_if};
  int64_t at_ms = what_if->then->clock_ms;
  if (head->is_believed && head->timestamp_ms > at_ms) {
    at_ms = head->timestamp_ms;
  }
  reach(what_if, at_ms);
  advance_to_time(what_if, at_ms);
  what_if->is_policy =
      what_if->is_switched && intake->is_event && intake->event.kind == EVENT_POLICY;
  if (what_if->is_policy) {
    return; /* what came into force then does not here: the other policy stays */
  }
  if (intake->is_event) {
    decide_event(what_if->lane, &intake->event, &intake->message, &sink);
  } else {
    decide_reject(what_if->lane, &intake->reject, &intake->message, &sink);
  }
}

static void step_timer(void *context, const struct timer *timer) {
  struct what_if *what_if = context;
  struct timer_cursor cursor;
  const bool has_timer = next_timer(what_if->then, &cursor);
  assert(has_timer);
  const int64_t clock_ms = what_if->then->clock_ms;
  reach(what_if, timer->due_at_ms > clock_ms ? timer->due_at_ms : clock_ms);
  advance(what_if, &cursor, timer->due_at_ms > clock_ms ? timer->due_at_ms : clock_ms);
}

/* A device's turn in a sweep; one that a policy set going is the other history's alone. */
static void step_sweep(void *context, const struct sweep *sweep) {
  struct what_if *what_if = context;
  const struct sink sink = {.context = what_if, .take = take_what_if};
  (void)sweep;
  if (sweep_is_open(what_if->lane)) {
    sweep_step(what_if->lane, &sink);
  }
}

static void end_step(void *context) {
  struct what_if *what_if = context;
  what_if->is_policy = false;
  for (size_t history = 0; history < HISTORY_COUNT; history++) {
    what_if->told[history].device_number = 0;
  }
  differences_settle(what_if->differences);
}

/* A lane. --------------------------------------------------------------------------------- */

static enum status replay_batches(struct what_if *what_if, struct replay_lane *lane,
                                  const struct what_if_options *options,
                                  struct what_if_result *result) {
  const struct recorded_batch *batch = NULL;
  enum status status;
  do {
    status = replay_lane_next(lane, &batch, &result->error);
    what_if->is_batch_new = true;
    lane_end_batch(what_if->lane);
    lane_clear_touches(what_if->lane);
    if (status == STATUS_OK && batch != NULL) {
      what_if->lane->batch = batch->row.batch + 1;
      result->batches++;
      result->messages += batch->row.message_count;
    }
  } while (status == STATUS_OK && batch != NULL);
  if (status == STATUS_OK && replay_lane_has_reached(lane)) {
    /* The log goes on behind that time: what was due until then has happened. */
    reach(what_if, options->to_ms - 1);
    advance_to_time(what_if, options->to_ms - 1);
    end_step(what_if);
  }
  return status;
}

/* Where the replay begins at a snapshot, the other lane does, too. */
static void open_other(struct what_if *what_if, const struct what_if_options *options,
                       struct replay_lane *lane) {
  if (replay_lane_began_after(lane) > 0) {
    what_if->copy = replay_lane_copy(lane);
    what_if->lane = &what_if->copy->lane;
    return;
  }
  lane_init(&what_if->own, options->lane, options->lane_count,
            what_if->is_switched ? options->policy : what_if->then->policy, &heap_memory);
  what_if->lane = &what_if->own;
}

static void close_other(struct what_if *what_if) {
  if (what_if->copy == NULL) {
    lane_fini(&what_if->own);
  }
  lane_state_close(what_if->copy);
}

void what_if_lane(const struct what_if_options *options, struct what_if_result *result) {
  struct what_if what_if = {.policy = options->policy,
                            .from_ms = options->from_ms,
                            .is_batch_new = true,
                            .is_switched = options->from_ms == TIME_NONE};
  const struct replay_lane_options replaying = {
      .config = options->config,
      .schemas = options->schemas,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .subject_key = options->subject_key,
      .watch = {.context = &what_if,
                .message = step_message,
                .timer = step_timer,
                .sweep = step_sweep,
                .result = take_then,
                .stepped = end_step},
      .until_ms = options->to_ms == TIME_NONE ? TIME_NONE : options->to_ms - 1,
      .uses_snapshots = options->from_ms != TIME_NONE,
      .begin_by_ms = options->from_ms == TIME_NONE ? 0 : options->from_ms - 1,
  };
  struct replay_lane *lane;
  *result = (struct what_if_result){.status = STATUS_OK};
  result->status = replay_lane_open(&replaying, &lane, &result->error);
  if (result->status != STATUS_OK) {
    return;
  }
  what_if.differences = differences_open(options->from_ms, options->to_ms);
  what_if.then = &replay_state(replay_lane_replay(lane))->lane;
  open_other(&what_if, options, lane);
  result->began_after = replay_lane_began_after(lane);
  result->status = replay_batches(&what_if, lane, options, result);
  if (result->status == STATUS_OK) {
    differences_conclude(what_if.differences);
    result->differences = what_if.differences;
  } else {
    differences_close(what_if.differences);
  }
  close_other(&what_if);
  replay_lane_close(lane);
}
