/* The log's history under another policy: what would have been decided, and what not. */
#include "core/app/command.h"
#include "core/app/jobs.h"
#include "core/app/option_range.h"
#include "core/app/output.h"
#include "core/app/policy_file.h"
#include "core/app/replay_inputs.h"
#include "core/app/text.h"
#include "core/app/what_if.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { POLICY, FROM, TO, LANE, JOBS, SUMMARY };

const struct option_spec replay_what_if_options[] = {
    [POLICY] = {"policy", "FILE", "the other policy: a file, or one that is part of muster"},
    [FROM] = {"from", "TIME", "look at what was decided from then on"},
    [TO] = {"to", "TIME", "and before then"},
    [LANE] = {"lane", "N", "this lane alone, counted from 0"},
    [JOBS] = {"jobs", "N", "lanes at a time; as many as processors"},
    [SUMMARY] = {"summary", NULL, "counts alone, of everything that was decided"},
    {NULL, NULL, NULL},
};

struct work {
  struct what_if_options *options;
  struct what_if_result *results;
  size_t lane_count;
};

static void work_on_lane(void *context, size_t index) {
  struct work *work = context;
  what_if_lane(&work->options[index], &work->results[index]);
}

/* All lanes' together. -------------------------------------------------------------------- */

struct comparison {
  const struct difference **differences;
  size_t difference_count;
  struct tally *tallies;
  size_t tally_count;
  uint64_t messages;
  const struct work *work;
};

static int compare_differences(const void *a, const void *b) {
  return difference_compare(*(const struct difference *const *)a,
                            *(const struct difference *const *)b);
}

static int compare_tallies(const void *a, const void *b) {
  return tally_compare(a, b);
}

/* Those of one thing, which stand side by side, become one. */
static void add_up(struct comparison *comparison) {
  size_t kept = 0;
  for (size_t i = 0; i < comparison->tally_count; i++) {
    const struct tally *tally = &comparison->tallies[i];
    if (kept == 0 || tally_compare(&comparison->tallies[kept - 1], tally) != 0) {
      comparison->tallies[kept++] = *tally;
      continue;
    }
    struct tally *sum = &comparison->tallies[kept - 1];
    for (size_t history = 0; history < HISTORY_COUNT; history++) {
      sum->all[history] += tally->all[history];
    }
    for (size_t change = 0; change < CHANGE_COUNT; change++) {
      sum->changes[change] += tally->changes[change];
    }
  }
  comparison->tally_count = kept;
}

static void gather(const struct work *work, struct comparison *comparison) {
  size_t differences = 0;
  size_t tallies = 0;
  comparison->work = work;
  for (size_t i = 0; i < work->lane_count; i++) {
    differences += differences_count(work->results[i].differences);
    tallies += differences_tally_count(work->results[i].differences);
    comparison->messages += work->results[i].messages;
  }
  comparison->differences = memory_zeroed(differences + 1, sizeof *comparison->differences);
  comparison->tallies = memory_zeroed(tallies + 1, sizeof *comparison->tallies);
  for (size_t i = 0; i < work->lane_count; i++) {
    const struct differences *of_lane = work->results[i].differences;
    for (size_t j = 0; j < differences_count(of_lane); j++) {
      comparison->differences[comparison->difference_count++] = differences_at(of_lane, j);
    }
    for (size_t j = 0; j < differences_tally_count(of_lane); j++) {
      comparison->tallies[comparison->tally_count++] = *differences_tally_at(of_lane, j);
    }
  }
  qsort(comparison->differences, comparison->difference_count, sizeof *comparison->differences,
        compare_differences);
  qsort(comparison->tallies, comparison->tally_count, sizeof *comparison->tallies, compare_tallies);
  add_up(comparison);
}

/* The report. ----------------------------------------------------------------------------- */

static const struct column difference_columns[] = {
    {"change", COLUMN_TEXT, false},         {"kind", COLUMN_TEXT, false},
    {"what", COLUMN_TEXT, false},           {"device_id", COLUMN_TEXT, false},
    {"serial", COLUMN_TEXT, false},         {"at_then", COLUMN_TIME, false},
    {"at_what_if", COLUMN_TIME, false},     {"violations", COLUMN_LIST, false},
    {"violations_then", COLUMN_LIST, true},
};

static const struct column tally_columns[] = {
    {"kind", COLUMN_TEXT, false},         {"what", COLUMN_TEXT, false},
    {"then", COLUMN_INTEGER, false},      {"what_if", COLUMN_INTEGER, false},
    {"only_then", COLUMN_INTEGER, false}, {"only_what_if", COLUMN_INTEGER, false},
    {"moved", COLUMN_INTEGER, false},     {"reason", COLUMN_INTEGER, false},
};

static struct cell text_cell(const char *text) {
  return text == NULL ? cell_null() : cell_text(span_text(text));
}

static struct cell time_cell(int64_t at_ms) {
  return at_ms == TIME_NONE ? cell_null() : cell_integer(at_ms);
}

static void put_difference(struct output *output, const struct difference *difference) {
  char id[DEVICE_ID_SIZE];
  const char *const *violations = difference->violations;
  device_id_format(difference->device_number, id);
  output_row(output, (struct cell[]){
                         text_cell(change_name(difference->change)),
                         text_cell(result_topic_name(difference->kind)),
                         text_cell(difference->what),
                         text_cell(difference->device_number == 0 ? NULL : id),
                         text_cell(difference->serial[0] == '\0' ? NULL : difference->serial),
                         time_cell(difference->at_ms[HISTORY_THEN]),
                         time_cell(difference->at_ms[HISTORY_WHAT_IF]),
                         text_cell(violations[HISTORY_WHAT_IF] != NULL ? violations[HISTORY_WHAT_IF]
                                                                       : violations[HISTORY_THEN]),
                         text_cell(violations[HISTORY_THEN]),
                     });
}

static enum status print_differences(const struct comparison *comparison, enum output_format format,
                                     struct error *error) {
  struct output *output =
      output_open(stdout, format, difference_columns, COUNT_OF(difference_columns));
  for (size_t i = 0; i < comparison->difference_count; i++) {
    put_difference(output, comparison->differences[i]);
  }
  return output_close(output, error);
}

static enum status print_tallies(const struct comparison *comparison, enum output_format format,
                                 struct error *error) {
  struct output *output = output_open(stdout, format, tally_columns, COUNT_OF(tally_columns));
  for (size_t i = 0; i < comparison->tally_count; i++) {
    const struct tally *tally = &comparison->tallies[i];
    output_row(output, (struct cell[]){
                           text_cell(result_topic_name(tally->kind)),
                           text_cell(tally->what),
                           cell_integer((int64_t)tally->all[HISTORY_THEN]),
                           cell_integer((int64_t)tally->all[HISTORY_WHAT_IF]),
                           cell_integer((int64_t)tally->changes[CHANGE_ONLY_THEN]),
                           cell_integer((int64_t)tally->changes[CHANGE_ONLY_WHAT_IF]),
                           cell_integer((int64_t)tally->changes[CHANGE_MOVED]),
                           cell_integer((int64_t)tally->changes[CHANGE_REASON]),
                       });
  }
  return output_close(output, error);
}

/* Both histories are one until the other policy comes into force: a lane may begin later. */
static void print_begins(const struct work *work) {
  for (size_t i = 0; i < work->lane_count; i++) {
    if (work->results[i].began_after > 0) {
      printf("lane %" PRIu32 ": replayed from the snapshot of batch %" PRIu64
             " on, whose state the journal vouches for\n",
             work->options[i].lane, work->results[i].began_after);
    }
  }
}

/* For people the list is followed by the counts. */
static enum status print_report(const struct comparison *comparison,
                                const struct command_line *line, struct error *error) {
  const bool is_summary = line->options[SUMMARY] != NULL;
  const bool is_table = line->output == OUTPUT_TABLE;
  enum status status = STATUS_OK;
  if (!is_summary && (!is_table || comparison->difference_count > 0)) {
    status = print_differences(comparison, line->output, error);
    if (is_table) {
      putchar('\n');
    }
  }
  if (status == STATUS_OK && (is_summary || is_table)) {
    status = print_tallies(comparison, line->output, error);
  }
  if (status == STATUS_OK && is_table) {
    printf("\n%zu differences in what came of %" PRIu64 " messages\n", comparison->difference_count,
           comparison->messages);
    print_begins(comparison->work);
  }
  if (status == STATUS_OK && comparison->difference_count > 0) {
    error->text[0] = '\0';
    status = STATUS_REFUSED; /* they differ: found, and already printed */
  }
  return status;
}

/* What is asked for. ---------------------------------------------------------------------- */

static enum status read_request(const struct command_line *line, struct option_range *request,
                                struct error *error) {
  const struct option_range_texts texts = {line->options[LANE], line->options[FROM],
                                           line->options[TO], line->options[JOBS]};
  if (line->options[POLICY] == NULL) {
    return error_set(error, STATUS_USAGE, "replay what-if needs --policy FILE");
  }
  return option_range(&texts, request, error);
}

static enum status set_up(struct work *work, const struct option_range *request,
                          const struct what_if_options *common, struct error *error) {
  const uint32_t count = common->lane_count;
  const enum status status = option_lane_exists(request->lane, count, error);
  if (status != STATUS_OK) {
    return status;
  }
  work->lane_count = request->lane >= 0 ? 1 : count;
  work->options = memory_zeroed(work->lane_count, sizeof *work->options);
  work->results = memory_zeroed(work->lane_count, sizeof *work->results);
  for (size_t i = 0; i < work->lane_count; i++) {
    work->options[i] = *common;
    work->options[i].lane = request->lane >= 0 ? (uint32_t)request->lane : (uint32_t)i;
  }
  return STATUS_OK;
}

static enum status replay_lanes(struct work *work, int64_t at_a_time, struct error *error) {
  struct jobs *jobs;
  enum status status = jobs_start(work->lane_count, at_a_time, work_on_lane, work, &jobs, error);
  if (status != STATUS_OK) {
    return status;
  }
  jobs_join(jobs);
  for (size_t i = 0; i < work->lane_count && status == STATUS_OK; i++) {
    status = work->results[i].status;
    if (status != STATUS_OK) {
      *error = work->results[i].error;
    }
  }
  return status;
}

static enum status compare(const struct command_line *line, const struct option_range *request,
                           const struct what_if_options *common, struct error *error) {
  struct work work = {0};
  struct comparison comparison = {0};
  enum status status = set_up(&work, request, common, error);
  if (status == STATUS_OK) {
    status = replay_lanes(&work, request->jobs, error);
  }
  if (status == STATUS_OK) {
    gather(&work, &comparison);
    status = print_report(&comparison, line, error);
  }
  free(comparison.differences);
  free(comparison.tallies);
  for (size_t i = 0; i < work.lane_count && work.results != NULL; i++) {
    differences_close(work.results[i].differences);
  }
  free(work.options);
  free(work.results);
  return status;
}

enum status command_replay_what_if(const struct command_line *line, struct error *error) {
  struct option_range request;
  struct replay_inputs inputs = {0};
  struct policy *policy = memory_zeroed(1, sizeof *policy);
  enum status status = read_request(line, &request, error);
  if (status == STATUS_OK) {
    status = policy_load(line->options[POLICY], policy, error);
  }
  if (status == STATUS_OK) {
    status = replay_inputs_open(&line->config, &inputs, error);
  }
  if (status == STATUS_OK) {
    const struct what_if_options common = {
        .config = &line->config,
        .schemas = inputs.schemas,
        .lane_count = inputs.lane_count,
        .subject_key = replay_inputs_key(&inputs),
        .policy = policy,
        .from_ms = request.from_ms,
        .to_ms = request.to_ms,
    };
    status = compare(line, &request, &common, error);
  }
  replay_inputs_close(&inputs);
  free(policy);
  return status;
}
