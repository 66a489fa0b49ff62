/* The fleet as it was at a time in the log, by replaying it from the beginning. */
#ifndef MUSTER_APP_DEVICE_AS_OF_H
#define MUSTER_APP_DEVICE_AS_OF_H

#include "core/app/device_columns.h"

/* Names in any case; NULL: any. */
struct device_filter {
  const char *user; /* lowered; "": nobody's */
  const char *status, *compliance, *platform, *profile, *ownership;
  bool is_blocked, is_overdue;
  int64_t offset, limit;
};

/* A device of a lane's state as a row of device_columns' first, and its subject. `has_address`:
 * with the address that the state has; else that is null. */
enum { DEVICE_POPULATION_COLUMN_COUNT = DEVICE_LIST_COLUMN_COUNT + 1 };
struct lane_state;
void device_population_row(struct output *output, const struct lane_state *state, uint32_t index,
                           bool has_address);

/* Print on stdout. STATUS_USAGE: `as_of` is no time; STATUS_REFUSED: the log cannot be replayed
 * that far, or no device has the ID or serial then. */
enum status device_list_as_of(const struct command_line *line, const char *as_of,
                              const struct device_filter *filter, struct error *error) MUST_USE;
enum status device_get_as_of(const struct command_line *line, const char *as_of, const char *wanted,
                             struct error *error) MUST_USE;

#endif
