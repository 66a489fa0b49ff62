/* Instants as RFC 3339 text and back. Pure: no clock, no time zone of the machine. */
#ifndef MUSTER_CORE_TIME_TEXT_H
#define MUSTER_CORE_TIME_TEXT_H

#include "core/span.h"

/* What the text can say: 0001-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z. */
#define TIME_TEXT_MIN_MS INT64_C(-62135596800000)
#define TIME_TEXT_MAX_MS INT64_C(253402300799999)

enum { TIME_TEXT_SIZE = 32 }; /* room for the text and its terminator */

/* Reads "2026-11-01T00:00:00Z" with any number of decimals (cut to milliseconds, never
 * rounded up into the next one) and "Z" or an offset; "t", "z" and a space for "T" are taken
 * too. A leap second is the first instant of the next minute. False when it is not such a
 * text, names no day of the calendar, or lies outside of the range above; then `at_ms`, in
 * milliseconds since 1970 UTC, is not written. */
bool time_parse(struct span text, int64_t *at_ms) MUST_USE;

/* Writes "2026-11-01T00:00:00.000Z", terminated. `at_ms` lies in the range above. */
void time_format(int64_t at_ms, char text[TIME_TEXT_SIZE]);

#endif
