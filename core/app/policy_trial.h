/* Tests of a policy: events on a virtual clock, and what the core decides, as lines of text.
 *
 * "1h SN1 NONCOMPLIANT [not_encrypted]", "1h SN1 notify noncompliant", "25h SN1 block email",
 * "25h SN1 ticket open [not_encrypted]", "26h SN1 COMPLIANT": the time since the start, the serial,
 * and what is decided, in order. Licences and audit entries are left out. */
#ifndef MUSTER_APP_POLICY_TRIAL_H
#define MUSTER_APP_POLICY_TRIAL_H

#include "core/app/yaml_tree.h"
#include "core/policy.h"

struct trial_event {
  int64_t at_ms;      /* since the trial's start */
  struct event event; /* its views look into the tree */
};

struct trial_lines {
  char **items;
  size_t count;
};

struct trial {
  const char *name; /* in the tree */
  uint32_t line;
  int64_t start_at_ms;
  int64_t until_ms; /* since the start */
  struct trial_event *events;
  size_t event_count;
  struct trial_lines expected;
};

struct trials {
  struct tree *tree;
  const char *policy; /* a file beside this one, or a version; in the tree */
  struct trial *items;
  size_t count;
};

/* Reads a file of tests. False when there are findings. The caller frees with trials_fini in
 * either case. */
bool trials_read(struct span text, struct trials *trials, struct findings *findings) MUST_USE;
void trials_fini(struct trials *trials);

/* Runs one on a lane of its own. Adds what is decided to `lines`, which the caller frees with
 * trial_lines_fini, and the rules that were violated to `*fired`. */
void trial_run(const struct trial *trial, const struct policy *policy, struct trial_lines *lines,
               violation_set *fired);
void trial_lines_fini(struct trial_lines *lines);

#endif
