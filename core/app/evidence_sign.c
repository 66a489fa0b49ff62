#include "core/app/evidence_sign.h"

#include "consumers/base64.h"
#include "core/app/digest.h"
#include "core/app/evidence_examine.h"
#include "core/app/journal_source.h"
#include "core/app/journal_tree.h"
#include "core/app/replay.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Rows of a lane's journal as a tree, and its leaves when they are wanted. */
struct reading {
  struct journal_tree tree;
  uint64_t batches_max;
  bool keeps_leaves;
  struct merkle_node *leaves;
  size_t capacity;
};

static void keep_leaf(struct reading *reading, const struct journal_row *row) {
  const size_t count = (size_t)row->batch;
  if (count > reading->capacity) {
    reading->capacity = reading->capacity == 0 ? 1024 : 2 * reading->capacity;
    reading->leaves = memory_grown(reading->leaves, reading->capacity, sizeof *reading->leaves);
  }
  reading->leaves[count - 1] = journal_tree_leaf(row->chain);
}

static enum status read_rows(struct journal_source *source, uint32_t lane, struct reading *reading,
                             struct error *error) {
  while (reading->tree.frontier.size < reading->batches_max) {
    struct journal_entry entry;
    const enum status status = journal_source_next(source, &entry, error);
    if (status != STATUS_OK || entry.batch == NULL) {
      return status;
    }
    if (!journal_tree_add(&reading->tree, &entry.batch->row)) {
      return error_set(error, STATUS_REFUSED,
                       "lane %" PRIu32 ": batch %" PRIu64
                       " of the journal does not go on from the one before; `muster replay verify` "
                       "tells what differs",
                       lane, reading->tree.frontier.size + 1);
    }
    if (reading->keeps_leaves) {
      keep_leaf(reading, &entry.batch->row);
    }
  }
  return STATUS_OK;
}

static enum status read_journal(const struct config *config, const struct schemas *schemas,
                                uint32_t lane, struct reading *reading, struct error *error) {
  const char *prefix = config->kafka.topic_prefix;
  struct fetch *fetch = NULL;
  struct found *found = NULL;
  journal_tree_init(&reading->tree);
  enum status status = replay_fetch_open(config, &fetch, error);
  if (status == STATUS_OK) {
    status = found_open_journal(fetch, prefix, lane, &found, error);
  }
  if (status == STATUS_OK) {
    struct journal_source *source = journal_source_of_topic(found, schemas, prefix);
    status = read_rows(source, lane, reading, error);
    journal_source_close(source);
  }
  found_close(found);
  fetch_close(fetch);
  return status;
}

enum status journal_tree_read(const struct config *config, const struct schemas *schemas,
                              uint32_t lane, struct merkle_tree *tree, struct error *error) {
  struct reading reading = {.batches_max = UINT64_MAX};
  const enum status status = read_journal(config, schemas, lane, &reading, error);
  *tree = journal_tree_state(&reading.tree);
  return status;
}

/* Into a pack. --------------------------------------------------------------------------- */

static enum status open_file(const char *directory, const char *name, FILE **file,
                             struct error *error) {
  char *const path = path_join(directory, name);
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

static enum status put_note(const char *directory, const char *name, const char *text,
                            struct error *error) {
  FILE *file;
  const enum status status = open_file(directory, name, &file, error);
  if (status != STATUS_OK) {
    return status;
  }
  fputs(text, file);
  return close_file(file, name, error);
}

static enum status put_proof(const char *directory, const char *name,
                             const struct merkle_proof *proof, struct error *error) {
  FILE *file;
  const enum status status = open_file(directory, name, &file, error);
  if (status != STATUS_OK) {
    return status;
  }
  for (size_t i = 0; i < proof->count; i++) {
    char *const text = base64_text(span_of(proof->nodes[i].hash, DIGEST_SIZE));
    fprintf(file, "%s\n", text);
    free(text);
  }
  return close_file(file, name, error);
}

/* The list is sorted by size within a lane. */
static const struct listed_checkpoint *choose(const struct checkpoint_list *list, uint32_t lane,
                                              uint64_t batches) {
  const struct listed_checkpoint *chosen = NULL;
  for (size_t i = 0; i < list->count; i++) {
    const struct listed_checkpoint *listed = &list->items[i];
    if (listed->lane == lane && listed->why[0] == '\0' &&
        (chosen == NULL || chosen->is.tree.size < batches)) {
      chosen = listed;
    }
  }
  return chosen;
}

enum status evidence_put_checkpoint(const struct config *config, const struct schemas *schemas,
                                    const struct checkpoint_list *list, const char *directory,
                                    uint32_t lane, uint64_t batches, struct error *error) {
  const struct listed_checkpoint *chosen = choose(list, lane, batches);
  struct merkle_proof proof;
  char note_name[64];
  char proof_name[64];
  if (chosen == NULL) {
    return STATUS_OK;
  }
  evidence_checkpoint_names(lane, note_name, proof_name);
  enum status status = put_note(directory, note_name, chosen->text, error);
  if (status != STATUS_OK || chosen->is.tree.size <= batches) {
    return status;
  }
  struct reading reading = {.batches_max = chosen->is.tree.size, .keeps_leaves = true};
  status = read_journal(config, schemas, lane, &reading, error);
  if (status == STATUS_OK) {
    /* A journal shorter than its checkpoint proves nothing, and the pack's verdict says so. */
    const uint64_t count = reading.tree.frontier.size;
    merkle_prove_consistency(digest_of, reading.leaves, count, batches < count ? batches : count,
                             &proof);
    status = put_proof(directory, proof_name, &proof, error);
  }
  free(reading.leaves);
  return status;
}
