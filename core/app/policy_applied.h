/* Policies by name, those that came into force included: their files stand in the database. */
#ifndef MUSTER_APP_POLICY_APPLIED_H
#define MUSTER_APP_POLICY_APPLIED_H

#include "core/app/config.h"
#include "core/policy.h"

/* As policy_load; what is neither a file nor part of the program, and may be a version, is looked
 * for in the database. STATUS_REFUSED: it was never in force either. */
enum status policy_find(const struct config *config, const char *name, struct policy *policy,
                        struct error *error) MUST_USE;

#endif
