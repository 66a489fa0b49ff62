#include "core/merkle.h"

static struct merkle_node join(merkle_hash_fn hash, const struct merkle_node *left,
                               const struct merkle_node *right) {
  struct merkle_node joined;
  uint8_t bytes[1 + 2 * DIGEST_SIZE] = {1};
  memcpy(bytes + 1, left->hash, DIGEST_SIZE);
  memcpy(bytes + 1 + DIGEST_SIZE, right->hash, DIGEST_SIZE);
  hash(span_of(bytes, sizeof bytes), joined.hash);
  return joined;
}

static bool node_equal(const struct merkle_node *a, const struct merkle_node *b) {
  return memcmp(a->hash, b->hash, DIGEST_SIZE) == 0;
}

struct merkle_node merkle_leaf(merkle_hash_fn hash, struct span entry) {
  struct merkle_node leaf;
  uint8_t bytes[1 + DIGEST_SIZE] = {0};
  assert(entry.size <= DIGEST_SIZE); /* entries are digests; no allocation here */
  if (entry.size > 0) {
    memcpy(bytes + 1, entry.data, entry.size);
  }
  hash(span_of(bytes, 1 + entry.size), leaf.hash);
  return leaf;
}

size_t merkle_frontier_count(uint64_t size) {
  size_t count = 0;
  for (; size > 0; size &= size - 1) {
    count++;
  }
  return count;
}

/* As when counting in binary: two subtrees of one size become one of twice the size. */
void merkle_append(struct merkle_frontier *frontier, const struct merkle_node *leaf) {
  size_t count = merkle_frontier_count(frontier->size);
  struct merkle_node node = *leaf;
  for (uint64_t size = frontier->size; (size & 1) != 0; size >>= 1) {
    node = join(frontier->hash, &frontier->nodes[--count], &node);
  }
  assert(count < MERKLE_DEPTH_MAX);
  frontier->nodes[count] = node;
  frontier->size++;
}

struct merkle_node merkle_root(const struct merkle_frontier *frontier) {
  size_t count = merkle_frontier_count(frontier->size);
  struct merkle_node root;
  if (count == 0) {
    frontier->hash(span_of("", 0), root.hash);
    return root;
  }
  root = frontier->nodes[--count];
  while (count > 0) {
    root = join(frontier->hash, &frontier->nodes[--count], &root);
  }
  return root;
}

struct merkle_node merkle_root_of(merkle_hash_fn hash, const struct merkle_node *leaves,
                                  uint64_t count) {
  struct merkle_frontier frontier = {.hash = hash};
  for (uint64_t i = 0; i < count; i++) {
    merkle_append(&frontier, &leaves[i]);
  }
  return merkle_root(&frontier);
}

/* The largest power of two below `count`; count > 1. */
static uint64_t split_of(uint64_t count) {
  uint64_t split = 1;
  while (split < count - split) {
    split *= 2;
  }
  return split;
}

static void add(struct merkle_proof *proof, const struct merkle_node *node) {
  assert(proof->count < MERKLE_PROOF_MAX);
  proof->nodes[proof->count++] = *node;
}

/* Proofs name the nodes from the leaf upwards, and are found from the root downwards. */
static void turn(struct merkle_proof *proof) {
  for (size_t i = 0; i < proof->count / 2; i++) {
    const struct merkle_node node = proof->nodes[i];
    proof->nodes[i] = proof->nodes[proof->count - 1 - i];
    proof->nodes[proof->count - 1 - i] = node;
  }
}

void merkle_prove_inclusion(merkle_hash_fn hash, const struct merkle_node *leaves, uint64_t count,
                            uint64_t index, struct merkle_proof *proof) {
  assert(index < count);
  proof->count = 0;
  while (count > 1) {
    const uint64_t split = split_of(count);
    const bool is_left = index < split;
    const struct merkle_node other = is_left ? merkle_root_of(hash, leaves + split, count - split)
                                             : merkle_root_of(hash, leaves, split);
    add(proof, &other);
    leaves += is_left ? 0 : split;
    index -= is_left ? 0 : split;
    count = is_left ? split : count - split;
  }
  turn(proof);
}

void merkle_prove_consistency(merkle_hash_fn hash, const struct merkle_node *leaves, uint64_t count,
                              uint64_t before, struct merkle_proof *proof) {
  assert(before <= count);
  proof->count = 0;
  if (before == 0 || before == count) {
    return;
  }
  bool is_whole = true; /* the part at hand is what the smaller tree consists of, from leaf 0 on */
  while (before != count) {
    const uint64_t split = split_of(count);
    const bool is_left = before <= split;
    const struct merkle_node other = is_left ? merkle_root_of(hash, leaves + split, count - split)
                                             : merkle_root_of(hash, leaves, split);
    add(proof, &other);
    leaves += is_left ? 0 : split;
    before -= is_left ? 0 : split;
    count = is_left ? split : count - split;
    is_whole = is_whole && is_left;
  }
  if (!is_whole) { /* else its root is the smaller tree's, which is known */
    const struct merkle_node own = merkle_root_of(hash, leaves, count);
    add(proof, &own);
  }
  turn(proof);
}

/* RFC 9162, section 2.1.3.2. */
bool merkle_proves_inclusion(merkle_hash_fn hash, const struct merkle_proof *proof, uint64_t index,
                             const struct merkle_node *leaf, const struct merkle_tree *tree) {
  if (index >= tree->size) {
    return false;
  }
  uint64_t at = index;
  uint64_t last = tree->size - 1;
  struct merkle_node node = *leaf;
  for (size_t i = 0; i < proof->count; i++) {
    if (last == 0) {
      return false;
    }
    if ((at & 1) != 0 || at == last) {
      node = join(hash, &proof->nodes[i], &node);
      for (; (at & 1) == 0 && at != 0; at >>= 1) {
        last >>= 1;
      }
    } else {
      node = join(hash, &node, &proof->nodes[i]);
    }
    at >>= 1;
    last >>= 1;
  }
  return last == 0 && node_equal(&node, &tree->root);
}

/* RFC 9162, section 2.1.4.2, from its third step on. */
static bool climb(merkle_hash_fn hash, const struct merkle_proof *proof, size_t begin,
                  const struct merkle_tree *before, const struct merkle_tree *after,
                  struct merkle_node node) {
  uint64_t at = before->size - 1;
  uint64_t last = after->size - 1;
  struct merkle_node of_before = node;
  struct merkle_node of_after = node;
  for (; (at & 1) != 0; at >>= 1) {
    last >>= 1;
  }
  for (size_t i = begin; i < proof->count; i++) {
    const struct merkle_node *other = &proof->nodes[i];
    if (last == 0) {
      return false;
    }
    if ((at & 1) != 0 || at == last) {
      of_before = join(hash, other, &of_before);
      of_after = join(hash, other, &of_after);
      for (; (at & 1) == 0 && at != 0; at >>= 1) {
        last >>= 1;
      }
    } else {
      of_after = join(hash, &of_after, other);
    }
    at >>= 1;
    last >>= 1;
  }
  return last == 0 && node_equal(&of_before, &before->root) && node_equal(&of_after, &after->root);
}

bool merkle_proves_consistency(merkle_hash_fn hash, const struct merkle_proof *proof,
                               const struct merkle_tree *before, const struct merkle_tree *after) {
  if (before->size > after->size) {
    return false;
  }
  if (before->size == after->size) {
    return proof->count == 0 && node_equal(&before->root, &after->root);
  }
  if (before->size == 0) { /* every tree begins with the empty one */
    const struct merkle_node empty = merkle_root_of(hash, NULL, 0);
    return proof->count == 0 && node_equal(&before->root, &empty);
  }
  const bool is_perfect = (before->size & (before->size - 1)) == 0;
  if (is_perfect) {
    return climb(hash, proof, 0, before, after, before->root);
  }
  return proof->count > 0 && climb(hash, proof, 1, before, after, proof->nodes[0]);
}
