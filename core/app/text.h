/* Texts that are owned, and the word that somebody may have meant. Running out of memory ends
 * the program with a word: a command has nothing better to do. */
#ifndef MUSTER_APP_TEXT_H
#define MUSTER_APP_TEXT_H

#include "core/base.h"

#include <stdio.h>

/* Makes JSON's memory end the program, too, instead of leaving out what there was no room for. Call
 * before anything else, as every process does once. */
void memory_guard(void);

/* Zeroed memory and copies of texts; the caller frees them. */
void *memory_zeroed(size_t count, size_t size);
void *memory_grown(void *memory, size_t count, size_t size);
char *text_copy(const char *text);
char *text_copy_size(const char *text, size_t size);

/* "directory/name", or the name alone when the directory is empty; the caller frees it. */
char *path_join(const char *directory, const char *name);

/* A text that is written piece by piece, whole or not at all. It is there, the caller's to free,
 * when the stream has been ended. */
FILE *text_stream(char **text, size_t *size);
void text_stream_end(FILE *stream, char *const *text);

/* A URL with *** for what stands before its host's '@', a user and a password. The caller frees
 * it. */
char *url_shown(const char *url);

/* The candidate nearest to a word, when one is near enough to be a slip of the finger. */
struct suggestion {
  const char *word;
  const char *nearest; /* NULL: none is near */
  size_t distance;
};

void suggestion_offer(struct suggestion *suggestion, const char *candidate);

enum { SUGGESTION_TEXT_SIZE = 96 };

/* "; did you mean kafka.group_id?", or an empty text. Returns `text`. */
const char *suggestion_text(const struct suggestion *suggestion, char text[SUGGESTION_TEXT_SIZE]);

#endif
