#include "core/app/lane_step.h"

#include "core/app/policy_shipped.h"
#include "core/gap.h"

/* Whoever is named has a row before anything of theirs has: the user first, then the actor. */
static void know_persons(const struct lane_step *step, struct carrier *carrier,
                         const struct intake *intake) {
  for (enum person_field field = 0; field < PERSON_FIELD_COUNT; field++) {
    struct span email;
    const struct named_person *const person = intake_person(intake, field, &email);
    bool is_new = false;
    if (person != NULL) {
      lane_state_person(step->state, person->subject, email, &is_new);
    }
    if (is_new && carrier != NULL) {
      store_append_person(&carrier->persons, person->subject, email);
    }
  }
}

/* What a message changed beside the devices is kept with its batch. */
static void keep_control(const struct lane *lane, struct carrier *carrier,
                         const struct intake *intake) {
  struct store_control control = {.batch = carrier->batch,
                                  .at_ms = lane->clock_ms,
                                  .cause = intake->message.cause,
                                  .event = intake->event};
  control.cause.has_event_id = true;
  memcpy(control.cause.event_id, intake->event.event_id, EVENT_ID_SIZE);
  struct policy_change *policy = &control.event.policy;
  if (control.event.kind == EVENT_POLICY && policy->text.size == 0) {
    policy->text = policy_shipped_text(lane->policy->version);
  }
  store_append_control(&carrier->control, lane->number, &control, policy_rule_names(lane->policy));
}

void lane_step_message(const struct lane_step *step, struct carrier *carrier,
                       const struct sink *sink, enum topic topic) {
  struct intake *intake = &step->intakes[topic];
  struct lane *lane = &step->state->lane;
  batch_take(step->batch, lane, step->heads, topic);
  if (carrier != NULL) {
    digest_update(carrier->inputs_digest, buffer_span(&intake->canonical));
  }
  const struct buffer last = step->batch_last[topic];
  step->batch_last[topic] = intake->canonical;
  intake->canonical = last;
  if (!intake->is_event) {
    decide_reject(lane, &intake->reject, &intake->message, sink);
  } else {
    know_persons(step, carrier, intake);
    step->batch->tells_state = intake->event.kind == EVENT_STATE &&
                               control_may(&lane->control, &intake->event.actor, ROLE_OPERATOR);
    const uint64_t change_count = lane->control.change_count;
    decide_event(lane, &intake->event, &intake->message, sink);
    if (lane->control.change_count != change_count && carrier != NULL) {
      keep_control(lane, carrier, intake);
    }
  }
  intake_pop(intake);
}

void lane_step_timer(const struct lane_step *step, const struct sink *sink) {
  batch_note_timer(step->batch, step->heads, decide_timer(&step->state->lane, sink));
}

void lane_step_sweep(const struct lane_step *step, const struct sink *sink) {
  sweep_step(&step->state->lane, sink);
  batch_note_sweep(step->batch);
}

void lane_step_gap(const struct lane_step *step, struct journal_gap *gap, const struct sink *sink) {
  gap_decide(&step->state->lane, step->batch, gap, sink);
  if (gap->is_accepted) {
    struct intake *intake = &step->intakes[gap->topic];
    intake->next_offset = gap->to;
    intake->has_anchor = false;
    intake->head->state = HEAD_WAITING;
  }
}

bool lane_step_sweep_is_cut(const struct lane_step *step, const struct journal_row *row) {
  const struct sweep_cursor cursor = sweep_cursor(&step->state->lane);
  return row->sweep.is_set && row->sweep.device_number == cursor.device_number;
}

void lane_step_believe(struct head heads[TOPIC_COUNT], const struct journal_row *row) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    struct head *head = &heads[topic];
    /* No wall clock has ever been there; whoever put such a stamp into the log did it later. */
    head->is_believed = head->timestamp_ms >= 0 && head->timestamp_ms <= EVENT_TIME_MAX_MS;
    for (size_t i = 0; i < row->not_believed_count; i++) {
      if (row->not_believed[i].topic == topic && row->not_believed[i].offset == head->offset) {
        head->is_believed = false;
      }
    }
  }
}

static bool cursor_equal(const struct timer_cursor *a, const struct timer_cursor *b) {
  return a->is_set == b->is_set && a->due_at_ms == b->due_at_ms &&
         a->device_number == b->device_number && a->kind == b->kind;
}

bool lane_step_has_timer(const struct lane_step *step, const struct journal_row *row) {
  return !cursor_equal(&step->batch->timer, &row->timer) &&
         timers_first(&step->state->lane.timers) != NULL &&
         step->batch->timer_count < row->timer_count;
}
