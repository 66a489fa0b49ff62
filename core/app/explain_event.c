/* What a message said, as its step of an explanation shows it: persons by subject. */
#include "core/app/digest.h"
#include "core/app/explain.h"

#include <jansson.h>

static json_t *text_json(struct span text) {
  json_t *const json = json_stringn((const char *)text.data, text.size);
  return json == NULL ? json_null() : json;
}

static json_t *tri_json(enum tri tri) {
  return tri == TRI_UNKNOWN ? json_null() : json_boolean(tri == TRI_TRUE);
}

static json_t *subject_json(const struct named_person *person) {
  char subject[2 * SUBJECT_SIZE + 1];
  if (person->email.size == 0) {
    return json_null();
  }
  hex_format(person->subject, SUBJECT_SIZE, subject);
  return json_string(subject);
}

static json_t *enrollment_json(const struct event *event) {
  const struct enrollment *const is = &event->enrollment;
  return json_pack("{s:s, s:o, s:s, s:s, s:s, s:o}", "kind", "enrollment", "subject",
                   subject_json(&event->user), "platform", platform_name(is->platform), "profile",
                   profile_name(is->profile), "ownership", ownership_name(is->ownership),
                   "os_version", text_json(is->os_version));
}

static json_t *report_json(const struct report *is) {
  json_t *const json = json_pack(
      "{s:s, s:o, s:o, s:o, s:o, s:o}", "kind", "compliance report", "os_version",
      is->has_os_version ? text_json(is->os_version) : json_null(), "antivirus_enabled",
      tri_json(is->antivirus_enabled), "antivirus_signatures_at",
      explain_time(is->has_antivirus_signatures_at ? is->antivirus_signatures_at_ms : TIME_NONE),
      "disk_encrypted", tri_json(is->disk_encrypted), "screen_lock_pin_length",
      is->has_screen_lock_pin_length ? json_integer(is->screen_lock_pin_length) : json_null());
  if (is->has_threat_level) {
    json_object_set_new(json, "threat_defence_level",
                        json_string(threat_level_name(is->threat_level)));
  }
  if (is->has_threat_at) {
    json_object_set_new(json, "threat_defence_at", explain_time(is->threat_at_ms));
  }
  return json;
}

/* Only the fields that were said. */
static json_t *command_json(const struct event *event) {
  const struct device_command *const is = &event->command;
  json_t *const json = json_pack("{s:s, s:s, s:o, s:s}", "kind", "command", "command",
                                 command_name(is->kind), "actor", subject_json(&event->actor),
                                 "origin", is->is_of_user ? "USER" : "OPERATOR");
  if (is->has_status) {
    json_object_set_new(json, "status", json_string(device_status_name(is->status)));
  }
  if (is->has_wipe_reason) {
    json_object_set_new(json, "wipe_reason", json_string(wipe_reason_name(is->wipe_reason)));
  }
  if (is->has_confirm) {
    json_object_set_new(json, "confirm", text_json(is->confirm));
  }
  if (is->name.size > 0) {
    json_object_set_new(json, "name", text_json(is->name));
  }
  if (is->note.size > 0) {
    json_object_set_new(json, "note", text_json(is->note));
  }
  return json;
}

static json_t *policy_json(const struct event *event) {
  char hash[HEX_DIGEST_SIZE];
  hex_format(event->policy.hash, DIGEST_SIZE, hash);
  return json_pack("{s:s, s:o, s:o, s:s}", "kind", "policy", "actor", subject_json(&event->actor),
                   "version", text_json(event->policy.version), "hash", hash);
}

static json_t *group_json(const struct event *event) {
  json_t *const json = json_pack(
      "{s:s, s:o, s:o, s:s}", "kind", "group change", "actor", subject_json(&event->actor), "group",
      text_json(event->group.group), "change", event->group.is_removed ? "REMOVE" : "ADD");
  if (event->serial.size > 0) {
    json_object_set_new(json, "serial", text_json(event->serial));
  } else {
    json_object_set_new(json, "subject", subject_json(&event->user));
  }
  return json;
}

struct json_t *explain_event(const struct event *event) {
  switch (event->kind) {
  case EVENT_ENROLLMENT:
    return enrollment_json(event);
  case EVENT_CHECKIN:
    return json_pack("{s:s, s:o, s:s}", "kind", "check-in", "os_version",
                     text_json(event->checkin.os_version), "trigger",
                     event->checkin.trigger == TRIGGER_ON_DEMAND ? "ON_DEMAND" : "SCHEDULED");
  case EVENT_REPORT:
    return report_json(&event->report);
  case EVENT_COMMAND:
    return command_json(event);
  case EVENT_POLICY:
    return policy_json(event);
  case EVENT_ROLE:
    return json_pack("{s:s, s:o, s:o, s:s, s:s}", "kind", "role change", "actor",
                     subject_json(&event->actor), "subject", subject_json(&event->user), "role",
                     role_name(event->role.role), "change",
                     event->role.is_granted ? "GRANT" : "REVOKE");
  case EVENT_TENANT:
    return json_pack("{s:s, s:o, s:s, s:s}", "kind", "tenant event", "actor",
                     subject_json(&event->actor), "event", tenant_event_name(event->tenant.kind),
                     "change", event->tenant.is_over ? "END" : "BEGIN");
  case EVENT_PROFILE_REVISION:
    return json_pack("{s:s, s:o, s:s, s:o}", "kind", "profile revision", "actor",
                     subject_json(&event->actor), "profile",
                     profile_name(event->profile_revision.profile), "revision",
                     text_json(event->profile_revision.revision));
  case EVENT_GROUP:
    return group_json(event);
  case EVENT_STATE:
    return json_pack("{s:s, s:o}", "kind", "state request", "actor", subject_json(&event->actor));
  }
  assert(false);
  return NULL;
}
