#include "tests/lib/script_words.h"

#define NAME(name) #name,
static const char *const statuses[] = {STATUS_SYMBOLS(NAME)};
static const char *const commands[] = {COMMAND_LIST(NAME)};
static const char *const wipe_reasons[] = {WIPE_REASON_LIST(NAME)};
static const char *const roles[] = {ROLE_LIST(NAME)};
static const char *const tenant_events[] = {TENANT_EVENT_LIST(NAME)};
static const char *const profiles[] = {PROFILE_LIST(NAME)};

static bool take_name(struct words *words, const char *const *names, size_t count, int *index) {
  return take_word(words) && parse_name(words->word, names, count, index);
}

/* "grant" or "revoke", "begin" or "end": whether it is the second. */
static bool take_either(struct words *words, const char *first, const char *second,
                        bool *is_second) {
  if (!take_word(words)) {
    return false;
  }
  *is_second = is_word(words->word, second);
  return *is_second || is_word(words->word, first);
}

static bool parse_command(struct words *words, struct event *event) {
  int index;
  if (!take_name(words, commands, COUNT_OF(commands), &index) || !take_word(words)) {
    return false;
  }
  event->kind = EVENT_COMMAND;
  event->command.kind = (enum command_kind)index;
  event->serial = words->word;
  return true;
}

static bool parse_role(struct words *words, struct event *event) {
  bool is_revoked;
  int index;
  if (!take_either(words, "grant", "revoke", &is_revoked) || !take_word(words)) {
    return false;
  }
  event->kind = EVENT_ROLE;
  put_person(words->word, &event->user);
  if (!take_name(words, roles, COUNT_OF(roles), &index)) {
    return false;
  }
  event->role = (struct role_change){.role = (enum role)index, .is_granted = !is_revoked};
  return true;
}

static bool parse_tenant(struct words *words, struct event *event) {
  bool is_over;
  int index;
  if (!take_either(words, "begin", "end", &is_over) ||
      !take_name(words, tenant_events, COUNT_OF(tenant_events), &index)) {
    return false;
  }
  event->kind = EVENT_TENANT;
  event->tenant = (struct tenant_event){.kind = (enum tenant_event_kind)index, .is_over = is_over};
  return true;
}

static bool parse_group(struct words *words, struct event *event) {
  bool is_removed;
  if (!take_either(words, "add", "remove", &is_removed) || !take_word(words)) {
    return false;
  }
  event->kind = EVENT_GROUP;
  event->group = (struct group_change){.group = words->word, .is_removed = is_removed};
  return true;
}

static bool parse_revision(struct words *words, struct event *event) {
  int index;
  if (!take_name(words, profiles, COUNT_OF(profiles), &index) || !take_word(words)) {
    return false;
  }
  event->kind = EVENT_PROFILE_REVISION;
  event->profile_revision =
      (struct profile_revision){.profile = (enum profile)index, .revision = words->word};
  return true;
}

static bool parse_state(struct words *words, struct event *event) {
  (void)words;
  event->kind = EVENT_STATE;
  return true;
}

bool parse_control_kind(struct words *words, struct script_line *line) {
  static const struct {
    const char *word;
    enum topic topic;
    bool (*parse)(struct words *words, struct event *event);
  } kinds[] = {
      {"command", TOPIC_COMMANDS, parse_command},  {"role", TOPIC_CONTROL, parse_role},
      {"tenant", TOPIC_CONTROL, parse_tenant},     {"group", TOPIC_CONTROL, parse_group},
      {"revision", TOPIC_CONTROL, parse_revision}, {"state", TOPIC_CONTROL, parse_state},
  };
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    if (is_word(words->word, kinds[i].word)) {
      line->message.is_event = true;
      line->topic = kinds[i].topic;
      return kinds[i].parse(words, &line->message.event);
    }
  }
  return false;
}

static bool parse_command_word(struct span word, struct device_command *command) {
  struct span value;
  int index;
  if (is_word(word, "of-user")) {
    command->is_of_user = true;
  } else if (take_value(word, "status", &value) &&
             parse_name(value, statuses, COUNT_OF(statuses), &index)) {
    command->has_status = true;
    command->status = (enum device_status)index;
  } else if (take_value(word, "reason", &value) &&
             parse_name(value, wipe_reasons, COUNT_OF(wipe_reasons), &index)) {
    command->has_wipe_reason = true;
    command->wipe_reason = (enum wipe_reason)index;
  } else if (take_value(word, "confirm", &command->confirm)) {
    command->has_confirm = true;
  } else {
    return take_value(word, "name", &command->name) || take_value(word, "note", &command->note);
  }
  return true;
}

bool parse_control_word(struct span word, struct event *event) {
  struct span value;
  if (take_value(word, "by", &value)) {
    put_person(value, &event->actor);
    return true;
  }
  if (event->kind == EVENT_GROUP && take_value(word, "user", &value)) {
    put_person(value, &event->user);
    return true;
  }
  if (event->kind == EVENT_GROUP && take_value(word, "serial", &event->serial)) {
    return true;
  }
  return event->kind == EVENT_COMMAND && parse_command_word(word, &event->command);
}

/* "SYNC,RENAME". */
static bool parse_commands(struct span list, uint8_t *bits) {
  while (list.size > 0) {
    const uint8_t *comma = memchr(list.data, ',', list.size);
    const size_t size = comma == NULL ? list.size : (size_t)(comma - list.data);
    int index;
    if (!parse_name(span_of(list.data, size), commands, COUNT_OF(commands), &index)) {
      return false;
    }
    *bits = (uint8_t)(*bits | 1u << index);
    const size_t cut = comma == NULL ? size : size + 1;
    list = span_of(list.data + cut, list.size - cut);
  }
  return true;
}

static bool parse_amend_word(struct span word, struct script_amend *amend) {
  struct span value;
  int64_t number = 0;
  if (is_word(word, "push-profile")) {
    amend->pushes_profile = true;
    return true;
  }
  if (take_value(word, "of-users", &value)) {
    return parse_commands(value, &amend->commands.of_users);
  }
  if (take_value(word, "wipe-window", &value)) {
    return parse_distance(value, &amend->commands.wipe_limit_per_ms);
  }
  if (take_value(word, "retires", &value)) {
    return parse_distance(value, &amend->retires_after_ms);
  }
  if (take_value(word, "wipe-approvals", &value) && parse_number(value, &number)) {
    amend->commands.wipe_approvals = (uint32_t)number;
    return true;
  }
  if (take_value(word, "wipe-limit", &value) && parse_number(value, &number)) {
    amend->commands.wipe_limit = (uint32_t)number;
    return true;
  }
  return take_value(word, "group", &amend->group) || take_value(word, "rule", &amend->rule);
}

bool parse_amend(struct words *words, struct script_amend *amend) {
  *amend = (struct script_amend){.retires_after_ms = -1};
  while (take_word(words)) {
    if (!parse_amend_word(words->word, amend)) {
      return false;
    }
  }
  return true;
}
