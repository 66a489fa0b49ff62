/* Golden traces: a readable script of what happens to a lane, and what it decides.
 *
 * A file holds lines of the script (tests/lib/script.h), and below each, indented, what came of
 * it (tests/lib/render.h); "nothing" when nothing did. Blank lines and those with # are for
 * people. Running a file gives the same file with the expectations as they are now: so comparing
 * and recording are one thing. */
#ifndef MUSTER_TESTS_LIB_TRACE_H
#define MUSTER_TESTS_LIB_TRACE_H

#include "core/base.h"

#include <stdio.h>

enum { TRACE_ERROR_SIZE = 256 };

struct trace_options {
  bool restarts; /* after every step the lane is thrown away and loaded: must change nothing */
};

/* Runs a script. Returns it with what it gives now, for the caller to free; NULL when a line is
 * not understood or cannot be, which `error` tells. */
char *trace_run(const char *script, const struct trace_options *options,
                char error[TRACE_ERROR_SIZE]) MUST_USE;

/* Whether the texts are the same; when not, tells on `out` what differs, as diff does: lines
 * with - are expected, lines with + are what came. */
bool trace_compare(const char *expected, const char *actual, FILE *out);

/* The whole file as terminated text, for the caller to free; NULL when it cannot be read. */
char *trace_read(const char *path) MUST_USE;
bool trace_write(const char *path, const char *text) MUST_USE;

#endif
