/* The commands of the binary: values in a table. Each parses its options from tables, too. */
#ifndef MUSTER_APP_COMMAND_H
#define MUSTER_APP_COMMAND_H

#include "core/app/config.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_CSV };

/* An option of one command. Options stand anywhere after the command, `--name value` or
 * `--name=value`; the last of a repeated one wins; `--` ends them. */
struct option_spec {
  const char *name;     /* "until-caught-up" */
  const char *argument; /* "N", or NULL for a switch */
  const char *help;     /* one line */
};

/* The value of option i of a command's table: NULL when it was not given, "" for a switch. */
struct command_line {
  struct config config;
  enum output_format output;
  const char **options;   /* parallel to the command's option table */
  const char **arguments; /* what is not an option */
  size_t argument_count;
};

struct command {
  const char *name;                  /* "topics create": noun, then verb */
  const char *arguments;             /* "FILE|-", for the usage line; "" when none */
  const char *summary;               /* one line */
  const struct option_spec *options; /* ends with a NULL name; NULL: none of its own */
  size_t argument_count_min;
  size_t argument_count_max;
  /* Returns what the process exits with, through status_exit_code; prints its own results on
   * stdout; a failure's text goes to `error` and is printed once by the caller. */
  enum status (*run)(const struct command_line *line, struct error *error);
};

enum status command_run(const struct command_line *line, struct error *error);
enum status command_migrate(const struct command_line *line, struct error *error);
enum status command_topics_create(const struct command_line *line, struct error *error);
enum status command_topics_cat(const struct command_line *line, struct error *error);
enum status command_produce(const struct command_line *line, struct error *error);
enum status command_device_list(const struct command_line *line, struct error *error);
enum status command_device_get(const struct command_line *line, struct error *error);
enum status command_device_provision(const struct command_line *line, struct error *error);
enum status command_device_set_status(const struct command_line *line, struct error *error);
enum status command_device_wipe(const struct command_line *line, struct error *error);
enum status command_device_retire(const struct command_line *line, struct error *error);
enum status command_device_rename(const struct command_line *line, struct error *error);
enum status command_device_sync(const struct command_line *line, struct error *error);
enum status command_role_grant(const struct command_line *line, struct error *error);
enum status command_role_revoke(const struct command_line *line, struct error *error);
enum status command_tenant_begin(const struct command_line *line, struct error *error);
enum status command_tenant_end(const struct command_line *line, struct error *error);
enum status command_profile_list(const struct command_line *line, struct error *error);
enum status command_profile_push(const struct command_line *line, struct error *error);
enum status command_group_add(const struct command_line *line, struct error *error);
enum status command_group_remove(const struct command_line *line, struct error *error);
enum status command_timer_list(const struct command_line *line, struct error *error);
enum status command_role_list(const struct command_line *line, struct error *error);
enum status command_group_list(const struct command_line *line, struct error *error);
enum status command_policy_list(const struct command_line *line, struct error *error);
enum status command_policy_apply(const struct command_line *line, struct error *error);
enum status command_dead_letter_list(const struct command_line *line, struct error *error);
enum status command_dead_letter_show(const struct command_line *line, struct error *error);
enum status command_dead_letter_resend(const struct command_line *line, struct error *error);
enum status command_accept_gap(const struct command_line *line, struct error *error);
enum status command_replay_verify(const struct command_line *line, struct error *error);
enum status command_replay_explain(const struct command_line *line, struct error *error);
enum status command_replay_rebuild(const struct command_line *line, struct error *error);
enum status command_replay_what_if(const struct command_line *line, struct error *error);
enum status command_snapshot_create(const struct command_line *line, struct error *error);
enum status command_snapshot_list(const struct command_line *line, struct error *error);
enum status command_snapshot_verify(const struct command_line *line, struct error *error);
enum status command_evidence_create(const struct command_line *line, struct error *error);
enum status command_evidence_verify(const struct command_line *line, struct error *error);
enum status command_evidence_key(const struct command_line *line, struct error *error);
enum status command_evidence_checkpoint(const struct command_line *line, struct error *error);
enum status command_status(const struct command_line *line, struct error *error);
enum status command_policy_check(const struct command_line *line, struct error *error);
enum status command_policy_test(const struct command_line *line, struct error *error);
enum status command_policy_show(const struct command_line *line, struct error *error);
enum status command_policy_diff(const struct command_line *line, struct error *error);

extern const struct option_spec run_options[];
extern const struct option_spec topics_create_options[];
extern const struct option_spec topics_cat_options[];
extern const struct option_spec produce_options[];
extern const struct option_spec device_list_options[];
extern const struct option_spec device_get_options[];
extern const struct option_spec device_provision_options[];
extern const struct option_spec device_ask_options[];
extern const struct option_spec device_wipe_options[];
extern const struct option_spec device_rename_options[];
extern const struct option_spec role_options[];
extern const struct option_spec tenant_options[];
extern const struct option_spec profile_push_options[];
extern const struct option_spec group_options[];
extern const struct option_spec policy_apply_options[];
extern const struct option_spec timer_list_options[];
extern const struct option_spec dead_letter_options[];
extern const struct option_spec accept_gap_options[];
extern const struct option_spec policy_test_options[];
extern const struct option_spec replay_verify_options[];
extern const struct option_spec replay_explain_options[];
extern const struct option_spec replay_rebuild_options[];
extern const struct option_spec replay_what_if_options[];
extern const struct option_spec snapshot_options[];
extern const struct option_spec snapshot_create_options[];
extern const struct option_spec evidence_create_options[];
extern const struct option_spec evidence_verify_options[];
extern const struct option_spec evidence_key_options[];
extern const struct option_spec evidence_checkpoint_options[];

/* Parses `argv`, runs the command it names, prints what is to be printed. Returns the exit
 * code of the public contract. */
int command_main(int argc, char **argv);

#endif
