/* The settings' file: YAML events, bound strictly to the table of settings.
 *
 * The shape is sections of keys, a value being a scalar or, for a list, a sequence of scalars.
 * Whatever else YAML can say (anchors, documents, deeper trees) is refused with its place: a
 * setting that is not understood must not be passed over. */
#include "core/app/setting.h"
#include "core/app/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { PLACE_SIZE = 256, KEY_SIZE = 128 };

struct reader {
  yaml_parser_t parser;
  yaml_event_t event; /* the current one; deleted by the next read */
  bool has_event;
  const char *file;
  char section[KEY_SIZE];
  bool *given; /* by index in the table: the key has been seen */
  struct config *config;
  struct error *error;
};

static const char *place_of(const struct reader *reader, const yaml_mark_t mark,
                            char place[PLACE_SIZE]) {
  snprintf(place, PLACE_SIZE, "%.200s:%zu:%zu", reader->file, mark.line + 1, mark.column + 1);
  return place;
}

static enum status fail_at_event(const struct reader *reader, const char *text) {
  char place[PLACE_SIZE];
  return error_set(reader->error, STATUS_CONFIG, "%s: %s",
                   place_of(reader, reader->event.start_mark, place), text);
}

static enum status next_event(struct reader *reader) {
  if (reader->has_event) {
    yaml_event_delete(&reader->event);
    reader->has_event = false;
  }
  if (yaml_parser_parse(&reader->parser, &reader->event) != 0) {
    reader->has_event = true;
    return STATUS_OK;
  }
  /* The reader's own problems (a byte that is no UTF-8) have an offset and no mark. */
  const yaml_parser_t *const parser = &reader->parser;
  const yaml_mark_t mark = parser->error == YAML_READER_ERROR ? parser->mark : parser->problem_mark;
  char place[PLACE_SIZE];
  return error_set(reader->error, STATUS_CONFIG, "%s: %s%s%s", place_of(reader, mark, place),
                   parser->problem == NULL ? "not YAML" : parser->problem,
                   parser->context == NULL ? "" : " ",
                   parser->context == NULL ? "" : parser->context);
}

/* A scalar as a name of a section or a key, without variables. */
static enum status read_name(const struct reader *reader, char name[KEY_SIZE]) {
  if (reader->event.type != YAML_SCALAR_EVENT) {
    return fail_at_event(reader, "a section or key must be a plain name");
  }
  const char *const text = (const char *)reader->event.data.scalar.value;
  if (strlen(text) >= KEY_SIZE || strlen(text) != reader->event.data.scalar.length) {
    return fail_at_event(reader, "a section or key must be a plain name");
  }
  memcpy(name, text, strlen(text) + 1);
  return STATUS_OK;
}

struct growing_text {
  char *text;
  size_t size;
};

static void append(struct growing_text *grown, const char *text, size_t size) {
  grown->text = memory_grown(grown->text, grown->size + size + 1, 1);
  memcpy(grown->text + grown->size, text, size);
  grown->size += size;
  grown->text[grown->size] = '\0';
}

/* The value of the variable in "${NAME}" at `at`; its length goes to `size`. NULL when the text
 * is no such reference, or the variable is not set; the error says which. */
static const char *variable_at(const struct reader *reader, const char *at, size_t *size) {
  const size_t name_size = strcspn(at + 2, "}");
  const bool starts_with_digit = at[2] >= '0' && at[2] <= '9';
  if (at[2 + name_size] != '}' || name_size == 0 || name_size >= KEY_SIZE || starts_with_digit ||
      strspn(at + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
          name_size) {
    fail_at_event(reader, "${ must be followed by a variable's name and }; $${ stands for ${");
    return NULL;
  }
  char name[KEY_SIZE];
  memcpy(name, at + 2, name_size);
  name[name_size] = '\0';
  *size = name_size + 3;
  const char *const value = getenv(name);
  if (value == NULL) {
    char text[KEY_SIZE + 64];
    snprintf(text, sizeof text, "the environment variable %s is not set", name);
    fail_at_event(reader, text);
  }
  return value;
}

/* The current scalar with its variables replaced; NULL when that fails. After parsing: what a
 * variable holds is never read as YAML. */
static char *expand_scalar(const struct reader *reader) {
  const char *const text = (const char *)reader->event.data.scalar.value;
  if (strlen(text) != reader->event.data.scalar.length) {
    fail_at_event(reader, "a value must not hold a zero byte");
    return NULL;
  }
  struct growing_text grown = {0};
  append(&grown, "", 0);
  for (const char *at = text; *at != '\0';) {
    if (strncmp(at, "$${", 3) == 0) {
      append(&grown, "${", 2);
      at += 3;
    } else if (strncmp(at, "${", 2) == 0) {
      size_t size;
      const char *const value = variable_at(reader, at, &size);
      if (value == NULL) {
        free(grown.text);
        return NULL;
      }
      append(&grown, value, strlen(value));
      at += size;
    } else {
      append(&grown, at, 1);
      at++;
    }
  }
  return grown.text;
}

static void list_fini(struct text_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->items[i]);
  }
  free(list->items);
}

static enum status read_sequence(struct reader *reader, const struct setting *setting) {
  char place[PLACE_SIZE];
  place_of(reader, reader->event.start_mark, place);
  if (setting->type != SETTING_LIST) {
    return error_set(reader->error, STATUS_CONFIG, "%s: %s takes one value, not a list", place,
                     setting->key);
  }
  struct text_list items = {0};
  enum status status = next_event(reader);
  while (status == STATUS_OK && reader->event.type != YAML_SEQUENCE_END_EVENT) {
    if (reader->event.type != YAML_SCALAR_EVENT) {
      status = fail_at_event(reader, "an item of a list must be a text");
      break;
    }
    char *const item = expand_scalar(reader);
    if (item == NULL) {
      status = STATUS_CONFIG;
      break;
    }
    items.items = memory_grown(items.items, items.count + 1, sizeof items.items[0]);
    items.items[items.count++] = item;
    status = next_event(reader);
  }
  if (status == STATUS_OK) {
    status = setting_assign_list(setting, reader->config, place, &items, reader->error);
  }
  list_fini(&items);
  return status;
}

static enum status read_scalar(const struct reader *reader, const struct setting *setting) {
  char place[PLACE_SIZE];
  place_of(reader, reader->event.start_mark, place);
  const char *const text = (const char *)reader->event.data.scalar.value;
  const bool is_plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  if (is_plain && (text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0)) {
    return error_set(reader->error, STATUS_CONFIG,
                     "%s: %s has no value; write \"\" for an empty one, or leave the key out",
                     place, setting->key);
  }
  char *const value = expand_scalar(reader);
  if (value == NULL) {
    return STATUS_CONFIG;
  }
  const enum status status = setting_assign(setting, reader->config, place, value, reader->error);
  free(value);
  return status;
}

/* The key at the current event and, behind it, its value. */
static enum status read_key(struct reader *reader) {
  char name[KEY_SIZE];
  enum status status = read_name(reader, name);
  if (status != STATUS_OK) {
    return status;
  }
  char key[2 * KEY_SIZE];
  snprintf(key, sizeof key, "%s.%s", reader->section, name);
  char place[PLACE_SIZE];
  place_of(reader, reader->event.start_mark, place);
  const struct setting *const setting = setting_find(key);
  if (setting == NULL) {
    return setting_unknown(place, key, reader->error);
  }
  bool *const given = &reader->given[setting - settings];
  if (*given) {
    return error_set(reader->error, STATUS_CONFIG, "%s: %s is given twice", place, key);
  }
  *given = true;
  status = next_event(reader);
  if (status != STATUS_OK) {
    return status;
  }
  if (reader->event.type == YAML_SCALAR_EVENT) {
    return read_scalar(reader, setting);
  }
  if (reader->event.type == YAML_SEQUENCE_START_EVENT) {
    return read_sequence(reader, setting);
  }
  return error_set(reader->error, STATUS_CONFIG, "%s: %s takes %s", place, key,
                   setting->type == SETTING_LIST ? "a list of texts" : "one value");
}

static enum status unknown_section(const struct reader *reader) {
  struct suggestion suggestion = {.word = reader->section};
  char(*const names)[KEY_SIZE] = memory_zeroed(setting_count, sizeof *names);
  for (size_t i = 0; i < setting_count; i++) {
    const size_t size = strcspn(settings[i].key, ".");
    assert(size < KEY_SIZE);
    memcpy(names[i], settings[i].key, size);
    suggestion_offer(&suggestion, names[i]); /* which points into what it is offered */
  }
  char place[PLACE_SIZE];
  char nearest[SUGGESTION_TEXT_SIZE];
  const enum status status = error_set(reader->error, STATUS_CONFIG, "%s: unknown section %s%s",
                                       place_of(reader, reader->event.start_mark, place),
                                       reader->section, suggestion_text(&suggestion, nearest));
  free(names);
  return status;
}

static bool section_exists(const char *section) {
  const size_t size = strlen(section);
  for (size_t i = 0; i < setting_count; i++) {
    if (strncmp(settings[i].key, section, size) == 0 && settings[i].key[size] == '.') {
      return true;
    }
  }
  return false;
}

/* A section's name at the current event and, behind it, its keys. */
static enum status read_section(struct reader *reader) {
  enum status status = read_name(reader, reader->section);
  if (status == STATUS_OK && !section_exists(reader->section)) {
    status = unknown_section(reader);
  }
  if (status == STATUS_OK) {
    status = next_event(reader);
  }
  if (status != STATUS_OK) {
    return status;
  }
  const bool is_empty =
      reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0;
  if (is_empty) {
    return STATUS_OK; /* all of its keys are commented out */
  }
  if (reader->event.type != YAML_MAPPING_START_EVENT) {
    return fail_at_event(reader, "a section holds lines of \"key: value\"");
  }
  status = next_event(reader);
  while (status == STATUS_OK && reader->event.type != YAML_MAPPING_END_EVENT) {
    status = read_key(reader);
    if (status == STATUS_OK) {
      status = next_event(reader);
    }
  }
  return status;
}

static enum status read_sections(struct reader *reader) {
  enum status status = next_event(reader);
  while (status == STATUS_OK && reader->event.type != YAML_MAPPING_END_EVENT) {
    status = read_section(reader);
    if (status == STATUS_OK) {
      status = next_event(reader);
    }
  }
  return status;
}

/* One document, or none in an empty file. */
static enum status read_stream(struct reader *reader) {
  size_t document_count = 0;
  enum status status = next_event(reader);
  while (status == STATUS_OK && reader->event.type != YAML_STREAM_END_EVENT) {
    switch (reader->event.type) {
    case YAML_DOCUMENT_START_EVENT:
      document_count++;
      status = document_count > 1 ? fail_at_event(reader, "one document is enough") : STATUS_OK;
      break;
    case YAML_MAPPING_START_EVENT:
      status = read_sections(reader);
      break;
    case YAML_SCALAR_EVENT:
      if (reader->event.data.scalar.length > 0) {
        status = fail_at_event(reader, "expected sections of settings, such as \"kafka:\"");
      }
      break;
    case YAML_SEQUENCE_START_EVENT:
      status = fail_at_event(reader, "expected sections of settings, such as \"kafka:\"");
      break;
    default: /* the stream's start, the document's end */
      break;
    }
    if (status == STATUS_OK) {
      status = next_event(reader);
    }
  }
  return status;
}

enum status config_read_yaml(struct config *config, const char *file, struct error *error) {
  FILE *const stream = fopen(file, "rb");
  if (stream == NULL) {
    return error_set(error, STATUS_CONFIG, "--config %s: %s", file, strerror(errno));
  }
  struct reader reader = {.file = file, .config = config, .error = error};
  if (yaml_parser_initialize(&reader.parser) == 0) {
    fclose(stream);
    return error_set(error, STATUS_CONFIG, "--config %s: out of memory", file);
  }
  reader.given = memory_zeroed(setting_count, sizeof reader.given[0]);
  yaml_parser_set_input_file(&reader.parser, stream);
  const enum status status = read_stream(&reader);
  if (reader.has_event) {
    yaml_event_delete(&reader.event);
  }
  yaml_parser_delete(&reader.parser);
  free(reader.given);
  fclose(stream);
  return status;
}
