/* An idempotent producer of single messages for short commands: each goes to the partition that
 * its key belongs to, acknowledged by all. Memory stays bounded however much is sent. */
#ifndef MUSTER_APP_OUTBOX_H
#define MUSTER_APP_OUTBOX_H

#include "core/app/config.h"
#include "core/event.h"

struct outbox;

/* The broker took none of the message that was sent with `tag`; it would not another time. */
typedef void (*outbox_refused_fn)(void *context, uint64_t tag, const char *reason);

struct rd_kafka_headers_s; /* rd_kafka_headers_t in the files that include librdkafka */

struct outgoing_message {
  enum topic topic;
  int64_t timestamp_ms; /* 0: now */
  bool key_is_null;     /* then `partition` is where it goes; otherwise it is not looked at */
  int32_t partition;
  struct span key, value;             /* copied; a value of no data is null */
  struct rd_kafka_headers_s *headers; /* NULL: none; copied */
  uint64_t tag;
};

enum status outbox_open(const struct config *config, outbox_refused_fn refused, void *context,
                        struct outbox **outbox, struct error *error) MUST_USE;

/* Puts a message on its way; waits while too much is under way. STATUS_REFUSED: this one cannot
 * be sent, and `error` says why; anything else but STATUS_OK: nothing can. */
enum status outbox_send(struct outbox *outbox, const struct outgoing_message *message,
                        struct error *error) MUST_USE;

/* Waits until every message is acknowledged or refused. */
enum status outbox_flush(struct outbox *outbox, struct error *error) MUST_USE;

uint64_t outbox_sent_count(const struct outbox *outbox); /* acknowledged so far */

/* Where the message stands that was acknowledged last; offset -1: none was. */
void outbox_last(const struct outbox *outbox, int32_t *partition, int64_t *offset);

/* NULL is allowed. What is not flushed may be lost. */
void outbox_close(struct outbox *outbox);

#endif
