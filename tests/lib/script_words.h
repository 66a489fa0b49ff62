/* Words of a script's line: shared by the files that read them. */
#ifndef MUSTER_TESTS_LIB_SCRIPT_WORDS_H
#define MUSTER_TESTS_LIB_SCRIPT_WORDS_H

#include "tests/lib/script.h"

/* The words left of a line, and the one that is being looked at. */
struct words {
  struct span rest;
  struct span word;
};

bool take_word(struct words *words);
bool is_word(struct span word, const char *text);

/* Whether the word is "name=value"; then the value. */
bool take_value(struct span word, const char *name, struct span *value);

/* The place of a word in a list of names. */
bool parse_name(struct span word, const char *const *names, size_t count, int *index);
bool parse_number(struct span word, int64_t *number);

/* "23h59m": numbers, each with its unit. */
bool parse_distance(struct span text, int64_t *distance_ms);

/* A subject or id is the text itself, padded with zeros. */
void put_padded(struct span text, uint8_t *bytes, size_t size);
void put_person(struct span text, struct named_person *person);

/* Lines of commands and of the control topic. `words` stands behind the stamp. False: none of
 * these, with the word that was looked at still to be read. */
bool parse_control_kind(struct words *words, struct script_line *line);
/* One more word of such a line. */
bool parse_control_word(struct span word, struct event *event);

/* What follows "amend", or "bootstrap". */
bool parse_amend(struct words *words, struct script_amend *amend);

#endif
