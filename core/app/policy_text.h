/* A policy as lines of key and value: what is shown, compared and hashed.
 *
 * The lines follow from what the policy means: comments, layout, the order of keys and the writing
 * of durations have no part in them. */
#ifndef MUSTER_APP_POLICY_TEXT_H
#define MUSTER_APP_POLICY_TEXT_H

#include "core/app/digest.h"
#include "core/policy.h"

#include <stdio.h>

struct policy_line {
  char *key;   /* "rules.antivirus.require" */
  char *value; /* on one line */
};

struct policy_lines {
  struct policy_line *items;
  size_t count;
};

/* Every line of the policy, its version first. The caller frees with policy_lines_fini. */
void policy_lines_init(struct policy_lines *lines, const struct policy *policy);
void policy_lines_fini(struct policy_lines *lines);

/* What a rule requires, as its file has it, on one line. The caller frees it. */
char *policy_requirement(const struct policy *policy, const struct policy_rule *rule);

/* Writes what a comparison compares with, as its file has it. */
void policy_put_operand(FILE *out, const struct policy *policy, const struct policy_node *node);

/* Names by number, for whoever goes through all of them. */
const char *choice_platform(uint32_t platform);
const char *choice_profile(uint32_t profile);
const char *choice_ownership(uint32_t ownership);

/* SHA-256 over "key\tvalue\n" of all lines. */
void policy_hash(const struct policy *policy, uint8_t hash[DIGEST_SIZE]);

#endif
