/* A record of the dead-letters topic: the message as it came, and why it was not processed. */
#ifndef MUSTER_APP_DEAD_LETTER_H
#define MUSTER_APP_DEAD_LETTER_H

#include "core/event.h"

struct rd_kafka_headers_s; /* rd_kafka_headers_t in the files that include librdkafka */
struct rd_kafka_message_s; /* rd_kafka_message_t there */

/* Every view is into the message; one of no data is null. */
struct dead_letter {
  int64_t lane, seq;
  struct span code;
  struct span topic;         /* whole, where the message came from */
  int64_t partition, offset; /* there; -1 when the record does not say */
  int64_t timestamp_ms;      /* the original's; -1 when it had none */
  struct span key, value;
  struct span stage, class_name, message;
};

/* False when the record is none of ours: it has no number. */
bool dead_letter_read(const struct rd_kafka_message_s *message,
                      struct dead_letter *letter) MUST_USE;

/* Reads "LANE/SEQ". */
bool dead_letter_id_parse(const char *text, int64_t *lane, int64_t *seq) MUST_USE;

/* The value is not in it: too_large, never_collected. */
bool dead_letter_lacks_value(const struct dead_letter *letter);

/* The headers that the message came with, without those added to it; NULL for none. The caller
 * ends them with rd_kafka_headers_destroy. */
struct rd_kafka_headers_s *dead_letter_original_headers(const struct rd_kafka_message_s *message);

#endif
