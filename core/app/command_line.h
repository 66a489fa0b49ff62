/* What a command line says, before any setting is read. */
#ifndef MUSTER_APP_COMMAND_LINE_H
#define MUSTER_APP_COMMAND_LINE_H

#include "core/app/command.h"

/* Options that every command takes; `letter` is 0 without a short form, `name` NULL without a
 * long one. */
struct common_option {
  char letter;
  const char *name;
  const char *argument;
  const char *help;
};

extern const struct common_option common_options[];
extern const size_t common_option_count;

struct invocation {
  const char *config_file; /* NULL: none given */
  struct text_list sets;   /* the texts of --set and -X; they belong to argv */
  struct text_list properties;
  enum output_format output;
  bool wants_help;
  const char **options; /* parallel to the command's option table */
  const char **arguments;
  size_t argument_count;
};

/* Reads what stands behind the command's words. STATUS_USAGE names the option. The caller ends
 * an invocation with invocation_fini, also after a failure. */
enum status invocation_parse(struct invocation *invocation, const struct command *command, int argc,
                             char **argv, struct error *error) MUST_USE;
void invocation_fini(struct invocation *invocation);

/* Help on stdout: of everything, of the commands that begin with a noun, of one command. */
void help_show_all(const struct command *commands);
void help_show_group(const struct command *commands, const char *noun);
void help_show_command(const struct command *command);

#endif
