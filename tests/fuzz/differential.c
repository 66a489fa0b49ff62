/* Reads bodies from standard input and says what our decoder and avro-c make of each.
 *
 * Input: a byte for the schema (the order of the names below), four bytes of size, lowest first,
 * and the body. Output, a line each: our JSON or "-", a tab, avro-c's JSON, "-" for what it
 * refuses, or
 * "!" for a number that it takes for a symbol of an enum: it crashes when asked for the symbol. */
#include "consumers/avro_json.h"
#include "consumers/schemas.h"

#include <avro.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_SIZE_MAX = 1 << 16 };

static const char *const names[] = {
    "Enrollment", "CheckIn",     "ComplianceReport", "Command",     "Policy",
    "RoleChange", "TenantEvent", "ProfileRevision",  "GroupChange", "StateRequest"};

struct subject {
  const struct writer *writer;
  avro_schema_t schema;
  avro_value_iface_t *class;
};

static void open_subject(struct subject *subject, const struct schemas *schemas, const char *name) {
  subject->writer = schemas_find_own(schemas, name);
  const struct span text = schemas_own_text(subject->writer);
  avro_schema_error_t error = NULL;
  if (avro_schema_from_json((const char *)text.data, (int32_t)text.size, &subject->schema,
                            &error) != 0) {
    fprintf(stderr, "%s: %s\n", name, avro_strerror());
    exit(2);
  }
  subject->class = avro_generic_class_from_schema(subject->schema);
}

static void say_ours(const struct subject *subject, struct span body) {
  struct reject reject;
  json_t *const json = avro_json_of_body(subject->writer->schema, body, &reject);
  if (json == NULL) {
    putchar('-');
  } else {
    json_dumpf(json, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(json);
  }
}

/* Whether every enum in it is one of its symbols, which avro-c does not look at. */
static bool has_symbols(avro_value_t *value) {
  avro_value_t part;
  bool good = true;
  int number;
  size_t count = 0;
  switch (avro_value_get_type(value)) {
  case AVRO_ENUM:
    avro_value_get_enum(value, &number);
    return number >= 0 && number < avro_schema_enum_number_of_symbols(avro_value_get_schema(value));
  case AVRO_UNION:
    return avro_value_get_current_branch(value, &part) == 0 && has_symbols(&part);
  case AVRO_RECORD:
    avro_value_get_size(value, &count);
    for (size_t i = 0; i < count; i++) {
      good = avro_value_get_by_index(value, i, &part, NULL) == 0 && has_symbols(&part) && good;
    }
    return good;
  default:
    return true;
  }
}

static void say_avro_c(const struct subject *subject, struct span body) {
  avro_reader_t reader = avro_reader_memory((const char *)body.data, (int64_t)body.size);
  avro_value_t value;
  char *text = NULL;
  avro_generic_value_new(subject->class, &value);
  const int failure = avro_value_read(reader, &value);
  char rest;
  /* It does not look whether anything is left. */
  const int has_rest = failure == 0 && avro_read(reader, &rest, 1) == 0;
  if (failure == 0 && !has_rest && !has_symbols(&value)) {
    putchar('!');
  } else if (failure == 0 && !has_rest && avro_value_to_json(&value, 1, &text) == 0) {
    fputs(text, stdout);
  } else {
    putchar('-');
  }
  free(text);
  avro_value_decref(&value);
  avro_reader_free(reader);
}

int main(void) {
  struct schemas *schemas;
  struct subject subjects[COUNT_OF(names)];
  struct error error;
  if (schemas_open(NULL, &schemas, &error) != STATUS_OK) {
    fprintf(stderr, "%s\n", error.text);
    return 2;
  }
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    open_subject(&subjects[i], schemas, names[i]);
  }
  uint8_t head[5];
  static uint8_t bytes[BODY_SIZE_MAX];
  while (fread(head, 1, sizeof head, stdin) == sizeof head) {
    const size_t size = (size_t)head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16;
    if (head[0] >= COUNT_OF(names) || size > sizeof bytes || fread(bytes, 1, size, stdin) != size) {
      return 2;
    }
    const struct span body = span_of(bytes, size);
    say_ours(&subjects[head[0]], body);
    putchar('\t');
    say_avro_c(&subjects[head[0]], body);
    putchar('\n');
    fflush(stdout);
  }
  schemas_close(schemas);
  return 0;
}
