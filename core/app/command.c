#include "core/app/command.h"

#include "core/app/command_line.h"
#include "core/app/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ARGUMENTS_MAX = 1000 };

static enum status command_config_show(const struct command_line *line, struct error *error) {
  (void)error;
  config_show(&line->config);
  return STATUS_OK;
}

static const struct command commands[] = {
    {"run", "", "Decide what the topics say and publish the results", run_options, 0, 0,
     command_run},
    {"migrate", "", "Bring the database's schema up to this version", NULL, 0, 0, command_migrate},
    {"topics create", "", "Make the topics that are missing", topics_create_options, 0, 0,
     command_topics_create},
    {"topics cat", "TOPIC", "Print a topic's records, one a line", topics_cat_options, 1, 1,
     command_topics_cat},
    {"produce", "FILE|-", "Send events from a file, one JSON object a line", produce_options, 1, 1,
     command_produce},
    {"device list", "", "List devices; filters combine", device_list_options, 0, 0,
     command_device_list},
    {"device get", "ID|SERIAL", "Show everything known about one device", device_get_options, 1, 1,
     command_device_get},
    {"device provision", "SERIAL", "Enrol a device for a user", device_provision_options, 0, 1,
     command_device_provision},
    {"device set-status", "ID|SERIAL STATUS", "Move a device to another status", device_ask_options,
     2, 2, command_device_set_status},
    {"device wipe", "ID|SERIAL", "Have a device wiped at its next check-in", device_wipe_options, 1,
     1, command_device_wipe},
    {"device retire", "ID|SERIAL", "Give a device up", device_ask_options, 1, 1,
     command_device_retire},
    {"device rename", "ID|SERIAL [NAME]", "Give a device a new name", device_rename_options, 1, 2,
     command_device_rename},
    {"device sync", "ID|SERIAL", "Ask a device to check in now", device_ask_options, 1, 1,
     command_device_sync},
    {"role grant", "EMAIL [ROLE]", "Give somebody a role", role_options, 1, 2, command_role_grant},
    {"role revoke", "EMAIL [ROLE]", "Take a role away", role_options, 1, 2, command_role_revoke},
    {"role list", "", "List who has which role", NULL, 0, 0, command_role_list},
    {"tenant begin", "KIND", "Say that something befalls all devices at once", tenant_options, 1, 1,
     command_tenant_begin},
    {"tenant end", "KIND", "Say that it is over", tenant_options, 1, 1, command_tenant_end},
    {"profile list", "", "List the profiles: where they may be, and what they bring", NULL, 0, 0,
     command_profile_list},
    {"profile push", "PROFILE", "Push a profile's new revision to its devices",
     profile_push_options, 1, 1, command_profile_push},
    {"group add", "NAME", "Put a user or a device into a group", group_options, 1, 1,
     command_group_add},
    {"group remove", "NAME", "Take a user or a device out of a group", group_options, 1, 1,
     command_group_remove},
    {"group list", "", "List who is in which group", NULL, 0, 0, command_group_list},
    {"timer list", "", "List what will happen by itself, soonest first", timer_list_options, 0, 0,
     command_timer_list},
    {"dead-letter list", "", "List what could not be processed", dead_letter_options, 0, 0,
     command_dead_letter_list},
    {"dead-letter show", "LANE/SEQ", "Show one dead letter", dead_letter_options, 1, 1,
     command_dead_letter_show},
    {"dead-letter resend", "LANE/SEQ...", "Send dead letters to their topics again",
     dead_letter_options, 0, ARGUMENTS_MAX, command_dead_letter_resend},
    {"policy check", "FILE...", "Say what is wrong with policies, each with its place", NULL, 1,
     ARGUMENTS_MAX, command_policy_check},
    {"policy test", "FILE_test.yaml...", "Run tests of policies on a virtual clock",
     policy_test_options, 1, ARGUMENTS_MAX, command_policy_test},
    {"policy apply", "FILE|VERSION", "Put a policy in force for all devices", policy_apply_options,
     1, 1, command_policy_apply},
    {"policy list", "", "List what was in force, newest first", NULL, 0, 0, command_policy_list},
    {"policy show", "[VERSION|FILE]", "Show what a policy says; without one, the default", NULL, 0,
     1, command_policy_show},
    {"policy diff", "A B", "Show where two policies differ; exit 1 when they do", NULL, 2, 2,
     command_policy_diff},
    {"accept-gap", "[TOPIC PARTITION FROM TO]",
     "List what lanes have halted before; have one go on, audited", accept_gap_options, 0, 4,
     command_accept_gap},
    {"replay verify", "", "Decide everything again and compare it with what was emitted",
     replay_verify_options, 0, 0, command_replay_verify},
    {"replay explain", "ID|SERIAL", "Show what made a device what it is, step by step",
     replay_explain_options, 1, 1, command_replay_explain},
    {"replay rebuild", "", "Fill an empty PostgreSQL from the topics alone", replay_rebuild_options,
     0, 0, command_replay_rebuild},
    {"replay what-if", "", "Show what another policy would have decided; exit 1 when it differs",
     replay_what_if_options, 0, 0, command_replay_what_if},
    {"snapshot create", "", "Keep what lanes are now, so that a replay may begin there",
     snapshot_create_options, 0, 0, command_snapshot_create},
    {"snapshot list", "", "List the snapshots", snapshot_options, 0, 0, command_snapshot_list},
    {"snapshot verify", "", "Hold the snapshots against a replay of the whole log",
     snapshot_options, 0, 0, command_snapshot_verify},
    {"evidence create", "", "Make a pack that shows what was decided, and verifies offline",
     evidence_create_options, 0, 0, command_evidence_create},
    {"evidence verify", "DIR", "Decide a pack's records again and compare all that is in it",
     evidence_verify_options, 1, 1, command_evidence_verify},
    {"evidence key", "FILE", "Make a key pair that signs the journal: FILE and FILE.pub",
     evidence_key_options, 1, 1, command_evidence_key},
    {"evidence checkpoint", "", "Sign the journal as it stands, each lane",
     evidence_checkpoint_options, 0, 0, command_evidence_checkpoint},
    {"status", "", "Show each lane's lag and positions", NULL, 0, 0, command_status},
    {"config show", "", "Print the settings in force as YAML, secrets hidden", NULL, 0, 0,
     command_config_show},
    {0},
};

static bool is_help(const char *word) {
  return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

/* Whether `words` begins with the word `first`, and what stands behind it ("" for nothing). */
static bool begins_with_word(const char *words, const char *first, const char **rest) {
  const size_t size = strlen(first);
  if (strncmp(words, first, size) != 0 || (words[size] != ' ' && words[size] != '\0')) {
    return false;
  }
  *rest = words[size] == ' ' ? words + size + 1 : "";
  return true;
}

static bool is_noun(const char *word) {
  const char *rest;
  for (const struct command *command = commands; command->name != NULL; command++) {
    if (begins_with_word(command->name, word, &rest) && rest[0] != '\0') {
      return true;
    }
  }
  return false;
}

/* The command of a first and a second word; the second is "" for commands of one word. */
static const struct command *find(const char *noun, const char *verb) {
  const char *rest;
  for (const struct command *command = commands; command->name != NULL; command++) {
    if (begins_with_word(command->name, noun, &rest) && strcmp(rest, verb) == 0) {
      return command;
    }
  }
  return NULL;
}

static enum status unknown_command(const char *word, struct error *error) {
  if (word[0] == '-') {
    return error_set(error, STATUS_USAGE,
                     "unknown option %.80s before the command; options stand after it", word);
  }
  char names[COUNT_OF(commands)][64]; /* suggestions point into what they are offered */
  struct suggestion suggestion = {.word = word};
  for (size_t i = 0; commands[i].name != NULL; i++) {
    snprintf(names[i], sizeof names[i], "%.*s", (int)strcspn(commands[i].name, " "),
             commands[i].name);
    suggestion_offer(&suggestion, names[i]);
  }
  char nearest[SUGGESTION_TEXT_SIZE];
  suggestion_text(&suggestion, nearest);
  return error_set(error, STATUS_USAGE, "unknown command %.80s%s", word,
                   nearest[0] == '\0' ? "; see muster --help" : nearest);
}

static enum status unknown_verb(const char *noun, const char *verb, struct error *error) {
  struct suggestion suggestion = {.word = verb == NULL ? "" : verb};
  char verbs[256] = "";
  for (const struct command *command = commands; command->name != NULL; command++) {
    const char *rest;
    if (begins_with_word(command->name, noun, &rest)) {
      const size_t used = strlen(verbs);
      snprintf(verbs + used, sizeof verbs - used, "%s%s", used == 0 ? "" : ", ", rest);
      suggestion_offer(&suggestion, rest);
    }
  }
  if (verb == NULL) {
    return error_set(error, STATUS_USAGE, "%s needs a second word: %s", noun, verbs);
  }
  if (suggestion.nearest != NULL) {
    return error_set(error, STATUS_USAGE, "unknown command %s %.80s; did you mean %s %s?", noun,
                     verb, noun, suggestion.nearest);
  }
  return error_set(error, STATUS_USAGE, "unknown command %s %.80s; there is %s %s", noun, verb,
                   noun, verbs);
}

/* Flushes what the command printed: a full disk must not look like success. */
static enum status flush_output(enum status status, struct error *error) {
  errno = 0;
  if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == STATUS_OK) {
    return error_set(error, STATUS_UNAVAILABLE, "cannot write to standard output: %s",
                     errno != 0 ? strerror(errno) : "an earlier write failed");
  }
  return status;
}

static enum status run_command(const struct command *command, int argc, char **argv,
                               struct error *error) {
  struct invocation invocation;
  enum status status = invocation_parse(&invocation, command, argc, argv, error);
  if (status == STATUS_OK && invocation.wants_help) {
    help_show_command(command);
  } else if (status == STATUS_OK) {
    struct command_line line = {.output = invocation.output,
                                .options = invocation.options,
                                .arguments = invocation.arguments,
                                .argument_count = invocation.argument_count};
    status = config_load(&line.config, invocation.config_file, &invocation.sets,
                         &invocation.properties, error);
    if (status == STATUS_OK) {
      status = command->run(&line, error);
      config_fini(&line.config);
    }
  }
  invocation_fini(&invocation);
  return status;
}

static enum status dispatch(int argc, char **argv, struct error *error) {
  if (argc < 2) {
    return error_set(error, STATUS_USAGE, "no command given; see muster --help");
  }
  const char *const first = argv[1];
  if (is_help(first)) {
    help_show_all(commands);
    return STATUS_OK;
  }
  if (strcmp(first, "--version") == 0) {
    printf("muster %s\n", MUSTER_VERSION);
    return STATUS_OK;
  }
  if (!is_noun(first)) {
    const struct command *const command = find(first, "");
    return command == NULL ? unknown_command(first, error)
                           : run_command(command, argc - 2, argv + 2, error);
  }
  if (argc > 2 && is_help(argv[2])) {
    help_show_group(commands, first);
    return STATUS_OK;
  }
  /* Bare `replay` is `replay verify`. */
  if (strcmp(first, "replay") == 0 && (argc == 2 || argv[2][0] == '-')) {
    return run_command(find("replay", "verify"), argc - 2, argv + 2, error);
  }
  const struct command *const command = argc > 2 ? find(first, argv[2]) : NULL;
  return command == NULL ? unknown_verb(first, argc > 2 ? argv[2] : NULL, error)
                         : run_command(command, argc - 3, argv + 3, error);
}

int command_main(int argc, char **argv) {
  struct error error = {.text = ""};
  memory_guard();
  const enum status status = flush_output(dispatch(argc, argv, &error), &error);
  if (status != STATUS_OK && error.text[0] != '\0') {
    fprintf(stderr, "muster: %s\n", error.text);
  }
  return status_exit_code(status);
}
