#include "producers/refusal.h"
#include "producers/store_internal.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { REFUSED_WITHIN_MS = 2000 };

/* What holds where neither the DSN nor the environment says otherwise: a dead peer is noticed,
 * and a standby is no place to write to. Times in s, tcp_user_timeout in ms. */
static const struct {
  const char *keyword;
  const char *value;
} defaults[] = {
    {"connect_timeout", "10"},
    {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "30000"},
    {"client_encoding", "UTF8"},
    {"target_session_attrs", "read-write"},
};

/* A peer that stops in the middle of a transaction must not hold a lane's lock for ever. There is
 * no statement_timeout: how long a lane takes to load is its size's affair. Functions and operators
 * are the server's own: whoever may create in another schema must not have his run as this user. */
static const char session_sql[] =
    "SET search_path = pg_catalog, pg_temp;"
    "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';"
    "SET timezone = 'UTC'; SET standard_conforming_strings = on;"
    "SET client_min_messages = 'warning'";

/* Not every server's system can do the first: one that can lets go of a lane whose owner died. */
static const char *const session_wishes[] = {
    "SET client_connection_check_interval = '5s'",
    "SELECT set_config('work_mem', '32MB', false)"
    " WHERE pg_size_bytes(current_setting('work_mem')) < 32 << 20",
};

static const char *default_of(const PQconninfoOption *option) {
  for (size_t i = 0; i < COUNT_OF(defaults); i++) {
    if (strcmp(option->keyword, defaults[i].keyword) == 0 &&
        (option->envvar == NULL || getenv(option->envvar) == NULL)) {
      return defaults[i].value;
    }
  }
  return NULL;
}

static PGconn *connect_with(const PQconninfoOption *options, const char *application_name) {
  size_t count = 0;
  while (options[count].keyword != NULL) {
    count++;
  }
  const char **const keywords = calloc(2 * (count + 2), sizeof *keywords);
  if (keywords == NULL) {
    return NULL;
  }
  const char **const values = keywords + count + 2;
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    const char *value = options[i].val != NULL ? options[i].val : default_of(&options[i]);
    if (value != NULL) {
      keywords[used] = options[i].keyword;
      values[used++] = value;
    }
  }
  keywords[used] = "fallback_application_name";
  values[used] = application_name;
  PGconn *const connection = PQconnectdbParams(keywords, values, 0);
  free(keywords);
  return connection;
}

static int64_t mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum status store_connect(const char *dsn, const char *application_name, PGconn **connection,
                          struct error *error) {
  *connection = NULL;
  char *reason = NULL;
  PQconninfoOption *const options = PQconninfoParse(dsn, &reason);
  if (options == NULL) {
    PQfreemem(reason); /* it quotes the dsn, which may hold a password */
    return error_set(error, STATUS_CONFIG,
                     "postgres.dsn is neither \"keyword=value ...\" nor a postgresql:// URI");
  }
  const int64_t start_mono_ms = mono_ms();
  PGconn *const opened = connect_with(options, application_name);
  PQconninfoFree(options);
  enum status status = STATUS_OK;
  if (opened == NULL || PQstatus(opened) != CONNECTION_OK) {
    status = store_failure(opened, NULL, "PostgreSQL", error);
    if (opened != NULL && mono_ms() - start_mono_ms <= REFUSED_WITHIN_MS) {
      status = refusal_explain(opened, status, error);
    }
  }
  if (status == STATUS_OK && PQserverVersion(opened) < 150000) {
    status = error_set(error, STATUS_CONFIG, "PostgreSQL %s is too old: 15 or later is needed",
                       PQparameterStatus(opened, "server_version"));
  }
  if (status == STATUS_OK) {
    status = store_query(opened, session_sql, "set the session up", NULL, error);
  }
  if (status != STATUS_OK) {
    PQfinish(opened);
    return status;
  }
  for (size_t i = 0; i < COUNT_OF(session_wishes); i++) {
    PQclear(PQexec(opened, session_wishes[i]));
  }
  *connection = opened;
  return STATUS_OK;
}

static enum status status_of(const char *state) {
  if (state == NULL) {
    return STATUS_UNAVAILABLE; /* libpq's own word: the connection is gone */
  }
  if (strcmp(state, "MU001") == 0) {
    return STATUS_FENCED;
  }
  if (strcmp(state, "57P01") == 0) {
    return STATUS_FENCED; /* ended by whoever takes the lane, or by a shutdown: wait either way */
  }
  if (strcmp(state, "MU002") == 0 || strncmp(state, "42", 2) == 0 || strcmp(state, "3F000") == 0) {
    return STATUS_CONFIG;
  }
  if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0) {
    return STATUS_REFUSED;
  }
  return STATUS_UNAVAILABLE;
}

enum status store_failure(PGconn *connection, PGresult *result, const char *what,
                          struct error *error) {
  const char *const state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  const char *text = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
  const char *const detail = result != NULL && status_of(state) == STATUS_REFUSED
                                 ? PQresultErrorField(result, PG_DIAG_CONTEXT)
                                 : NULL;
  if (text == NULL) {
    text = connection != NULL ? PQerrorMessage(connection) : "no memory";
  }
  int length = (int)strlen(text);
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' ')) {
    length--;
  }
  const enum status status = status_of(state);
  enum status told;
  if (state == NULL) {
    told = error_set(error, status, "%s: %.*s", what, length, length > 0 ? text : "no answer");
  } else {
    told = error_set(error, status, "%s: %.*s (SQLSTATE %s)%s%s%s", what, length, text, state,
                     status == STATUS_REFUSED ? "; a row that is refused is a defect" : "",
                     detail != NULL ? ": " : "", detail != NULL ? detail : "");
  }
  PQclear(result);
  return told;
}

enum status store_query(PGconn *connection, const char *sql, const char *what, PGresult **result,
                        struct error *error) {
  PGresult *const answer = PQexec(connection, sql);
  const ExecStatusType type = PQresultStatus(answer);
  if (type != PGRES_TUPLES_OK && type != PGRES_COMMAND_OK) {
    return store_failure(connection, answer, what, error);
  }
  if (result != NULL) {
    *result = answer;
  } else {
    PQclear(answer);
  }
  return STATUS_OK;
}

void store_script(struct buffer *script, const char *format, ...) {
  va_list arguments;
  va_list again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int size = vsnprintf(NULL, 0, format, arguments);
  assert(size >= 0);
  char *const at = (char *)buffer_reserve(script, (size_t)size + 1);
  vsnprintf(at, (size_t)size + 1, format, again);
  script->size += (size_t)size;
  va_end(again);
  va_end(arguments);
}

void store_script_bytes(struct buffer *script, struct span bytes) {
  static const char digits[] = "0123456789abcdef";
  buffer_append(script, "'\\x", 3);
  uint8_t *const at = buffer_reserve(script, 2 * bytes.size);
  for (size_t i = 0; i < bytes.size; i++) {
    at[2 * i] = (uint8_t)digits[bytes.data[i] >> 4];
    at[2 * i + 1] = (uint8_t)digits[bytes.data[i] & 15];
  }
  script->size += 2 * bytes.size;
  buffer_append(script, "'", 1);
}
