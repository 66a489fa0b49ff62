#include "core/app/snapshot.h"

#include "core/app/binary.h"
#include "core/app/policy_shipped.h"
#include "core/app/snapshot_control.h"

#include <stdio.h>
#include <stdlib.h>

static const char magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'S', 'N'};

enum { VERSION = 2 };

/* A field that a device gains must be written here, too. */
static_assert(sizeof(struct device) == 112, "the snapshot's form follows the device");

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
    struct buffer traceparent = change->traceparent;
    buffer_clear(&traceparent);
    buffer_append(&traceparent, lane->touches.texts + touch->traceparent, touch->traceparent_size);
    *change = (struct device_change){.batch = touch->batch,
                                     .seq = touch->seq,
                                     .at_ms = touch->at_ms,
                                     .cause_offset = touch->cause.offset,
                                     .cause_topic = (uint8_t)touch->cause.topic,
                                     .has_event_id = touch->cause.has_event_id,
                                     .policy = touch->policy,
                                     .traceparent = traceparent};
    memcpy(change->event_id, touch->cause.event_id, EVENT_ID_SIZE);
  }
}

void device_changes_copy(struct device_changes *changes, const struct device_changes *from) {
  const uint32_t begin = changes->count;
  device_changes_reach(changes, begin + from->count);
  for (uint32_t i = 0; i < from->count; i++) {
    const struct buffer traceparent = from->items[i].traceparent;
    changes->items[begin + i] = from->items[i];
    changes->items[begin + i].traceparent = (struct buffer){0};
    buffer_append(&changes->items[begin + i].traceparent, traceparent.data, traceparent.size);
  }
}

void device_changes_fini(struct device_changes *changes) {
  for (uint32_t i = 0; i < changes->count; i++) {
    buffer_fini(&changes->items[i].traceparent);
  }
  free(changes->items);
  *changes = (struct device_changes){0};
}

void policy_texts_add(struct policy_texts *texts, struct span text) {
  texts->items =
      memory_grow(&heap_memory, texts->items, texts->count, &texts->capacity, sizeof *texts->items);
  texts->items[texts->count] = (struct buffer){0};
  buffer_append(&texts->items[texts->count++], text.data, text.size);
}

static struct span text_of(const struct policy_texts *texts, const struct control *control,
                           struct span version) {
  struct span text = {0};
  for (uint32_t i = 0; i < control->policy_count; i++) {
    if (span_equal(version, span_text(control->policies[i].version))) {
      text = i > 0 ? buffer_span(&texts->items[i - 1]) : text;
      text = text.size > 0 ? text : policy_shipped_text(control->policies[i].version);
    }
  }
  return text;
}

bool policy_texts_complete(const struct policy_texts *texts, const struct control *control,
                           struct event *event, struct rule_names *rules) {
  const struct known_policy *known = control_find_policy(control, event->policy.version);
  if (known == NULL) {
    return false;
  }
  memcpy(event->policy.hash, known->hash, sizeof event->policy.hash);
  event->policy.text = text_of(texts, control, event->policy.version);
  *rules = policy_rule_names(known->policy);
  return true;
}

void policy_texts_fini(struct policy_texts *texts) {
  for (uint32_t i = 0; i < texts->count; i++) {
    buffer_fini(&texts->items[i]);
  }
  free(texts->items);
  *texts = (struct policy_texts){0};
}

void snapshot_fini(struct snapshot *snapshot) {
  buffer_fini(&snapshot->environment);
  lane_state_close(snapshot->state);
  device_changes_fini(&snapshot->changes);
  policy_texts_fini(&snapshot->policies);
  buffer_fini(&snapshot->control.bytes);
  *snapshot = (struct snapshot){0};
}

/* Writing. -------------------------------------------------------------------------------- */

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
  binary_put_i64(bytes, lane->clock_ms);
  binary_put_i64(bytes, row->clock_after_ms);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    binary_put_i64(bytes, row->ranges[topic].to);
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
      binary_put_text(bytes, lane_state_address(snapshot->state, i));
    }
  }
}

enum { FLAG_PIN = 1, FLAG_EMAIL = 2, FLAG_SAP = 4, FLAG_TICKET = 8, FLAG_LICENSE = 16 };

static uint8_t flags_of(const struct device *device) {
  return (uint8_t)((device->has_screen_lock_pin_length ? FLAG_PIN : 0) |
                   (device->email_blocked ? FLAG_EMAIL : 0) | (device->sap_blocked ? FLAG_SAP : 0) |
                   (device->ticket_open ? FLAG_TICKET : 0) |
                   (device->has_license ? FLAG_LICENSE : 0));
}

void snapshot_put_wipe(struct buffer *bytes, const struct wipe *wipe) {
  buffer_append_u8(bytes, wipe != NULL ? 1 : 0);
  if (wipe != NULL) {
    buffer_append_u8(bytes, (uint8_t)wipe->reason);
    buffer_append(bytes, wipe->asker, SUBJECT_SIZE);
    binary_put_i64(bytes, wipe->asked_at_ms);
    binary_put_i64(bytes, wipe->armed_at_ms);
    buffer_append_u8(bytes, (uint8_t)wipe->approver_count);
    buffer_append(bytes, wipe->approvers, (size_t)wipe->approver_count * SUBJECT_SIZE);
  }
}

void snapshot_put_state(struct buffer *bytes, const struct device *device) {
  const int64_t times[] = {device->pending_since_ms,           device->last_sync_at_ms,
                           device->noncompliant_since_ms,      device->clean_since_ms,
                           device->antivirus_signatures_at_ms, device->threat_at_ms};
  const uint8_t small[] = {
      device->platform,   device->profile,       device->ownership,         device->status,
      device->compliance, device->stage,         device->antivirus_enabled, device->disk_encrypted,
      device->mail_held,  device->overdue_stage, device->overdue_mail_held, device->threat_level,
      device->wipe,       flags_of(device),
  };
  buffer_append_u32(bytes, device->episode);
  buffer_append_u32(bytes, (uint32_t)device->screen_lock_pin_length);
  buffer_append_u32(bytes, device->violations);
  for (size_t i = 0; i < COUNT_OF(times); i++) {
    binary_put_i64(bytes, times[i]);
  }
  buffer_append(bytes, small, sizeof small);
}

void snapshot_put_long(struct buffer *bytes, struct span text) {
  buffer_append_u32(bytes, (uint32_t)text.size);
  buffer_append(bytes, text.data, text.size);
}

struct span snapshot_take_long(struct binary *binary) {
  return binary_take(binary, binary_take_u32(binary));
}

static void put_change(struct buffer *bytes, const struct control *control,
                       const struct device_change *change) {
  buffer_append_u32(bytes, snapshot_policy_index(control, change->policy));
  buffer_append_u64(bytes, change->batch);
  buffer_append_u64(bytes, change->seq);
  binary_put_i64(bytes, change->at_ms);
  binary_put_i64(bytes, change->cause_offset);
  buffer_append_u8(bytes, change->cause_topic);
  buffer_append_u8(bytes, change->has_event_id ? 1 : 0);
  buffer_append(bytes, change->event_id, EVENT_ID_SIZE);
  snapshot_put_long(bytes, buffer_span(&change->traceparent));
}

static void put_devices(const struct snapshot *snapshot, struct buffer *bytes) {
  const struct lane *lane = &snapshot->state->lane;
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  assert(snapshot->changes.count == lane->device_count);
  buffer_append_u32(bytes, lane->device_count);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    lane_image(lane, i, NULL, ids, &image);
    binary_put_text(bytes, image.serial);
    binary_put_text(bytes, image.os_version);
    buffer_append_u32(bytes, image.person);
    snapshot_put_state(bytes, &image.state);
    binary_put_text(bytes, image.enrollment_ids);
    snapshot_put_wipe(bytes, image.wipe);
    put_change(bytes, &lane->control, &snapshot->changes.items[i]);
  }
}

void snapshot_write(const struct snapshot *snapshot, struct buffer *bytes) {
  const size_t begin = bytes->size;
  put_head(snapshot, bytes);
  put_persons(snapshot, bytes);
  snapshot_put_control(snapshot, bytes);
  snapshot_put_records(&snapshot->control, bytes);
  put_devices(snapshot, bytes);
  binary_put_digest(bytes, begin);
}

/* Reading. -------------------------------------------------------------------------------- */

static bool take_head(struct binary *binary, struct snapshot *snapshot) {
  struct journal_row *row = &snapshot->row;
  snapshot->has_addresses = binary_take_u8(binary) == 1;
  row->lane = binary_take_u32(binary);
  const uint32_t lane_count = binary_take_u32(binary);
  if (row->lane >= lane_count) {
    return false;
  }
  snapshot->state = lane_state_open(row->lane, lane_count);
  struct lane *lane = &snapshot->state->lane;
  row->batch = lane->batch = binary_take_number(binary, 8);
  row->last_seq = lane->seq = binary_take_number(binary, 8);
  lane->dead_letter_count = binary_take_number(binary, 8);
  lane->clock_ms = binary_take_i64(binary);
  row->clock_after_ms = binary_take_i64(binary);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    row->ranges[topic].from = row->ranges[topic].to = binary_take_i64(binary);
    binary_take_bytes(binary, row->last_message[topic], DIGEST_SIZE);
  }
  binary_take_bytes(binary, row->chain, DIGEST_SIZE);
  binary_take_bytes(binary, row->environment, DIGEST_SIZE);
  const struct span environment = binary_take(binary, binary_take_u32(binary));
  buffer_append(&snapshot->environment, environment.data, environment.size);
  return !binary->is_short;
}

static bool take_persons(struct binary *binary, struct snapshot *snapshot) {
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    uint8_t subject[SUBJECT_SIZE];
    bool is_new;
    binary_take_bytes(binary, subject, SUBJECT_SIZE);
    const struct span email = snapshot->has_addresses ? binary_take_text(binary) : (struct span){0};
    lane_state_person(snapshot->state, subject, email, &is_new);
    if (!is_new) {
      return false;
    }
  }
  return !binary->is_short;
}

static void take_state(struct binary *binary, struct device *device) {
  int64_t *const times[] = {&device->pending_since_ms,           &device->last_sync_at_ms,
                            &device->noncompliant_since_ms,      &device->clean_since_ms,
                            &device->antivirus_signatures_at_ms, &device->threat_at_ms};
  uint8_t *const small[] = {
      &device->platform,
      &device->profile,
      &device->ownership,
      &device->status,
      &device->compliance,
      &device->stage,
      &device->antivirus_enabled,
      &device->disk_encrypted,
      &device->mail_held,
      &device->overdue_stage,
      &device->overdue_mail_held,
      &device->threat_level,
      &device->wipe,
  };
  device->episode = binary_take_u32(binary);
  device->screen_lock_pin_length = (int32_t)binary_take_u32(binary);
  device->violations = binary_take_u32(binary);
  for (size_t i = 0; i < COUNT_OF(times); i++) {
    *times[i] = binary_take_i64(binary);
  }
  for (size_t i = 0; i < COUNT_OF(small); i++) {
    *small[i] = binary_take_u8(binary);
  }
  const uint8_t flags = binary_take_u8(binary);
  device->has_screen_lock_pin_length = (flags & FLAG_PIN) != 0;
  device->email_blocked = (flags & FLAG_EMAIL) != 0;
  device->sap_blocked = (flags & FLAG_SAP) != 0;
  device->ticket_open = (flags & FLAG_TICKET) != 0;
  device->has_license = (flags & FLAG_LICENSE) != 0;
}

static bool take_wipe(struct binary *binary, struct wipe *wipe, bool *is_there) {
  *wipe = (struct wipe){0};
  *is_there = binary_take_u8(binary) == 1;
  if (!*is_there) {
    return !binary->is_short;
  }
  const uint8_t reason = binary_take_u8(binary);
  wipe->reason = (enum wipe_reason)reason;
  binary_take_bytes(binary, wipe->asker, SUBJECT_SIZE);
  wipe->asked_at_ms = binary_take_i64(binary);
  wipe->armed_at_ms = binary_take_i64(binary);
  wipe->approver_count = binary_take_u8(binary);
  if (binary->is_short || reason >= WIPE_REASON_COUNT ||
      wipe->approver_count > WIPE_APPROVALS_MAX) {
    return false;
  }
  for (uint32_t i = 0; i < wipe->approver_count; i++) {
    binary_take_bytes(binary, wipe->approvers[i], SUBJECT_SIZE);
  }
  return !binary->is_short;
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
         device->threat_level <= THREAT_LEVEL_COUNT && device->wipe < WIPE_STATE_COUNT &&
         (device->wipe == WIPE_NONE || image->wipe != NULL) &&
         lane_find(lane, image->serial) == INDEX_NONE;
}

static bool take_change(struct binary *binary, const struct control *control,
                        struct device_change *change) {
  const uint32_t policy = binary_take_u32(binary);
  change->policy = policy < control->policy_count ? control->policies[policy].policy : NULL;
  change->batch = binary_take_number(binary, 8);
  change->seq = binary_take_number(binary, 8);
  change->at_ms = binary_take_i64(binary);
  change->cause_offset = binary_take_i64(binary);
  change->cause_topic = binary_take_u8(binary);
  change->has_event_id = binary_take_u8(binary) == 1;
  binary_take_bytes(binary, change->event_id, EVENT_ID_SIZE);
  const struct span traceparent = snapshot_take_long(binary);
  buffer_append(&change->traceparent, traceparent.data, traceparent.size);
  return change->cause_topic < TOPIC_COUNT;
}

static bool take_devices(struct binary *binary, struct snapshot *snapshot) {
  struct lane *lane = &snapshot->state->lane;
  const uint32_t count = binary_take_u32(binary);
  for (uint32_t i = 0; i < count && !binary->is_short; i++) {
    struct device_image image = {.number = lane_device_number(lane, i)};
    image.serial = binary_take_text(binary);
    image.os_version = binary_take_text(binary);
    image.person = binary_take_u32(binary);
    take_state(binary, &image.state);
    image.enrollment_ids = binary_take_text(binary);
    struct wipe wipe;
    bool has_wipe;
    if (!take_wipe(binary, &wipe, &has_wipe)) {
      return false;
    }
    image.wipe = has_wipe ? &wipe : NULL;
    device_changes_reach(&snapshot->changes, i + 1);
    if (!take_change(binary, &lane->control, &snapshot->changes.items[i]) || binary->is_short ||
        !is_sane(lane, &image)) {
      return false;
    }
    memcpy(image.subject, lane->persons.items[image.person].subject, SUBJECT_SIZE);
    lane_restore(lane, &image);
  }
  snapshot->row.device_count = lane->device_count;
  return !binary->is_short;
}

bool snapshot_read(struct span bytes, struct snapshot *snapshot,
                   char reason[SNAPSHOT_REASON_SIZE]) {
  *snapshot = (struct snapshot){0};
  if (!binary_has_digest(bytes)) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "its bytes are not those that its digest is of");
    return false;
  }
  struct binary binary = {.rest = span_of(bytes.data, bytes.size - DIGEST_SIZE)};
  const bool is_ours = span_equal(binary_take(&binary, sizeof magic), span_of(magic, sizeof magic));
  const uint64_t version = binary_take_number(&binary, 2);
  if (!is_ours || version != VERSION) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it is not of this program's form");
    return false;
  }
  if (!take_head(&binary, snapshot) || !take_persons(&binary, snapshot) ||
      !snapshot_take_control(&binary, snapshot) || !snapshot_take_records(&binary, snapshot) ||
      !take_devices(&binary, snapshot) || binary.rest.size > 0) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it holds what no lane can be");
    snapshot_fini(snapshot);
    return false;
  }
  return true;
}
