/* How far a lane's verification is, in a file: what was verified is not verified again.
 *
 * The file holds the lane's state after a verified batch, with addresses, the places in the topics,
 * what was counted, and a digest over all of it. It belongs to whoever verifies: who can write it
 * can make a verification skip what stands before its batch. */
#include "core/app/binary.h"
#include "core/app/clock.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  VERSION = 1,
  PAUSE_MIN_MS = 2000, /* between two savings */
  PAUSE_FACTOR = 20,   /* at least so many times as long as one takes */
  PATH_SIZE = 4096,
};

static const char magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'V', 'F'};

static void path_of(const struct verify *verify, const char *ending, char path[PATH_SIZE]) {
  snprintf(path, PATH_SIZE, "%s/lane-%" PRIu32 "%s", verify->options->resume_directory,
           verify->options->lane, ending);
}

/* Saving. --------------------------------------------------------------------------------- */

static void put_counts(const struct verify *verify, struct buffer *bytes) {
  const struct verify_result *result = verify->result;
  const uint64_t counts[] = {result->batches,       result->messages,        result->timers,
                             result->compared_from, result->compared_to,     result->expired,
                             result->erased,        result->unknown_subjects};
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    buffer_append_u64(bytes, counts[i]);
  }
  binary_put_i64(bytes, verify->last_epoch);
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    buffer_append_u64(bytes, result->results[kind]);
    buffer_append_u64(bytes, verify->last_seq[kind]);
    binary_put_i64(bytes, found_position(verify->found, kind));
  }
}

static void put_snapshot(struct verify *verify, struct buffer *bytes) {
  struct snapshot snapshot = {
      .row = verify->last, .state = replay_state(verify->replay), .has_addresses = true};
  const struct span environment = replay_environment(verify->replay);
  buffer_append(&snapshot.environment, environment.data, environment.size);
  for (uint32_t i = 0; i < replay_policy_texts(verify->replay)->count; i++) {
    policy_texts_add(&snapshot.policies,
                     buffer_span(&replay_policy_texts(verify->replay)->items[i]));
  }
  control_records_extend(&snapshot.control, replay_control_records(verify->replay));
  verify_put_notes(verify, &snapshot.changes, bytes);
  snapshot_write(&snapshot, bytes);
  snapshot.state = NULL; /* the replay's */
  snapshot_fini(&snapshot);
}

static enum status write_file(const struct verify *verify, struct span bytes) {
  char path[PATH_SIZE];
  char new_path[PATH_SIZE];
  path_of(verify, "", path);
  path_of(verify, ".new", new_path);
  const int file = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
  bool is_good = file >= 0;
  for (size_t done = 0; is_good && done < bytes.size;) {
    const ssize_t written = write(file, bytes.data + done, bytes.size - done);
    is_good = written > 0 || (written < 0 && errno == EINTR);
    done += written > 0 ? (size_t)written : 0;
  }
  is_good = is_good && fsync(file) == 0;
  const int problem = errno;
  if (file >= 0) {
    close(file);
  }
  if (!is_good || rename(new_path, path) != 0) {
    return error_set(verify->error, STATUS_UNAVAILABLE, "%s: %s", is_good ? path : new_path,
                     strerror(is_good ? errno : problem));
  }
  return STATUS_OK;
}

/* `journal_offset` is where the journal goes on behind the batch verified last. */
static enum status save(struct verify *verify, int64_t journal_offset) {
  struct buffer bytes = {0};
  buffer_append(&bytes, magic, sizeof magic);
  buffer_append_u16(&bytes, VERSION);
  binary_put_text(&bytes, span_text(verify->options->config->kafka.topic_prefix));
  binary_put_i64(&bytes, journal_offset);
  put_counts(verify, &bytes);
  put_snapshot(verify, &bytes);
  binary_put_digest(&bytes, 0);
  const enum status status = write_file(verify, buffer_span(&bytes));
  buffer_fini(&bytes);
  return status;
}

enum status verify_save(struct verify *verify, const struct journal_entry *entry) {
  const int64_t now_mono_ms = clock_mono_ms();
  if (verify->options->resume_directory == NULL) {
    return STATUS_OK;
  }
  verify->journal_offset = entry->record->offset + 1;
  if (now_mono_ms < verify->save_mono_ms) {
    return STATUS_OK;
  }
  /* The first saving comes after a pause, too. */
  const bool is_due = verify->save_mono_ms != 0;
  const enum status status = is_due ? save(verify, verify->journal_offset) : STATUS_OK;
  const int64_t end_mono_ms = clock_mono_ms();
  const int64_t pause_ms = PAUSE_FACTOR * (end_mono_ms - now_mono_ms);
  verify->save_mono_ms = end_mono_ms + (pause_ms > PAUSE_MIN_MS ? pause_ms : PAUSE_MIN_MS);
  return status;
}

enum status verify_save_end(struct verify *verify) {
  if (verify->options->resume_directory == NULL || verify->journal_offset == 0 ||
      verify->result->verdict != VERDICT_VERIFIED) {
    return STATUS_OK;
  }
  return save(verify, verify->journal_offset);
}

/* Going on. ------------------------------------------------------------------------------- */

static void take_counts(struct verify *verify, struct binary *binary,
                        int64_t positions[RESULT_KIND_COUNT]) {
  struct verify_result *result = verify->result;
  uint64_t *const counts[] = {&result->batches,       &result->messages,        &result->timers,
                              &result->compared_from, &result->compared_to,     &result->expired,
                              &result->erased,        &result->unknown_subjects};
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    *counts[i] = binary_take_number(binary, 8);
  }
  verify->last_epoch = binary_take_i64(binary);
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    result->results[kind] = binary_take_number(binary, 8);
    verify->last_seq[kind] = binary_take_number(binary, 8);
    positions[kind] = binary_take_i64(binary);
  }
}

/* The replay and everything that is read beside it stand behind the snapshot's batch. */
static enum status go_on(struct verify *verify, struct snapshot *snapshot, int64_t journal_offset,
                         const int64_t positions[RESULT_KIND_COUNT]) {
  enum replay_outcome outcome;
  const struct lane *lane = &snapshot->state->lane;
  for (uint32_t person = 0; person < lane->persons.count; person++) {
    const struct span email = lane_state_address(snapshot->state, person);
    if (email.size > 0) {
      subjects_learn(verify->subjects, email, lane->persons.items[person].subject);
    }
  }
  verify->last = snapshot->row;
  verify->journal_offset = journal_offset;
  memcpy(verify->result->chain, snapshot->row.chain, DIGEST_SIZE);
  verify->result->resumed_from = snapshot->row.batch + 1;
  replay_go_on(verify->replay, snapshot, &outcome, verify->result->reason);
  if (outcome != REPLAY_DECIDED) {
    verify->result->verdict = VERDICT_UNVERIFIABLE;
    return STATUS_OK;
  }
  enum status status = found_seek(verify->found, RECORD_JOURNAL, journal_offset, verify->error);
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    status = found_seek(verify->found, kind, positions[kind], verify->error);
  }
  return status;
}

static bool is_of_this_lane(const struct verify *verify, const struct snapshot *snapshot) {
  return snapshot->row.lane == verify->options->lane &&
         snapshot->state->lane.count == verify->options->lane_count && snapshot->has_addresses;
}

static enum status load(struct verify *verify, struct span bytes, const char *path) {
  int64_t positions[RESULT_KIND_COUNT];
  struct snapshot snapshot;
  char reason[SNAPSHOT_REASON_SIZE] = "";
  if (!binary_has_digest(bytes)) {
    return error_set(verify->error, STATUS_REFUSED,
                     "%s: its bytes are not those that its digest is of; without it the lane is "
                     "verified from the beginning",
                     path);
  }
  struct binary binary = {.rest = span_of(bytes.data, bytes.size - DIGEST_SIZE)};
  const bool is_ours =
      span_equal(binary_take(&binary, sizeof magic), span_of(magic, sizeof magic)) &&
      binary_take_number(&binary, 2) == VERSION &&
      span_equal(binary_take_text(&binary), span_text(verify->options->config->kafka.topic_prefix));
  if (!is_ours) {
    return error_set(verify->error, STATUS_REFUSED,
                     "%s: it is not the state of a verification of these topics by this program",
                     path);
  }
  const int64_t journal_offset = binary_take_i64(&binary);
  take_counts(verify, &binary, positions);
  verify_take_notes(verify, &binary);
  if (!snapshot_read(binary.rest, &snapshot, reason)) {
    return error_set(verify->error, STATUS_REFUSED, "%s: %s", path, reason);
  }
  enum status status = STATUS_OK;
  if (!is_of_this_lane(verify, &snapshot)) {
    status = error_set(verify->error, STATUS_REFUSED, "%s: it is another lane's", path);
  } else {
    verify_take_changes(verify, &snapshot.changes);
    status = go_on(verify, &snapshot, journal_offset, positions);
  }
  snapshot_fini(&snapshot);
  return status;
}

enum status verify_load(struct verify *verify) {
  char path[PATH_SIZE];
  if (verify->options->resume_directory == NULL) {
    return STATUS_OK;
  }
  path_of(verify, "", path);
  FILE *stream = fopen(path, "rb");
  if (stream == NULL && errno == ENOENT) {
    return STATUS_OK; /* from the beginning */
  }
  if (stream == NULL) {
    return error_set(verify->error, STATUS_USAGE, "%s: %s", path, strerror(errno));
  }
  struct buffer bytes = {0};
  size_t size;
  do {
    uint8_t *const at = buffer_reserve(&bytes, 1 << 20);
    size = fread(at, 1, 1 << 20, stream);
    bytes.size += size;
  } while (size > 0);
  const bool is_read = ferror(stream) == 0;
  fclose(stream);
  const enum status status =
      is_read ? load(verify, buffer_span(&bytes), path)
              : error_set(verify->error, STATUS_UNAVAILABLE, "%s cannot be read", path);
  buffer_fini(&bytes);
  return status;
}
