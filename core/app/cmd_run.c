#include "core/app/command.h"
#include "core/app/log.h"
#include "core/app/processor.h"

#include <inttypes.h>
#include <stdio.h>

enum { OPTION_UNTIL_CAUGHT_UP };

const struct option_spec run_options[] = {
    [OPTION_UNTIL_CAUGHT_UP] = {"until-caught-up", NULL,
                                "decide what stands in the topics now, then end"},
    {NULL, NULL, NULL},
};

static void print_summary(const struct processor_summary *summary, enum output_format output) {
  const struct lane_totals *totals = &summary->totals;
  const char *format = output == OUTPUT_TABLE ? "caught up: %" PRIu64 " messages, %" PRIu64
                                                " results, %" PRIu64
                                                " dead letters in %.3f seconds\n"
                                              : "{\"messages\":%" PRIu64 ",\"results\":%" PRIu64
                                                ",\"dead_letters\":%" PRIu64 ",\"seconds\":%.3f}\n";
  printf(format, totals->messages, totals->results, totals->dead_letters, summary->seconds);
}

enum status command_run(const struct command_line *line, struct error *error) {
  const bool until_caught_up = line->options[OPTION_UNTIL_CAUGHT_UP] != NULL;
  struct processor_summary summary;
  log_setup_named(line->config.log.format, line->config.log.level);
  const enum status status = processor_run(&line->config, until_caught_up, &summary, error);
  if (status == STATUS_OK && until_caught_up) {
    print_summary(&summary, line->output);
  }
  return status;
}
