#include "core/app/ask.h"

#include "core/app/outbox.h"

#include <stdio.h>
#include <uuid/uuid.h>

/* What the broker said of the one message. */
struct refusal {
  bool is_refused;
  struct error error;
};

static void take_refused(void *context, uint64_t tag, const char *reason) {
  (void)tag;
  struct refusal *const refusal = context;
  refusal->is_refused = true;
  snprintf(refusal->error.text, sizeof refusal->error.text, "%s", reason);
}

static enum status send_message(const struct config *config, const struct outgoing_message *message,
                                struct asked *asked, struct error *error) {
  struct outbox *outbox = NULL;
  struct refusal refusal = {0};
  enum status status = outbox_open(config, take_refused, &refusal, &outbox, error);
  if (status == STATUS_OK) {
    status = outbox_send(outbox, message, error);
  }
  if (status == STATUS_OK) {
    status = outbox_flush(outbox, error);
  }
  if (status == STATUS_OK && refusal.is_refused) {
    status = error_set(error, STATUS_REFUSED, "%s", refusal.error.text);
  }
  if (status == STATUS_OK) {
    outbox_last(outbox, &asked->partition, &asked->offset);
  }
  outbox_close(outbox);
  return status;
}

enum status ask_send(const struct config *config, enum input_record record,
                     const struct encoded_input *encoded, struct asked *asked,
                     struct error *error) {
  *asked = (struct asked){.topic = input_record_topic(record)};
  uuid_unparse_lower(encoded->event.event_id, asked->event_id);
  const struct outgoing_message message = {
      .topic = asked->topic, .key = encoded->key, .value = span_of(encoded->data, encoded->size)};
  return send_message(config, &message, asked, error);
}
