/* A message's value as an event, or why it is none. The one way in for bytes of others.
 *
 * Checks the framing, the writer's schema, the body and each field's domain, in this order;
 * the first that fails names the reject. Never looks at the message's key. */
#ifndef MUSTER_CONSUMERS_DECODE_H
#define MUSTER_CONSUMERS_DECODE_H

#include "core/event.h"

struct schemas;
struct writer;

/* Decodes the value of a message of `topic`; a null value is a span of no data.
 * True: `event` is filled but for the subjects of persons; its spans point into `value`, or
 * into `schemas` where a default was filled in. False: `reject` is filled (MALFORMED or
 * UNKNOWN_SCHEMA, STAGE_VALUE) and `event` is meaningless. Allocates nothing. */
bool decode(const struct schemas *schemas, enum topic topic, struct span value, struct event *event,
            struct reject *reject) MUST_USE;

/* The writer that a value's framing names, and its body behind the framing; NULL with
 * `reject` filled when there is none. Any schema that is known will do. */
const struct writer *decode_framing(const struct schemas *schemas, struct span value,
                                    struct span *body, struct reject *reject) MUST_USE;

/* Whether the value is in Confluent's format under an id that is not known; which one. Its body
 * begins CONFLUENT_HEAD_SIZE bytes on. */
bool decode_unknown_id(const struct schemas *schemas, struct span value, uint32_t *id);
enum { CONFLUENT_HEAD_SIZE = 5 }; /* 00, the id's highest byte first */

/* The 36 characters of a UUID, in either case, as 16 bytes. */
bool decode_uuid(struct span text, uint8_t uuid[EVENT_ID_SIZE]) MUST_USE;

#endif
