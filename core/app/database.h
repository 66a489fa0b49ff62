/* Reading the database from short commands: connect with a deadline, query, rows one by one. */
#ifndef MUSTER_APP_DATABASE_H
#define MUSTER_APP_DATABASE_H

#include "core/span.h"
#include "core/status.h"

/* Opaque here: PGconn in the files that include libpq. */
struct pg_conn;

enum { DATABASE_CONNECT_S = 10, DATABASE_DEADLINE_S = 30 };

/* Connects within the dsn's connect_timeout, else DATABASE_CONNECT_S a host, and tries again
 * until DATABASE_DEADLINE_S in total while nobody answers or the server is starting up. A dsn that
 * cannot be read is STATUS_CONFIG, no connection STATUS_UNAVAILABLE. Blocks. */
enum status database_open(const char *dsn, struct pg_conn **database, struct error *error) MUST_USE;
void database_close(struct pg_conn *database); /* NULL is allowed */

/* One row: a view a column, valid during the call; `data` is NULL for an SQL null. Anything but
 * STATUS_OK ends the query with that status. */
typedef enum status (*database_row_fn)(void *context, const struct span *values,
                                       struct error *error);

/* Runs one statement with text parameters ($1 is parameters[0]; NULL is an SQL null) and hands
 * over its rows one by one: memory does not grow with their number. A schema that is missing or
 * older than this binary is STATUS_CONFIG and says `muster migrate`. STATUS_UNAVAILABLE when
 * nothing came for DATABASE_DEADLINE_S and the server takes no new connection either: a query
 * may take longer than that, a server that is gone may not. */
enum status database_query(struct pg_conn *database, const char *sql, const char *const *parameters,
                           size_t parameter_count, database_row_fn each, void *context,
                           struct error *error) MUST_USE;

/* Numbers and booleans as PostgreSQL writes them in text. */
int64_t database_integer(struct span value);
bool database_boolean(struct span value);

/* The dsn as keyword=value text with its passwords replaced by ***; the caller frees it. */
char *database_dsn_shown(const char *dsn);

#endif
