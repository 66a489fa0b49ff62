#include "core/app/output.h"

#include "core/app/text.h"
#include "core/time_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A table's columns are as wide as its first rows need; a wider cell after them moves the rest
 * of its own line. */
enum { TABLE_ROWS_HELD_MAX = 1000, COLUMN_GAP = 2 };

struct output {
  FILE *stream;
  enum output_format format;
  const struct column *columns;
  size_t column_count;
  bool is_single;
  size_t row_count;
  size_t *widths;    /* of a table, in characters */
  char **held_cells; /* of the rows held back, one after the other; shown columns alone */
  size_t held_count;
  bool is_aligned; /* the rows held back are written: widths are final */
};

/* --- one value ------------------------------------------------------------------------- */

static void put_hex_escape(FILE *stream, unsigned byte) {
  fprintf(stream, "\\u%04x", byte);
}

void output_json_text(FILE *stream, struct span text) {
  const bool is_utf8 = span_is_utf8(text);
  fputc('"', stream);
  for (size_t i = 0; i < text.size; i++) {
    const uint8_t byte = text.data[i];
    if (byte == '"' || byte == '\\') {
      fputc('\\', stream);
      fputc(byte, stream);
    } else if (byte < 0x20 || byte == 0x7f) {
      put_hex_escape(stream, byte);
    } else if (byte >= 0x80 && !is_utf8) {
      fputs("\\ufffd", stream);
    } else {
      fputc(byte, stream);
    }
  }
  fputc('"', stream);
}

bool output_next_item(struct span *list, struct span *item) {
  if (list->size == 0) {
    return false;
  }
  const uint8_t *const newline = memchr(list->data, '\n', list->size);
  const size_t size = newline == NULL ? list->size : (size_t)(newline - list->data);
  *item = span_of(list->data, size);
  const size_t taken = newline == NULL ? size : size + 1;
  *list = span_of(list->data + taken, list->size - taken);
  return true;
}

static void put_json_list(FILE *stream, struct span list) {
  struct span item;
  bool is_first = true;
  fputc('[', stream);
  while (output_next_item(&list, &item)) {
    fputs(is_first ? "" : ",", stream);
    output_json_text(stream, item);
    is_first = false;
  }
  fputc(']', stream);
}

static void put_number(FILE *stream, double number, const char *if_none) {
  if (isfinite(number)) {
    fprintf(stream, "%.3f", number);
  } else {
    fputs(if_none, stream);
  }
}

static void put_time(FILE *stream, int64_t at_ms) {
  char text[TIME_TEXT_SIZE];
  if (at_ms < TIME_TEXT_MIN_MS || at_ms > TIME_TEXT_MAX_MS) {
    return;
  }
  time_format(at_ms, text);
  fputs(text, stream);
}

static void put_json_cell(FILE *stream, enum column_type type, const struct cell *cell) {
  if (cell->is_null) {
    fputs("null", stream);
    return;
  }
  switch (type) {
  case COLUMN_TEXT:
    output_json_text(stream, cell->text);
    break;
  case COLUMN_INTEGER:
    fprintf(stream, "%" PRId64, cell->integer);
    break;
  case COLUMN_NUMBER:
    put_number(stream, cell->number, "null");
    break;
  case COLUMN_BOOLEAN:
    fputs(cell->boolean ? "true" : "false", stream);
    break;
  case COLUMN_TIME:
    fputc('"', stream);
    put_time(stream, cell->integer);
    fputc('"', stream);
    break;
  case COLUMN_LIST:
    put_json_list(stream, cell->text);
    break;
  case COLUMN_JSON:
    fwrite(cell->text.data, 1, cell->text.size, stream);
    break;
  }
}

/* A terminal obeys control characters: none reaches it from a value. */
void output_shown_text(FILE *stream, struct span text) {
  const bool is_text = span_is_utf8_text(text);
  for (size_t i = 0; i < text.size; i++) {
    const uint8_t byte = text.data[i];
    const bool is_strange = byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text);
    if (is_strange) {
      fputs("\xef\xbf\xbd", stream);
    } else {
      fputc(byte, stream);
    }
  }
}

/* A list's items, `separator` between them. */
static void put_list(FILE *stream, struct span list, const char *separator) {
  struct span item;
  bool is_first = true;
  while (output_next_item(&list, &item)) {
    fputs(is_first ? "" : separator, stream);
    output_shown_text(stream, item);
    is_first = false;
  }
}

/* A value as people read it; also what a CSV field holds before it is quoted. */
static void put_plain_cell(FILE *stream, enum column_type type, const struct cell *cell,
                           const char *separator) {
  switch (type) {
  case COLUMN_TEXT:
    output_shown_text(stream, cell->text);
    break;
  case COLUMN_INTEGER:
    fprintf(stream, "%" PRId64, cell->integer);
    break;
  case COLUMN_NUMBER:
    put_number(stream, cell->number, "");
    break;
  case COLUMN_BOOLEAN:
    fputs(cell->boolean ? "true" : "false", stream);
    break;
  case COLUMN_TIME:
    put_time(stream, cell->integer);
    break;
  case COLUMN_LIST:
    put_list(stream, cell->text, separator);
    break;
  case COLUMN_JSON:
    output_shown_text(stream, cell->text);
    break;
  }
}

void output_plain_cell(FILE *stream, const struct column *column, const struct cell *cell) {
  put_plain_cell(stream, column->type, cell, " ");
}

/* The caller frees the text. */
static char *plain_text(enum column_type type, const struct cell *cell, const char *separator) {
  char *text = NULL;
  size_t size = 0;
  FILE *const stream = open_memstream(&text, &size);
  if (stream == NULL) {
    return text_copy("");
  }
  put_plain_cell(stream, type, cell, separator);
  fclose(stream);
  return text == NULL ? text_copy("") : text;
}

/* --- a row ------------------------------------------------------------------------------ */

static void put_json_row(struct output *output, const struct cell *cells) {
  fputc('{', output->stream);
  for (size_t i = 0; i < output->column_count; i++) {
    fputs(i == 0 ? "" : ",", output->stream);
    output_json_text(output->stream, span_text(output->columns[i].name));
    fputc(':', output->stream);
    put_json_cell(output->stream, output->columns[i].type, &cells[i]);
  }
  fputc('}', output->stream);
}

static bool needs_quotes(struct span text) {
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == ',' || text.data[i] == '"' || text.data[i] == '\r' ||
        text.data[i] == '\n') {
      return true;
    }
  }
  return false;
}

/* RFC 4180: quotes around what holds a comma, a quote or a line's end; quotes doubled. The file
 * is UTF-8 whatever a text holds, and without zero bytes, which end a text for many a reader. */
static void put_csv_field(FILE *stream, struct span text) {
  const bool is_quoted = needs_quotes(text);
  const bool is_utf8 = span_is_utf8(text);
  fputs(is_quoted ? "\"" : "", stream);
  for (size_t i = 0; i < text.size; i++) {
    const uint8_t byte = text.data[i];
    fputs(byte == '"' ? "\"" : "", stream);
    if (byte == 0 || (byte >= 0x80 && !is_utf8)) {
      fputs("\xef\xbf\xbd", stream);
    } else {
      fputc(byte, stream);
    }
  }
  fputs(is_quoted ? "\"" : "", stream);
}

/* A program gets a text as it is; only people are spared control characters. */
static void put_csv_row(struct output *output, const struct cell *cells) {
  for (size_t i = 0; i < output->column_count; i++) {
    fputs(i == 0 ? "" : ",", output->stream);
    if (cells[i].is_null) {
      continue;
    }
    const enum column_type type = output->columns[i].type;
    if (type == COLUMN_TEXT || type == COLUMN_JSON) {
      put_csv_field(output->stream, cells[i].text);
    } else {
      char *const text = plain_text(type, &cells[i], ",");
      put_csv_field(output->stream, span_text(text));
      free(text);
    }
  }
  fputs("\r\n", output->stream);
}

static void put_csv_header(const struct output *output) {
  for (size_t i = 0; i < output->column_count; i++) {
    fputs(i == 0 ? "" : ",", output->stream);
    put_csv_field(output->stream, span_text(output->columns[i].name));
  }
  fputs("\r\n", output->stream);
}

/* Characters, not bytes: those that begin a UTF-8 sequence. */
static size_t width_of(const char *text) {
  size_t width = 0;
  for (const char *at = text; *at != '\0'; at++) {
    width += ((unsigned char)*at & 0xc0) != 0x80 ? 1 : 0;
  }
  return width;
}

static void put_spaces(FILE *stream, size_t count) {
  for (size_t i = 0; i < count; i++) {
    fputc(' ', stream);
  }
}

static bool is_shown(const struct output *output, size_t column) {
  return !output->columns[column].is_hidden;
}

static bool is_last_shown(const struct output *output, size_t column) {
  for (size_t i = column + 1; i < output->column_count; i++) {
    if (is_shown(output, i)) {
      return false;
    }
  }
  return true;
}

static bool is_numeric(enum column_type type) {
  return type == COLUMN_INTEGER || type == COLUMN_NUMBER;
}

static void put_table_cell(const struct output *output, size_t column, const char *text) {
  const size_t width = width_of(text);
  const size_t padding = output->widths[column] > width ? output->widths[column] - width : 0;
  const bool is_right = is_numeric(output->columns[column].type);
  put_spaces(output->stream, is_right ? padding : 0);
  fputs(text, output->stream);
  if (is_last_shown(output, column)) {
    fputc('\n', output->stream);
  } else {
    put_spaces(output->stream, COLUMN_GAP + (is_right ? 0 : padding));
  }
}

static char *table_text(const struct output *output, size_t column, const struct cell *cell) {
  char *const text =
      cell->is_null ? text_copy("-") : plain_text(output->columns[column].type, cell, " ");
  if (text[0] != '\0') {
    return text;
  }
  free(text);
  return text_copy("-");
}

static char *header_text(const struct column *column) {
  char *const text = text_copy(column->name);
  for (char *at = text; *at != '\0'; at++) {
    *at = (char)toupper((unsigned char)*at);
  }
  return text;
}

static void widen(struct output *output, size_t column, const char *text) {
  const size_t width = width_of(text);
  if (width > output->widths[column]) {
    output->widths[column] = width;
  }
}

static void write_table_header(struct output *output) {
  for (size_t i = 0; i < output->column_count; i++) {
    if (is_shown(output, i)) {
      char *const text = header_text(&output->columns[i]);
      put_table_cell(output, i, text);
      free(text);
    }
  }
}

/* Writes the header and what was held back; later rows go straight out. */
static void align_table(struct output *output) {
  write_table_header(output);
  for (size_t i = 0; i < output->held_count; i++) {
    const size_t column = i % output->column_count;
    if (is_shown(output, column)) {
      put_table_cell(output, column, output->held_cells[i]);
    }
    free(output->held_cells[i]);
  }
  free(output->held_cells);
  output->held_cells = NULL;
  output->held_count = 0;
  output->is_aligned = true;
}

static void put_table_row(struct output *output, const struct cell *cells) {
  if (output->held_cells == NULL && !output->is_aligned) {
    output->held_cells = memory_zeroed(TABLE_ROWS_HELD_MAX * output->column_count, sizeof(char *));
  }
  for (size_t i = 0; i < output->column_count; i++) {
    char *const text = is_shown(output, i) ? table_text(output, i, &cells[i]) : NULL;
    if (output->is_aligned) {
      if (text != NULL) {
        put_table_cell(output, i, text);
      }
      free(text);
    } else {
      if (text != NULL) {
        widen(output, i, text);
      }
      output->held_cells[output->held_count++] = text;
    }
  }
  if (!output->is_aligned && output->held_count == TABLE_ROWS_HELD_MAX * output->column_count) {
    align_table(output);
  }
}

/* One record for people: a line a column, a list's items below one another. */
static void put_record(struct output *output, const struct cell *cells) {
  size_t width = 0;
  for (size_t i = 0; i < output->column_count; i++) {
    const size_t size = strlen(output->columns[i].name);
    width = size > width ? size : width;
  }
  char *const separator = memory_zeroed(width + COLUMN_GAP + 2, 1);
  separator[0] = '\n';
  memset(separator + 1, ' ', width + COLUMN_GAP);
  for (size_t i = 0; i < output->column_count; i++) {
    const char *const name = output->columns[i].name;
    fprintf(output->stream, "%-*s", (int)(width + COLUMN_GAP), name);
    char *const text = cells[i].is_null ? text_copy("-")
                                        : plain_text(output->columns[i].type, &cells[i], separator);
    fprintf(output->stream, "%s\n", text[0] == '\0' ? "-" : text);
    free(text);
  }
  free(separator);
}

/* --- the whole -------------------------------------------------------------------------- */

static struct output *open_output(FILE *stream, enum output_format format,
                                  const struct column *columns, size_t column_count,
                                  bool is_single) {
  struct output *const output = memory_zeroed(1, sizeof *output);
  output->stream = stream;
  output->format = format;
  output->columns = columns;
  output->column_count = column_count;
  output->is_single = is_single;
  output->widths = memory_zeroed(column_count, sizeof output->widths[0]);
  for (size_t i = 0; i < column_count; i++) {
    output->widths[i] = strlen(columns[i].name);
  }
  return output;
}

struct output *output_open(FILE *stream, enum output_format format, const struct column *columns,
                           size_t column_count) {
  return open_output(stream, format, columns, column_count, false);
}

struct output *output_open_single(FILE *stream, enum output_format format,
                                  const struct column *columns, size_t column_count) {
  return open_output(stream, format, columns, column_count, true);
}

void output_row(struct output *output, const struct cell *cells) {
  assert(!output->is_single || output->row_count == 0);
  switch (output->format) {
  case OUTPUT_TABLE:
    if (output->is_single) {
      put_record(output, cells);
    } else {
      put_table_row(output, cells);
    }
    break;
  case OUTPUT_JSON:
    if (!output->is_single) {
      fputs(output->row_count == 0 ? "[\n" : ",\n", output->stream);
    }
    put_json_row(output, cells);
    break;
  case OUTPUT_NDJSON:
    put_json_row(output, cells);
    fputc('\n', output->stream);
    break;
  case OUTPUT_CSV:
    if (output->row_count == 0) {
      put_csv_header(output);
    }
    put_csv_row(output, cells);
    break;
  }
  output->row_count++;
}

static void put_end(struct output *output) {
  FILE *const stream = output->stream;
  if (output->is_single) {
    fputs(output->format == OUTPUT_JSON && output->row_count > 0 ? "\n" : "", stream);
    return;
  }
  switch (output->format) {
  case OUTPUT_TABLE:
    if (!output->is_aligned) {
      align_table(output);
    }
    break;
  case OUTPUT_JSON:
    fputs(output->row_count == 0 ? "[]\n" : "\n]\n", stream);
    break;
  case OUTPUT_NDJSON:
    break;
  case OUTPUT_CSV:
    if (output->row_count == 0) {
      put_csv_header(output);
    }
    break;
  }
}

enum status output_close(struct output *output, struct error *error) {
  put_end(output);
  errno = 0;
  const bool failed = fflush(output->stream) != 0 || ferror(output->stream) != 0;
  const int reason = errno;
  output_abandon(output);
  if (failed) {
    return error_set(error, STATUS_UNAVAILABLE, "cannot write the output: %s",
                     reason != 0 ? strerror(reason) : "an earlier write failed");
  }
  return STATUS_OK;
}

void output_abandon(struct output *output) {
  for (size_t i = 0; i < output->held_count; i++) {
    free(output->held_cells[i]);
  }
  free(output->held_cells);
  free(output->widths);
  free(output);
}
