/* device list: what is known about devices, by filters that combine, sorted and paged. */
#include "core/app/command.h"

#include "core/app/device_as_of.h"
#include "core/app/device_query.h"
#include "core/app/listing.h"
#include "core/app/option_number.h"
#include "core/app/text.h"
#include "core/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIST_COLUMN_COUNT = DEVICE_LIST_COLUMN_COUNT };

enum {
  LIST_SORT = FILTER_COUNT,
  LIST_DESC,
  LIST_LIMIT,
  LIST_OFFSET,
  LIST_AFTER,
  LIST_AS_OF,
};

const struct option_spec device_list_options[] = {
    DEVICE_FILTER_OPTIONS,
    [LIST_SORT] = {"sort", "[-]FIELD", "by a field, with - from the end; else by device ID"},
    [LIST_DESC] = {"desc", NULL, "from the end"},
    [LIST_LIMIT] = {"limit", "N", "at most so many"},
    [LIST_OFFSET] = {"offset", "N", "without the first so many"},
    [LIST_AFTER] = {"after", "ID", "the page behind this device, in the same order"},
    [LIST_AS_OF] = {"as-of", "TIME", "as it was then, by replaying the log"},
    {NULL, NULL, NULL},
};

/* How a list is sorted: by a column, then by device number; D999 comes before D1000. */
struct order {
  const char *column; /* NULL: by number alone */
  bool is_descending;
};

static enum status read_order(const char *const *options, struct order *order,
                              struct error *error) {
  const char *name = options[LIST_SORT];
  *order = (struct order){.is_descending = options[LIST_DESC] != NULL};
  if (name == NULL) {
    return STATUS_OK;
  }
  if (name[0] == '-') {
    order->is_descending = true;
    name++;
  }
  struct suggestion suggestion = {.word = name};
  for (size_t i = 0; i < LIST_COLUMN_COUNT; i++) {
    if (strcasecmp(device_columns[i].name, name) == 0) {
      order->column = i == 0 ? NULL : device_columns[i].name; /* an ID is the number */
      return STATUS_OK;
    }
    suggestion_offer(&suggestion, device_columns[i].name);
  }
  char nearest[SUGGESTION_TEXT_SIZE];
  return error_set(error, STATUS_USAGE, "device list: --sort takes a field, not \"%.80s\"%s", name,
                   suggestion_text(&suggestion, nearest));
}

static void append_order(struct device_query *query, const struct order *order) {
  const char *const direction = order->is_descending ? " desc" : "";
  if (order->column == NULL) {
    device_query_append(query, " order by number%s", direction);
  } else {
    device_query_append(query, " order by %s%s nulls last, number", order->column, direction);
  }
}

/* The rows behind a device in that order, nulls last. */
static enum status append_after(struct device_query *query, const struct order *order,
                                const char *after, struct error *error) {
  const uint64_t number = after != NULL ? device_id_parse(span_text(after)) : 0;
  const char *const sign = order->is_descending ? "<" : ">";
  if (after == NULL) {
    return STATUS_OK;
  }
  if (number == 0) {
    return error_set(error, STATUS_USAGE, "device list: --after takes a device ID, not \"%.80s\"",
                     after);
  }
  if (order->column == NULL) {
    device_query_append(query, " and number %s %llu", sign, (unsigned long long)number);
    return STATUS_OK;
  }
  char id[DEVICE_ID_SIZE];
  char value[128];
  device_id_format(number, id);
  snprintf(value, sizeof value, "(select %s from muster.device_detail where device_id = '%s')",
           order->column, id);
  device_query_append(query,
                      " and (%s %s %s or (%s is null and %s is not null) or (%s is not distinct "
                      "from %s and number > %llu))",
                      order->column, sign, value, order->column, value, order->column, value,
                      (unsigned long long)number);
  return STATUS_OK;
}

static void append_columns(struct device_query *query, size_t column_count) {
  for (size_t i = 0; i < column_count; i++) {
    device_query_append(query, "%s %s", i == 0 ? "select" : ",", device_expressions[i]);
  }
  device_query_append(query, " from muster.device_detail");
}

/* A page is picked by the rows alone first: names and addresses are joined to what is shown, not to
 * all that is sorted. */
static enum status build_list(struct device_query *query, const char *const *options,
                              struct error *error) {
  const bool is_page = options[LIST_LIMIT] != NULL || options[LIST_OFFSET] != NULL;
  struct order order;
  append_columns(query, LIST_COLUMN_COUNT);
  device_query_append(query, is_page
                                 ? " join (select lane, number from muster.device_detail where true"
                                 : " where true");
  enum status status = device_query_filter(query, "device list", options, error);
  if (status == STATUS_OK) {
    status = read_order(options, &order, error);
  }
  if (status == STATUS_OK) {
    status = append_after(query, &order, options[LIST_AFTER], error);
  }
  if (status == STATUS_OK) {
    append_order(query, &order);
    status = device_query_bound(query, "limit", "limit", options[LIST_LIMIT], error);
  }
  if (status == STATUS_OK) {
    status = device_query_bound(query, "offset", "offset", options[LIST_OFFSET], error);
  }
  if (status == STATUS_OK && is_page) {
    device_query_append(query, ") page using (lane, number)");
    append_order(query, &order);
  }
  return status;
}

/* The same filters, for what a replay shows. */
static enum status list_as_of(const struct command_line *line, struct error *error) {
  const char *const *options = line->options;
  struct device_filter filter = {.limit = INT64_MAX,
                                 .is_blocked = options[FILTER_BLOCKED] != NULL,
                                 .is_overdue = options[FILTER_OVERDUE] != NULL};
  char lowered[USER_EMAIL_SIZE_MAX + 1];
  bool is_possible = true;
  struct device_query *const checked =
      memory_zeroed(1, sizeof *checked); /* says what names there are */
  enum status status = device_query_filter(checked, "device list", options, error);
  free(checked);
  if (status == STATUS_OK &&
      (options[LIST_SORT] != NULL || options[LIST_DESC] != NULL || options[LIST_AFTER] != NULL)) {
    status = error_set(error, STATUS_USAGE,
                       "device list: --sort, --desc and --after do not go with --as-of");
  }
  if (status == STATUS_OK && options[FILTER_USER] != NULL) {
    status =
        device_query_lower_user("device list", options[FILTER_USER], lowered, &is_possible, error);
    filter.user = is_possible ? lowered : "";
  }
  filter.status = options[FILTER_STATUS];
  filter.compliance = options[FILTER_COMPLIANCE];
  filter.platform = options[FILTER_PLATFORM];
  filter.profile = options[FILTER_PROFILE];
  filter.ownership = options[FILTER_OWNERSHIP];
  if (status == STATUS_OK) {
    status = option_number("limit", options[LIST_LIMIT], 0, INT64_MAX, &filter.limit, error);
  }
  if (status == STATUS_OK) {
    status = option_number("offset", options[LIST_OFFSET], 0, INT64_MAX, &filter.offset, error);
  }
  return status == STATUS_OK ? device_list_as_of(line, options[LIST_AS_OF], &filter, error)
                             : status;
}

enum status command_device_list(const struct command_line *line, struct error *error) {
  if (line->options[LIST_AS_OF] != NULL) {
    return list_as_of(line, error);
  }
  struct device_query *const query = memory_zeroed(1, sizeof *query);
  struct pg_conn *database = NULL;
  enum status status = build_list(query, line->options, error);
  if (status == STATUS_OK) {
    status = database_open(line->config.postgres.dsn, &database, error);
  }
  if (status == STATUS_OK) {
    const struct listing listing = {.columns = device_columns,
                                    .column_count = LIST_COLUMN_COUNT,
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
