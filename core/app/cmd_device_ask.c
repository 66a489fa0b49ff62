/* device provision, set-status, wipe, retire, rename, sync: what somebody asks for a device. */
#include "core/app/command.h"

#include "core/app/clock.h"
#include "core/app/device_look_up.h"
#include "core/app/option_time.h"
#include "core/app/request.h"
#include "core/app/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define X(name) #name,
static const char *const platforms[] = {PLATFORM_LIST(X) NULL};
static const char *const profiles[] = {PROFILE_LIST(X) NULL};
static const char *const ownerships[] = {OWNERSHIP_LIST(X) NULL};
static const char *const statuses[] = {STATUS_SYMBOLS(X) NULL};
static const char *const wipe_reasons[] = {WIPE_REASON_LIST(X) NULL};
#undef X

/* ---- device provision ---- */

enum {
  PROVISION_SERIAL,
  PROVISION_USER,
  PROVISION_PROFILE,
  PROVISION_PLATFORM,
  PROVISION_OS_VERSION,
  PROVISION_OWNERSHIP,
  PROVISION_NOTICE,
  PROVISION_NOTICE_AT,
  PROVISION_REQUEST,
};

const struct option_spec device_provision_options[] = {
    {"serial", "SERIAL", "the hardware's serial number, unless it is the argument"},
    {"user", "EMAIL", "account of the user that it is for"},
    {"profile", "PROFILE", "STANDARD, MOBILE or EXECUTIVE"},
    {"platform", "PLATFORM", "WINDOWS, MACOS, IOS, ANDROID or LINUX"},
    {"os-version", "VERSION", "dotted decimals, such as 10.0.22631"},
    {"ownership", "OWNERSHIP", "CORPORATE, as without it, or PERSONAL"},
    {"notice", "VERSION", "of the data-collection notice that the user accepted"},
    {"notice-at", "TIME", "when; now without it"},
    REQUEST_OPTIONS,
};

static const struct {
  size_t option;
  struct field field;
} provision_fields[] = {
    {PROVISION_USER, {"user_email", "--user EMAIL", FIELD_EMAIL, NULL}},
    {PROVISION_PROFILE, {"profile", "--profile PROFILE", FIELD_TEXT, profiles}},
    {PROVISION_PLATFORM, {"platform", "--platform PLATFORM", FIELD_TEXT, platforms}},
    {PROVISION_OS_VERSION, {"os_version", "--os-version VERSION", FIELD_VERSION, NULL}},
    {PROVISION_OWNERSHIP, {"ownership", NULL, FIELD_TEXT, ownerships}},
};

static enum status put_consent(json_t *fields, const char *const *options, struct error *error) {
  int64_t given_at_ms = clock_wall_ms();
  const enum status status =
      option_time("notice-at", options[PROVISION_NOTICE_AT], &given_at_ms, error);
  if (status != STATUS_OK || options[PROVISION_NOTICE] == NULL) {
    return status != STATUS_OK || options[PROVISION_NOTICE_AT] == NULL
               ? status
               : error_set(error, STATUS_USAGE, "device provision: --notice-at goes with --notice");
  }
  if (!span_is_utf8_text(span_text(options[PROVISION_NOTICE]))) {
    return error_set(error, STATUS_USAGE, "device provision: notice_version: a text is needed");
  }
  json_object_set_new(fields, "consent",
                      json_pack("{s:s, s:I}", "notice_version", options[PROVISION_NOTICE],
                                "given_at", (json_int_t)given_at_ms));
  return STATUS_OK;
}

enum status command_device_provision(const struct command_line *line, struct error *error) {
  static const char name[] = "device provision";
  static const struct field serial_field = {"serial", "SERIAL", FIELD_SERIAL, NULL};
  const char *const *options = line->options;
  const char *serial = options[PROVISION_SERIAL];
  if (line->argument_count > 0 && serial != NULL && strcmp(serial, line->arguments[0]) != 0) {
    return error_set(error, STATUS_USAGE, "%s: serial is given twice", name);
  }
  serial = line->argument_count > 0 ? line->arguments[0] : serial;
  json_t *const fields = json_object();
  enum status status = request_field(fields, name, &serial_field, serial, error);
  for (size_t i = 0; i < COUNT_OF(provision_fields) && status == STATUS_OK; i++) {
    status = request_field(fields, name, &provision_fields[i].field,
                           options[provision_fields[i].option], error);
  }
  if (status == STATUS_OK) {
    status = put_consent(fields, options, error);
  }
  if (status != STATUS_OK) {
    json_decref(fields);
    return status;
  }
  return request_run(line,
                     &(struct request){.command = name,
                                       .record = INPUT_ENROLLMENT,
                                       .fields = fields,
                                       .patience = &options[PROVISION_REQUEST]},
                     error);
}

/* ---- Commands ---- */

/* The same for all of them; what is a command's own stands behind ASK_COUNT. */
enum { ASK_ADMIN, ASK_USER, ASK_NOTE, ASK_COUNT };
#define ASK_OPTIONS                                                                                \
  {"admin", "EMAIL", "who asks; else the only one of roles.bootstrap_admins, if there is one"},    \
      {"user", "EMAIL", "the device's own user asks, as the policy allows"}, {                     \
    "note", "TEXT", "for the audit entry, up to 128 bytes; no personal data"                       \
  }

/* A command about a device, under way. */
struct ask {
  const struct command_line *line;
  const char *name; /* "device wipe" */
  enum command_kind kind;
  size_t patience;  /* where REQUEST_OPTIONS stand among the options */
  bool needs_admin; /* by name */
};

static enum status put_common(const struct ask *ask, json_t *fields, struct error *error) {
  const char *const *options = ask->line->options;
  static const struct field note = {.name = "note"};
  if (options[ASK_ADMIN] != NULL && options[ASK_USER] != NULL) {
    return error_set(error, STATUS_USAGE, "%s: either --admin or --user asks", ask->name);
  }
  json_object_set_new(fields, "command", json_string(command_name(ask->kind)));
  enum status status = request_field(fields, ask->name, &note, options[ASK_NOTE], error);
  if (status != STATUS_OK) {
    return status;
  }
  if (options[ASK_NOTE] != NULL && strlen(options[ASK_NOTE]) > NOTE_SIZE_MAX) {
    return error_set(error, STATUS_USAGE, "%s: note: at most 128 bytes", ask->name);
  }
  if (options[ASK_USER] != NULL) {
    static const struct field user = {.name = "actor_email", .kind = FIELD_EMAIL};
    json_object_set_new(fields, "origin", json_string("USER"));
    return request_field(fields, ask->name, &user, options[ASK_USER], error);
  }
  if (ask->needs_admin) {
    static const struct field admin = {"actor_email", "--admin EMAIL", FIELD_EMAIL, NULL};
    return request_field(fields, ask->name, &admin, options[ASK_ADMIN], error);
  }
  return request_actor(fields, ask->line, ask->name, options[ASK_ADMIN], error);
}

/* Takes `fields`, which hold what is the command's own. `status` is what came of them so far. */
static enum status send_command(const struct ask *ask, json_t *fields, enum status status,
                                struct error *error) {
  char serial[SERIAL_SIZE_MAX + 1];
  if (status == STATUS_OK) {
    status = put_common(ask, fields, error);
  }
  if (status == STATUS_OK) {
    status = device_look_up(&ask->line->config, ask->line->arguments[0], serial, error);
  }
  if (status != STATUS_OK) {
    json_decref(fields);
    return status;
  }
  json_object_set_new(fields, "serial", json_string(serial));
  return request_run(ask->line,
                     &(struct request){.command = ask->name,
                                       .record = INPUT_COMMAND,
                                       .fields = fields,
                                       .patience = &ask->line->options[ask->patience]},
                     error);
}

const struct option_spec device_ask_options[] = {ASK_OPTIONS, REQUEST_OPTIONS};

enum status command_device_set_status(const struct command_line *line, struct error *error) {
  static const struct field field = {"status", "STATUS", FIELD_TEXT, statuses};
  const struct ask ask = {line, "device set-status", COMMAND_SET_STATUS, ASK_COUNT, false};
  json_t *const fields = json_object();
  const enum status status = request_field(fields, ask.name, &field, line->arguments[1], error);
  return send_command(&ask, fields, status, error);
}

enum status command_device_retire(const struct command_line *line, struct error *error) {
  const struct ask ask = {line, "device retire", COMMAND_RETIRE, ASK_COUNT, false};
  return send_command(&ask, json_object(), STATUS_OK, error);
}

enum status command_device_sync(const struct command_line *line, struct error *error) {
  const struct ask ask = {line, "device sync", COMMAND_SYNC, ASK_COUNT, false};
  return send_command(&ask, json_object(), STATUS_OK, error);
}

/* ---- device rename ---- */

enum { RENAME_NAME = ASK_COUNT, RENAME_REQUEST };

const struct option_spec device_rename_options[] = {
    ASK_OPTIONS,
    {"name", "NAME", "the device's new name, 1 to 63 characters"},
    REQUEST_OPTIONS,
};

/* Characters, not bytes, as the schema says. */
static size_t character_count(const char *text) {
  size_t count = 0;
  for (; *text != '\0'; text++) {
    count += ((unsigned char)*text & 0xc0) != 0x80;
  }
  return count;
}

enum status command_device_rename(const struct command_line *line, struct error *error) {
  static const struct field field = {"name", "--name NAME", FIELD_TEXT, NULL};
  const struct ask ask = {line, "device rename", COMMAND_RENAME, RENAME_REQUEST, false};
  const char *const name =
      line->argument_count > 1 ? line->arguments[1] : line->options[RENAME_NAME];
  json_t *const fields = json_object();
  enum status status = request_field(fields, ask.name, &field, name, error);
  if (status == STATUS_OK &&
      (character_count(name) == 0 || character_count(name) > SHORT_NAME_SIZE_MAX)) {
    status = error_set(error, STATUS_USAGE, "%s: name: 1 to 63 characters are needed", ask.name);
  }
  return send_command(&ask, fields, status, error);
}

/* ---- device wipe ---- */

enum { WIPE_REASON = ASK_COUNT, WIPE_CONFIRM, WIPE_WITHDRAW, WIPE_APPROVE, WIPE_REQUEST };

const struct option_spec device_wipe_options[] = {
    ASK_OPTIONS,
    {"reason", "REASON", "lost, stolen, terminated or breach"},
    {"confirm", "SERIAL", "the device's serial, said once more"},
    {"withdraw", NULL, "take back a wipe that is not carried out yet"},
    {"approve", NULL, "agree to a wipe that another admin asked for"},
    REQUEST_OPTIONS,
};

static enum status put_wipe(json_t *fields, const char *const *options, struct error *error) {
  static const struct field reason = {"wipe_reason", "--reason REASON", FIELD_TEXT, wipe_reasons};
  static const struct field confirm = {"confirm", "--confirm SERIAL", FIELD_SERIAL, NULL};
  const enum status status =
      request_field(fields, "device wipe", &reason, options[WIPE_REASON], error);
  return status == STATUS_OK
             ? request_field(fields, "device wipe", &confirm, options[WIPE_CONFIRM], error)
             : status;
}

enum status command_device_wipe(const struct command_line *line, struct error *error) {
  const char *const *options = line->options;
  const bool is_withdrawn = options[WIPE_WITHDRAW] != NULL;
  const bool is_approved = options[WIPE_APPROVE] != NULL;
  struct ask ask = {line, "device wipe", COMMAND_WIPE, WIPE_REQUEST, !is_withdrawn};
  json_t *const fields = json_object();
  enum status status = STATUS_OK;
  if (is_withdrawn && is_approved) {
    status =
        error_set(error, STATUS_USAGE, "%s: --withdraw and --approve exclude each other", ask.name);
  } else if ((is_withdrawn || is_approved) &&
             (options[WIPE_REASON] != NULL || options[WIPE_CONFIRM] != NULL)) {
    status =
        error_set(error, STATUS_USAGE, "%s: --reason and --confirm ask for a new wipe", ask.name);
  } else if (is_withdrawn || is_approved) {
    ask.kind = is_withdrawn ? COMMAND_WITHDRAW_WIPE : COMMAND_APPROVE_WIPE;
  } else {
    status = put_wipe(fields, options, error);
  }
  return send_command(&ask, fields, status, error);
}
