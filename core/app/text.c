#include "core/app/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_die(void *memory) {
  if (memory == NULL) {
    fputs("muster: out of memory\n", stderr);
    abort();
  }
  return memory;
}

static void *json_memory(size_t size) {
  return or_die(malloc(size > 0 ? size : 1));
}

void memory_guard(void) {
  json_set_alloc_funcs(json_memory, free);
}

void *memory_zeroed(size_t count, size_t size) {
  return or_die(calloc(count > 0 ? count : 1, size));
}

void *memory_grown(void *memory, size_t count, size_t size) {
  return or_die(reallocarray(memory, count, size));
}

char *path_join(const char *directory, const char *name) {
  const size_t size = strlen(directory) + strlen(name) + 2;
  char *const path = memory_zeroed(1, size);
  snprintf(path, size, "%s%s%s", directory, directory[0] == '\0' ? "" : "/", name);
  return path;
}

char *text_copy(const char *text) {
  return or_die(strdup(text));
}

char *text_copy_size(const char *text, size_t size) {
  char *const copy = memory_zeroed(size + 1, 1);
  if (size > 0) {
    memcpy(copy, text, size);
  }
  return copy;
}

FILE *text_stream(char **text, size_t *size) {
  return or_die(open_memstream(text, size));
}

/* glibc says nothing when there is no memory to shorten the text at its end: then it is NULL. */
void text_stream_end(FILE *stream, char *const *text) {
  const bool was_cut = ferror(stream) != 0;
  if (fclose(stream) != 0 || was_cut || *text == NULL) {
    (void)or_die(NULL);
  }
}

/* A URL's user and password stand between "//" and the last '@' before the path. */
char *url_shown(const char *url) {
  const char *const slashes = strstr(url, "://");
  const char *const host = slashes == NULL ? url : slashes + 3;
  const char *const end = host + strcspn(host, "/?#");
  const char *at_sign = NULL;
  for (const char *at = host; at < end; at++) {
    if (*at == '@') {
      at_sign = at;
    }
  }
  if (at_sign == NULL) {
    return text_copy(url);
  }
  char *const shown = memory_zeroed(strlen(url) + 8, 1);
  snprintf(shown, strlen(url) + 8, "%.*s***%s", (int)(host - url), url, at_sign);
  return shown;
}

enum { WORD_SIZE_MAX = 63 };

static size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

/* How many letters must be put in, left out, replaced, or swapped with their neighbour. Both
 * words have at most WORD_SIZE_MAX letters. */
static size_t edit_distance(const char *from, const char *to) {
  const size_t from_size = strlen(from);
  const size_t to_size = strlen(to);
  size_t rows[3][WORD_SIZE_MAX + 1] = {{0}};
  size_t *before = rows[0];
  size_t *above = rows[1];
  size_t *row = rows[2];
  for (size_t i = 0; i <= to_size; i++) {
    above[i] = i;
  }
  for (size_t i = 1; i <= from_size; i++) {
    row[0] = i;
    for (size_t j = 1; j <= to_size; j++) {
      const size_t replace = above[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      row[j] = smaller(replace, smaller(above[j], row[j - 1]) + 1);
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        row[j] = smaller(row[j], before[j - 2] + 1);
      }
    }
    size_t *const reused = before;
    before = above;
    above = row;
    row = reused;
  }
  return above[to_size];
}

void suggestion_offer(struct suggestion *suggestion, const char *candidate) {
  const size_t size = strlen(suggestion->word);
  if (size > WORD_SIZE_MAX || strlen(candidate) > WORD_SIZE_MAX) {
    return;
  }
  const size_t distance = edit_distance(suggestion->word, candidate);
  const size_t distance_max = size < 4 ? 1 : size / 3;
  if (distance > distance_max ||
      (suggestion->nearest != NULL && distance >= suggestion->distance)) {
    return;
  }
  suggestion->nearest = candidate;
  suggestion->distance = distance;
}

const char *suggestion_text(const struct suggestion *suggestion, char text[SUGGESTION_TEXT_SIZE]) {
  text[0] = '\0';
  if (suggestion->nearest != NULL) {
    snprintf(text, SUGGESTION_TEXT_SIZE, "; did you mean %s?", suggestion->nearest);
  }
  return text;
}
