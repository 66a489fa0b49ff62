/* Rows of typed columns on a stream: a table for people, JSON, NDJSON or CSV for programs.
 *
 * Rows are written as they come; a table holds back its first rows only, to align them. */
#ifndef MUSTER_APP_OUTPUT_H
#define MUSTER_APP_OUTPUT_H

#include "core/app/command.h"
#include "core/span.h"

#include <stdio.h>

enum column_type {
  COLUMN_TEXT, /* UTF-8; a byte that is not is shown as U+FFFD */
  COLUMN_INTEGER,
  COLUMN_NUMBER, /* a fraction, shown with three decimals */
  COLUMN_BOOLEAN,
  COLUMN_TIME, /* milliseconds since 1970 UTC; RFC 3339 with milliseconds */
  COLUMN_LIST, /* texts, each ended or parted by '\n'; an empty text is an empty list */
  COLUMN_JSON, /* a JSON value as it stands */
};

struct column {
  const char *name; /* as in JSON; a table shows it in upper case */
  enum column_type type;
  bool is_hidden; /* left out of tables of many rows: wide, or of little interest to people */
};

struct cell {
  bool is_null;
  union {
    struct span text; /* COLUMN_TEXT, COLUMN_LIST, COLUMN_JSON */
    int64_t integer;  /* COLUMN_INTEGER, COLUMN_TIME */
    double number;
    bool boolean;
  };
};

struct output;

/* Many rows: JSON is one array, a table has a header line. `columns` outlives the output. */
struct output *output_open(FILE *stream, enum output_format format, const struct column *columns,
                           size_t column_count);

/* One row: JSON is one object, a table has a line a column. */
struct output *output_open_single(FILE *stream, enum output_format format,
                                  const struct column *columns, size_t column_count);

/* `cells` has one cell a column and is copied where it is kept. */
void output_row(struct output *output, const struct cell *cells);

/* Ends the array or the table, flushes and frees. STATUS_UNAVAILABLE when anything could not be
 * written. */
enum status output_close(struct output *output, struct error *error) MUST_USE;

/* Frees an output whose rows could not all be had, without the end that would make it look
 * complete. */
void output_abandon(struct output *output);

/* A value as a table shows it, which is not null. */
void output_plain_cell(FILE *stream, const struct column *column, const struct cell *cell);

/* A text without the control characters that a terminal would obey. */
void output_shown_text(FILE *stream, struct span text);

/* Takes the next item of a list, as COLUMN_LIST has them; false when there is none left. */
bool output_next_item(struct span *list, struct span *item);

/* A JSON string with its quotes, on one line. */
void output_json_text(FILE *stream, struct span text);

static inline struct cell cell_null(void) {
  return (struct cell){.is_null = true};
}

static inline struct cell cell_text(struct span text) {
  return (struct cell){.text = text};
}

static inline struct cell cell_integer(int64_t integer) {
  return (struct cell){.integer = integer};
}

static inline struct cell cell_boolean(bool boolean) {
  return (struct cell){.boolean = boolean};
}

#endif
