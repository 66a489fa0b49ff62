/* policy list: what was in force, from when on, and who asked for it. */
#include "core/app/command.h"
#include "core/app/listing.h"
#include "core/app/policy_shipped.h"
#include "core/app/policy_text.h"
#include "core/app/policy_yaml.h"
#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>

static const struct column columns[] = {
    {.name = "version", .type = COLUMN_TEXT},     {.name = "title", .type = COLUMN_TEXT},
    {.name = "since", .type = COLUMN_TIME},       {.name = "applied_by", .type = COLUMN_TEXT},
    {.name = "in_force", .type = COLUMN_BOOLEAN}, {.name = "sha256", .type = COLUMN_TEXT},
};

enum { COLUMN_COUNT = COUNT_OF(columns) };

/* The file of the version in a row: as it was applied, or the program's own. */
static struct span file_of(struct span version, struct span content) {
  char name[POLICY_NAME_SIZE];
  if (content.data != NULL) {
    return content;
  }
  snprintf(name, sizeof name, "%.*s", (int)version.size, (const char *)version.data);
  return policy_shipped_text(name);
}

static void put_policy(struct output *output, struct span version, struct span file,
                       struct cell since, struct cell by, bool is_in_force) {
  struct policy *const policy = memory_zeroed(1, sizeof *policy);
  struct findings *const findings = memory_zeroed(1, sizeof *findings);
  char hash_text[HEX_DIGEST_SIZE] = "";
  if (file.data != NULL && policy_read(file, policy, findings)) {
    uint8_t hash[DIGEST_SIZE];
    policy_hash(policy, hash);
    hex_format(hash, sizeof hash, hash_text);
  }
  const bool is_read = hash_text[0] != '\0';
  output_row(output, (struct cell[]){cell_text(version),
                                     is_read ? cell_text(span_text(policy->title)) : cell_null(),
                                     since, by, cell_boolean(is_in_force),
                                     is_read ? cell_text(span_text(hash_text)) : cell_null()});
  free(findings);
  free(policy);
}

struct list {
  struct output *output;
  size_t row_count;
};

static enum status take_row(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct list *const list = context;
  list->row_count++;
  put_policy(list->output, values[0], file_of(values[0], values[1]),
             listing_cell(COLUMN_TIME, values[2]), listing_cell(COLUMN_TEXT, values[3]),
             database_boolean(values[4]));
  return STATUS_OK;
}

static const char sql[] =
    "select name, content, (extract(epoch from at) * 1000)::bigint, coalesce(actor_email, actor), "
    "control_offset = max(control_offset) over () from muster.control_detail "
    "where kind = $1::integer order by control_offset desc";

enum status command_policy_list(const struct command_line *line, struct error *error) {
  char kind[16];
  struct pg_conn *database = NULL;
  struct list list = {.output = output_open(stdout, line->output, columns, COLUMN_COUNT)};
  snprintf(kind, sizeof kind, "%d", (int)EVENT_POLICY);
  enum status status = database_open(line->config.postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database, sql, (const char *const[]){kind}, 1, take_row, &list, error);
  }
  database_close(database);
  if (status != STATUS_OK) {
    output_abandon(list.output);
    return status;
  }
  /* Lanes begin with this one. */
  const struct span beginning = span_text(policy_default()->version);
  put_policy(list.output, beginning, file_of(beginning, span_of(NULL, 0)), cell_null(), cell_null(),
             list.row_count == 0);
  return output_close(list.output, error);
}
