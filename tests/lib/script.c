#include "tests/lib/script_words.h"

#include <stdlib.h>

#define NAME(name) #name,
static const char *const platforms[] = {PLATFORM_LIST(NAME)};
static const char *const profiles[] = {PROFILE_LIST(NAME)};
static const char *const ownerships[] = {OWNERSHIP_LIST(NAME)};
static const char *const statuses[] = {STATUS_SYMBOLS(NAME)};
static const char *const levels[] = {"secured", "low", "medium", "high"};
static const char *const answers[] = {"unknown", "off", "on"}; /* as enum tri */

bool take_word(struct words *words) {
  size_t size = 0;
  while (size < words->rest.size && words->rest.data[size] != ' ') {
    size++;
  }
  words->word = span_of(words->rest.data, size);
  const size_t cut = size < words->rest.size ? size + 1 : size;
  words->rest = span_of(words->rest.data + cut, words->rest.size - cut);
  return size > 0;
}

bool is_word(struct span word, const char *text) {
  return span_equal(word, span_text(text));
}

bool take_value(struct span word, const char *name, struct span *value) {
  const size_t size = strlen(name);
  if (word.size <= size || memcmp(word.data, name, size) != 0 || word.data[size] != '=') {
    return false;
  }
  *value = span_of(word.data + size + 1, word.size - size - 1);
  return true;
}

bool parse_name(struct span word, const char *const *names, size_t count, int *index) {
  for (size_t i = 0; i < count; i++) {
    if (is_word(word, names[i])) {
      *index = (int)i;
      return true;
    }
  }
  return false;
}

static bool parse_topic(struct span word, enum topic *topic) {
  for (*topic = 0; *topic < TOPIC_COUNT; ++*topic) {
    if (is_word(word, topic_name(*topic))) {
      return true;
    }
  }
  return false;
}

bool parse_number(struct span word, int64_t *number) {
  char text[24] = {0};
  if (word.size == 0 || word.size >= sizeof text) {
    return false;
  }
  memcpy(text, word.data, word.size);
  char *end;
  *number = strtoll(text, &end, 10);
  return *end == '\0';
}

bool parse_distance(struct span text, int64_t *distance_ms) {
  static const struct {
    const char *name;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  *distance_ms = 0;
  size_t at = 0;
  while (at < text.size) {
    int64_t number = 0;
    size_t unit_at = at;
    while (unit_at < text.size && text.data[unit_at] >= '0' && text.data[unit_at] <= '9') {
      number = number * 10 + (text.data[unit_at++] - '0');
    }
    size_t end = unit_at;
    while (end < text.size && text.data[end] >= 'a' && text.data[end] <= 'z') {
      end++;
    }
    size_t i = 0;
    while (i < COUNT_OF(units) &&
           !is_word(span_of(text.data + unit_at, end - unit_at), units[i].name)) {
      i++;
    }
    if (unit_at == at || i == COUNT_OF(units)) {
      return false;
    }
    *distance_ms += number * units[i].ms;
    at = end;
  }
  return true;
}

/* `from_ms` is what a time without a T is counted from. */
static bool parse_time(struct span text, int64_t base_ms, int64_t from_ms, int64_t *at_ms) {
  if (text.size > 0 && text.data[0] == 'T') {
    text = span_of(text.data + 1, text.size - 1);
    from_ms = base_ms;
    if (text.size == 0) {
      *at_ms = from_ms;
      return true;
    }
  }
  if (text.size < 2 || (text.data[0] != '+' && text.data[0] != '-')) {
    return false;
  }
  int64_t distance_ms;
  if (!parse_distance(span_of(text.data + 1, text.size - 1), &distance_ms)) {
    return false;
  }
  *at_ms = from_ms + (text.data[0] == '+' ? distance_ms : -distance_ms);
  return true;
}

void put_padded(struct span text, uint8_t *bytes, size_t size) {
  memset(bytes, 0, size);
  memcpy(bytes, text.data, text.size < size ? text.size : size);
}

void put_person(struct span text, struct named_person *person) {
  person->email = text;
  put_padded(text, person->subject, SUBJECT_SIZE);
}

static bool parse_enrollment_word(struct span word, struct event *event) {
  struct enrollment *enrollment = &event->enrollment;
  struct span value;
  int index;
  if (take_value(word, "user", &value)) {
    put_person(value, &event->user);
  } else if (take_value(word, "os", &value)) {
    enrollment->os_version = value;
  } else if (take_value(word, "profile", &value)) {
    if (!parse_name(value, profiles, COUNT_OF(profiles), &index)) {
      return false;
    }
    enrollment->profile = (enum profile)index;
  } else if (take_value(word, "platform", &value)) {
    if (!parse_name(value, platforms, COUNT_OF(platforms), &index)) {
      return false;
    }
    enrollment->platform = (enum platform)index;
  } else if (take_value(word, "owner", &value)) {
    if (!parse_name(value, ownerships, COUNT_OF(ownerships), &index)) {
      return false;
    }
    enrollment->ownership = (enum ownership)index;
  } else {
    return false;
  }
  return true;
}

static bool parse_checkin_word(struct span word, struct checkin *checkin) {
  if (is_word(word, "on-demand")) {
    checkin->trigger = TRIGGER_ON_DEMAND;
    return true;
  }
  return take_value(word, "os", &checkin->os_version);
}

static bool parse_report_word(struct span word, const struct script_context *context,
                              struct report *report) {
  struct span value;
  int index;
  int64_t number = 0;
  if (is_word(word, "healthy")) {
    report->antivirus_enabled = report->disk_encrypted = TRI_TRUE;
    report->has_antivirus_signatures_at = report->has_screen_lock_pin_length = true;
    report->antivirus_signatures_at_ms = context->last_at_ms;
    report->screen_lock_pin_length = 6;
  } else if (take_value(word, "os", &report->os_version)) {
    report->has_os_version = true;
  } else if (take_value(word, "av", &value)) {
    if (!parse_name(value, answers, COUNT_OF(answers), &index)) {
      return false;
    }
    report->antivirus_enabled = (enum tri)index;
  } else if (take_value(word, "encryption", &value)) {
    if (!parse_name(value, answers, COUNT_OF(answers), &index)) {
      return false;
    }
    report->disk_encrypted = (enum tri)index;
  } else if (take_value(word, "signatures", &value)) {
    report->has_antivirus_signatures_at = true;
    return parse_time(value, context->base_ms, context->last_at_ms,
                      &report->antivirus_signatures_at_ms);
  } else if (take_value(word, "threat", &value)) {
    index = 0;
    report->has_threat_level = parse_name(value, levels, COUNT_OF(levels), &index);
    report->threat_level = (enum threat_level)index;
    return report->has_threat_level;
  } else if (take_value(word, "threat-at", &value)) {
    report->has_threat_at = true;
    return parse_time(value, context->base_ms, context->last_at_ms, &report->threat_at_ms);
  } else if (take_value(word, "pin", &value)) {
    report->has_screen_lock_pin_length = parse_number(value, &number);
    report->screen_lock_pin_length = (int32_t)number;
    return report->has_screen_lock_pin_length;
  } else {
    return false;
  }
  return true;
}

static bool parse_common_word(struct span word, struct logged *message) {
  struct span value;
  if (is_word(word, "unbelieved")) {
    message->is_believed = false;
  } else if (take_value(word, "id", &value)) {
    put_padded(value, message->event.event_id, EVENT_ID_SIZE);
  } else if (take_value(word, "offset", &value)) {
    return parse_number(value, &message->offset);
  } else if (!take_value(word, "trace", &message->traceparent)) {
    return false;
  }
  return true;
}

static bool parse_policy_word(struct span word, struct event *event, struct script_line *line) {
  struct span value;
  if (is_word(word, "textless")) {
    line->is_textless = true;
  } else if (is_word(word, "other")) {
    line->is_other = true;
  } else if (take_value(word, "by", &value)) {
    event->actor.email = value;
    put_padded(value, event->actor.subject, SUBJECT_SIZE);
  } else {
    return false;
  }
  return true;
}

static bool parse_event_word(struct span word, const struct script_context *context,
                             struct script_line *line) {
  struct event *event = &line->message.event;
  switch (event->kind) {
  case EVENT_ENROLLMENT:
    return parse_enrollment_word(word, event);
  case EVENT_CHECKIN:
    return parse_checkin_word(word, &event->checkin);
  case EVENT_REPORT:
    return parse_report_word(word, context, &event->report);
  case EVENT_POLICY:
    return parse_policy_word(word, event, line);
  case EVENT_COMMAND:
  case EVENT_ROLE:
  case EVENT_TENANT:
  case EVENT_PROFILE_REVISION:
  case EVENT_GROUP:
  case EVENT_STATE:
    return parse_control_word(word, event);
  }
  return false;
}

static bool parse_reject(struct words *words, struct script_line *line) {
  struct reject *reject = &line->message.reject;
  if (!take_word(words) || !parse_topic(words->word, &line->topic) || !take_word(words)) {
    return false;
  }
  for (enum reject_code code = REJECT_NONE + 1; code < REJECT_COUNT; code++) {
    if (is_word(words->word, reject_code_name(code))) {
      reject_set(reject, code, STAGE_VALUE, "as the script says");
    }
  }
  return reject->code != REJECT_NONE;
}

/* What the message is, with its defaults. */
static bool parse_message_kind(struct words *words, struct script_line *line) {
  static const struct {
    const char *word;
    enum event_kind kind;
    enum topic topic;
  } kinds[] = {
      {"enroll", EVENT_ENROLLMENT, TOPIC_ENROLLMENTS},
      {"checkin", EVENT_CHECKIN, TOPIC_CHECKINS},
      {"report", EVENT_REPORT, TOPIC_REPORTS},
      {"apply", EVENT_POLICY, TOPIC_CONTROL},
  };
  struct event *event = &line->message.event;
  if (is_word(words->word, "reject")) {
    return parse_reject(words, line);
  }
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    if (is_word(words->word, kinds[i].word) && take_word(words)) {
      line->message.is_event = true;
      line->topic = kinds[i].topic;
      event->kind = kinds[i].kind;
      if (event->kind == EVENT_POLICY) {
        line->policy = words->word;
        return true;
      }
      event->serial = words->word;
      if (event->kind == EVENT_ENROLLMENT) {
        event->enrollment.os_version = span_text("10.0.22631");
        return parse_enrollment_word(span_text("user=ann"), event);
      }
      if (event->kind == EVENT_CHECKIN) {
        event->checkin.os_version = span_text("10.0.22631");
      }
      return true;
    }
  }
  return parse_control_kind(words, line);
}

static bool parse_message(struct words *words, struct script_context *context,
                          struct script_line *line) {
  struct logged *message = &line->message;
  const bool has_stamp = !is_word(words->word, "none");
  *message = (struct logged){.offset = -1, .timestamp_ms = -1, .is_believed = has_stamp};
  if (has_stamp &&
      !parse_time(words->word, context->base_ms, context->last_at_ms, &message->timestamp_ms)) {
    return false;
  }
  context->last_at_ms = has_stamp ? message->timestamp_ms : context->last_at_ms;
  char id[EVENT_ID_SIZE];
  snprintf(id, sizeof id, "e%u", ++context->message_count);
  put_padded(span_text(id), message->event.event_id, EVENT_ID_SIZE);
  if (!take_word(words) || !parse_message_kind(words, line)) {
    return false;
  }
  message->event.occurred_at_ms = context->last_at_ms;
  while (take_word(words)) {
    if (!parse_common_word(words->word, message) &&
        !(message->is_event && parse_event_word(words->word, context, line))) {
      return false;
    }
  }
  return true;
}

static bool parse_given(struct words *words, struct script_line *line) {
  struct script_given *given = &line->given;
  *given = (struct script_given){.status = DEVICE_STATUS_COUNT};
  if (!take_word(words)) {
    return false;
  }
  given->serial = words->word;
  while (take_word(words)) {
    struct span value;
    int index;
    if (take_value(words->word, "status", &value) &&
        parse_name(value, statuses, COUNT_OF(statuses), &index)) {
      given->status = (enum device_status)index;
    } else if (is_word(words->word, "email-blocked")) {
      given->email_blocked = true;
    } else if (is_word(words->word, "sap-blocked")) {
      given->sap_blocked = true;
    } else if (is_word(words->word, "ticket-open")) {
      given->ticket_open = true;
    } else {
      return false;
    }
  }
  return true;
}

static bool parse_lane(struct words *words, struct script_line *line) {
  return take_word(words) && parse_number(words->word, &line->number) && take_word(words) &&
         is_word(words->word, "of") && take_word(words) &&
         parse_number(words->word, &line->number_of) && line->number >= 0 &&
         line->number < line->number_of;
}

/* What follows the first word of a line that is no message. */
static bool parse_gap(struct words *words, struct journal_gap *gap) {
  struct span value;
  struct named_person actor;
  *gap = (struct journal_gap){.is_set = true, .event_id = "gap", .reason = "lost"};
  if (!take_word(words) || !parse_topic(words->word, &gap->topic) || !take_word(words) ||
      !parse_number(words->word, &gap->from) || !take_word(words) ||
      !parse_number(words->word, &gap->to)) {
    return false;
  }
  while (words->rest.size > 0 && take_word(words)) {
    if (take_value(words->word, "by", &value)) {
      put_person(value, &actor);
      gap->has_actor = true;
      memcpy(gap->actor, actor.subject, SUBJECT_SIZE);
    } else if (take_value(words->word, "reason", &value) && value.size <= NOTE_SIZE_MAX) {
      memset(gap->reason, 0, sizeof gap->reason);
      memcpy(gap->reason, value.data, value.size);
    } else {
      return false;
    }
  }
  return true;
}

static bool parse_rest(struct words *words, const struct script_context *context,
                       struct script_line *line) {
  switch (line->kind) {
  case SCRIPT_LANE:
    return parse_lane(words, line);
  case SCRIPT_POLICY:
    if (!take_word(words)) {
      return false;
    }
    line->policy = words->word;
    return true;
  case SCRIPT_GIVEN:
    return parse_given(words, line);
  case SCRIPT_AMEND:
    return parse_amend(words, &line->amend);
  case SCRIPT_BOOTSTRAP:
    line->admins = words->rest;
    words->rest = (struct span){0};
    return true;
  case SCRIPT_GAP:
    return parse_gap(words, &line->gap);
  case SCRIPT_TICK:
    return take_word(words) &&
           parse_time(words->word, context->base_ms, context->last_at_ms, &line->at_ms);
  case SCRIPT_MORE:
  case SCRIPT_END:
    return take_word(words) && parse_topic(words->word, &line->topic);
  case SCRIPT_LIMIT:
    return take_word(words) && parse_number(words->word, &line->number) && line->number >= 0;
  case SCRIPT_RUN:
    return words->rest.size == 0 ||
           (take_word(words) && parse_number(words->word, &line->number) && line->number > 0);
  case SCRIPT_MERGE:
  case SCRIPT_CLOSE:
  case SCRIPT_MESSAGE:
    break;
  }
  return true;
}

bool script_parse(struct span text, struct script_context *context, struct script_line *line,
                  struct span *unknown) {
  static const struct {
    const char *word;
    enum script_kind kind;
  } kinds[] = {
      {"lane", SCRIPT_LANE},   {"policy", SCRIPT_POLICY}, {"given", SCRIPT_GIVEN},
      {"tick", SCRIPT_TICK},   {"merge", SCRIPT_MERGE},   {"run", SCRIPT_RUN},
      {"more", SCRIPT_MORE},   {"end", SCRIPT_END},       {"limit", SCRIPT_LIMIT},
      {"close", SCRIPT_CLOSE}, {"amend", SCRIPT_AMEND},   {"bootstrap", SCRIPT_BOOTSTRAP},
      {"gap", SCRIPT_GAP},
  };
  struct words words = {.rest = text};
  *line = (struct script_line){.kind = SCRIPT_MESSAGE};
  bool is_understood = take_word(&words);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    if (is_word(words.word, kinds[i].word)) {
      line->kind = kinds[i].kind;
    }
  }
  if (line->kind == SCRIPT_MESSAGE) {
    is_understood = is_understood && parse_message(&words, context, line);
  } else {
    is_understood = parse_rest(&words, context, line);
    if (is_understood && take_word(&words)) {
      is_understood = false;
    }
  }
  *unknown = words.word;
  return is_understood;
}
