/* Policies by name: a file, or one of those that are part of the binary. */
#ifndef MUSTER_APP_POLICY_FILE_H
#define MUSTER_APP_POLICY_FILE_H

#include "core/app/policy_yaml.h"
#include "core/status.h"

/* The whole file; `*text` is the caller's to free. STATUS_USAGE when it cannot be read. */
enum status policy_file_read(const char *file, char **text, size_t *size,
                             struct error *error) MUST_USE;

/* Prints "FILE:LINE:COLUMN: what" for each finding on stdout. */
void findings_print(const char *file, const struct findings *findings);

/* Reads the file `name`, or when there is none the shipped policy of that version, into `policy`.
 * Findings are printed; then, and when there is no such policy, STATUS_REFUSED. */
enum status policy_load(const char *name, struct policy *policy, struct error *error) MUST_USE;

#endif
