/* A verification that need not begin at the beginning: behind a snapshot that the journal vouches
 * for, as late as the part that is asked for allows.
 *
 * What it relies on is looked at as far as that goes without deciding: the journal's rows up to the
 * snapshot's must be in order and each chain must hold, and with it the state's digest. */
#include "core/app/digest.h"
#include "core/app/snapshot_addresses.h"
#include "core/app/snapshot_search.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>

/* The next good snapshot takes the place of what was before it. */
static enum status try_snapshot(struct verify *verify, struct snapshot *snapshot,
                                struct snapshot_search *search, bool *begins) {
  struct verify_result *result = verify->result;
  const struct journal_row row = snapshot->row;
  enum replay_outcome outcome;
  char reason[REPLAY_REASON_SIZE];
  replay_go_on(verify->replay, snapshot, &outcome, reason);
  *begins = outcome == REPLAY_DECIDED;
  if (!*begins) {
    snapshot_search_leave_out(search, reason);
    verify_reopen_replay(verify);
    return STATUS_OK;
  }
  verify_take_changes(verify, &snapshot->changes);
  verify->begin = row;
  verify->control_count = replay_control_records(verify->replay)->count; /* taken as they are */
  result->began_after = row.batch;
  result->began_at_ms = row.clock_after_ms;
  return snapshot_addresses_all(verify->fetch, verify->found, verify->options->config,
                                verify->replay, &row, verify->error);
}

/* A tree over the journal is grown from its first batch on. */
static bool may_begin_late(const struct verify *verify) {
  return verify->options->checkpoints == NULL || found_first(verify->found, RECORD_JOURNAL) == 0;
}

enum status verify_begin(struct verify *verify) {
  const struct verify_options *options = verify->options;
  const struct snapshot_search_options searching = {
      .config = options->config,
      .schemas = options->schemas,
      .fetch = verify->fetch,
      .lane = options->lane,
      .lane_count = options->lane_count,
      /* Nothing of what is asked for stands before it. */
      .until_ms = options->from_ms == TIME_NONE ? TIME_NONE : options->from_ms - 1,
  };
  struct snapshot_search *search;
  bool begins = false;
  bool has_one = true;
  if (options->from_ms == TIME_NONE || options->files != NULL || options->subject_key.size == 0 ||
      options->watch.opened != NULL || !may_begin_late(verify)) {
    return STATUS_OK;
  }
  enum status status = snapshot_search_open(&searching, &search, verify->error);
  if (status != STATUS_OK) {
    return status;
  }
  while (status == STATUS_OK && has_one && !begins) {
    struct snapshot snapshot;
    status = snapshot_search_next(search, &snapshot, &has_one, verify->error);
    if (status == STATUS_OK && has_one) {
      status = try_snapshot(verify, &snapshot, search, &begins);
      snapshot_fini(&snapshot);
    }
  }
  verify->result->left_out = text_copy(snapshot_search_left_out(search));
  snapshot_search_close(search);
  return status;
}

static void find_unchained(struct verify *verify, const struct journal_row *row) {
  json_t *finding = finding_begin("journal row changed", verify->options->lane, row->batch);
  finding_explain(finding, "the row is not what was committed: its chain does not hold");
  verify_diverge(verify, finding);
}

/* What is left of the journal may begin with any batch: nothing is known of the one before it. */
static void begin_journal(struct verify *verify, const struct journal_row *row) {
  if (verify->last.batch == 0 && row->batch > 1 && !verify->options->reads_journal_from_database &&
      found_first(verify->found, RECORD_JOURNAL) > 0) {
    verify->last.batch = row->batch - 1;
    verify->result->journal_from = row->batch;
  }
}

enum status verify_pass(struct verify *verify, const struct journal_entry *entry) {
  const struct recorded_batch *batch = entry->batch;
  const struct journal_row *row = &batch->row;
  enum status status = STATUS_OK;
  begin_journal(verify, row);
  const bool is_first_left = verify->result->journal_from == row->batch;
  json_t *misplaced = verify_find_misplaced(verify, row);
  if (misplaced != NULL) {
    verify_diverge(verify, misplaced);
    return STATUS_OK;
  }
  verify_check_environment(verify, batch);
  const bool is_its_own = row->batch != verify->begin.batch ||
                          memcmp(row->chain, verify->begin.chain, DIGEST_SIZE) == 0;
  if (!verify_is_over(verify) &&
      (!is_its_own || (!is_first_left && !verify_chain_holds(verify, row)))) {
    find_unchained(verify, row);
  }
  if (!verify_is_over(verify) && verify->second != NULL && !is_first_left) {
    status = verify_database_journal(verify, batch);
  }
  if (status != STATUS_OK || verify_is_over(verify)) {
    return status;
  }
  verify_checkpoint_batch(verify, row);
  verify->last = *row;
  verify->last.not_believed = NULL;
  verify->last.not_believed_count = 0;
  verify->last_epoch = batch->witness.epoch;
  memcpy(verify->result->chain, row->chain, DIGEST_SIZE);
  return row->batch == verify->begin.batch ? verify_skip_to(verify, row->last_seq + 1) : STATUS_OK;
}

/* At its end before the snapshot's batch, the journal is not the one that vouched for it. */
void verify_find_short(struct verify *verify) {
  if (!verify_is_over(verify) && verify->last.batch < verify->begin.batch) {
    json_t *finding = finding_begin("journal cut", verify->options->lane, verify->last.batch);
    finding_explain(finding,
                    "the journal ends before batch %" PRIu64 ", of which there is a snapshot",
                    verify->begin.batch);
    verify_diverge(verify, finding);
  }
}

void verify_name_unknown(const struct verify *verify, json_t *expected, const json_t *found) {
  const char *const email = json_string_value(json_object_get(found, "user_email"));
  const char *const subject = json_string_value(json_object_get(found, "subject"));
  uint8_t computed[SUBJECT_SIZE];
  char text[2 * SUBJECT_SIZE + 1];
  if (verify->begin.batch == 0 || email == NULL || subject == NULL ||
      !json_is_null(json_object_get(expected, "user_email"))) {
    return;
  }
  subject_of(verify->options->subject_key, span_text(email), computed);
  hex_format(computed, SUBJECT_SIZE, text);
  if (strcmp(text, subject) == 0) {
    json_object_set(expected, "user_email", json_object_get(found, "user_email"));
  }
}
