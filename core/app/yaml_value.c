/* Values of a YAML tree, typed; what is not of its type is a finding with its place. */
#include "core/app/text.h"
#include "core/app/yaml_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { LIST_SIZE = 240 };
#define DURATION_MAX_MS INT64_C(315360000000)

/* "; did you mean rules?", else "; there is version, rules". */
static void add_unknown(const struct tree_node *node, const char *what, const char *const *names,
                        size_t count, struct findings *findings) {
  struct suggestion suggestion = {.word = node->text};
  char list[LIST_SIZE] = "";
  for (size_t i = 0; i < count; i++) {
    const size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", used == 0 ? "" : ", ", names[i]);
    suggestion_offer(&suggestion, names[i]);
  }
  char nearest[SUGGESTION_TEXT_SIZE];
  suggestion_text(&suggestion, nearest);
  if (nearest[0] != '\0') {
    finding_add_at(findings, node, "unknown %s %.60s%s", what, node->text, nearest);
  } else {
    finding_add_at(findings, node, "unknown %s %.60s; there is %s", what, node->text, list);
  }
}

bool tree_fields(const struct tree_node *node, const char *what, const char *const *names,
                 size_t count, const struct tree_node **values, struct findings *findings) {
  for (size_t i = 0; i < count; i++) {
    values[i] = NULL;
  }
  if (node->kind != TREE_MAPPING) {
    finding_add_at(findings, node, "%s is written as lines of \"key: value\"", what);
    return false;
  }
  for (const struct tree_node *key = node->first; key != NULL; key = key->next->next) {
    if (key->kind != TREE_SCALAR) {
      finding_add_at(findings, key, "a key must be a plain name");
      continue;
    }
    size_t i = 0;
    while (i < count && strcmp(names[i], key->text) != 0) {
      i++;
    }
    if (i == count) {
      char key_of[64];
      snprintf(key_of, sizeof key_of, "key of %s:", what);
      add_unknown(key, key_of, names, count, findings);
    } else if (values[i] != NULL) {
      finding_add_at(findings, key, "%s is given twice, first in line %" PRIu32, names[i],
                     values[i]->line);
    } else {
      values[i] = key->next;
    }
  }
  return true;
}

const char *tree_text(const struct tree_node *node, const char *what, struct findings *findings) {
  if (node->kind != TREE_SCALAR) {
    finding_add_at(findings, node, "%s takes one value, not a %s", what,
                   node->kind == TREE_SEQUENCE ? "list" : "mapping");
    return NULL;
  }
  if (!node->is_quoted &&
      (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0)) {
    finding_add_at(findings, node, "%s has no value", what);
    return NULL;
  }
  return node->text;
}

size_t tree_choice(const struct tree_node *node, const char *what, const char *const *names,
                   size_t count, struct findings *findings) {
  const char *text = tree_text(node, what, findings);
  if (text == NULL) {
    return count;
  }
  for (size_t i = 0; i < count; i++) {
    if (strcasecmp(names[i], text) == 0) {
      return i;
    }
  }
  add_unknown(node, what, names, count, findings);
  return count;
}

static const struct {
  const char *name;
  int64_t ms;
} units[] = {{"d", INT64_C(86400000)}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

/* The unit that the text begins with: the longest name. */
static int64_t unit_at(const char *text, size_t *size) {
  *size = strspn(text, "dhms");
  for (size_t i = 0; i < COUNT_OF(units); i++) {
    if (strlen(units[i].name) == *size && strncmp(units[i].name, text, *size) == 0) {
      return units[i].ms;
    }
  }
  return 0;
}

bool duration_parse(const char *text, int64_t *duration_ms) {
  int64_t sum_ms = 0;
  int64_t last_ms = INT64_MAX; /* units come in falling order, each once */
  if (text[0] == '\0') {
    return false;
  }
  while (*text != '\0') {
    const size_t digits = strspn(text, "0123456789");
    size_t unit_size;
    if (digits == 0 || digits > 12) {
      return false;
    }
    const int64_t count = strtoll(text, NULL, 10);
    const int64_t unit_ms = unit_at(text + digits, &unit_size);
    if (unit_ms == 0 || unit_ms >= last_ms || count > DURATION_MAX_MS / unit_ms) {
      return false;
    }
    sum_ms += count * unit_ms;
    last_ms = unit_ms;
    text += digits + unit_size;
  }
  *duration_ms = sum_ms;
  return sum_ms <= DURATION_MAX_MS;
}

bool tree_duration(const struct tree_node *node, const char *what, int64_t *duration_ms,
                   struct findings *findings) {
  const char *text = tree_text(node, what, findings);
  if (text == NULL) {
    return false;
  }
  if (!duration_parse(text, duration_ms)) {
    const bool is_bare = text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
    finding_add_at(findings, node, "%s %.60s is no duration%s; write 24h, 1h30m, 7d or 500ms", what,
                   text, is_bare ? ": its unit is missing" : "");
    return false;
  }
  return true;
}

bool tree_number(const struct tree_node *node, const char *what, int64_t min, int64_t max,
                 int64_t *number, struct findings *findings) {
  const char *text = tree_text(node, what, findings);
  if (text == NULL) {
    return false;
  }
  char *end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  const char first = text[0] == '-' ? text[1] : text[0];
  if (first < '0' || first > '9' || *end != '\0' || errno != 0 || value < min || value > max) {
    finding_add_at(findings, node,
                   "%s takes a whole number from %" PRId64 " to %" PRId64 ", not %.60s", what, min,
                   max, text);
    return false;
  }
  *number = value;
  return true;
}

bool tree_boolean(const struct tree_node *node, const char *what, bool *value,
                  struct findings *findings) {
  const char *text = tree_text(node, what, findings);
  if (text == NULL) {
    return false;
  }
  *value = strcmp(text, "true") == 0;
  if (!*value && strcmp(text, "false") != 0) {
    finding_add_at(findings, node, "%s takes true or false, not %.60s", what, text);
    return false;
  }
  return true;
}

const char *duration_format(int64_t duration_ms, char text[DURATION_TEXT_SIZE]) {
  size_t used = 0;
  assert(duration_ms >= 0);
  /* Days are hours: 24h, which plans are made of, is not to become 1d. */
  for (size_t i = 1; i < COUNT_OF(units); i++) {
    const int64_t count = duration_ms / units[i].ms;
    if (count > 0) {
      used += (size_t)snprintf(text + used, DURATION_TEXT_SIZE - used, "%" PRId64 "%s", count,
                               units[i].name);
      duration_ms %= units[i].ms;
    }
  }
  if (used == 0) {
    snprintf(text, DURATION_TEXT_SIZE, "0s");
  }
  return text;
}
