/* Runs the program's own command line within the test, and keeps what it printed. */
#ifndef MUSTER_TESTS_CAPTURE_H
#define MUSTER_TESTS_CAPTURE_H

enum { CAPTURED_SIZE = 32768 };

/* What went to stdout and stderr, terminated, from its beginning. */
extern char captured[2][CAPTURED_SIZE];

/* Runs the words, of which the first is the program and the last NULL; the exit code. */
int capture_command(const char *const *words);

#endif
