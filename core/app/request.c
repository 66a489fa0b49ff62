#include "core/app/request.h"

#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "core/app/clock.h"
#include "core/app/decision.h"
#include "core/app/kafka_client.h"
#include "core/app/option_number.h"
#include "core/app/output.h"
#include "core/app/registry_client.h"
#include "core/app/request_send.h"
#include "core/app/text.h"
#include "core/time_text.h"
#include "core/version.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uuid/uuid.h>

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
  char event_id[UUID_STR_LEN];
  uint8_t *value;
  size_t value_size;
  struct schema_learner learner;
  struct decision_watch *watch; /* NULL: nobody waits */
  struct place place;
};

static void put_envelope(struct asking *asking) {
  uuid_t uuid;
  uuid_generate_random(uuid);
  uuid_unparse_lower(uuid, asking->event_id);
  json_object_set_new(asking->request->fields, "event_id", json_string(asking->event_id));
  json_object_set_new(asking->request->fields, "occurred_at", json_integer(clock_wall_ms()));
}

/* With Confluent's framing a value names its schema by id. */
static enum status schema_id(struct asking *asking, const struct writer *writer, int64_t *id,
                             struct error *error) {
  const struct config *const config = &asking->line->config;
  *id = SCHEMA_ID_NONE;
  if (asking->learner.registry != NULL) {
    return registry_register_patiently(asking->learner.registry, config, asking->learner.schemas,
                                       topic_name(asking->request->topic), writer, id, error);
  }
  if (config->kafka.framing != FRAMING_CONFLUENT) {
    return STATUS_OK;
  }
  *id = schemas_id_of(asking->learner.schemas, writer);
  return *id != SCHEMA_ID_NONE
             ? STATUS_OK
             : error_set(error, STATUS_CONFIG,
                         "Confluent's framing needs the id of %s: put the schema into "
                         "schemas.directory as <id>.avsc, or set schemas.registry_url",
                         writer->source);
}

/* Read back by the decoder of `run`, so that nothing that leaves here is a dead letter for its
 * form. */
static enum status encode(struct asking *asking, struct error *error) {
  const struct request *const request = asking->request;
  const struct schemas *const schemas = asking->learner.schemas;
  const struct writer *const writer = schemas_find_own(schemas, request->record);
  int64_t id = SCHEMA_ID_NONE;
  assert(writer != NULL);
  enum status status = schema_id(asking, writer, &id, error);
  if (status != STATUS_OK) {
    return status;
  }
  struct error refusal;
  status = avro_json_to_value(writer, id, request->fields, &asking->value, &asking->value_size,
                              &refusal);
  if (status != STATUS_OK) {
    return error_set(error, STATUS_USAGE, "%s: %s", request->command, refusal.text);
  }
  struct event event;
  struct reject reject;
  if (writer->programs[request->topic] != NULL &&
      !decode(schemas, request->topic, span_of(asking->value, asking->value_size), &event,
              &reject)) {
    return error_set(error, STATUS_USAGE, "%s: %s", request->command, reject.text);
  }
  return STATUS_OK;
}

static void asking_fini(struct asking *asking) {
  decision_watch_close(asking->watch);
  schema_learner_close(&asking->learner);
  free(asking->value);
  free(asking->place.topic);
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
  output_row(output, (struct cell[]){cell_text(span_text(asking->event_id)),
                                     cell_text(span_text(asking->place.topic)),
                                     cell_integer(asking->place.partition),
                                     cell_integer(asking->place.offset)});
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
  if (decision->entry != NULL && (is_done || asking->line->output != OUTPUT_TABLE)) {
    status = print_entry(asking->line->output, decision->entry, error);
  }
  if (status == STATUS_OK && !is_done) {
    status = error_set(error, STATUS_REFUSED, "%s: refused: %s", asking->request->command,
                       decision->reason[0] != '\0' ? decision->reason : "no reason is given");
  }
  return status;
}

static enum status wait_for_decision(struct asking *asking, int64_t timeout_s,
                                     struct error *error) {
  struct decision decision;
  enum status status = decision_await(asking->watch, &asking->place,
                                      clock_mono_ms() + timeout_s * 1000, &decision, error);
  if (status == STATUS_OK && decision.is_decided) {
    status = report(asking, &decision, error);
  } else if (status == STATUS_OK) {
    status = error_set(error, STATUS_UNAVAILABLE,
                       "%s: nothing decided within %" PRId64 " s about event_id %s (%s/%" PRId32
                       " at %" PRId64 "). It is sent and stands: see muster status whether a "
                       "processor runs, and later muster topics cat audit, or dead-letter list, "
                       "for that event_id",
                       asking->request->command, timeout_s, asking->event_id, asking->place.topic,
                       asking->place.partition, asking->place.offset);
  }
  decision_fini(&decision);
  return status;
}

static enum status ask(struct asking *asking, bool waits, int64_t timeout_s, struct error *error) {
  const struct config *const config = &asking->line->config;
  const char *const serial = asking->request->serial;
  const struct span key = serial != NULL ? span_text(serial) : span_of(NULL, 0);
  enum status status = STATUS_OK;
  if (waits) {
    status = decision_watch_open(config, key, &asking->learner, &asking->watch, error);
  }
  if (status == STATUS_OK) {
    status = request_send(config, asking->request->topic, key,
                          span_of(asking->value, asking->value_size), &asking->place, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  return waits ? wait_for_decision(asking, timeout_s, error) : print_sent(asking, error);
}

enum status request_run(const struct command_line *line, const struct request *request,
                        struct error *error) {
  struct asking asking = {.line = line, .request = request};
  int64_t timeout_s = TIMEOUT_S;
  enum status status = option_number("timeout", request->patience[REQUEST_TIMEOUT], 1,
                                     TIMEOUT_MAX_S, &timeout_s, error);
  if (status == STATUS_OK) {
    status = schema_learner_open(&line->config, &asking.learner, error);
  }
  if (status == STATUS_OK) {
    put_envelope(&asking);
    status = encode(&asking, error);
  }
  if (status == STATUS_OK) {
    status = ask(&asking, request->patience[REQUEST_NO_WAIT] == NULL, timeout_s, error);
  }
  asking_fini(&asking);
  json_decref(request->fields);
  return status;
}
