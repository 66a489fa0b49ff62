#include "producers/store_gap.h"

#include "producers/store_internal.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>

static void script_gap(struct buffer *script, uint32_t lane, const struct lane_gap *gap) {
  store_script(script,
               "INSERT INTO muster.gap (lane, topic, from_offset, to_offset, or_offset, problem) "
               "VALUES (%" PRIu32 ", %d, %" PRId64 ", %" PRId64 ", ",
               lane, (int)gap->topic, gap->from, gap->to);
  if (gap->has_other) {
    store_script(script, "%" PRId64, gap->other);
  } else {
    store_script(script, "NULL");
  }
  store_script(script, ", convert_from(");
  store_script_bytes(script, span_text(gap->problem));
  store_script(script, ", 'UTF8'));");
}

enum status store_note_gaps(struct store *store, const struct ownership_of_lane *lane,
                            const struct lane_gap *gaps, size_t count, struct error *error) {
  struct buffer script = {0};
  store_script(&script, "BEGIN; SELECT muster.fence(%" PRIu32 ", %" PRId64 ", encode(", lane->lane,
               lane->epoch);
  store_script_bytes(&script, span_of(lane->owner, OWNER_SIZE));
  store_script(&script, ", 'hex')::uuid, 0, 0); DELETE FROM muster.gap WHERE lane = %" PRIu32 ";",
               lane->lane);
  for (size_t i = 0; i < count; i++) {
    script_gap(&script, lane->lane, &gaps[i]);
  }
  store_script(&script,
               "DELETE FROM muster.gap_request r WHERE r.lane = %" PRIu32
               " AND NOT EXISTS (SELECT FROM muster.gap g WHERE g.lane = r.lane AND "
               "g.topic = r.topic AND g.from_offset = r.from_offset AND "
               "r.to_offset IN (g.to_offset, g.or_offset)); COMMIT",
               lane->lane);
  const enum status status = store_query(store->connection, (const char *)script.data,
                                         "note what the lane lacks", NULL, error);
  buffer_fini(&script);
  return status;
}

static void read_request(void *context, struct row_reader *reader) {
  struct gap_request *request = context;
  struct journal_gap *gap = &request->gap;
  const int64_t topic = row_integer(reader, -1);
  gap->from = row_integer(reader, 0);
  gap->to = row_integer(reader, 0);
  gap->asked_at_ms = row_time(reader);
  row_copy(reader, gap->event_id, EVENT_ID_SIZE);
  const struct span email = row_span(reader);
  const struct span reason = row_span(reader);
  if (topic < 0 || topic >= TOPIC_COUNT || reason.size > NOTE_SIZE_MAX ||
      email.size > USER_EMAIL_SIZE_MAX) {
    reader->is_bad = true;
    return;
  }
  request->is_there = gap->is_set = true;
  gap->topic = (enum topic)topic;
  gap->has_actor = email.size > 0;
  snprintf(request->user_email, sizeof request->user_email, "%.*s", (int)email.size,
           (const char *)email.data);
  snprintf(gap->reason, sizeof gap->reason, "%.*s", (int)reason.size, (const char *)reason.data);
}

enum status store_find_gap_request(struct store *store, uint32_t lane, struct gap_request *request,
                                   struct error *error) {
  *request = (struct gap_request){0};
  char select[256];
  snprintf(select, sizeof select,
           "SELECT topic, from_offset, to_offset, asked_at, event_id, user_email, reason "
           "FROM muster.gap_request WHERE lane = %" PRIu32 " ORDER BY asked_at, event_id LIMIT 1",
           lane);
  return store_stream(store->connection, select, "read what is to be accepted", read_request,
                      request, error);
}
