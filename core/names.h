/* Names of the members of lists of symbols. */
#ifndef MUSTER_CORE_NAMES_H
#define MUSTER_CORE_NAMES_H

#include "core/base.h"

#define NAME(name) #name,

/* One function a list of symbols: the name of each member. */
#define NAMES_OF(function, type, symbols, count)                                                   \
  const char *function(enum type value) {                                                          \
    static const char *const names[] = {symbols(NAME)};                                            \
    static_assert(COUNT_OF(names) == (count), "a name for every member");                          \
    assert((size_t)value < COUNT_OF(names));                                                       \
    return names[value];                                                                           \
  }

#endif
