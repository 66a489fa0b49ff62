/* Gives a step's results to the sink: numbered, with what every result carries. */
#ifndef MUSTER_CORE_EMIT_H
#define MUSTER_CORE_EMIT_H

#include "core/lane.h"

/* What a step carries around: the lane, the cause of its results, and where these go. */
struct step {
  struct lane *lane;
  struct cause cause;
  const struct sink *sink;
};

/* What is to be said in an audit entry beside whom it concerns. */
struct audit {
  const char *actor;
  enum audit_action action;
  enum outcome outcome;
  const char *reason;
};

/* A person in an audit entry: the subject in hex, terminated. */
enum { ACTOR_SIZE = 2 * SUBJECT_SIZE + 1 };
void emit_actor(const uint8_t subject[SUBJECT_SIZE], char text[ACTOR_SIZE]);

/* Who asks for something: the subject in hex, written into `text`, or "operator" when nobody is
 * named: whoever may write to the topic. */
const char *emit_asker(const struct named_person *actor, char text[ACTOR_SIZE]);

/* A result about no device, yet without its kind's part. */
struct result emit_result(const struct step *step, enum result_kind kind);

/* Says which person the result concerns. */
void emit_name_person(const struct step *step, struct result *result, uint32_t person);

/* Gives the next number, and the result away. */
void emit_send(const struct step *step, struct result *result);

/* About devices[index], whose state is being changed to `device`. */
void emit_change(const struct step *step, uint32_t index, const struct device *device);
void emit_notification(const struct step *step, uint32_t index, const struct device *device,
                       const char *template_name);
void emit_access(const struct step *step, uint32_t index, const struct device *device,
                 enum resource resource, enum access_decision decision, const char *reason);
void emit_ticket(const struct step *step, uint32_t index, const struct device *device,
                 enum ticket_action action);
void emit_license(const struct step *step, uint32_t index, const struct device *device,
                  enum license_action action);
/* `parameter` names the value, or is NULL. A wipe of a personal device is selective, always. */
void emit_action(const struct step *step, uint32_t index, const struct device *device,
                 enum action_kind action, const char *parameter, struct span value);
void emit_audit(const struct step *step, uint32_t index, const struct device *device,
                const struct audit *audit);

#endif
