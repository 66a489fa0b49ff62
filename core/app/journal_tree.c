#include "core/app/journal_tree.h"

#include "core/app/digest.h"
#include "core/app/text.h"

#include <stdlib.h>

void journal_tree_init(struct journal_tree *tree) {
  *tree = (struct journal_tree){.frontier = {.hash = digest_of}};
}

static bool chain_holds(const struct journal_tree *tree, const struct journal_row *row) {
  uint8_t chain[DIGEST_SIZE];
  uint8_t *bytes = memory_zeroed(1, journal_canonical_size_max(row));
  digest_of(span_of(bytes, journal_canonical(row, tree->chain, bytes)), chain);
  free(bytes);
  return memcmp(chain, row->chain, DIGEST_SIZE) == 0;
}

struct merkle_node journal_tree_leaf(const uint8_t chain[DIGEST_SIZE]) {
  return merkle_leaf(digest_of, span_of(chain, DIGEST_SIZE));
}

bool journal_tree_add(struct journal_tree *tree, const struct journal_row *row) {
  if (row->batch != tree->frontier.size + 1 || !chain_holds(tree, row)) {
    return false;
  }
  const struct merkle_node leaf = journal_tree_leaf(row->chain);
  merkle_append(&tree->frontier, &leaf);
  memcpy(tree->chain, row->chain, DIGEST_SIZE);
  return true;
}

struct merkle_tree journal_tree_state(const struct journal_tree *tree) {
  return (struct merkle_tree){tree->frontier.size, merkle_root(&tree->frontier)};
}
