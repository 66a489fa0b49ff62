/* Devices as decided against the newest record of each on their topic, and their rows in the view.
 *
 * The topic is compacted, and what an earlier owner left is published once for all its batches:
 * so records in between come and go, and the newest of each device is what counts. Its last_sync_at
 * may be later than the change that it tells of. A note is kept for each device, as the lane keeps
 * its state: memory does not grow with the log. */
#include "core/app/clock.h"
#include "core/app/message_json.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"
#include "producers/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  BEHIND_MS = 6000,      /* rows may be 5 s behind */
  MARKERS_WAIT_MS = 100, /* see ask_end */
  SHORT_DIGEST_SIZE = 16
};

/* The last change of a device that its record shows, and the newest record found. */
struct device_note {
  uint64_t seq;
  int64_t at_ms, cause_offset, found_offset;
  const struct policy *policy; /* in force then */
  uint64_t headers, event_id;  /* the beginnings of their digests */
  uint8_t cause_topic;
  bool has_beside; /* these two are known; gone on from what an earlier call kept, they are not */
  bool is_found, is_as_encoded;
  uint8_t expected[SHORT_DIGEST_SIZE];
};

struct device_notes {
  struct device_note *items; /* by index in the lane */
  uint32_t count;
  struct digest *digest; /* kept: making one costs more than a short digest does */
};

static void short_digest(const struct device_notes *notes, struct span bytes,
                         uint8_t digest[SHORT_DIGEST_SIZE]) {
  uint8_t whole[DIGEST_SIZE];
  digest_update(notes->digest, bytes);
  digest_final(notes->digest, whole);
  memcpy(digest, whole, SHORT_DIGEST_SIZE);
}

static uint64_t tiny_digest(const struct device_notes *notes, struct span bytes) {
  uint8_t digest[SHORT_DIGEST_SIZE];
  uint64_t tiny = 0;
  if (bytes.size > 0) {
    short_digest(notes, bytes, digest);
    memcpy(&tiny, digest, sizeof tiny);
  }
  return tiny;
}

/* The device that a key names; INDEX_NONE when it is none of this lane's. */
static uint32_t index_of(const struct verify *verify, struct span key) {
  const struct lane *lane = &replay_state(verify->replay)->lane;
  const uint64_t number = device_id_parse(key);
  if (number <= lane->number || (number - 1 - lane->number) % lane->count != 0) {
    return INDEX_NONE;
  }
  const uint64_t index = (number - 1 - lane->number) / lane->count;
  return index < lane->device_count ? (uint32_t)index : INDEX_NONE;
}

/* The note of a device, of `count` that there are. */
static struct device_note *note_among(struct verify *verify, uint32_t index, uint32_t count) {
  if (verify->notes == NULL) {
    verify->notes = memory_zeroed(1, sizeof *verify->notes);
    verify->notes->digest = digest_open();
  }
  struct device_notes *notes = verify->notes;
  if (count > notes->count) {
    const uint32_t room = count + count / 2;
    notes->items = memory_grown(notes->items, room, sizeof *notes->items);
    memset(notes->items + notes->count, 0, (room - notes->count) * sizeof *notes->items);
    notes->count = room;
  }
  return &notes->items[index];
}

static struct device_note *note_of(struct verify *verify, uint32_t index) {
  return note_among(verify, index, replay_state(verify->replay)->lane.device_count);
}

void verify_note_devices(struct verify *verify) {
  const struct lane *lane = &replay_state(verify->replay)->lane;
  struct outgoing record;
  size_t position = 0;
  while (outgoing_next(replay_records(verify->replay), &position, &record)) {
    if (record.record != RECORD_DEVICE) {
      continue;
    }
    const uint32_t index = index_of(verify, record.key);
    assert(index != INDEX_NONE);
    const struct touch *touch = lane_touch_since(lane, index);
    assert(touch != NULL); /* a replay keeps its notes as long as its records */
    struct device_note *note = note_of(verify, index);
    note->seq = touch->seq;
    note->at_ms = touch->at_ms;
    note->cause_offset = touch->cause.offset;
    note->cause_topic = (uint8_t)touch->cause.topic;
    note->policy = touch->policy;
    note->headers = tiny_digest(verify->notes, record.headers);
    note->event_id = touch->cause.has_event_id
                         ? tiny_digest(verify->notes, span_of(touch->cause.event_id, EVENT_ID_SIZE))
                         : 0;
    note->has_beside = true;
    short_digest(verify->notes, record.value, note->expected);
  }
}

void verify_put_notes(const struct verify *verify, struct device_changes *changes,
                      struct buffer *bytes) {
  const uint32_t count = replay_state(verify->replay)->lane.device_count;
  device_changes_reach(changes, count);
  buffer_append_u32(bytes, count);
  for (uint32_t i = 0; i < count; i++) {
    const struct device_note *note = &verify->notes->items[i];
    struct device_change *change = &changes->items[i];
    change->seq = note->seq;
    change->at_ms = note->at_ms;
    change->cause_offset = note->cause_offset;
    change->cause_topic = note->cause_topic;
    change->policy = note->policy;
    buffer_append(bytes, note->expected, SHORT_DIGEST_SIZE);
  }
}

void verify_take_notes(struct verify *verify, struct binary *binary) {
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    struct device_note *note = note_among(verify, i, count);
    binary_take_bytes(binary, note->expected, SHORT_DIGEST_SIZE);
  }
}

void verify_take_changes(struct verify *verify, const struct device_changes *changes) {
  for (uint32_t i = 0; i < changes->count; i++) {
    const struct device_change *change = &changes->items[i];
    struct device_note *note = note_among(verify, i, changes->count);
    note->seq = change->seq;
    note->at_ms = change->at_ms;
    note->cause_offset = change->cause_offset;
    note->cause_topic = change->cause_topic;
    note->policy = change->policy;
  }
}

void verify_close_notes(struct verify *verify) {
  if (verify->notes != NULL) {
    digest_close(verify->notes->digest);
    free(verify->notes->items);
    free(verify->notes);
  }
}

/* Of an event's id only a digest is kept: what has that digest is taken for it. */
static void take_event_id(const struct verify *verify, const struct device_note *note,
                          json_t *expected, const json_t *found) {
  const char *text = json_string_value(json_object_get(found, "event_id"));
  uint8_t id[EVENT_ID_SIZE] = {0};
  size_t digits = 0;
  for (; text != NULL && *text != '\0'; text++) {
    const char *const digit = strchr("0123456789abcdef", *text);
    if (digit != NULL && digits < 2 * EVENT_ID_SIZE) {
      id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | (digit - "0123456789abcdef"));
      digits++;
    }
  }
  const uint64_t is = digits == 0 ? 0 : tiny_digest(verify->notes, span_of(id, sizeof id));
  if (!note->has_beside || is == note->event_id) {
    json_object_set(expected, "event_id", json_object_get(found, "event_id"));
  } else {
    json_object_set_new(expected, "event_id", json_string("another"));
  }
}

/* The device as it was decided, without its event's id and traceparent. */
static void make_image(struct verify *verify, uint32_t index,
                       uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE],
                       struct device_image *image) {
  const struct device_note *note = note_of(verify, index);
  lane_image(&replay_state(verify->replay)->lane, index, NULL, ids, image);
  image->seq = note->seq;
  image->at_ms = note->at_ms;
  image->policy = note->policy != NULL ? note->policy->version : image->policy;
  image->cause = (struct cause){.topic = note->cause_topic, .offset = note->cause_offset};
}

void verify_make_device_row(struct verify *verify, uint32_t index, struct buffer *rows) {
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  make_image(verify, index, ids, &image);
  image.is_changed = true;
  store_append_device(rows, &image);
}

/* The device's record as it was decided. */
static json_t *expected_value(struct verify *verify, uint32_t index) {
  const struct lane_state *state = replay_state(verify->replay);
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  struct buffer records = {0};
  struct outgoing record;
  size_t position = 0;
  make_image(verify, index, ids, &image);
  encode_device(replay_encoding(verify->replay), &image, lane_state_address(state, image.person),
                &records);
  const bool is_there = outgoing_next(buffer_span(&records), &position, &record);
  assert(is_there);
  json_t *const value = json_of_value(replay_schemas(verify->replay), record.value);
  buffer_fini(&records);
  return value;
}

/* An address that is null has been erased since. */
static void excuse_erased(struct verify *verify, json_t *expected, const json_t *found) {
  if (json_is_null(json_object_get(found, "user_email")) &&
      json_is_string(json_object_get(expected, "user_email"))) {
    json_object_set_new(expected, "user_email", json_null());
    verify->result->erased++;
  }
}

static void diverge(struct verify *verify, const char *what, uint32_t index, json_t *at,
                    json_t *expected, json_t *found) {
  char id[DEVICE_ID_SIZE];
  device_id_format(lane_device_number(&replay_state(verify->replay)->lane, index), id);
  json_t *finding = finding_begin(what, verify->options->lane, verify->last.batch);
  json_object_set_new(finding, "device_id", json_string(id));
  json_object_set_new(finding, "at", at);
  finding_explain(finding, "%s is not as it was decided", id);
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
}

static json_t *place(const struct verify *verify, int64_t offset) {
  char name[256];
  snprintf(name, sizeof name, "%s%s", verify->options->config->kafka.topic_prefix,
           record_topic_name(RECORD_DEVICE));
  return json_pack("{s:s, s:I, s:I}", "topic", name, "partition", (json_int_t)verify->options->lane,
                   "offset", (json_int_t)offset);
}

static bool has_headers(const struct verify *verify, const struct device_note *note,
                        const struct outgoing *message) {
  return !note->has_beside || note->headers == tiny_digest(verify->notes, message->headers);
}

/* A record that is not the bytes decided last: the same, or another device state? */
static void compare_value(struct verify *verify, uint32_t index, const struct found_record *found) {
  json_t *const expected = expected_value(verify, index);
  json_t *const value = found->message.value_is_null
                            ? json_null()
                            : json_of_value(replay_schemas(verify->replay), found->message.value);
  const struct device_note *note = note_of(verify, index);
  json_object_del(expected, "last_sync_at");
  json_object_del(value, "last_sync_at");
  take_event_id(verify, note, expected, value);
  excuse_erased(verify, expected, value);
  verify_name_unknown(verify, expected, value);
  if (json_is_object(value)) { /* what stands beside the value */
    json_object_set_new(expected, "timestamp", json_integer(note->at_ms));
    json_object_set_new(value, "timestamp", json_integer(found->message.timestamp_ms));
    json_object_set_new(expected, "headers_are_as_decided", json_true());
    json_object_set_new(value, "headers_are_as_decided",
                        json_boolean(has_headers(verify, note, &found->message)));
  }
  if (json_equal(expected, value)) {
    json_decref(expected);
    json_decref(value);
    verify->result->devices++;
    return;
  }
  diverge(verify, found->message.value_is_null ? "device deleted" : "device changed", index,
          place(verify, found->offset), expected, value);
}

static void find_stranger(struct verify *verify, const struct found_record *found) {
  json_t *finding = finding_begin("device surplus", verify->options->lane, verify->last.batch);
  json_object_set_new(finding, "at", place(verify, found->offset));
  finding_explain(finding, "no device of this lane has that key");
  finding_compare(finding, NULL,
                  finding_of_message(replay_schemas(verify->replay), &found->message));
  verify_diverge(verify, finding);
}

static bool is_as_encoded(const struct verify *verify, const struct device_note *note,
                          const struct outgoing *message) {
  uint8_t digest[SHORT_DIGEST_SIZE];
  short_digest(verify->notes, message->value, digest);
  return memcmp(note->expected, digest, SHORT_DIGEST_SIZE) == 0 &&
         message->timestamp_ms == note->at_ms && has_headers(verify, note, message);
}

/* Notes the newest record of each device. */
static enum status read_newest(struct verify *verify) {
  const struct found_record *found;
  for (;;) {
    const enum status status = found_peek(verify->found, RECORD_DEVICE, 0, &found, verify->error);
    if (status != STATUS_OK || found == NULL || verify_is_over(verify)) {
      return status;
    }
    const uint32_t index = index_of(verify, found->message.key);
    if (index == INDEX_NONE) {
      find_stranger(verify, found);
      return STATUS_OK;
    }
    struct device_note *note = note_of(verify, index);
    note->found_offset = found->offset;
    note->is_found = true;
    note->is_as_encoded = is_as_encoded(verify, note, &found->message);
    found_pop(verify->found, RECORD_DEVICE);
  }
}

/* The newest records that are not the bytes decided last are read once more. */
static enum status compare_newest(struct verify *verify) {
  const struct found_record *found;
  enum status status = found_rewind_devices(verify->found, verify->error);
  while (status == STATUS_OK && !verify_is_over(verify)) {
    status = found_peek(verify->found, RECORD_DEVICE, 0, &found, verify->error);
    if (status != STATUS_OK || found == NULL) {
      return status;
    }
    const uint32_t index = index_of(verify, found->message.key);
    const struct device_note *note = index == INDEX_NONE ? NULL : note_of(verify, index);
    if (note != NULL && note->found_offset == found->offset && !note->is_as_encoded) {
      compare_value(verify, index, found);
    }
    found_pop(verify->found, RECORD_DEVICE);
  }
  return status;
}

/* Asks where the topic ends, and only then whether the journal goes on: what is compared belongs to
 * batches that were decided again. A transaction's markers come to its partitions one after the
 * other: what shows here already shows there a moment later. */
static enum status ask_end(struct verify *verify, bool *goes_on) {
  bool has_more;
  enum status status = found_open_devices(verify->found, verify->error);
  *goes_on = false;
  if (status == STATUS_OK) {
    status = found_look_again(verify->found, RECORD_DEVICE, &has_more, verify->error);
  }
  if (status == STATUS_OK && !verify->options->reads_journal_from_database) {
    nanosleep(&(struct timespec){.tv_nsec = MARKERS_WAIT_MS * 1000000}, NULL);
    status = found_look_again(verify->found, RECORD_JOURNAL, goes_on, verify->error);
  }
  return status;
}

enum status verify_device_topic(struct verify *verify, bool *goes_on) {
  const uint32_t count = replay_state(verify->replay)->lane.device_count;
  uint32_t other_count = 0;
  enum status status = ask_end(verify, goes_on);
  if (status != STATUS_OK || *goes_on) {
    return status;
  }
  verify->result->devices = 0;
  status = read_newest(verify);
  for (uint32_t i = 0; i < count && status == STATUS_OK && !verify_is_over(verify); i++) {
    const struct device_note *note = note_of(verify, i);
    if (!note->is_found) {
      diverge(verify, "device missing", i, place(verify, -1), expected_value(verify, i), NULL);
    } else if (note->is_as_encoded) {
      verify->result->devices++;
    } else {
      other_count++;
    }
  }
  return status == STATUS_OK && other_count > 0 && !verify_is_over(verify) ? compare_newest(verify)
                                                                           : status;
}

/* The view. ------------------------------------------------------------------------------ */

struct view {
  struct verify *verify;
  uint32_t next;
};

static enum status take_device(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct view *view = context;
  struct verify *verify = view->verify;
  if (verify_is_over(verify)) {
    return STATUS_OK;
  }
  json_t *const found = json_loadb((const char *)values[0].data, values[0].size, 0, NULL);
  const uint32_t index =
      index_of(verify, span_text(json_string_value(json_object_get(found, "device_id"))));
  json_t *const at = json_string("PostgreSQL, muster.devices");
  if (index != view->next) {
    json_t *const expected = view->next < replay_state(verify->replay)->lane.device_count
                                 ? expected_value(verify, view->next)
                                 : NULL;
    diverge(verify, expected == NULL ? "row surplus" : "row missing",
            expected == NULL ? view->next - 1 : view->next, at, expected, found);
    return STATUS_OK;
  }
  view->next++;
  json_t *const expected = expected_value(verify, index);
  message_json_times(expected);
  take_event_id(verify, note_of(verify, index), expected, found);
  excuse_erased(verify, expected, found);
  verify_name_unknown(verify, expected, found);
  if (json_equal(expected, found)) {
    json_decref(expected);
    json_decref(found);
    json_decref(at);
    verify->result->rows++;
  } else {
    diverge(verify, "row changed", index, at, expected, found);
  }
  return STATUS_OK;
}

/* The columns that the records have, too; times as text. */
static const char devices_sql[] =
    "SELECT to_jsonb(d) - '{next_action,next_action_at}'::text[] || jsonb_build_object("
    "'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), "
    "'noncompliant_since', to_char(noncompliant_since AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), "
    "'overdue_since', to_char(overdue_since AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), "
    "'last_sync_at', to_char(last_sync_at AT TIME ZONE 'UTC', "
    "'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')) "
    "FROM muster.devices d WHERE lane = $1::integer ORDER BY length(device_id), device_id "
    "COLLATE \"C\"";

static enum status read_view(struct verify *verify) {
  struct view view = {.verify = verify};
  char lane[16];
  const char *const parameters[] = {lane};
  snprintf(lane, sizeof lane, "%" PRIu32, verify->options->lane);
  const enum status status = database_query(verify->database, devices_sql, parameters, 1,
                                            take_device, &view, verify->error);
  if (status == STATUS_OK && !verify_is_over(verify) &&
      view.next < replay_state(verify->replay)->lane.device_count) {
    diverge(verify, "row missing", view.next, json_string("PostgreSQL, muster.devices"),
            expected_value(verify, view.next), NULL);
  }
  return status == STATUS_OK && !verify_is_over(verify) ? verify_table_devices(verify) : status;
}

/* While a run goes on, rows may be behind, and ahead of what is published: a difference counts when
 * it stays, and nothing is published meanwhile. */
enum status verify_device_view(struct verify *verify, bool *goes_on) {
  const struct verify_result before = *verify->result;
  enum status status = read_view(verify);
  *goes_on = false;
  if (status != STATUS_OK || !verify_is_over(verify)) {
    return status;
  }
  nanosleep(&(struct timespec){.tv_sec = BEHIND_MS / 1000}, NULL);
  json_decref(verify->result->finding);
  *verify->result = before;
  status = verify_await_journal(verify, goes_on);
  return status == STATUS_OK && !*goes_on ? read_view(verify) : status;
}
