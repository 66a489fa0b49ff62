/* What must have come of a seed, found out the straight way: the journal's ranges are decided
 * again, one message after the other, without carriers, owners or faults, and everything that the
 * topics and the database show is compared byte by byte. */
#ifndef MUSTER_TESTS_SIM_ORACLE_H
#define MUSTER_TESTS_SIM_ORACLE_H

#include "core/base.h"

/* Whether all that was sent to the lanes stands in some batch. */
bool oracle_is_covered(void);

/* At the end of a seed, when nothing is under way. */
void oracle_check(void);

#endif
