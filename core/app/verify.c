#include "core/app/verify.h"

#include "core/app/clock.h"
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHASE_MS = 60000, SETTLE_MS = 5000 };

void verify_diverge(struct verify *verify, struct json_t *finding) {
  if (verify_is_over(verify)) {
    json_decref(finding);
    return;
  }
  verify->result->verdict = VERDICT_DIVERGED;
  verify->result->finding = finding;
}

bool verify_is_over(const struct verify *verify) {
  return verify->result->verdict != VERDICT_VERIFIED;
}

int64_t verify_settle_ms(const struct verify *verify) {
  return verify->options->files == NULL ? SETTLE_MS : 0;
}

static uint32_t lane_of(const struct verify *verify) {
  return verify->options->lane;
}

static const char *prefix_of(const struct verify *verify) {
  return verify->options->config->kafka.topic_prefix;
}

/* Whether the batch that should have come stands behind the one that came instead. Reads on: the
 * batch at hand goes away. */
static bool comes_next(struct verify *verify, uint64_t batch) {
  struct journal_entry entry;
  return journal_source_next(verify->journal, &entry, verify->error) == STATUS_OK &&
         entry.batch != NULL && entry.batch->row.batch == batch;
}

/* The place of a row among the others: its numbers go on where the one before ended. */
json_t *verify_find_misplaced(struct verify *verify, const struct journal_row *of_batch) {
  const struct journal_row copy = *of_batch;
  const struct journal_row *row = &copy;
  const struct journal_row *last = &verify->last;
  const bool is_source_topic = !verify->options->reads_journal_from_database;
  const char *where = is_source_topic ? "topic" : "database";
  json_t *finding;
  if (row->batch == last->batch + 1 && row->lane == lane_of(verify)) {
    return NULL;
  }
  if (row->lane != lane_of(verify)) {
    finding = finding_begin("journal row misplaced", lane_of(verify), row->batch);
    finding_explain(finding, "the row is lane %u's", row->lane);
  } else if (row->batch == last->batch) {
    finding = finding_begin("journal row doubled", lane_of(verify), row->batch);
    finding_explain(finding, "the row of batch %" PRIu64 " stands in the %s again", row->batch,
                    where);
  } else if (row->batch < last->batch) {
    finding = finding_begin("journal row misplaced", lane_of(verify), row->batch);
    finding_explain(finding, "it stands in the %s behind batch %" PRIu64, where, last->batch);
  } else if (comes_next(verify, last->batch + 1)) {
    finding = finding_begin("journal rows swapped", lane_of(verify), last->batch + 1);
    finding_explain(finding, "batch %" PRIu64 " stands in the %s before it", row->batch, where);
  } else {
    finding = finding_begin("journal row missing", lane_of(verify), last->batch + 1);
    finding_explain(finding, "behind batch %" PRIu64 " the %s goes on with batch %" PRIu64,
                    last->batch, where, row->batch);
  }
  return finding;
}

static void chain_of(const struct journal_row *row, const uint8_t previous[DIGEST_SIZE],
                     uint8_t chain[DIGEST_SIZE]) {
  uint8_t *bytes = malloc(journal_canonical_size_max(row));
  assert(bytes != NULL);
  digest_of(span_of(bytes, journal_canonical(row, previous, bytes)), chain);
  free(bytes);
}

bool verify_chain_holds(const struct verify *verify, const struct journal_row *row) {
  uint8_t chain[DIGEST_SIZE];
  chain_of(row, verify->last.chain, chain);
  return memcmp(chain, row->chain, DIGEST_SIZE) == 0;
}

static bool inputs_are_partial(const struct verify *verify) {
  return replay_partial(verify->replay) > 0;
}

/* The content of dead letters is withheld, and a batch's digest covers it. */
static bool results_are_partial(const struct verify *verify) {
  const struct replay_files *files = verify->options->files;
  return files != NULL && files->is_pseudonymised &&
         replay_row(verify->replay)->dead_letter_count > 0;
}

static bool is_partial(const struct verify *verify) {
  return subjects_unknown(verify->subjects) > 0 || inputs_are_partial(verify) ||
         results_are_partial(verify);
}

/* The row as it was decided against the row as it stands. What could not be decided for want of a
 * subject, or of a message's content, is taken as it stands. */
static void compare_rows(struct verify *verify, const struct journal_row *found, bool holds) {
  struct journal_row expected = *replay_row(verify->replay);
  if (subjects_unknown(verify->subjects) > 0) {
    memcpy(expected.inputs, found->inputs, DIGEST_SIZE);
    static const enum topic naming[] = {TOPIC_CONTROL, TOPIC_ENROLLMENTS, TOPIC_COMMANDS};
    for (size_t i = 0; i < COUNT_OF(naming); i++) {
      memcpy(expected.last_message[naming[i]], found->last_message[naming[i]], DIGEST_SIZE);
    }
  }
  if (inputs_are_partial(verify)) {
    memcpy(expected.inputs, found->inputs, DIGEST_SIZE);
    memcpy(expected.last_message, found->last_message, sizeof expected.last_message);
  }
  if (results_are_partial(verify)) {
    memcpy(expected.results, found->results, DIGEST_SIZE);
  }
  if (is_partial(verify)) {
    chain_of(&expected, verify->last.chain, expected.chain);
  }
  json_t *const expected_json = finding_of_row(&expected, prefix_of(verify));
  json_t *const found_json = finding_of_row(found, prefix_of(verify));
  if (json_equal(expected_json, found_json)) {
    json_decref(expected_json);
    json_decref(found_json);
    return;
  }
  json_t *finding = finding_begin("journal row changed", lane_of(verify), found->batch);
  finding_explain(finding, holds ? "the row is not what is decided from its inputs, though its "
                                   "chain holds"
                                 : "the row is not what was committed: its chain does not hold");
  finding_compare(finding, expected_json, found_json);
  verify_diverge(verify, finding);
}

/* The journal's records byte for byte, with what stands beside the row and out of the chain. */
static void compare_record(struct verify *verify, const struct journal_row *row,
                           const struct outgoing *expected, const struct found_record *found) {
  if (found == NULL || (expected->timestamp_ms == found->message.timestamp_ms &&
                        span_equal(expected->key, found->message.key) &&
                        span_equal(expected->value, found->message.value) &&
                        span_equal(expected->headers, found->message.headers))) {
    return;
  }
  if (is_partial(verify)) {
    return; /* its digests are not known */
  }
  const struct schemas *schemas = replay_schemas(verify->replay);
  json_t *finding = finding_begin("journal row changed", lane_of(verify), row->batch);
  finding_explain(finding,
                  "the record at offset %" PRId64 " of the journal is not what was published",
                  found->offset);
  finding_compare(finding, finding_of_message(schemas, expected),
                  finding_of_message(schemas, &found->message));
  verify_diverge(verify, finding);
}

/* An environment of the journal that no batch began, or the other way round, is one record too
 * many or too few. */
static void compare_records(struct verify *verify, const struct journal_entry *entry) {
  struct outgoing expected;
  struct outgoing last = {0};
  size_t position = 0;
  if (entry->record == NULL) {
    return; /* the row came from the database */
  }
  while (outgoing_next(replay_records(verify->replay), &position, &expected)) {
    if (expected.record == RECORD_JOURNAL && last.value.data != NULL) {
      compare_record(verify, &entry->batch->row, &last, entry->environment);
    }
    if (expected.record == RECORD_JOURNAL) {
      last = expected;
    }
  }
  compare_record(verify, &entry->batch->row, &last, entry->record);
}

/* An environment that is not new has no record: whoever repeats one has put it there. */
void verify_check_environment(struct verify *verify, const struct recorded_batch *batch) {
  uint8_t digest[DIGEST_SIZE];
  digest_of(buffer_span(&batch->environment), digest);
  if (batch->environment.size > 0 && verify->last.batch > 0 &&
      memcmp(digest, verify->last.environment, DIGEST_SIZE) == 0) {
    json_t *finding = finding_begin("journal row surplus", lane_of(verify), batch->row.batch);
    finding_explain(finding, "the environment of the batches before stands there again");
    verify_diverge(verify, finding);
    return;
  }
  if (batch->environment.size > 0 && memcmp(digest, batch->row.environment, DIGEST_SIZE) != 0) {
    json_t *finding = finding_begin("environment changed", lane_of(verify), batch->row.batch);
    finding_explain(finding, "the content of its environment is not what the row's digest says");
    verify_diverge(verify, finding);
  }
}

/* A journal whose beginning retention has taken says nothing against the rest of it. */
static bool excuse_expired_journal(struct verify *verify, const struct journal_row *row) {
  if (verify->options->reads_journal_from_database || verify->last.batch > 0 || row->batch <= 1 ||
      found_first(verify->found, RECORD_JOURNAL) == 0) {
    return false;
  }
  verify->result->verdict = VERDICT_UNVERIFIABLE;
  snprintf(verify->result->reason, sizeof verify->result->reason,
           "the journal's topic begins with batch %" PRIu64
           ": what was before it has expired (--source postgres may have it)",
           row->batch);
  return true;
}

/* Before a batch is decided without the key: who is named in its messages. */
static enum status note_subjects(struct verify *verify, const struct journal_row *row) {
  subjects_begin(verify->subjects);
  return verify->options->subject_key.size > 0
             ? STATUS_OK
             : subjects_note_found(verify->subjects, verify->found, replay_encoding(verify->replay),
                                   row, verify->error);
}

static void check_subjects(struct verify *verify, const struct journal_row *row) {
  struct person_place place;
  if (subjects_conflict(verify->subjects, &place)) {
    json_t *finding = finding_begin("subject changed", lane_of(verify), row->batch);
    finding_explain(finding,
                    "an address in the message at offset %" PRId64
                    " of %s was recorded under another subject before",
                    place.offset, topic_name(place.topic));
    verify_diverge(verify, finding);
  }
  verify->result->unknown_subjects += subjects_unknown(verify->subjects);
}

static bool is_compared(const struct verify *verify, const struct journal_row *row) {
  const int64_t from_ms = verify->options->from_ms;
  return from_ms == TIME_NONE || row->clock_after_ms >= from_ms;
}

static enum status compare_outputs(struct verify *verify, const struct journal_row *row) {
  struct verify_result *result = verify->result;
  enum status status = STATUS_OK;
  if (!is_compared(verify, row)) {
    return verify_skip(verify, row->last_seq + 1);
  }
  if (result->compared_from == 0) {
    result->compared_from = row->batch;
  }
  if (status == STATUS_OK) {
    status = verify_results(verify, row);
  }
  if (status == STATUS_OK && !verify_is_over(verify) && verify->options->compares_database) {
    status = verify_database_results(verify, row);
  }
  if (status == STATUS_OK && !verify_is_over(verify) && verify->options->compares_database) {
    status = verify_table_results(verify, row);
  }
  if (status == STATUS_OK && !verify_is_over(verify)) {
    result->compared_to = row->batch;
  }
  return status;
}

/* A batch whose inputs may have been there only in part shows nothing when it differs. */
static void excuse_expired(struct verify *verify, const struct journal_row *row) {
  struct verify_result *result = verify->result;
  enum topic topic;
  int64_t first;
  if (result->verdict != VERDICT_DIVERGED || !replay_find_expired(verify->replay, &topic, &first) ||
      row->ranges[topic].from >= first) {
    return;
  }
  json_decref(result->finding);
  result->finding = NULL;
  result->verdict = VERDICT_UNVERIFIABLE;
  snprintf(result->reason, sizeof result->reason, "its inputs are gone: %s%s begins at %" PRId64,
           prefix_of(verify), topic_name(topic), first);
}

static void note_outcome(struct verify *verify, const struct journal_row *row, bool holds,
                         enum replay_outcome outcome, const char *reason) {
  if (outcome == REPLAY_FOREIGN || outcome == REPLAY_EXPIRED) {
    verify->result->verdict = VERDICT_UNVERIFIABLE;
    snprintf(verify->result->reason, sizeof verify->result->reason, "%s", reason);
  } else if (outcome == REPLAY_BROKEN) {
    json_t *finding = finding_begin(holds ? "inputs missing" : "journal row changed",
                                    lane_of(verify), row->batch);
    finding_explain(finding, "%s%s", reason, holds ? "" : "; its chain does not hold");
    verify_diverge(verify, finding);
  }
}

/* A row that does not hold is named before its results: they were decided from what it says. */
static enum status compare_batch(struct verify *verify, const struct journal_entry *entry,
                                 bool holds) {
  const struct journal_row *row = &entry->batch->row;
  enum status status = STATUS_OK;
  if (!holds) {
    compare_rows(verify, row, holds);
  }
  check_subjects(verify, row);
  if (!verify_is_over(verify)) {
    status = compare_outputs(verify, row);
  }
  if (status == STATUS_OK && !verify_is_over(verify)) {
    compare_rows(verify, row, holds);
    compare_records(verify, entry);
  }
  if (status == STATUS_OK && !verify_is_over(verify) && verify->second != NULL) {
    status = verify_database_journal(verify, entry->batch);
  }
  if (status == STATUS_OK && !verify_is_over(verify) && verify->options->compares_database) {
    status = verify_table_control(verify, row);
  }
  excuse_expired(verify, row);
  return status;
}

/* Of the offsets that the inputs have, how many the batches so far have taken. */
static void note_progress(struct verify *verify, const struct journal_row *row) {
  struct verify_progress *progress = verify->options->progress;
  uint64_t read = 0;
  uint64_t to_read = 0;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const int64_t first = replay_input_first(verify->replay, topic);
    const int64_t end = replay_input_end(verify->replay, topic);
    const int64_t to = row->ranges[topic].to;
    read += to > first ? (uint64_t)(to - first) : 0;
    to_read += end > first ? (uint64_t)(end - first) : 0;
  }
  atomic_store(&progress->read, read);
  atomic_store(&progress->to_read, to_read);
}

/* Who takes the lane raises its epoch: one epoch is one owner's. */
static void check_witness(struct verify *verify, const struct recorded_batch *batch) {
  const struct journal_witness *witness = &batch->witness;
  const bool is_lower = witness->epoch < verify->last_epoch;
  const bool is_anothers = verify->has_last_owner && witness->epoch == verify->last_epoch &&
                           memcmp(witness->owner, verify->last_owner, sizeof witness->owner) != 0;
  if (is_lower || is_anothers) {
    json_t *finding = finding_begin("journal row changed", lane_of(verify), batch->row.batch);
    finding_explain(finding, is_lower ? "its epoch is lower than that of the batch before"
                                      : "its owner is not the one of the batch before, though its "
                                        "epoch is");
    verify_diverge(verify, finding);
  }
}

static void count_batch(struct verify *verify, const struct recorded_batch *batch) {
  struct verify_result *result = verify->result;
  struct verify_progress *progress = verify->options->progress;
  const struct journal_row *row = &batch->row;
  verify_note_devices(verify);
  verify_checkpoint_batch(verify, row);
  verify->last = *row;
  verify->last.not_believed = NULL;
  verify->last.not_believed_count = 0;
  verify->last_epoch = batch->witness.epoch;
  memcpy(verify->last_owner, batch->witness.owner, sizeof verify->last_owner);
  verify->has_last_owner = true;
  memcpy(result->chain, row->chain, DIGEST_SIZE);
  result->batches++;
  result->partial += inputs_are_partial(verify) || results_are_partial(verify) ? 1 : 0;
  result->messages += row->message_count;
  result->timers += row->timer_count;
  note_progress(verify, row);
  atomic_fetch_add(&progress->batches, 1);
  atomic_fetch_add(&progress->messages, row->message_count);
  atomic_fetch_add(&progress->results, row->last_seq + 1 - row->first_seq);
}

static enum status verify_batch(struct verify *verify, const struct journal_entry *entry) {
  const struct recorded_batch *batch = entry->batch;
  const struct journal_row *row = &batch->row;
  if (excuse_expired_journal(verify, row)) {
    return STATUS_OK;
  }
  json_t *misplaced = verify_find_misplaced(verify, row);
  if (misplaced != NULL) {
    verify_diverge(verify, misplaced);
    return STATUS_OK;
  }
  verify_check_environment(verify, batch);
  if (verify_is_over(verify)) {
    return STATUS_OK;
  }
  const bool holds = verify_chain_holds(verify, row);
  enum replay_outcome outcome = REPLAY_DECIDED;
  char reason[REPLAY_REASON_SIZE];
  enum status status = STATUS_OK;
  replay_take_environment(verify->replay, batch, &outcome, reason);
  if (outcome == REPLAY_DECIDED) {
    status = note_subjects(verify, row);
  }
  if (status == STATUS_OK && outcome == REPLAY_DECIDED) {
    status = replay_decide(verify->replay, batch, &outcome, reason, verify->error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  note_outcome(verify, row, holds, outcome, reason);
  if (!verify_is_over(verify)) {
    status = compare_batch(verify, entry, holds);
  }
  if (status == STATUS_OK && !verify_is_over(verify)) {
    check_witness(verify, batch);
  }
  if (status == STATUS_OK && !verify_is_over(verify)) {
    count_batch(verify, batch);
  }
  return status;
}

/* Of a lane whose first inputs are gone: from which batch on they are all there. */
static enum status find_whole(struct verify *verify, const struct journal_row *row) {
  struct journal_entry entry;
  enum status status = STATUS_OK;
  struct journal_row at = *row;
  for (;;) {
    bool is_whole = true;
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      is_whole = is_whole && at.ranges[topic].from >= replay_input_first(verify->replay, topic);
    }
    if (is_whole) {
      verify->result->whole_from = at.batch;
      return STATUS_OK;
    }
    status = journal_source_next(verify->journal, &entry, verify->error);
    if (status != STATUS_OK || entry.batch == NULL) {
      return status == STATUS_REFUSED ? STATUS_OK : status;
    }
    at = entry.batch->row;
  }
}

/* The next batch of the journal; false at its end, or where the bounds end it. */
static enum status next_entry(struct verify *verify, struct journal_entry *entry, bool *has_one) {
  const enum status status = journal_source_next(verify->journal, entry, verify->error);
  *has_one = status == STATUS_OK && entry->batch != NULL;
  if (status == STATUS_REFUSED) {
    json_t *finding =
        finding_begin("journal record unreadable", lane_of(verify), verify->last.batch + 1);
    finding_explain(finding, "%s", verify->error->text);
    verify_diverge(verify, finding);
    return STATUS_OK;
  }
  return status;
}

static bool is_past(const struct verify *verify, const struct journal_row *row) {
  const int64_t to_ms = verify->options->to_ms;
  return to_ms != TIME_NONE && row->clock_before_ms != TIME_NONE && row->clock_before_ms >= to_ms;
}

static enum status verify_end(struct verify *verify, bool *goes_on) {
  enum status status = verify_checkpoint_rest(verify, goes_on);
  if (status == STATUS_OK && !*goes_on && !verify_is_over(verify) && verify->last.batch > 0) {
    status = verify_rest(verify, goes_on);
  }
  if (status != STATUS_OK || *goes_on || verify_is_over(verify)) {
    return status;
  }
  verify->result->undecided = 0;
  if (verify->options->files != NULL) {
    return STATUS_OK; /* devices' states are not among them: they follow from the results */
  }
  for (enum topic topic = 0; topic < TOPIC_COUNT && verify->last.batch > 0; topic++) {
    const int64_t end = replay_input_end(verify->replay, topic);
    const int64_t to = verify->last.ranges[topic].to;
    verify->result->undecided += end > to ? (uint64_t)(end - to) : 0;
  }
  status = verify_device_topic(verify, goes_on);
  if (status != STATUS_OK || *goes_on || verify_is_over(verify)) {
    return status;
  }
  if (verify->options->compares_database) {
    status = verify_database_rest(verify, goes_on);
  }
  if (status == STATUS_OK && !*goes_on && !verify_is_over(verify) &&
      verify->options->compares_database) {
    status = verify_table_rest(verify);
  }
  if (status == STATUS_OK && !*goes_on && !verify_is_over(verify) &&
      verify->options->compares_database) {
    status = verify_device_view(verify, goes_on);
  }
  return status;
}

/* Behind a run that never rests the end is never reached: what was the end at first has been. */
static bool is_chasing_too_long(struct verify *verify) {
  const int64_t now_mono_ms = clock_mono_ms();
  verify->chase_mono_ms = verify->chase_mono_ms == 0 ? now_mono_ms : verify->chase_mono_ms;
  verify->result->is_moving = now_mono_ms - verify->chase_mono_ms > CHASE_MS;
  return verify->result->is_moving;
}

static enum status verify_batches(struct verify *verify) {
  bool goes_on = true;
  while (goes_on) {
    struct journal_entry entry;
    bool has_one;
    enum status status = next_entry(verify, &entry, &has_one);
    if (status != STATUS_OK || verify_is_over(verify)) {
      return status;
    }
    if (!has_one) {
      verify_find_short(verify);
      if (is_chasing_too_long(verify)) {
        return STATUS_OK;
      }
      status = verify_end(verify, &goes_on);
    } else if (verify->begin.batch > 0 && entry.batch->row.batch <= verify->begin.batch) {
      status = verify_pass(verify, &entry);
    } else if (is_past(verify, &entry.batch->row)) {
      return STATUS_OK;
    } else {
      status = verify_batch(verify, &entry);
      if (status == STATUS_OK && !verify_is_over(verify)) {
        status = verify_save(verify, &entry);
      }
    }
    if (status == STATUS_OK && verify->result->verdict == VERDICT_UNVERIFIABLE) {
      return has_one ? find_whole(verify, &entry.batch->row) : STATUS_OK;
    }
    if (status != STATUS_OK || verify_is_over(verify)) {
      return status;
    }
  }
  return STATUS_OK;
}

static enum status open_database(struct verify *verify) {
  const struct verify_options *options = verify->options;
  const char *dsn = options->config->postgres.dsn;
  enum status status = STATUS_OK;
  if (options->reads_journal_from_database || options->compares_database) {
    status = database_open(dsn, &verify->journal_database, verify->error);
  }
  if (status == STATUS_OK && options->compares_database) {
    status = database_open(dsn, &verify->database, verify->error);
  }
  return status;
}

static enum status open_parts(struct verify *verify) {
  const struct verify_options *options = verify->options;
  const char *prefix = prefix_of(verify);
  enum status status =
      replay_fetch_open_from(options->config, options->files, &verify->fetch, verify->error);
  if (status == STATUS_OK) {
    status = found_open(verify->fetch, prefix, options->lane, &verify->found, verify->error);
  }
  if (status == STATUS_OK) {
    status = open_database(verify);
  }
  if (status != STATUS_OK) {
    return status;
  }
  struct journal_source *of_database =
      verify->journal_database == NULL
          ? NULL
          : journal_source_of_database(verify->journal_database, options->lane, prefix);
  if (options->reads_journal_from_database) {
    verify->journal = of_database;
  } else {
    verify->journal = journal_source_of_topic(verify->found, options->schemas, prefix);
    verify->second = of_database;
  }
  verify_reopen_replay(verify);
  return STATUS_OK;
}

void verify_reopen_replay(struct verify *verify) {
  const struct verify_options *options = verify->options;
  replay_close(verify->replay);
  subjects_close(verify->subjects);
  verify->subjects = subjects_open();
  const struct replay_options replaying = {
      .config = options->config,
      .schemas = options->schemas,
      .lane = options->lane,
      .lane_count = options->lane_count,
      .subject_key = options->subject_key,
      .find_subject = subjects_find,
      .subject_context = verify->subjects,
      .watch = options->watch,
      .until_ms = TIME_NONE,
      .makes_rows = options->compares_database,
  };
  verify->replay = replay_open(&replaying, verify->fetch);
}

static void close_parts(struct verify *verify) {
  verify_close_notes(verify);
  replay_close(verify->replay);
  subjects_close(verify->subjects);
  journal_source_close(verify->journal);
  journal_source_close(verify->second);
  database_close(verify->database);
  database_close(verify->journal_database);
  found_close(verify->found);
  fetch_close(verify->fetch);
}

void verify_lane(const struct verify_options *options, struct verify_result *result) {
  struct verify verify = {.options = options, .result = result, .error = &result->error};
  *result = (struct verify_result){.verdict = VERDICT_VERIFIED};
  result->status = open_parts(&verify);
  if (result->status == STATUS_OK) {
    result->status = verify_load(&verify);
  }
  if (result->status == STATUS_OK && !verify_is_over(&verify)) {
    result->status = verify_begin(&verify);
  }
  if (result->status == STATUS_OK && !verify_is_over(&verify)) {
    result->status = verify_batches(&verify);
  }
  if (result->status == STATUS_OK) {
    result->status = verify_save_end(&verify);
    result->has_key = replay_has_key(verify.replay);
    if (verify.tree.frontier.hash == NULL) {
      journal_tree_init(&verify.tree);
    }
    result->tree = journal_tree_state(&verify.tree);
  }
  close_parts(&verify);
  atomic_store(&options->progress->is_done, true);
}

uint64_t verify_next_batch(const struct verify_result *result) {
  return result->began_after + result->batches + 1;
}

const char *verify_verdict_name(enum verdict verdict) {
  switch (verdict) {
  case VERDICT_VERIFIED:
    return "verified";
  case VERDICT_DIVERGED:
    return "diverged";
  case VERDICT_UNVERIFIABLE:
    return "unverifiable";
  }
  assert(false);
  return "";
}
