/* Devices in the database by what is said of them: one statement under construction, with the
 * filters that `device list` and `timer list` share. What somebody typed goes into parameters
 * alone. */
#ifndef MUSTER_APP_DEVICE_QUERY_H
#define MUSTER_APP_DEVICE_QUERY_H

#include "core/app/command.h"
#include "core/event.h"

/* The first options of a command that lists devices, in this order. */
#define DEVICE_FILTER_OPTIONS                                                                      \
  {"user", "EMAIL", "of this user"},                                                               \
      {"status", "STATUS", "PENDING, ENROLLED, FAILED, WIPED or RETIRED"},                         \
      {"compliance", "STATE", "UNKNOWN, COMPLIANT or NONCOMPLIANT"},                               \
      {"platform", "PLATFORM", "WINDOWS, MACOS, IOS, ANDROID or LINUX"},                           \
      {"profile", "PROFILE", "STANDARD, MOBILE or EXECUTIVE"},                                     \
      {"ownership", "OWNERSHIP", "CORPORATE or PERSONAL"},                                         \
      {"overdue", NULL, "whose check-in is overdue"}, {                                            \
    "blocked", NULL, "kept out of email or another resource"                                       \
  }
enum {
  FILTER_USER,
  FILTER_STATUS,
  FILTER_COMPLIANCE,
  FILTER_PLATFORM,
  FILTER_PROFILE,
  FILTER_OWNERSHIP,
  FILTER_OVERDUE,
  FILTER_BLOCKED,
  FILTER_COUNT
};

enum { QUERY_SIZE = 8192, QUERY_PARAMETERS_MAX = 16, QUERY_VALUE_SIZE = 512 };

struct device_query {
  char sql[QUERY_SIZE];
  size_t size;
  const char *parameters[QUERY_PARAMETERS_MAX];
  size_t parameter_count;
  char values[QUERY_PARAMETERS_MAX][QUERY_VALUE_SIZE];
};

void device_query_append(struct device_query *query, const char *format, ...) PRINTF_LIKE(2, 3);

/* Adds a parameter and returns its number, from 1. */
size_t device_query_parameter(struct device_query *query, const char *value);

/* Appends " and ..." for every filter that is given; the rows are those of muster.device_detail.
 * STATUS_USAGE names the option and what it takes. */
enum status device_query_filter(struct device_query *query, const char *command,
                                const char *const *options, struct error *error) MUST_USE;

/* Addresses are stored with ASCII letters lowered, and with those alone. `is_possible` is false
 * when nobody's address is that long. */
enum status device_query_lower_user(const char *command, const char *user,
                                    char lowered[USER_EMAIL_SIZE_MAX + 1], bool *is_possible,
                                    struct error *error) MUST_USE;

/* Appends " LIMIT $n" or the like for a number that is given. */
enum status device_query_bound(struct device_query *query, const char *keyword, const char *option,
                               const char *value, struct error *error) MUST_USE;

#endif
