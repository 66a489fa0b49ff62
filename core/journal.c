#include "core/journal.h"

struct writer {
  uint8_t *at;
};

static void put_u64(struct writer *writer, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    *writer->at++ = (uint8_t)(value >> shift);
  }
}

static void put_i64(struct writer *writer, int64_t value) {
  put_u64(writer, (uint64_t)value);
}

static void put_digest(struct writer *writer, const uint8_t digest[DIGEST_SIZE]) {
  memcpy(writer->at, digest, DIGEST_SIZE);
  writer->at += DIGEST_SIZE;
}

size_t journal_gap_bytes(const struct journal_gap *gap, uint8_t bytes[JOURNAL_GAP_SIZE_MAX]) {
  struct writer writer = {bytes};
  const size_t reason_size = strlen(gap->reason);
  assert(reason_size <= NOTE_SIZE_MAX);
  *writer.at++ = (uint8_t)gap->topic;
  *writer.at++ = gap->is_accepted;
  *writer.at++ = gap->has_actor;
  put_i64(&writer, gap->from);
  put_i64(&writer, gap->to);
  put_i64(&writer, gap->asked_at_ms);
  memcpy(writer.at, gap->event_id, EVENT_ID_SIZE);
  memcpy(writer.at + EVENT_ID_SIZE, gap->actor, SUBJECT_SIZE);
  memcpy(writer.at + EVENT_ID_SIZE + SUBJECT_SIZE, gap->reason, reason_size);
  return JOURNAL_GAP_SIZE_MIN + reason_size;
}

static int64_t take_i64(const uint8_t **at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) {
    value = value << 8 | *(*at)++;
  }
  return (int64_t)value;
}

bool journal_gap_read(struct span bytes, struct journal_gap *gap) {
  if (bytes.size < JOURNAL_GAP_SIZE_MIN || bytes.size > JOURNAL_GAP_SIZE_MAX ||
      bytes.data[0] >= TOPIC_COUNT || bytes.data[1] > 1 || bytes.data[2] > 1) {
    return false;
  }
  const uint8_t *at = bytes.data;
  *gap = (struct journal_gap){.is_set = true, .topic = (enum topic)at[0]};
  gap->is_accepted = at[1] == 1;
  gap->has_actor = at[2] == 1;
  at += 3;
  gap->from = take_i64(&at);
  gap->to = take_i64(&at);
  gap->asked_at_ms = take_i64(&at);
  memcpy(gap->event_id, at, EVENT_ID_SIZE);
  memcpy(gap->actor, at + EVENT_ID_SIZE, SUBJECT_SIZE);
  memcpy(gap->reason, at + EVENT_ID_SIZE + SUBJECT_SIZE, bytes.size - JOURNAL_GAP_SIZE_MIN);
  return true;
}

size_t journal_canonical_size_max(const struct journal_row *row) {
  /* Far above what the fixed fields take; the list is the only part that grows. */
  return 1024 + row->not_believed_count * 16;
}

size_t journal_canonical(const struct journal_row *row, const uint8_t previous_chain[DIGEST_SIZE],
                         uint8_t *bytes) {
  struct writer writer = {bytes};
  put_digest(&writer, previous_chain);
  put_u64(&writer, row->lane);
  put_u64(&writer, row->batch);
  put_u64(&writer, row->first_seq);
  put_u64(&writer, row->last_seq);
  put_i64(&writer, row->clock_before_ms);
  put_i64(&writer, row->clock_after_ms);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    put_i64(&writer, row->ranges[topic].from);
    put_i64(&writer, row->ranges[topic].to);
    put_digest(&writer, row->last_message[topic]);
  }
  put_u64(&writer, row->not_believed_count);
  for (size_t i = 0; i < row->not_believed_count; i++) {
    put_u64(&writer, row->not_believed[i].topic);
    put_i64(&writer, row->not_believed[i].offset);
  }
  put_u64(&writer, row->timer.is_set);
  put_i64(&writer, row->timer.due_at_ms);
  put_u64(&writer, row->timer.device_number);
  put_u64(&writer, row->timer.kind);
  put_u64(&writer, row->message_count);
  put_u64(&writer, row->dead_letter_count);
  put_u64(&writer, row->timer_count);
  put_u64(&writer, row->device_count);
  put_digest(&writer, row->environment);
  put_digest(&writer, row->inputs);
  put_digest(&writer, row->results);
  if (row->sweep.is_set) { /* no more bytes otherwise: so older chains stay what they are */
    put_u64(&writer, row->sweep.is_set);
    put_u64(&writer, row->sweep.device_number);
  }
  if (row->has_state) { /* likewise; whatever stands before it, its size tells what there is */
    put_digest(&writer, row->state);
  }
  if (row->gap.is_set) { /* its size stands last, so it is told from what may stand before it */
    const size_t gap_size = journal_gap_bytes(&row->gap, writer.at);
    writer.at += gap_size;
    put_u64(&writer, gap_size);
  }
  const size_t size = (size_t)(writer.at - bytes);
  assert(size <= journal_canonical_size_max(row));
  return size;
}
