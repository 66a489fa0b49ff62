#include "core/app/listing.h"

#include "core/app/text.h"

#include <stdlib.h>

struct printing {
  const struct listing *listing;
  struct output *output;
  struct cell *cells;
  size_t row_count;
};

struct cell listing_cell(enum column_type type, struct span value) {
  if (value.data == NULL) {
    return cell_null();
  }
  switch (type) {
  case COLUMN_TEXT:
  case COLUMN_LIST:
  case COLUMN_JSON:
    return cell_text(value);
  case COLUMN_INTEGER:
  case COLUMN_TIME:
    return cell_integer(database_integer(value));
  case COLUMN_NUMBER:
    return (struct cell){.number = strtod((const char *)value.data, NULL)};
  case COLUMN_BOOLEAN:
    return cell_boolean(database_boolean(value));
  }
  assert(false);
  return cell_null();
}

static enum status print_row(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct printing *const printing = context;
  for (size_t i = 0; i < printing->listing->column_count; i++) {
    printing->cells[i] = listing_cell(printing->listing->columns[i].type, values[i]);
  }
  output_row(printing->output, printing->cells);
  printing->row_count++;
  return STATUS_OK;
}

enum status listing_print(struct pg_conn *database, const struct listing *listing,
                          enum output_format format, size_t *row_count, struct error *error) {
  struct printing printing = {
      .listing = listing,
      .output = listing->is_single
                    ? output_open_single(stdout, format, listing->columns, listing->column_count)
                    : output_open(stdout, format, listing->columns, listing->column_count),
      .cells = memory_zeroed(listing->column_count, sizeof(struct cell)),
  };
  const enum status status = database_query(database, listing->sql, listing->parameters,
                                            listing->parameter_count, print_row, &printing, error);
  free(printing.cells);
  *row_count = printing.row_count;
  if (status != STATUS_OK) {
    output_abandon(printing.output);
    return status;
  }
  return output_close(printing.output, error);
}
