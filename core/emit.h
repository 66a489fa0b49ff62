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
void emit_audit(const struct step *step, uint32_t index, const struct device *device,
                const struct audit *audit);

#endif
