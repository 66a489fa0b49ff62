/* The policies that are part of the binary: the files of policies/. */
#ifndef MUSTER_APP_POLICY_SHIPPED_H
#define MUSTER_APP_POLICY_SHIPPED_H

#include "core/policy.h"

/* Version `default` of the public contract, compiled once; lives as long as the process. */
const struct policy *policy_default(void);

/* The file of the shipped policy of that version; no data when there is none. */
struct span policy_shipped_text(const char *version);

#endif
