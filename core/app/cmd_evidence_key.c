/* evidence key, checkpoint: the pair that signs a journal, and a signature on request. */
#include "core/app/command.h"
#include "core/app/evidence_sign.h"
#include "core/app/replay_inputs.h"
#include "core/app/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { KEY_NAME };

const struct option_spec evidence_key_options[] = {
    [KEY_NAME] = {"name", "NAME", "whose key it is, such as a host's name (muster)"},
    {NULL, NULL, NULL},
};

/* One line into a file that is not there yet. */
static enum status put_line(const char *path, mode_t mode, const char *text, struct error *error) {
  const int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  FILE *const file = descriptor < 0 ? NULL : fdopen(descriptor, "wb");
  if (file == NULL) {
    return error_set(error, STATUS_REFUSED, "%s: %s", path, strerror(errno));
  }
  setvbuf(file, NULL, _IONBF, 0); /* no copy stays in a buffer of the library */
  const bool is_put = fprintf(file, "%s\n", text) > 0;
  return fclose(file) == 0 && is_put
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

enum status command_evidence_key(const struct command_line *line, struct error *error) {
  const char *const path = line->arguments[0];
  const char *const name = line->options[KEY_NAME] == NULL ? "muster" : line->options[KEY_NAME];
  char secret[CHECKPOINT_KEY_TEXT_SIZE];
  char open_text[CHECKPOINT_KEY_TEXT_SIZE];
  enum status status = note_key_make(name, secret, open_text, error);
  const size_t size = strlen(path) + sizeof ".pub";
  char *const open_path = memory_zeroed(1, size);
  snprintf(open_path, size, "%s.pub", path);
  if (status == STATUS_OK) {
    status = put_line(path, 0600, secret, error);
  }
  if (status == STATUS_OK) {
    status = put_line(open_path, 0644, open_text, error);
  }
  explicit_bzero(secret, sizeof secret);
  free(open_path);
  if (status == STATUS_OK) {
    printf("%s\n", open_text);
  }
  return status;
}

enum { CHECKPOINT_OUTPUT };

const struct option_spec evidence_checkpoint_options[] = {
    [CHECKPOINT_OUTPUT] = {"output", "FILE", "-o: write them there, not to standard output"},
    {NULL, NULL, NULL},
};

static enum status sign_lane(const struct config *config, const struct schemas *schemas,
                             const struct note_key *key, uint32_t lane, FILE *file,
                             struct error *error) {
  struct merkle_tree tree;
  char origin[CHECKPOINT_ORIGIN_SIZE];
  char text[CHECKPOINT_TEXT_SIZE];
  const enum status status = journal_tree_read(config, schemas, lane, &tree, error);
  if (status == STATUS_OK) {
    checkpoint_origin(note_key_name(key), config->kafka.topic_prefix, lane, origin);
    fwrite(text, 1, checkpoint_sign(key, origin, &tree, text), file);
  }
  return status;
}

static enum status sign(const struct config *config, const struct note_key *key, FILE *file,
                        struct error *error) {
  struct replay_inputs inputs = {0};
  enum status status = replay_inputs_open(config, &inputs, error);
  for (uint32_t lane = 0; lane < inputs.lane_count && status == STATUS_OK; lane++) {
    status = sign_lane(config, inputs.schemas, key, lane, file, error);
  }
  replay_inputs_close(&inputs);
  return status;
}

enum status command_evidence_checkpoint(const struct command_line *line, struct error *error) {
  const char *const path = line->options[CHECKPOINT_OUTPUT];
  const char *const key_file = line->config.journal.signing_key_file;
  struct note_key *key = NULL;
  if (key_file[0] == '\0') {
    return error_set(error, STATUS_CONFIG,
                     "journal.signing_key_file is not set; `muster evidence key` makes a key");
  }
  enum status status = note_key_load(key_file, true, &key, error);
  FILE *file = stdout;
  if (status == STATUS_OK && path != NULL && (file = fopen(path, "wb")) == NULL) {
    status = error_set(error, STATUS_REFUSED, "%s: %s", path, strerror(errno));
  }
  if (status == STATUS_OK) {
    status = sign(&line->config, key, file, error);
  }
  if (path != NULL && file != NULL && file != stdout && fclose(file) != 0 && status == STATUS_OK) {
    status = error_set(error, STATUS_UNAVAILABLE, "%s: %s", path, strerror(errno));
  }
  note_key_close(key);
  return status;
}
