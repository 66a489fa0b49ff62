/* That who asks for something is answered, once: every command by one audit entry or one dead
 * letter, and not again when its event_id comes again; every control message so by lane 0 alone. */
#ifndef MUSTER_TESTS_SIM_ANSWERS_H
#define MUSTER_TESTS_SIM_ANSWERS_H

#include "core/app/intake.h"
#include "core/lane.h"

struct answers;
struct answers *answers_open(void);
void answers_close(struct answers *answers);

/* A message of the lane has just been decided, each in turn; `count`: how many audit entries and
 * dead letters came of it at once. */
void answers_check(struct answers *answers, const struct lane *lane, const struct intake *intake,
                   uint64_t count);

#endif
