#include "core/app/command.h"

#include "producers/store.h"

#include <stdio.h>

static void print_line(void *context, const char *line) {
  (void)context;
  puts(line);
}

enum status command_migrate(const struct command_line *line, struct error *error) {
  return store_migrate(line->config.postgres.dsn, print_line, NULL, error);
}
