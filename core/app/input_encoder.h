/* Fields of an input record as a message's value and key: what `produce` and the other commands
 * that write inputs send.
 *
 * Every value is read back by the decoder of `run`, so that nothing that leaves here is a dead
 * letter for its form. */
#ifndef MUSTER_APP_INPUT_ENCODER_H
#define MUSTER_APP_INPUT_ENCODER_H

#include "consumers/registry.h"
#include "consumers/schemas.h"
#include "core/app/config.h"

struct json_t; /* jansson's value */

/* The caller owns it; `config` outlives it. */
struct input_encoder {
  const struct config *config;
  struct schemas *schemas;
  struct registry *registry;       /* NULL: none is configured, or nothing was asked yet */
  int64_t ids[INPUT_RECORD_COUNT]; /* SCHEMA_ID_NONE: single-object framing */
  bool is_framing_known[INPUT_RECORD_COUNT];
};

/* Opens the schemas that the configuration names. The caller ends it in any case. */
enum status input_encoder_open(const struct config *config, struct input_encoder *encoder,
                               struct error *error) MUST_USE;
void input_encoder_close(struct input_encoder *encoder);

/* A message as it is sent; the views end with what they look into. */
struct encoded_input {
  uint8_t *data; /* the value; the caller frees it */
  size_t size;
  struct span key; /* the serial, or of a control message the record's name */
  struct event event;
};

/* Encodes and checks the fields of `record`, event_id and occurred_at among them. The first message
 * of a record may ask the registry for its id. STATUS_REFUSED says what is wrong with this one;
 * anything else but STATUS_OK: none of this record can be sent. */
enum status input_encode(struct input_encoder *encoder, enum input_record record,
                         const struct json_t *fields, struct encoded_input *encoded,
                         struct error *error) MUST_USE;

#endif
