/* Results as decided against results as found on the topics. */
#include "core/app/clock.h"
#include "core/app/message_json.h"
#include "core/app/result_read.h"
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

enum { PAUSE_MS = 100, NAME_SIZE = 256 };

/* One comparison: a result as decided, and what stands in its place. */
struct comparison {
  struct verify *verify;
  const struct journal_row *row;
  const struct outgoing *expected;
  struct found_head head; /* of the expected */
};

static void topic_name_of(const struct verify *verify, uint32_t record, char name[NAME_SIZE]) {
  snprintf(name, NAME_SIZE, "%s%s", replay_encoding(verify->replay)->topic_prefix,
           record_topic_name(record));
}

static json_t *cause_json(const struct found_head *head) {
  return !head->has_cause
             ? json_null()
             : json_pack("{s:s%, s:I, s:I}", "topic", (const char *)head->cause_topic.data,
                         head->cause_topic.size, "partition", (json_int_t)head->cause_partition,
                         "offset", (json_int_t)head->cause_offset);
}

/* A finding about the expected result: where it was looked for, and what caused it. */
static json_t *begin(const struct comparison *comparison, const char *what, int64_t offset) {
  const struct verify *verify = comparison->verify;
  char name[NAME_SIZE];
  topic_name_of(verify, comparison->expected->record, name);
  json_t *finding = finding_begin(what, verify->options->lane, comparison->row->batch);
  json_object_set_new(finding, "seq", json_integer(comparison->head.seq));
  json_object_set_new(finding, "at",
                      json_pack("{s:s, s:I, s:I}", "topic", name, "partition",
                                (json_int_t)verify->options->lane, "offset", (json_int_t)offset));
  json_object_set_new(finding, "cause", cause_json(&comparison->head));
  return finding;
}

static void diverge(const struct comparison *comparison, json_t *finding,
                    const struct found_record *found) {
  const struct schemas *schemas = replay_schemas(comparison->verify->replay);
  finding_compare(finding, finding_of_message(schemas, comparison->expected),
                  found == NULL ? NULL : finding_of_message(schemas, &found->message));
  verify_diverge(comparison->verify, finding);
}

/* The same but for the address, which has been erased: null stands in its place, at the end. */
static bool is_erased(const struct outgoing *expected, const struct outgoing *found) {
  const size_t size = found->value.size;
  return size > 0 && size < expected->value.size && found->value.data[size - 1] == 0 &&
         expected->value.data[size - 1] == 2 &&
         memcmp(found->value.data, expected->value.data, size - 1) == 0;
}

static bool is_same(const struct outgoing *a, const struct outgoing *b) {
  return a->timestamp_ms == b->timestamp_ms && a->key_is_null == b->key_is_null &&
         a->value_is_null == b->value_is_null && span_equal(a->key, b->key) &&
         span_equal(a->headers, b->headers);
}

/* A dead letter whose content is withheld: no value, our own headers alone, which come last, and no
 * key where that might be an address. */
static bool matches_withheld(struct verify *verify, const struct outgoing *expected,
                             const struct outgoing *found) {
  static const char first[] = "muster.error";
  const size_t size = found->headers.size;
  const bool matches =
      found->value_is_null && size > 4 + sizeof first && size <= expected->headers.size &&
      memcmp(found->headers.data + 4, first, sizeof first - 1) == 0 &&
      expected->timestamp_ms == found->timestamp_ms &&
      memcmp(expected->headers.data + expected->headers.size - size, found->headers.data, size) ==
          0 &&
      (found->key_is_null || span_equal(expected->key, found->key));
  verify->result->withheld += matches ? 1 : 0;
  return matches;
}

/* The other way round, in a lane that began at a snapshot and whose enrolments before it have
 * expired: the same but for an address that nothing before told, and that is the subject's. */
static bool is_named(const struct verify *verify, const struct outgoing *expected,
                     const struct outgoing *found) {
  if (verify->begin.batch == 0 || !is_erased(found, expected)) {
    return false;
  }
  const struct schemas *schemas = replay_schemas(verify->replay);
  json_t *const as_expected = json_of_value(schemas, expected->value);
  json_t *const as_found = json_of_value(schemas, found->value);
  verify_name_unknown(verify, as_expected, as_found);
  const bool is_same_now = json_equal(as_expected, as_found) == 1;
  json_decref(as_expected);
  json_decref(as_found);
  return is_same_now;
}

static bool matches(struct verify *verify, const struct outgoing *expected,
                    const struct outgoing *found) {
  const struct replay_files *files = verify->options->files;
  if (files != NULL && files->is_pseudonymised && expected->record == RESULT_DEAD_LETTER) {
    return matches_withheld(verify, expected, found);
  }
  if (!is_same(expected, found)) {
    return false;
  }
  if (span_equal(expected->value, found->value)) {
    return true;
  }
  const uint32_t kind = expected->record;
  const bool has_email =
      kind == RESULT_NOTIFICATION || kind == RESULT_ACCESS_DECISION || kind == RESULT_LICENSE;
  const bool erased = has_email && is_erased(expected, found);
  verify->result->erased += erased ? 1 : 0;
  return erased || (has_email && is_named(verify, expected, found));
}

/* The result after this one in the topic, when it is one of ours. */
static enum status next_seq(const struct comparison *comparison, int64_t *seq) {
  struct verify *verify = comparison->verify;
  const struct found_record *second;
  struct found_head head;
  const enum status status =
      found_peek(verify->found, comparison->expected->record, 1, &second, verify->error);
  *seq = -1;
  if (status == STATUS_OK && second != NULL &&
      found_read_head(second, &replay_encoding(verify->replay)->frames, &head)) {
    *seq = head.seq;
  }
  return status;
}

/* Another number stands in its place: says what became of it. */
static enum status name_other(const struct comparison *comparison, const struct found_head *head) {
  struct verify *verify = comparison->verify;
  const uint32_t kind = comparison->expected->record;
  const int64_t seq = comparison->head.seq;
  int64_t second;
  const enum status status = next_seq(comparison, &second);
  const struct found_record *found = NULL;
  if (status != STATUS_OK || found_peek(verify->found, kind, 0, &found, verify->error) != 0) {
    return status;
  }
  json_t *finding;
  if (head->seq > seq && second == seq) {
    finding = begin(comparison, "results swapped", found->offset);
    finding_explain(finding, "number %" PRId64 " stands before number %" PRId64 " in its topic",
                    head->seq, seq);
  } else if (head->seq > seq) {
    finding = begin(comparison, "result missing", found->offset);
    finding_explain(finding,
                    "number %" PRId64 " is not there; number %" PRId64 " stands in its place", seq,
                    head->seq);
  } else if ((uint64_t)head->seq == verify->last_seq[kind]) {
    finding = begin(comparison, "result doubled", found->offset);
    finding_explain(finding, "number %" PRId64 " stands there again, before number %" PRId64,
                    head->seq, seq);
  } else {
    finding = begin(comparison, "result surplus", found->offset);
    finding_explain(finding,
                    "number %" PRId64 " stands there, where number %" PRId64 " was decided",
                    head->seq, seq);
  }
  diverge(comparison, finding, found);
  return STATUS_OK;
}

/* Retention has taken the topic's beginning, and the expected result with it: nothing of the topic
 * has been compared yet, and what is left begins later. */
static bool is_expired(const struct comparison *comparison, const struct found_record *found) {
  const struct verify *verify = comparison->verify;
  const uint32_t kind = comparison->expected->record;
  struct found_head head;
  return found_first(verify->found, kind) > 0 && verify->result->results[kind] == 0 &&
         (found == NULL ||
          (found_read_head(found, &replay_encoding(verify->replay)->frames, &head) &&
           head.seq > comparison->head.seq));
}

static enum status name_difference(const struct comparison *comparison,
                                   const struct found_record *found) {
  struct verify *verify = comparison->verify;
  struct found_head head;
  if (!found_read_head(found, &replay_encoding(verify->replay)->frames, &head)) {
    json_t *finding = begin(comparison, "result unreadable", found->offset);
    finding_explain(finding, "what stands there is no result of this lane's");
    diverge(comparison, finding, found);
    return STATUS_OK;
  }
  if (head.seq != comparison->head.seq || head.lane != comparison->head.lane) {
    return name_other(comparison, &head);
  }
  json_t *finding = begin(comparison, "result changed", found->offset);
  finding_explain(finding, "number %" PRId64 " is not what was decided", head.seq);
  diverge(comparison, finding, found);
  return STATUS_OK;
}

static void pause(void) {
  nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

/* The next record of a topic; at the topic's end, waits whether it comes into sight. */
static enum status peek_settled(struct verify *verify, uint32_t record,
                                const struct found_record **found) {
  const int64_t deadline_mono_ms = clock_mono_ms() + verify_settle_ms(verify);
  enum status status = found_peek(verify->found, record, 0, found, verify->error);
  const bool may_be_expired = verify->result->expired > 0 && verify->result->results[record] == 0;
  while (status == STATUS_OK && *found == NULL && !may_be_expired &&
         clock_mono_ms() < deadline_mono_ms) {
    bool has_more;
    status = found_look_again(verify->found, record, &has_more, verify->error);
    if (status == STATUS_OK && has_more) {
      status = found_peek(verify->found, record, 0, found, verify->error);
    } else if (status == STATUS_OK) {
      pause();
    }
  }
  return status;
}

static enum status compare(struct verify *verify, const struct journal_row *row,
                           const struct outgoing *expected) {
  struct comparison comparison = {.verify = verify, .row = row, .expected = expected};
  const struct found_record *found;
  const uint32_t kind = expected->record;
  const enum status status = peek_settled(verify, kind, &found);
  if (status != STATUS_OK) {
    return status;
  }
  if (found != NULL && matches(verify, expected, &found->message)) {
    found_pop(verify->found, kind);
    verify->result->results[kind]++;
    return STATUS_OK;
  }
  const struct found_record as_found = {.message = *expected};
  const bool is_ours =
      found_read_head(&as_found, &replay_encoding(verify->replay)->frames, &comparison.head);
  assert(is_ours);
  if (is_expired(&comparison, found)) {
    verify->result->expired++;
    return STATUS_OK;
  }
  if (found != NULL) {
    return name_difference(&comparison, found);
  }
  json_t *finding = begin(&comparison, "tail cut", found_end(verify->found, kind));
  finding_explain(finding, "number %" PRId64 " is not there: its topic ends before it",
                  comparison.head.seq);
  diverge(&comparison, finding, NULL);
  return STATUS_OK;
}

/* Numbers of the results that matched, so that one that stands there again is told. */
static void note_seq(struct verify *verify, uint32_t kind, uint64_t seq) {
  verify->last_seq[kind] = seq;
}

enum status verify_results(struct verify *verify, const struct journal_row *row) {
  struct outgoing expected;
  size_t position = 0;
  uint64_t seq = row->first_seq;
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !verify_is_over(verify) &&
         outgoing_next(replay_records(verify->replay), &position, &expected)) {
    if (expected.record >= RESULT_KIND_COUNT) {
      break; /* behind the results come the devices and the row */
    }
    status = compare(verify, row, &expected);
    note_seq(verify, expected.record, seq++);
  }
  return status;
}

enum status verify_skip(struct verify *verify, uint64_t seq) {
  const struct frames *frames = &replay_encoding(verify->replay)->frames;
  enum status status = STATUS_OK;
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    const struct found_record *found;
    struct found_head head;
    status = found_peek(verify->found, kind, 0, &found, verify->error);
    while (status == STATUS_OK && found != NULL && found_read_head(found, frames, &head) &&
           head.seq >= 0 && (uint64_t)head.seq < seq) {
      found_pop(verify->found, kind);
      status = found_peek(verify->found, kind, 0, &found, verify->error);
    }
  }
  return status;
}

/* Whether a record stands before that number. One that cannot be read does if the next one does. */
static enum status is_before(struct verify *verify, uint32_t kind, uint64_t seq, bool *is,
                             struct error *error) {
  const struct result_reader reader = {.schemas = replay_schemas(verify->replay)};
  const struct frames *frames = &replay_encoding(verify->replay)->frames;
  uint64_t number = UINT64_MAX;
  for (size_t ahead = 0; ahead < 2; ahead++) {
    const struct found_record *record;
    const enum status status = found_peek(verify->found, kind, ahead, &record, error);
    if (status != STATUS_OK || record == NULL ||
        result_read_seq(&reader, frames, record, &number)) {
      *is = status == STATUS_OK && record != NULL && number < seq;
      return status;
    }
  }
  *is = false;
  return STATUS_OK;
}

enum status verify_skip_to(struct verify *verify, uint64_t seq) {
  enum status status = STATUS_OK;
  for (uint32_t kind = 0; kind < RESULT_KIND_COUNT && status == STATUS_OK; kind++) {
    bool is = true;
    while (status == STATUS_OK && is) {
      status = is_before(verify, kind, seq, &is, verify->error);
      if (status == STATUS_OK && is) {
        found_pop(verify->found, kind);
      }
    }
  }
  return status;
}

/* What stands in a topic behind the last result that the journal tells of. */
static void name_rest(struct verify *verify, uint32_t kind, const struct found_record *found) {
  struct found_head head;
  char name[NAME_SIZE];
  const uint64_t last = verify->last.last_seq;
  const bool is_ours = found_read_head(found, &replay_encoding(verify->replay)->frames, &head);
  const bool is_beyond = is_ours && head.seq > (int64_t)last;
  const bool is_doubled = is_ours && !is_beyond && (uint64_t)head.seq == verify->last_seq[kind];
  topic_name_of(verify, kind, name);
  json_t *finding = finding_begin(is_beyond    ? "journal cut"
                                  : is_doubled ? "result doubled"
                                  : is_ours    ? "result surplus"
                                               : "result unreadable",
                                  verify->options->lane, verify->last.batch);
  if (is_ours) {
    json_object_set_new(finding, "seq", json_integer(head.seq));
  }
  json_object_set_new(finding, "at",
                      json_pack("{s:s, s:I, s:I}", "topic", name, "partition",
                                (json_int_t)verify->options->lane, "offset",
                                (json_int_t)found->offset));
  if (is_beyond) {
    finding_explain(finding,
                    "the journal ends at batch %" PRIu64 ", number %" PRIu64 ", but number %" PRId64
                    " was published",
                    verify->last.batch, last, head.seq);
  } else {
    finding_explain(finding, "it stands behind all that was decided");
  }
  finding_compare(finding, NULL,
                  finding_of_message(replay_schemas(verify->replay), &found->message));
  verify_diverge(verify, finding);
}

enum status verify_await_journal(struct verify *verify, bool *goes_on) {
  const int64_t deadline_mono_ms = clock_mono_ms() + verify_settle_ms(verify);
  *goes_on = false;
  for (;;) {
    const enum status status =
        found_look_again(verify->found, RECORD_JOURNAL, goes_on, verify->error);
    if (status != STATUS_OK || *goes_on || clock_mono_ms() >= deadline_mono_ms) {
      return status;
    }
    pause();
  }
}

enum status verify_rest(struct verify *verify, bool *goes_on) {
  const int64_t deadline_mono_ms = clock_mono_ms() + verify_settle_ms(verify);
  *goes_on = false;
  for (;;) {
    const struct found_record *found = NULL;
    uint32_t kind = 0;
    enum status status = STATUS_OK;
    for (; kind < RESULT_KIND_COUNT && status == STATUS_OK && found == NULL; kind++) {
      status = found_peek(verify->found, kind, 0, &found, verify->error);
    }
    if (status != STATUS_OK || found == NULL) {
      return status;
    }
    bool has_more = false;
    if (!verify->options->reads_journal_from_database) {
      status = found_look_again(verify->found, RECORD_JOURNAL, &has_more, verify->error);
    }
    if (status != STATUS_OK || has_more) {
      *goes_on = has_more; /* a run goes on meanwhile */
      return status;
    }
    if (clock_mono_ms() >= deadline_mono_ms) {
      name_rest(verify, kind - 1, found);
      return STATUS_OK;
    }
    pause();
  }
}
