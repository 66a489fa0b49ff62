#include "core/app/device_page.h"

#include "core/app/device_as_of.h"

#include <jansson.h>
#include <string.h>

enum { NAME_WIDTH = 18 };

/* Nothing that a value holds reaches the terminal as a control character. */
static void put_text(FILE *stream, const char *text) {
  output_shown_text(stream, span_text(text != NULL ? text : ""));
}

static const char *member(const json_t *object, const char *name) {
  return json_string_value(json_object_get(object, name));
}

static void put_line(FILE *stream, const char *name, const char *text) {
  fprintf(stream, "  %-*s ", NAME_WIDTH, name);
  put_text(stream, text);
  fputc('\n', stream);
}

/* What a value that is not there would say: nothing. */
static bool is_worth_a_line(size_t column, const struct cell *cell) {
  switch (device_columns[column].type) {
  case COLUMN_BOOLEAN:
    return !cell->is_null && cell->boolean;
  case COLUMN_LIST:
    return false; /* violations have a section of their own */
  case COLUMN_TEXT:
  case COLUMN_INTEGER:
  case COLUMN_NUMBER:
  case COLUMN_TIME:
  case COLUMN_JSON:
    break;
  }
  return column == DEVICE_LAST_SYNC_AT || !cell->is_null;
}

/* Which record says it, and by what number, is for programs. */
static bool is_for_people(size_t column) {
  return column < DEVICE_LANE || column == DEVICE_AT || column == DEVICE_POLICY;
}

/* What the next action is, in words. */
static const char *action_in_words(struct span action) {
  static const struct {
    const char *name, *words;
  } actions[] = {
      {"fail", "FAILED without a check-in by then"},
      {"block", "access is withdrawn"},
      {"ticket", "a ticket is opened"},
      {"notify", "the user is written to"},
      {"clean", "the episode ends: compliant for long enough"},
      {"mail", "quiet hours are over, and a mail that waited is sent"},
      {"overdue", "a missed check-in is told"},
      {"retire", "the device is given up"},
      {"wipe_overdue", "a wipe that waits for a check-in is told to be missing"},
  };
  for (size_t i = 0; i < COUNT_OF(actions); i++) {
    if (span_equal(action, span_text(actions[i].name))) {
      return actions[i].words;
    }
  }
  return NULL;
}

static void put_columns(FILE *stream, const struct device_page *page) {
  for (size_t i = 0; i < DEVICE_COLUMN_COUNT; i++) {
    if (!is_for_people(i) || !is_worth_a_line(i, &page->cells[i])) {
      continue;
    }
    fprintf(stream, "%-*s ", NAME_WIDTH, device_columns[i].name);
    if (page->cells[i].is_null) {
      fputs("never", stream);
    } else {
      output_plain_cell(stream, &device_columns[i], &page->cells[i]);
    }
    if (i == DEVICE_NEXT_ACTION && action_in_words(page->cells[i].text) != NULL) {
      fprintf(stream, ": %s", action_in_words(page->cells[i].text));
    }
    fputc('\n', stream);
  }
}

static void put_wipe(FILE *stream, const struct cell *wipe) {
  json_t *const json =
      wipe->is_null ? NULL : json_loadb((const char *)wipe->text.data, wipe->text.size, 0, NULL);
  if (json == NULL) {
    return;
  }
  const char *const state = member(json, "state");
  fprintf(stream, "%-*s %s: %s, asked for at %s by ", NAME_WIDTH, "wipe", state,
          member(json, "reason"), member(json, "asked_at"));
  put_text(stream, member(json, "asked_by"));
  fputs(strcmp(state, "UNAPPROVED") == 0 ? "; another ADMIN has to approve\n"
                                         : "; carried out at the next check-in\n",
        stream);
  json_decref(json);
}

static void put_rules(FILE *stream, const json_t *rules) {
  fputs(json_array_size(rules) > 0 ? "\nviolations\n" : "", stream);
  for (size_t i = 0; i < json_array_size(rules); i++) {
    const json_t *const rule = json_array_get(rules, i);
    put_line(stream, member(rule, "rule"), member(rule, "title"));
    if (member(rule, "required") != NULL) {
      put_line(stream, "  seen", member(rule, "observed"));
      put_line(stream, "  required", member(rule, "required"));
      put_line(stream, "  remedy", member(rule, "remediation"));
    }
  }
}

static void put_history(FILE *stream, const struct device_page *page) {
  fputs("\nhistory, newest first\n", stream);
  for (size_t i = 0; i < json_array_size(page->history); i++) {
    const json_t *const result = json_array_get(page->history, i);
    fputs("  ", stream);
    put_text(stream, member(result, "at"));
    fputs("  ", stream);
    put_text(stream, member(result, "what"));
    fputc('\n', stream);
  }
  if (!page->is_history_whole) {
    fputs("  (older ones are not looked for; muster replay explain tells all)\n", stream);
  }
}

void device_page_print(FILE *stream, const struct device_page *page) {
  put_columns(stream, page);
  if (page->hint != NULL) {
    fprintf(stream, "%-*s %s\n", NAME_WIDTH, "hint", page->hint);
  }
  put_wipe(stream, &page->wipe);
  put_rules(stream, page->rules);
  put_history(stream, page);
}
