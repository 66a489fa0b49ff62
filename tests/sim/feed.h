/* What devices send: enrolments, check-ins, reports, and what should not be there. */
#ifndef MUSTER_TESTS_SIM_FEED_H
#define MUSTER_TESTS_SIM_FEED_H

#include "core/event.h"
#include "tests/sim/sim.h"

/* For a seed: after the broker; sends what stands in the topics at the start. */
void feed_begin(void);
void feed_end(void);
void feed_offer(void);

/* Everything that the seed sends has been sent. */
bool feed_is_over(void);

#endif
