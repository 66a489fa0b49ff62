#include "core/app/state_digest.h"

#include "core/app/binary.h"
#include "core/app/digest.h"
#include "core/app/snapshot.h"
#include "core/app/text.h"

#include <stdlib.h>

static const char magic[8] = {'M', 'U', 'S', 'T', 'E', 'R', 'S', 'T'};

enum { FORM = 1, PIECE_SIZE = 64 * 1024 };

static void put_counters(const struct lane *lane, struct buffer *bytes) {
  buffer_append(bytes, magic, sizeof magic);
  buffer_append_u16(bytes, FORM);
  buffer_append_u32(bytes, lane->number);
  buffer_append_u32(bytes, lane->count);
  buffer_append_u64(bytes, lane->seq);
  binary_put_i64(bytes, lane->clock_ms);
}

static void put_policies(const struct lane *lane, struct buffer *bytes) {
  const struct control *control = &lane->control;
  uint32_t in_force = INDEX_NONE;
  buffer_append_u32(bytes, control->policy_count);
  for (uint32_t i = 0; i < control->policy_count; i++) {
    binary_put_text(bytes, span_text(control->policies[i].version));
    buffer_append(bytes, control->policies[i].hash, DIGEST_SIZE);
    in_force = control->policies[i].policy == lane->policy ? i : in_force;
  }
  buffer_append_u32(bytes, in_force);
}

static int compare_holders(const void *left, const void *right) {
  const struct role_holder *a = *(const struct role_holder *const *)left;
  const struct role_holder *b = *(const struct role_holder *const *)right;
  return memcmp(a->subject, b->subject, SUBJECT_SIZE);
}

/* By subject: those of the configuration come to a lane when it is told, which may be later. */
static void put_holders(const struct control *control, struct buffer *bytes) {
  const struct role_holder **holders =
      memory_zeroed((size_t)control->holder_count + 1, sizeof(void *));
  uint32_t count = 0;
  for (uint32_t i = 0; i < control->holder_count; i++) {
    if (control->holders[i].roles != 0 || control->holders[i].is_bootstrap) {
      holders[count++] = &control->holders[i];
    }
  }
  qsort(holders, count, sizeof(void *), compare_holders);
  buffer_append_u32(bytes, count);
  for (uint32_t i = 0; i < count; i++) {
    buffer_append(bytes, holders[i]->subject, SUBJECT_SIZE);
    buffer_append_u8(bytes, holders[i]->roles);
    buffer_append_u8(bytes, holders[i]->is_bootstrap ? 1 : 0);
  }
  free(holders);
}

static void put_control(const struct lane *lane, struct buffer *bytes) {
  const struct control *control = &lane->control;
  put_policies(lane, bytes);
  put_holders(control, bytes);
  snapshot_put_groups(control, bytes);
  buffer_append_u8(bytes, control->tenant_events);
  for (size_t kind = 0; kind < TENANT_EVENT_COUNT; kind++) {
    binary_put_i64(bytes, control->tenant_over_at_ms[kind]);
  }
}

static void put_device(const struct lane *lane, uint32_t index, struct buffer *bytes) {
  uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
  struct device_image image;
  lane_image(lane, index, NULL, ids, &image);
  binary_put_text(bytes, image.serial);
  binary_put_text(bytes, image.os_version);
  buffer_append(bytes, image.subject, SUBJECT_SIZE);
  snapshot_put_state(bytes, &image.state);
  binary_put_text(bytes, image.enrollment_ids);
  snapshot_put_wipe(bytes, image.wipe);
}

void state_digest(const struct lane *lane, uint8_t digest[DIGEST_SIZE]) {
  struct digest *running = digest_open();
  struct buffer bytes = {0};
  assert(lane->control.sweep.kind == SWEEP_NONE);
  put_counters(lane, &bytes);
  put_control(lane, &bytes);
  buffer_append_u32(&bytes, lane->device_count);
  for (uint32_t i = 0; i < lane->device_count; i++) {
    put_device(lane, i, &bytes);
    if (bytes.size >= PIECE_SIZE) {
      digest_update(running, buffer_span(&bytes));
      buffer_clear(&bytes);
    }
  }
  digest_update(running, buffer_span(&bytes));
  digest_final(running, digest);
  digest_close(running);
  buffer_fini(&bytes);
}

bool state_control_equal(const struct lane *a, const struct lane *b) {
  struct buffer bytes = {0};
  struct buffer others = {0};
  put_control(a, &bytes);
  put_control(b, &others);
  const bool is_equal = span_equal(buffer_span(&bytes), buffer_span(&others));
  buffer_fini(&bytes);
  buffer_fini(&others);
  return is_equal;
}
