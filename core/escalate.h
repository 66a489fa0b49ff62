/* What the policy's plans ask for, from the beginning of an episode of non-compliance to its end,
 * and of a device whose check-ins are missed. */
#ifndef MUSTER_CORE_ESCALATE_H
#define MUSTER_CORE_ESCALATE_H

#include "core/emit.h"

/* devices[index], whose state is being changed to `device`, has become non-compliant: an episode
 * begins, or the one goes on that a clean interval had not ended yet. */
void escalate_begin(const struct step *step, uint32_t index, struct device *device);

/* It has become compliant: the episode ends, or its clean interval begins. */
void escalate_recovered(const struct step *step, uint32_t index, struct device *device);

/* What the timer asks for: a stage of a plan, or what it left for later. */
void escalate_fire(const struct step *step, uint32_t index, struct device *device,
                   enum timer_kind kind);

/* The episode ends without a word: the device starts over. */
void escalate_end(struct device *device);

/* A check-in, or the end of the device's enrolment. */
void escalate_end_overdue(struct device *device);

/* Access is withdrawn from a device that goes out of service: mail, and what else the policy can
 * take away. */
void escalate_withdraw(const struct step *step, uint32_t index, struct device *device,
                       const char *reason);
/* Of an episode that another policy began: what the stages that count as gone through block is
 * blocked, and their ticket open. Nothing, of a device that is not non-compliant. */
void escalate_catch_up(const struct step *step, uint32_t index, struct device *device);

/* What is blocked and is not for the policy to block is given back. */
void escalate_give_back(const struct step *step, uint32_t index, struct device *device);

void escalate_resolve_ticket(const struct step *step, uint32_t index, struct device *device);

#endif
