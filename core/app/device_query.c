#include "core/app/device_query.h"

#include "core/app/option_number.h"
#include "core/app/text.h"
#include "core/result.h"
#include "producers/store_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
  const char *name;
  enum device_flag flag;
  const char *const *names;
} enum_filters[] = {
    {FILTER_STATUS, "status", FLAG_STATUS, statuses},
    {FILTER_COMPLIANCE, "compliance", FLAG_COMPLIANCE, compliances},
    {FILTER_PLATFORM, "platform", FLAG_PLATFORM, platforms},
    {FILTER_PROFILE, "profile", FLAG_PROFILE, profiles},
    {FILTER_OWNERSHIP, "ownership", FLAG_OWNERSHIP, ownerships},
};

void device_query_append(struct device_query *query, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int size =
      vsnprintf(query->sql + query->size, sizeof query->sql - query->size, format, arguments);
  va_end(arguments);
  assert(size >= 0 && (size_t)size < sizeof query->sql - query->size);
  query->size += (size_t)size;
}

size_t device_query_parameter(struct device_query *query, const char *value) {
  assert(query->parameter_count < QUERY_PARAMETERS_MAX);
  char *const copy = query->values[query->parameter_count];
  snprintf(copy, QUERY_VALUE_SIZE, "%s", value);
  query->parameters[query->parameter_count++] = copy;
  return query->parameter_count;
}

static enum status refuse_name(const char *command, const char *option, const char *value,
                               const char *const *names, struct error *error) {
  char allowed[256] = "";
  for (size_t i = 0; names[i] != NULL; i++) {
    const size_t used = strlen(allowed);
    snprintf(allowed + used, sizeof allowed - used, "%s%s", i == 0 ? "" : ", ", names[i]);
  }
  return error_set(error, STATUS_USAGE, "%s: --%s takes %s, not \"%.80s\"", command, option,
                   allowed, value);
}

/* What has few values stands in one number of the row: all these filters are one comparison of
 * it, a fifth of what comparing names costs (docs/measurements.md). */
static enum status append_enums(struct device_query *query, const char *command,
                                const char *const *options, struct error *error) {
  uint32_t mask = 0;
  uint32_t bits = 0;
  for (size_t i = 0; i < COUNT_OF(enum_filters); i++) {
    const char *const value = options[enum_filters[i].option];
    const char *const *const names = enum_filters[i].names;
    uint32_t place = 0;
    if (value == NULL) {
      continue;
    }
    while (names[place] != NULL && strcasecmp(names[place], value) != 0) {
      place++;
    }
    if (names[place] == NULL) {
      return refuse_name(command, enum_filters[i].name, value, names, error);
    }
    flag_put(&mask, enum_filters[i].flag, flag_get(UINT32_MAX, enum_filters[i].flag));
    flag_put(&bits, enum_filters[i].flag, place);
  }
  if (mask != 0) {
    device_query_append(query, " and flags & %d = %d", (int)mask, (int)bits);
  }
  return STATUS_OK;
}

enum status device_query_lower_user(const char *command, const char *user,
                                    char lowered[USER_EMAIL_SIZE_MAX + 1], bool *is_possible,
                                    struct error *error) {
  if (!span_is_utf8_text(span_text(user))) {
    return error_set(error, STATUS_USAGE, "%s: --user takes a mail address", command);
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

static enum status append_user(struct device_query *query, const char *command, const char *user,
                               struct error *error) {
  char lowered[USER_EMAIL_SIZE_MAX + 1];
  bool is_possible = false;
  const enum status status = device_query_lower_user(command, user, lowered, &is_possible, error);
  if (status == STATUS_OK && is_possible) {
    device_query_append(query, " and user_email = $%zu", device_query_parameter(query, lowered));
  } else if (status == STATUS_OK) {
    device_query_append(query, " and false");
  }
  return status;
}

enum status device_query_filter(struct device_query *query, const char *command,
                                const char *const *options, struct error *error) {
  if (options[FILTER_OVERDUE] != NULL) {
    device_query_append(query, " and overdue_since is not null");
  }
  if (options[FILTER_BLOCKED] != NULL) {
    uint32_t mask = 0;
    flag_put(&mask, FLAG_EMAIL_BLOCKED, 1);
    flag_put(&mask, FLAG_SAP_BLOCKED, 1);
    device_query_append(query, " and flags & %d <> 0", (int)mask);
  }
  const enum status status = append_enums(query, command, options, error);
  return status == STATUS_OK && options[FILTER_USER] != NULL
             ? append_user(query, command, options[FILTER_USER], error)
             : status;
}

enum status device_query_bound(struct device_query *query, const char *keyword, const char *option,
                               const char *value, struct error *error) {
  int64_t number = 0;
  const enum status status = option_number(option, value, 0, INT64_MAX, &number, error);
  if (status == STATUS_OK && value != NULL) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    device_query_append(query, " %s $%zu::bigint", keyword, device_query_parameter(query, text));
  }
  return status;
}
