/* A query whose rows are printed as they come: what the database holds, as columns. */
#ifndef MUSTER_APP_LISTING_H
#define MUSTER_APP_LISTING_H

#include "core/app/database.h"
#include "core/app/output.h"

struct listing {
  const struct column *columns; /* in the order of the statement's */
  size_t column_count;
  const char *sql;
  const char *const *parameters;
  size_t parameter_count;
  bool is_single; /* at most one row, printed as one object */
};

/* The cell of a value that PostgreSQL wrote as text: times as milliseconds since 1970 UTC, lists
 * with a '\n' between items. */
struct cell listing_cell(enum column_type type, struct span value);

/* Prints on stdout; `row_count` is how many rows there were. */
enum status listing_print(struct pg_conn *database, const struct listing *listing,
                          enum output_format format, size_t *row_count,
                          struct error *error) MUST_USE;

#endif
