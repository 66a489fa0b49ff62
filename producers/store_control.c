/* Control messages that changed what a lane knows: one row each, and each policy's text once. */
#include "producers/store_internal.h"

#include "core/time_text.h"

#include <inttypes.h>
#include <string.h>

static void put_text(struct buffer *script, struct span text) {
  if (text.size == 0) {
    store_script(script, ", NULL");
  } else {
    store_script(script, ", convert_from(");
    store_script_bytes(script, text);
    store_script(script, ", 'UTF8')");
  }
}

static void put_bytes(struct buffer *script, struct span bytes) {
  if (bytes.size == 0) {
    store_script(script, ", NULL");
  } else {
    store_script(script, ", ");
    store_script_bytes(script, bytes);
  }
}

/* Every lane keeps it, the first of them does. */
static void append_policy(struct buffer *script, const struct policy_change *policy,
                          struct rule_names rules) {
  store_script(script, "SELECT muster.keep_policy(convert_from(");
  store_script_bytes(script, policy->version);
  store_script(script, ", 'UTF8')");
  put_bytes(script, span_of(policy->hash, sizeof policy->hash));
  put_text(script, policy->text);
  store_script(script, ", ARRAY[");
  for (uint32_t i = 0; i < rules.count; i++) {
    store_script(script, "%sconvert_from(", i > 0 ? ", " : "");
    store_script_bytes(script, span_text(rules.ids[i]));
    store_script(script, ", 'UTF8')");
  }
  store_script(script, "]::text[]);");
}

void store_append_control(struct buffer *rows, uint32_t lane, const struct store_control *control,
                          struct rule_names rules) {
  const struct event *event = &control->event;
  struct control_change change;
  const bool is_kept = event_control_change(event, &change);
  assert(is_kept);
  const bool has_subject = event->user.email.size > 0;
  char at[TIME_TEXT_SIZE];
  if (event->kind == EVENT_POLICY) {
    append_policy(rows, &event->policy, rules);
  }
  time_format(control->at_ms, at);
  store_script(rows,
               "INSERT INTO muster.control_row (lane, batch, control_offset, at, kind, symbol, "
               "is_off, event_id, name, serial, subject, traceparent) VALUES (%" PRIu32 ", %" PRIu64
               ", %" PRId64 ", '%s', %d, %" PRIu32 ", %s, encode(",
               lane, control->batch, control->cause.offset, at, (int)event->kind, change.symbol,
               change.is_off ? "true" : "false");
  store_script_bytes(rows, span_of(control->cause.event_id, EVENT_ID_SIZE));
  store_script(rows, ", 'hex')::uuid");
  put_text(rows, change.name);
  put_text(rows, event->serial);
  put_bytes(rows, has_subject ? span_of(event->user.subject, SUBJECT_SIZE) : span_of("", 0));
  put_bytes(rows, control->cause.traceparent);
  store_script(rows, ");");
}

static void read_change(struct row_reader *reader, struct event *event) {
  struct control_change change;
  change.symbol = (uint32_t)row_integer(reader, 0);
  change.is_off = row_integer(reader, 0) != 0;
  change.name = row_span(reader);
  if (!event_take_control_change(event, &change)) {
    reader->is_bad = true;
  }
}

struct control_stream {
  store_control_fn each;
  void *context;
};

static void hand_control(void *context, struct row_reader *reader) {
  const struct control_stream *stream = context;
  struct store_control control = {.cause = {.topic = TOPIC_CONTROL, .has_event_id = true}};
  struct event *event = &control.event;
  control.batch = (uint64_t)row_integer(reader, 0);
  control.cause.offset = row_integer(reader, 0);
  control.at_ms = row_time(reader);
  row_copy(reader, event->event_id, EVENT_ID_SIZE);
  memcpy(control.cause.event_id, event->event_id, EVENT_ID_SIZE);
  control.cause.traceparent = row_span(reader);
  event->kind = (enum event_kind)row_integer(reader, 0);
  read_change(reader, event);
  event->serial = row_span(reader);
  struct span subject;
  if (row_bytes(reader, &subject) && subject.size == SUBJECT_SIZE) {
    memcpy(event->user.subject, subject.data, SUBJECT_SIZE);
    event->user.email = subject; /* somebody is named */
  }
  const struct span hash = row_span(reader);
  const struct span text = row_span(reader);
  if (event->kind == EVENT_POLICY) {
    memcpy(event->policy.hash, hash.data,
           hash.size < sizeof event->policy.hash ? hash.size : sizeof event->policy.hash);
    event->policy.text = text;
  }
  if (!reader->is_bad) {
    stream->each(stream->context, &control);
  }
}

enum status store_load_control(struct store *store, uint32_t lane, uint64_t batch,
                               store_control_fn each, void *context, struct error *error) {
  struct control_stream stream = {.each = each, .context = context};
  struct buffer select = {0};
  store_script(&select,
               "SELECT c.batch, c.control_offset, c.at, c.event_id, c.traceparent, c.kind, "
               "c.symbol, c.is_off, c.name, c.serial, c.subject, y.hash, y.content "
               "FROM muster.control_row c "
               "LEFT JOIN muster.policy y ON c.kind = %d AND y.version = c.name "
               "WHERE c.lane = %" PRIu32 " AND c.batch <= %" PRIu64
               " ORDER BY c.batch, c.control_offset",
               (int)EVENT_POLICY, lane, batch);
  const enum status status =
      store_stream(store->connection, (const char *)select.data, "read what control messages said",
                   hand_control, &stream, error);
  buffer_fini(&select);
  return status;
}
