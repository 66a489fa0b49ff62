#include "core/app/command_line.h"

#include "core/app/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COMMON_CONFIG, COMMON_SET, COMMON_PROPERTY, COMMON_OUTPUT, COMMON_HELP };

const struct common_option common_options[] = {
    [COMMON_CONFIG] = {0, "config", "FILE", "settings in YAML; without one, local defaults"},
    [COMMON_SET] = {0, "set", "KEY=VALUE", "one setting, such as kafka.group_id=x; repeatable"},
    [COMMON_PROPERTY] = {'X', NULL, "PROPERTY=VALUE", "any librdkafka property; repeatable"},
    [COMMON_OUTPUT] = {'o', "output", "FORMAT", "table, json, ndjson or csv"},
    [COMMON_HELP] = {'h', "help", NULL, "this help"},
};
const size_t common_option_count = COUNT_OF(common_options);

struct parsing {
  struct invocation *invocation;
  const struct command *command;
  int argc;
  char **argv;
  int next; /* of the first word not yet read */
  struct error *error;
};

static size_t option_count(const struct command *command) {
  size_t count = 0;
  while (command->options != NULL && command->options[count].name != NULL) {
    count++;
  }
  return count;
}

static enum status unknown_option(const struct parsing *parsing, const char *name) {
  struct suggestion suggestion = {.word = name};
  for (size_t i = 0; i < common_option_count; i++) {
    if (common_options[i].name != NULL) {
      suggestion_offer(&suggestion, common_options[i].name);
    }
  }
  for (size_t i = 0; i < option_count(parsing->command); i++) {
    suggestion_offer(&suggestion, parsing->command->options[i].name);
  }
  const bool is_near = suggestion.nearest != NULL;
  return error_set(parsing->error, STATUS_USAGE, "%s: unknown option --%.80s%s%s%s",
                   parsing->command->name, name, is_near ? "; did you mean --" : "",
                   is_near ? suggestion.nearest : "", is_near ? "?" : "");
}

static bool read_format(const char *text, enum output_format *format) {
  static const char *const names[] = {[OUTPUT_TABLE] = "table",
                                      [OUTPUT_JSON] = "json",
                                      [OUTPUT_NDJSON] = "ndjson",
                                      [OUTPUT_CSV] = "csv"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    if (strcasecmp(names[i], text) == 0) {
      *format = (enum output_format)i;
      return true;
    }
  }
  return false;
}

static enum status take_common(struct parsing *parsing, size_t option, char *value) {
  struct invocation *const invocation = parsing->invocation;
  switch (option) {
  case COMMON_CONFIG:
    invocation->config_file = value;
    return STATUS_OK;
  case COMMON_SET:
    invocation->sets.items[invocation->sets.count++] = value;
    return STATUS_OK;
  case COMMON_PROPERTY:
    invocation->properties.items[invocation->properties.count++] = value;
    return STATUS_OK;
  case COMMON_OUTPUT:
    return read_format(value, &invocation->output)
               ? STATUS_OK
               : error_set(parsing->error, STATUS_USAGE,
                           "-o takes table, json, ndjson or csv, not \"%.80s\"", value);
  case COMMON_HELP:
    invocation->wants_help = true;
    return STATUS_OK;
  }
  assert(false);
  return STATUS_USAGE;
}

/* The value of an option that takes one: what was joined to it, else the next word. */
static enum status take_value(struct parsing *parsing, const char *shown, char *joined,
                              char **value) {
  if (joined == NULL && parsing->next >= parsing->argc) {
    return error_set(parsing->error, STATUS_USAGE, "%s: option %s needs a value",
                     parsing->command->name, shown);
  }
  *value = joined != NULL ? joined : parsing->argv[parsing->next++];
  return STATUS_OK;
}

static enum status refuse_value(const struct parsing *parsing, const char *name) {
  return error_set(parsing->error, STATUS_USAGE, "%s: option --%s takes no value",
                   parsing->command->name, name);
}

static enum status parse_common(struct parsing *parsing, size_t option, const char *shown,
                                char *joined) {
  char *value = NULL;
  if (common_options[option].argument != NULL) {
    const enum status status = take_value(parsing, shown, joined, &value);
    if (status != STATUS_OK) {
      return status;
    }
  } else if (joined != NULL) {
    return refuse_value(parsing, common_options[option].name);
  }
  return take_common(parsing, option, value);
}

static enum status parse_own(struct parsing *parsing, size_t option, const char *shown,
                             char *joined) {
  const struct option_spec *const spec = &parsing->command->options[option];
  char *value = NULL;
  if (spec->argument != NULL) {
    const enum status status = take_value(parsing, shown, joined, &value);
    if (status != STATUS_OK) {
      return status;
    }
  } else if (joined != NULL) {
    return refuse_value(parsing, spec->name);
  }
  parsing->invocation->options[option] = spec->argument != NULL ? value : "";
  return STATUS_OK;
}

/* "--name" or "--name=value". */
static enum status parse_long(struct parsing *parsing, char *word) {
  char name[64];
  const size_t size = strcspn(word + 2, "=");
  char *const joined = word[2 + size] == '=' ? word + 2 + size + 1 : NULL;
  if (size >= sizeof name) {
    return unknown_option(parsing, word + 2);
  }
  memcpy(name, word + 2, size);
  name[size] = '\0';
  for (size_t i = 0; i < option_count(parsing->command); i++) {
    if (strcmp(parsing->command->options[i].name, name) == 0) {
      char shown[80];
      snprintf(shown, sizeof shown, "--%s", name);
      return parse_own(parsing, i, shown, joined);
    }
  }
  for (size_t i = 0; i < common_option_count; i++) {
    if (common_options[i].name != NULL && strcmp(common_options[i].name, name) == 0) {
      char shown[80];
      snprintf(shown, sizeof shown, "--%s", name);
      return parse_common(parsing, i, shown, joined);
    }
  }
  return unknown_option(parsing, name);
}

/* A command may have an option of its own under a common one's name, and so under its letter. */
static enum status parse_letter(struct parsing *parsing, size_t option, const char *shown,
                                char *joined) {
  const struct option_spec *const own = parsing->command->options;
  for (size_t i = 0; i < option_count(parsing->command); i++) {
    if (common_options[option].name != NULL &&
        strcmp(own[i].name, common_options[option].name) == 0) {
      return parse_own(parsing, i, shown, joined);
    }
  }
  return parse_common(parsing, option, shown, joined);
}

/* "-o json" or "-ojson"; letters are not bundled. */
static enum status parse_short(struct parsing *parsing, char *word) {
  for (size_t i = 0; i < common_option_count; i++) {
    if (common_options[i].letter != 0 && common_options[i].letter == word[1]) {
      const char shown[] = {'-', word[1], '\0'};
      return parse_letter(parsing, i, shown, word[2] == '\0' ? NULL : word + 2);
    }
  }
  return error_set(parsing->error, STATUS_USAGE, "%s: unknown option %.80s", parsing->command->name,
                   word);
}

static enum status parse_words(struct parsing *parsing) {
  struct invocation *const invocation = parsing->invocation;
  bool options_ended = false;
  while (parsing->next < parsing->argc) {
    char *const word = parsing->argv[parsing->next++];
    enum status status = STATUS_OK;
    if (options_ended || word[0] != '-' || word[1] == '\0') {
      invocation->arguments[invocation->argument_count++] = word;
    } else if (strcmp(word, "--") == 0) {
      options_ended = true;
    } else if (word[1] == '-') {
      status = parse_long(parsing, word);
    } else {
      status = parse_short(parsing, word);
    }
    if (status != STATUS_OK) {
      return status;
    }
  }
  return STATUS_OK;
}

static enum status check_arguments(const struct invocation *invocation,
                                   const struct command *command, struct error *error) {
  if (invocation->argument_count < command->argument_count_min) {
    return error_set(error, STATUS_USAGE, "%s: missing argument; usage: muster %s %s",
                     command->name, command->name, command->arguments);
  }
  if (invocation->argument_count > command->argument_count_max) {
    return error_set(error, STATUS_USAGE, "%s: unexpected argument \"%.80s\"; usage: muster %s%s%s",
                     command->name, invocation->arguments[command->argument_count_max],
                     command->name, command->arguments[0] == '\0' ? "" : " ", command->arguments);
  }
  return STATUS_OK;
}

enum status invocation_parse(struct invocation *invocation, const struct command *command, int argc,
                             char **argv, struct error *error) {
  const size_t word_count = argc > 0 ? (size_t)argc : 0;
  *invocation = (struct invocation){
      .sets.items = memory_zeroed(word_count, sizeof(char *)),
      .properties.items = memory_zeroed(word_count, sizeof(char *)),
      .options = memory_zeroed(option_count(command), sizeof(char *)),
      .arguments = memory_zeroed(word_count, sizeof(char *)),
  };
  struct parsing parsing = {
      .invocation = invocation, .command = command, .argc = argc, .argv = argv, .error = error};
  const enum status status = parse_words(&parsing);
  if (status != STATUS_OK || invocation->wants_help) {
    return status;
  }
  return check_arguments(invocation, command, error);
}

void invocation_fini(struct invocation *invocation) {
  free(invocation->sets.items);
  free(invocation->properties.items);
  free(invocation->options);
  free(invocation->arguments);
  *invocation = (struct invocation){0};
}
