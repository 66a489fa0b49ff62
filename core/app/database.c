#include "core/app/database.h"

#include "core/app/text.h"
#include "producers/refusal.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLUMNS_MAX = 64, OPTIONS_MAX = 64, CONNECT_PAUSE_MS = 250, REFUSAL_TIME_MS = 2000 };

/* libpq's texts end with a line's end and may have several lines; ours are one line. */
static void copy_line(char *line, size_t size, const char *text) {
  size_t used = 0;
  for (const char *at = text; *at != '\0' && used + 3 < size; at++) {
    if (*at == '\n' && at[1] != '\0') {
      line[used++] = ';';
      line[used++] = ' ';
    } else if (*at != '\n' && *at != '\t') {
      line[used++] = *at;
    }
  }
  line[used] = '\0';
}

static enum status parse_dsn(const char *dsn, PQconninfoOption **options, struct error *error) {
  char *reason = NULL;
  *options = PQconninfoParse(dsn, &reason);
  if (*options != NULL) {
    return STATUS_OK;
  }
  PQfreemem(reason); /* it quotes the dsn, which may hold a password */
  return error_set(error, STATUS_CONFIG,
                   "postgres.dsn is neither \"keyword=value ...\" nor a postgresql:// URI");
}

static const char *option_value(const PQconninfoOption *options, const char *keyword) {
  for (const PQconninfoOption *at = options; at->keyword != NULL; at++) {
    if (strcmp(at->keyword, keyword) == 0) {
      return at->val;
    }
  }
  return NULL;
}

/* How many hosts libpq will try one after the other. */
static int host_count(const PQconninfoOption *options) {
  const char *hosts = option_value(options, "host");
  hosts = hosts == NULL ? option_value(options, "hostaddr") : hosts;
  int count = 1;
  for (const char *at = hosts == NULL ? "" : hosts; *at != '\0'; at++) {
    count += *at == ',' ? 1 : 0;
  }
  return count;
}

/* Seconds for each host: what the dsn or PGCONNECT_TIMEOUT says, else ours, all of them within
 * what is left. libpq takes 0 as for ever and nothing below 2. */
static int connect_timeout_s(const PQconninfoOption *options, int left_s) {
  const char *text = option_value(options, "connect_timeout");
  text = text == NULL ? getenv("PGCONNECT_TIMEOUT") : text;
  const int share_s = left_s / host_count(options);
  const long asked_s = text == NULL ? DATABASE_CONNECT_S : strtol(text, NULL, 10);
  const int timeout_s = asked_s <= 0 || asked_s > share_s ? share_s : (int)asked_s;
  return timeout_s < 2 ? 2 : timeout_s;
}

/* NULL when memory is out. */
static PGconn *connect_once(const char *dsn, int timeout_s) {
  char timeout[16];
  snprintf(timeout, sizeof timeout, "%d", timeout_s);
  /* The dsn is expanded in its place; what stands behind it wins over it. */
  const char *const keywords[] = {"fallback_application_name", "dbname", "connect_timeout",
                                  "client_encoding", NULL};
  const char *const values[] = {"muster", dsn, timeout, "UTF8", NULL};
  return PQconnectdbParams(keywords, values, 1);
}

/* What the server of a connection says to one more, whatever became of that one. */
static PGPing ping(PGconn *connection) {
  PQconninfoOption *const options = PQconninfo(connection);
  const char *keywords[OPTIONS_MAX + 1] = {NULL};
  const char *values[OPTIONS_MAX + 1] = {NULL};
  size_t count = 0;
  for (const PQconninfoOption *at = options; at != NULL && at->keyword != NULL; at++) {
    if (at->val != NULL && count < OPTIONS_MAX) {
      keywords[count] = at->keyword;
      values[count++] = at->val;
    }
  }
  const PGPing answer = PQpingParams(keywords, values, 0);
  PQconninfoFree(options);
  return answer;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tries again while waiting may help. A server that answers may have come up just after the
 * attempt: only when it answers and refuses twice in a row has it a reason that stays, such as a
 * wrong password. */
static PGconn *connect_in_time(const char *dsn, const PQconninfoOption *options,
                               int64_t deadline_ms) {
  bool has_answered = false;
  for (;;) {
    const int64_t left_ms = deadline_ms - now_ms();
    PGconn *const connection = connect_once(dsn, connect_timeout_s(options, (int)(left_ms / 1000)));
    if (connection == NULL || PQstatus(connection) == CONNECTION_OK ||
        now_ms() + CONNECT_PAUSE_MS >= deadline_ms) {
      return connection;
    }
    const PGPing answer = ping(connection);
    const bool may_heal = answer == PQPING_NO_RESPONSE || answer == PQPING_REJECT;
    if ((!may_heal && has_answered) || now_ms() + CONNECT_PAUSE_MS >= deadline_ms) {
      return connection;
    }
    PQfinish(connection);
    has_answered = !may_heal;
    if (may_heal) {
      poll(NULL, 0, CONNECT_PAUSE_MS);
    }
  }
}

enum status database_open(const char *dsn, struct pg_conn **database, struct error *error) {
  *database = NULL;
  PQconninfoOption *options;
  enum status status = parse_dsn(dsn, &options, error);
  if (status != STATUS_OK) {
    return status;
  }
  const int64_t deadline_ms = now_ms() + DATABASE_DEADLINE_S * 1000;
  PGconn *const connection = connect_in_time(dsn, options, deadline_ms);
  PQconninfoFree(options);
  if (connection == NULL || PQstatus(connection) != CONNECTION_OK) {
    char reason[ERROR_TEXT_SIZE];
    copy_line(reason, sizeof reason,
              connection == NULL ? "out of memory" : PQerrorMessage(connection));
    enum status failed = error_set(error, STATUS_UNAVAILABLE, "PostgreSQL: %s", reason);
    if (connection != NULL && now_ms() + REFUSAL_TIME_MS < deadline_ms) {
      failed = refusal_explain(connection, failed, error);
    }
    if (failed != STATUS_OK) {
      PQfinish(connection);
      return failed;
    }
  }
  /* Nobody who may create in another schema is to have his functions run as this user. */
  status = database_query(connection, "SET search_path = pg_catalog, pg_temp", NULL, 0, NULL, NULL,
                          error);
  if (status != STATUS_OK) {
    PQfinish(connection);
    return status;
  }
  *database = connection;
  return STATUS_OK;
}

void database_close(struct pg_conn *database) {
  PQfinish(database);
}

static bool has_prefix(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The classes of SQLSTATE for which trying again later may help. */
static bool is_passing(const char *sqlstate) {
  static const char *const classes[] = {"08", "40", "53", "55", "57", "58", "XX"};
  for (size_t i = 0; i < COUNT_OF(classes); i++) {
    if (has_prefix(sqlstate, classes[i])) {
      return true;
    }
  }
  return false;
}

static enum status failure_of(PGconn *connection, const PGresult *result, struct error *error) {
  char reason[ERROR_TEXT_SIZE];
  const char *const sqlstate = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  if (sqlstate == NULL || PQstatus(connection) != CONNECTION_OK) {
    copy_line(reason, sizeof reason, PQerrorMessage(connection));
    return error_set(error, STATUS_UNAVAILABLE, "PostgreSQL: %s", reason);
  }
  copy_line(reason, sizeof reason, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  /* No such schema, relation, column or function: the migrations are missing. */
  if (strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42P01") == 0 ||
      strcmp(sqlstate, "42703") == 0 || strcmp(sqlstate, "42883") == 0) {
    return error_set(error, STATUS_CONFIG,
                     "PostgreSQL: %s: the schema is missing or older than this program; run "
                     "`muster migrate`",
                     reason);
  }
  return error_set(error, is_passing(sqlstate) ? STATUS_UNAVAILABLE : STATUS_CONFIG,
                   "PostgreSQL: %s (SQLSTATE %s)", reason, sqlstate);
}

/* Whether the server still takes connections: a long query is silent, too. */
static bool answers(PGconn *connection) {
  const PGPing answer = ping(connection);
  return answer == PQPING_OK || answer == PQPING_REJECT;
}

/* Waits until a result can be taken without blocking. */
static enum status wait_for_result(PGconn *connection, struct error *error) {
  while (PQisBusy(connection)) {
    struct pollfd ready = {.fd = PQsocket(connection), .events = POLLIN};
    /* The deadline, less what asking the server takes in the end. */
    const int silence_s = DATABASE_DEADLINE_S - DATABASE_CONNECT_S;
    const int count = poll(&ready, 1, silence_s * 1000);
    if (count == 0 && !answers(connection)) {
      return error_set(error, STATUS_UNAVAILABLE, "PostgreSQL: no answer within %d s",
                       DATABASE_DEADLINE_S);
    }
    if (count < 0 && errno != EINTR) {
      return error_set(error, STATUS_UNAVAILABLE, "PostgreSQL: %s", strerror(errno));
    }
    if (count > 0 && PQconsumeInput(connection) == 0) {
      return failure_of(connection, NULL, error);
    }
  }
  return STATUS_OK;
}

static enum status hand_over(const PGresult *result, database_row_fn each, void *context,
                             struct error *error) {
  struct span values[COLUMNS_MAX];
  const int column_count = PQnfields(result);
  assert(column_count <= COLUMNS_MAX);
  for (int row = 0; row < PQntuples(result); row++) {
    for (int i = 0; i < column_count; i++) {
      values[i] = PQgetisnull(result, row, i)
                      ? (struct span){0}
                      : span_of(PQgetvalue(result, row, i), (size_t)PQgetlength(result, row, i));
    }
    const enum status status = each(context, values, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  return STATUS_OK;
}

/* Stops a query that is not read to its end, so that the connection can be used again. */
static void abandon(PGconn *connection) {
  PGcancel *const cancel = PQgetCancel(connection);
  char reason[256];
  if (cancel != NULL) {
    PQcancel(cancel, reason, sizeof reason);
    PQfreeCancel(cancel);
  }
  struct error ignored;
  while (wait_for_result(connection, &ignored) == STATUS_OK) {
    PGresult *const result = PQgetResult(connection);
    if (result == NULL) {
      return;
    }
    PQclear(result);
  }
}

static enum status take_rows(PGconn *connection, database_row_fn each, void *context,
                             struct error *error) {
  for (;;) {
    enum status status = wait_for_result(connection, error);
    if (status != STATUS_OK) {
      return status; /* nobody answers: nothing to wait for either */
    }
    PGresult *const result = PQgetResult(connection);
    if (result == NULL) {
      return STATUS_OK;
    }
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
      status = hand_over(result, each, context, error);
      break;
    case PGRES_COMMAND_OK:
      break;
    default:
      status = failure_of(connection, result, error);
      break;
    }
    PQclear(result);
    if (status != STATUS_OK) {
      if (PQstatus(connection) == CONNECTION_OK) {
        abandon(connection);
      }
      return status;
    }
  }
}

enum status database_query(struct pg_conn *database, const char *sql, const char *const *parameters,
                           size_t parameter_count, database_row_fn each, void *context,
                           struct error *error) {
  if (PQsendQueryParams(database, sql, (int)parameter_count, NULL, parameters, NULL, NULL, 0) ==
          0 ||
      PQsetSingleRowMode(database) == 0) {
    return failure_of(database, NULL, error);
  }
  return take_rows(database, each, context, error);
}

/* PostgreSQL writes the sign and digits alone; anything else is read up to there. */
int64_t database_integer(struct span value) {
  const bool is_negative = value.size > 0 && value.data[0] == '-';
  int64_t number = 0;
  for (size_t i = is_negative ? 1 : 0; i < value.size; i++) {
    const uint8_t digit = value.data[i];
    if (digit < '0' || digit > '9') {
      break;
    }
    number = number * 10 + (is_negative ? -(digit - '0') : digit - '0');
  }
  return number;
}

bool database_boolean(struct span value) {
  return value.size > 0 && value.data[0] == 't';
}

/* A value of keyword=value text, quoted: spaces, quotes and backslashes may be in it. */
static void put_dsn_value(FILE *stream, const char *value) {
  if (value[0] != '\0' && strpbrk(value, " '\\\t") == NULL) {
    fputs(value, stream);
    return;
  }
  fputc('\'', stream);
  for (const char *at = value; *at != '\0'; at++) {
    if (*at == '\'' || *at == '\\') {
      fputc('\\', stream);
    }
    fputc(*at, stream);
  }
  fputc('\'', stream);
}

/* libpq itself marks passwords (dispchar '*'), so that one of a later version is hidden too. */
char *database_dsn_shown(const char *dsn) {
  struct error error;
  PQconninfoOption *options;
  if (parse_dsn(dsn, &options, &error) != STATUS_OK) {
    return text_copy("***");
  }
  char *text = NULL;
  size_t size = 0;
  FILE *const stream = open_memstream(&text, &size);
  if (stream == NULL) {
    PQconninfoFree(options);
    return text_copy("***");
  }
  const char *separator = "";
  for (const PQconninfoOption *at = options; at->keyword != NULL; at++) {
    if (at->val != NULL) {
      fprintf(stream, "%s%s=", separator, at->keyword);
      put_dsn_value(stream, strchr(at->dispchar, '*') != NULL ? "***" : at->val);
      separator = " ";
    }
  }
  fclose(stream);
  PQconninfoFree(options);
  return text;
}
