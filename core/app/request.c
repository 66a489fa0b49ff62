#include "core/app/request.h"

#include "core/app/clock.h"
#include "core/app/decision.h"
#include "core/app/import.h"
#include "core/app/kafka_client.h"
#include "core/app/option_number.h"
#include "core/app/output.h"
#include "core/app/registry_client.h"
#include "core/app/text.h"
#include "core/version.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TIMEOUT_S = 10, TIMEOUT_MAX_S = 86400 };

/* ---- Fields ---- */

static enum status refuse_name(const char *command, const struct field *field, const char *value,
                               struct error *error) {
  char allowed[256] = "";
  for (size_t i = 0; field->names[i] != NULL; i++) {
    const size_t used = strlen(allowed);
    snprintf(allowed + used, sizeof allowed - used, "%s%s", i == 0 ? "" : ", ", field->names[i]);
  }
  return error_set(error, STATUS_USAGE, "%s: %s takes %s, not \"%.80s\"", command, field->name,
                   allowed, value);
}

/* What is needed when the value is not of its kind; NULL: it is. */
static const char *needed_instead(enum field_kind kind, const char *value) {
  const size_t size = strlen(value);
  const char *const at = strchr(value, '@');
  switch (kind) {
  case FIELD_TEXT:
    return span_is_utf8_text(span_text(value)) ? NULL : "a text without control characters";
  case FIELD_EMAIL:
    return size <= USER_EMAIL_SIZE_MAX && span_is_utf8_text(span_text(value)) && at != NULL &&
                   at != value && at[1] != '\0'
               ? NULL
               : "a mail address, such as ann@example.org, of at most 320 bytes";
  case FIELD_VERSION:
    return size <= OS_VERSION_SIZE_MAX && version_is_known(span_text(value))
               ? NULL
               : "dotted decimals, such as 10.0.22631";
  case FIELD_SERIAL:
    return size > 0 && size <= SERIAL_SIZE_MAX && span_is_printable_ascii(span_text(value))
               ? NULL
               : "1 to 64 printable ASCII characters";
  case FIELD_NAME:
    return size > 0 && size <= SHORT_NAME_SIZE_MAX &&
                   value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789._-")] == '\0'
               ? NULL
               : "1 to 63 letters, digits, dots, underscores and hyphens";
  }
  assert(false);
  return NULL;
}

enum status request_field(struct json_t *fields, const char *command, const struct field *field,
                          const char *value, struct error *error) {
  if (value == NULL) {
    return field->option == NULL ? STATUS_OK
                                 : error_set(error, STATUS_USAGE, "%s: %s is missing: give %s",
                                             command, field->name, field->option);
  }
  if (field->names != NULL) {
    const char *const *name = field->names;
    while (*name != NULL && strcasecmp(*name, value) != 0) {
      name++;
    }
    if (*name == NULL) {
      return refuse_name(command, field, value, error);
    }
    json_object_set_new(fields, field->name, json_string(*name));
    return STATUS_OK;
  }
  const char *const needed = needed_instead(field->kind, value);
  if (needed != NULL) {
    return error_set(error, STATUS_USAGE, "%s: %s: %s is needed", command, field->name, needed);
  }
  json_object_set_new(fields, field->name, json_string(value));
  return STATUS_OK;
}

enum status request_actor(struct json_t *fields, const struct command_line *line,
                          const char *command, const char *given, struct error *error) {
  const struct text_list *const admins = &line->config.roles.bootstrap_admins;
  const struct field field = {.name = "actor_email", .kind = FIELD_EMAIL};
  const char *const only = admins->count == 1 ? admins->items[0] : NULL;
  return request_field(fields, command, &field, given != NULL ? given : only, error);
}

/* ---- The message ---- */

/* One that is asked for; what is of its own is ended by asking_fini. */
struct asking {
  const struct command_line *line;
  const struct request *request;
  struct input_encoder encoder;
  struct encoded_input encoded;
  struct schema_learner learner; /* reads what is decided */
  struct decision_watch *watch;  /* NULL: nobody waits */
  struct asked asked;
  bool is_quiet; /* what was decided is not printed */
};

static enum status encode(struct asking *asking, struct error *error) {
  const struct request *const request = asking->request;
  enum status status = input_encoder_open(&asking->line->config, &asking->encoder, error);
  if (status != STATUS_OK) {
    return status;
  }
  import_put_missing(request->fields, clock_wall_ms());
  struct error refusal;
  status =
      input_encode(&asking->encoder, request->record, request->fields, &asking->encoded, &refusal);
  return status == STATUS_OK ? STATUS_OK
                             : error_set(error, status == STATUS_REFUSED ? STATUS_USAGE : status,
                                         "%s: %s", request->command, refusal.text);
}

static void asking_fini(struct asking *asking) {
  decision_watch_close(asking->watch);
  schema_learner_close(&asking->learner);
  free(asking->encoded.data);
  input_encoder_close(&asking->encoder);
}

/* ---- What came of it ---- */

static const struct column sent_columns[] = {
    {.name = "event_id", .type = COLUMN_TEXT},
    {.name = "topic", .type = COLUMN_TEXT},
    {.name = "partition", .type = COLUMN_INTEGER},
    {.name = "offset", .type = COLUMN_INTEGER},
};

static enum status print_sent(const struct asking *asking, struct error *error) {
  struct output *const output =
      output_open_single(stdout, asking->line->output, sent_columns, COUNT_OF(sent_columns));
  const struct asked *const asked = &asking->asked;
  char *const topic = kafka_topic_whole(&asking->line->config, topic_name(asked->topic));
  output_row(output,
             (struct cell[]){cell_text(span_text(asked->event_id)), cell_text(span_text(topic)),
                             cell_integer(asked->partition), cell_integer(asked->offset)});
  free(topic);
  return output_close(output, error);
}

/* Of the audit entry, in the order of its schema but for what people look at first. */
static const struct column entry_columns[] = {
    {.name = "device_id", .type = COLUMN_TEXT},
    {.name = "serial", .type = COLUMN_TEXT},
    {.name = "action", .type = COLUMN_TEXT},
    {.name = "target", .type = COLUMN_TEXT},
    {.name = "outcome", .type = COLUMN_TEXT},
    {.name = "reason", .type = COLUMN_TEXT},
    {.name = "actor", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "lane", .type = COLUMN_INTEGER, .is_hidden = true},
    {.name = "seq", .type = COLUMN_INTEGER, .is_hidden = true},
    {.name = "at", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "cause", .type = COLUMN_JSON, .is_hidden = true},
    {.name = "event_id", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "policy", .type = COLUMN_TEXT, .is_hidden = true},
    {.name = "subject", .type = COLUMN_TEXT, .is_hidden = true},
};

/* A program gets the entry as one object; people a line with what matters to them. */
static enum status print_entry(enum output_format format, const json_t *entry,
                               struct error *error) {
  struct cell cells[COUNT_OF(entry_columns)];
  char *cause = json_dumps(json_object_get(entry, "cause"), JSON_COMPACT | JSON_ENCODE_ANY);
  for (size_t i = 0; i < COUNT_OF(entry_columns); i++) {
    const json_t *const value = json_object_get(entry, entry_columns[i].name);
    if (entry_columns[i].type == COLUMN_JSON) {
      cells[i] = cause != NULL ? cell_text(span_text(cause)) : cell_null();
    } else if (json_is_integer(value)) {
      cells[i] = cell_integer(json_integer_value(value));
    } else {
      const char *const text = json_string_value(value);
      cells[i] = text != NULL ? cell_text(span_text(text)) : cell_null();
    }
  }
  struct output *const output =
      format == OUTPUT_TABLE
          ? output_open(stdout, format, entry_columns, COUNT_OF(entry_columns))
          : output_open_single(stdout, format, entry_columns, COUNT_OF(entry_columns));
  output_row(output, cells);
  free(cause);
  return output_close(output, error);
}

static enum status report(const struct asking *asking, const struct decision *decision,
                          struct error *error) {
  const bool is_done = decision->outcome == OUTCOME_OK;
  enum status status = STATUS_OK;
  if (!asking->is_quiet && decision->entry != NULL &&
      (is_done || asking->line->output != OUTPUT_TABLE)) {
    status = print_entry(asking->line->output, decision->entry, error);
  }
  if (status == STATUS_OK && !is_done) {
    status = error_set(error, STATUS_REFUSED, "%s: refused: %s", asking->request->command,
                       decision->reason[0] != '\0' ? decision->reason : "no reason is given");
  }
  return status;
}

static enum status undecided(const struct asking *asking, int64_t timeout_s, struct error *error) {
  const struct asked *const asked = &asking->asked;
  return error_set(error, STATUS_UNAVAILABLE,
                   "%s: nothing decided within %" PRId64 " s about event_id %s (%s%s/%" PRId32
                   " at %" PRId64 "). It is sent and stands: muster status tells whether a "
                   "processor runs; look for that event_id later in muster topics cat audit, or in "
                   "muster dead-letter list",
                   asking->request->command, timeout_s, asked->event_id,
                   asking->line->config.kafka.topic_prefix, topic_name(asked->topic),
                   asked->partition, asked->offset);
}

static enum status wait_for_decision(struct asking *asking, int64_t timeout_s,
                                     struct error *error) {
  struct decision decision;
  enum status status = decision_await(asking->watch, &asking->asked,
                                      clock_mono_ms() + timeout_s * 1000, &decision, error);
  if (status == STATUS_OK && decision.is_decided) {
    status = report(asking, &decision, error);
  } else if (status == STATUS_OK) {
    status = undecided(asking, timeout_s, error);
  }
  decision_fini(&decision);
  return status;
}

/* Control messages about no device are decided by lane 0, whatever their key. */
static enum status ask(struct asking *asking, bool waits, int64_t timeout_s, struct error *error) {
  const struct config *const config = &asking->line->config;
  const enum input_record record = asking->request->record;
  const bool is_of_lane = input_record_topic(record) != TOPIC_CONTROL;
  const struct span key = is_of_lane ? asking->encoded.key : span_of(NULL, 0);
  enum status status = STATUS_OK;
  if (waits) {
    status = schema_learner_open(config, &asking->learner, error);
  }
  if (waits && status == STATUS_OK) {
    status = decision_watch_open(config, key, &asking->learner, &asking->watch, error);
  }
  if (status == STATUS_OK) {
    status = ask_send(config, record, &asking->encoded, &asking->asked, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  return waits ? wait_for_decision(asking, timeout_s, error) : print_sent(asking, error);
}

/* Sends it, waits if it is to, and ends what was made for it. */
static enum status run(struct asking *asking, struct asked *asked, struct error *error) {
  const struct request *const request = asking->request;
  int64_t timeout_s = TIMEOUT_S;
  enum status status = option_number("timeout", request->patience[REQUEST_TIMEOUT], 1,
                                     TIMEOUT_MAX_S, &timeout_s, error);
  if (status == STATUS_OK) {
    status = encode(asking, error);
  }
  if (status == STATUS_OK) {
    status = ask(asking, request->patience[REQUEST_NO_WAIT] == NULL, timeout_s, error);
  }
  *asked = asking->asked;
  asking_fini(asking);
  json_decref(request->fields);
  return status;
}

enum status request_run(const struct command_line *line, const struct request *request,
                        struct error *error) {
  struct asking asking = {.line = line, .request = request};
  struct asked unused;
  return run(&asking, &unused, error);
}

enum status request_grant(const struct command_line *line, const struct request *request,
                          struct asked *asked, struct error *error) {
  struct asking asking = {.line = line, .request = request, .is_quiet = true};
  return run(&asking, asked, error);
}
