#include "consumers/avro_canonical.h"

#include <stdio.h>
#include <stdlib.h>

struct writer {
  const struct avro_schema *schema;
  FILE *out;
  bool *was_written; /* by node: a second time it is its name */
};

static void write_node(const struct writer *writer, uint32_t index);

static void write_members(const struct writer *writer, const struct avro_node *node) {
  const struct avro_schema *const schema = writer->schema;
  for (uint32_t i = 0; i < node->count; i++) {
    const char *const comma = i == 0 ? "" : ",";
    if (node->kind == NODE_RECORD) {
      const struct avro_field *const field = &schema->fields[node->first + i];
      fprintf(writer->out, "%s{\"name\":\"%s\",\"type\":", comma, field->name);
      write_node(writer, field->node);
      fputc('}', writer->out);
    } else if (node->kind == NODE_ENUM) {
      fprintf(writer->out, "%s\"%s\"", comma, schema->symbols[node->first + i]);
    } else {
      fputs(comma, writer->out);
      write_node(writer, schema->branches[node->first + i]);
    }
  }
}

static void write_named(const struct writer *writer, const struct avro_node *node) {
  fprintf(writer->out, "{\"name\":\"%s\",\"type\":\"%s\",", node->name, node_kind_name(node->kind));
  if (node->kind == NODE_FIXED) {
    fprintf(writer->out, "\"size\":%u}", node->count);
    return;
  }
  fputs(node->kind == NODE_RECORD ? "\"fields\":[" : "\"symbols\":[", writer->out);
  write_members(writer, node);
  fputs("]}", writer->out);
}

static void write_node(const struct writer *writer, uint32_t index) {
  const struct avro_node *const node = &writer->schema->nodes[index];
  if (node->name != NULL) {
    if (writer->was_written[index]) {
      fprintf(writer->out, "\"%s\"", node->name);
    } else {
      writer->was_written[index] = true;
      write_named(writer, node);
    }
  } else if (node->kind == NODE_UNION) {
    fputc('[', writer->out);
    write_members(writer, node);
    fputc(']', writer->out);
  } else if (node->kind == NODE_ARRAY || node->kind == NODE_MAP) {
    fputs(node->kind == NODE_ARRAY ? "{\"type\":\"array\",\"items\":"
                                   : "{\"type\":\"map\",\"values\":",
          writer->out);
    write_node(writer, node->first);
    fputc('}', writer->out);
  } else {
    fprintf(writer->out, "\"%s\"", node_kind_name(node->kind));
  }
}

char *avro_canonical_text(const struct avro_schema *schema) {
  char *text = NULL;
  size_t size = 0;
  const struct writer writer = {
      .schema = schema,
      .out = open_memstream(&text, &size),
      .was_written = calloc(schema->node_count, sizeof *writer.was_written),
  };
  assert(writer.out != NULL);
  assert(writer.was_written != NULL);
  write_node(&writer, schema->root);
  const int failed = ferror(writer.out);
  const int closed = fclose(writer.out);
  assert(failed == 0 && closed == 0 && text != NULL); /* half a form is another schema's */
  (void)failed;
  (void)closed;
  free(writer.was_written);
  return text;
}

uint64_t avro_canonical_fingerprint(struct span bytes) {
  const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
  uint64_t fingerprint = empty;
  for (size_t i = 0; i < bytes.size; i++) {
    fingerprint ^= bytes.data[i];
    for (int bit = 0; bit < 8; bit++) {
      fingerprint = (fingerprint >> 1) ^ ((fingerprint & 1) != 0 ? empty : 0);
    }
  }
  return fingerprint;
}
