#include "core/gap.h"

#include "core/emit.h"

#include <stdio.h>

enum { REASON_SIZE = 192 + NOTE_SIZE_MAX, TARGET_SIZE = 64 };

/* What is lost, or where the lane goes on instead; then why, in the operator's words. */
static void explain(const struct journal_gap *gap, const char *target, char text[REASON_SIZE]) {
  if (!gap->is_accepted) {
    snprintf(text, REASON_SIZE, "gaps are an ADMIN's to accept");
  } else if (gap->to > gap->from) {
    snprintf(text, REASON_SIZE, "offsets %lld to %lld of %s are accepted as lost: %s",
             (long long)gap->from, (long long)gap->to - 1, target, gap->reason);
  } else if (gap->to == gap->from) {
    snprintf(text, REASON_SIZE,
             "%s goes on at offset %lld, though what stands before is not what was read: %s",
             target, (long long)gap->to, gap->reason);
  } else {
    snprintf(text, REASON_SIZE, "%s goes on at offset %lld, though it was read up to %lld: %s",
             target, (long long)gap->to, (long long)gap->from - 1, gap->reason);
  }
}

void gap_decide(struct lane *lane, struct batch *batch, struct journal_gap *gap,
                const struct sink *sink) {
  const struct named_person nobody = {0};
  struct named_person actor = {.email = span_of(gap->actor, SUBJECT_SIZE)}; /* somebody is named */
  memcpy(actor.subject, gap->actor, SUBJECT_SIZE);
  const struct named_person *asker = gap->has_actor ? &actor : &nobody;
  gap->is_accepted = control_may(&lane->control, asker, ROLE_ADMIN);
  batch_note_gap(batch, gap);

  struct cause cause = {.offset = -1, .has_event_id = true};
  memcpy(cause.event_id, gap->event_id, EVENT_ID_SIZE);
  const struct step step = {.lane = lane, .cause = cause, .sink = sink};
  char name[ACTOR_SIZE];
  char target[TARGET_SIZE];
  char reason[REASON_SIZE];
  snprintf(target, sizeof target, "%s/%u", topic_name(gap->topic),
           gap->topic == TOPIC_CONTROL ? 0 : lane->number);
  explain(gap, target, reason);
  struct result result = emit_result(&step, RESULT_AUDIT);
  result.audit.actor = emit_asker(asker, name);
  result.audit.action = AUDIT_MANAGE;
  result.audit.target = span_text(target);
  result.audit.outcome = gap->is_accepted ? OUTCOME_OK : OUTCOME_REFUSED;
  result.audit.reason = reason;
  emit_send(&step, &result);
}
