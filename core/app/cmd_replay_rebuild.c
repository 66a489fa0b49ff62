/* The way back after losing the database: everything in it made again from the topics. */
#include "core/app/command.h"
#include "core/app/database.h"
#include "core/app/jobs.h"
#include "core/app/option_number.h"
#include "core/app/rebuild.h"
#include "core/app/replay_inputs.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { REBUILD_JOBS, REBUILD_FROM_SNAPSHOT };

const struct option_spec replay_rebuild_options[] = {
    [REBUILD_JOBS] = {"jobs", "N", "lanes at a time; as many as processors"},
    [REBUILD_FROM_SNAPSHOT] = {"from-snapshot", NULL,
                               "begin at the newest snapshot, though the inputs may be whole"},
    {NULL, NULL, NULL},
};

struct lane_work {
  struct rebuild_options options;
  struct rebuild_result result;
};

static void work_on_lane(void *context, size_t index) {
  struct lane_work *lanes = context;
  rebuild_lane(&lanes[index].options, &lanes[index].result);
}

static enum status take_table(void *context, const struct span *values, struct error *error) {
  (void)context;
  return error_set(error, STATUS_REFUSED,
                   "the database is not empty: there are rows in muster.%.*s; a rebuild fills one "
                   "that `muster migrate` has just set up",
                   (int)values[0].size, (const char *)values[0].data);
}

/* STATUS_REFUSED names a table that has rows. */
static enum status check_empty(const struct config *config, struct error *error) {
  static const char sql[] =
      "SELECT 'lane' WHERE EXISTS (SELECT FROM muster.lane) UNION ALL "
      "SELECT 'person' WHERE EXISTS (SELECT FROM muster.person) UNION ALL "
      "SELECT 'device_row' WHERE EXISTS (SELECT FROM muster.device_row) UNION ALL "
      "SELECT 'device_block' WHERE EXISTS (SELECT FROM muster.device_block) UNION ALL "
      "SELECT 'result_row' WHERE EXISTS (SELECT FROM muster.result_row) UNION ALL "
      "SELECT 'journal_row' WHERE EXISTS (SELECT FROM muster.journal_row)";
  struct pg_conn *database;
  enum status status = database_open(config->postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database, sql, NULL, 0, take_table, NULL, error);
    database_close(database);
  }
  return status;
}

/* What could not be brought back as it was, for people. */
static void print_gap(const struct rebuild_gap *gap, const char *what) {
  if (gap->count > 0) {
    printf("  %" PRIu64 " results, numbers %" PRIu64 " to %" PRIu64 ": %s\n", gap->count,
           gap->first_seq, gap->last_seq, what);
  }
}

static void print_history(const struct rebuild_result *result) {
  const struct rebuild_history_result *history = &result->history;
  printf("  begun at the snapshot of batch %" PRIu64 ", whose state the journal vouches for; what "
         "was before comes from the output topics\n",
         result->began_after);
  if (history->first_batch > 1) {
    printf("  the journal begins with batch %" PRIu64 ": what was before is gone\n",
           history->first_batch);
  }
  if (history->before_journal > 0) {
    printf("  %" PRIu64 " results belong to batches before that, and are left out\n",
           history->before_journal);
  }
  print_gap(&history->lost, "among these they are gone, their topics begin later");
  print_gap(&history->unproved, "among these they are not checked against the journal's digests, "
                                "which are over all results of a batch");
  print_gap(&history->undated, "among these, dead letters whose time is known only to within "
                               "their batch");
  if (history->nameless > 0) {
    printf("  %" PRIu64 " people have no address any more: nothing that is left of this lane's "
           "messages and results names them\n",
           history->nameless);
  }
}

static void print_lane(const struct lane_work *lane, enum output_format format) {
  const struct rebuild_result *result = &lane->result;
  if (format == OUTPUT_TABLE) {
    printf("lane %" PRIu32 ": %" PRIu64 " batches, %" PRIu64 " messages, %" PRIu64
           " results, %" PRIu64 " devices\n",
           lane->options.lane, result->batches, result->messages, result->results, result->devices);
    if (result->began_after > 0) {
      print_history(result);
    }
    return;
  }
  const struct rebuild_history_result *history = &result->history;
  const struct {
    const char *name;
    uint64_t value;
  } fields[] = {
      {"batches", result->batches},
      {"messages", result->messages},
      {"results", result->results},
      {"devices", result->devices},
      {"snapshot", result->began_after},
      {"journal_from", result->began_after > 0 ? history->first_batch : 1},
      {"results_before_journal", history->before_journal},
      {"lost", history->lost.count},
      {"lost_from", history->lost.first_seq},
      {"lost_to", history->lost.last_seq},
      {"unproved", history->unproved.count},
      {"unproved_from", history->unproved.first_seq},
      {"unproved_to", history->unproved.last_seq},
      {"undated", history->undated.count},
      {"undated_from", history->undated.first_seq},
      {"undated_to", history->undated.last_seq},
      {"nameless", history->nameless},
  };
  printf("{\"lane\":%" PRIu32, lane->options.lane);
  for (size_t i = 0; i < COUNT_OF(fields); i++) {
    printf(",\"%s\":%" PRIu64, fields[i].name, fields[i].value);
  }
  puts("}");
}

/* What became of the lanes; the first that failed is told. */
static enum status conclude(const struct lane_work *lanes, size_t lane_count,
                            enum output_format format, struct error *error) {
  for (size_t i = 0; i < lane_count; i++) {
    fputs(lanes[i].result.left_out == NULL ? "" : lanes[i].result.left_out, stderr);
    print_lane(&lanes[i], format);
  }
  for (size_t i = 0; i < lane_count; i++) {
    const struct rebuild_result *result = &lanes[i].result;
    if (result->status != STATUS_OK) {
      return error_set(error, result->status, "lane %zu, behind batch %" PRIu64 ": %s", i,
                       result->batches, result->error.text);
    }
  }
  return STATUS_OK;
}

static enum status rebuild(const struct command_line *line, const struct rebuild_options *common,
                           int64_t at_a_time, struct error *error) {
  const size_t lane_count = common->lane_count;
  struct lane_work *lanes = memory_zeroed(lane_count, sizeof *lanes);
  struct jobs *jobs;
  for (size_t i = 0; i < lane_count; i++) {
    lanes[i].options = *common;
    lanes[i].options.lane = (uint32_t)i;
  }
  enum status status = jobs_start(lane_count, at_a_time, work_on_lane, lanes, &jobs, error);
  if (status == STATUS_OK) {
    jobs_join(jobs);
    status = conclude(lanes, lane_count, line->output, error);
  }
  for (size_t i = 0; i < lane_count; i++) {
    free(lanes[i].result.left_out);
  }
  free(lanes);
  return status;
}

enum status command_replay_rebuild(const struct command_line *line, struct error *error) {
  const struct config *config = &line->config;
  struct rebuild_options common = {.config = config};
  int64_t at_a_time = jobs_default();
  struct replay_inputs inputs = {0};
  enum status status =
      option_number("jobs", line->options[REBUILD_JOBS], 1, JOBS_MAX, &at_a_time, error);
  if (status == STATUS_OK) {
    status = check_empty(config, error);
  }
  if (status == STATUS_OK && config->privacy.subject_key_file[0] == '\0') {
    /* The key that made them may be lost. */
    fputs("muster: no privacy.subject_key_file: subjects are taken from the results; persons get "
          "other subjects from now on than under the key that is lost\n",
          stderr);
  }
  if (status == STATUS_OK) {
    status = replay_inputs_open(config, &inputs, error);
  }
  if (status == STATUS_OK && RAND_bytes(common.owner, OWNER_SIZE) != 1) {
    status = error_set(error, STATUS_UNAVAILABLE, "no random bytes for the owner's id");
  }
  if (status == STATUS_OK) {
    common.from_snapshot = line->options[REBUILD_FROM_SNAPSHOT] != NULL;
    common.schemas = inputs.schemas;
    common.lane_count = inputs.lane_count;
    common.subject_key = replay_inputs_key(&inputs);
    status = rebuild(line, &common, at_a_time, error);
  }
  replay_inputs_close(&inputs);
  return status;
}
