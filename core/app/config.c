#include "core/app/config.h"

#include "core/app/database.h"
#include "core/app/setting.h"
#include "core/app/text.h"
#include "core/span.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

extern char **environ;

enum { NAME_SIZE = 160 };

/* "kafka.group_id" is MUSTER_KAFKA__GROUP_ID. */
static void variable_name(const struct setting *setting, char name[NAME_SIZE]) {
  size_t used = (size_t)snprintf(name, NAME_SIZE, "MUSTER_");
  for (const char *at = setting->key; *at != '\0'; at++) {
    assert(used + 3 < NAME_SIZE);
    if (*at == '.') {
      name[used++] = '_';
      name[used++] = '_';
    } else {
      name[used++] = (char)toupper((unsigned char)*at);
    }
  }
  name[used] = '\0';
}

/* The error for a variable that looks like ours: the key it would have set. */
static enum status unknown_variable(const char *name, struct error *error) {
  char key[NAME_SIZE];
  size_t used = 0;
  bool has_section = false;
  for (const char *at = name + strlen("MUSTER_"); *at != '\0' && used + 1 < sizeof key; at++) {
    if (!has_section && at[0] == '_' && at[1] == '_') {
      has_section = true;
      key[used++] = '.';
      at++;
    } else {
      key[used++] = (char)tolower((unsigned char)*at);
    }
  }
  key[used] = '\0';
  char place[NAME_SIZE + 32];
  snprintf(place, sizeof place, "environment variable %s", name);
  return setting_unknown(place, key, error);
}

static enum status read_variable(struct config *config, const char *variable, struct error *error) {
  const char *const equals = strchr(variable, '=');
  if (equals == NULL || strncmp(variable, "MUSTER_", 7) != 0) {
    return STATUS_OK;
  }
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "%.*s", (int)(equals - variable), variable);
  if (strstr(name + 7, "__") == NULL) {
    return STATUS_OK; /* not a setting: switches for developers have no section */
  }
  for (size_t i = 0; i < setting_count; i++) {
    char expected[NAME_SIZE];
    variable_name(&settings[i], expected);
    if (strcmp(name, expected) == 0) {
      char place[NAME_SIZE + 32];
      snprintf(place, sizeof place, "environment variable %s", name);
      return setting_assign(&settings[i], config, place, equals + 1, error);
    }
  }
  return unknown_variable(name, error);
}

static enum status read_environment(struct config *config, struct error *error) {
  for (char **variable = environ; *variable != NULL; variable++) {
    const enum status status = read_variable(config, *variable, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  return STATUS_OK;
}

static enum status read_set(struct config *config, const char *text, struct error *error) {
  const char *const equals = strchr(text, '=');
  if (equals == NULL || equals == text) {
    return error_set(error, STATUS_USAGE, "--set takes KEY=VALUE, not \"%.80s\"", text);
  }
  char *const key = text_copy_size(text, (size_t)(equals - text));
  const struct setting *const setting = setting_find(key);
  const enum status status = setting == NULL
                                 ? setting_unknown("--set", key, error)
                                 : setting_assign(setting, config, "--set", equals + 1, error);
  free(key);
  return status;
}

/* The last of a repeated property wins, in its first place: librdkafka reads some properties in
 * the light of earlier ones. */
static enum status read_property(struct config *config, const char *text, struct error *error) {
  const char *const equals = strchr(text, '=');
  if (equals == NULL || equals == text) {
    return error_set(error, STATUS_USAGE, "-X takes PROPERTY=VALUE, not \"%.80s\"", text);
  }
  char *const name = text_copy_size(text, (size_t)(equals - text));
  for (size_t i = 0; i < config->property_count; i++) {
    if (strcmp(config->properties[i].name, name) == 0) {
      free(name);
      free(config->properties[i].value);
      config->properties[i].value = text_copy(equals + 1);
      return STATUS_OK;
    }
  }
  config->properties =
      memory_grown(config->properties, config->property_count + 1, sizeof config->properties[0]);
  config->properties[config->property_count++] =
      (struct property){.name = name, .value = text_copy(equals + 1)};
  return STATUS_OK;
}

static void read_defaults(struct config *config) {
  for (size_t i = 0; i < setting_count; i++) {
    struct error error;
    const enum status status =
        setting_assign(&settings[i], config, "default", settings[i].fallback, &error);
    assert(status == STATUS_OK);
    (void)status;
  }
}

/* Lowest precedence first: what comes later replaces what came before. */
static enum status read_sources(struct config *config, const char *file,
                                const struct text_list *sets, const struct text_list *properties,
                                struct error *error) {
  read_defaults(config);
  enum status status = file == NULL ? STATUS_OK : config_read_yaml(config, file, error);
  if (status == STATUS_OK) {
    status = read_environment(config, error);
  }
  for (size_t i = 0; sets != NULL && i < sets->count && status == STATUS_OK; i++) {
    status = read_set(config, sets->items[i], error);
  }
  for (size_t i = 0; properties != NULL && i < properties->count && status == STATUS_OK; i++) {
    status = read_property(config, properties->items[i], error);
  }
  return status;
}

enum status config_load(struct config *config, const char *file, const struct text_list *sets,
                        const struct text_list *properties, struct error *error) {
  *config = (struct config){0};
  const enum status status = read_sources(config, file, sets, properties, error);
  if (status != STATUS_OK) {
    config_fini(config);
  }
  return status;
}

void config_fini(struct config *config) {
  for (size_t i = 0; i < setting_count; i++) {
    setting_clear(&settings[i], config);
  }
  for (size_t i = 0; i < config->property_count; i++) {
    free(config->properties[i].name);
    free(config->properties[i].value);
  }
  free(config->properties);
  *config = (struct config){0};
}

/* A YAML text in double quotes; the settings hold no control characters. */
static void show_text(const char *text) {
  putchar('"');
  for (const char *at = text; *at != '\0'; at++) {
    if (*at == '"' || *at == '\\') {
      putchar('\\');
    }
    /* So that reading the file again does not look for a variable. */
    if (at[0] == '$' && at[1] == '{') {
      putchar('$');
    }
    putchar(*at);
  }
  putchar('"');
}

static void show_url(const char *url) {
  char *const shown = url_shown(url);
  show_text(shown);
  free(shown);
}

static void show_secret(const struct setting *setting, const char *text) {
  if (strcmp(setting->key, "schemas.registry_url") == 0) {
    show_url(text);
  } else if (strcmp(setting->key, "postgres.dsn") == 0) {
    char *const shown = database_dsn_shown(text);
    show_text(shown);
    free(shown);
  } else {
    show_text(text[0] == '\0' ? "" : "***");
  }
}

static void show_list(const struct text_list *list) {
  putchar('[');
  for (size_t i = 0; i < list->count; i++) {
    fputs(i == 0 ? "" : ", ", stdout);
    show_text(list->items[i]);
  }
  putchar(']');
}

static void show_value(const struct setting *setting, const struct config *config) {
  switch (setting->type) {
  case SETTING_TEXT:
    if (setting->is_secret) {
      show_secret(setting, setting_text(setting, config));
    } else {
      show_text(setting_text(setting, config));
    }
    break;
  case SETTING_SWITCH:
    fputs(setting_number(setting, config) != 0 ? "true" : "false", stdout);
    break;
  case SETTING_COUNT:
  case SETTING_BYTES:
    printf("%lld", (long long)setting_number(setting, config));
    break;
  case SETTING_CHOICE:
    fputs(setting->choices[setting_number(setting, config)], stdout);
    break;
  case SETTING_LIST:
    show_list(setting_list(setting, config));
    break;
  }
  putchar('\n');
}

/* Whether a librdkafka property's value is a password or a key itself, not a path to one. */
static bool property_is_secret(const char *name) {
  static const char *const words[] = {"password", "secret", ".pem", "jaas", "oauthbearer.config"};
  for (size_t i = 0; i < COUNT_OF(words); i++) {
    if (strstr(name, words[i]) != NULL) {
      return true;
    }
  }
  return false;
}

void config_show(const struct config *config) {
  const char *section = "";
  size_t section_size = 0;
  for (size_t i = 0; i < setting_count; i++) {
    const char *const key = settings[i].key;
    const size_t size = strcspn(key, ".");
    if (size != section_size || strncmp(section, key, size) != 0) {
      section = key;
      section_size = size;
      printf("%.*s:\n", (int)size, key);
    }
    printf("  %s: ", key + size + 1);
    show_value(&settings[i], config);
  }
  for (size_t i = 0; i < config->property_count; i++) {
    const struct property *const property = &config->properties[i];
    printf("# -X %s=%s\n", property->name,
           property_is_secret(property->name) ? "***" : property->value);
  }
}
