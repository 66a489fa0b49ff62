/* Words that every file may use: attributes and counting. No code, no state. */
#ifndef MUSTER_CORE_BASE_H
#define MUSTER_CORE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The answer of such a function says whether the world failed; ignoring it is a bug. */
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
