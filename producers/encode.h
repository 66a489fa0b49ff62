/* What leaves for Kafka, as Avro: results, device states and journal records.
 *
 * An address is put in here and nowhere else. The canonical form of a value, which digests are
 * taken over, is the same value with user_email null: user_email is therefore the last field
 * of every record that has one. */
#ifndef MUSTER_PRODUCERS_ENCODE_H
#define MUSTER_PRODUCERS_ENCODE_H

#include "core/device.h"
#include "core/journal.h"
#include "producers/buffer.h"

/* The records of schemas/ that are written, after the kinds of numbered results. */
enum { RECORD_DEVICE = RESULT_KIND_COUNT, RECORD_JOURNAL, RECORD_COUNT };

/* "Ticket", "tickets": the name in schemas/ (a dead letter has none) and the topic without its
 * prefix, of a result's kind, RECORD_DEVICE or RECORD_JOURNAL. */
const char *record_name(uint32_t record);
const char *record_topic_name(uint32_t record);

enum { FRAME_SIZE_MAX = 10 };

/* What stands before a value's body: single-object or Confluent framing, by record. */
struct frames {
  struct {
    uint8_t bytes[FRAME_SIZE_MAX];
    size_t size;
  } of[RECORD_COUNT];
};

struct encoding {
  const char *topic_prefix; /* causes name whole topics */
  uint32_t lane;
  struct frames frames;
  /* A key longer than this (kafka.message_bytes_max) could not be published at all: its dead
   * letter has none. 0: no limit. */
  uint64_t message_bytes_max;
  bool cloudevents;
};

/* One record for a topic; they lie in a buffer one after the other. Views into that buffer. */
struct outgoing {
  uint32_t record;      /* enum result_kind, RECORD_DEVICE or RECORD_JOURNAL: the topic */
  int64_t timestamp_ms; /* -1: none */
  bool key_is_null, value_is_null;
  struct span key;
  struct span value;
  struct span headers; /* in the form of struct original's */
};

/* Appends the result's record to `records`: key, framed value with `user_email` (empty: null),
 * headers (traceparent; a dead letter's; CloudEvents when asked for). Appends to `canonical` the
 * bytes that the batch's result digest is taken over: the topic without its prefix, key,
 * timestamp, headers and value, where the value has no frame and user_email null and headers are
 * the traceparent alone (of a dead letter: value and all headers as published). Each has its
 * length before it as a big-endian i32 (-1: null), the timestamp is a big-endian i64. */
void encode_result(const struct encoding *encoding, const struct result *result,
                   struct span user_email, struct buffer *records, struct buffer *canonical);

/* Appends the device's present state for the compacted topic. Not numbered, in no digest. */
void encode_device(const struct encoding *encoding, const struct device_image *device,
                   struct span user_email, struct buffer *records);

/* Who committed, beside the row. */
struct journal_witness {
  int64_t epoch;
  uint8_t owner[16];
  int64_t committed_at_ms;
};

/* Appends the journal record of a batch (kind BATCH), or of a new environment that precedes it
 * (kind ENVIRONMENT, when `environment` is not empty: its content, a JSON text). Its timestamp
 * is the lane's clock, or the time of the commit while the lane has none. */
void encode_journal(const struct encoding *encoding, const struct journal_row *row,
                    const struct journal_witness *witness, struct span environment,
                    struct buffer *records);

/* The next record of `records` at `*position`, which moves on; false at the end. */
bool outgoing_next(struct span records, size_t *position, struct outgoing *outgoing);

#endif
