/* device get: all that is known of one device, and what was decided about it. */
#include "core/app/command.h"

#include "core/app/clock.h"
#include "core/app/device_as_of.h"
#include "core/app/device_history.h"
#include "core/app/device_page.h"
#include "core/app/listing.h"
#include "core/app/option_number.h"
#include "core/app/policy_shipped.h"
#include "core/app/policy_words.h"
#include "core/app/policy_yaml.h"
#include "core/app/text.h"
#include "core/policy.h"
#include "producers/store_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { GET_AS_OF, GET_HISTORY };

const struct option_spec device_get_options[] = {
    [GET_AS_OF] = {"as-of", "TIME", "as it was then, by replaying the log"},
    [GET_HISTORY] = {"history", "N", "so many of its newest results; 20 without it"},
    {NULL, NULL, NULL},
};

enum { HISTORY_COUNT = 20, HISTORY_COUNT_MAX = 100000, SQL_SIZE = 4096 };

#define LATE_AFTER_MS INT64_C(900000) /* PENDING for longer is worth a word */

/* X(name, column type, expression of muster.device_detail): what is not shown as it stands. */
#define RAW_LIST(X)                                                                                \
  X(NUMBER, INTEGER, "number")                                                                     \
  X(FLAGS, INTEGER, "flags")                                                                       \
  X(PENDING_SINCE, TIME, "(extract(epoch from pending_since) * 1000)::bigint")                     \
  X(SIGNATURES_AT, TIME, "(extract(epoch from antivirus_signatures_at) * 1000)::bigint")           \
  X(PIN_LENGTH, INTEGER, "screen_lock_pin_length")                                                 \
  X(ESCALATION, INTEGER, "escalation")                                                             \
  X(THREAT_AT, TIME, "(extract(epoch from threat_at) * 1000)::bigint")                             \
  X(WIPE, JSON, "wipe")                                                                            \
  X(CLOCK, TIME, "(extract(epoch from clock) * 1000)::bigint")                                     \
  X(LAST_SEQ, INTEGER, "last_seq")                                                                 \
  X(POLICY_FILE, TEXT, "policy_file")

enum raw {
#define X(name, type, expression) RAW_##name,
  RAW_LIST(X)
#undef X
      RAW_COUNT
};

static const struct {
  enum column_type type;
  const char *expression;
} raws[] = {
#define X(name, type, expression) {COLUMN_##type, expression},
    RAW_LIST(X)
#undef X
};

/* One device as the database has it; owns the texts that the cells look into. */
struct detail {
  bool is_found;
  char *texts[DEVICE_COLUMN_COUNT + RAW_COUNT];
  struct cell cells[DEVICE_COLUMN_COUNT];
  struct cell raws[RAW_COUNT];
};

static enum status take_detail(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct detail *const detail = context;
  detail->is_found = true;
  for (size_t i = 0; i < COUNT_OF(detail->texts); i++) {
    const enum column_type type =
        i < DEVICE_COLUMN_COUNT ? device_columns[i].type : raws[i - DEVICE_COLUMN_COUNT].type;
    struct span copy = values[i];
    if (copy.data != NULL) {
      detail->texts[i] = text_copy_size((const char *)copy.data, copy.size);
      copy.data = (const uint8_t *)detail->texts[i];
    }
    *(i < DEVICE_COLUMN_COUNT ? &detail->cells[i] : &detail->raws[i - DEVICE_COLUMN_COUNT]) =
        listing_cell(type, copy);
  }
  return STATUS_OK;
}

static void detail_fini(struct detail *detail) {
  for (size_t i = 0; i < COUNT_OF(detail->texts); i++) {
    free(detail->texts[i]);
  }
}

/* A device ID in either case, or a serial as it is; where a text is both, the ID is meant. */
static enum status read_detail(struct pg_conn *database, const char *wanted, struct detail *detail,
                               struct error *error) {
  char id[DEVICE_ID_SIZE] = "";
  const uint64_t number = device_id_parse(span_text(wanted));
  char sql[SQL_SIZE];
  size_t used = 0;
  if (number > 0) {
    device_id_format(number, id);
  }
  for (size_t i = 0; i < DEVICE_COLUMN_COUNT + RAW_COUNT; i++) {
    used += (size_t)snprintf(sql + used, sizeof sql - used, "%s %s", i == 0 ? "select" : ",",
                             i < DEVICE_COLUMN_COUNT ? device_expressions[i]
                                                     : raws[i - DEVICE_COLUMN_COUNT].expression);
    assert(used < sizeof sql);
  }
  const int size =
      snprintf(sql + used, sizeof sql - used,
               " from muster.device_detail where %s order by device_id = $1 desc "
               "limit 1",
               number > 0 ? "(device_id = $1 or serial = $2)" : "($1 = '' and serial = $2)");
  assert((size_t)size < sizeof sql - used);
  (void)size;
  return database_query(database, sql, (const char *const[]){id, wanted}, 2, take_detail, detail,
                        error);
}

/* ---- The violated rules ---- */

static int64_t number_of(const struct cell *cell, int64_t otherwise) {
  return cell->is_null ? otherwise : cell->integer;
}

/* The facts that rules see. */
static struct device facts_of(const struct detail *detail) {
  const uint32_t flags = (uint32_t)detail->raws[RAW_FLAGS].integer;
  const uint32_t escalation = (uint32_t)detail->raws[RAW_ESCALATION].integer;
  const struct cell *const pin = &detail->raws[RAW_PIN_LENGTH];
  return (struct device){
      .platform = flag_get(flags, FLAG_PLATFORM),
      .profile = flag_get(flags, FLAG_PROFILE),
      .ownership = flag_get(flags, FLAG_OWNERSHIP),
      .status = flag_get(flags, FLAG_STATUS),
      .antivirus_enabled = flag_get(flags, FLAG_ANTIVIRUS_ENABLED),
      .disk_encrypted = flag_get(flags, FLAG_DISK_ENCRYPTED),
      .antivirus_signatures_at_ms = number_of(&detail->raws[RAW_SIGNATURES_AT], TIME_NONE),
      .threat_level = flag_get(escalation, FLAG_THREAT_LEVEL),
      .threat_at_ms = number_of(&detail->raws[RAW_THREAT_AT], TIME_NONE),
      .has_screen_lock_pin_length = !pin->is_null,
      .screen_lock_pin_length = pin->is_null ? 0 : (int32_t)pin->integer,
  };
}

/* The policy's file: as it came into force, or the program's own of that version. */
static struct span policy_text_of(const struct detail *detail) {
  const struct cell *const applied = &detail->raws[RAW_POLICY_FILE];
  return applied->is_null
             ? policy_shipped_text((const char *)detail->cells[DEVICE_POLICY].text.data)
             : applied->text;
}

static json_t *rule_json(const struct policy *policy, uint32_t rule, const struct detail *detail) {
  const struct device facts = facts_of(detail);
  const int64_t clock_ms = number_of(&detail->raws[RAW_CLOCK], clock_wall_ms());
  char *const observed =
      policy_observed(policy, rule, &facts, detail->cells[DEVICE_OS_VERSION].text, clock_ms);
  char *const required = policy_required(policy, rule, (enum platform)facts.platform);
  json_t *const json =
      json_pack("{s:s, s:s, s:s, s:s, s:s}", "rule", policy->rules[rule].id, "title",
                policy->rules[rule].title, "observed", observed, "required", required,
                "remediation", policy->rules[rule].remediation);
  free(observed);
  free(required);
  return json;
}

/* Each violation by its id; with more when its policy's file can be had. */
static json_t *rules_json(const struct detail *detail) {
  json_t *const rules = json_array();
  struct policy *const policy = memory_zeroed(1, sizeof *policy);
  struct findings *const findings = memory_zeroed(1, sizeof *findings);
  const struct span file = policy_text_of(detail);
  const bool is_read = file.data != NULL && policy_read(file, policy, findings);
  struct span left = detail->cells[DEVICE_VIOLATIONS].text;
  struct span id;
  while (output_next_item(&left, &id)) {
    uint32_t rule = 0;
    while (is_read && rule < policy->rule_count &&
           !span_equal(id, span_text(policy->rules[rule].id))) {
      rule++;
    }
    json_array_append_new(
        rules, is_read && rule < policy->rule_count
                   ? rule_json(policy, rule, detail)
                   : json_pack("{s:o}", "rule", json_stringn((const char *)id.data, id.size)));
  }
  free(findings);
  free(policy);
  return rules;
}

/* ---- What to do ---- */

static const char *hint_of(const struct detail *detail) {
  const uint32_t flags = (uint32_t)detail->raws[RAW_FLAGS].integer;
  const int64_t pending_since_ms = number_of(&detail->raws[RAW_PENDING_SINCE], TIME_NONE);
  switch ((enum device_status)flag_get(flags, FLAG_STATUS)) {
  case DEVICE_PENDING:
    return pending_since_ms != TIME_NONE && clock_wall_ms() - pending_since_ms > LATE_AFTER_MS
               ? "enrolment is late: no check-in for more than 15 minutes; is the device on, and "
                 "in a network?"
               : NULL;
  case DEVICE_FAILED:
    return "enrolment failed: no check-in within 30 minutes, unless it was set by hand; check the "
           "device's network and its user's account; a later check-in still enrols it, or "
           "provision it again";
  case DEVICE_ENROLLED:
  case DEVICE_WIPED:
  case DEVICE_RETIRED:
  case DEVICE_STATUS_COUNT:
    break;
  }
  return NULL;
}

/* ---- Printing ---- */

static const struct column extra_columns[] = {
    {.name = "hint", .type = COLUMN_TEXT},
    {.name = "wipe", .type = COLUMN_JSON},
    {.name = "violated_rules", .type = COLUMN_JSON},
    {.name = "history", .type = COLUMN_JSON},
};

enum { EXTRA_COUNT = COUNT_OF(extra_columns) };

/* One object for programs: the device's columns, and what is told beside them. */
static enum status print_object(enum output_format format, const struct device_page *page,
                                struct error *error) {
  struct column columns[DEVICE_COLUMN_COUNT + EXTRA_COUNT];
  struct cell cells[COUNT_OF(columns)];
  char *const rules = json_dumps(page->rules, JSON_COMPACT);
  char *const history = json_dumps(page->history, JSON_COMPACT);
  for (size_t i = 0; i < COUNT_OF(columns); i++) {
    columns[i] =
        i < DEVICE_COLUMN_COUNT ? device_columns[i] : extra_columns[i - DEVICE_COLUMN_COUNT];
    cells[i] = i < DEVICE_COLUMN_COUNT ? page->cells[i] : cell_null();
  }
  struct cell *const extra = &cells[DEVICE_COLUMN_COUNT];
  extra[0] = page->hint != NULL ? cell_text(span_text(page->hint)) : cell_null();
  extra[1] = page->wipe;
  extra[2] = cell_text(span_text(rules));
  extra[3] = cell_text(span_text(history));
  struct output *const output = output_open_single(stdout, format, columns, COUNT_OF(columns));
  output_row(output, cells);
  free(rules);
  free(history);
  return output_close(output, error);
}

static enum status print_detail(const struct command_line *line, struct pg_conn *database,
                                const struct detail *detail, size_t history_count,
                                struct error *error) {
  const struct device_history wanted = {.lane = detail->cells[DEVICE_LANE].integer,
                                        .number = detail->raws[RAW_NUMBER].integer,
                                        .last_seq = number_of(&detail->raws[RAW_LAST_SEQ], 0),
                                        .count_max = history_count};
  json_t *history = NULL;
  struct device_page page = {
      .cells = detail->cells, .hint = hint_of(detail), .wipe = detail->raws[RAW_WIPE]};
  enum status status =
      device_history_read(database, &wanted, &history, &page.is_history_whole, error);
  if (status != STATUS_OK) {
    return status;
  }
  json_t *const rules = rules_json(detail);
  page.rules = rules;
  page.history = history;
  if (line->output == OUTPUT_TABLE) {
    device_page_print(stdout, &page);
  } else {
    status = print_object(line->output, &page, error);
  }
  json_decref(rules);
  json_decref(history);
  return status;
}

static enum status show(const struct command_line *line, struct pg_conn *database,
                        size_t history_count, struct error *error) {
  const char *const wanted = line->arguments[0];
  struct detail *const detail = memory_zeroed(1, sizeof *detail);
  enum status status = read_detail(database, wanted, detail, error);
  if (status == STATUS_OK && !detail->is_found) {
    status = error_set(error, STATUS_REFUSED, "no device has the ID or serial %.80s", wanted);
  }
  if (status == STATUS_OK) {
    status = print_detail(line, database, detail, history_count, error);
  }
  detail_fini(detail);
  free(detail);
  return status;
}

enum status command_device_get(const struct command_line *line, struct error *error) {
  const char *const wanted = line->arguments[0];
  int64_t history_count = HISTORY_COUNT;
  if (line->options[GET_AS_OF] != NULL) {
    return device_get_as_of(line, line->options[GET_AS_OF], wanted, error);
  }
  enum status status = option_number("history", line->options[GET_HISTORY], 0, HISTORY_COUNT_MAX,
                                     &history_count, error);
  if (status == STATUS_OK &&
      (!span_is_printable_ascii(span_text(wanted)) || strlen(wanted) > SERIAL_SIZE_MAX)) {
    status = error_set(error, STATUS_REFUSED, "no device has the ID or serial %.80s", wanted);
  }
  struct pg_conn *database = NULL;
  if (status == STATUS_OK) {
    status = database_open(line->config.postgres.dsn, &database, error);
  }
  if (status == STATUS_OK) {
    status = show(line, database, (size_t)history_count, error);
  }
  database_close(database);
  return status;
}
