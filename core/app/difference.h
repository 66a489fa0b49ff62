/* What two histories of the same log decided otherwise: the log as it was decided, and the log
 * under another policy.
 *
 * Results of two policies have other numbers, so a result is known by its device, what it does and
 * its time. Those that both histories have are dropped at once; what is left at the end is paired:
 * the same thing at another time, in one stretch of trouble, has moved. Memory grows with what
 * differs, not with the log. */
#ifndef MUSTER_APP_DIFFERENCE_H
#define MUSTER_APP_DIFFERENCE_H

#include "core/result.h"

enum history { HISTORY_THEN, HISTORY_WHAT_IF, HISTORY_COUNT };

enum change {
  CHANGE_ONLY_THEN,
  CHANGE_ONLY_WHAT_IF,
  CHANGE_MOVED,  /* the same thing at another time */
  CHANGE_REASON, /* the same thing then, for other violated rules */
  CHANGE_COUNT,
};

const char *change_name(enum change change);

/* A result as one of the histories has it. Texts are copied. */
struct decision {
  enum result_kind kind;
  struct span what; /* "BLOCK email", "OPEN", a template */
  int64_t at_ms;
  int64_t since_ms;       /* when the trouble began that led to it; at_ms when there is none */
  uint64_t device_number; /* 0: about no device */
  struct span serial;
  struct span violations; /* rules' ids in order, each ended by '\n' */
};

struct difference {
  enum change change;
  enum result_kind kind;
  uint64_t device_number;
  const char *what, *serial;
  int64_t at_ms[HISTORY_COUNT];          /* TIME_NONE: not there */
  const char *violations[HISTORY_COUNT]; /* NULL: not there */
};

/* How many there were of one thing, and how many differ. */
struct tally {
  enum result_kind kind;
  const char *what;
  uint64_t all[HISTORY_COUNT];
  uint64_t changes[CHANGE_COUNT];
};

struct differences;

/* Looks at what was decided in [from_ms, to_ms); TIME_NONE: no bound. */
struct differences *differences_open(int64_t from_ms, int64_t to_ms);
void differences_close(struct differences *differences); /* NULL is allowed */

void differences_note(struct differences *differences, enum history history,
                      const struct decision *decision);

/* Both histories have taken the same step: what they have in common is dropped. */
void differences_settle(struct differences *differences);

/* Pairs what is left; nothing is noted any more. */
void differences_conclude(struct differences *differences);

/* In order of their first time, device and kind. What is returned lives as long as its owner. */
size_t differences_count(const struct differences *differences);
const struct difference *differences_at(const struct differences *differences, size_t index);

/* In order of kind and of what it is; also of things that do not differ. */
size_t differences_tally_count(const struct differences *differences);
const struct tally *differences_tally_at(const struct differences *differences, size_t index);

/* The order of differences and of tallies over several lanes: less than, equal to, above 0. */
int difference_compare(const struct difference *a, const struct difference *b);
int tally_compare(const struct tally *a, const struct tally *b);

#endif
