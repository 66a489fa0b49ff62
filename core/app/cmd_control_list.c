/* role list, group list, profile list: who may do what, who is in which group, what was pushed
 * last, as the processor knows it. */
#include "core/app/command.h"
#include "core/app/listing.h"
#include "core/profile.h"

#include <stdio.h>

/* In both lists what was said last counts. Who asked is named by address when it is known, else as
 * the audit entry has it. */

/* Rows of a query, behind rows that are there without one. */
struct rows {
  struct output *output;
  const struct column *columns;
  size_t column_count;
};

enum { COLUMNS_MAX = 8 };

static enum status take_row(void *context, const struct span *values, struct error *error) {
  (void)error;
  const struct rows *const rows = context;
  struct cell cells[COLUMNS_MAX];
  for (size_t i = 0; i < rows->column_count; i++) {
    cells[i] = listing_cell(rows->columns[i].type, values[i]);
  }
  output_row(rows->output, cells);
  return STATUS_OK;
}

/* ---- role list ---- */

static const struct column role_columns[] = {
    {.name = "role", .type = COLUMN_TEXT},       {.name = "user_email", .type = COLUMN_TEXT},
    {.name = "subject", .type = COLUMN_TEXT},    {.name = "since", .type = COLUMN_TIME},
    {.name = "granted_by", .type = COLUMN_TEXT},
};

enum { ROLE_COLUMN_COUNT = COUNT_OF(role_columns) };

static const char roles_sql[] =
    "select case c.symbol when 0 then 'ADMIN' else 'OPERATOR' end, c.user_email, c.subject, "
    "(extract(epoch from c.at) * 1000)::bigint, coalesce(c.actor_email, c.actor) "
    "from muster.control_detail c where c.kind = $1::integer and not c.is_off and not exists "
    "(select from muster.control_detail l where l.kind = c.kind and l.symbol = c.symbol "
    "and l.subject = c.subject and l.control_offset > c.control_offset) "
    "order by c.symbol, c.control_offset";

/* Admins by the configuration: they need no grant, and none takes their role away. */
static void put_bootstrap_admins(const struct config *config, struct output *output) {
  for (size_t i = 0; i < config->roles.bootstrap_admins.count; i++) {
    const struct cell cells[ROLE_COLUMN_COUNT] = {
        cell_text(span_text(role_name(ROLE_ADMIN))),
        cell_text(span_text(config->roles.bootstrap_admins.items[i])),
        cell_null(),
        cell_null(),
        cell_text(span_text("roles.bootstrap_admins")),
    };
    output_row(output, cells);
  }
}

/* ---- group list ---- */

static const struct column group_columns[] = {
    {.name = "group", .type = COLUMN_TEXT},   {.name = "user_email", .type = COLUMN_TEXT},
    {.name = "subject", .type = COLUMN_TEXT}, {.name = "serial", .type = COLUMN_TEXT},
    {.name = "since", .type = COLUMN_TIME},   {.name = "added_by", .type = COLUMN_TEXT},
};

static const char groups_sql[] =
    "select c.name, c.user_email, c.subject, c.serial, "
    "(extract(epoch from c.at) * 1000)::bigint, coalesce(c.actor_email, c.actor) "
    "from muster.control_detail c where c.kind = $1::integer and not c.is_off and not exists "
    "(select from muster.control_detail l where l.kind = c.kind and l.name = c.name "
    "and l.subject is not distinct from c.subject and l.serial is not distinct from c.serial "
    "and l.control_offset > c.control_offset) order by c.name collate \"C\", c.control_offset";

/* ---- profile list ---- */

static const struct column profile_columns[] = {
    {.name = "profile", .type = COLUMN_TEXT}, {.name = "platforms", .type = COLUMN_LIST},
    {.name = "content", .type = COLUMN_LIST}, {.name = "revision", .type = COLUMN_TEXT},
    {.name = "since", .type = COLUMN_TIME},
};

static const char profiles_sql[] =
    "select p.number, c.name, (extract(epoch from c.at) * 1000)::bigint "
    "from generate_series(0, 2) p (number) left join lateral "
    "(select l.name, l.at from muster.control_detail l where l.kind = $1::integer "
    "and l.symbol = p.number order by l.control_offset desc limit 1) c on true order by p.number";
static_assert(PROFILE_COUNT == 3, "the query names them all");

enum { PLATFORMS_TEXT_SIZE = 64 };

static struct span platforms_list(uint8_t platforms, char text[PLATFORMS_TEXT_SIZE]) {
  size_t size = 0;
  for (enum platform platform = 0; platform < PLATFORM_COUNT; platform++) {
    if ((platforms & 1u << platform) != 0) {
      size += (size_t)snprintf(text + size, PLATFORMS_TEXT_SIZE - size, "%s\n",
                               platform_name(platform));
    }
  }
  return span_of(text, size);
}

static enum status take_profile(void *context, const struct span *values, struct error *error) {
  (void)error;
  const struct rows *const rows = context;
  const enum profile profile = (enum profile)(values[0].data[0] - '0');
  char platforms[PLATFORMS_TEXT_SIZE];
  const struct cell cells[COUNT_OF(profile_columns)] = {
      cell_text(span_text(profile_name(profile))),
      cell_text(platforms_list(profile_entry(profile)->platforms, platforms)),
      cell_text(span_text(profile_entry(profile)->content)),
      listing_cell(COLUMN_TEXT, values[1]),
      listing_cell(COLUMN_TIME, values[2]),
  };
  output_row(rows->output, cells);
  return STATUS_OK;
}

/* ---- All ---- */

struct listed {
  struct rows rows;
  enum status (*take)(void *context, const struct span *values, struct error *error);
  const char *sql;
  enum event_kind kind;
};

static enum status print(const struct command_line *line, const struct listed *listed,
                         struct error *error) {
  const struct rows *const rows = &listed->rows;
  char kind_text[16];
  struct pg_conn *database = NULL;
  snprintf(kind_text, sizeof kind_text, "%d", (int)listed->kind);
  enum status status = database_open(line->config.postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database, listed->sql, (const char *const[]){kind_text}, 1,
                            listed->take, (void *)(uintptr_t)rows, error);
  }
  database_close(database);
  if (status != STATUS_OK) {
    output_abandon(rows->output);
    return status;
  }
  return output_close(rows->output, error);
}

static struct rows open_rows(const struct command_line *line, const struct column *columns,
                             size_t count) {
  return (struct rows){output_open(stdout, line->output, columns, count), columns, count};
}

enum status command_role_list(const struct command_line *line, struct error *error) {
  const struct listed listed = {open_rows(line, role_columns, ROLE_COLUMN_COUNT), take_row,
                                roles_sql, EVENT_ROLE};
  put_bootstrap_admins(&line->config, listed.rows.output);
  return print(line, &listed, error);
}

enum status command_group_list(const struct command_line *line, struct error *error) {
  const struct listed listed = {open_rows(line, group_columns, COUNT_OF(group_columns)), take_row,
                                groups_sql, EVENT_GROUP};
  return print(line, &listed, error);
}

enum status command_profile_list(const struct command_line *line, struct error *error) {
  const struct listed listed = {open_rows(line, profile_columns, COUNT_OF(profile_columns)),
                                take_profile, profiles_sql, EVENT_PROFILE_REVISION};
  return print(line, &listed, error);
}
