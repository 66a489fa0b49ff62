/* Signed checkpoints against the tree over the journal as it stands. */
#include "core/app/verify_internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static void diverge(struct verify *verify, const char *what, uint64_t batch,
                    const struct listed_checkpoint *listed, const char *text) {
  json_t *finding = finding_begin(what, verify->options->lane, batch);
  json_object_set_new(finding, "at", json_string(listed->where));
  finding_explain(finding, "%s", text);
  verify_diverge(verify, finding);
}

static json_t *tree_json(uint64_t size, const struct merkle_node *root) {
  char hex[HEX_DIGEST_SIZE];
  hex_format(root->hash, DIGEST_SIZE, hex);
  return json_pack("{s:I, s:s}", "batches", (json_int_t)size, "root", hex);
}

static void contradict(struct verify *verify, const struct listed_checkpoint *listed) {
  const struct merkle_tree tree = journal_tree_state(&verify->tree);
  json_t *finding = finding_begin("checkpoint contradicted", verify->options->lane, tree.size);
  json_object_set_new(finding, "at", json_string(listed->where));
  finding_explain(finding,
                  "what was signed up to batch %" PRIu64
                  " is not the journal as it stands, though that is decided from its inputs",
                  tree.size);
  finding_compare(finding, tree_json(listed->is.tree.size, &listed->is.tree.root),
                  tree_json(tree.size, &tree.root));
  verify_diverge(verify, finding);
}

/* The next checkpoint of the lane that has not been held against the tree; NULL: none. */
static const struct listed_checkpoint *next_of(struct verify *verify) {
  const struct checkpoint_list *list = verify->options->checkpoints;
  while (list != NULL && verify->next_checkpoint < list->count) {
    const struct listed_checkpoint *listed = &list->items[verify->next_checkpoint];
    if (listed->lane == verify->options->lane) {
      return listed;
    }
    verify->next_checkpoint++;
  }
  return NULL;
}

/* Those of the tree's size; of one that is none of this lane's it is said at once. */
static void compare(struct verify *verify) {
  const struct listed_checkpoint *listed;
  while (!verify_is_over(verify) && (listed = next_of(verify)) != NULL) {
    if (listed->why[0] != '\0') {
      diverge(verify, "checkpoint unsigned", verify->tree.frontier.size, listed, listed->why);
      return;
    }
    if (listed->is.tree.size > verify->tree.frontier.size) {
      return;
    }
    const struct merkle_tree tree = journal_tree_state(&verify->tree);
    if (memcmp(tree.root.hash, listed->is.tree.root.hash, DIGEST_SIZE) != 0) {
      contradict(verify, listed);
      return;
    }
    verify->result->checkpoints++;
    verify->result->signed_batch = tree.size;
    verify->next_checkpoint++;
  }
}

void verify_checkpoint_batch(struct verify *verify, const struct journal_row *row) {
  if (verify->options->checkpoints == NULL && verify->options->files == NULL) {
    return;
  }
  if (row->batch == 1) {
    journal_tree_init(&verify->tree);
    compare(verify); /* of no batches */
  }
  if (!journal_tree_add(&verify->tree, row)) {
    assert(false); /* its chain was looked at before */
  }
  compare(verify);
}

enum status verify_checkpoint_rest(struct verify *verify, bool *goes_on) {
  *goes_on = false;
  if (verify->options->checkpoints == NULL) {
    return STATUS_OK;
  }
  if (verify->last.batch == 0) {
    journal_tree_init(&verify->tree);
    compare(verify);
  }
  const struct listed_checkpoint *listed = verify_is_over(verify) ? NULL : next_of(verify);
  if (listed == NULL) {
    return STATUS_OK;
  }
  enum status status = STATUS_OK;
  if (verify->options->files == NULL) {
    status = verify_await_journal(verify, goes_on);
  }
  if (status != STATUS_OK || *goes_on) {
    return status;
  }
  char text[192];
  snprintf(text, sizeof text,
           "the journal ends at batch %" PRIu64 ", but a signed checkpoint has %" PRIu64 " batches",
           verify->last.batch, listed->is.tree.size);
  const struct merkle_tree tree = journal_tree_state(&verify->tree);
  json_t *finding = finding_begin("journal cut", verify->options->lane, verify->last.batch + 1);
  json_object_set_new(finding, "at", json_string(listed->where));
  finding_explain(finding, "%s", text);
  finding_compare(finding, tree_json(listed->is.tree.size, &listed->is.tree.root),
                  tree_json(tree.size, &tree.root));
  verify_diverge(verify, finding);
  return STATUS_OK;
}
