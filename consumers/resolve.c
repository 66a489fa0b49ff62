#include "consumers/resolve.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PATH_SIZE = 256, READER_FIELDS_MAX = 256 };

struct resolver {
  const struct avro_schema *writer;
  const struct avro_schema *reader;
  const struct layout *layout;
  struct program *program;
  uint32_t *routines; /* by writer's node: the index of its steps; 0 is none yet */
  struct error *error;
  const char *field; /* the innermost, of either schema */
  uint32_t depth;
  bool is_too_large;
  size_t path_size;
  char path[PATH_SIZE];
};

static const uint32_t TARGET_END = UINT32_MAX; /* of a union, until its end is known */

static bool resolve_node(struct resolver *resolver, uint32_t writer_index, uint32_t reader_index);

static bool fail(struct resolver *resolver, const char *format, ...) PRINTF_LIKE(2, 3);

static bool fail(struct resolver *resolver, const char *format, ...) {
  char reason[ERROR_TEXT_SIZE / 2];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  return error_set(resolver->error, STATUS_REFUSED, "%s: %s", resolver->field, reason) == STATUS_OK;
}

/* ---- The program under construction ---- */

/* Room for one more; grows by doubling. */
static void *room(void *items, uint32_t count, size_t item_size) {
  if ((count & (count - 1)) != 0) {
    return items;
  }
  void *const grown = realloc(items, (count == 0 ? 1 : (size_t)count * 2) * item_size);
  assert(grown != NULL);
  return grown;
}

/* The step's index. Beyond the limit nothing is added and resolve refuses at its end. */
static uint32_t emit(struct resolver *resolver, struct step step) {
  struct program *const program = resolver->program;
  if (program->step_count == PROGRAM_STEPS_MAX) {
    resolver->is_too_large = true;
    return PROGRAM_STEPS_MAX - 1;
  }
  step.place = resolver->field;
  program->steps = room(program->steps, program->step_count, sizeof *program->steps);
  program->steps[program->step_count] = step;
  program->slots_set |= UINT32_C(1) << step.slot;
  return program->step_count++;
}

/* The first of `count` new turns. */
static uint32_t turns_add(struct program *program, uint32_t count) {
  const uint32_t first = program->turn_count;
  for (uint32_t i = 0; i < count; i++) {
    program->turns = room(program->turns, program->turn_count, sizeof *program->turns);
    program->turns[program->turn_count++] = (struct turn){.number = -1, .target = TARGET_END};
  }
  return first;
}

/* From the end of a branch to the end of the union whose step is `begin`. */
static void emit_jump(struct resolver *resolver, uint32_t begin) {
  emit(resolver, (struct step){.code = STEP_JUMP,
                               .slot = resolver->layout->count,
                               .first = TARGET_END,
                               .count = begin});
}

/* The union's end is here. */
static void union_end(struct resolver *resolver, uint32_t begin) {
  struct program *const program = resolver->program;
  const struct step *const head = &program->steps[begin];
  for (uint32_t i = 0; i < head->count; i++) {
    struct turn *const turn = &program->turns[head->first + i];
    if (turn->target == TARGET_END) {
      turn->target = program->step_count;
    }
  }
  for (uint32_t i = begin; i < program->step_count; i++) {
    struct step *const step = &program->steps[i];
    if (step->code == STEP_JUMP && step->first == TARGET_END && step->count == begin) {
      step->first = program->step_count;
    }
  }
}

static void emit_constant(struct resolver *resolver, uint32_t slot, struct slot value) {
  struct program *const program = resolver->program;
  program->constants =
      room(program->constants, program->constant_count, sizeof *program->constants);
  program->constants[program->constant_count++] = value;
  emit(resolver,
       (struct step){.code = STEP_SET, .slot = slot, .first = program->constant_count - 1});
}

static uint32_t slot_unwanted(const struct resolver *resolver) {
  return resolver->layout->count;
}

static size_t path_push(struct resolver *resolver, const char *name) {
  const size_t before = resolver->path_size;
  const int written =
      snprintf(resolver->path + before, PATH_SIZE - before, "%s%s", before == 0 ? "" : ".", name);
  const size_t wanted = written < 0 ? 0 : (size_t)written;
  resolver->path_size = wanted < PATH_SIZE - before ? before + wanted : PATH_SIZE - 1;
  return before;
}

static void path_pop(struct resolver *resolver, size_t before) {
  resolver->path_size = before;
  resolver->path[before] = '\0';
}

/* The slot of the present path. */
static uint32_t slot_here(const struct resolver *resolver, enum node_kind kind) {
  char wanted[PATH_SIZE + 1];
  snprintf(wanted, sizeof wanted, "%s%s", resolver->path, kind == NODE_UNION ? "?" : "");
  for (uint32_t i = 0; i < resolver->layout->count; i++) {
    if (strcmp(resolver->layout->paths[i].path, wanted) == 0) {
      assert(resolver->layout->paths[i].kind == kind);
      return i;
    }
  }
  return slot_unwanted(resolver);
}

/* ---- What nobody wants ---- */

static void skip_node(struct resolver *resolver, uint32_t index);

static void skip_items(struct resolver *resolver, const struct avro_node *node) {
  const uint32_t slot = slot_unwanted(resolver);
  const uint32_t begin = emit(resolver, (struct step){.code = STEP_ITEMS_BEGIN, .slot = slot});
  if (node->kind == NODE_MAP) {
    emit(resolver, (struct step){.code = STEP_STRING, .slot = slot});
  }
  skip_node(resolver, node->first);
  /* The items' steps may be none: then the next one follows upon itself. */
  const uint32_t next =
      emit(resolver, (struct step){.code = STEP_ITEMS_NEXT, .slot = slot, .first = begin + 1});
  resolver->program->steps[begin].first = next;
}

static void skip_union(struct resolver *resolver, const struct avro_node *node) {
  struct program *const program = resolver->program;
  const uint32_t first = turns_add(program, node->count);
  const uint32_t begin = emit(resolver, (struct step){.code = STEP_UNION,
                                                      .slot = slot_unwanted(resolver),
                                                      .first = first,
                                                      .count = node->count});
  for (uint32_t i = 0; i < node->count && !resolver->is_too_large; i++) {
    program->turns[first + i].target = program->step_count;
    skip_node(resolver, resolver->writer->branches[node->first + i]);
    emit_jump(resolver, begin);
  }
  if (!resolver->is_too_large) {
    union_end(resolver, begin);
  }
}

/* Steps over a value of the writer. A record is called, not unfolded: it may hold itself. */
static void skip_node(struct resolver *resolver, uint32_t index) {
  static const enum step_code codes[] = {
      [NODE_BOOLEAN] = STEP_BOOLEAN, [NODE_INT] = STEP_INT,       [NODE_LONG] = STEP_LONG,
      [NODE_FLOAT] = STEP_FLOAT,     [NODE_DOUBLE] = STEP_DOUBLE, [NODE_BYTES] = STEP_BYTES,
      [NODE_STRING] = STEP_STRING,
  };
  const struct avro_node *const node = &resolver->writer->nodes[index];
  const uint32_t slot = slot_unwanted(resolver);
  switch (node->kind) {
  case NODE_NULL:
    return;
  case NODE_BOOLEAN:
  case NODE_INT:
  case NODE_LONG:
  case NODE_FLOAT:
  case NODE_DOUBLE:
  case NODE_BYTES:
  case NODE_STRING:
    emit(resolver, (struct step){.code = codes[node->kind], .slot = slot});
    return;
  case NODE_FIXED:
    emit(resolver, (struct step){.code = STEP_FIXED, .slot = slot, .count = node->count});
    return;
  case NODE_ENUM:
    emit(resolver, (struct step){.code = STEP_INDEX, .slot = slot, .count = node->count});
    return;
  case NODE_RECORD:
    emit(resolver, (struct step){.code = STEP_CALL, .slot = slot, .first = index});
    return;
  case NODE_ARRAY:
  case NODE_MAP:
    skip_items(resolver, node);
    return;
  case NODE_UNION:
    skip_union(resolver, node);
    return;
  }
  assert(false);
}

/* The steps of the records that are called, which may call further ones; then the calls
 * learn where those steps are. */
static void routines_link(struct resolver *resolver) {
  struct program *const program = resolver->program;
  const struct avro_schema *const writer = resolver->writer;
  for (uint32_t i = 0; i < program->step_count; i++) {
    if (program->steps[i].code != STEP_CALL) {
      continue;
    }
    const uint32_t index = program->steps[i].first;
    const struct avro_node *const node = &writer->nodes[index];
    if (resolver->routines[index] == 0) {
      resolver->routines[index] = program->step_count;
      for (uint32_t field = 0; field < node->count; field++) {
        resolver->field = writer->fields[node->first + field].name;
        skip_node(resolver, writer->fields[node->first + field].node);
      }
      emit(resolver, (struct step){.code = STEP_RETURN, .slot = slot_unwanted(resolver)});
    }
    program->steps[i].first = resolver->routines[index];
  }
}

/* ---- Defaults of the reader ---- */

static bool default_node(struct resolver *resolver, uint32_t index, const json_t *value);

static bool default_record(struct resolver *resolver, const struct avro_node *node,
                           const json_t *value) {
  for (uint32_t i = 0; i < node->count; i++) {
    const struct avro_field *const field = &resolver->reader->fields[node->first + i];
    const json_t *const given = json_object_get(value, field->name);
    const size_t before = path_push(resolver, field->name);
    if (given == NULL && field->default_value == NULL) {
      return fail(resolver, "the default has no value for %s", field->name);
    }
    if (!default_node(resolver, field->node, given != NULL ? given : field->default_value)) {
      return false;
    }
    path_pop(resolver, before);
  }
  return true;
}

static bool default_enum(struct resolver *resolver, const struct avro_node *node, uint32_t slot,
                         const json_t *value) {
  for (uint32_t i = 0; i < node->count; i++) {
    if (json_is_string(value) &&
        strcmp(resolver->reader->symbols[node->first + i], json_string_value(value)) == 0) {
      emit_constant(resolver, slot, (struct slot){.number = i});
      return true;
    }
  }
  return fail(resolver, "the default is not a symbol");
}

/* Puts a default, as the reader's JSON gives it, into its slots. */
static bool default_node(struct resolver *resolver, uint32_t index, const json_t *value) {
  const struct avro_node *const node = &resolver->reader->nodes[index];
  struct slot constant = {0};
  bool fits = false;
  if (node->kind == NODE_NULL) { /* beside the value that the path means: it has no slot */
    return json_is_null(value) ? true : fail(resolver, "the default is not null");
  }
  const uint32_t slot = slot_here(resolver, node->kind);
  switch (node->kind) {
  case NODE_BOOLEAN:
    fits = json_is_boolean(value);
    constant.number = json_is_true(value) ? 1 : 0;
    break;
  case NODE_INT:
  case NODE_LONG:
    fits = json_is_integer(value);
    constant.number = json_integer_value(value);
    break;
  case NODE_FLOAT:
  case NODE_DOUBLE:
    fits = json_is_number(value);
    constant.real = json_number_value(value);
    break;
  case NODE_STRING:
    fits = json_is_string(value);
    constant.text = span_of(json_string_value(value), json_string_length(value));
    break;
  case NODE_ENUM:
    return default_enum(resolver, node, slot, value);
  case NODE_RECORD:
    return default_record(resolver, node, value);
  case NODE_UNION: /* a union's default is one of its first branch */
    emit_constant(resolver, slot, constant);
    return default_node(resolver, resolver->reader->branches[node->first], value);
  case NODE_NULL:
  case NODE_BYTES:
  case NODE_FIXED:
  case NODE_ARRAY:
  case NODE_MAP:
    return fail(resolver, "a default of %s is not supported", node_kind_name(node->kind));
  }
  if (!fits) {
    return fail(resolver, "the default is not of type %s", node_kind_name(node->kind));
  }
  emit_constant(resolver, slot, constant);
  return true;
}

/* ---- What both sides have ---- */

static bool kind_promotes(enum node_kind writer, enum node_kind reader) {
  switch (reader) {
  case NODE_LONG:
    return writer == NODE_INT;
  case NODE_FLOAT:
    return writer == NODE_INT || writer == NODE_LONG;
  case NODE_DOUBLE:
    return writer == NODE_INT || writer == NODE_LONG || writer == NODE_FLOAT;
  case NODE_STRING:
    return writer == NODE_BYTES;
  case NODE_BYTES:
    return writer == NODE_STRING;
  default:
    return false;
  }
}

/* Same kind, and the same name where there is one. */
static bool node_matches(const struct avro_node *writer, const struct avro_node *reader) {
  if (writer->kind != reader->kind) {
    return false;
  }
  if (writer->kind == NODE_FIXED && writer->count != reader->count) {
    return false;
  }
  return writer->name == NULL || avro_node_is_named(reader, writer->name);
}

/* The reader's branch that takes the writer's type: an equal one before a promotion. */
static bool branch_find(const struct resolver *resolver, const struct avro_node *writer,
                        const struct avro_node *reader, uint32_t *branch) {
  for (int promoted = 0; promoted <= 1; promoted++) {
    for (uint32_t i = 0; i < reader->count; i++) {
      const struct avro_node *const node =
          &resolver->reader->nodes[resolver->reader->branches[reader->first + i]];
      if (promoted != 0 ? kind_promotes(writer->kind, node->kind) : node_matches(writer, node)) {
        *branch = i;
        return true;
      }
    }
  }
  return false;
}

static bool resolve_to_branch(struct resolver *resolver, uint32_t writer_index,
                              const struct avro_node *reader, uint32_t *branch) {
  const struct avro_node *const writer = &resolver->writer->nodes[writer_index];
  if (!branch_find(resolver, writer, reader, branch)) {
    return fail(resolver, "type %s is none of the union's", node_kind_name(writer->kind));
  }
  return resolve_node(resolver, writer_index, resolver->reader->branches[reader->first + *branch]);
}

/* One branch of a writer's union; one that cannot become the reader's type fails when a
 * value takes it. False when it is such. */
static bool resolve_branch(struct resolver *resolver, uint32_t writer_index, uint32_t reader_index,
                           struct turn *turn) {
  struct program *const program = resolver->program;
  const struct avro_node *const reader = &resolver->reader->nodes[reader_index];
  const uint32_t mark = program->step_count;
  const size_t path_size = resolver->path_size;
  const uint32_t depth = resolver->depth;
  const char *const field = resolver->field;
  uint32_t branch = 0;
  const bool resolved = reader->kind == NODE_UNION
                            ? resolve_to_branch(resolver, writer_index, reader, &branch)
                            : resolve_node(resolver, writer_index, reader_index);
  turn->number = (int32_t)branch;
  if (!resolved) {
    program->step_count = mark;
    resolver->depth = depth;
    resolver->field = field;
    path_pop(resolver, path_size);
    emit(resolver, (struct step){.code = STEP_FAIL, .slot = slot_unwanted(resolver)});
  }
  turn->target = program->step_count == mark ? TARGET_END : mark;
  return resolved;
}

static bool resolve_writer_union(struct resolver *resolver, const struct avro_node *writer,
                                 uint32_t reader_index) {
  struct program *const program = resolver->program;
  const enum node_kind kind = resolver->reader->nodes[reader_index].kind;
  const uint32_t slot = kind == NODE_UNION ? slot_here(resolver, kind) : slot_unwanted(resolver);
  const uint32_t first = turns_add(program, writer->count);
  const uint32_t begin =
      emit(resolver,
           (struct step){.code = STEP_UNION, .slot = slot, .first = first, .count = writer->count});
  bool any_resolved = false;
  for (uint32_t i = 0; i < writer->count && !resolver->is_too_large; i++) {
    struct turn turn;
    any_resolved |= resolve_branch(resolver, resolver->writer->branches[writer->first + i],
                                   reader_index, &turn);
    program->turns[first + i] = turn;
    if (i + 1 < writer->count && turn.target != TARGET_END) {
      emit_jump(resolver, begin);
    }
  }
  if (!resolver->is_too_large) {
    union_end(resolver, begin);
  }
  return any_resolved;
}

/* The writer's field for each of the reader's, or -1: by name, then by the aliases. */
static int32_t field_match(const struct resolver *resolver, const struct avro_node *writer,
                           const struct avro_field *wanted) {
  const int32_t found = avro_field_find(resolver->writer, writer, wanted->name);
  if (found >= 0) {
    return found;
  }
  for (size_t i = 0; i < json_array_size(wanted->aliases); i++) {
    const char *const alias = json_string_value(json_array_get(wanted->aliases, i));
    const int32_t other = avro_field_find(resolver->writer, writer, alias);
    if (other >= 0) {
      return other;
    }
  }
  return -1;
}

static bool resolve_field(struct resolver *resolver, const struct avro_field *writer,
                          const struct avro_field *reader) {
  const char *const outer = resolver->field;
  bool resolved = true;
  resolver->field = writer->name;
  if (reader == NULL) {
    skip_node(resolver, writer->node);
  } else {
    resolver->field = reader->name;
    const size_t before = path_push(resolver, reader->name);
    resolved = resolve_node(resolver, writer->node, reader->node);
    path_pop(resolver, before);
  }
  resolver->field = outer;
  return resolved;
}

/* A field of the reader that the writer does not have. */
static bool resolve_missing(struct resolver *resolver, const struct avro_field *field) {
  const char *const outer = resolver->field;
  resolver->field = field->name;
  if (field->default_value == NULL) {
    return fail(resolver, "the writer does not have it and it has no default");
  }
  const size_t before = path_push(resolver, field->name);
  if (!default_node(resolver, field->node, field->default_value)) {
    return false;
  }
  path_pop(resolver, before);
  resolver->field = outer;
  return true;
}

static bool resolve_record(struct resolver *resolver, const struct avro_node *writer,
                           const struct avro_node *reader) {
  const struct avro_field *const fields = &resolver->reader->fields[reader->first];
  int32_t matches[READER_FIELDS_MAX];
  assert(reader->count <= READER_FIELDS_MAX);
  for (uint32_t i = 0; i < reader->count; i++) {
    matches[i] = field_match(resolver, writer, &fields[i]);
    for (uint32_t j = 0; j < i; j++) { /* a value goes to one field: the first that asks */
      matches[i] = matches[j] == matches[i] ? -1 : matches[i];
    }
  }
  for (uint32_t i = 0; i < writer->count; i++) {
    const struct avro_field *wanted = NULL;
    for (uint32_t j = 0; j < reader->count && wanted == NULL; j++) {
      wanted = matches[j] == (int32_t)i ? &fields[j] : NULL;
    }
    if (!resolve_field(resolver, &resolver->writer->fields[writer->first + i], wanted)) {
      return false;
    }
  }
  for (uint32_t i = 0; i < reader->count; i++) {
    if (matches[i] < 0 && !resolve_missing(resolver, &fields[i])) {
      return false;
    }
  }
  return true;
}

static void resolve_enum(struct resolver *resolver, const struct avro_node *writer,
                         const struct avro_node *reader) {
  struct program *const program = resolver->program;
  const uint32_t first = turns_add(program, writer->count);
  for (uint32_t i = 0; i < writer->count; i++) {
    int32_t number = reader->default_symbol;
    for (uint32_t j = 0; j < reader->count; j++) {
      if (strcmp(resolver->writer->symbols[writer->first + i],
                 resolver->reader->symbols[reader->first + j]) == 0) {
        number = (int32_t)j;
      }
    }
    program->turns[first + i].number = number;
  }
  emit(resolver, (struct step){.code = STEP_ENUM,
                               .slot = slot_here(resolver, NODE_ENUM),
                               .first = first,
                               .count = writer->count});
}

/* The step that reads a writer's primitive as the reader's; both fit each other. */
static enum step_code step_of(enum node_kind writer, enum node_kind reader) {
  switch (reader) {
  case NODE_BOOLEAN:
    return STEP_BOOLEAN;
  case NODE_INT:
    return STEP_INT;
  case NODE_LONG:
    return writer == NODE_INT ? STEP_INT : STEP_LONG;
  case NODE_FLOAT:
  case NODE_DOUBLE:
    return writer == NODE_INT     ? STEP_INT_AS_REAL
           : writer == NODE_LONG  ? STEP_LONG_AS_REAL
           : writer == NODE_FLOAT ? STEP_FLOAT
                                  : STEP_DOUBLE;
  case NODE_BYTES:
    return STEP_BYTES;
  case NODE_STRING:
    return STEP_STRING;
  default:
    assert(reader == NODE_FIXED);
    return STEP_FIXED;
  }
}

static bool resolve_same(struct resolver *resolver, const struct avro_node *writer,
                         const struct avro_node *reader) {
  if (!node_matches(writer, reader) && !kind_promotes(writer->kind, reader->kind)) {
    return fail(resolver, "%s%s%s cannot become %s%s%s", node_kind_name(writer->kind),
                writer->name == NULL ? "" : " ", writer->name == NULL ? "" : writer->name,
                node_kind_name(reader->kind), reader->name == NULL ? "" : " ",
                reader->name == NULL ? "" : reader->name);
  }
  switch (reader->kind) {
  case NODE_NULL:
    return true;
  case NODE_RECORD:
    return resolve_record(resolver, writer, reader);
  case NODE_ENUM:
    resolve_enum(resolver, writer, reader);
    return true;
  case NODE_ARRAY:
  case NODE_MAP:
    return fail(resolver, "%s is not supported here", node_kind_name(reader->kind));
  default:
    emit(resolver, (struct step){.code = step_of(writer->kind, reader->kind),
                                 .slot = slot_here(resolver, reader->kind),
                                 .count = reader->count});
    return true;
  }
}

static bool resolve_node(struct resolver *resolver, uint32_t writer_index, uint32_t reader_index) {
  const struct avro_node *const writer = &resolver->writer->nodes[writer_index];
  const struct avro_node *const reader = &resolver->reader->nodes[reader_index];
  if (resolver->depth == AVRO_DEPTH_MAX) {
    return fail(resolver, "nested deeper than %d types", AVRO_DEPTH_MAX);
  }
  resolver->depth++;
  bool resolved;
  if (writer->kind == NODE_UNION) {
    resolved = resolve_writer_union(resolver, writer, reader_index);
  } else if (reader->kind == NODE_UNION) {
    /* The branch is the same for every value: a constant, before the value. */
    uint32_t branch = 0;
    if (branch_find(resolver, writer, reader, &branch)) {
      emit_constant(resolver, slot_here(resolver, NODE_UNION), (struct slot){.number = branch});
    }
    resolved = resolve_to_branch(resolver, writer_index, reader, &branch);
  } else {
    resolved = resolve_same(resolver, writer, reader);
  }
  resolver->depth--;
  return resolved;
}

enum status resolve(const struct avro_schema *writer, const struct avro_schema *reader,
                    const struct layout *layout, struct program **program, struct error *error) {
  assert(layout->count <= PROGRAM_SLOTS_MAX);
  struct resolver resolver = {
      .writer = writer,
      .reader = reader,
      .layout = layout,
      .program = calloc(1, sizeof **program),
      .routines = calloc(writer->node_count, sizeof *resolver.routines),
      .error = error,
      .field = "value",
  };
  assert(resolver.program != NULL);
  assert(resolver.routines != NULL);
  resolver.program->slot_count = layout->count + 1;
  bool resolved = resolve_node(&resolver, writer->root, reader->root);
  if (resolved) {
    emit(&resolver, (struct step){.code = STEP_END, .slot = slot_unwanted(&resolver)});
    routines_link(&resolver);
  }
  if (resolved && resolver.is_too_large) {
    resolved = fail(&resolver, "more than %d steps", PROGRAM_STEPS_MAX);
  }
  free(resolver.routines);
  if (!resolved) {
    program_free(resolver.program);
    return STATUS_REFUSED;
  }
  *program = resolver.program;
  return STATUS_OK;
}
