/* An index of what is due: the device with the smallest (due time, number) on top.
 *
 * A timer is not a thing of its own. A device's state says what is due and when; this heap is
 * made from states and can be thrown away and made again. */
#ifndef MUSTER_CORE_TIMERS_H
#define MUSTER_CORE_TIMERS_H

#include "core/device.h"
#include "core/memory.h"

enum { TIMER_NONE = UINT32_MAX };

struct timer {
  int64_t due_at_ms;
  uint32_t device; /* index in the lane: grows with the device number */
};

struct timers {
  struct timer *heap;
  uint32_t count;
  uint32_t capacity;
};

void timers_fini(struct timers *timers, const struct memory *memory);

/* Sets, moves or (with TIME_NONE) takes out the timer of devices[index], whose `timer` field is
 * its place in the heap. `devices` is the lane's table: places are kept up to date in it. */
void timers_set(struct timers *timers, const struct memory *memory, struct device *devices,
                uint32_t index, int64_t due_at_ms);

/* The earliest, or NULL when nothing is due ever. */
const struct timer *timers_first(const struct timers *timers);

#endif
