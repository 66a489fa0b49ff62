#include "core/app/yaml_tree.h"

#include "core/app/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct tree {
  struct tree_node *nodes;
  size_t node_count;
  char *texts; /* of all scalars: never more than the file has bytes, and a zero each */
  size_t texts_size, texts_capacity;
};

struct builder {
  yaml_parser_t parser;
  struct tree *tree;
  struct findings *findings;
  struct span text;
  struct tree_node *open[TREE_NESTING_MAX]; /* the collections around the current event */
  struct tree_node *last[TREE_NESTING_MAX]; /* and their last child */
  size_t depth;
  size_t document_count;
};

static void add(struct findings *findings, uint32_t line, uint32_t column, const char *format,
                va_list arguments) {
  if (findings->count == FINDINGS_MAX) {
    findings->more_count++;
    return;
  }
  struct finding *finding = &findings->items[findings->count++];
  finding->line = line;
  finding->column = column;
  vsnprintf(finding->text, sizeof finding->text, format, arguments);
  /* What it quotes of the file stays on its line, and does nothing to a terminal. */
  for (char *at = finding->text; *at != '\0'; at++) {
    if ((unsigned char)*at < ' ' || *at == 0x7f) {
      *at = '?';
    }
  }
}

void finding_add(struct findings *findings, uint32_t line, uint32_t column, const char *format,
                 ...) {
  va_list arguments;
  va_start(arguments, format);
  add(findings, line, column, format, arguments);
  va_end(arguments);
}

void finding_add_at(struct findings *findings, const struct tree_node *node, const char *format,
                    ...) {
  va_list arguments;
  va_start(arguments, format);
  add(findings, node->line, node->column, format, arguments);
  va_end(arguments);
}

static void add_at_mark(const struct builder *builder, yaml_mark_t mark, const char *text) {
  finding_add(builder->findings, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, "%s", text);
}

/* Puts a node where the event stands; NULL, with a finding, when the file is too big. */
static struct tree_node *add_node(struct builder *builder, const yaml_event_t *event,
                                  enum tree_kind kind) {
  struct tree *tree = builder->tree;
  if (tree->node_count == TREE_NODES_MAX) {
    add_at_mark(builder, event->start_mark, "too many values in one file");
    return NULL;
  }
  struct tree_node *node = &tree->nodes[tree->node_count++];
  *node = (struct tree_node){.kind = kind,
                             .line = (uint32_t)event->start_mark.line + 1,
                             .column = (uint32_t)event->start_mark.column + 1};
  if (builder->depth > 0) {
    struct tree_node **last = &builder->last[builder->depth - 1];
    if (*last == NULL) {
      builder->open[builder->depth - 1]->first = node;
    } else {
      (*last)->next = node;
    }
    *last = node;
    builder->open[builder->depth - 1]->child_count++;
  }
  return node;
}

static bool add_collection(struct builder *builder, const yaml_event_t *event, enum tree_kind kind,
                           const yaml_char_t *anchor, const yaml_char_t *tag) {
  if (anchor != NULL || tag != NULL) {
    add_at_mark(builder, event->start_mark, "anchors (&) and tags (!) are not taken here");
    return false;
  }
  if (builder->depth == TREE_NESTING_MAX) {
    add_at_mark(builder, event->start_mark, "nested too deeply");
    return false;
  }
  struct tree_node *node = add_node(builder, event, kind);
  if (node == NULL) {
    return false;
  }
  builder->open[builder->depth] = node;
  builder->last[builder->depth] = NULL;
  builder->depth++;
  return true;
}

static bool add_scalar(struct builder *builder, const yaml_event_t *event) {
  const char *text = (const char *)event->data.scalar.value;
  const size_t size = event->data.scalar.length;
  if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL) {
    add_at_mark(builder, event->start_mark, "anchors (&) and tags (!) are not taken here");
    return false;
  }
  if (strlen(text) != size) {
    add_at_mark(builder, event->start_mark, "a value must not hold a zero byte");
    return false;
  }
  struct tree_node *node = add_node(builder, event, TREE_SCALAR);
  if (node == NULL) {
    return false;
  }
  struct tree *tree = builder->tree;
  if (tree->texts_capacity - tree->texts_size <= size) {
    add_at_mark(builder, event->start_mark, "too much text in one file");
    return false;
  }
  memcpy(tree->texts + tree->texts_size, text, size + 1);
  node->text = tree->texts + tree->texts_size;
  node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  tree->texts_size += size + 1;
  return true;
}

static bool add_event(struct builder *builder, const yaml_event_t *event) {
  switch (event->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (builder->document_count++ > 0) {
      add_at_mark(builder, event->start_mark, "one document is enough");
      return false;
    }
    return true;
  case YAML_SCALAR_EVENT:
    return add_scalar(builder, event);
  case YAML_SEQUENCE_START_EVENT:
    return add_collection(builder, event, TREE_SEQUENCE, event->data.sequence_start.anchor,
                          event->data.sequence_start.tag);
  case YAML_MAPPING_START_EVENT:
    return add_collection(builder, event, TREE_MAPPING, event->data.mapping_start.anchor,
                          event->data.mapping_start.tag);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    builder->depth--;
    return true;
  case YAML_ALIAS_EVENT:
    add_at_mark(builder, event->start_mark, "aliases (*) are not taken here");
    return false;
  case YAML_NO_EVENT:
  case YAML_STREAM_START_EVENT:
  case YAML_STREAM_END_EVENT:
  case YAML_DOCUMENT_END_EVENT:
    return true;
  }
  return true;
}

/* Where the byte at `offset` stands; columns are bytes in front of what is no UTF-8. */
static yaml_mark_t mark_of(struct span text, size_t offset) {
  yaml_mark_t mark = {.index = offset};
  for (size_t i = 0; i < offset && i < text.size; i++) {
    mark.column = text.data[i] == '\n' ? 0 : mark.column + 1;
    mark.line += text.data[i] == '\n' ? 1 : 0;
  }
  return mark;
}

/* The reader's own problems (a byte that is no UTF-8) have an offset and no mark. */
static void add_parser_problem(const struct builder *builder) {
  const yaml_parser_t *parser = &builder->parser;
  const yaml_mark_t mark = parser->error == YAML_READER_ERROR
                               ? mark_of(builder->text, parser->problem_offset)
                               : parser->problem_mark;
  finding_add(builder->findings, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1,
              "not YAML: %s%s%s", parser->problem == NULL ? "cannot be read" : parser->problem,
              parser->context == NULL ? "" : " ", parser->context == NULL ? "" : parser->context);
}

static void read_events(struct builder *builder) {
  for (bool is_open = true; is_open;) {
    yaml_event_t event;
    if (yaml_parser_parse(&builder->parser, &event) == 0) {
      add_parser_problem(builder);
      return;
    }
    is_open = add_event(builder, &event) && event.type != YAML_STREAM_END_EVENT;
    yaml_event_delete(&event);
  }
}

struct tree *tree_read(struct span text, struct findings *findings) {
  struct tree *tree = memory_zeroed(1, sizeof *tree);
  if (text.size > TREE_SIZE_MAX) {
    finding_add(findings, 1, 1, "a file of %zu bytes, at most %d are read", text.size,
                (int)TREE_SIZE_MAX);
    return tree;
  }
  tree->nodes = memory_zeroed(TREE_NODES_MAX, sizeof *tree->nodes);
  tree->texts_capacity = 2 * text.size + TREE_NODES_MAX + 1; /* escapes may grow by half */
  tree->texts = memory_zeroed(tree->texts_capacity, 1);
  struct builder builder = {.tree = tree, .findings = findings, .text = text};
  if (yaml_parser_initialize(&builder.parser) == 0) {
    fputs("muster: out of memory\n", stderr);
    abort();
  }
  yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&builder.parser, text.data, text.size);
  const uint32_t before_count = findings_count(findings);
  read_events(&builder);
  yaml_parser_delete(&builder.parser);
  if (findings_count(findings) > before_count) {
    tree->node_count = 0; /* half a tree would make findings that are none */
  } else if (tree->node_count == 0) {
    finding_add(findings, 1, 1, "the file is empty");
  }
  return tree;
}

void tree_close(struct tree *tree) {
  if (tree != NULL) {
    free(tree->nodes);
    free(tree->texts);
    free(tree);
  }
}

const struct tree_node *tree_root(const struct tree *tree) {
  return tree->node_count == 0 ? NULL : &tree->nodes[0];
}
