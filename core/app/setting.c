#include "core/app/setting.h"

#include "core/app/text.h"
#include "core/event.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NAME_SIZE_MAX = 200 };

static bool is_name(const char *text) {
  const size_t size = strlen(text);
  return size <= NAME_SIZE_MAX && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                                               "wxyz0123456789._-") == size;
}

static bool check_name(const char *text, const char **expected) {
  *expected = "1 to 200 letters, digits, '.', '_' or '-', as in a Kafka topic name";
  return text[0] != '\0' && is_name(text);
}

static bool check_name_or_empty(const char *text, const char **expected) {
  *expected = "at most 200 letters, digits, '.', '_' or '-', as in a Kafka topic name";
  return is_name(text);
}

static bool check_not_empty(const char *text, const char **expected) {
  *expected = "a value that is not empty";
  return text[0] != '\0';
}

static bool check_url_or_empty(const char *text, const char **expected) {
  *expected = "a URL that begins with http:// or https://, or nothing";
  return text[0] == '\0' || strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

/* The port behind the last colon, with a host before it: a bare IPv6 address needs brackets. */
static bool check_listen(const char *text, const char **expected) {
  *expected = "HOST:PORT, [IPv6]:PORT or off";
  if (strcmp(text, "off") == 0) {
    return true;
  }
  const char *const colon = strrchr(text, ':');
  if (colon == NULL || colon == text) {
    return false;
  }
  const size_t host_size = (size_t)(colon - text);
  const bool is_bracketed = text[0] == '[' && colon[-1] == ']' && host_size > 2;
  if (!is_bracketed && memchr(text, ':', host_size) != NULL) {
    return false;
  }
  const size_t digits = strlen(colon + 1);
  return digits >= 1 && digits <= 5 && strspn(colon + 1, "0123456789") == digits &&
         strtol(colon + 1, NULL, 10) <= 65535;
}

static bool check_address(const char *text, const char **expected) {
  *expected = "mail addresses";
  const struct span span = span_text(text);
  return span.size <= USER_EMAIL_SIZE_MAX && strchr(text, '@') != NULL &&
         strchr(text, ' ') == NULL && span_is_utf8_text(span);
}

static const char *const partitioners[] = {"murmur2", "crc32", "fnv1a", NULL};
static const char *const framings[] = {"single-object", "confluent", NULL};
/* Empty: librdkafka's own default, or what -X says. */
static const char *const protocols[] = {"", "plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
static const char *const mechanisms[] = {
    "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER", NULL};
static const char *const log_formats[] = {"logfmt", "json", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};

static_assert(PARTITIONER_CRC32 == 1 && PARTITIONER_FNV1A == 2, "the order of partitioners[]");
static_assert(FRAMING_CONFLUENT == 1, "the order of framings[]");
static_assert(sizeof(enum partitioner) == sizeof(unsigned), "choices are stored as unsigned");
static_assert(sizeof(enum framing) == sizeof(unsigned), "choices are stored as unsigned");

#define FIELD(section, name)                                                                       \
  .key = #section "." #name, .offset = offsetof(struct config, section.name)
#define TEXT(section, name, initial)                                                               \
  FIELD(section, name), .type = SETTING_TEXT, .fallback = (initial)

const struct setting settings[] = {
    {TEXT(kafka, bootstrap_servers, "127.0.0.1:9092"), .check = check_not_empty},
    {TEXT(kafka, group_id, "muster"), .check = check_name},
    {TEXT(kafka, topic_prefix, "muster."), .check = check_name_or_empty},
    {TEXT(kafka, instance, ""), .check = check_name_or_empty},
    {TEXT(kafka, security_protocol, ""), .choices = protocols},
    {TEXT(kafka, sasl_mechanism, ""), .choices = mechanisms},
    {TEXT(kafka, sasl_username, "")},
    {TEXT(kafka, sasl_password, ""), .is_secret = true},
    {TEXT(kafka, sasl_password_file, "")},
    {TEXT(kafka, ssl_ca_file, "")},
    {TEXT(kafka, ssl_certificate_file, "")},
    {TEXT(kafka, ssl_key_file, "")},
    {TEXT(kafka, ssl_key_password, ""), .is_secret = true},
    {TEXT(kafka, ssl_key_password_file, "")},
    {FIELD(kafka, partitioner), .type = SETTING_CHOICE, .fallback = "murmur2",
     .choices = partitioners},
    {FIELD(kafka, framing), .type = SETTING_CHOICE, .fallback = "single-object",
     .choices = framings},
    {FIELD(kafka, cloudevents), .type = SETTING_SWITCH, .fallback = "false"},
    /* The upper limit is librdkafka's message.max.bytes, less the room for our own headers. */
    {FIELD(kafka, message_bytes_max), .type = SETTING_BYTES, .fallback = "1048576", .minimum = 1,
     .maximum = 1000000000 - 65536},
    {TEXT(schemas, directory, "")},
    {TEXT(schemas, registry_url, ""), .is_secret = true, .check = check_url_or_empty},
    {TEXT(schemas, registry_user, "")},
    {TEXT(schemas, registry_password, ""), .is_secret = true},
    {TEXT(schemas, registry_password_file, "")},
    {TEXT(schemas, registry_ca_file, "")},
    {TEXT(schemas, registry_certificate_file, "")},
    {TEXT(schemas, registry_key_file, "")},
    /* Host and user stay libpq's own defaults, its environment variables included. */
    {TEXT(postgres, dsn, "dbname=muster"), .is_secret = true, .check = check_not_empty},
    {TEXT(http, listen, "127.0.0.1:9464"), .check = check_listen},
    {TEXT(privacy, subject_key_file, "")},
    {TEXT(journal, signing_key_file, "")},
    {FIELD(roles, bootstrap_admins), .type = SETTING_LIST, .fallback = "", .check = check_address},
    {FIELD(batch, messages_max), .type = SETTING_COUNT, .fallback = "100000", .minimum = 1,
     .maximum = 10000000},
    {FIELD(batch, bytes_max), .type = SETTING_BYTES, .fallback = "4194304", .minimum = 65536,
     .maximum = 1 << 30},
    {FIELD(batch, memory_max), .type = SETTING_BYTES, .fallback = "33554432", .minimum = 1 << 20,
     .maximum = INT64_C(1) << 40},
    {FIELD(loop, stall_max_s), .type = SETTING_COUNT, .fallback = "30", .minimum = 0,
     .maximum = 3600},
    {TEXT(log, format, "logfmt"), .choices = log_formats},
    {TEXT(log, level, "info"), .choices = log_levels},
};
const size_t setting_count = COUNT_OF(settings);

const struct setting *setting_find(const char *key) {
  for (size_t i = 0; i < setting_count; i++) {
    if (strcmp(settings[i].key, key) == 0) {
      return &settings[i];
    }
  }
  return NULL;
}

enum status setting_unknown(const char *place, const char *key, struct error *error) {
  struct suggestion suggestion = {.word = key};
  for (size_t i = 0; i < setting_count; i++) {
    suggestion_offer(&suggestion, settings[i].key);
  }
  char nearest[SUGGESTION_TEXT_SIZE];
  return error_set(error, STATUS_CONFIG, "%s: unknown key %s%s", place, key,
                   suggestion_text(&suggestion, nearest));
}

static void *field_of(const struct setting *setting, struct config *config) {
  return (char *)config + setting->offset;
}

static const void *field_seen(const struct setting *setting, const struct config *config) {
  return (const char *)config + setting->offset;
}

static enum status refuse(const struct setting *setting, const char *place, const char *value,
                          const char *expected, struct error *error) {
  if (setting->is_secret) {
    return error_set(error, STATUS_CONFIG, "%s: %s must be %s", place, setting->key, expected);
  }
  return error_set(error, STATUS_CONFIG, "%s: %s must be %s, not \"%.80s\"", place, setting->key,
                   expected, value);
}

static bool read_switch(const char *value, bool *boolean) {
  static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
  for (size_t i = 0; i < COUNT_OF(words); i++) {
    if (strcasecmp(value, words[i]) == 0) {
      *boolean = i % 2 == 1;
      return true;
    }
  }
  return false;
}

static bool read_number(const char *value, bool has_unit, int64_t *number) {
  static const struct {
    const char *name;
    int64_t bytes;
  } units[] = {{"", 1},          {"B", 1},           {"kB", 1000},
               {"MB", 1000000},  {"GB", 1000000000}, {"KiB", 1 << 10},
               {"MiB", 1 << 20}, {"GiB", 1 << 30}};
  const size_t digits = strspn(value, "0123456789");
  if (digits == 0 || digits > 12) {
    return false;
  }
  *number = strtoll(value, NULL, 10);
  const char *unit = value + digits;
  unit += has_unit ? strspn(unit, " ") : 0;
  for (size_t i = 0; i < (has_unit ? COUNT_OF(units) : 1); i++) {
    if (strcmp(unit, units[i].name) == 0) {
      return !__builtin_mul_overflow(*number, units[i].bytes, number);
    }
  }
  return false;
}

static enum status assign_number(const struct setting *setting, struct config *config,
                                 const char *place, const char *value, struct error *error) {
  const bool is_bytes = setting->type == SETTING_BYTES;
  int64_t number;
  if (!read_number(value, is_bytes, &number)) {
    return refuse(setting, place, value,
                  is_bytes ? "a number of bytes such as 1048576 or 16 MiB" : "a whole number",
                  error);
  }
  if (number < setting->minimum || number > setting->maximum) {
    char expected[SETTING_CHECK_TEXT_SIZE];
    snprintf(expected, sizeof expected, "between %lld and %lld", (long long)setting->minimum,
             (long long)setting->maximum);
    return refuse(setting, place, value, expected, error);
  }
  *(int64_t *)field_of(setting, config) = number;
  return STATUS_OK;
}

/* The place of the choice in any case of letters, -1 for none. */
static int choice_of(const struct setting *setting, const char *value) {
  for (int i = 0; setting->choices[i] != NULL; i++) {
    if (strcasecmp(setting->choices[i], value) == 0) {
      return i;
    }
  }
  return -1;
}

static enum status refuse_choice(const struct setting *setting, const char *place,
                                 const char *value, struct error *error) {
  char expected[SETTING_CHECK_TEXT_SIZE] = "one of ";
  for (size_t i = 0; setting->choices[i] != NULL; i++) {
    const size_t used = strlen(expected);
    snprintf(expected + used, sizeof expected - used, "%s%s", i == 0 ? "" : ", ",
             setting->choices[i]);
  }
  return refuse(setting, place, value, expected, error);
}

static enum status assign_text(const struct setting *setting, struct config *config,
                               const char *place, const char *value, struct error *error) {
  const char *expected = "UTF-8 text without control characters";
  if (!span_is_utf8_text(span_text(value)) ||
      (setting->check != NULL && !setting->check(value, &expected))) {
    return refuse(setting, place, value, expected, error);
  }
  const char *stored = value;
  if (setting->choices != NULL) {
    const int choice = choice_of(setting, value);
    if (choice < 0) {
      return refuse_choice(setting, place, value, error);
    }
    stored = setting->choices[choice];
  }
  char **const field = field_of(setting, config);
  char *const copy = text_copy(stored);
  free(*field);
  *field = copy;
  return STATUS_OK;
}

/* Parts the text at its commas; blanks around an item and empty items do not count. */
static enum status assign_commas(const struct setting *setting, struct config *config,
                                 const char *place, const char *value, struct error *error) {
  struct text_list items = {0};
  for (const char *at = value; *at != '\0';) {
    at += strspn(at, " \t");
    size_t size = strcspn(at, ",");
    const char *const next = at + size + (at[size] == ',' ? 1 : 0);
    while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t')) {
      size--;
    }
    if (size > 0) {
      items.items = memory_grown(items.items, items.count + 1, sizeof items.items[0]);
      items.items[items.count++] = text_copy_size(at, size);
    }
    at = next;
  }
  const enum status status = setting_assign_list(setting, config, place, &items, error);
  for (size_t i = 0; i < items.count; i++) {
    free(items.items[i]);
  }
  free(items.items);
  return status;
}

enum status setting_assign_list(const struct setting *setting, struct config *config,
                                const char *place, const struct text_list *items,
                                struct error *error) {
  for (size_t i = 0; i < items->count; i++) {
    const char *expected = "";
    if (setting->check != NULL && !setting->check(items->items[i], &expected)) {
      return refuse(setting, place, items->items[i], expected, error);
    }
  }
  setting_clear(setting, config);
  struct text_list *const list = field_of(setting, config);
  list->items = memory_zeroed(items->count, sizeof list->items[0]);
  list->count = items->count;
  for (size_t i = 0; i < items->count; i++) {
    list->items[i] = text_copy(items->items[i]);
  }
  return STATUS_OK;
}

enum status setting_assign(const struct setting *setting, struct config *config, const char *place,
                           const char *value, struct error *error) {
  switch (setting->type) {
  case SETTING_TEXT:
    return assign_text(setting, config, place, value, error);
  case SETTING_SWITCH:
    return read_switch(value, field_of(setting, config))
               ? STATUS_OK
               : refuse(setting, place, value, "true or false", error);
  case SETTING_COUNT:
  case SETTING_BYTES:
    return assign_number(setting, config, place, value, error);
  case SETTING_CHOICE: {
    const int choice = choice_of(setting, value);
    if (choice < 0) {
      return refuse_choice(setting, place, value, error);
    }
    *(unsigned *)field_of(setting, config) = (unsigned)choice;
    return STATUS_OK;
  }
  case SETTING_LIST:
    return assign_commas(setting, config, place, value, error);
  }
  assert(false);
  return STATUS_CONFIG;
}

void setting_clear(const struct setting *setting, struct config *config) {
  if (setting->type == SETTING_TEXT) {
    char **const text = field_of(setting, config);
    free(*text);
    *text = NULL;
  }
  if (setting->type == SETTING_LIST) {
    struct text_list *const list = field_of(setting, config);
    for (size_t i = 0; i < list->count; i++) {
      free(list->items[i]);
    }
    free(list->items);
    *list = (struct text_list){0};
  }
}

int64_t setting_number(const struct setting *setting, const struct config *config) {
  const void *const field = field_seen(setting, config);
  switch (setting->type) {
  case SETTING_SWITCH:
    return *(const bool *)field ? 1 : 0;
  case SETTING_COUNT:
  case SETTING_BYTES:
    return *(const int64_t *)field;
  case SETTING_CHOICE:
    return (int64_t) * (const unsigned *)field;
  case SETTING_TEXT:
  case SETTING_LIST:
    break;
  }
  assert(false);
  return 0;
}

const char *setting_text(const struct setting *setting, const struct config *config) {
  assert(setting->type == SETTING_TEXT);
  return *(char *const *)field_seen(setting, config);
}

const struct text_list *setting_list(const struct setting *setting, const struct config *config) {
  assert(setting->type == SETTING_LIST);
  return field_seen(setting, config);
}
