#include "core/app/rebuild_history.h"

#include "core/app/address_book.h"
#include "core/app/environment.h"
#include "core/app/result_read.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The next record of a kind of results, as far as it was looked at. */
struct next_result {
  bool is_known, is_there, has_seq;
  const struct found_record *record;
  uint64_t seq;
  uint64_t taken_count;
};

struct rebuild_history {
  const struct rebuild_history_options *options;
  struct rebuild_history_result *result;
  struct replay_lane *lane;
  const struct lane *state; /* after the snapshot's batch */
  struct recorded_environment environment;
  uint8_t environment_digest[DIGEST_SIZE];
  bool has_environment; /* it is one that this program decides the same under */
  struct encoding encoding;
  struct result_reader reader;
  struct next_result next[RESULT_KIND_COUNT];
  struct digest *digest; /* of the batch's results */
  struct buffer results, letters, records, canonical, control;
  struct binary control_rest; /* records that are still to come */
  struct store_control control_next;
  bool has_control_next;
  const char *policy;         /* in force after what came so far */
  int64_t at_ms;              /* of the result before */
  struct rebuild_gap undated; /* dead letters at that time, unless something else tells it */
  struct address_book *book;
};

static void count(struct rebuild_gap *gap, uint64_t seq) {
  gap->first_seq = gap->count == 0 ? seq : gap->first_seq;
  gap->last_seq = seq;
  gap->count++;
}

static struct found *found_of(const struct rebuild_history *history) {
  return replay_lane_found(history->lane);
}

/* Control records. ------------------------------------------------------------------------ */

static void look_at_next_control(struct rebuild_history *history) {
  history->has_control_next = history->control_rest.rest.size > 0;
  if (history->has_control_next) {
    const bool is_good = control_records_next(&history->control_rest, &history->control_next);
    assert(is_good); /* snapshot_read has seen all of them */
  }
}

static void take_control(struct rebuild_history *history, uint64_t batch) {
  buffer_clear(&history->control);
  while (history->has_control_next && history->control_next.batch <= batch) {
    struct store_control *control = &history->control_next;
    struct rule_names rules = {0};
    if (control->event.kind == EVENT_POLICY) {
      const bool is_known =
          policy_texts_complete(replay_policy_texts(replay_lane_replay(history->lane)),
                                &history->state->control, &control->event, &rules);
      assert(is_known); /* the search has seen it */
      history->policy = control_find_policy(&history->state->control, control->event.policy.version)
                            ->policy->version;
    }
    store_append_control(&history->control, history->options->lane, control, rules);
    look_at_next_control(history);
  }
}

/* Environments. --------------------------------------------------------------------------- */

static void forget_next(struct rebuild_history *history) {
  for (size_t kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    history->next[kind].is_known = false;
  }
}

/* How results of the environment are read; one that this program does not decide the same under
 * leaves them unproved. */
static void read_environment(struct rebuild_history *history, struct span content) {
  const struct rebuild_history_options *options = history->options;
  const struct environment own = {
      .config = options->config, .schemas = options->schemas, .lane_count = options->lane_count};
  char why[ENVIRONMENT_REASON_SIZE];
  recorded_environment_fini(&history->environment);
  history->environment = (struct recorded_environment){0};
  history->has_environment =
      content.size > 0 && environment_read(content, &own, &history->environment, why);
  history->reader.schemas = options->schemas;
  history->encoding =
      (struct encoding){.topic_prefix = options->config->kafka.topic_prefix, .lane = options->lane};
  if (history->has_environment) {
    const struct config *settings = &history->environment.settings;
    history->reader.schemas = history->environment.schemas;
    history->encoding.topic_prefix = settings->kafka.topic_prefix;
    history->encoding.message_bytes_max = (uint64_t)settings->kafka.message_bytes_max;
    history->encoding.cloudevents = settings->kafka.cloudevents;
    environment_frames(history->environment.schemas, &history->environment.ids,
                       &history->encoding.frames);
  }
  forget_next(history);
}

/* The content of the batch's environment, if it begins with it. Of the first batch that is left it
 * may be the snapshot's, whose own record is gone. */
static enum status take_environment(struct rebuild_history *history,
                                    const struct recorded_batch *batch, struct span *content,
                                    struct error *error) {
  const struct span last = replay_environment(replay_lane_replay(history->lane));
  const bool is_new = memcmp(history->environment_digest, batch->row.environment, DIGEST_SIZE) != 0;
  uint8_t digest[DIGEST_SIZE];
  *content = buffer_span(&batch->environment);
  digest_of(last, digest);
  if (is_new && content->size == 0 && memcmp(digest, batch->row.environment, DIGEST_SIZE) == 0) {
    *content = last;
  }
  digest_of(*content, digest);
  if (content->size > 0 && memcmp(digest, batch->row.environment, DIGEST_SIZE) != 0) {
    return error_set(error, STATUS_REFUSED,
                     "lane %" PRIu32 ": the content of batch %" PRIu64 "'s environment is not what "
                     "its row's digest is of",
                     history->options->lane, batch->row.batch);
  }
  if (is_new) {
    read_environment(history, *content);
    memcpy(history->environment_digest, batch->row.environment, DIGEST_SIZE);
  }
  return STATUS_OK;
}

/* Results. -------------------------------------------------------------------------------- */

static enum status look_at(struct rebuild_history *history, enum result_kind kind,
                           struct error *error) {
  struct next_result *next = &history->next[kind];
  if (next->is_known) {
    return STATUS_OK;
  }
  const enum status status = found_peek(found_of(history), kind, 0, &next->record, error);
  next->is_known = status == STATUS_OK;
  next->is_there = status == STATUS_OK && next->record != NULL;
  next->has_seq = next->is_there && result_read_seq(&history->reader, &history->encoding.frames,
                                                    next->record, &next->seq);
  return status;
}

static void pop(struct rebuild_history *history, enum result_kind kind) {
  found_pop(found_of(history), kind);
  history->next[kind].is_known = false;
}

/* What stands before the journal's first row belongs to no batch that is known. */
static enum status skip_before(struct rebuild_history *history, uint64_t first_seq,
                               struct error *error) {
  enum status status = STATUS_OK;
  for (enum result_kind kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    struct next_result *next = &history->next[kind];
    status = look_at(history, kind, error);
    while (status == STATUS_OK && next->has_seq && next->seq < first_seq) {
      pop(history, kind);
      history->result->before_journal++;
      status = look_at(history, kind, error);
    }
  }
  return status;
}

/* Retention takes a topic's beginning: a result may be gone while none of some topic came yet. */
static bool may_have_expired(const struct rebuild_history *history) {
  for (enum result_kind kind = 0; kind < RESULT_KIND_COUNT; kind++) {
    if (history->next[kind].taken_count == 0 && found_first(found_of(history), kind) > 0) {
      return true;
    }
  }
  return false;
}

/* The clock was at `at_ms` after the dead letters that came last: if that is their time, it is
 * theirs for certain. */
static void date_letters(struct rebuild_history *history, int64_t at_ms) {
  struct rebuild_gap *undated = &history->undated;
  struct rebuild_gap *all = &history->result->undated;
  if (undated->count > 0 && at_ms != history->at_ms) {
    all->first_seq = all->count == 0 ? undated->first_seq : all->first_seq;
    all->last_seq = undated->last_seq;
    all->count += undated->count;
  }
  *undated = (struct rebuild_gap){0};
}

static enum status refuse(const struct rebuild_history *history, const struct journal_row *row,
                          uint64_t seq, const char *what, struct error *error) {
  return error_set(error, STATUS_REFUSED,
                   "lane %" PRIu32 ", batch %" PRIu64 ": result %" PRIu64 " %s",
                   history->options->lane, row->batch, seq, what);
}

static bool is_believed(const struct journal_row *row, const struct result *result) {
  const int64_t at_ms = result->dead_letter.original.timestamp_ms;
  for (size_t i = 0; i < row->not_believed_count; i++) {
    if (row->not_believed[i].topic == result->cause.topic &&
        row->not_believed[i].offset == result->cause.offset) {
      return false;
    }
  }
  return at_ms >= 0 && at_ms <= EVENT_TIME_MAX_MS;
}

/* A dead letter's record does not say when it was decided: at its own stamp, or at the clock where
 * that was later, which is known when the clock has stood still around it. A message that had no
 * result may have moved it. */
static void date_letter(struct rebuild_history *history, const struct journal_row *row,
                        struct result *result) {
  int64_t at_ms = row->clock_before_ms == TIME_NONE ? LANE_CLOCK_START_MS : row->clock_before_ms;
  at_ms = history->at_ms > at_ms ? history->at_ms : at_ms;
  if (is_believed(row, result) && result->dead_letter.original.timestamp_ms > at_ms) {
    at_ms = result->dead_letter.original.timestamp_ms;
  }
  result->at_ms = at_ms;
  result->policy = history->policy;
  if (history->undated.count > 0 && at_ms != history->at_ms) {
    date_letters(history, at_ms);
  }
  count(&history->undated, result->seq);
}

static bool is_same(const struct outgoing *a, const struct outgoing *b) {
  return a->timestamp_ms == b->timestamp_ms && a->key_is_null == b->key_is_null &&
         a->value_is_null == b->value_is_null && span_equal(a->key, b->key) &&
         span_equal(a->value, b->value) && span_equal(a->headers, b->headers);
}

/* Read back and encoded again it is the same bytes: nothing of the record was lost on the way. */
static bool is_whole(struct rebuild_history *history, const struct result_read *read,
                     const struct outgoing *record) {
  struct outgoing again;
  size_t position = 0;
  buffer_clear(&history->records);
  buffer_clear(&history->canonical);
  encode_result(&history->encoding, &read->result, read->user_email, &history->records,
                &history->canonical);
  digest_update(history->digest, buffer_span(&history->canonical));
  return outgoing_next(buffer_span(&history->records), &position, &again) &&
         is_same(&again, record);
}

static enum status take_result(struct rebuild_history *history, const struct journal_row *row,
                               enum result_kind kind, struct error *error) {
  const struct found_record *const record = history->next[kind].record;
  struct result_read read;
  enum status status = STATUS_OK;
  if (!result_read(&history->reader, record, &read)) {
    char why[REJECT_TEXT_SIZE + 32];
    snprintf(why, sizeof why, "cannot be read: %s", read.reason);
    status = refuse(history, row, history->next[kind].seq, why, error);
  } else {
    if (kind == RESULT_DEAD_LETTER) {
      date_letter(history, row, &read.result);
    } else {
      date_letters(history, read.result.at_ms);
    }
    if (!is_whole(history, &read, &record->message) && history->has_environment) {
      status = refuse(history, row, read.result.seq, "is not what can have been published", error);
    }
    store_append_result(&history->results, &history->letters, history->options->lane, row->batch,
                        &read.result);
    buffer_clear(&history->letters); /* it stands on the topic */
    address_book_learn(history->book, read.result.subject, read.user_email);
    history->at_ms = read.result.at_ms;
    history->result->results++;
  }
  result_read_fini(&read);
  history->next[kind].taken_count++;
  pop(history, kind);
  return status;
}

/* The kind whose topic shows that number next; RESULT_KIND_COUNT: none does. */
static enum status find_seq(struct rebuild_history *history, const struct journal_row *row,
                            uint64_t seq, enum result_kind *kind, struct error *error) {
  *kind = RESULT_KIND_COUNT;
  for (enum result_kind i = 0; i < RESULT_KIND_COUNT; i++) {
    const struct next_result *next = &history->next[i];
    const enum status status = look_at(history, i, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (next->has_seq && next->seq < seq) {
      return refuse(history, row, next->seq, "stands on its topic again, or in another's place",
                    error);
    }
    *kind = next->has_seq && next->seq == seq ? i : *kind;
  }
  return STATUS_OK;
}

static enum status take_results(struct rebuild_history *history, const struct journal_row *row,
                                struct error *error) {
  struct rebuild_history_result *result = history->result;
  const uint64_t lost_before = result->lost.count;
  uint8_t digest[DIGEST_SIZE];
  digest_final(history->digest, digest);
  buffer_clear(&history->results);
  for (uint64_t seq = row->first_seq; seq <= row->last_seq; seq++) {
    enum result_kind kind;
    enum status status = find_seq(history, row, seq, &kind, error);
    if (status == STATUS_OK && kind != RESULT_KIND_COUNT) {
      status = take_result(history, row, kind, error);
    } else if (status == STATUS_OK && may_have_expired(history)) {
      count(&result->lost, seq);
    } else if (status == STATUS_OK) {
      status = refuse(history, row, seq, "is on no topic", error);
    }
    if (status != STATUS_OK) {
      return status;
    }
  }
  date_letters(history, row->clock_after_ms);
  digest_final(history->digest, digest);
  const bool is_all = history->has_environment && result->lost.count == lost_before;
  if (is_all && memcmp(digest, row->results, DIGEST_SIZE) != 0) {
    return refuse(history, row, row->first_seq,
                  "and those of its batch are not what its row's digest is of", error);
  }
  for (uint64_t seq = row->first_seq; !is_all && seq <= row->last_seq; seq++) {
    count(&result->unproved, seq);
  }
  return STATUS_OK;
}

/* All of it. ------------------------------------------------------------------------------ */

struct rebuild_history *rebuild_history_open(const struct rebuild_history_options *options,
                                             struct replay_lane *lane,
                                             struct rebuild_history_result *result) {
  struct rebuild_history *history = memory_zeroed(1, sizeof *history);
  struct replay *replay = replay_lane_replay(lane);
  const struct lane *state = &replay_state(replay)->lane;
  history->options = options;
  history->result = result;
  history->lane = lane;
  history->state = state;
  history->digest = digest_open();
  history->at_ms = TIME_NONE;
  history->policy = state->control.policies[0].version;
  history->reader.topic_prefix = options->config->kafka.topic_prefix;
  history->reader.control = &state->control;
  history->control_rest.rest = buffer_span(&replay_control_records(replay)->bytes);
  history->book = address_book_open(replay_state(replay), options->subject_key);
  look_at_next_control(history);
  return history;
}

void rebuild_history_close(struct rebuild_history *history) {
  if (history == NULL) {
    return;
  }
  recorded_environment_fini(&history->environment);
  digest_close(history->digest);
  buffer_fini(&history->results);
  buffer_fini(&history->letters);
  buffer_fini(&history->records);
  buffer_fini(&history->canonical);
  buffer_fini(&history->control);
  address_book_close(history->book);
  free(history);
}

enum status rebuild_history_batch(struct rebuild_history *history,
                                  const struct recorded_batch *batch, struct rebuild_rows *rows,
                                  struct error *error) {
  const struct journal_row *row = &batch->row;
  enum status status = STATUS_OK;
  if (history->result->batches == 0) {
    history->result->first_batch = row->batch;
  }
  if (status == STATUS_OK) {
    status = take_environment(history, batch, &rows->environment, error);
  }
  if (status == STATUS_OK && history->result->batches == 0) {
    status = skip_before(history, row->first_seq, error);
  }
  if (status == STATUS_OK) {
    take_control(history, row->batch);
    status = take_results(history, row, error);
  }
  rows->results = buffer_span(&history->results);
  rows->control = buffer_span(&history->control);
  history->result->batches++;
  return status;
}

enum status rebuild_history_people(struct rebuild_history *history, struct buffer *persons,
                                   struct error *error) {
  const struct replay *replay = replay_lane_replay(history->lane);
  const struct persons *people = &history->state->persons;
  const enum status status =
      address_book_read_devices(history->book, found_of(history), &replay_encoding(replay)->frames,
                                replay_schemas(replay), error);
  if (status != STATUS_OK) {
    return status;
  }
  const struct span *const emails = address_book_emails(history->book);
  for (uint32_t i = 0; i < people->count; i++) {
    if (emails[i].size > 0) {
      store_append_person(persons, people->items[i].subject, emails[i]);
    }
  }
  history->result->nameless = address_book_nameless(history->book);
  replay_lane_name(history->lane, emails);
  return STATUS_OK;
}
