#include "core/app/log.h"

#include "core/time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 4096, REPEATS_MAX = 64 };

/* How often a message was written within the window that began at its first line. */
struct repeat {
  const char *message;
  int64_t window_start_mono_ms;
  uint64_t written;
  uint64_t held_back;
};

static struct {
  pthread_mutex_t lock;
  enum log_format format;
  enum log_level level_min;
  struct repeat repeats[REPEATS_MAX];
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level_min = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

/* A text that is cut when it is full, and always leaves room for the line's end. */
struct line {
  char *text;
  size_t size;
  size_t used;
};

static void put_char(struct line *line, char character) {
  if (line->used + 1 < line->size) {
    line->text[line->used++] = character;
  }
}

static void put_text(struct line *line, const char *text) {
  for (const char *at = text; *at != '\0'; at++) {
    put_char(line, *at);
  }
}

static void put_format(struct line *line, const char *format, ...) PRINTF_LIKE(2, 3);
static void put_format(struct line *line, const char *format, ...) {
  char text[64];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  put_text(line, text);
}

/* Valid in JSON and in logfmt: a text never starts a line or leaves its quotes. */
static void put_quoted(struct line *line, const char *text) {
  const bool is_utf8 = span_is_utf8(span_text(text));
  put_char(line, '"');
  for (const char *at = text; *at != '\0'; at++) {
    const unsigned char byte = (unsigned char)*at;
    if (byte == '"' || byte == '\\') {
      put_char(line, '\\');
      put_char(line, *at);
    } else if (byte == '\n') {
      put_text(line, "\\n");
    } else if (byte == '\t') {
      put_text(line, "\\t");
    } else if (byte < 0x20 || byte == 0x7f) {
      put_format(line, "\\u%04x", byte);
    } else if (byte >= 0x80 && !is_utf8) {
      put_text(line, "\xef\xbf\xbd");
    } else {
      put_char(line, *at);
    }
  }
  put_char(line, '"');
}

/* Quotes only where a reader of logfmt needs them. */
static bool is_bare(const char *text) {
  if (text[0] == '\0') {
    return false;
  }
  for (const char *at = text; *at != '\0'; at++) {
    if (*at <= ' ' || *at > '~' || *at == '"' || *at == '=' || *at == '\\') {
      return false;
    }
  }
  return true;
}

static void put_value(struct line *line, enum log_format format, const struct log_field *field) {
  switch (field->type) {
  case LOG_TYPE_NONE:
    break;
  case LOG_TYPE_TEXT: {
    const char *const text = field->text == NULL ? "" : field->text;
    if (format == LOG_FORMAT_LOGFMT && is_bare(text)) {
      put_text(line, text);
    } else {
      put_quoted(line, text);
    }
    break;
  }
  case LOG_TYPE_INTEGER:
    put_format(line, "%" PRId64, field->integer);
    break;
  case LOG_TYPE_NUMBER:
    if (isfinite(field->number)) {
      put_format(line, "%.6g", field->number);
    } else {
      put_text(line, "null"); /* JSON has no word for it */
    }
    break;
  case LOG_TYPE_BOOLEAN:
    put_text(line, field->boolean ? "true" : "false");
    break;
  }
}

static void put_field(struct line *line, enum log_format format, const struct log_field *field) {
  const bool is_first = line->used == 0;
  if (format == LOG_FORMAT_JSON) {
    put_text(line, is_first ? "{\"" : ",\"");
    put_text(line, field->key);
    put_text(line, "\":");
  } else {
    put_text(line, is_first ? "" : " ");
    put_text(line, field->key);
    put_char(line, '=');
  }
  put_value(line, format, field);
}

size_t log_format_line(char *line_text, size_t size, enum log_format format, int64_t at_ms,
                       enum log_level level, const char *message, const struct log_field *fields,
                       size_t field_count, uint64_t held_back) {
  assert(size >= 8);
  char at[TIME_TEXT_SIZE];
  time_format(at_ms, at);
  struct line line = {.text = line_text, .size = size - 2}; /* room for "}\n" */
  put_field(&line, format, &(struct log_field)LOG_TEXT("ts", at));
  put_field(&line, format, &(struct log_field)LOG_TEXT("level", level_names[level]));
  put_field(&line, format, &(struct log_field)LOG_TEXT("msg", message));
  if (held_back > 0) {
    put_field(&line, format, &(struct log_field)LOG_INTEGER("held_back", held_back));
  }
  for (size_t i = 0; i < field_count; i++) {
    /* A field goes in whole or not at all: a cut JSON line can be read by nobody. */
    const size_t before = line.used;
    if (fields[i].type != LOG_TYPE_NONE) {
      put_field(&line, format, &fields[i]);
    }
    if (line.used + 1 >= line.size) {
      line.used = before;
    }
  }
  if (format == LOG_FORMAT_JSON) {
    line.text[line.used++] = '}';
  }
  line.text[line.used++] = '\n';
  line.text[line.used] = '\0';
  return line.used;
}

static int64_t clock_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether this line may be written; `held_back` is what was not since the last one that was.
 * Two messages that share a place push each other out: then nothing is held back, which is the
 * safe side. */
static bool may_write(const char *message, uint64_t *held_back) {
  const int64_t now_mono_ms = clock_ms(CLOCK_MONOTONIC);
  struct repeat *const repeat = &state.repeats[((uintptr_t)message >> 3) % REPEATS_MAX];
  *held_back = 0;
  const bool is_over = now_mono_ms - repeat->window_start_mono_ms >= LOG_WINDOW_MS;
  if (repeat->message != message || is_over) {
    *held_back = repeat->message == message ? repeat->held_back : 0;
    *repeat = (struct repeat){.message = message, .window_start_mono_ms = now_mono_ms};
  }
  if (repeat->written >= LOG_BURST) {
    repeat->held_back++;
    return false;
  }
  repeat->written++;
  return true;
}

/* One write a line, so that lines of several threads do not mix. What stderr does not take is
 * lost: logging must not stop the work. */
static void write_line(const char *text, size_t size) {
  size_t written = 0;
  while (written < size) {
    const ssize_t step = write(STDERR_FILENO, text + written, size - written);
    if (step < 0 && errno == EINTR) {
      continue;
    }
    if (step <= 0) {
      return;
    }
    written += (size_t)step;
  }
}

void log_setup(enum log_format format, enum log_level level_min) {
  pthread_mutex_lock(&state.lock);
  state.format = format;
  state.level_min = level_min;
  pthread_mutex_unlock(&state.lock);
}

void log_setup_named(const char *format, const char *level_min) {
  enum log_level level = LOG_LEVEL_INFO;
  for (size_t i = 0; i < COUNT_OF(level_names); i++) {
    if (strcmp(level_names[i], level_min) == 0) {
      level = (enum log_level)i;
    }
  }
  log_setup(strcmp(format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_LOGFMT, level);
}

void log_line(enum log_level level, const char *message, const struct log_field *fields,
              size_t field_count) {
  char line[LINE_SIZE];
  uint64_t held_back;
  pthread_mutex_lock(&state.lock);
  if (level >= state.level_min && may_write(message, &held_back)) {
    const size_t size = log_format_line(line, sizeof line, state.format, clock_ms(CLOCK_REALTIME),
                                        level, message, fields, field_count, held_back);
    write_line(line, size);
  }
  pthread_mutex_unlock(&state.lock);
}
