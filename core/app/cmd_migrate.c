#include "core/app/command.h"
#include "core/app/database.h"
#include "producers/store.h"

#include <stdio.h>

static void print_line(void *context, const char *line) {
  (void)context;
  puts(line);
}

enum status command_migrate(const struct command_line *line, struct error *error) {
  const char *const dsn = line->config.postgres.dsn;
  const bool keeps_subject_key = line->config.privacy.subject_key_file[0] == '\0';
  struct pg_conn *database; /* connected for the sake of its patience alone */
  const enum status status = database_open(dsn, &database, error);
  if (status != STATUS_OK) {
    return status;
  }
  database_close(database);
  return store_migrate(dsn, keeps_subject_key, print_line, NULL, error);
}
