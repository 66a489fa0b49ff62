/* Taking a lane, and reading back what it holds. */
#include "producers/encode.h"
#include "producers/store_internal.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char journal_columns[] =
    "j.lane, j.batch, j.first_seq, j.last_seq, j.clock_before, j.clock_after, j.range_from, "
    "j.range_to, j.not_believed_topic, j.not_believed_offset, j.timer_due_at, j.timer_device, "
    "j.timer_kind, j.sweep_device, j.message_count, j.dead_letter_count, j.timer_count, "
    "j.device_count, j.environment, j.last_message, j.inputs, j.results, j.chain, j.state, j.gap, "
    "j.epoch, j.owner, j.committed_at";

/* One journal row with all that stands beside it. */
struct journal_entry {
  struct journal_row row;
  struct topic_offset *not_believed;
  struct journal_witness witness;
  bool has_environment;
  struct buffer environment;
};

struct journal_list {
  struct journal_entry *entries;
  size_t count;
  size_t capacity;
};

static void journal_list_fini(struct journal_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->entries[i].not_believed);
    buffer_fini(&list->entries[i].environment);
  }
  free(list->entries);
}

static void *must_have(void *memory) {
  if (memory == NULL) {
    fputs("muster: out of memory\n", stderr);
    abort();
  }
  return memory;
}

static void row_ranges(struct row_reader *reader, struct journal_row *row) {
  struct row_reader from;
  struct row_reader to;
  const size_t from_count = row_array(reader, &from);
  const size_t to_count = row_array(reader, &to);
  for (size_t i = 0; i < TOPIC_COUNT && i < from_count && i < to_count; i++) {
    row->ranges[i].from = row_integer(&from, 0);
    row->ranges[i].to = row_integer(&to, 0);
  }
  reader->is_bad = reader->is_bad || from.is_bad || to.is_bad;
}

static void row_not_believed(struct row_reader *reader, struct journal_entry *entry) {
  struct row_reader topics;
  struct row_reader offsets;
  const size_t count = row_array(reader, &topics);
  if (row_array(reader, &offsets) != count) {
    reader->is_bad = true;
    return;
  }
  if (count > 0) {
    entry->not_believed = must_have(calloc(count, sizeof *entry->not_believed));
  }
  for (size_t i = 0; i < count; i++) {
    entry->not_believed[i].topic = (enum topic)row_integer(&topics, 0);
    entry->not_believed[i].offset = row_integer(&offsets, 0);
  }
  entry->row.not_believed = entry->not_believed;
  entry->row.not_believed_count = count;
  reader->is_bad = reader->is_bad || topics.is_bad || offsets.is_bad;
}

static void row_state(struct row_reader *reader, struct journal_row *row) {
  struct span state;
  row->has_state = row_bytes(reader, &state);
  if (row->has_state && state.size == DIGEST_SIZE) {
    memcpy(row->state, state.data, DIGEST_SIZE);
  } else {
    reader->is_bad = reader->is_bad || row->has_state;
  }
}

static void row_journal(struct row_reader *reader, struct journal_entry *entry) {
  struct journal_row *const row = &entry->row;
  row->lane = (uint32_t)row_integer(reader, 0);
  row->batch = (uint64_t)row_integer(reader, 0);
  row->first_seq = (uint64_t)row_integer(reader, 0);
  row->last_seq = (uint64_t)row_integer(reader, 0);
  row->clock_before_ms = row_time(reader);
  row->clock_after_ms = row_time(reader);
  row_ranges(reader, row);
  row_not_believed(reader, entry);
  row->timer.due_at_ms = row_time(reader);
  row->timer.is_set = row->timer.due_at_ms != TIME_NONE;
  row->timer.due_at_ms = row->timer.is_set ? row->timer.due_at_ms : 0;
  row->timer.device_number = (uint64_t)row_integer(reader, 0);
  row->timer.kind = (uint32_t)row_integer(reader, 0);
  const int64_t sweep_device = row_integer(reader, -1);
  row->sweep.is_set = sweep_device >= 0;
  row->sweep.device_number = row->sweep.is_set ? (uint64_t)sweep_device : 0;
  row->message_count = (uint64_t)row_integer(reader, 0);
  row->dead_letter_count = (uint64_t)row_integer(reader, 0);
  row->timer_count = (uint64_t)row_integer(reader, 0);
  row->device_count = (uint64_t)row_integer(reader, 0);
  row_copy(reader, row->environment, DIGEST_SIZE);
  const struct span last = row_span(reader);
  const size_t last_size =
      last.size < sizeof row->last_message ? last.size : sizeof row->last_message;
  memcpy(row->last_message, last.data, last_size);
  row_copy(reader, row->inputs, DIGEST_SIZE);
  row_copy(reader, row->results, DIGEST_SIZE);
  row_copy(reader, row->chain, DIGEST_SIZE);
  row_state(reader, row);
  struct span gap;
  if (row_bytes(reader, &gap)) {
    reader->is_bad = !journal_gap_read(gap, &row->gap) || reader->is_bad;
  }
  entry->witness.epoch = row_integer(reader, 0);
  row_copy(reader, entry->witness.owner, OWNER_SIZE);
  entry->witness.committed_at_ms = row_time(reader);
}

static void add_journal(void *context, struct row_reader *reader) {
  struct journal_list *const list = context;
  if (list->count == list->capacity) {
    list->capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
    list->entries = must_have(realloc(list->entries, list->capacity * sizeof *list->entries));
  }
  struct journal_entry *const entry = &list->entries[list->count++];
  *entry = (struct journal_entry){0};
  row_journal(reader, entry);
  struct span content;
  entry->has_environment = row_bytes(reader, &content);
  if (entry->has_environment) {
    buffer_append(&entry->environment, content.data, content.size);
  }
}

static enum status load_journal(struct store *store, const char *rest, struct journal_list *list,
                                struct error *error) {
  struct buffer select = {0};
  store_script(&select,
               "SELECT %s, e.content FROM muster.journal_row j LEFT JOIN "
               "muster.environment e ON e.lane = j.lane AND e.batch = j.batch WHERE %s",
               journal_columns, rest);
  const enum status status = store_stream(store->connection, (const char *)select.data,
                                          "read the journal", add_journal, list, error);
  buffer_fini(&select);
  return status;
}

/* The one journal row that `rest` selects; stays as it is when there is none. */
static enum status load_row(struct store *store, const char *rest, struct journal_row *row,
                            bool *is_there, struct error *error) {
  struct journal_list list = {0};
  const enum status status = load_journal(store, rest, &list, error);
  *is_there = status == STATUS_OK && list.count > 0;
  if (*is_there) {
    *row = list.entries[0].row;
    row->not_believed = NULL;
    row->not_believed_count = 0;
  }
  journal_list_fini(&list);
  return status;
}

static enum status load_head(struct store *store, uint32_t lane, uint64_t checkpoint_batch,
                             struct lane_head *head, struct error *error) {
  char rest[80];
  bool has_checkpoint;
  snprintf(rest, sizeof rest, "j.lane = %" PRIu32 " ORDER BY j.batch DESC LIMIT 1", lane);
  enum status status = load_row(store, rest, &head->row, &head->has_row, error);
  if (status == STATUS_OK && checkpoint_batch > 0) {
    snprintf(rest, sizeof rest, "j.lane = %" PRIu32 " AND j.batch = %" PRIu64, lane,
             checkpoint_batch);
    status = load_row(store, rest, &head->checkpoint, &has_checkpoint, error);
    assert(status != STATUS_OK || has_checkpoint);
  }
  return status;
}

/* One text, one transaction: whoever may not take the lane ends nobody's backend. */
static enum status take_script(struct store *store, const struct ownership_of_lane *lane,
                               uint32_t lane_count, const char *topic_prefix, int64_t epoch_above,
                               struct buffer *script, struct error *error) {
  char *const prefix = PQescapeLiteral(store->connection, topic_prefix, strlen(topic_prefix));
  if (prefix == NULL) {
    return store_failure(store->connection, NULL, "take the lane", error);
  }
  store_script(script, "SET application_name = 'muster lane %" PRIu32 "';", lane->lane);
  store_script_stages(script);
  store_script(script, "SELECT muster.check_lanes(%" PRIu32 ", %s);", lane_count, prefix);
  store_script(script, "SELECT muster.end_owner(%" PRIu32 ");", lane->lane);
  store_script(script,
               "SELECT epoch, published_batch, checkpoint_batch FROM muster.take_lane(%" PRIu32
               ", %" PRIu32 ", %s, %" PRId64 ", encode(",
               lane->lane, lane_count, prefix, epoch_above);
  store_script_bytes(script, span_of(lane->owner, OWNER_SIZE));
  store_script(script, ", 'hex')::uuid, (SELECT backend_start FROM pg_stat_activity"
                       " WHERE pid = pg_backend_pid()))");
  PQfreemem(prefix);
  return STATUS_OK;
}

enum status store_take_lane(struct store *store, struct ownership_of_lane *lane,
                            uint32_t lane_count, const char *topic_prefix, int64_t epoch_above,
                            struct lane_head *head, struct error *error) {
  *head = (struct lane_head){0};
  struct buffer script = {0};
  PGresult *result = NULL;
  store->lane_count = lane_count;
  enum status status =
      take_script(store, lane, lane_count, topic_prefix, epoch_above, &script, error);
  if (status == STATUS_OK) {
    status =
        store_query(store->connection, (const char *)script.data, "take the lane", &result, error);
  }
  buffer_fini(&script);
  if (status != STATUS_OK) {
    return status;
  }
  lane->epoch = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  head->published_batch = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
  const uint64_t checkpoint_batch = strtoull(PQgetvalue(result, 0, 2), NULL, 10);
  PQclear(result);
  return load_head(store, lane->lane, checkpoint_batch, head, error);
}

enum status store_check_owner(struct store *store, const struct ownership_of_lane *lane,
                              struct error *error) {
  struct buffer script = {0};
  store_script(&script, "SELECT muster.fence(%" PRIu32 ", %" PRId64 ", encode(", lane->lane,
               lane->epoch);
  store_script_bytes(&script, span_of(lane->owner, OWNER_SIZE));
  store_script(&script, ", 'hex')::uuid, 0, 0)");
  const enum status status = store_query(store->connection, (const char *)script.data,
                                         "see who owns the lane", NULL, error);
  buffer_fini(&script);
  return status;
}

struct replay_stream {
  const struct store_replay *replay;
  const struct journal_list *journal;
  size_t next;
  bool has_lost_letter;
};

/* Hands over the journal rows that stand before result number `seq`. */
static void hand_journal(struct replay_stream *stream, uint64_t seq) {
  const struct store_replay *const replay = stream->replay;
  while (stream->next < stream->journal->count) {
    const struct journal_entry *const entry = &stream->journal->entries[stream->next];
    if (entry->row.first_seq > seq) {
      return;
    }
    replay->row(replay->context, &entry->row, &entry->witness);
    if (entry->has_environment) {
      replay->environment(replay->context, &entry->row, &entry->witness,
                          buffer_span(&entry->environment));
    }
    stream->next++;
  }
}

static bool row_original(struct row_reader *reader, struct original *original) {
  original->key_is_null = !row_bytes(reader, &original->key);
  original->value_is_null = !row_bytes(reader, &original->value);
  original->headers = row_span(reader);
  original->timestamp_ms = row_integer(reader, INT64_MIN);
  const struct span digest = row_span(reader);
  if (digest.size == sizeof original->value_sha256) {
    memcpy(original->value_sha256, digest.data, digest.size);
  }
  original->size_bytes = (uint64_t)row_integer(reader, 0);
  return original->timestamp_ms != INT64_MIN;
}

static void hand_result(void *context, struct row_reader *reader) {
  struct replay_stream *const stream = context;
  struct result result;
  row_result(reader, &result);
  const struct span user_email = row_span(reader);
  struct original original = {0};
  const bool has_original = row_original(reader, &original);
  if (result.kind == RESULT_DEAD_LETTER) {
    result.dead_letter.original = original;
    stream->has_lost_letter = stream->has_lost_letter || !has_original;
  }
  if (!reader->is_bad && !stream->has_lost_letter) {
    hand_journal(stream, result.seq);
    stream->replay->result(stream->replay->context, &result, user_email);
  }
}

static enum status replay_results(struct store *store, uint32_t lane, struct replay_stream *stream,
                                  struct error *error) {
  const struct journal_list *const journal = stream->journal;
  struct buffer select = {0};
  store_script(&select,
               "SELECT r.*, p.user_email, t.key, t.value, t.headers, t.timestamp_ms, "
               "t.value_sha256, t.size_bytes FROM (SELECT %s FROM muster.result_row "
               "WHERE lane = %" PRIu32 " AND seq BETWEEN %" PRIu64 " AND %" PRIu64 ") r "
               "LEFT JOIN muster.person p ON p.subject = r.subject "
               "LEFT JOIN muster.letter t ON t.lane = r.lane AND t.batch = r.batch "
               "AND t.seq = r.seq ORDER BY r.seq",
               store_result_columns, lane, journal->entries[0].row.first_seq,
               journal->entries[journal->count - 1].row.last_seq);
  enum status status = store_stream(store->connection, (const char *)select.data,
                                    "read the results", hand_result, stream, error);
  buffer_fini(&select);
  if (status == STATUS_OK && stream->has_lost_letter) {
    status = error_set(error, STATUS_REFUSED,
                       "lane %" PRIu32 ": an unpublished dead letter's "
                       "bytes are gone: the topics show less than the database has published",
                       lane);
  }
  if (status == STATUS_OK) {
    hand_journal(stream, UINT64_MAX);
  }
  return status;
}

enum status store_load_batches(struct store *store, uint32_t lane, uint64_t batch,
                               uint64_t batch_last, const struct store_replay *replay,
                               struct error *error) {
  char rest[150];
  snprintf(rest, sizeof rest,
           "j.lane = %" PRIu32 " AND j.batch > %" PRIu64 " AND j.batch <= %" PRIu64
           " ORDER BY j.batch",
           lane, batch, batch_last);
  struct journal_list journal = {0};
  enum status status = load_journal(store, rest, &journal, error);
  if (status == STATUS_OK && journal.count > 0) {
    struct replay_stream stream = {.replay = replay, .journal = &journal};
    if (replay->result != NULL) {
      status = replay_results(store, lane, &stream, error);
    } else {
      hand_journal(&stream, UINT64_MAX);
    }
    if (status == STATUS_OK && replay->device != NULL) {
      status = store_stream_changed(store, lane, batch, replay->device, replay->context, error);
    }
  }
  journal_list_fini(&journal);
  return status;
}
