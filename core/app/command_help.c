#include "core/app/command_line.h"

#include <stdio.h>
#include <string.h>

enum { NAME_WIDTH = 29 };

static void show_option(const char *left, const char *help) {
  printf("  %-*s %s\n", NAME_WIDTH, left, help);
}

static void show_common_options(void) {
  printf("\nOptions of every command, anywhere after it:\n");
  for (size_t i = 0; i < common_option_count; i++) {
    const struct common_option *const option = &common_options[i];
    char left[64] = "";
    size_t used = 0;
    if (option->letter != 0) {
      used += (size_t)snprintf(left, sizeof left, "-%c%s", option->letter,
                               option->name == NULL ? "" : ", ");
    }
    if (option->name != NULL) {
      used += (size_t)snprintf(left + used, sizeof left - used, "--%s", option->name);
    }
    if (option->argument != NULL) {
      snprintf(left + used, sizeof left - used, " %s", option->argument);
    }
    show_option(left, option->help);
  }
}

static void show_commands(const struct command *commands, const char *noun) {
  const size_t noun_size = strlen(noun);
  for (const struct command *command = commands; command->name != NULL; command++) {
    if (strncmp(command->name, noun, noun_size) == 0) {
      char left[64];
      snprintf(left, sizeof left, "%s %s", command->name, command->arguments);
      show_option(left, command->summary);
    }
  }
}

void help_show_all(const struct command *commands) {
  printf("Usage: muster COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n");
  show_commands(commands, "");
  show_common_options();
  printf("\n`muster COMMAND --help` tells a command's own options; `muster --version`.\n"
         "Settings also come from variables such as MUSTER_KAFKA__GROUP_ID.\n"
         "Exit codes: 0 done; 1 refused or found; 2 usage; 75 a service is out of reach; "
         "78 configuration.\n");
}

void help_show_group(const struct command *commands, const char *noun) {
  char prefix[64];
  snprintf(prefix, sizeof prefix, "%s ", noun);
  printf("Usage: muster %s COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n", noun);
  show_commands(commands, prefix);
  show_common_options();
}

void help_show_command(const struct command *command) {
  printf("Usage: muster %s%s%s%s\n\n%s\n", command->name, command->arguments[0] == '\0' ? "" : " ",
         command->arguments, " [OPTION]...", command->summary);
  if (command->options != NULL && command->options[0].name != NULL) {
    printf("\nOptions:\n");
    for (const struct option_spec *option = command->options; option->name != NULL; option++) {
      char left[64];
      snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument == NULL ? "" : " ",
               option->argument == NULL ? "" : option->argument);
      show_option(left, option->help);
    }
  }
  show_common_options();
}
