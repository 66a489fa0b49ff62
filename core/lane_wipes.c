/* The wipes that were asked for in a lane. */
#include "core/lane.h"

static struct span wipe_key(const uint32_t *device) {
  return span_of(device, sizeof *device);
}

static bool wipe_equal(const void *context, uint32_t index, struct span key) {
  const struct wipes *wipes = context;
  return span_equal(wipe_key(&wipes->items[index].device), key);
}

static uint64_t wipe_hash(const void *context, uint32_t index) {
  const struct wipes *wipes = context;
  return hash_bytes(wipe_key(&wipes->items[index].device));
}

struct wipe *lane_wipe(const struct lane *lane, uint32_t index) {
  const struct wipes *wipes = &lane->wipes;
  if (wipes->count == 0) {
    return NULL;
  }
  const struct span key = wipe_key(&index);
  const uint32_t at = table_find(&wipes->by_device, hash_bytes(key), key, wipe_equal, wipes);
  return at == INDEX_NONE ? NULL : &wipes->items[at];
}

struct wipe *lane_new_wipe(struct lane *lane, uint32_t index) {
  struct wipes *wipes = &lane->wipes;
  struct wipe *wipe = lane_wipe(lane, index);
  if (wipe == NULL) {
    wipes->items = memory_grow(&lane->memory, wipes->items, wipes->count, &wipes->capacity,
                               sizeof *wipes->items);
    wipe = &wipes->items[wipes->count];
    wipe->device = index;
    table_add(&wipes->by_device, &lane->memory, hash_bytes(wipe_key(&index)), wipes->count,
              wipe_hash, wipes);
    wipes->count++;
  }
  *wipe = (struct wipe){.device = index};
  return wipe;
}
