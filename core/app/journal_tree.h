/* The Merkle tree over a lane's journal: one leaf a batch, its chain digest.
 *
 * The chain covers the row and every row before it, so a leaf of 32 bytes states the whole batch,
 * and who has the journal needs nothing else to find it. Rows are added in order from the first,
 * and each must chain to the one before. */
#ifndef MUSTER_APP_JOURNAL_TREE_H
#define MUSTER_APP_JOURNAL_TREE_H

#include "core/app/checkpoint.h"

struct journal_tree {
  struct merkle_frontier frontier;
  uint8_t chain[DIGEST_SIZE]; /* of the last batch; zeros at first */
};

void journal_tree_init(struct journal_tree *tree);

/* Adds the next batch. False: it is not the next, or its chain does not hold; nothing is added. */
bool journal_tree_add(struct journal_tree *tree, const struct journal_row *row) MUST_USE;

/* The leaf that a chain is. */
struct merkle_node journal_tree_leaf(const uint8_t chain[DIGEST_SIZE]);

struct merkle_tree journal_tree_state(const struct journal_tree *tree);

#endif
