#include "core/app/snapshot.h"

#include "core/app/digest.h"

#include <stdio.h>
#include <stdlib.h>

static const char magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'S', 'N'};

enum { VERSION = 1 };

/* A field that a device gains must be written here, too. */
static_assert(sizeof(struct device) == 88, "the snapshot's form follows the device");

/* Changes. -------------------------------------------------------------------------------- */

void device_changes_reach(struct device_changes *changes, uint32_t count) {
  while (changes->count < count) {
    changes->items = memory_grow(&heap_memory, changes->items, changes->count, &changes->capacity,
                                 sizeof *changes->items);
    changes->items[changes->count++] = (struct device_change){.at_ms = TIME_NONE};
  }
}

void device_changes_note(struct device_changes *changes, const struct lane *lane) {
  device_changes_reach(changes, lane->device_count);
  for (uint32_t i = 0; i < lane->touches.count; i++) {
    const struct touch *touch = &lane->touches.items[i];
    if (!touch->is_changed) {
      continue;
    }
    struct device_change *change = &changes->items[touch->device];
    *change = (struct device_change){.seq = touch->seq,
                                     .at_ms = touch->at_ms,
                                     .cause_offset = touch->cause.offset,
                                     .cause_topic = (uint8_t)touch->cause.topic,
                                     .has_event_id = touch->cause.has_event_id};
    memcpy(change->event_id, touch->cause.event_id, EVENT_ID_SIZE);
  }
}

void device_changes_fini(struct device_changes *changes) {
  free(changes->items);
  *changes = (struct device_changes){0};
}

void snapshot_fini(struct snapshot *snapshot) {
  buffer_fini(&snapshot->environment);
  lane_state_close(snapshot->state);
  device_changes_fini(&snapshot->changes);
  *snapshot = (struct snapshot){0};
}

/* Writing. -------------------------------------------------------------------------------- */

static void put_i64(struct buffer *bytes, int64_t value) {
  buffer_append_u64(bytes, (uint64_t)value);
}

static void put_text(struct buffer *bytes, struct span text) {
  assert(text.size <= UINT16_MAX);
  buffer_append_u16(bytes, (uint16_t)text.size);
  buffer_append(bytes, text.data, text.size);
}

static void put_head(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct lane *lane = &snapshot->state->lane;
  const struct journal_row *row = &snapshot->row;
  buffer_append(bytes, magic, sizeof magic);
  buffer_append_u16(bytes, VERSION);
  buffer_append_u8(bytes, snapshot->has_addresses ? 1 : 0);
  buffer_append_u32(bytes, lane->number);
  buffer_append_u32(bytes, lane->count);
  buffer_append_u64(bytes, row->batch);
  buffer_append_u64(bytes, row->last_seq);
  buffer_append_u64(bytes, lane->dead_letter_count);
  put_i64(bytes, lane->clock_ms);
  put_i64(bytes, row->clock_after_ms);
  put_i64(bytes, snapshot->epoch);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    put_i64(bytes, row->ranges[topic].to);
    buffer_append(bytes, row->last_message[topic], DIGEST_SIZE);
  }
  buffer_append(bytes, row->chain, DIGEST_SIZE);
  buffer_append(bytes, row->environment, DIGEST_SIZE);
  buffer_append_u32(bytes, (uint32_t)snapshot->environment.size);
  buffer_append(bytes, snapshot->environment.data, snapshot->environment.size);
}

static void put_persons(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct persons *persons = &snapshot->state->lane.persons;
  buffer_append_u32(bytes, persons->count);
  for (uint32_t i = 0; i < persons->count; i++) {
    buffer_append(bytes, persons->items[i].subject, SUBJECT_SIZE);
    if (snapshot->has_addresses) {
      put_text(bytes, lane_state_address(snapshot->state, i));
    }
  }
}

static void put_state(struct buffer *bytes, const struct device *device) {
  const int64_t times[] = {device->pending_since_ms,     device->last_sync_at_ms,
                           device->noncompliant_since_ms, device->clean_since_ms,
                           device->antivirus_signatures_at_ms};
  const uint8_t small[] = {
      device->platform,          device->profile,
      device->ownership,         device->status,
      device->compliance,        device->stage,
      device->antivirus_enabled, device->disk_encrypted,
      device->mail_held,         device->overdue_stage,
      device->overdue_mail_held, (uint8_t)(device->has_screen_lock_pin_length ? 1 : 0),
      (uint8_t)((device->email_blocked ? 1 : 0) | (device->sap_blocked ? 2 : 0) |
                (device->ticket_open ? 4 : 0)),
  };
  buffer_append_u32(bytes, device->episode);
  buffer_append_u32(bytes, (uint32_t)device->screen_lock_pin_length);
  buffer_append_u32(bytes, device->violations);
  for (size_t i = 0; i < COUNT_OF(times); i++) {
    put_i64(bytes, times[i]);
  }
  buffer_append(bytes, small, sizeof small);
}

static void put_change(struct buffer *bytes, const struct device_change *change) {
  buffer_append_u64(bytes, change->seq);
  put_i64(bytes, change->at_ms);
  put_i64(bytes, change->cause_offset);
  buffer_append_u8(bytes, change->cause_topic);
  buffer_append_u8(bytes, change->has_event_id ? 1 : 0);
  buffer_append(bytes, change->event_id, EVENT_ID_SIZE);
}

static void put_devices(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct lane *lane = &snapshot->state->lane;
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  assert(snapshot->changes.count == lane->device_count);
  buffer_append_u32(bytes, lane->device_count);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    lane_image(lane, i, NULL, ids, &image);
    put_text(bytes, image.serial);
    put_text(bytes, image.os_version);
    buffer_append_u32(bytes, image.person);
    put_state(bytes, &image.state);
    put_text(bytes, image.enrollment_ids);
    put_change(bytes, &snapshot->changes.items[i]);
  }
}

void snapshot_write(const struct snapshot *snapshot, struct buffer *bytes) {
  const size_t begin = bytes->size;
  uint8_t digest[DIGEST_SIZE];
  put_head(snapshot, bytes);
  put_persons(snapshot, bytes);
  put_devices(snapshot, bytes);
  digest_of(span_of(bytes->data + begin, bytes->size - begin), digest);
  buffer_append(bytes, digest, DIGEST_SIZE);
}

/* Reading. -------------------------------------------------------------------------------- */

/* What is left; once something was too short, everything reads as zeros. */
struct input {
  struct span rest;
  bool is_short;
};

static struct span take(struct input *input, size_t size) {
  static const uint8_t zeros[DIGEST_SIZE];
  if (input->is_short || size > input->rest.size) {
    input->is_short = true;
    return span_of(zeros, size < sizeof zeros ? size : 0);
  }
  const struct span taken = span_of(input->rest.data, size);
  input->rest = span_of(input->rest.data + size, input->rest.size - size);
  return taken;
}

static uint64_t take_number(struct input *input, size_t size) {
  const struct span bytes = take(input, size);
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size; i++) {
    value = value << 8 | bytes.data[i];
  }
  return value;
}

static int64_t take_i64(struct input *input) {
  return (int64_t)take_number(input, 8);
}

static uint32_t take_u32(struct input *input) {
  return (uint32_t)take_number(input, 4);
}

static uint8_t take_u8(struct input *input) {
  return (uint8_t)take_number(input, 1);
}

static void take_digest(struct input *input, uint8_t digest[DIGEST_SIZE]) {
  memcpy(digest, take(input, DIGEST_SIZE).data, DIGEST_SIZE);
}

static struct span take_text(struct input *input) {
  return take(input, take_number(input, 2));
}

static bool take_head(struct input *input, struct snapshot *snapshot) {
  struct journal_row *row = &snapshot->row;
  snapshot->has_addresses = take_u8(input) == 1;
  row->lane = take_u32(input);
  const uint32_t lane_count = take_u32(input);
  if (row->lane >= lane_count) {
    return false;
  }
  snapshot->state = lane_state_open(row->lane, lane_count);
  struct lane *lane = &snapshot->state->lane;
  row->batch = lane->batch = take_number(input, 8);
  row->last_seq = lane->seq = take_number(input, 8);
  lane->dead_letter_count = take_number(input, 8);
  lane->clock_ms = take_i64(input);
  row->clock_after_ms = take_i64(input);
  snapshot->epoch = take_i64(input);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    row->ranges[topic].from = row->ranges[topic].to = take_i64(input);
    take_digest(input, row->last_message[topic]);
  }
  take_digest(input, row->chain);
  take_digest(input, row->environment);
  const struct span environment = take(input, take_u32(input));
  buffer_append(&snapshot->environment, environment.data, environment.size);
  return !input->is_short;
}

static bool take_persons(struct input *input, struct snapshot *snapshot) {
  const uint32_t count = take_u32(input);
  for (uint32_t i = 0; i < count && !input->is_short; i++) {
    uint8_t subject[SUBJECT_SIZE];
    bool is_new;
    memcpy(subject, take(input, SUBJECT_SIZE).data, SUBJECT_SIZE);
    const struct span email = snapshot->has_addresses ? take_text(input) : (struct span){0};
    lane_state_person(snapshot->state, subject, email, &is_new);
    if (!is_new) {
      return false;
    }
  }
  return !input->is_short;
}

static void take_state(struct input *input, struct device *device) {
  int64_t *const times[] = {&device->pending_since_ms, &device->last_sync_at_ms,
                            &device->noncompliant_since_ms, &device->clean_since_ms,
                            &device->antivirus_signatures_at_ms};
  uint8_t *const small[] = {
      &device->platform,          &device->profile,       &device->ownership,
      &device->status,            &device->compliance,    &device->stage,
      &device->antivirus_enabled, &device->disk_encrypted, &device->mail_held,
      &device->overdue_stage,     &device->overdue_mail_held,
  };
  device->episode = take_u32(input);
  device->screen_lock_pin_length = (int32_t)take_u32(input);
  device->violations = take_u32(input);
  for (size_t i = 0; i < COUNT_OF(times); i++) {
    *times[i] = take_i64(input);
  }
  for (size_t i = 0; i < COUNT_OF(small); i++) {
    *small[i] = take_u8(input);
  }
  device->has_screen_lock_pin_length = take_u8(input) == 1;
  const uint8_t flags = take_u8(input);
  device->email_blocked = (flags & 1) != 0;
  device->sap_blocked = (flags & 2) != 0;
  device->ticket_open = (flags & 4) != 0;
}

/* Numbers that are looked up in tables. */
static bool is_sane(const struct lane *lane, const struct device_image *image) {
  const struct device *device = &image->state;
  return image->serial.size > 0 && image->serial.size <= SERIAL_SIZE_MAX &&
         image->os_version.size <= OS_VERSION_SIZE_MAX &&
         image->enrollment_ids.size % EVENT_ID_SIZE == 0 &&
         image->enrollment_ids.size <= (size_t)ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE &&
         image->person < lane->persons.count && device->platform < PLATFORM_COUNT &&
         device->profile < PROFILE_COUNT && device->ownership < OWNERSHIP_COUNT &&
         device->status < DEVICE_STATUS_COUNT && device->compliance < COMPLIANCE_COUNT &&
         device->antivirus_enabled <= TRI_TRUE && device->disk_encrypted <= TRI_TRUE &&
         device->stage <= POLICY_STAGES_MAX && device->mail_held <= device->stage &&
         device->overdue_stage <= POLICY_STAGES_MAX + 1 &&
         device->overdue_mail_held <= POLICY_STAGES_MAX &&
         lane_find(lane, image->serial) == INDEX_NONE;
}

static bool take_change(struct input *input, struct device_change *change) {
  change->seq = take_number(input, 8);
  change->at_ms = take_i64(input);
  change->cause_offset = take_i64(input);
  change->cause_topic = take_u8(input);
  change->has_event_id = take_u8(input) == 1;
  memcpy(change->event_id, take(input, EVENT_ID_SIZE).data, EVENT_ID_SIZE);
  return change->cause_topic < TOPIC_COUNT;
}

static bool take_devices(struct input *input, struct snapshot *snapshot) {
  struct lane *lane = &snapshot->state->lane;
  const uint32_t count = take_u32(input);
  for (uint32_t i = 0; i < count && !input->is_short; i++) {
    struct device_image image = {.number = lane_device_number(lane, i)};
    image.serial = take_text(input);
    image.os_version = take_text(input);
    image.person = take_u32(input);
    take_state(input, &image.state);
    image.enrollment_ids = take_text(input);
    device_changes_reach(&snapshot->changes, i + 1);
    if (!take_change(input, &snapshot->changes.items[i]) || input->is_short ||
        !is_sane(lane, &image)) {
      return false;
    }
    memcpy(image.subject, lane->persons.items[image.person].subject, SUBJECT_SIZE);
    lane_restore(lane, &image);
  }
  snapshot->row.device_count = lane->device_count;
  return !input->is_short;
}

static bool has_digest(struct span bytes) {
  uint8_t digest[DIGEST_SIZE];
  if (bytes.size < sizeof magic + 2 + DIGEST_SIZE) {
    return false;
  }
  digest_of(span_of(bytes.data, bytes.size - DIGEST_SIZE), digest);
  return memcmp(digest, bytes.data + bytes.size - DIGEST_SIZE, DIGEST_SIZE) == 0;
}

bool snapshot_read(struct span bytes, struct snapshot *snapshot,
                   char reason[SNAPSHOT_REASON_SIZE]) {
  *snapshot = (struct snapshot){0};
  if (!has_digest(bytes)) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "its bytes are not those that its digest is of");
    return false;
  }
  struct input input = {.rest = span_of(bytes.data, bytes.size - DIGEST_SIZE)};
  const bool is_ours = memcmp(take(&input, sizeof magic).data, magic, sizeof magic) == 0;
  const uint64_t version = take_number(&input, 2);
  if (!is_ours || version != VERSION) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it is not of this program's form");
    return false;
  }
  if (!take_head(&input, snapshot) || !take_persons(&input, snapshot) ||
      !take_devices(&input, snapshot) || input.rest.size > 0) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it holds what no lane can be");
    snapshot_fini(snapshot);
    return false;
  }
  return true;
}
