#include "producers/encode_record.h"

enum { JOURNAL_BATCH, JOURNAL_ENVIRONMENT }; /* the symbols of JournalKind */

enum {
  JOURNAL_SIZE_FIXED = 2048, /* what does not grow with the batch */
  TOPIC_NAME_SIZE_MAX = 32,  /* without the prefix */
  TEXTS_OF_PREFIX = 2 * TOPIC_COUNT,
};

static uint8_t *put_topic(uint8_t *at, const struct encoding *encoding, enum topic topic) {
  const struct span prefix = span_text(encoding->topic_prefix);
  const struct span name = span_text(topic_name(topic));
  assert(name.size <= TOPIC_NAME_SIZE_MAX);
  at = put_unsigned(at, prefix.size + name.size);
  at = put_bytes(at, prefix.data, prefix.size);
  return put_bytes(at, name.data, name.size);
}

static uint8_t *put_ranges(uint8_t *at, const struct encoding *encoding,
                           const struct journal_row *row) {
  at = put_long(at, TOPIC_COUNT);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    at = put_topic(at, encoding, topic);
    at = put_long(at, row->ranges[topic].from);
    at = put_long(at, row->ranges[topic].to);
  }
  return put_long(at, 0);
}

static uint8_t *put_not_believed(uint8_t *at, const struct encoding *encoding,
                                 const struct journal_row *row) {
  if (row->not_believed_count > 0) {
    at = put_unsigned(at, row->not_believed_count);
    for (size_t i = 0; i < row->not_believed_count; i++) {
      at = put_topic(at, encoding, row->not_believed[i].topic);
      at = put_long(at, row->not_believed[i].offset);
    }
  }
  return put_long(at, 0);
}

static uint8_t *put_cursors(uint8_t *at, const struct timer_cursor *timer,
                            const struct sweep_cursor *sweep) {
  at = put_is_set(at, timer->is_set);
  if (timer->is_set) {
    at = put_long(at, timer->due_at_ms);
    at = put_unsigned(at, timer->device_number);
    at = put_unsigned(at, timer->kind);
  }
  at = put_is_set(at, sweep->is_set);
  if (sweep->is_set) {
    at = put_unsigned(at, sweep->device_number);
  }
  return at;
}

static bool is_zero(const uint8_t digest[DIGEST_SIZE]) {
  static const uint8_t zero[DIGEST_SIZE];
  return memcmp(digest, zero, DIGEST_SIZE) == 0;
}

static uint8_t *put_last_messages(uint8_t *at, const struct encoding *encoding,
                                  const struct journal_row *row) {
  int64_t count = 0;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    count += is_zero(row->last_message[topic]) ? 0 : 1;
  }
  if (count > 0) {
    at = put_long(at, count);
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      if (!is_zero(row->last_message[topic])) {
        at = put_topic(at, encoding, topic);
        at = put_hex(at, row->last_message[topic], DIGEST_SIZE);
      }
    }
  }
  return put_long(at, 0);
}

/* From first_seq to digests, as a BATCH has them. */
static uint8_t *put_batch(uint8_t *at, const struct encoding *encoding,
                          const struct journal_row *row) {
  at = put_unsigned(at, row->first_seq);
  at = put_unsigned(at, row->last_seq);
  at = put_nullable_time(at, row->clock_before_ms);
  at = put_nullable_time(at, row->clock_after_ms);
  at = put_ranges(at, encoding, row);
  at = put_not_believed(at, encoding, row);
  at = put_cursors(at, &row->timer, &row->sweep);
  at = put_hex(at, row->environment, DIGEST_SIZE);
  at = put_unsigned(at, row->message_count);
  at = put_unsigned(at, row->last_seq + 1 - row->first_seq);
  at = put_unsigned(at, row->dead_letter_count);
  at = put_unsigned(at, row->timer_count);
  at = put_unsigned(at, row->device_count);
  at = put_hex(at, row->inputs, DIGEST_SIZE);
  at = put_hex(at, row->results, DIGEST_SIZE);
  at = put_hex(at, row->chain, DIGEST_SIZE);
  at = put_last_messages(at, encoding, row);
  at = put_is_set(at, row->has_state);
  return row->has_state ? put_hex(at, row->state, DIGEST_SIZE) : at;
}

/* The same fields of an ENVIRONMENT, which comes before its batch: nothing was done yet. */
static uint8_t *put_no_batch(uint8_t *at, const struct journal_row *row) {
  at = put_unsigned(at, row->first_seq);
  at = put_unsigned(at, row->first_seq - 1);
  at = put_nullable_time(at, row->clock_before_ms);
  at = put_nullable_time(at, row->clock_before_ms);
  at = put_long(at, 0);
  at = put_long(at, 0);
  at = put_cursors(at, &(struct timer_cursor){.is_set = false},
                   &(struct sweep_cursor){.is_set = false});
  at = put_hex(at, row->environment, DIGEST_SIZE);
  enum { COUNTS = 5, DIGESTS = 3, NO_LAST_MESSAGES = 1, NO_STATE = 1 };
  for (int i = 0; i < COUNTS + DIGESTS + NO_LAST_MESSAGES + NO_STATE; i++) {
    at = put_long(at, 0); /* a count of 0, an empty text, an empty list, null: the same byte */
  }
  return at;
}

static uint8_t *put_gap(uint8_t *at, const struct encoding *encoding,
                        const struct journal_gap *gap) {
  at = put_is_set(at, gap->is_set);
  if (gap->is_set) {
    at = put_topic(at, encoding, gap->topic);
    at = put_long(at, gap->from);
    at = put_long(at, gap->to);
    at = put_boolean(at, gap->is_accepted);
    at = put_is_set(at, gap->has_actor);
    at = gap->has_actor ? put_hex(at, gap->actor, SUBJECT_SIZE) : at;
    at = put_string(at, span_text(gap->reason));
    at = put_uuid(at, gap->event_id);
    at = put_long(at, gap->asked_at_ms);
  }
  return at;
}

static void put_journal_headers(struct draft *draft, const struct encoding *encoding,
                                const struct journal_row *row, bool is_environment) {
  if (!encoding->cloudevents) {
    return;
  }
  const struct span word = span_text(is_environment ? "-environment-" : "-journal-");
  uint8_t id[64];
  uint8_t *end = put_decimal(id, encoding->lane);
  end = put_decimal(put_bytes(end, word.data, word.size), row->batch);
  const struct cloudevent event = {.id = span_of(id, (size_t)(end - id)),
                                   .at_ms = draft->head.timestamp_ms,
                                   .subject = span_of("", 0)};
  draft->at = put_cloudevent(draft->at, encoding, RECORD_JOURNAL, &event);
}

void encode_journal(const struct encoding *encoding, const struct journal_row *row,
                    const struct journal_witness *witness, struct span environment,
                    struct buffer *records) {
  const bool is_environment = environment.size > 0;
  assert(row->first_seq >= 1 && row->last_seq + 1 >= row->first_seq);
  const size_t topic_size_max =
      strlen(encoding->topic_prefix) + TOPIC_NAME_SIZE_MAX + 2 * LONG_SIZE_MAX;
  const size_t size_max = JOURNAL_SIZE_FIXED +
                          (TEXTS_OF_PREFIX + row->not_believed_count) * topic_size_max +
                          environment.size + cloudevent_size_max(encoding);
  struct draft draft = draft_begin(records, RECORD_JOURNAL, size_max);
  draft.head.timestamp_ms =
      row->clock_after_ms != TIME_NONE ? row->clock_after_ms : witness->committed_at_ms;
  draft.at = put_decimal(draft.at, encoding->lane);
  draft_end_key(&draft);
  draft_begin_value(&draft, encoding);
  /* Whoever reads the published position depends on these four being the first, for ever. */
  draft.at = put_long(draft.at, is_environment ? JOURNAL_ENVIRONMENT : JOURNAL_BATCH);
  draft.at = put_unsigned(draft.at, encoding->lane);
  draft.at = put_unsigned(draft.at, row->batch);
  draft.at = put_long(draft.at, witness->epoch);
  draft.at = is_environment ? put_no_batch(draft.at, row) : put_batch(draft.at, encoding, row);
  draft.at = put_hex(draft.at, witness->owner, sizeof witness->owner);
  draft.at = put_long(draft.at, witness->committed_at_ms);
  draft.at = put_nullable_string(draft.at, environment);
  draft.at = put_gap(draft.at, encoding, is_environment ? &(struct journal_gap){0} : &row->gap);
  draft_end_value(&draft);
  put_journal_headers(&draft, encoding, row, is_environment);
  draft_end(&draft);
}
