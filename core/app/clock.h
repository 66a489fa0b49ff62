/* The clocks of the machine, in milliseconds. Only the edges read them. */
#ifndef MUSTER_APP_CLOCK_H
#define MUSTER_APP_CLOCK_H

#include <stdint.h>

/* Since 1970 UTC; may jump. Coarse: a few milliseconds, at the price of a memory read. */
int64_t clock_wall_ms(void);

/* Never jumps; for deadlines and durations. */
int64_t clock_mono_ms(void);

#endif
