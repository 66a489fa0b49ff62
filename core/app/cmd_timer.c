/* timer list: what will happen to devices by itself, and when. */
#include "core/app/command.h"

#include "core/app/clock.h"
#include "core/app/device_query.h"
#include "core/app/listing.h"
#include "core/app/text.h"
#include "core/app/yaml_tree.h"
#include "core/time_text.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_DUE = FILTER_COUNT, TIMER_LIMIT };

const struct option_spec timer_list_options[] = {
    DEVICE_FILTER_OPTIONS,
    [TIMER_DUE] = {"due", "24h|TIME", "until then: from now on, or a time"},
    [TIMER_LIMIT] = {"limit", "N", "at most so many"},
    {NULL, NULL, NULL},
};

static const struct column columns[] = {
    {.name = "at", .type = COLUMN_TIME},
    {.name = "device_id", .type = COLUMN_TEXT},
    {.name = "serial", .type = COLUMN_TEXT},
    {.name = "user_email", .type = COLUMN_TEXT},
    {.name = "action", .type = COLUMN_TEXT},
    {.name = "status", .type = COLUMN_TEXT},
    {.name = "policy", .type = COLUMN_TEXT, .is_hidden = true},
};

/* What is due by then has not fired yet; what is past due fires as soon as its lane is caught up.
 */
static enum status append_due(struct device_query *query, const char *due, struct error *error) {
  int64_t ms = 0;
  char text[TIME_TEXT_SIZE];
  device_query_append(query, " and next_action_at is not null");
  if (due == NULL) {
    return STATUS_OK;
  }
  if (duration_parse(due, &ms)) {
    ms += clock_wall_ms();
  } else if (!time_parse(span_text(due), &ms)) {
    return error_set(error, STATUS_USAGE,
                     "timer list: --due %.80s: a duration such as 24h is needed, or a time as "
                     "2026-11-01T00:00:00Z",
                     due);
  }
  time_format(ms, text);
  device_query_append(query, " and next_action_at <= $%zu::timestamptz",
                      device_query_parameter(query, text));
  return STATUS_OK;
}

static enum status build(struct device_query *query, const char *const *options,
                         struct error *error) {
  device_query_append(query,
                      "select (extract(epoch from next_action_at) * 1000)::bigint, device_id, "
                      "serial, user_email, next_action, status, policy from muster.device_detail "
                      "where true");
  enum status status = device_query_filter(query, "timer list", options, error);
  if (status == STATUS_OK) {
    status = append_due(query, options[TIMER_DUE], error);
  }
  if (status == STATUS_OK) {
    device_query_append(query, " order by next_action_at, number");
    status = device_query_bound(query, "limit", "limit", options[TIMER_LIMIT], error);
  }
  return status;
}

enum status command_timer_list(const struct command_line *line, struct error *error) {
  struct device_query *const query = memory_zeroed(1, sizeof *query);
  struct pg_conn *database = NULL;
  enum status status = build(query, line->options, error);
  if (status == STATUS_OK) {
    status = database_open(line->config.postgres.dsn, &database, error);
  }
  if (status == STATUS_OK) {
    const struct listing listing = {.columns = columns,
                                    .column_count = COUNT_OF(columns),
                                    .sql = query->sql,
                                    .parameters = query->parameters,
                                    .parameter_count = query->parameter_count};
    size_t row_count;
    status = listing_print(database, &listing, line->output, &row_count, error);
  }
  database_close(database);
  free(query);
  return status;
}
