#include "core/app/device_columns.h"

const struct column device_columns[DEVICE_COLUMN_COUNT] = {
#define X(place, column, kind, hidden, expression)                                                 \
  {.name = #column, .type = COLUMN_##kind, .is_hidden = (hidden)},
    DEVICE_COLUMN_LIST(X)
#undef X
};

const char *const device_expressions[DEVICE_COLUMN_COUNT] = {
#define X(place, column, kind, hidden, expression) expression,
    DEVICE_COLUMN_LIST(X)
#undef X
};
