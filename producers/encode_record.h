/* A record for Kafka being laid out: head, key, value, headers, in this order. Private to
 * encoding.
 *
 * begin reserves everything at once, so that the parts are written without a look at the room;
 * end checks that the bound held, fills in the head and counts the bytes in. */
#ifndef MUSTER_PRODUCERS_ENCODE_RECORD_H
#define MUSTER_PRODUCERS_ENCODE_RECORD_H

#include "producers/encode.h"
#include "producers/encode_avro.h"

/* In the buffer as it lies in memory: it never leaves the process. */
struct record_head {
  int64_t timestamp_ms;
  uint32_t key_size;
  uint32_t value_size;
  uint32_t headers_size;
  uint8_t record;
  bool key_is_null;
  bool value_is_null;
  uint8_t unused;
};

struct draft {
  struct buffer *records;
  size_t size_max;
  uint8_t *start;
  uint8_t *at; /* where the next byte goes */
  struct record_head head;
};

struct draft draft_begin(struct buffer *records, uint32_t record, size_t size_max);

/* Each part ends where the next begins, at draft->at. */
void draft_end_key(struct draft *draft);
void draft_begin_value(struct draft *draft, const struct encoding *encoding);
void draft_end_value(struct draft *draft);
void draft_end(struct draft *draft);

/* The finished parts; valid until the buffer grows. */
struct span draft_key(const struct draft *draft);
struct span draft_value(const struct draft *draft);
struct span draft_headers(const struct draft *draft);

/* What a header takes beside its name and value. */
enum { HEADER_SIZE_FIXED = 8 };

uint8_t *put_header(uint8_t *at, const char *name, struct span value);

/* CloudEvents attributes of a record that its maker alone knows. */
struct cloudevent {
  struct span id;
  int64_t at_ms;
  struct span subject; /* empty: none */
};

size_t cloudevent_size_max(const struct encoding *encoding);
uint8_t *put_cloudevent(uint8_t *at, const struct encoding *encoding, uint32_t record,
                        const struct cloudevent *event);

/* A dead letter is its original: no Avro, headers of its own. */
void encode_letter(const struct encoding *encoding, const struct result *result,
                   struct buffer *records, struct buffer *canonical);

/* See encode_result: what the result digest is taken over. */
struct canonical {
  const char *topic;
  bool key_is_null, value_is_null;
  struct span key;
  int64_t timestamp_ms;
  struct span headers;
  struct span value;
  bool adds_null_email; /* after the value */
};

void canonical_append(struct buffer *buffer, const struct canonical *canonical);

#endif
