#include "core/app/snapshot_ask.h"

#include "core/app/clock.h"
#include "core/app/recorded.h"
#include "core/app/request.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>

enum { LOOK_EVERY_MS = 200 };

enum status snapshot_ask(const struct command_line *line, const char *admin, const char *timeout,
                         int64_t *offset, struct error *error) {
  const char *const patience[REQUEST_OPTION_COUNT] = {[REQUEST_TIMEOUT] = timeout};
  json_t *const fields = json_object();
  struct asked asked;
  enum status status = request_actor(fields, line, "snapshot create", admin, error);
  if (status != STATUS_OK) {
    json_decref(fields);
    return status;
  }
  const struct request request = {
      .command = "snapshot create", .record = INPUT_STATE, .fields = fields, .patience = patience};
  status = request_grant(line, &request, &asked, error);
  *offset = asked.offset;
  return status;
}

/* 0: it is not in the journal yet. */
static enum status find_batch(const struct config *config, const struct schemas *schemas,
                              uint32_t lane, int64_t offset, uint64_t *batch, struct error *error) {
  struct recorded_batches told = {0};
  const enum status status = recorded_read_told(config, schemas, lane, &told, error);
  *batch = 0;
  for (size_t i = 0; i < told.count; i++) {
    const struct journal_row *row = &told.items[i].row;
    if (row->ranges[TOPIC_CONTROL].to == offset + 1) {
      *batch = row->batch;
      break; /* behind it the control topic may have stood still */
    }
  }
  recorded_fini(&told);
  return status;
}

enum status snapshot_await(const struct config *config, const struct schemas *schemas,
                           uint32_t lane, int64_t offset, int64_t deadline_mono_ms, uint64_t *batch,
                           struct error *error) {
  for (;;) {
    const enum status status = find_batch(config, schemas, lane, offset, batch, error);
    if (status != STATUS_OK || *batch > 0) {
      return status;
    }
    if (clock_mono_ms() >= deadline_mono_ms) {
      return error_set(error, STATUS_UNAVAILABLE,
                       "snapshot create: lane %" PRIu32 " has not told its state in time, which "
                       "%scontrol asks for at offset %" PRId64
                       ": muster status tells how far it is",
                       lane, config->kafka.topic_prefix, offset);
    }
    poll(NULL, 0, LOOK_EVERY_MS);
  }
}
