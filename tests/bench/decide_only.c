/* The floor under a verification: what a replay takes that fetches, merges, decodes and decides
 * what the journal says, and neither writes nor compares anything.
 *
 * usage: decide_only JOBS SETTING=VALUE...    prints one JSON object */
#include "core/app/clock.h"
#include "core/app/jobs.h"
#include "core/app/journal_source.h"
#include "core/app/replay.h"
#include "core/app/replay_inputs.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct work {
  const struct config *config;
  struct replay_inputs inputs;
  uint64_t *messages;
};

static void need(enum status status, const char *what) {
  if (status != STATUS_OK) {
    fprintf(stderr, "decide_only: %s\n", what);
    exit(1);
  }
}

/* The journal's batches, one after the other. */
static void decide(struct journal_source *journal, struct replay *replay, uint64_t *messages) {
  struct error error = {.text = ""};
  char reason[REPLAY_REASON_SIZE] = "";
  for (;;) {
    struct journal_entry entry;
    enum replay_outcome outcome;
    need(journal_source_next(journal, &entry, &error), error.text);
    if (entry.batch == NULL) {
      return;
    }
    need(replay_decide(replay, entry.batch, &outcome, reason, &error), error.text);
    need(outcome == REPLAY_DECIDED ? STATUS_OK : STATUS_REFUSED, reason);
    *messages += entry.batch->row.message_count;
  }
}

static void decide_lane(void *context, size_t index) {
  const struct work *work = context;
  struct error error = {.text = ""};
  struct fetch *fetch;
  struct found *found;
  const char *const prefix = work->config->kafka.topic_prefix;
  need(replay_fetch_open(work->config, &fetch, &error), error.text);
  need(found_open(fetch, prefix, (uint32_t)index, &found, &error), error.text);
  struct journal_source *journal = journal_source_of_topic(found, work->inputs.schemas, prefix);
  const struct replay_options options = {
      .config = work->config,
      .schemas = work->inputs.schemas,
      .lane = (uint32_t)index,
      .lane_count = work->inputs.lane_count,
      .subject_key = replay_inputs_key(&work->inputs),
      .until_ms = TIME_NONE,
      .decides_only = true,
  };
  struct replay *replay = replay_open(&options, fetch);
  decide(journal, replay, &work->messages[index]);
  replay_close(replay);
  journal_source_close(journal);
  found_close(found);
  fetch_close(fetch);
}

int main(int argc, char **argv) {
  struct error error = {.text = ""};
  struct config config;
  struct jobs *jobs;
  struct text_list sets = {0};
  const struct text_list none = {0};
  if (argc < 2) {
    fprintf(stderr, "usage: decide_only JOBS SETTING=VALUE...\n");
    return 2;
  }
  memory_guard();
  sets.items = argv + 2;
  sets.count = (size_t)argc - 2;
  need(config_load(&config, NULL, &sets, &none, &error), error.text);
  struct work work = {.config = &config};
  need(replay_inputs_open(&config, &work.inputs, &error), error.text);
  work.messages = memory_zeroed(work.inputs.lane_count, sizeof *work.messages);
  const int64_t begun_mono_ms = clock_mono_ms();
  need(jobs_start(work.inputs.lane_count, strtol(argv[1], NULL, 10), decide_lane, &work, &jobs,
                  &error),
       error.text);
  jobs_join(jobs);
  uint64_t messages = 0;
  for (uint32_t lane = 0; lane < work.inputs.lane_count; lane++) {
    messages += work.messages[lane];
  }
  printf("{\"messages\": %" PRIu64 ", \"seconds\": %.3f}\n", messages,
         (double)(clock_mono_ms() - begun_mono_ms) / 1000);
  free(work.messages);
  replay_inputs_close(&work.inputs);
  config_fini(&config);
  return 0;
}
