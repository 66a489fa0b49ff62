/* A YAML file as a tree of nodes with their places, and what is wrong with it.
 *
 * For files that people write by hand and that must be understood completely: every problem is a
 * finding with its place, and reading goes on behind it. Anchors, aliases, tags and a second
 * document are refused. Size, number of nodes and nesting are bounded, so that any bytes may be
 * read. */
#ifndef MUSTER_APP_YAML_TREE_H
#define MUSTER_APP_YAML_TREE_H

#include "core/span.h"

enum {
  TREE_SIZE_MAX = 256 * 1024, /* bytes of a file */
  TREE_NODES_MAX = 16384,
  TREE_NESTING_MAX = 24,
  FINDINGS_MAX = 100, /* more are counted only */
  FINDING_TEXT_SIZE = 320,
};

struct finding {
  uint32_t line, column; /* from 1 */
  char text[FINDING_TEXT_SIZE];
};

struct findings {
  struct finding items[FINDINGS_MAX];
  uint32_t count;
  uint32_t more_count; /* not kept */
};

static inline uint32_t findings_count(const struct findings *findings) {
  return findings->count + findings->more_count;
}

enum tree_kind { TREE_SCALAR, TREE_SEQUENCE, TREE_MAPPING };

struct tree_node {
  enum tree_kind kind;
  uint32_t line, column;
  const char *text; /* of a scalar: UTF-8, terminated, without zero bytes */
  bool is_quoted;
  uint32_t child_count;           /* of a mapping: keys and values, by turns */
  struct tree_node *first, *next; /* children and siblings; NULL at the end */
};

struct tree; /* owns the nodes and their texts */

/* Adds a finding at a place; `format` as printf. */
void finding_add(struct findings *findings, uint32_t line, uint32_t column, const char *format, ...)
    PRINTF_LIKE(4, 5);
void finding_add_at(struct findings *findings, const struct tree_node *node, const char *format,
                    ...) PRINTF_LIKE(3, 4);

/* Reads one document. The caller closes the tree, whether or not there are findings; tree_root is
 * NULL when nothing could be read. */
struct tree *tree_read(struct span text, struct findings *findings) MUST_USE;
void tree_close(struct tree *tree); /* NULL is allowed */
const struct tree_node *tree_root(const struct tree *tree);

/* The values of a mapping by name: values[i] is that of names[i], NULL when it is not there. A
 * key that is none of the names, or is given twice, is a finding; `what` says what the mapping
 * is: "a rule". False when the node is no mapping. */
bool tree_fields(const struct tree_node *node, const char *what, const char *const *names,
                 size_t count, const struct tree_node **values, struct findings *findings);

/* The text of a scalar; NULL, with a finding, when the node is no scalar or has no value. `what`
 * names the value. */
const char *tree_text(const struct tree_node *node, const char *what, struct findings *findings);

/* The place of the scalar among the names, in any case of letters; `count` with a finding when it
 * is none: "unknown platform beos; there is windows, macos". */
size_t tree_choice(const struct tree_node *node, const char *what, const char *const *names,
                   size_t count, struct findings *findings);

/* Reads "24h", "1h30m", "7d", "500ms" up to ten years. False, with a finding, when it is not so. */
bool tree_duration(const struct tree_node *node, const char *what, int64_t *duration_ms,
                   struct findings *findings);

/* A whole number in the range. False, with a finding, when it is not so. */
bool tree_number(const struct tree_node *node, const char *what, int64_t min, int64_t max,
                 int64_t *number, struct findings *findings);

/* "true" or "false". */
bool tree_boolean(const struct tree_node *node, const char *what, bool *value,
                  struct findings *findings);

enum { DURATION_TEXT_SIZE = 48 };

/* The shortest text of a duration that is not negative: "24h", "1h30m", "0s". Returns `text`. */
const char *duration_format(int64_t duration_ms, char text[DURATION_TEXT_SIZE]);

/* The same the other way; false when it is no duration, or longer than ten years. */
bool duration_parse(const char *text, int64_t *duration_ms) MUST_USE;

#endif
