/* Commands and control messages: the rare ones, decoded away from the hot path. */
#include "consumers/decode_fields.h"

/* Every control record begins with these. */
enum { SLOT_CONTROL_HAS_ACTOR = SLOT_POLICY_HAS_ACTOR, SLOT_CONTROL_ACTOR = SLOT_POLICY_ACTOR };
static_assert((int)SLOT_ROLE_ACTOR == (int)SLOT_CONTROL_ACTOR, "in every control record");
static_assert((int)SLOT_TENANT_ACTOR == (int)SLOT_CONTROL_ACTOR, "in every control record");
static_assert((int)SLOT_REVISION_ACTOR == (int)SLOT_CONTROL_ACTOR, "in every control record");
static_assert((int)SLOT_GROUP_ACTOR == (int)SLOT_CONTROL_ACTOR, "in every control record");
static_assert((int)SLOT_STATE_ACTOR == (int)SLOT_CONTROL_ACTOR, "in every control record");

/* Null and empty are the same: nobody is named. */
static bool take_actor(const struct slot *has, const struct slot *actor, struct event *event,
                       struct reject *reject) {
  return has->number == 0 ||
         field_take_text(actor, "actor_email", USER_EMAIL_SIZE_MAX, &event->actor.email, reject);
}

/* A version, a revision, a group: it stands in file names and settings, so it is plain. */
static bool take_short_name(const struct slot *slot, const char *field, struct span *name,
                            struct reject *reject) {
  *name = slot->text;
  bool is_good = name->size >= 1 && name->size <= SHORT_NAME_SIZE_MAX;
  for (size_t i = 0; is_good && i < name->size; i++) {
    const uint8_t byte = name->data[i];
    is_good = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
              (byte >= 'a' && byte <= 'z') || byte == '.' || byte == '_' || byte == '-';
  }
  return is_good ? true
                 : field_refuse(reject, field,
                                "not of 1 to 63 letters, digits, dots, underscores and hyphens");
}

/* ---- Commands ---- */

/* The field that a kind of command cannot do without, and has not; NULL when it has all. */
static const char *missing_field(const struct device_command *command) {
  switch (command->kind) {
  case COMMAND_SET_STATUS:
    return command->has_status ? NULL : "status";
  case COMMAND_WIPE:
    if (!command->has_wipe_reason) {
      return "wipe_reason";
    }
    return command->has_confirm ? NULL : "confirm";
  case COMMAND_RENAME:
    return command->name.size > 0 ? NULL : "name";
  case COMMAND_WITHDRAW_WIPE:
  case COMMAND_APPROVE_WIPE:
  case COMMAND_RETIRE:
  case COMMAND_SYNC:
  case COMMAND_COUNT:
    break;
  }
  return NULL;
}

static bool take_command_texts(const struct slot *slots, struct device_command *command,
                               struct reject *reject) {
  if (command->has_confirm &&
      !field_take_serial(&slots[SLOT_COMMAND_CONFIRM], "confirm", &command->confirm, reject)) {
    return false;
  }
  if (slots[SLOT_COMMAND_HAS_NAME].number != 0) {
    if (!field_take_text(&slots[SLOT_COMMAND_NAME], "name", SHORT_NAME_SIZE_MAX, &command->name,
                         reject)) {
      return false;
    }
    if (command->name.size == 0) {
      return field_refuse(reject, "name", "empty");
    }
  }
  return slots[SLOT_COMMAND_HAS_NOTE].number == 0 ||
         field_take_text(&slots[SLOT_COMMAND_NOTE], "note", NOTE_SIZE_MAX, &command->note, reject);
}

bool decode_command(const struct slot *slots, struct event *event, struct reject *reject) {
  struct device_command *const command = &event->command;
  *command = (struct device_command){0};
  assert(slots[SLOT_COMMAND_KIND].number < COMMAND_COUNT);
  command->kind = (enum command_kind)slots[SLOT_COMMAND_KIND].number;
  command->is_of_user = slots[SLOT_COMMAND_ORIGIN].number != 0;
  command->has_status = slots[SLOT_COMMAND_HAS_STATUS].number != 0;
  if (command->has_status) {
    assert(slots[SLOT_COMMAND_STATUS].number < DEVICE_STATUS_COUNT);
    command->status = (enum device_status)slots[SLOT_COMMAND_STATUS].number;
  }
  command->has_wipe_reason = slots[SLOT_COMMAND_HAS_WIPE_REASON].number != 0;
  if (command->has_wipe_reason) {
    assert(slots[SLOT_COMMAND_WIPE_REASON].number < WIPE_REASON_COUNT);
    command->wipe_reason = (enum wipe_reason)slots[SLOT_COMMAND_WIPE_REASON].number;
  }
  command->has_confirm = slots[SLOT_COMMAND_HAS_CONFIRM].number != 0;
  if (!take_actor(&slots[SLOT_COMMAND_HAS_ACTOR], &slots[SLOT_COMMAND_ACTOR], event, reject) ||
      !take_command_texts(slots, command, reject)) {
    return false;
  }
  const char *const missing = missing_field(command);
  if (missing != NULL) {
    reject_set(reject, REJECT_MALFORMED, STAGE_VALUE, "%s: %s needs it", missing,
               command_name(command->kind));
  }
  return missing == NULL;
}

/* ---- Control ---- */

/* 64 lower-case hexadecimal digits. */
static bool take_hash(struct span text, uint8_t hash[32]) {
  bool is_good = text.size == 64;
  for (size_t i = 0; is_good && i < text.size; i++) {
    const uint8_t digit = text.data[i];
    const bool is_letter = digit >= 'a' && digit <= 'f';
    is_good = is_letter || (digit >= '0' && digit <= '9');
    const uint8_t value = (uint8_t)(is_letter ? digit - 'a' + 10 : digit - '0');
    hash[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : hash[i / 2] | value);
  }
  return is_good;
}

static bool take_policy(const struct slot *slots, struct event *event, struct reject *reject) {
  struct policy_change *const policy = &event->policy;
  *policy = (struct policy_change){0};
  if (!take_short_name(&slots[SLOT_POLICY_VERSION], "version", &policy->version, reject)) {
    return false;
  }
  if (!take_hash(slots[SLOT_POLICY_HASH].text, policy->hash)) {
    return field_refuse(reject, "hash", "not of 64 lower-case hexadecimal digits");
  }
  policy->has_text = slots[SLOT_POLICY_HAS_TEXT].number != 0;
  if (policy->has_text) {
    policy->text = slots[SLOT_POLICY_TEXT].text;
  }
  return true;
}

static bool take_role(const struct slot *slots, struct event *event, struct reject *reject) {
  assert(slots[SLOT_ROLE_ROLE].number < ROLE_COUNT);
  event->role = (struct role_change){.role = (enum role)slots[SLOT_ROLE_ROLE].number,
                                     .is_granted = slots[SLOT_ROLE_CHANGE].number == 0};
  return field_take_email(&slots[SLOT_ROLE_USER], "user_email", &event->user.email, reject);
}

static bool take_tenant(const struct slot *slots, struct event *event) {
  assert(slots[SLOT_TENANT_KIND].number < TENANT_EVENT_COUNT);
  event->tenant =
      (struct tenant_event){.kind = (enum tenant_event_kind)slots[SLOT_TENANT_KIND].number,
                            .is_over = slots[SLOT_TENANT_CHANGE].number != 0};
  return true;
}

static bool take_revision(const struct slot *slots, struct event *event, struct reject *reject) {
  assert(slots[SLOT_REVISION_PROFILE].number < PROFILE_COUNT);
  event->profile_revision.profile = (enum profile)slots[SLOT_REVISION_PROFILE].number;
  return take_short_name(&slots[SLOT_REVISION_REVISION], "revision",
                         &event->profile_revision.revision, reject);
}

static bool take_group(const struct slot *slots, struct event *event, struct reject *reject) {
  const bool has_user = slots[SLOT_GROUP_HAS_USER].number != 0;
  const bool has_serial = slots[SLOT_GROUP_HAS_SERIAL].number != 0;
  event->group.is_removed = slots[SLOT_GROUP_CHANGE].number != 0;
  if (!take_short_name(&slots[SLOT_GROUP_GROUP], "group", &event->group.group, reject)) {
    return false;
  }
  if (has_user == has_serial) {
    return field_refuse(reject, "user_email",
                        has_user ? "serial is given too: a user or a device joins a group"
                                 : "neither it nor serial is given");
  }
  return has_user
             ? field_take_email(&slots[SLOT_GROUP_USER], "user_email", &event->user.email, reject)
             : field_take_serial(&slots[SLOT_GROUP_SERIAL], "serial", &event->serial, reject);
}

bool decode_control(const struct slot *slots, struct event *event, struct reject *reject) {
  event->serial = (struct span){0};
  if (!take_actor(&slots[SLOT_CONTROL_HAS_ACTOR], &slots[SLOT_CONTROL_ACTOR], event, reject)) {
    return false;
  }
  switch (event->kind) {
  case EVENT_POLICY:
    return take_policy(slots, event, reject);
  case EVENT_ROLE:
    return take_role(slots, event, reject);
  case EVENT_TENANT:
    return take_tenant(slots, event);
  case EVENT_PROFILE_REVISION:
    return take_revision(slots, event, reject);
  case EVENT_GROUP:
    return take_group(slots, event, reject);
  case EVENT_STATE:
    return true;
  case EVENT_ENROLLMENT:
  case EVENT_CHECKIN:
  case EVENT_REPORT:
  case EVENT_COMMAND:
    break;
  }
  assert(false);
  return false;
}
