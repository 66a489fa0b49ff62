/* evidence verify: a pack held against itself, with nothing but this program. */
#include "core/app/command.h"
#include "core/app/evidence_manifest.h"
#include "core/app/finding.h"
#include "core/app/output.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

enum { VERIFY_KEY };

const struct option_spec evidence_verify_options[] = {
    [VERIFY_KEY] = {"public-key", "FILE", "that checkpoints must be signed under; else the pack's"},
    {NULL, NULL, NULL},
};

struct verifying {
  const struct command_line *line;
  struct note_key *key;
  struct pack pack;
  json_t *manifest;
  struct evidence_terms terms;
  struct schemas *schemas;
  struct examination examination;
  json_t *problems; /* [{"file", "what", "text"}, …] */
};

static void add_problem(struct verifying *verifying, const char *file, const char *what,
                        const char *format, ...) PRINTF_LIKE(4, 5);
static void add_problem(struct verifying *verifying, const char *file, const char *what,
                        const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  json_array_append_new(verifying->problems,
                        json_pack("{s:s, s:s, s:s}", "file", file, "what", what, "text", text));
}

/* Files. --------------------------------------------------------------------------------- */

static enum status read_manifest(struct verifying *verifying, struct error *error) {
  const struct pack_file *const file = pack_find(&verifying->pack, PACK_MANIFEST);
  json_error_t why;
  if (file == NULL) {
    return error_set(error, STATUS_REFUSED,
                     "%s has no %s: it is no pack, or one that was not made "
                     "to its end",
                     verifying->line->arguments[0], PACK_MANIFEST);
  }
  verifying->manifest =
      json_loadb((const char *)file->bytes.data, file->bytes.size, JSON_REJECT_DUPLICATES, &why);
  if (verifying->manifest == NULL) {
    return error_set(error, STATUS_REFUSED, "%s, line %d: %s", PACK_MANIFEST, why.line, why.text);
  }
  return manifest_terms(verifying->manifest, &verifying->terms, error);
}

static const json_t *find_listed(const json_t *list, const char *name) {
  size_t i;
  json_t *file;
  json_array_foreach(list, i, file) {
    const char *const is = json_string_value(json_object_get(file, "name"));
    if (is != NULL && strcmp(is, name) == 0) {
      return file;
    }
  }
  return NULL;
}

/* What the manifest lists against what is there. */
static void compare_files(struct verifying *verifying) {
  const json_t *const listed = json_object_get(verifying->manifest, "files");
  json_t *const there = pack_list(&verifying->pack);
  size_t i;
  json_t *file;
  json_array_foreach(there, i, file) {
    const char *const name = json_string_value(json_object_get(file, "name"));
    const json_t *const should = find_listed(listed, name);
    if (should == NULL) {
      add_problem(verifying, name, "file not listed", "the manifest does not have it");
    } else if (!json_equal(should, file)) {
      const char *const hash = json_string_value(json_object_get(should, "sha256"));
      add_problem(verifying, name, "file changed", "its SHA-256 is %s, the manifest has %.80s",
                  json_string_value(json_object_get(file, "sha256")), hash == NULL ? "none" : hash);
    }
  }
  json_array_foreach(listed, i, file) {
    const char *const name = json_string_value(json_object_get(file, "name"));
    if (name == NULL || find_listed(there, name) == NULL) {
      add_problem(verifying, name == NULL ? PACK_MANIFEST : name, "file missing",
                  "the manifest has it");
    }
  }
  json_decref(there);
}

/* What follows. -------------------------------------------------------------------------- */

static bool is_same(FILE *file, struct span bytes) {
  uint8_t piece[65536];
  size_t size;
  rewind(file);
  while ((size = fread(piece, 1, sizeof piece, file)) > 0) {
    if (size > bytes.size || memcmp(piece, bytes.data, size) != 0) {
      return false;
    }
    bytes = span_of(bytes.data + size, bytes.size - size);
  }
  return bytes.size == 0 && ferror(file) == 0;
}

static enum status compare_derived(void *context, const char *name, derived_put_fn put,
                                   struct error *error) {
  struct verifying *verifying = context;
  const struct pack_file *const there = pack_find(&verifying->pack, name);
  if (there == NULL) {
    add_problem(verifying, name, "file missing", "every pack has it");
    return STATUS_OK;
  }
  FILE *const file = tmpfile();
  if (file == NULL) {
    return error_set(error, STATUS_UNAVAILABLE, "a temporary file cannot be made");
  }
  const enum status status = put(&verifying->examination, name, file, error);
  if (status == STATUS_OK && !is_same(file, there->bytes)) {
    add_problem(verifying, name, "file does not follow",
                "it is not what follows from the pack's records");
  }
  fclose(file);
  return status;
}

/* A program of another version writes tables and reports that look otherwise. */
static bool is_of_this_program(const struct verifying *verifying) {
  const char *const version = json_string_value(
      json_object_get(json_object_get(verifying->manifest, "program"), "version"));
  return version != NULL && strcmp(version, MUSTER_VERSION) == 0;
}

/* Field by field, so that what was edited is named. */
static void compare_fields(struct verifying *verifying, const char *place, const json_t *should,
                           const json_t *is) {
  json_t *const differences = finding_differences(should, is);
  size_t i;
  json_t *difference;
  json_array_foreach(differences, i, difference) {
    const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT;
    char *expected = json_dumps(json_object_get(difference, "expected"), flags);
    char *found = json_dumps(json_object_get(difference, "found"), flags);
    add_problem(verifying, PACK_MANIFEST, "manifest does not follow",
                "%s%.64s: expected %.120s, found %.120s", place,
                json_string_value(json_object_get(difference, "field")),
                expected == NULL ? "nothing" : expected, found == NULL ? "nothing" : found);
    free(expected);
    free(found);
  }
  json_decref(differences);
}

static void compare_lanes(struct verifying *verifying, const json_t *should, const json_t *is) {
  for (size_t i = 0; i < json_array_size(should) || i < json_array_size(is); i++) {
    char place[48];
    snprintf(place, sizeof place, "lane %zu, ", i);
    compare_fields(verifying, place, json_array_get(should, i), json_array_get(is, i));
  }
}

static void compare_manifest(struct verifying *verifying) {
  char *const text = manifest_text(&verifying->examination, &verifying->pack);
  json_t *const should = json_loads(text, 0, NULL);
  json_t *const is = json_copy(verifying->manifest);
  const struct pack_file *const file = pack_find(&verifying->pack, PACK_MANIFEST);
  const size_t before = json_array_size(verifying->problems);
  const bool is_same_text = span_equal(span_text(text), file->bytes);
  compare_lanes(verifying, json_object_get(should, "lanes"), json_object_get(is, "lanes"));
  json_object_del(should, "lanes");
  json_object_del(is, "lanes");
  json_object_del(should, "files"); /* those have been named */
  json_object_del(is, "files");
  if (!is_of_this_program(verifying)) {
    json_object_del(should, "program");
    json_object_del(is, "program");
  }
  compare_fields(verifying, "", should, is);
  if (before == 0 && json_array_size(verifying->problems) == 0 && !is_same_text &&
      is_of_this_program(verifying)) {
    add_problem(verifying, PACK_MANIFEST, "manifest does not follow", "it is laid out otherwise");
  }
  json_decref(should);
  json_decref(is);
  free(text);
}

static enum status verify(struct verifying *verifying, struct error *error) {
  enum status status = pack_schemas_open(verifying->pack.directory, &verifying->schemas, error);
  compare_files(verifying);
  if (status == STATUS_OK) {
    examine(&verifying->line->config, verifying->schemas, &verifying->terms, &verifying->pack,
            verifying->key, &verifying->examination);
  }
  if (status == STATUS_OK && examination_is_clean(&verifying->examination) &&
      is_of_this_program(verifying)) {
    status = derived_each(verifying, compare_derived, error);
  }
  if (status == STATUS_OK && examination_is_clean(&verifying->examination)) {
    compare_manifest(verifying);
  }
  return status;
}

/* The report. ---------------------------------------------------------------------------- */

static void print_lane(const struct verifying *verifying, uint32_t number) {
  const struct evidence_lane *lane = &verifying->examination.lanes[number];
  const struct verify_result *result = &lane->result;
  printf("lane %" PRIu32 ": %s, %" PRIu64 " batches, %" PRIu64 " messages, %" PRIu64 " timers\n",
         number, verify_verdict_name(result->verdict), result->batches, result->messages,
         result->timers);
  if (result->checkpoints > 0) {
    printf("  the signed checkpoint over %" PRIu64 " batches holds%s\n",
           lane->checkpoint.is.tree.size,
           verifying->key != NULL ? "" : ", under the pack's own key");
  }
  if (result->partial > 0) {
    printf("  %" PRIu64 " batches hold withheld messages: their digests are as recorded\n",
           result->partial);
  }
  if (result->unknown_subjects > 0) {
    printf("  %" PRIu64 " enrolments changed nothing and name no subject: digest not checked\n",
           result->unknown_subjects);
  }
  verify_gaps_print(stdout, result);
  if (result->finding != NULL) {
    finding_print(stdout, result->finding);
  } else if (result->verdict == VERDICT_UNVERIFIABLE) {
    printf("  cannot be verified from batch %" PRIu64 " on: %s\n", result->batches + 1,
           result->reason);
  }
}

static void print_table(const struct verifying *verifying) {
  size_t i;
  json_t *problem;
  for (uint32_t lane = 0; lane < verifying->terms.lane_count; lane++) {
    print_lane(verifying, lane);
  }
  json_array_foreach(verifying->problems, i, problem) {
    printf("%s: %s: %s\n", json_string_value(json_object_get(problem, "file")),
           json_string_value(json_object_get(problem, "what")),
           json_string_value(json_object_get(problem, "text")));
  }
  if (!is_of_this_program(verifying)) {
    printf("made by another version of this program: tables and report were not compared\n");
  }
}

static void print_json(const struct verifying *verifying) {
  json_t *const lanes = json_array();
  for (uint32_t lane = 0; lane < verifying->terms.lane_count; lane++) {
    json_array_append_new(lanes, examination_lane_json(&verifying->examination, lane));
  }
  json_t *const json = json_pack("{s:o, s:O}", "lanes", lanes, "problems", verifying->problems);
  json_dumpf(json, stdout, JSON_COMPACT);
  putchar('\n');
  json_decref(json);
}

static enum status conclude(struct verifying *verifying, enum status status, struct error *error) {
  if (status == STATUS_CONFIG || status == STATUS_UNAVAILABLE) {
    /* The pack's files are all there is: what cannot be read of them is not as it was made. */
    add_problem(verifying, verifying->pack.directory, "pack damaged", "%.400s", error->text);
  } else if (status != STATUS_OK) {
    return status;
  }
  if (verifying->examination.lanes == NULL) {
    return error_set(error, STATUS_REFUSED, "%s cannot be examined: its schemas cannot be read",
                     verifying->pack.directory);
  }
  const bool is_clean = status == STATUS_OK && examination_is_clean(&verifying->examination) &&
                        json_array_size(verifying->problems) == 0;
  if (verifying->line->output == OUTPUT_TABLE) {
    print_table(verifying);
  } else {
    print_json(verifying);
  }
  return is_clean ? STATUS_OK
                  : error_set(error, STATUS_REFUSED, "%s is not what it says it is",
                              verifying->pack.directory);
}

enum status command_evidence_verify(const struct command_line *line, struct error *error) {
  const char *const key_file = line->options[VERIFY_KEY];
  struct verifying verifying = {.line = line, .problems = json_array()};
  enum status status = STATUS_OK;
  if (key_file != NULL) {
    status = note_key_load(key_file, false, &verifying.key, error);
  }
  if (status == STATUS_OK) {
    status = pack_open(line->arguments[0], &verifying.pack, error);
  }
  if (status == STATUS_OK) {
    status = read_manifest(&verifying, error);
  }
  if (status == STATUS_OK) {
    status = conclude(&verifying, verify(&verifying, error), error);
  }
  if (verifying.examination.lanes != NULL) {
    examination_fini(&verifying.examination);
  }
  schemas_close(verifying.schemas);
  json_decref(verifying.manifest);
  json_decref(verifying.problems);
  pack_close(&verifying.pack);
  note_key_close(verifying.key);
  return status;
}
