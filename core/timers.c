#include "core/timers.h"

void timers_fini(struct timers *timers, const struct memory *memory) {
  if (timers->heap != NULL) {
    memory->resize(memory->context, timers->heap, timers->capacity * sizeof *timers->heap, 0);
  }
  *timers = (struct timers){0};
}

/* Equal due times fire by device number (the public contract). */
static bool is_before(const struct timer *a, const struct timer *b) {
  return a->due_at_ms != b->due_at_ms ? a->due_at_ms < b->due_at_ms : a->device < b->device;
}

static void place(struct timers *timers, struct device *devices, uint32_t at, struct timer timer) {
  timers->heap[at] = timer;
  devices[timer.device].timer = at;
}

/* Puts `timer` at `at` or above. */
static void sift_up(struct timers *timers, struct device *devices, uint32_t at,
                    struct timer timer) {
  while (at > 0) {
    const uint32_t parent = (at - 1) / 2;
    if (!is_before(&timer, &timers->heap[parent])) {
      break;
    }
    place(timers, devices, at, timers->heap[parent]);
    at = parent;
  }
  place(timers, devices, at, timer);
}

/* Puts `timer` at `at` or below. */
static void sift_down(struct timers *timers, struct device *devices, uint32_t at,
                      struct timer timer) {
  for (;;) {
    uint32_t child = 2 * at + 1;
    if (child >= timers->count) {
      break;
    }
    if (child + 1 < timers->count && is_before(&timers->heap[child + 1], &timers->heap[child])) {
      child++;
    }
    if (!is_before(&timers->heap[child], &timer)) {
      break;
    }
    place(timers, devices, at, timers->heap[child]);
    at = child;
  }
  place(timers, devices, at, timer);
}

static void settle(struct timers *timers, struct device *devices, uint32_t at, struct timer timer) {
  if (at > 0 && is_before(&timer, &timers->heap[(at - 1) / 2])) {
    sift_up(timers, devices, at, timer);
  } else {
    sift_down(timers, devices, at, timer);
  }
}

static void take_out(struct timers *timers, struct device *devices, uint32_t index) {
  const uint32_t at = devices[index].timer;
  assert(timers->heap[at].device == index);
  devices[index].timer = TIMER_NONE;
  timers->count--;
  if (at < timers->count) {
    settle(timers, devices, at, timers->heap[timers->count]);
  }
}

void timers_set(struct timers *timers, const struct memory *memory, struct device *devices,
                uint32_t index, int64_t due_at_ms) {
  struct device *device = &devices[index];
  if (due_at_ms == TIME_NONE) {
    if (device->timer != TIMER_NONE) {
      take_out(timers, devices, index);
    }
    return;
  }
  const struct timer timer = {.due_at_ms = due_at_ms, .device = index};
  if (device->timer != TIMER_NONE) {
    if (timers->heap[device->timer].due_at_ms != due_at_ms) {
      settle(timers, devices, device->timer, timer);
    }
    return;
  }
  timers->heap =
      memory_grow(memory, timers->heap, timers->count, &timers->capacity, sizeof *timers->heap);
  sift_up(timers, devices, timers->count++, timer);
}

const struct timer *timers_first(const struct timers *timers) {
  return timers->count == 0 ? NULL : &timers->heap[0];
}
