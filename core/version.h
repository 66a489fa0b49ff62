/* Versions of operating systems: dotted decimals, compared number by number. */
#ifndef MUSTER_CORE_VERSION_H
#define MUSTER_CORE_VERSION_H

#include "core/span.h"

/* One or more decimal numbers of any length with single dots between them. Any other text is
 * an unknown fact (the public contract). */
bool version_is_known(struct span text);

/* Below, equal, above as less than, equal to, greater than 0. Missing parts are 0: 14 equals
 * 14.0. Both must be known. */
int version_compare(struct span a, struct span b);

#endif
