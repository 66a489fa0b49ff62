#include "core/lane.h"

void lane_init(struct lane *lane, uint32_t number, uint32_t count, const struct policy *policy,
               const struct memory *memory) {
  assert(number < count);
  *lane = (struct lane){
      .number = number,
      .count = count,
      .memory = *memory,
      .policy = policy,
      .clock_ms = LANE_CLOCK_START_MS,
      .versions = {.first_free = INDEX_NONE},
  };
  control_init(&lane->control, &lane->memory, policy);
}

void lane_reserve(struct lane *lane, uint32_t device_count) {
  assert(lane->device_count == 0 && lane->device_capacity == 0);
  const size_t size = device_count * sizeof *lane->devices;
  if (size > 0) {
    lane->devices = lane->memory.resize(lane->memory.context, NULL, 0, size);
    lane->device_capacity = device_count;
    table_reserve(&lane->by_serial, &lane->memory, device_count);
  }
}

static void release(const struct memory *memory, void *block, size_t size) {
  if (block != NULL) {
    memory->resize(memory->context, block, size, 0);
  }
}

void lane_fini(struct lane *lane) {
  const struct memory *memory = &lane->memory;
  release(memory, lane->devices, lane->device_capacity * sizeof *lane->devices);
  release(memory, lane->serials.bytes, lane->serials.capacity);
  release(memory, lane->versions.texts, lane->versions.capacity * sizeof *lane->versions.texts);
  release(memory, lane->persons.items, lane->persons.capacity * sizeof *lane->persons.items);
  release(memory, lane->enrollments.items,
          lane->enrollments.capacity * sizeof *lane->enrollments.items);
  release(memory, lane->touches.items, lane->touches.capacity * sizeof *lane->touches.items);
  release(memory, lane->touches.texts, lane->touches.texts_capacity);
  release(memory, lane->touches.batch_changed,
          lane->touches.batch_changed_capacity * sizeof *lane->touches.batch_changed);
  release(memory, lane->touches.of_block, lane->touches.of_block_capacity);
  table_fini(&lane->by_serial, memory);
  table_fini(&lane->versions.by_text, memory);
  table_fini(&lane->persons.by_subject, memory);
  timers_fini(&lane->timers, memory);
  release(memory, lane->wipes.items, lane->wipes.capacity * sizeof *lane->wipes.items);
  table_fini(&lane->wipes.by_device, memory);
  control_fini(&lane->control, memory);
}

const struct policy *lane_policy_of(const struct lane *lane, uint32_t index) {
  const struct sweep *sweep = &lane->control.sweep;
  return sweep->kind == SWEEP_EVALUATE && index >= sweep->next ? sweep->from : lane->policy;
}

struct span lane_serial(const struct lane *lane, const struct device *device) {
  if (device->serial_size <= SERIAL_BESIDE_MAX) {
    return span_of(device->serial, device->serial_size);
  }
  uint32_t at;
  memcpy(&at, device->serial, sizeof at);
  return span_of(lane->serials.bytes + at, device->serial_size);
}

static bool serial_equal(const void *context, uint32_t index, struct span key) {
  const struct lane *lane = context;
  return span_equal(lane_serial(lane, &lane->devices[index]), key);
}

static uint64_t serial_hash(const void *context, uint32_t index) {
  const struct lane *lane = context;
  return hash_bytes(lane_serial(lane, &lane->devices[index]));
}

uint32_t lane_find(const struct lane *lane, struct span serial) {
  return table_find(&lane->by_serial, hash_bytes(serial), serial, serial_equal, lane);
}

void lane_prefetch_slot(const struct lane *lane, struct span serial) {
  table_prefetch(&lane->by_serial, hash_bytes(serial));
}

void lane_prefetch_device(const struct lane *lane, struct span serial) {
  const uint32_t index = table_guess(&lane->by_serial, hash_bytes(serial));
  if (index != INDEX_NONE) {
    const struct device *const device = &lane->devices[index];
    __builtin_prefetch(device);
    __builtin_prefetch((const uint8_t *)(device + 1) - 1);
  }
}

/* Where the serial is kept that is too long to stand beside its device. */
static uint32_t keep_serial(struct lane *lane, struct span serial) {
  struct serials *serials = &lane->serials;
  if (serials->capacity - serials->size < SERIAL_SIZE_MAX) {
    const uint32_t capacity = serials->capacity < 4096 ? 4096 : serials->capacity / 2 * 3;
    assert(capacity > serials->capacity);
    serials->bytes =
        lane->memory.resize(lane->memory.context, serials->bytes, serials->capacity, capacity);
    serials->capacity = capacity;
  }
  const uint32_t at = serials->size;
  memcpy(serials->bytes + at, serial.data, serial.size);
  serials->size += (uint32_t)serial.size;
  return at;
}

static void set_serial(struct lane *lane, struct device *device, struct span serial) {
  assert(serial.size <= SERIAL_SIZE_MAX);
  device->serial_size = (uint8_t)serial.size;
  if (serial.size > SERIAL_BESIDE_MAX) {
    const uint32_t at = keep_serial(lane, serial);
    memcpy(device->serial, &at, sizeof at);
  } else if (serial.size > 0) {
    memcpy(device->serial, serial.data, serial.size);
  }
}

uint32_t lane_add(struct lane *lane, struct span serial) {
  const uint32_t index = lane->device_count;
  lane->devices = memory_grow(&lane->memory, lane->devices, index, &lane->device_capacity,
                              sizeof *lane->devices);
  lane->devices[index] = (struct device){
      .os_version = INDEX_NONE,
      .enrollment = INDEX_NONE,
      .pending_since_ms = TIME_NONE,
      .last_sync_at_ms = TIME_NONE,
      .noncompliant_since_ms = TIME_NONE,
      .antivirus_signatures_at_ms = TIME_NONE,
      .threat_at_ms = TIME_NONE,
      .timer = TIMER_NONE,
      .touch = TOUCH_NONE,
  };
  set_serial(lane, &lane->devices[index], serial);
  lane->device_count++;
  table_add(&lane->by_serial, &lane->memory, hash_bytes(serial), index, serial_hash, lane);
  return index;
}

uint64_t lane_device_number(const struct lane *lane, uint32_t index) {
  return (uint64_t)index * lane->count + lane->number + 1;
}

static struct span version_span(const struct version_text *version) {
  return span_of(version->text, version->size);
}

static bool version_equal(const void *context, uint32_t index, struct span key) {
  const struct versions *versions = context;
  return span_equal(version_span(&versions->texts[index]), key);
}

static uint64_t version_hash(const void *context, uint32_t index) {
  const struct versions *versions = context;
  return hash_bytes(version_span(&versions->texts[index]));
}

struct span lane_os_version(const struct lane *lane, const struct device *device) {
  return device->os_version == INDEX_NONE ? (struct span){0}
                                          : version_span(&lane->versions.texts[device->os_version]);
}

static uint32_t version_new(struct lane *lane, struct span text, uint64_t hash) {
  struct versions *versions = &lane->versions;
  uint32_t index = versions->first_free;
  if (index != INDEX_NONE) {
    versions->first_free = versions->texts[index].next_free;
  } else {
    versions->texts = memory_grow(&lane->memory, versions->texts, versions->count,
                                  &versions->capacity, sizeof *versions->texts);
    index = versions->count++;
  }
  struct version_text *version = &versions->texts[index];
  *version = (struct version_text){.size = (uint8_t)text.size};
  policy_version_outcomes(lane->policy, text, version->outcomes);
  if (text.size > 0) {
    memcpy(version->text, text.data, text.size);
  }
  table_add(&versions->by_text, &lane->memory, hash, index, version_hash, versions);
  return index;
}

void lane_set_policy(struct lane *lane, const struct policy *policy) {
  lane->policy = policy;
  for (uint32_t i = 0; i < lane->versions.count; i++) {
    struct version_text *version = &lane->versions.texts[i];
    if (version->references > 0) {
      policy_version_outcomes(policy, version_span(version), version->outcomes);
    }
  }
}

static void version_release(struct lane *lane, uint32_t index) {
  struct versions *versions = &lane->versions;
  struct version_text *version = &versions->texts[index];
  assert(version->references > 0);
  if (--version->references == 0) {
    table_remove(&versions->by_text, hash_bytes(version_span(version)), index, version_hash,
                 versions);
    version->next_free = versions->first_free;
    versions->first_free = index;
  }
}

void lane_set_os_version(struct lane *lane, struct device *device, struct span os_version) {
  assert(os_version.size <= OS_VERSION_SIZE_MAX);
  struct versions *versions = &lane->versions;
  const uint32_t before = device->os_version;
  if (before != INDEX_NONE && span_equal(version_span(&versions->texts[before]), os_version)) {
    return;
  }
  const uint64_t hash = hash_bytes(os_version);
  uint32_t index = table_find(&versions->by_text, hash, os_version, version_equal, versions);
  if (index == INDEX_NONE) {
    index = version_new(lane, os_version, hash);
  }
  versions->texts[index].references++;
  device->os_version = index;
  if (before != INDEX_NONE) {
    version_release(lane, before);
  }
}

static bool person_equal(const void *context, uint32_t index, struct span key) {
  const struct persons *persons = context;
  return memcmp(persons->items[index].subject, key.data, SUBJECT_SIZE) == 0;
}

static uint64_t person_hash(const void *context, uint32_t index) {
  const struct persons *persons = context;
  return hash_bytes(span_of(persons->items[index].subject, SUBJECT_SIZE));
}

uint32_t lane_find_person(const struct lane *lane, const uint8_t subject[SUBJECT_SIZE]) {
  const struct span key = span_of(subject, SUBJECT_SIZE);
  return table_find(&lane->persons.by_subject, hash_bytes(key), key, person_equal, &lane->persons);
}

uint32_t lane_person(struct lane *lane, const uint8_t subject[SUBJECT_SIZE]) {
  struct persons *persons = &lane->persons;
  const struct span key = span_of(subject, SUBJECT_SIZE);
  const uint64_t hash = hash_bytes(key);
  const uint32_t known = table_find(&persons->by_subject, hash, key, person_equal, persons);
  if (known != INDEX_NONE) {
    return known;
  }
  persons->items = memory_grow(&lane->memory, persons->items, persons->count, &persons->capacity,
                               sizeof *persons->items);
  memcpy(persons->items[persons->count].subject, subject, SUBJECT_SIZE);
  table_add(&persons->by_subject, &lane->memory, hash, persons->count, person_hash, persons);
  return persons->count++;
}

bool lane_enrollment_seen(const struct lane *lane, const struct device *device,
                          const uint8_t event_id[EVENT_ID_SIZE]) {
  uint32_t seen = 0;
  for (uint32_t at = device->enrollment; at != INDEX_NONE && seen < ENROLLMENTS_SEEN_MAX;
       at = lane->enrollments.items[at].next, seen++) {
    if (memcmp(lane->enrollments.items[at].event_id, event_id, EVENT_ID_SIZE) == 0) {
      return true;
    }
  }
  return false;
}

void lane_remember_enrollment(struct lane *lane, struct device *device,
                              const uint8_t event_id[EVENT_ID_SIZE]) {
  struct enrollments *list = &lane->enrollments;
  list->items =
      memory_grow(&lane->memory, list->items, list->count, &list->capacity, sizeof *list->items);
  struct enrollment_seen *seen = &list->items[list->count];
  memcpy(seen->event_id, event_id, EVENT_ID_SIZE);
  seen->next = device->enrollment;
  device->enrollment = list->count++;
}

static void reach_blocks(struct lane *lane) {
  struct touches *touches = &lane->touches;
  const uint32_t before = touches->of_block_capacity;
  const uint32_t blocks = lane->device_capacity / DEVICE_BLOCK_SIZE + 1;
  touches->of_block = lane->memory.resize(lane->memory.context, touches->of_block, before, blocks);
  memset(touches->of_block + before, 0, blocks - before);
  touches->of_block_capacity = blocks;
}

static struct touch *touch_of(struct lane *lane, uint32_t index) {
  struct touches *touches = &lane->touches;
  struct device *device = &lane->devices[index];
  if (device->touch == TOUCH_NONE) {
    if (index / DEVICE_BLOCK_SIZE >= touches->of_block_capacity) {
      reach_blocks(lane);
    }
    touches->items = memory_grow(&lane->memory, touches->items, touches->count, &touches->capacity,
                                 sizeof *touches->items);
    uint8_t *of_block = &touches->of_block[index / DEVICE_BLOCK_SIZE];
    touches->items[touches->count] =
        (struct touch){.device = index, .is_block_first = *of_block == 0};
    *of_block = *of_block == 0 ? 1 : 2;
    device->touch = touches->count++;
  }
  return &touches->items[device->touch];
}

const struct touch *lane_touch_since(const struct lane *lane, uint32_t index) {
  const uint32_t touch = lane->devices[index].touch;
  return touch == TOUCH_NONE ? NULL : &lane->touches.items[touch];
}

/* Where it was kept before, if it was, stays unused until the next checkpoint. */
static void keep_traceparent(struct lane *lane, struct touch *touch, struct span traceparent) {
  struct touches *touches = &lane->touches;
  const uint32_t size = (uint32_t)traceparent.size;
  touch->cause.traceparent = (struct span){0};
  touch->traceparent = touches->texts_size;
  touch->traceparent_size = size;
  if (touches->texts_capacity - touches->texts_size < size) {
    const uint32_t capacity = touches->texts_capacity + touches->texts_capacity / 2 + size + 1024;
    assert(capacity > touches->texts_capacity);
    touches->texts = lane->memory.resize(lane->memory.context, touches->texts,
                                         touches->texts_capacity, capacity);
    touches->texts_capacity = capacity;
  }
  if (size > 0) {
    memcpy(touches->texts + touches->texts_size, traceparent.data, size);
    touches->texts_size += size;
  }
}

static void note_batch_changed(struct lane *lane, struct touch *touch) {
  struct touches *touches = &lane->touches;
  if (!touch->is_batch_changed) {
    touch->is_batch_changed = true;
    touches->batch_changed =
        memory_grow(&lane->memory, touches->batch_changed, touches->batch_changed_count,
                    &touches->batch_changed_capacity, sizeof *touches->batch_changed);
    touches->batch_changed[touches->batch_changed_count++] = (uint32_t)(touch - touches->items);
  }
}

struct touch *lane_touch(struct lane *lane, uint32_t index, bool is_changed,
                         const struct cause *cause) {
  struct touch *touch = touch_of(lane, index);
  if (is_changed) {
    note_batch_changed(lane, touch);
    touch->is_changed = true;
    touch->policy = lane->policy;
    touch->batch = lane->batch;
    touch->seq = lane->seq;
    touch->at_ms = lane->clock_ms;
    touch->cause = *cause;
    keep_traceparent(lane, touch, cause->traceparent);
  }
  return touch;
}

void lane_end_batch(struct lane *lane) {
  struct touches *touches = &lane->touches;
  for (uint32_t i = 0; i < touches->batch_changed_count; i++) {
    touches->items[touches->batch_changed[i]].is_batch_changed = false;
  }
  touches->batch_changed_count = 0;
}

void lane_clear_touches(struct lane *lane) {
  assert(lane->touches.batch_changed_count == 0);
  for (uint32_t i = 0; i < lane->touches.count; i++) {
    const uint32_t index = lane->touches.items[i].device;
    lane->devices[index].touch = TOUCH_NONE;
    lane->touches.of_block[index / DEVICE_BLOCK_SIZE] = 0;
  }
  lane->touches.count = 0;
  lane->touches.texts_size = 0;
}

static size_t copy_enrollment_ids(const struct lane *lane, const struct device *device,
                                  uint8_t *ids) {
  size_t count = 0;
  for (uint32_t at = device->enrollment; at != INDEX_NONE && count < ENROLLMENTS_SEEN_MAX;
       at = lane->enrollments.items[at].next) {
    memcpy(ids + count * EVENT_ID_SIZE, lane->enrollments.items[at].event_id, EVENT_ID_SIZE);
    count++;
  }
  return count * EVENT_ID_SIZE;
}

void lane_image(const struct lane *lane, uint32_t index, const struct touch *touch,
                uint8_t enrollment_ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE],
                struct device_image *image) {
  const struct device *device = &lane->devices[index];
  const struct policy *policy = lane_policy_of(lane, index);
  *image = (struct device_image){
      .number = lane_device_number(lane, index),
      .lane = lane->number,
      .serial = lane_serial(lane, device),
      .os_version = lane_os_version(lane, device),
      .person = device->person,
      .enrollment_ids = span_of(enrollment_ids, copy_enrollment_ids(lane, device, enrollment_ids)),
      .state = *device,
      .policy = policy->version,
      .rules = policy_rule_names(policy),
      .cause = {.offset = -1},
  };
  memcpy(image->subject, lane->persons.items[device->person].subject, SUBJECT_SIZE);
  image->next_timer = lane_next_timer_under(lane, policy, index, device, &image->next_due_at_ms);
  image->wipe = lane_wipe(lane, index);
  image->overdue_since_ms = device->overdue_stage == 0
                                ? TIME_NONE
                                : lane_expected_from_ms(device) + policy->overdue_after_ms;
  if (touch != NULL && touch->is_changed) {
    image->is_changed = true;
    image->changed_batch = touch->batch;
    image->policy = touch->policy->version; /* in which the violations have the same names */
    image->seq = touch->seq;
    image->at_ms = touch->at_ms;
    image->cause = touch->cause;
    image->cause.traceparent =
        span_of(lane->touches.texts + touch->traceparent, touch->traceparent_size);
  }
}

bool lane_is_alone_in_block(const struct lane *lane, const struct touch *touch) {
  return lane->touches.of_block[touch->device / DEVICE_BLOCK_SIZE] == 1;
}

void lane_dates(const struct lane *lane, uint32_t index, struct device_dates *dates) {
  const struct device *device = &lane->devices[index];
  dates->at_ms[DATE_LAST_SYNC] = device->last_sync_at_ms;
  dates->at_ms[DATE_ANTIVIRUS_SIGNATURES] = device->antivirus_signatures_at_ms;
  dates->at_ms[DATE_THREAT] = device->threat_at_ms;
  dates->next_timer = (uint8_t)lane_next_timer(lane, index, device, &dates->at_ms[DATE_NEXT_DUE]);
}

void lane_block(const struct lane *lane, uint32_t number, struct device_block *block) {
  const uint32_t first = number * DEVICE_BLOCK_SIZE;
  assert(first < lane->device_count);
  const uint32_t left = lane->device_count - first;
  block->lane = lane->number;
  block->number = number;
  block->count = left < DEVICE_BLOCK_SIZE ? left : DEVICE_BLOCK_SIZE;
  for (uint32_t i = 0; i < block->count; i++) {
    struct device_dates dates;
    lane_dates(lane, first + i, &dates);
    for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
      block->at_ms[date][i] = dates.at_ms[date];
    }
    block->next_timer[i] = dates.next_timer;
  }
}

void lane_restore(struct lane *lane, const struct device_image *image) {
  const uint32_t index = lane_add(lane, image->serial);
  assert(lane_device_number(lane, index) == image->number);
  struct device *device = &lane->devices[index];
  const struct device added = *device;
  *device = image->state;
  device->serial_size = added.serial_size;
  memcpy(device->serial, added.serial, sizeof added.serial);
  device->person = lane_person(lane, image->subject);
  device->os_version = INDEX_NONE;
  device->enrollment = INDEX_NONE;
  device->timer = TIMER_NONE;
  device->touch = TOUCH_NONE;
  lane_set_os_version(lane, device, image->os_version);
  assert(image->enrollment_ids.size % EVENT_ID_SIZE == 0);
  for (size_t end = image->enrollment_ids.size; end > 0; end -= EVENT_ID_SIZE) {
    lane_remember_enrollment(lane, device, image->enrollment_ids.data + end - EVENT_ID_SIZE);
  }
  if (image->wipe != NULL) {
    struct wipe *wipe = lane_new_wipe(lane, index);
    *wipe = *image->wipe;
    wipe->device = index;
  }
  lane_schedule(lane, index);
}
