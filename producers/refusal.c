#include "producers/refusal.h"

#include <libpq-fe.h>
#include <string.h>

/* Whether every server that was asked refuses us for what it is configured to: who we are
 * (class 28), or the database's name. "FATAL:  28P01: " is what libpq writes with SQLSTATEs, in
 * whatever language the server speaks. */
static bool is_refused(const char *text) {
  static const char failed[] = " failed: ";
  size_t asked = 0;
  size_t refused = 0;
  for (const char *at = text; (at = strstr(at, failed)) != NULL; at += strlen(failed)) {
    asked++;
  }
  for (const char *at = text; (at = strstr(at, ":  ")) != NULL; at++) {
    refused += strlen(at) > 10 && memcmp(at + 8, ": ", 2) == 0 &&
               (memcmp(at + 3, "28", 2) == 0 || memcmp(at + 3, "3D000", 5) == 0);
  }
  return refused > 0 && refused >= asked;
}

/* libpq has the SQLSTATE of a refusal, but tells it only in texts, and only to who asks for it
 * before it connects. */
enum status refusal_explain(PGconn *connection, enum status status, struct error *error) {
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
  PQreset(connection);
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  if (PQstatus(connection) == CONNECTION_OK) {
    return STATUS_OK;
  }
  if (!PQconnectionNeedsPassword(connection) && !is_refused(PQerrorMessage(connection))) {
    return status;
  }
  const struct error told = *error;
  return error_set(error, STATUS_CONFIG, "%s; see postgres.dsn and the server's pg_hba.conf",
                   told.text);
}
