/* What was verified, for people: one HTML file without scripts or anything from elsewhere.
 *
 * A summary, the lanes, what differs, the policy in force, and of each device that is told about
 * a timeline. The same input gives the same bytes. */
#ifndef MUSTER_APP_REPORT_H
#define MUSTER_APP_REPORT_H

#include "core/app/evidence_story.h"
#include "core/app/verify.h"

#include <stdio.h>

struct report_lane {
  uint32_t number;
  const struct verify_result *result;
};

struct report_page {
  const char *topic_prefix;
  int64_t from_ms, to_ms; /* TIME_NONE: no bound */
  bool is_pseudonymised;
  const struct report_lane *lanes;
  size_t lane_count;
  const struct story *story; /* sorted */
};

/* Whether all was written is for the caller to see (ferror). */
void report_put(const struct report_page *report, FILE *file);

/* For report*.c. Text with what HTML would take for its own escaped; `RFC 3339` or a dash. */
void report_text(FILE *file, const char *text);
void report_time(FILE *file, int64_t at_ms);
void report_device(FILE *file, const struct report_page *report, const struct story_device *device);

#endif
