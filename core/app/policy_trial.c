#include "core/app/policy_trial.h"

#include "core/app/lane_state.h"
#include "core/app/text.h"
#include "core/app/yaml_tree.h"
#include "core/decide.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
  struct lane lane;
  const struct trial *trial;
  struct trial_lines *lines;
  violation_set *fired;
};

void trial_lines_fini(struct trial_lines *lines) {
  for (size_t i = 0; i < lines->count; i++) {
    free(lines->items[i]);
  }
  free(lines->items);
  *lines = (struct trial_lines){0};
}

static void put_violations(FILE *out, const struct policy *policy, violation_set violations) {
  const char *separator = " [";
  for (uint32_t rule = 0; rule < policy->rule_count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      fprintf(out, "%s%s", separator, policy->rule_ids[rule]);
      separator = ", ";
    }
  }
  fputs(violations == 0 ? "" : "]", out);
}

static void put_ticket(FILE *out, const struct policy *policy, const struct result *result) {
  static const char *const actions[TICKET_ACTION_COUNT] = {
      [TICKET_OPEN] = "open", [TICKET_UPDATE] = "update", [TICKET_RESOLVE] = "resolve"};
  fprintf(out, "ticket %s", actions[result->ticket.action]);
  put_violations(out, policy, result->ticket.violations);
}

/* "push_profile", "wipe selective". */
static void put_action(FILE *out, const struct result *result) {
  for (const char *at = action_kind_name(result->action.action); *at != '\0'; at++) {
    fputc(*at == '_' ? '_' : *at + ('a' - 'A'), out);
  }
  fputs(result->action.is_selective ? " selective" : "", out);
}

/* False when the result is none that a test tells. */
static bool put_result(FILE *out, const struct policy *policy, const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    fputs(compliance_name(result->change.compliance), out);
    put_violations(out, policy, result->change.violations);
    return true;
  case RESULT_NOTIFICATION:
    fprintf(out, "notify %s", result->notification.template_name);
    return true;
  case RESULT_ACCESS_DECISION:
    fprintf(out, "%s %s", result->access.decision == ACCESS_BLOCK ? "block" : "allow",
            result->access.resource);
    return true;
  case RESULT_TICKET:
    put_ticket(out, policy, result);
    return true;
  case RESULT_DEAD_LETTER:
    fprintf(out, "dead letter %s", reject_code_name(result->dead_letter.reject.code));
    return true;
  case RESULT_ACTION:
    put_action(out, result);
    return true;
  case RESULT_LICENSE:
  case RESULT_AUDIT:
  case RESULT_KIND_COUNT:
    break;
  }
  return false;
}

static void take(void *context, const struct result *result) {
  struct run *run = context;
  char *text = NULL;
  size_t size = 0;
  FILE *out = text_stream(&text, &size);
  char at[DURATION_TEXT_SIZE];
  fprintf(out, "%s %.*s%s", duration_format(result->at_ms - run->trial->start_at_ms, at),
          (int)result->serial.size, (const char *)result->serial.data,
          result->serial.size > 0 ? " " : "");
  const bool is_told = put_result(out, run->lane.policy, result);
  text_stream_end(out, &text);
  if (result->kind == RESULT_COMPLIANCE_CHANGE) {
    *run->fired |= result->change.violations;
  }
  if (!is_told) {
    free(text);
    return;
  }
  struct trial_lines *lines = run->lines;
  lines->items = memory_grown(lines->items, lines->count + 1, sizeof lines->items[0]);
  lines->items[lines->count++] = text;
}

/* Timers due at or before an instant fire before a message of that instant. */
static void fire_until(struct run *run, int64_t at_ms, const struct sink *sink) {
  for (const struct timer *first = timers_first(&run->lane.timers);
       first != NULL && first->due_at_ms <= at_ms; first = timers_first(&run->lane.timers)) {
    decide_timer(&run->lane, sink);
    lane_end_batch(&run->lane);
    lane_clear_touches(&run->lane);
  }
}

static enum topic topic_of(const struct event *event) {
  switch (event->kind) {
  case EVENT_ENROLLMENT:
    return TOPIC_ENROLLMENTS;
  case EVENT_CHECKIN:
    return TOPIC_CHECKINS;
  case EVENT_REPORT:
    return TOPIC_REPORTS;
  case EVENT_COMMAND:
    return TOPIC_COMMANDS;
  case EVENT_POLICY:
  case EVENT_ROLE:
  case EVENT_TENANT:
  case EVENT_PROFILE_REVISION:
  case EVENT_GROUP:
  case EVENT_STATE:
    return TOPIC_CONTROL;
  }
  assert(false);
  return TOPIC_COUNT;
}

void trial_run(const struct trial *trial, const struct policy *policy, struct trial_lines *lines,
               violation_set *fired) {
  struct run run = {.trial = trial, .lines = lines, .fired = fired};
  const struct sink sink = {.context = &run, .take = take};
  lane_init(&run.lane, 0, 1, policy, &heap_memory);
  decide_clock(&run.lane, trial->start_at_ms);
  for (size_t i = 0; i < trial->event_count; i++) {
    const struct trial_event *at = &trial->events[i];
    const struct message message = {.cause = {.topic = topic_of(&at->event), .offset = (int64_t)i}};
    fire_until(&run, trial->start_at_ms + at->at_ms, &sink);
    decide_clock(&run.lane, trial->start_at_ms + at->at_ms);
    decide_event(&run.lane, &at->event, &message, &sink);
    lane_end_batch(&run.lane);
    lane_clear_touches(&run.lane);
  }
  fire_until(&run, trial->start_at_ms + trial->until_ms, &sink);
  lane_fini(&run.lane);
}
