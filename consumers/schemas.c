#include "consumers/schemas.h"
#include "consumers/event_slots.h"
#include "consumers/resolve.h"
#include "schemas/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  FILES_MAX = 4096,
  FILE_PATH_SIZE = 4096,
  OWN_OF_TOPIC_MAX = 16, /* more are found like those of others */
};

static const char suffix[] = ".avsc";

/* A Confluent id and what it stands for. */
struct known_id {
  uint32_t id;
  const struct writer *writer;
};

/* Ours that are written to a topic: the present ones, then earlier versions. Side by side, so that
 * nearly every message's schema is found without looking further. */
struct own_of_topic {
  uint64_t fingerprints[OWN_OF_TOPIC_MAX];
  const struct writer *writers[OWN_OF_TOPIC_MAX];
  size_t count;
};

struct schemas {
  const struct schemas *base;                       /* its writers are shared; NULL: none */
  const struct writer *readers[INPUT_RECORD_COUNT]; /* of `own` */
  struct own_of_topic of_topic[TOPIC_COUNT];
  struct writer **writers;   /* by fingerprint */
  struct known_id *ids;      /* by id */
  const struct writer **own; /* in the order of embedded_files, NULL for others */
  size_t writer_count;
  size_t id_count;
};

#define X(slot, path, kind) {path, kind},
static const struct slot_path enrollment_paths[] = {ENROLLMENT_SLOTS(X)};
static const struct slot_path checkin_paths[] = {CHECKIN_SLOTS(X)};
static const struct slot_path report_paths[] = {REPORT_SLOTS(X)};
static const struct slot_path command_paths[] = {COMMAND_SLOTS(X)};
static const struct slot_path policy_paths[] = {POLICY_SLOTS(X)};
static const struct slot_path role_paths[] = {ROLE_SLOTS(X)};
static const struct slot_path tenant_paths[] = {TENANT_SLOTS(X)};
static const struct slot_path revision_paths[] = {REVISION_SLOTS(X)};
static const struct slot_path group_paths[] = {GROUP_SLOTS(X)};
static const struct slot_path state_paths[] = {STATE_SLOTS(X)};
#undef X

#define LAYOUT(paths)                                                                              \
  { paths, COUNT_OF(paths) }

/* Our input records, and what the events need of each. */
static const struct {
  const char *name;
  enum topic topic;
  struct layout layout;
} inputs[INPUT_RECORD_COUNT] = {
    [INPUT_ENROLLMENT] = {"Enrollment", TOPIC_ENROLLMENTS, LAYOUT(enrollment_paths)},
    [INPUT_CHECKIN] = {"CheckIn", TOPIC_CHECKINS, LAYOUT(checkin_paths)},
    [INPUT_REPORT] = {"ComplianceReport", TOPIC_REPORTS, LAYOUT(report_paths)},
    [INPUT_COMMAND] = {"Command", TOPIC_COMMANDS, LAYOUT(command_paths)},
    [INPUT_POLICY] = {"Policy", TOPIC_CONTROL, LAYOUT(policy_paths)},
    [INPUT_ROLE] = {"RoleChange", TOPIC_CONTROL, LAYOUT(role_paths)},
    [INPUT_TENANT] = {"TenantEvent", TOPIC_CONTROL, LAYOUT(tenant_paths)},
    [INPUT_PROFILE_REVISION] = {"ProfileRevision", TOPIC_CONTROL, LAYOUT(revision_paths)},
    [INPUT_GROUP] = {"GroupChange", TOPIC_CONTROL, LAYOUT(group_paths)},
    [INPUT_STATE] = {"StateRequest", TOPIC_CONTROL, LAYOUT(state_paths)},
};

static_assert(COUNT_OF(enrollment_paths) <= PROGRAM_SLOTS_MAX, "the slots hold an enrollment");
static_assert(COUNT_OF(report_paths) <= PROGRAM_SLOTS_MAX, "the slots hold a report");
static_assert(COUNT_OF(command_paths) <= PROGRAM_SLOTS_MAX, "the slots hold a command");

/* ---- Records and topics ---- */

const char *input_record_name(enum input_record record) {
  assert(record < INPUT_RECORD_COUNT);
  return inputs[record].name;
}

enum topic input_record_topic(enum input_record record) {
  assert(record < INPUT_RECORD_COUNT);
  return inputs[record].topic;
}

enum input_record topic_first_record(enum topic topic) {
  enum input_record record = 0;
  while (inputs[record].topic != topic) {
    record++;
    assert(record < INPUT_RECORD_COUNT);
  }
  return record;
}

uint32_t topic_record_count(enum topic topic) {
  uint32_t count = 0;
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    count += inputs[record].topic == topic;
  }
  return count;
}

/* ---- Looking up ---- */

/* The place of the first writer whose fingerprint is not less. */
static size_t writer_place(const struct schemas *schemas, uint64_t fingerprint) {
  size_t low = 0;
  size_t high = schemas->writer_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (schemas->writers[middle]->fingerprint < fingerprint) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static struct writer *writer_at(const struct schemas *schemas, uint64_t fingerprint) {
  const size_t place = writer_place(schemas, fingerprint);
  const bool is_known =
      place < schemas->writer_count && schemas->writers[place]->fingerprint == fingerprint;
  return is_known ? schemas->writers[place] : NULL;
}

static size_t id_place(const struct schemas *schemas, uint32_t id) {
  size_t low = 0;
  size_t high = schemas->id_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (schemas->ids[middle].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

const struct writer *schemas_find(const struct schemas *schemas, uint64_t fingerprint) {
  return writer_at(schemas, fingerprint);
}

const struct writer *schemas_find_of_topic(const struct schemas *schemas, enum topic topic,
                                           uint64_t fingerprint) {
  const struct own_of_topic *const own = &schemas->of_topic[topic];
  for (size_t i = 0; i < own->count; i++) {
    if (own->fingerprints[i] == fingerprint) {
      return own->writers[i];
    }
  }
  return writer_at(schemas, fingerprint);
}

const struct writer *schemas_find_id(const struct schemas *schemas, uint32_t id) {
  const size_t place = id_place(schemas, id);
  const bool is_known = place < schemas->id_count && schemas->ids[place].id == id;
  return is_known ? schemas->ids[place].writer : NULL;
}

const struct writer *schemas_find_own(const struct schemas *schemas, const char *name) {
  for (size_t i = 0; i < embedded_file_count; i++) {
    const char *const file = embedded_files[i].name;
    const size_t size = strlen(name);
    if (schemas->own[i] != NULL && strncmp(file, name, size) == 0 &&
        strcmp(file + size, suffix) == 0) {
      return schemas->own[i];
    }
  }
  return NULL;
}

struct span schemas_own_text(const struct writer *writer) {
  for (size_t i = 0; i < embedded_file_count; i++) {
    if (strcmp(embedded_files[i].name, writer->source) == 0) {
      return span_of(embedded_files[i].text, embedded_files[i].size);
    }
  }
  return (struct span){0};
}

bool writer_is_of_use(const struct writer *writer) {
  bool is_of_use = false;
  for (size_t record = 0; record < INPUT_RECORD_COUNT; record++) {
    is_of_use = is_of_use || writer->programs[record] != NULL;
  }
  return is_of_use;
}

const struct writer *schemas_reader(const struct schemas *schemas, enum input_record record) {
  assert(record < INPUT_RECORD_COUNT);
  return schemas->readers[record];
}

/* ---- Filling ---- */

int64_t schemas_id_of(const struct schemas *schemas, const struct writer *writer) {
  for (size_t i = 0; i < schemas->id_count; i++) {
    if (schemas->ids[i].writer == writer) {
      return schemas->ids[i].id;
    }
  }
  return SCHEMA_ID_NONE;
}

static void *grown(void *items, size_t count, size_t item_size) {
  void *const memory = realloc(items, count * item_size);
  assert(memory != NULL);
  return memory;
}

static char *copy_of(const char *text) {
  char *const copy = strdup(text);
  assert(copy != NULL);
  return copy;
}

static bool is_of_name(const struct avro_schema *schema, const char *record) {
  const struct avro_node *const root = &schema->nodes[schema->root];
  return root->kind == NODE_RECORD && strcmp(avro_short_name(root->name), record) == 0;
}

/* Makes the writer's programs for our input records, which are all known by now. Records of other
 * names do not resolve, so one of a topic's does at most; where none does, the reason is that of
 * its namesake. */
static void writer_resolve(const struct schemas *schemas, struct writer *writer) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    writer->of_topic[topic] = topic_first_record(topic);
  }
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    struct program *program;
    struct error error;
    if (resolve(writer->schema, schemas->readers[record]->schema, &inputs[record].layout, &program,
                &error) == STATUS_OK) {
      writer->programs[record] = program;
    } else {
      writer->reasons[record] = copy_of(error.text);
    }
    if (writer->programs[record] != NULL || is_of_name(writer->schema, inputs[record].name)) {
      writer->of_topic[inputs[record].topic] = record;
    }
  }
}

/* Parses `text` and makes it known; what is known already stays as it is. */
static enum status writer_put(struct schemas *schemas, const char *source, struct span text,
                              struct writer **writer, struct error *error) {
  struct avro_schema *schema;
  const enum status status = avro_schema_parse(text, &schema, error);
  if (status != STATUS_OK) {
    error_wrap(error, "%s", source);
    return status;
  }
  *writer = writer_at(schemas, schema->fingerprint);
  if (*writer != NULL) {
    avro_schema_free(schema);
    return STATUS_OK;
  }
  *writer = calloc(1, sizeof **writer);
  assert(*writer != NULL);
  (*writer)->fingerprint = schema->fingerprint;
  (*writer)->schema = schema;
  (*writer)->source = copy_of(source);
  const size_t place = writer_place(schemas, schema->fingerprint);
  schemas->writers = grown(schemas->writers, schemas->writer_count + 1, sizeof *schemas->writers);
  memmove(schemas->writers + place + 1, schemas->writers + place,
          (schemas->writer_count - place) * sizeof *schemas->writers);
  schemas->writers[place] = *writer;
  schemas->writer_count++;
  if (schemas->readers[0] != NULL) {
    writer_resolve(schemas, *writer); /* ours are resolved when all of them are known */
  }
  return STATUS_OK;
}

static enum status id_put(struct schemas *schemas, uint32_t id, const struct writer *writer,
                          struct error *error) {
  const struct writer *const known = schemas_find_id(schemas, id);
  if (known != NULL) {
    return known == writer ? STATUS_OK
                           : error_set(error, STATUS_CONFIG, "%s and %s are both of id %" PRIu32,
                                       known->source, writer->source, id);
  }
  const size_t place = id_place(schemas, id);
  schemas->ids = grown(schemas->ids, schemas->id_count + 1, sizeof *schemas->ids);
  memmove(schemas->ids + place + 1, schemas->ids + place,
          (schemas->id_count - place) * sizeof *schemas->ids);
  schemas->ids[place] = (struct known_id){.id = id, .writer = writer};
  schemas->id_count++;
  return STATUS_OK;
}

enum status schemas_put(struct schemas *schemas, int64_t id, const char *source, struct span text,
                        struct error *error) {
  struct writer *writer;
  const enum status status = writer_put(schemas, source, text, &writer, error);
  if (status != STATUS_OK || id == SCHEMA_ID_NONE) {
    return status;
  }
  if (id < 0 || id > UINT32_MAX) {
    return error_set(error, STATUS_CONFIG, "%s: no id of 32 bits", source);
  }
  return id_put(schemas, (uint32_t)id, writer, error);
}

static bool has_suffix(const char *name) {
  const size_t size = strlen(name);
  return size >= sizeof suffix && name[0] != '.' &&
         strcmp(name + size - (sizeof suffix - 1), suffix) == 0;
}

/* Every path is one of our own schema. */
static void own_check(const struct schemas *schemas, enum input_record record) {
  const struct program *const program = schemas->readers[record]->programs[record];
  assert(program != NULL);
  const uint32_t wanted = (UINT32_C(1) << inputs[record].layout.count) - 1;
  assert((program->slots_set & wanted) == wanted);
  (void)wanted;
}

static void own_put_first(struct schemas *schemas, enum topic topic, const struct writer *writer) {
  struct own_of_topic *const own = &schemas->of_topic[topic];
  if (own->count < OWN_OF_TOPIC_MAX) {
    own->fingerprints[own->count] = writer->fingerprint;
    own->writers[own->count++] = writer;
  }
}

/* An earlier version of one of ours: read as the present one. */
static void own_put_earlier(struct schemas *schemas, const struct writer *writer) {
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    if (writer->programs[record] != NULL && schemas->readers[record] != writer) {
      own_put_first(schemas, inputs[record].topic, writer);
    }
  }
}

/* Ours first: they are what every other is resolved to. */
static enum status own_put(struct schemas *schemas, struct error *error) {
  for (size_t i = 0; i < embedded_file_count; i++) {
    const struct embedded_file *const file = &embedded_files[i];
    struct writer *writer;
    if (!has_suffix(file->name)) {
      continue;
    }
    const enum status status =
        writer_put(schemas, file->name, span_of(file->text, file->size), &writer, error);
    if (status != STATUS_OK) {
      return status;
    }
    schemas->own[i] = writer;
  }
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    schemas->readers[record] = schemas_find_own(schemas, inputs[record].name);
    assert(schemas->readers[record] != NULL);
  }
  for (size_t i = 0; i < schemas->writer_count; i++) {
    writer_resolve(schemas, schemas->writers[i]);
  }
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    own_check(schemas, record);
    own_put_first(schemas, inputs[record].topic, schemas->readers[record]);
  }
  for (size_t i = 0; i < schemas->writer_count; i++) {
    own_put_earlier(schemas, schemas->writers[i]);
  }
  return STATUS_OK;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of a directory's schemas in one order everywhere; the caller frees each and all. */
static enum status directory_list(const char *directory, char ***names, size_t *count,
                                  struct error *error) {
  DIR *const stream = opendir(directory);
  if (stream == NULL) {
    return error_set(error, STATUS_CONFIG, "schemas.directory: %s: %s", directory, strerror(errno));
  }
  for (;;) {
    errno = 0;
    const struct dirent *const entry = readdir(stream);
    if (entry == NULL) {
      break;
    }
    if (has_suffix(entry->d_name)) {
      *names = grown(*names, *count + 1, sizeof **names);
      (*names)[(*count)++] = copy_of(entry->d_name);
    }
  }
  const int failure = errno;
  closedir(stream);
  if (failure != 0) {
    return error_set(error, STATUS_CONFIG, "schemas.directory: %s: %s", directory,
                     strerror(failure));
  }
  if (*count > FILES_MAX) {
    return error_set(error, STATUS_CONFIG, "schemas.directory: %s: more than %d schemas", directory,
                     FILES_MAX);
  }
  if (*count > 0) {
    qsort(*names, *count, sizeof **names, compare_names);
  }
  return STATUS_OK;
}

/* "7.avsc" is id 7; a name that is not a number has none. */
static enum status id_of_name(const char *path, const char *name, int64_t *id,
                              struct error *error) {
  *id = 0;
  for (const char *c = name; *c != '.'; c++) {
    if (*c < '0' || *c > '9') {
      *id = SCHEMA_ID_NONE;
      return STATUS_OK;
    }
    *id = *id * 10 + (*c - '0');
    if (*id > UINT32_MAX) {
      return error_set(error, STATUS_CONFIG, "%s: an id of more than 32 bits", path);
    }
  }
  const size_t stem_size = strlen(name) - (sizeof suffix - 1);
  if (name[stem_size] != '.' || strchr(name, '.') != name + stem_size) {
    *id = SCHEMA_ID_NONE; /* "7.old.avsc" */
  }
  return STATUS_OK;
}

static enum status file_put(struct schemas *schemas, const char *directory, const char *name,
                            char *text, struct error *error) {
  char path[FILE_PATH_SIZE];
  int64_t id;
  if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) {
    return error_set(error, STATUS_CONFIG, "%s: %s: the path is too long", directory, name);
  }
  enum status status = id_of_name(path, name, &id, error);
  if (status != STATUS_OK) {
    return status;
  }
  FILE *const file = fopen(path, "rb");
  if (file == NULL) {
    return error_set(error, STATUS_CONFIG, "%s: %s", path, strerror(errno));
  }
  errno = 0;
  const size_t size = fread(text, 1, AVRO_SCHEMA_SIZE_MAX + 1, file);
  if (ferror(file) != 0) {
    status = error_set(error, STATUS_CONFIG, "%s: %s", path, strerror(errno));
  } else {
    status = schemas_put(schemas, id, path, span_of(text, size), error);
  }
  fclose(file);
  return status;
}

static enum status directory_put(struct schemas *schemas, const char *directory,
                                 struct error *error) {
  char **names = NULL;
  size_t count = 0;
  enum status status = directory_list(directory, &names, &count, error);
  char *const text = malloc(AVRO_SCHEMA_SIZE_MAX + 1); /* one more: too large is seen */
  assert(text != NULL);
  for (size_t i = 0; i < count; i++) {
    if (status == STATUS_OK) {
      status = file_put(schemas, directory, names[i], text, error);
    }
    free(names[i]);
  }
  free(text);
  free(names);
  return status;
}

enum status schemas_open(const char *directory, struct schemas **schemas, struct error *error) {
  struct schemas *const opened = calloc(1, sizeof *opened);
  assert(opened != NULL);
  opened->own = calloc(embedded_file_count + 1, sizeof *opened->own);
  assert(opened->own != NULL);
  enum status status = own_put(opened, error);
  if (status == STATUS_OK && directory != NULL) {
    status = directory_put(opened, directory, error);
  }
  if (status != STATUS_OK) {
    schemas_close(opened);
    return status;
  }
  *schemas = opened;
  return STATUS_OK;
}

static void *copy_of_items(const void *items, size_t count, size_t item_size) {
  void *const copy = calloc(count + 1, item_size);
  assert(copy != NULL);
  if (count > 0) {
    memcpy(copy, items, count * item_size);
  }
  return copy;
}

struct schemas *schemas_derive(const struct schemas *base) {
  struct schemas *const derived = calloc(1, sizeof *derived);
  assert(derived != NULL);
  *derived = *base;
  derived->base = base;
  derived->writers = copy_of_items(base->writers, base->writer_count, sizeof *base->writers);
  derived->ids = copy_of_items(base->ids, base->id_count, sizeof *base->ids);
  derived->own = copy_of_items(base->own, embedded_file_count, sizeof *base->own);
  return derived;
}

static void writer_free(struct writer *writer) {
  for (size_t record = 0; record < INPUT_RECORD_COUNT; record++) {
    program_free((struct program *)writer->programs[record]);
    free((char *)writer->reasons[record]);
  }
  avro_schema_free((struct avro_schema *)writer->schema);
  free((char *)writer->source);
  free(writer);
}

void schemas_close(struct schemas *schemas) {
  if (schemas == NULL) {
    return;
  }
  for (size_t i = 0; i < schemas->writer_count; i++) {
    struct writer *const writer = schemas->writers[i];
    if (schemas->base == NULL || writer_at(schemas->base, writer->fingerprint) != writer) {
      writer_free(writer);
    }
  }
  free(schemas->writers);
  free(schemas->ids);
  free(schemas->own);
  free(schemas);
}

/* ---- For the record ---- */

char *schemas_text(const struct schemas *schemas) {
  char *text = NULL;
  size_t size = 0;
  FILE *const out = open_memstream(&text, &size);
  assert(out != NULL);
  for (enum input_record record = 0; record < INPUT_RECORD_COUNT; record++) {
    fprintf(out, "%s %s", topic_name(inputs[record].topic), inputs[record].name);
    for (size_t i = 0; i < schemas->writer_count; i++) {
      if (schemas->writers[i]->programs[record] != NULL) {
        fprintf(out, " %016" PRIx64, schemas->writers[i]->fingerprint);
      }
    }
    fputs("; ", out);
  }
  fputs("known", out);
  for (size_t i = 0; i < schemas->writer_count; i++) {
    fprintf(out, " %016" PRIx64, schemas->writers[i]->fingerprint);
  }
  fputs("; ids", out);
  for (size_t i = 0; i < schemas->id_count; i++) {
    fprintf(out, " %" PRIu32 "=%016" PRIx64, schemas->ids[i].id,
            schemas->ids[i].writer->fingerprint);
  }
  const int failed = ferror(out);
  const int closed = fclose(out);
  assert(failed == 0 && closed == 0 && text != NULL);
  (void)failed;
  (void)closed;
  return text;
}
