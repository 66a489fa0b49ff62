/* evidence create: what was decided in a range, with all that is needed to decide it again. */
#include "core/app/command.h"
#include "core/app/evidence_copy.h"
#include "core/app/evidence_manifest.h"
#include "core/app/evidence_sign.h"
#include "core/app/finding.h"
#include "core/app/option_time.h"
#include "core/app/replay_inputs.h"
#include "core/app/text.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { CREATE_FROM, CREATE_TO, CREATE_OUTPUT, CREATE_PSEUDONYMISED, CREATE_DEVICE, CREATE_KEY };

const struct option_spec evidence_create_options[] = {
    [CREATE_FROM] = {"from", "TIME", "decisions from then on; else from the first"},
    [CREATE_TO] = {"to", "TIME", "and before then; else as far as has been decided"},
    [CREATE_OUTPUT] = {"output", "DIR", "-o: the pack's directory, new or empty"},
    [CREATE_PSEUDONYMISED] = {"pseudonymised", NULL, "subjects instead of addresses everywhere"},
    [CREATE_DEVICE] = {"device", "ID,...", "report on these devices; else on the first 40"},
    [CREATE_KEY] = {"public-key", "FILE", "include checkpoints that are signed under it"},
    {NULL, NULL, NULL},
};

struct creating {
  const struct command_line *line;
  const char *directory;
  struct evidence_terms terms;
  struct replay_inputs inputs;
  struct checkpoint_list checkpoints;
  struct note_key *key; /* NULL: no checkpoints are wanted */
  struct pack pack;
  struct examination examination;
};

static enum status read_terms(struct creating *creating, struct error *error) {
  const struct command_line *line = creating->line;
  const char *const devices = line->options[CREATE_DEVICE];
  struct evidence_terms *terms = &creating->terms;
  *terms = (struct evidence_terms){.from_ms = TIME_NONE, .to_ms = TIME_NONE};
  terms->is_pseudonymised = line->options[CREATE_PSEUDONYMISED] != NULL;
  snprintf(terms->topic_prefix, sizeof terms->topic_prefix, "%s", line->config.kafka.topic_prefix);
  snprintf(terms->devices, sizeof terms->devices, "%s", devices == NULL ? "" : devices);
  creating->directory = line->options[CREATE_OUTPUT];
  if (creating->directory == NULL) {
    return error_set(error, STATUS_USAGE, "evidence create needs -o DIR");
  }
  if (devices != NULL && strlen(devices) >= sizeof terms->devices) {
    return error_set(error, STATUS_USAGE, "--device takes at most %zu characters",
                     sizeof terms->devices - 1);
  }
  enum status status = option_time("from", line->options[CREATE_FROM], &terms->from_ms, error);
  if (status == STATUS_OK) {
    status = option_time("to", line->options[CREATE_TO], &terms->to_ms, error);
  }
  if (status == STATUS_OK && terms->from_ms != TIME_NONE && terms->to_ms != TIME_NONE &&
      terms->from_ms >= terms->to_ms) {
    status = error_set(error, STATUS_USAGE, "--from is not before --to");
  }
  if (status == STATUS_OK && line->options[CREATE_KEY] != NULL) {
    status = note_key_load(line->options[CREATE_KEY], false, &creating->key, error);
  }
  return status;
}

static enum status copy_file(const char *from, const char *to, struct error *error) {
  char text[4096];
  FILE *const in = fopen(from, "rb");
  FILE *const out = in == NULL ? NULL : fopen(to, "wbx");
  for (size_t got; out != NULL && (got = fread(text, 1, sizeof text, in)) > 0;) {
    fwrite(text, 1, got, out);
  }
  const bool failed = out == NULL || ferror(in) != 0 || ferror(out) != 0;
  if (in != NULL) {
    fclose(in);
  }
  if ((out != NULL && fclose(out) != 0) || failed) {
    return error_set(error, STATUS_UNAVAILABLE, "%s, or %s: %s", from, to, strerror(errno));
  }
  return STATUS_OK;
}

static bool is_schema(const char *name) {
  const size_t size = strlen(name);
  return size > 5 && strcmp(name + size - 5, ".avsc") == 0;
}

/* The operator's schemas, which what was read may be under. */
static enum status copy_schemas(const struct creating *creating, struct error *error) {
  const char *const from = creating->line->config.schemas.directory;
  DIR *const directory = from[0] == '\0' ? NULL : opendir(from);
  enum status status = STATUS_OK;
  if (directory == NULL) {
    return STATUS_OK;
  }
  char *const to = path_join(creating->directory, EVIDENCE_SCHEMAS_DIRECTORY);
  if (mkdir(to, 0777) != 0) {
    status = error_set(error, STATUS_UNAVAILABLE, "%s: %s", to, strerror(errno));
  }
  for (const struct dirent *entry; status == STATUS_OK && (entry = readdir(directory)) != NULL;) {
    if (is_schema(entry->d_name)) {
      char *const there = path_join(from, entry->d_name);
      char *const here = path_join(to, entry->d_name);
      status = copy_file(there, here, error);
      free(there);
      free(here);
    }
  }
  free(to);
  closedir(directory);
  return status;
}

static enum status copy_lanes(struct creating *creating, struct error *error) {
  const struct evidence_copy copy = {
      .config = &creating->line->config,
      .schemas = creating->inputs.schemas,
      .lane_count = creating->inputs.lane_count,
      .subject_key = replay_inputs_key(&creating->inputs),
      .directory = creating->directory,
      .to_ms = creating->terms.to_ms,
      .is_pseudonymised = creating->terms.is_pseudonymised,
  };
  enum status status = STATUS_OK;
  for (uint32_t lane = 0; lane < copy.lane_count && status == STATUS_OK; lane++) {
    uint64_t batches;
    status = evidence_copy_lane(&copy, lane, &batches, error);
    if (status == STATUS_OK && creating->key != NULL) {
      status = evidence_put_checkpoint(copy.config, copy.schemas, &creating->checkpoints,
                                       creating->directory, lane, batches, error);
    }
  }
  return status;
}

static enum status open_file(const struct creating *creating, const char *name, FILE **file,
                             struct error *error) {
  char *const path = path_join(creating->directory, name);
  *file = fopen(path, "wbx");
  const enum status status =
      *file != NULL ? STATUS_OK
                    : error_set(error, STATUS_UNAVAILABLE, "%s: %s", path, strerror(errno));
  free(path);
  return status;
}

static enum status close_file(FILE *file, const char *name, struct error *error) {
  const bool failed = ferror(file) != 0;
  return fclose(file) == 0 && !failed
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "%s: %s", name, strerror(errno));
}

/* The public key beside the checkpoints, for who has no better one. */
static enum status put_key(const struct creating *creating, struct error *error) {
  char *const to = path_join(creating->directory, EVIDENCE_KEY_FILE);
  const enum status status = copy_file(creating->line->options[CREATE_KEY], to, error);
  free(to);
  return status;
}

static enum status put_derived(void *context, const char *name, derived_put_fn put,
                               struct error *error) {
  struct creating *creating = context;
  FILE *file;
  enum status status = open_file(creating, name, &file, error);
  if (status != STATUS_OK) {
    return status;
  }
  status = put(&creating->examination, name, file, error);
  if (status != STATUS_OK) {
    fclose(file);
    return status;
  }
  return close_file(file, name, error);
}

static enum status put_manifest(const struct creating *creating, struct error *error) {
  struct pack whole;
  FILE *file;
  enum status status = pack_open(creating->directory, &whole, error);
  if (status == STATUS_OK) {
    status = open_file(creating, PACK_MANIFEST, &file, error);
  }
  if (status == STATUS_OK) {
    char *const text = manifest_text(&creating->examination, &whole);
    fputs(text, file);
    free(text);
    status = close_file(file, PACK_MANIFEST, error);
  }
  pack_close(&whole);
  return status;
}

/* Decides again what was copied, as whoever verifies the pack will, and writes what follows. */
static enum status derive(struct creating *creating, const struct schemas *schemas,
                          struct error *error) {
  enum status status = pack_open(creating->directory, &creating->pack, error);
  if (status == STATUS_OK) {
    examine(&creating->line->config, schemas, &creating->terms, &creating->pack, creating->key,
            &creating->examination);
    status = derived_each(creating, put_derived, error);
  }
  return status == STATUS_OK ? put_manifest(creating, error) : status;
}

static enum status copy(struct creating *creating, struct error *error) {
  const struct config *config = &creating->line->config;
  enum status status = STATUS_OK;
  if (creating->key != NULL) {
    status = checkpoint_list_read_topic(config, creating->key, creating->inputs.lane_count,
                                        &creating->checkpoints, error);
  }
  if (status == STATUS_OK) {
    status = pack_make_directory(creating->directory, error);
  }
  if (status == STATUS_OK) {
    status = copy_schemas(creating, error);
  }
  if (status == STATUS_OK) {
    status = copy_lanes(creating, error);
  }
  return status == STATUS_OK && creating->key != NULL ? put_key(creating, error) : status;
}

static void print_lanes(const struct creating *creating) {
  for (uint32_t lane = 0; lane < creating->terms.lane_count; lane++) {
    const struct verify_result *result = &creating->examination.lanes[lane].result;
    printf("lane %" PRIu32 ": %" PRIu64 " batches, %" PRIu64 " messages%s\n", lane, result->batches,
           result->messages, result->verdict == VERDICT_VERIFIED ? ", as decided" : "");
    if (result->finding != NULL) {
      finding_print(stdout, result->finding);
    } else if (result->verdict == VERDICT_UNVERIFIABLE) {
      printf("  cannot be verified from batch %" PRIu64 " on: %s\n", result->batches + 1,
             result->reason);
    }
  }
}

enum status command_evidence_create(const struct command_line *line, struct error *error) {
  struct creating creating = {.line = line};
  struct schemas *schemas = NULL;
  enum status status = read_terms(&creating, error);
  if (status == STATUS_OK) {
    status = replay_inputs_open(&line->config, &creating.inputs, error);
    creating.terms.lane_count = creating.inputs.lane_count;
  }
  if (status == STATUS_OK) {
    status = copy(&creating, error);
  }
  if (status == STATUS_OK) {
    status = pack_schemas_open(creating.directory, &schemas, error);
  }
  if (status == STATUS_OK) {
    status = derive(&creating, schemas, error);
  }
  if (status == STATUS_OK) {
    print_lanes(&creating);
    if (!examination_is_clean(&creating.examination)) {
      status =
          error_set(error, STATUS_REFUSED, "%s: made, and its report shows what is not as decided",
                    creating.directory);
    }
  }
  if (creating.examination.lanes != NULL) {
    examination_fini(&creating.examination);
  }
  pack_close(&creating.pack);
  checkpoint_list_fini(&creating.checkpoints);
  note_key_close(creating.key);
  schemas_close(schemas);
  replay_inputs_close(&creating.inputs);
  return status;
}
