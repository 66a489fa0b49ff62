/* The processor: the group's member, the lanes it was given, HTTP, signals; on one loop. */
#ifndef MUSTER_APP_PROCESSOR_H
#define MUSTER_APP_PROCESSOR_H

#include "core/app/config.h"
#include "core/app/lane_task.h"

struct processor_summary {
  struct lane_totals totals;
  double seconds; /* from the first lane being loaded to everything published */
};

/* Runs until SIGTERM or SIGINT, until everything is caught up when that is asked for, or until
 * nothing can go on. STATUS_OK: stopped in good order. */
enum status processor_run(const struct config *config, bool until_caught_up,
                          struct processor_summary *summary, struct error *error) MUST_USE;

#endif
