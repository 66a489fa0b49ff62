/* A policy's file, read strictly: docs/policies.md is the language. */
#ifndef MUSTER_APP_POLICY_YAML_H
#define MUSTER_APP_POLICY_YAML_H

#include "core/app/yaml_tree.h"
#include "core/policy.h"

/* Reads and compiles. With no findings added the policy may be used; it must not be moved. Any
 * bytes may be given: size, nesting and counts are bounded. False when there are findings. */
bool policy_read(struct span text, struct policy *policy, struct findings *findings) MUST_USE;

#endif
