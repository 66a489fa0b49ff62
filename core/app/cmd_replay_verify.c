/* Everything decided again, lane beside lane, and compared with what was emitted. */
#include "core/app/clock.h"
#include "core/app/command.h"
#include "core/app/finding.h"
#include "core/app/jobs.h"
#include "core/app/option_range.h"
#include "core/app/output.h"
#include "core/app/replay_inputs.h"
#include "core/app/report.h"
#include "core/app/text.h"
#include "core/app/verify.h"
#include "core/time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
  VERIFY_LANE,
  VERIFY_FROM,
  VERIFY_TO,
  VERIFY_SOURCE,
  VERIFY_DATABASE,
  VERIFY_JOBS,
  VERIFY_CHECKPOINTS,
  VERIFY_PUBLIC_KEY,
  VERIFY_REPORT,
  VERIFY_RESUME
};

const struct option_spec replay_verify_options[] = {
    [VERIFY_LANE] = {"lane", "N", "this lane alone, counted from 0"},
    [VERIFY_FROM] = {"from", "TIME", "compare what was decided from then on"},
    [VERIFY_TO] = {"to", "TIME", "end at the first batch that began then or later"},
    [VERIFY_SOURCE] = {"source", "WHERE", "read the journal from its topic, or from postgres"},
    [VERIFY_DATABASE] = {"database", NULL, "compare the rows of PostgreSQL, too"},
    [VERIFY_JOBS] = {"jobs", "N", "lanes at a time; as many as processors"},
    [VERIFY_CHECKPOINTS] = {"checkpoints", "WHERE",
                            "hold signed ones against it: topic, or a file"},
    [VERIFY_PUBLIC_KEY] = {"public-key", "FILE", "that they must be signed under"},
    [VERIFY_REPORT] = {"report", "FILE", "write what was found as a page, too"},
    [VERIFY_RESUME] = {"resume", "DIR", "keep there how far it is, and go on from there"},
    {NULL, NULL, NULL},
};

enum {
  LOOK_MS = 200,  /* between two looks at the progress, on a terminal */
  LINE_MS = 5000, /* between two lines of it elsewhere */
};

struct lane_work {
  struct verify_options options;
  struct verify_progress progress;
  struct verify_result result;
  struct story story; /* with --report */
};

struct work {
  struct lane_work *lanes;
  size_t lane_count;
};

static void work_on_lane(void *context, size_t index) {
  struct work *work = context;
  verify_lane(&work->lanes[index].options, &work->lanes[index].result);
}

/* Progress. ------------------------------------------------------------------------------ */

enum { BAR_SIZE = 24 };

/* "[######------------------]  25 %"; empty while it is not known how much there is. */
static const char *bar_of(uint64_t read, uint64_t to_read, char text[2 * BAR_SIZE]) {
  const uint64_t done = read > to_read ? to_read : read;
  text[0] = '\0';
  if (to_read > 0) {
    char bar[BAR_SIZE + 1] = "";
    for (uint64_t i = 0; i < BAR_SIZE; i++) {
      bar[i] = i < done * BAR_SIZE / to_read ? '#' : '-';
    }
    snprintf(text, 2 * BAR_SIZE, "[%s] %3d %%, ", bar, (int)(done * 100 / to_read));
  }
  return text;
}

static bool show_progress(const struct work *work, int64_t begun_mono_ms, const char *end) {
  uint64_t messages = 0;
  uint64_t results = 0;
  uint64_t batches = 0;
  uint64_t read = 0;
  uint64_t to_read = 0;
  size_t known = 0;
  size_t done = 0;
  for (size_t i = 0; i < work->lane_count; i++) {
    struct verify_progress *progress = &work->lanes[i].progress;
    messages += atomic_load(&progress->messages);
    results += atomic_load(&progress->results);
    batches += atomic_load(&progress->batches);
    read += atomic_load(&progress->read);
    to_read += atomic_load(&progress->to_read);
    known += atomic_load(&progress->to_read) > 0 ? 1 : 0;
    done += atomic_load(&progress->is_done) ? 1 : 0;
  }
  if (end != NULL) {
    const int64_t ms = clock_mono_ms() - begun_mono_ms;
    /* Of a lane that nobody has begun with, as much is assumed as the others have. */
    char bar[2 * BAR_SIZE];
    bar_of(read, known == 0 ? 0 : to_read * work->lane_count / known, bar);
    fprintf(stderr,
            "replay: %s%zu of %zu lanes, %" PRIu64 " batches, %" PRIu64 " messages, %" PRIu64
            " results, %.0f messages/s%s",
            bar, done, work->lane_count, batches, messages, results,
            ms == 0 ? 0 : (double)messages * 1000 / (double)ms, end);
  }
  return done == work->lane_count;
}

static void watch(const struct work *work, int64_t begun_mono_ms) {
  const bool is_terminal = isatty(STDERR_FILENO) == 1;
  int64_t shown_mono_ms = begun_mono_ms;
  int pause_ms = 1;
  for (;;) {
    const int64_t now_mono_ms = clock_mono_ms();
    const bool is_due = now_mono_ms - shown_mono_ms >= (is_terminal ? LOOK_MS : LINE_MS);
    if (show_progress(work, begun_mono_ms, !is_due ? NULL : is_terminal ? "\033[K\r" : "\n")) {
      break;
    }
    shown_mono_ms = is_due ? now_mono_ms : shown_mono_ms;
    nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000L}, NULL);
    pause_ms = pause_ms * 2 > LOOK_MS ? LOOK_MS : pause_ms * 2;
  }
  show_progress(work, begun_mono_ms, is_terminal ? "\033[K\n" : "\n");
}

static enum status run_jobs(struct work *work, int64_t at_a_time, struct error *error) {
  struct jobs *jobs;
  const int64_t begun_mono_ms = clock_mono_ms();
  const enum status status =
      jobs_start(work->lane_count, at_a_time, work_on_lane, work, &jobs, error);
  if (status == STATUS_OK) {
    watch(work, begun_mono_ms);
    jobs_join(jobs);
  }
  return status;
}

/* The report. ---------------------------------------------------------------------------- */

static const char *subjects_name(const struct verify_result *result) {
  return result->has_key ? "checked" : "from results";
}

static uint64_t result_count(const struct verify_result *result) {
  uint64_t count = 0;
  for (size_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    count += result->results[kind];
  }
  return count;
}

static json_t *lane_json(const struct lane_work *lane) {
  const struct verify_result *result = &lane->result;
  json_t *const topics = json_object();
  char chain[HEX_DIGEST_SIZE];
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    json_object_set_new(topics, record_topic_name(kind),
                        json_integer((json_int_t)result->results[kind]));
  }
  hex_format(result->chain, DIGEST_SIZE, chain);
  json_t *const json = json_pack(
      "{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:s}",
      "lane", (json_int_t)lane->options.lane, "verdict", verify_verdict_name(result->verdict),
      "batches", (json_int_t)result->batches, "messages", (json_int_t)result->messages, "timers",
      (json_int_t)result->timers, "results", (json_int_t)result_count(result), "compared_from",
      (json_int_t)result->compared_from, "compared_to", (json_int_t)result->compared_to, "topics",
      topics, "devices", (json_int_t)result->devices, "rows", (json_int_t)result->rows, "expired",
      (json_int_t)result->expired, "erased", (json_int_t)result->erased, "unknown_subjects",
      (json_int_t)result->unknown_subjects, "undecided_offsets", (json_int_t)result->undecided,
      "is_moving", (int)result->is_moving, "subjects", subjects_name(result), "chain", chain);
  json_object_set_new(json, "checkpoints", json_integer((json_int_t)result->checkpoints));
  json_object_set_new(json, "resumed_from", json_integer((json_int_t)result->resumed_from));
  json_object_set_new(json, "signed_batch", json_integer((json_int_t)result->signed_batch));
  json_object_set_new(json, "snapshot", json_integer((json_int_t)result->began_after));
  json_object_set_new(json, "journal_from", json_integer((json_int_t)result->journal_from));
  json_object_set_new(json, "gaps",
                      result->gaps != NULL ? json_incref(result->gaps) : json_array());
  if (result->verdict == VERDICT_DIVERGED) {
    json_object_set(json, "divergence", result->finding);
  } else if (result->verdict == VERDICT_UNVERIFIABLE) {
    json_object_set_new(json, "unverifiable_from",
                        json_integer((json_int_t)verify_next_batch(result)));
    json_object_set_new(json, "inputs_whole_from",
                        result->whole_from == 0 ? json_null()
                                                : json_integer((json_int_t)result->whole_from));
    json_object_set_new(json, "reason", json_string(result->reason));
  }
  return json;
}

static void print_json(const struct work *work, enum output_format format) {
  json_t *const lanes = json_array();
  for (size_t i = 0; i < work->lane_count; i++) {
    json_array_append_new(lanes, lane_json(&work->lanes[i]));
  }
  if (format == OUTPUT_NDJSON) {
    size_t i;
    json_t *lane;
    json_array_foreach(lanes, i, lane) {
      json_dumpf(lane, stdout, JSON_COMPACT);
      putchar('\n');
    }
  } else {
    json_dumpf(lanes, stdout, JSON_COMPACT);
    putchar('\n');
  }
  json_decref(lanes);
}

static void print_topics(const struct verify_result *result) {
  const char *separator = "  ";
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    if (result->results[kind] > 0) {
      printf("%s%s %" PRIu64, separator, record_topic_name(kind), result->results[kind]);
      separator = ", ";
    }
  }
  if (separator[0] == ',') {
    putchar('\n');
  }
}

/* What a verification that did not begin at the beginning relies on. */
static void print_begin(const struct verify_result *result) {
  char at[TIME_TEXT_SIZE];
  time_format(result->began_at_ms, at);
  printf("  decided from the snapshot of batch %" PRIu64 " on, the clock at %s: the journal's row "
         "has the digest of its state, and the chain holds from batch %" PRIu64 " to it; what was "
         "before was not decided again\n",
         result->began_after, at, result->journal_from > 0 ? result->journal_from : 1);
}

/* Never simply verified: what a gap held was seen by nobody. */
static void print_verdict(const struct verify_result *result) {
  const size_t count = verify_gap_count(result);
  printf("%s", verify_verdict_name(result->verdict));
  if (result->verdict == VERDICT_VERIFIED && count > 0) {
    printf(" but for %zu accepted gap%s", count, count == 1 ? "" : "s");
  }
}

static void print_lane(const struct lane_work *lane) {
  const struct verify_result *result = &lane->result;
  printf("lane %" PRIu32 ": ", lane->options.lane);
  print_verdict(result);
  printf(", %" PRIu64 " batches, %" PRIu64 " messages, %" PRIu64 " timers, %" PRIu64
         " results, %" PRIu64 " devices as decided\n",
         result->batches, result->messages, result->timers, result_count(result), result->devices);
  print_topics(result);
  if (result->compared_from > 1 || lane->options.to_ms != TIME_NONE) {
    printf("  results compared from batch %" PRIu64 " to %" PRIu64 "\n", result->compared_from,
           result->compared_to);
  }
  if (result->resumed_from > 0) {
    printf("  went on from batch %" PRIu64 ": what was before it was verified already\n",
           result->resumed_from);
  }
  if (result->began_after > 0) {
    print_begin(result);
  }
  if (result->rows > 0) {
    printf("  %" PRIu64 " rows of PostgreSQL as decided\n", result->rows);
  }
  if (result->expired > 0) {
    printf("  %" PRIu64 " results have expired on their topics: checked by the journal's digest "
           "alone\n",
           result->expired);
  }
  if (result->erased > 0) {
    printf("  %" PRIu64 " addresses erased since\n", result->erased);
  }
  if (result->unknown_subjects > 0) {
    printf("  %" PRIu64 " enrolments changed nothing and name no subject: digest not checked\n",
           result->unknown_subjects);
  }
  verify_gaps_print(stdout, result);
  if (result->is_moving) {
    printf("  a run goes on: nothing behind batch %" PRIu64 " was looked at, nor the devices\n",
           result->batches);
  }
  if (result->checkpoints > 0) {
    printf("  %" PRIu64 " signed checkpoints hold, up to batch %" PRIu64 "\n", result->checkpoints,
           result->signed_batch);
  }
  if (result->verdict == VERDICT_DIVERGED) {
    finding_print(stdout, result->finding);
  } else if (result->verdict == VERDICT_UNVERIFIABLE) {
    printf("  cannot be verified from batch %" PRIu64 " on: %s\n", verify_next_batch(result),
           result->reason);
    if (result->whole_from > 0 && result->whole_from > verify_next_batch(result)) {
      printf("  inputs are there from batch %" PRIu64
             " on: with the devices' states before it, it could be verified from there (--from "
             "begins at a snapshot, if there is one before that time)\n",
             result->whole_from);
    }
  } else if (result->undecided > 0) {
    printf("  %" PRIu64 " offsets of the inputs stand behind the journal's end\n",
           result->undecided);
  }
}

static void print_table(const struct work *work, bool has_key) {
  for (size_t i = 0; i < work->lane_count; i++) {
    print_lane(&work->lanes[i]);
  }
  printf("%s\n", has_key ? "subjects were checked under the key"
                         : "subjects were taken from recorded results: there is no key here");
}

/* What the verification as a whole came to. */
static enum status conclude(const struct work *work, struct error *error) {
  size_t diverged = 0;
  size_t unverifiable = 0;
  for (size_t i = 0; i < work->lane_count; i++) {
    const struct verify_result *result = &work->lanes[i].result;
    diverged += result->verdict == VERDICT_DIVERGED ? 1 : 0;
    unverifiable += result->verdict == VERDICT_UNVERIFIABLE ? 1 : 0;
  }
  if (diverged > 0) {
    return error_set(error, STATUS_REFUSED, "%zu of %zu lanes diverge from what was decided",
                     diverged, work->lane_count);
  }
  if (unverifiable > 0) {
    return error_set(error, STATUS_REFUSED, "%zu of %zu lanes cannot be verified to their end",
                     unverifiable, work->lane_count);
  }
  return STATUS_OK;
}

static enum status failed(const struct work *work, struct error *error) {
  for (size_t i = 0; i < work->lane_count; i++) {
    const struct verify_result *result = &work->lanes[i].result;
    if (result->status != STATUS_OK) {
      return error_set(error, result->status, "lane %u: %s", work->lanes[i].options.lane,
                       result->error.text);
    }
  }
  return STATUS_OK;
}

/* What is asked for. --------------------------------------------------------------------- */

struct request {
  struct option_range range;
  bool from_database, compares_database, has_report;
};

static enum status read_request(const struct command_line *line, struct request *request,
                                struct error *error) {
  const char *const source = line->options[VERIFY_SOURCE];
  *request = (struct request){0};
  request->compares_database = line->options[VERIFY_DATABASE] != NULL;
  request->has_report = line->options[VERIFY_REPORT] != NULL;
  request->from_database = source != NULL && strcmp(source, "postgres") == 0;
  if (source != NULL && !request->from_database && strcmp(source, "topic") != 0) {
    return error_set(error, STATUS_USAGE, "--source takes topic or postgres, not \"%.80s\"",
                     source);
  }
  const struct option_range_texts texts = {line->options[VERIFY_LANE], line->options[VERIFY_FROM],
                                           line->options[VERIFY_TO], line->options[VERIFY_JOBS]};
  return option_range(&texts, &request->range, error);
}

static enum status set_up(struct work *work, const struct request *request,
                          const struct verify_options *common, struct error *error) {
  const uint32_t count = common->lane_count;
  const enum status status = option_lane_exists(request->range.lane, count, error);
  if (status != STATUS_OK) {
    return status;
  }
  work->lane_count = request->range.lane >= 0 ? 1 : count;
  work->lanes = memory_zeroed(work->lane_count, sizeof *work->lanes);
  for (size_t i = 0; i < work->lane_count; i++) {
    struct lane_work *lane = &work->lanes[i];
    lane->options = *common;
    lane->options.lane = request->range.lane >= 0 ? (uint32_t)request->range.lane : (uint32_t)i;
    lane->options.progress = &lane->progress;
    if (request->has_report) {
      lane->story = (struct story){.from_ms = request->range.from_ms,
                                   .to_ms = request->range.to_ms,
                                   .first_at_ms = TIME_NONE,
                                   .last_at_ms = TIME_NONE};
      story_begin_lane(&lane->story, lane->options.lane, count);
      lane->options.watch = story_watch(&lane->story);
    }
  }
  return STATUS_OK;
}

/* All lanes' stories as one. */
static enum status write_report(const struct work *work, const struct request *request,
                                const struct command_line *line, struct error *error) {
  const char *const path = line->options[VERIFY_REPORT];
  struct story story = {.first_at_ms = TIME_NONE, .last_at_ms = TIME_NONE};
  struct report_lane *lanes = memory_zeroed(work->lane_count, sizeof *lanes);
  FILE *const file = fopen(path, "wb");
  if (file == NULL) {
    free(lanes);
    return error_set(error, STATUS_REFUSED, "%s: %s", path, strerror(errno));
  }
  for (size_t i = 0; i < work->lane_count; i++) {
    lanes[i] = (struct report_lane){work->lanes[i].options.lane, &work->lanes[i].result};
    story_join(&story, &work->lanes[i].story);
  }
  const struct report_page page = {.topic_prefix = line->config.kafka.topic_prefix,
                                   .from_ms = request->range.from_ms,
                                   .to_ms = request->range.to_ms,
                                   .lanes = lanes,
                                   .lane_count = work->lane_count,
                                   .story = &story};
  story_sort(&story);
  report_put(&page, file);
  const bool failed = ferror(file) != 0;
  story_fini(&story);
  free(lanes);
  return fclose(file) == 0 && !failed
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

static enum status verify(const struct command_line *line, const struct request *request,
                          const struct verify_options *common, struct error *error) {
  struct work work = {0};
  enum status status = set_up(&work, request, common, error);
  if (status == STATUS_OK) {
    status = run_jobs(&work, request->range.jobs, error);
  }
  if (status == STATUS_OK) {
    status = failed(&work, error);
  }
  for (size_t i = 0; i < work.lane_count; i++) {
    fputs(work.lanes[i].result.left_out == NULL ? "" : work.lanes[i].result.left_out, stderr);
  }
  if (status == STATUS_OK && line->output == OUTPUT_TABLE) {
    print_table(&work, common->subject_key.size > 0);
  } else if (status == STATUS_OK) {
    print_json(&work, line->output);
  }
  if (status == STATUS_OK && request->has_report) {
    status = write_report(&work, request, line, error);
  }
  if (status == STATUS_OK) {
    status = conclude(&work, error);
  }
  for (size_t i = 0; i < work.lane_count; i++) {
    json_decref(work.lanes[i].result.finding);
    free(work.lanes[i].result.left_out);
    json_decref(work.lanes[i].result.gaps);
    story_fini(&work.lanes[i].story);
  }
  free(work.lanes);
  return status;
}

static enum status read_checkpoints(const struct command_line *line, uint32_t lane_count,
                                    struct checkpoint_list *list, struct error *error) {
  const struct config *config = &line->config;
  const char *const where = line->options[VERIFY_CHECKPOINTS];
  const char *const key_file = line->options[VERIFY_PUBLIC_KEY];
  struct note_key *key;
  if (key_file == NULL) {
    return error_set(error, STATUS_USAGE, "--checkpoints needs the --public-key they are under");
  }
  enum status status = note_key_load(key_file, false, &key, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = strcmp(where, "topic") == 0
               ? checkpoint_list_read_topic(config, key, lane_count, list, error)
               : checkpoint_list_read_file(where, config->kafka.topic_prefix, key, lane_count, list,
                                           error);
  note_key_close(key);
  return status;
}

/* What is gone on with must have been looked at in the same way before. */
static enum status check_resume(const struct command_line *line, struct error *error) {
  static const int others[] = {VERIFY_FROM, VERIFY_SOURCE, VERIFY_DATABASE, VERIFY_CHECKPOINTS,
                               VERIFY_REPORT};
  const char *const directory = line->options[VERIFY_RESUME];
  for (size_t i = 0; directory != NULL && i < COUNT_OF(others); i++) {
    if (line->options[others[i]] != NULL) {
      return error_set(error, STATUS_USAGE, "--resume does not go with --%s",
                       replay_verify_options[others[i]].name);
    }
  }
  if (directory != NULL && mkdir(directory, S_IRWXU) != 0 && errno != EEXIST) {
    return error_set(error, STATUS_USAGE, "--resume %s: %s", directory, strerror(errno));
  }
  return STATUS_OK;
}

enum status command_replay_verify(const struct command_line *line, struct error *error) {
  const struct config *config = &line->config;
  struct request request;
  struct replay_inputs inputs = {0};
  struct checkpoint_list checkpoints = {0};
  enum status status = read_request(line, &request, error);
  if (status == STATUS_OK) {
    status = check_resume(line, error);
  }
  if (status == STATUS_OK) {
    status = replay_inputs_open(config, &inputs, error);
  }
  if (status == STATUS_OK && line->options[VERIFY_CHECKPOINTS] != NULL) {
    status = read_checkpoints(line, inputs.lane_count, &checkpoints, error);
  }
  if (status == STATUS_OK) {
    const struct verify_options common = {
        .config = config,
        .schemas = inputs.schemas,
        .lane_count = inputs.lane_count,
        .subject_key = replay_inputs_key(&inputs),
        .reads_journal_from_database = request.from_database,
        .compares_database = request.compares_database,
        .from_ms = request.range.from_ms,
        .to_ms = request.range.to_ms,
        .resume_directory = line->options[VERIFY_RESUME],
        .checkpoints = line->options[VERIFY_CHECKPOINTS] != NULL ? &checkpoints : NULL,
    };
    status = verify(line, &request, &common, error);
  }
  checkpoint_list_fini(&checkpoints);
  replay_inputs_close(&inputs);
  return status;
}
