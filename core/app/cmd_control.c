/* role grant and revoke, tenant, profile push, group: what is said to all lanes at once. */
#include "core/app/command.h"

#include "core/app/request.h"
#include "core/app/text.h"

#include <jansson.h>
#include <string.h>

#define X(name) #name,
static const char *const roles[] = {ROLE_LIST(X) NULL};
static const char *const profiles[] = {PROFILE_LIST(X) NULL};
static const char *const tenant_events[] = {TENANT_EVENT_LIST(X) NULL};
#undef X

#define ADMIN_OPTION                                                                               \
  { "admin", "EMAIL", "who asks; else the only one of roles.bootstrap_admins, if there is one" }

/* Takes `fields`. `status` is what came of them so far; the option --admin is the first. */
static enum status send_control(const struct command_line *line, const char *command,
                                enum input_record record, json_t *fields, size_t patience,
                                enum status status, struct error *error) {
  if (status == STATUS_OK) {
    status = request_actor(fields, line, command, line->options[0], error);
  }
  if (status != STATUS_OK) {
    json_decref(fields);
    return status;
  }
  return request_run(line,
                     &(struct request){.command = command,
                                       .record = record,
                                       .fields = fields,
                                       .patience = &line->options[patience]},
                     error);
}

/* ---- role ---- */

enum { ROLE_ADMIN_OPTION, ROLE_ROLE, ROLE_REQUEST };

const struct option_spec role_options[] = {
    ADMIN_OPTION, {"role", "ROLE", "ADMIN, as without it, or OPERATOR"}, REQUEST_OPTIONS};

static enum status change_role(const struct command_line *line, const char *command,
                               const char *change, struct error *error) {
  static const struct field user = {"user_email", "EMAIL", FIELD_EMAIL, NULL};
  static const struct field role = {"role", "ROLE", FIELD_TEXT, roles};
  const char *given = line->options[ROLE_ROLE] != NULL ? line->options[ROLE_ROLE] : "ADMIN";
  if (line->argument_count > 1) {
    given = line->arguments[1];
  }
  json_t *const fields = json_object();
  enum status status = request_field(fields, command, &user, line->arguments[0], error);
  if (status == STATUS_OK) {
    status = request_field(fields, command, &role, given, error);
  }
  json_object_set_new(fields, "change", json_string(change));
  return send_control(line, command, INPUT_ROLE, fields, ROLE_REQUEST, status, error);
}

enum status command_role_grant(const struct command_line *line, struct error *error) {
  return change_role(line, "role grant", "GRANT", error);
}

enum status command_role_revoke(const struct command_line *line, struct error *error) {
  return change_role(line, "role revoke", "REVOKE", error);
}

/* ---- tenant ---- */

enum { TENANT_REQUEST = 1 };

const struct option_spec tenant_options[] = {ADMIN_OPTION, REQUEST_OPTIONS};

static enum status change_tenant(const struct command_line *line, const char *command,
                                 const char *change, struct error *error) {
  static const struct field kind = {"kind", "KIND", FIELD_TEXT, tenant_events};
  json_t *const fields = json_object();
  const enum status status = request_field(fields, command, &kind, line->arguments[0], error);
  json_object_set_new(fields, "change", json_string(change));
  return send_control(line, command, INPUT_TENANT, fields, TENANT_REQUEST, status, error);
}

enum status command_tenant_begin(const struct command_line *line, struct error *error) {
  return change_tenant(line, "tenant begin", "BEGIN", error);
}

enum status command_tenant_end(const struct command_line *line, struct error *error) {
  return change_tenant(line, "tenant end", "END", error);
}

/* ---- profile ---- */

enum { PROFILE_ADMIN, PROFILE_REVISION, PROFILE_REQUEST };

const struct option_spec profile_push_options[] = {
    ADMIN_OPTION,
    {"revision", "NAME", "1 to 63 letters, digits, dots, underscores and hyphens"},
    REQUEST_OPTIONS};

enum status command_profile_push(const struct command_line *line, struct error *error) {
  static const struct field profile = {"profile", "PROFILE", FIELD_TEXT, profiles};
  static const struct field revision = {"revision", "--revision NAME", FIELD_NAME, NULL};
  json_t *const fields = json_object();
  enum status status = request_field(fields, "profile push", &profile, line->arguments[0], error);
  if (status == STATUS_OK) {
    status =
        request_field(fields, "profile push", &revision, line->options[PROFILE_REVISION], error);
  }
  return send_control(line, "profile push", INPUT_PROFILE_REVISION, fields, PROFILE_REQUEST, status,
                      error);
}

/* ---- group ---- */

enum { GROUP_ADMIN, GROUP_USER, GROUP_SERIAL, GROUP_REQUEST };

const struct option_spec group_options[] = {ADMIN_OPTION,
                                            {"user", "EMAIL", "a user, with all devices"},
                                            {"serial", "SERIAL", "a single device"},
                                            REQUEST_OPTIONS};

static enum status change_group(const struct command_line *line, const char *command,
                                const char *change, struct error *error) {
  static const struct field group = {"group", "NAME", FIELD_NAME, NULL};
  static const struct field user = {"user_email", NULL, FIELD_EMAIL, NULL};
  static const struct field serial = {"serial", NULL, FIELD_SERIAL, NULL};
  const char *const *options = line->options;
  if ((options[GROUP_USER] == NULL) == (options[GROUP_SERIAL] == NULL)) {
    return error_set(error, STATUS_USAGE, "%s: either --user EMAIL or --serial SERIAL is needed",
                     command);
  }
  json_t *const fields = json_object();
  enum status status = request_field(fields, command, &group, line->arguments[0], error);
  if (status == STATUS_OK) {
    status = request_field(fields, command, &user, options[GROUP_USER], error);
  }
  if (status == STATUS_OK) {
    status = request_field(fields, command, &serial, options[GROUP_SERIAL], error);
  }
  json_object_set_new(fields, "change", json_string(change));
  return send_control(line, command, INPUT_GROUP, fields, GROUP_REQUEST, status, error);
}

enum status command_group_add(const struct command_line *line, struct error *error) {
  return change_group(line, "group add", "ADD", error);
}

enum status command_group_remove(const struct command_line *line, struct error *error) {
  return change_group(line, "group remove", "REMOVE", error);
}
