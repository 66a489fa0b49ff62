/* What is known about devices, read from the public views. */
#include "core/app/command.h"

#include "core/app/device_as_of.h"
#include "core/app/listing.h"
#include "core/app/option_number.h"
#include "core/app/text.h"
#include "core/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIME_SQL(column) "(extract(epoch from " #column ") * 1000)::bigint"

/* X(name in the view and in JSON, column type, left out of tables, expression). The first
 * LIST_COLUMN_COUNT are what `device list` shows. */
#define DEVICE_COLUMNS(X)                                                                          \
  X(device_id, TEXT, false, "device_id")                                                           \
  X(serial, TEXT, false, "serial")                                                                 \
  X(user_email, TEXT, false, "user_email")                                                         \
  X(platform, TEXT, false, "platform")                                                             \
  X(profile, TEXT, false, "profile")                                                               \
  X(ownership, TEXT, true, "ownership")                                                            \
  X(os_version, TEXT, true, "os_version")                                                          \
  X(status, TEXT, false, "status")                                                                 \
  X(compliance, TEXT, false, "compliance")                                                         \
  X(violations, LIST, false, "array_to_string(violations, E'\\n')")                                \
  X(noncompliant_since, TIME, true, TIME_SQL(noncompliant_since))                                  \
  X(email_blocked, BOOLEAN, false, "email_blocked")                                                \
  X(sap_blocked, BOOLEAN, true, "sap_blocked")                                                     \
  X(ticket_open, BOOLEAN, true, "ticket_open")                                                     \
  X(overdue_since, TIME, true, TIME_SQL(overdue_since))                                            \
  X(last_sync_at, TIME, false, TIME_SQL(last_sync_at))                                             \
  X(next_action, TEXT, true, "next_action")                                                        \
  X(next_action_at, TIME, true, TIME_SQL(next_action_at))                                          \
  X(lane, INTEGER, true, "lane")                                                                   \
  X(seq, INTEGER, true, "seq")                                                                     \
  X(at, TIME, true, TIME_SQL(at))                                                                  \
  X(cause, JSON, true, "cause")                                                                    \
  X(event_id, TEXT, true, "event_id")                                                              \
  X(policy, TEXT, true, "policy")                                                                  \
  X(subject, TEXT, true, "subject")

const struct column device_columns[] = {
#define X(column, kind, hidden, expression)                                                        \
  {.name = #column, .type = COLUMN_##kind, .is_hidden = (hidden)},
    DEVICE_COLUMNS(X)
#undef X
};

static const char *const expressions[] = {
#define X(column, kind, hidden, expression) expression,
    DEVICE_COLUMNS(X)
#undef X
};

enum { SQL_SIZE = 4096, PARAMETERS_MAX = 16, VALUE_SIZE = 512 };
enum { LIST_COLUMN_COUNT = DEVICE_LIST_COLUMN_COUNT };
static_assert(LIST_COLUMN_COUNT < COUNT_OF(device_columns), "the list shows the first columns");
static_assert(DEVICE_COLUMN_COUNT == COUNT_OF(device_columns), "one cell a column");

enum {
  LIST_USER,
  LIST_STATUS,
  LIST_COMPLIANCE,
  LIST_PLATFORM,
  LIST_PROFILE,
  LIST_OWNERSHIP,
  LIST_OVERDUE,
  LIST_BLOCKED,
  LIST_SORT,
  LIST_LIMIT,
  LIST_OFFSET,
  LIST_AS_OF,
  LIST_OPTION_COUNT,
};

const struct option_spec device_list_options[] = {
    [LIST_USER] = {"user", "EMAIL", "of this user"},
    [LIST_STATUS] = {"status", "STATUS", "PENDING, ENROLLED, FAILED, WIPED or RETIRED"},
    [LIST_COMPLIANCE] = {"compliance", "STATE", "UNKNOWN, COMPLIANT or NONCOMPLIANT"},
    [LIST_PLATFORM] = {"platform", "PLATFORM", "WINDOWS, MACOS, IOS, ANDROID or LINUX"},
    [LIST_PROFILE] = {"profile", "PROFILE", "STANDARD, MOBILE or EXECUTIVE"},
    [LIST_OWNERSHIP] = {"ownership", "OWNERSHIP", "CORPORATE or PERSONAL"},
    [LIST_OVERDUE] = {"overdue", NULL, "whose check-in is overdue"},
    [LIST_BLOCKED] = {"blocked", NULL, "kept out of email or another resource"},
    [LIST_SORT] = {"sort", "[-]FIELD", "by a field, with - from the end; else by device ID"},
    [LIST_LIMIT] = {"limit", "N", "at most so many"},
    [LIST_OFFSET] = {"offset", "N", "without the first so many"},
    [LIST_AS_OF] = {"as-of", "TIME", "as it was then, by replaying the log"},
    [LIST_OPTION_COUNT] = {0},
};

enum { GET_AS_OF };

const struct option_spec device_get_options[] = {
    [GET_AS_OF] = {"as-of", "TIME", "as it was then, by replaying the log"},
    {NULL, NULL, NULL},
};

/* The names of an enumeration, ended by NULL. */
#define X(name) #name,
static const char *const statuses[] = {STATUS_SYMBOLS(X) NULL};
static const char *const compliances[] = {COMPLIANCE_SYMBOLS(X) NULL};
static const char *const platforms[] = {PLATFORM_LIST(X) NULL};
static const char *const profiles[] = {PROFILE_LIST(X) NULL};
static const char *const ownerships[] = {OWNERSHIP_LIST(X) NULL};
#undef X

static const struct {
  size_t option;
  const char *column;
  const char *const *names;
} enum_filters[] = {
    {LIST_STATUS, "status", statuses},         {LIST_COMPLIANCE, "compliance", compliances},
    {LIST_PLATFORM, "platform", platforms},    {LIST_PROFILE, "profile", profiles},
    {LIST_OWNERSHIP, "ownership", ownerships},
};

/* A statement under construction. What the user gave goes into `values` alone. */
struct query {
  char sql[SQL_SIZE];
  size_t size;
  const char *parameters[PARAMETERS_MAX];
  size_t parameter_count;
  char values[PARAMETERS_MAX][VALUE_SIZE];
};

static void append(struct query *query, const char *format, ...) PRINTF_LIKE(2, 3);

static void append(struct query *query, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int size =
      vsnprintf(query->sql + query->size, sizeof query->sql - query->size, format, arguments);
  va_end(arguments);
  assert(size >= 0 && (size_t)size < sizeof query->sql - query->size);
  query->size += (size_t)size;
}

/* Adds a parameter and returns its number, from 1. */
static size_t add_parameter(struct query *query, const char *value) {
  assert(query->parameter_count < PARAMETERS_MAX);
  char *const copy = query->values[query->parameter_count];
  snprintf(copy, VALUE_SIZE, "%s", value);
  query->parameters[query->parameter_count++] = copy;
  return query->parameter_count;
}

static void append_select(struct query *query, size_t column_count) {
  for (size_t i = 0; i < column_count; i++) {
    append(query, "%s %s", i == 0 ? "select" : ",", expressions[i]);
  }
  append(query, " from muster.devices where true");
}

static enum status refuse_name(const char *option, const char *value, const char *const *names,
                               struct error *error) {
  char allowed[256] = "";
  for (size_t i = 0; names[i] != NULL; i++) {
    const size_t used = strlen(allowed);
    snprintf(allowed + used, sizeof allowed - used, "%s%s", i == 0 ? "" : ", ", names[i]);
  }
  return error_set(error, STATUS_USAGE, "device list: --%s takes %s, not \"%.80s\"", option,
                   allowed, value);
}

static enum status append_enum_filters(struct query *query, const char *const *options,
                                       struct error *error) {
  for (size_t i = 0; i < COUNT_OF(enum_filters); i++) {
    const char *const value = options[enum_filters[i].option];
    if (value == NULL) {
      continue;
    }
    const char *const *name = enum_filters[i].names;
    while (*name != NULL && strcasecmp(*name, value) != 0) {
      name++;
    }
    if (*name == NULL) {
      return refuse_name(device_list_options[enum_filters[i].option].name, value,
                         enum_filters[i].names, error);
    }
    append(query, " and %s = $%zu", enum_filters[i].column, add_parameter(query, *name));
  }
  return STATUS_OK;
}

/* Addresses are stored with ASCII letters lowered, and with those alone. False: nobody's address is
 * that long. */
static enum status lower_user(const char *user, char lowered[USER_EMAIL_SIZE_MAX + 1],
                              bool *is_possible, struct error *error) {
  if (!span_is_utf8_text(span_text(user))) {
    return error_set(error, STATUS_USAGE, "device list: --user takes a mail address");
  }
  *is_possible = strlen(user) <= USER_EMAIL_SIZE_MAX;
  size_t size = 0;
  for (; *is_possible && user[size] != '\0'; size++) {
    const char letter = user[size];
    lowered[size] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
  }
  lowered[size] = '\0';
  return STATUS_OK;
}

static enum status append_user(struct query *query, const char *user, struct error *error) {
  char lowered[USER_EMAIL_SIZE_MAX + 1];
  bool is_possible = false;
  const enum status status = lower_user(user, lowered, &is_possible, error);
  if (status == STATUS_OK && is_possible) {
    append(query, " and user_email = $%zu", add_parameter(query, lowered));
  } else if (status == STATUS_OK) {
    append(query, " and false");
  }
  return status;
}

static enum status append_order(struct query *query, const char *sort, struct error *error) {
  append(query, " order by ");
  if (sort != NULL) {
    const bool is_descending = sort[0] == '-';
    const char *const name = is_descending ? sort + 1 : sort;
    struct suggestion suggestion = {.word = name};
    size_t i = 0;
    while (i < LIST_COLUMN_COUNT && strcasecmp(device_columns[i].name, name) != 0) {
      suggestion_offer(&suggestion, device_columns[i].name);
      i++;
    }
    if (i == LIST_COLUMN_COUNT) {
      char nearest[SUGGESTION_TEXT_SIZE];
      return error_set(error, STATUS_USAGE, "device list: --sort takes a field, not \"%.80s\"%s",
                       name, suggestion_text(&suggestion, nearest));
    }
    append(query, "%s%s nulls last, ", device_columns[i].name, is_descending ? " desc" : "");
  }
  /* The order of device numbers: D999 comes before D1000. */
  append(query, "length(device_id), device_id collate \"C\"");
  return STATUS_OK;
}

static enum status append_bound(struct query *query, const char *keyword, size_t option,
                                const char *const *options, struct error *error) {
  int64_t number = 0;
  const char *const name = device_list_options[option].name;
  if (options[option] == NULL) {
    return STATUS_OK;
  }
  const enum status status = option_number(name, options[option], 0, INT64_MAX, &number, error);
  if (status == STATUS_OK) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    append(query, " %s $%zu::bigint", keyword, add_parameter(query, text));
  }
  return status;
}

static enum status build_list(struct query *query, const char *const *options,
                              struct error *error) {
  append_select(query, LIST_COLUMN_COUNT);
  if (options[LIST_OVERDUE] != NULL) {
    append(query, " and overdue_since is not null");
  }
  if (options[LIST_BLOCKED] != NULL) {
    append(query, " and (email_blocked or sap_blocked)");
  }
  enum status status = append_enum_filters(query, options, error);
  if (status == STATUS_OK && options[LIST_USER] != NULL) {
    status = append_user(query, options[LIST_USER], error);
  }
  if (status == STATUS_OK) {
    status = append_order(query, options[LIST_SORT], error);
  }
  if (status == STATUS_OK) {
    status = append_bound(query, "limit", LIST_LIMIT, options, error);
  }
  if (status == STATUS_OK) {
    status = append_bound(query, "offset", LIST_OFFSET, options, error);
  }
  return status;
}

/* Connects, prints what the query finds, disconnects. */
static enum status print_query(const struct command_line *line, const struct query *query,
                               size_t column_count, bool is_single, size_t *row_count,
                               struct error *error) {
  struct pg_conn *database;
  enum status status = database_open(line->config.postgres.dsn, &database, error);
  if (status != STATUS_OK) {
    return status;
  }
  const struct listing listing = {.columns = device_columns,
                                  .column_count = column_count,
                                  .sql = query->sql,
                                  .parameters = query->parameters,
                                  .parameter_count = query->parameter_count,
                                  .is_single = is_single};
  status = listing_print(database, &listing, line->output, row_count, error);
  database_close(database);
  return status;
}

/* The same filters, for what a replay shows. */
static enum status list_as_of(const struct command_line *line, struct error *error) {
  const char *const *options = line->options;
  struct device_filter filter = {.limit = INT64_MAX,
                                 .is_blocked = options[LIST_BLOCKED] != NULL,
                                 .is_overdue = options[LIST_OVERDUE] != NULL};
  char lowered[USER_EMAIL_SIZE_MAX + 1];
  bool is_possible = true;
  struct query *const checked = memory_zeroed(1, sizeof *checked); /* says what names there are */
  enum status status = append_enum_filters(checked, options, error);
  free(checked);
  if (status == STATUS_OK && options[LIST_SORT] != NULL) {
    status = error_set(error, STATUS_USAGE, "device list: --sort does not go with --as-of");
  }
  if (status == STATUS_OK && options[LIST_USER] != NULL) {
    status = lower_user(options[LIST_USER], lowered, &is_possible, error);
    filter.user = is_possible ? lowered : "";
  }
  filter.status = options[LIST_STATUS];
  filter.compliance = options[LIST_COMPLIANCE];
  filter.platform = options[LIST_PLATFORM];
  filter.profile = options[LIST_PROFILE];
  filter.ownership = options[LIST_OWNERSHIP];
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
  struct query *const query = memory_zeroed(1, sizeof *query);
  enum status status = build_list(query, line->options, error);
  if (status == STATUS_OK) {
    size_t row_count;
    status = print_query(line, query, LIST_COLUMN_COUNT, false, &row_count, error);
  }
  free(query);
  return status;
}

/* A device ID in either case, or a serial as it is; where a text is both, the ID is meant. */
enum status command_device_get(const struct command_line *line, struct error *error) {
  const char *const wanted = line->arguments[0];
  if (line->options[GET_AS_OF] != NULL) {
    return device_get_as_of(line, line->options[GET_AS_OF], wanted, error);
  }
  const uint64_t number = device_id_parse(span_text(wanted));
  char id[DEVICE_ID_SIZE] = "";
  if (number > 0) {
    device_id_format(number, id);
  }
  struct query *const query = memory_zeroed(1, sizeof *query);
  append_select(query, COUNT_OF(device_columns));
  if (!span_is_printable_ascii(span_text(wanted)) || strlen(wanted) > SERIAL_SIZE_MAX) {
    append(query, " and false"); /* no serial looks like that */
  } else if (number > 0) {
    const size_t by_id = add_parameter(query, id);
    const size_t by_serial = add_parameter(query, wanted);
    append(query, " and (device_id = $%zu or serial = $%zu) order by device_id = $%zu desc", by_id,
           by_serial, by_id);
  } else {
    append(query, " and serial = $%zu", add_parameter(query, wanted));
  }
  append(query, " limit 1");
  size_t row_count = 0;
  enum status status = print_query(line, query, COUNT_OF(device_columns), true, &row_count, error);
  free(query);
  if (status == STATUS_OK && row_count == 0) {
    status = error_set(error, STATUS_REFUSED, "no device has the ID or serial %.80s", wanted);
  }
  return status;
}
