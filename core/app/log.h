/* One structured line per fact on stderr, logfmt or JSON. Never personal data: no address, no
 * serial, no value of a message.
 *
 *   log_info("lane taken", LOG_INTEGER("lane", lane), LOG_TEXT("instance", name));
 *
 * A fact repeated more than LOG_BURST times within LOG_WINDOW_MS is held back; the next line of
 * it that passes says how many were. Lines may be written from any thread. */
#ifndef MUSTER_APP_LOG_H
#define MUSTER_APP_LOG_H

#include "core/base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };
enum { LOG_BURST = 20, LOG_WINDOW_MS = 10000 };

enum log_type { LOG_TYPE_NONE, LOG_TYPE_TEXT, LOG_TYPE_INTEGER, LOG_TYPE_NUMBER, LOG_TYPE_BOOLEAN };

struct log_field {
  const char *key; /* lower case, words joined by '_', the unit last */
  enum log_type type;
  union {
    const char *text; /* NULL is shown as an empty text */
    int64_t integer;
    double number;
    bool boolean;
  };
};

#define LOG_TEXT(name, value)                                                                      \
  { .key = (name), .type = LOG_TYPE_TEXT, .text = (value) }
#define LOG_INTEGER(name, value)                                                                   \
  { .key = (name), .type = LOG_TYPE_INTEGER, .integer = (int64_t)(value) }
#define LOG_NUMBER(name, value)                                                                    \
  { .key = (name), .type = LOG_TYPE_NUMBER, .number = (value) }
#define LOG_BOOLEAN(name, value)                                                                   \
  { .key = (name), .type = LOG_TYPE_BOOLEAN, .boolean = (value) }

/* `message` is a literal: repeats are told by its address. The empty first field is there so
 * that a line without fields is legal C. */
#define LOG_FIELDS(...)                                                                            \
  (const struct log_field[]){{.type = LOG_TYPE_NONE}, __VA_ARGS__},                                \
      sizeof((const struct log_field[]){{.type = LOG_TYPE_NONE}, __VA_ARGS__}) /                   \
          sizeof(struct log_field)
#define log_debug(message, ...) log_line(LOG_LEVEL_DEBUG, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...) log_line(LOG_LEVEL_INFO, message, LOG_FIELDS(__VA_ARGS__))
#define log_warning(message, ...) log_line(LOG_LEVEL_WARNING, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(message, ...) log_line(LOG_LEVEL_ERROR, message, LOG_FIELDS(__VA_ARGS__))

/* Before any thread is started; until then logfmt from LOG_LEVEL_INFO on. */
void log_setup(enum log_format format, enum log_level level_min);

/* The texts of the settings log.format and log.level, which the configuration has checked. */
void log_setup_named(const char *format, const char *level_min);

void log_line(enum log_level level, const char *message, const struct log_field *fields,
              size_t field_count);

/* The line that log_line writes at a time, limits apart: ended by '\n' and terminated. A field
 * that does not fit in `size` is left out whole. Returns its length; `held_back` > 0 is shown. */
size_t log_format_line(char *line, size_t size, enum log_format format, int64_t at_ms,
                       enum log_level level, const char *message, const struct log_field *fields,
                       size_t field_count, uint64_t held_back);

#endif
