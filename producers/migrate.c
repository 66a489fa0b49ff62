/* Sets a database up and brings it up to date: roles, schema, migrations, the subject key. */
#include "producers/store_internal.h"

#include "schemas/embedded.h"

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Any number, but always this one: two migrations of a database wait for each other. */
#define LOCK_SQL "SET lock_timeout = 0; SELECT pg_advisory_lock(7235914460188375021)"

enum { LINE_SIZE = 256 };

struct migration {
  PGconn *connection;
  void (*say)(void *context, const char *line);
  void *context;
};

static const char *const roles[] = {"muster_owner", "muster_writer", "muster_reader",
                                    "muster_auditor", "muster_admin"};

static void PRINTF_LIKE(2, 3) say(const struct migration *migration, const char *format, ...);

static void say(const struct migration *migration, const char *format, ...) {
  char line[ERROR_TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  migration->say(migration->context, line);
}

/* Asks for one boolean. */
static enum status ask(const struct migration *migration, const char *sql, const char *what,
                       bool *answer, struct error *error) {
  PGresult *result;
  const enum status status = store_query(migration->connection, sql, what, &result, error);
  if (status == STATUS_OK) {
    *answer = PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
  }
  return status;
}

static void add_word(char list[LINE_SIZE], const char *word) {
  const size_t used = strlen(list);
  snprintf(list + used, LINE_SIZE - used, "%s%s", used > 0 ? ", " : "", word);
}

/* Roles belong to the whole cluster: another database's migration may make the same ones at this
 * moment, which shows as a duplicate. Whoever makes the owner becomes a member of it. */
static enum status create_roles(const struct migration *migration, struct error *error) {
  char created[LINE_SIZE] = "";
  char kept[LINE_SIZE] = "";
  char skipped[LINE_SIZE] = "";
  for (size_t i = 0; i < COUNT_OF(roles); i++) {
    char sql[LINE_SIZE];
    bool is_there = false;
    snprintf(sql, sizeof sql, "SELECT true FROM pg_roles WHERE rolname = '%s'", roles[i]);
    const enum status status = ask(migration, sql, "look for roles", &is_there, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (is_there) {
      add_word(kept, roles[i]);
      continue;
    }
    snprintf(sql, sizeof sql, "CREATE ROLE %s NOLOGIN", roles[i]);
    PGresult *const result = PQexec(migration->connection, sql);
    const char *const state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
      add_word(created, roles[i]);
    } else if (state != NULL && (strcmp(state, "42710") == 0 || strcmp(state, "23505") == 0)) {
      add_word(kept, roles[i]);
    } else if (state != NULL && strcmp(state, "42501") == 0) {
      add_word(skipped, roles[i]);
    } else {
      return store_failure(migration->connection, result, "create roles", error);
    }
    PQclear(result);
  }
  if (strstr(created, "muster_owner") != NULL) {
    PQclear(PQexec(migration->connection,
                   "DO $$ BEGIN IF NOT pg_has_role('muster_owner', 'MEMBER') THEN"
                   " EXECUTE format('GRANT muster_owner TO %I', current_user); END IF; END $$"));
  }
  if (created[0] != '\0') {
    say(migration, "created roles: %s", created);
  }
  if (kept[0] != '\0') {
    say(migration, "kept existing roles: %s", kept);
  }
  if (skipped[0] != '\0') {
    say(migration,
        "skipped roles: %s (this user may not create roles; an administrator may, and "
        "the next migrate grants them what they are for)",
        skipped);
  }
  return STATUS_OK;
}

/* Everything belongs to muster_owner where this user is a member of it, else to this user. */
static enum status create_schema(const struct migration *migration, struct error *error) {
  enum status status = store_query(
      migration->connection,
      "DO $$ BEGIN"
      " IF to_regnamespace('muster') IS NULL THEN"
      "  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'muster_owner'"
      "      AND pg_has_role(oid, 'MEMBER')) THEN"
      "   CREATE SCHEMA muster AUTHORIZATION muster_owner;"
      "  ELSE CREATE SCHEMA muster; END IF;"
      " END IF;"
      " IF EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner"
      "     WHERE nspname = 'muster' AND rolname = 'muster_owner' AND pg_has_role(r.oid, 'MEMBER'))"
      " THEN SET ROLE muster_owner; END IF;"
      "END $$",
      "create the schema muster", NULL, error);
  if (status == STATUS_OK) {
    status = store_query(migration->connection,
                         "CREATE TABLE IF NOT EXISTS muster.migrations (number integer PRIMARY KEY,"
                         " name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
                         "create the table muster.migrations", NULL, error);
  }
  if (status == STATUS_CONFIG) {
    char database[LINE_SIZE];
    snprintf(database, sizeof database, "%s", PQdb(migration->connection));
    error_wrap(error, "user %s needs the right to create in database %s",
               PQuser(migration->connection), database);
  }
  return status;
}

/* `name` is the file's without its end: "0001_init". */
static enum status apply(const struct migration *migration, const char *name, const char *text,
                         bool *is_applied, struct error *error) {
  const int number = (int)strtol(name, NULL, 10);
  char sql[LINE_SIZE];
  snprintf(sql, sizeof sql, "SELECT true FROM muster.migrations WHERE number = %d", number);
  bool is_there = false;
  enum status status = ask(migration, sql, "read muster.migrations", &is_there, error);
  if (status != STATUS_OK || is_there) {
    return status;
  }
  struct buffer script = {0};
  store_script(&script,
               "BEGIN; %s; INSERT INTO muster.migrations (number, name) VALUES (%d, '%s');"
               "COMMIT",
               text, number, name);
  status = store_query(migration->connection, (const char *)script.data, name, NULL, error);
  buffer_fini(&script);
  if (status == STATUS_OK) {
    *is_applied = true;
    say(migration, "applied %s", name);
  }
  return status;
}

static enum status apply_all(const struct migration *migration, struct error *error) {
  bool is_any_applied = false;
  char last[LINE_SIZE] = "";
  for (size_t i = 0; i < embedded_file_count; i++) {
    char name[LINE_SIZE];
    snprintf(name, sizeof name, "%s", embedded_files[i].name);
    char *const dot = strrchr(name, '.');
    if (dot == NULL || strcmp(dot, ".sql") != 0) {
      continue;
    }
    *dot = '\0';
    const enum status status =
        apply(migration, name, embedded_files[i].text, &is_any_applied, error);
    if (status != STATUS_OK) {
      return status;
    }
    memcpy(last, name, sizeof last);
  }
  if (!is_any_applied) {
    say(migration, "up to date: %s", last);
  }
  return store_query(migration->connection, "SELECT muster.grant_roles()", "grant rights", NULL,
                     error);
}

static enum status keep_subject_key(const struct migration *migration, struct error *error) {
  uint8_t key[SUBJECT_KEY_SIZE];
  if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key) {
    return error_set(error, STATUS_UNAVAILABLE, "the system gives no random bytes");
  }
  struct buffer script = {0};
  store_script(&script, "INSERT INTO muster.secret VALUES ('subject_key', ");
  store_script_bytes(&script, span_of(key, sizeof key));
  store_script(&script, ") ON CONFLICT DO NOTHING");
  PGresult *result = NULL;
  const enum status status = store_query(migration->connection, (const char *)script.data,
                                         "keep a subject key", &result, error);
  explicit_bzero(key, sizeof key);
  explicit_bzero(script.data, script.size);
  buffer_fini(&script);
  if (status == STATUS_OK) {
    say(migration,
        "%s the subject key in the database: for trying out; a lost database takes it "
        "along; see privacy.subject_key_file",
        strcmp(PQcmdTuples(result), "1") == 0 ? "made and keeps" : "keeps");
    PQclear(result);
  }
  return status;
}

enum status store_migrate(const char *dsn, bool keeps_subject_key,
                          void (*say_line)(void *context, const char *line), void *context,
                          struct error *error) {
  struct migration migration = {.say = say_line, .context = context};
  enum status status = store_connect(dsn, "muster migrate", &migration.connection, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = store_query(migration.connection, LOCK_SQL, "wait for other migrations", NULL, error);
  if (status == STATUS_OK) {
    status = create_roles(&migration, error);
  }
  if (status == STATUS_OK) {
    status = create_schema(&migration, error);
  }
  if (status == STATUS_OK) {
    status = apply_all(&migration, error);
  }
  if (status == STATUS_OK && keeps_subject_key) {
    status = keep_subject_key(&migration, error);
  }
  PQfinish(migration.connection); /* lets go of the lock */
  return status;
}

enum status store_subject_key(const char *dsn, uint8_t key[SUBJECT_KEY_SIZE], struct error *error) {
  struct store *store;
  enum status status = store_open(dsn, &store, error);
  if (status != STATUS_OK) {
    return status;
  }
  PGresult *result = NULL;
  status = store_query(store->connection,
                       "SELECT encode(value, 'hex') FROM muster.secret WHERE name = 'subject_key'",
                       "read the subject key", &result, error);
  if (status == STATUS_OK &&
      (PQntuples(result) != 1 || PQgetlength(result, 0, 0) != 2 * SUBJECT_KEY_SIZE)) {
    status = error_set(error, STATUS_CONFIG,
                       "the database holds no subject key: run `muster "
                       "migrate` or set privacy.subject_key_file");
  }
  for (size_t i = 0; status == STATUS_OK && i < SUBJECT_KEY_SIZE; i++) {
    const char digits[3] = {PQgetvalue(result, 0, 0)[2 * i], PQgetvalue(result, 0, 0)[2 * i + 1]};
    key[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  PQclear(result);
  store_close(store);
  return status;
}
