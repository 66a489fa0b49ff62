/* Notices that the loop does not turn any more, and ends the process: the group would keep its
 * lanes for it as long as librdkafka's threads send heartbeats, and nobody would do the work.
 *
 * The word on stderr, and the stack of the thread that stands still as far as it can be had, are
 * written without the log, whose lock that thread may hold. The end is SIGABRT; nothing is lost. */
#ifndef MUSTER_APP_WATCHDOG_H
#define MUSTER_APP_WATCHDOG_H

#include "core/base.h"

struct watchdog;

/* Watches the calling thread. It must call watchdog_turn more often than every `limit_ms`; time in
 * which the whole process stood still (SIGSTOP, a paused machine) does not count. NULL, and none is
 * kept, when `limit_ms` is 0. */
struct watchdog *watchdog_start(int64_t limit_ms);
void watchdog_turn(struct watchdog *watchdog); /* NULL is allowed, here and below */
void watchdog_stop(struct watchdog *watchdog);

#endif
