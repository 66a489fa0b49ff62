/* The Merkle tree over a list of entries (RFC 6962, section 2.1), and what is proved by it.
 *
 * A leaf's hash is H(0x00, entry), an inner node's H(0x01, left, right); the tree over n leaves
 * splits at the largest power of two below n. The hash function is the caller's (SHA-256). Who
 * appends keeps the frontier alone: the roots of the perfect subtrees, at most 64. Who proves
 * needs the leaves' hashes. Pure; owns nothing. */
#ifndef MUSTER_CORE_MERKLE_H
#define MUSTER_CORE_MERKLE_H

#include "core/journal.h"

/* SHA-256 of the bytes. */
typedef void (*merkle_hash_fn)(struct span bytes, uint8_t digest[DIGEST_SIZE]);

struct merkle_node {
  uint8_t hash[DIGEST_SIZE];
};

enum { MERKLE_DEPTH_MAX = 64, MERKLE_PROOF_MAX = 2 * MERKLE_DEPTH_MAX };

/* A list of nodes that proves something, in the order of the RFC. */
struct merkle_proof {
  size_t count;
  struct merkle_node nodes[MERKLE_PROOF_MAX];
};

/* A tree that grows: one root for each bit that is set in the size, the largest first. */
struct merkle_frontier {
  merkle_hash_fn hash;
  uint64_t size; /* leaves */
  struct merkle_node nodes[MERKLE_DEPTH_MAX];
};

struct merkle_node merkle_leaf(merkle_hash_fn hash, struct span entry);

/* Adds a leaf by its hash (merkle_leaf). */
void merkle_append(struct merkle_frontier *frontier, const struct merkle_node *leaf);

/* The tree's root; that of no leaves is the hash of no bytes. */
struct merkle_node merkle_root(const struct merkle_frontier *frontier);

/* The same from all leaves. */
struct merkle_node merkle_root_of(merkle_hash_fn hash, const struct merkle_node *leaves,
                                  uint64_t count);

/* How many nodes the frontier of a tree of that size has. */
size_t merkle_frontier_count(uint64_t size);

/* That leaf `index` (from 0) is in the tree over `count` leaves; index < count. */
void merkle_prove_inclusion(merkle_hash_fn hash, const struct merkle_node *leaves, uint64_t count,
                            uint64_t index, struct merkle_proof *proof);

/* That the tree over the first `before` of `count` leaves is what the tree over all began with;
 * before <= count. Empty for 0 and for all. */
void merkle_prove_consistency(merkle_hash_fn hash, const struct merkle_node *leaves, uint64_t count,
                              uint64_t before, struct merkle_proof *proof);

/* A tree as somebody stated it. */
struct merkle_tree {
  uint64_t size;
  struct merkle_node root;
};

/* Whether the proof shows the leaf at that index of the tree. Any input is allowed. */
bool merkle_proves_inclusion(merkle_hash_fn hash, const struct merkle_proof *proof, uint64_t index,
                             const struct merkle_node *leaf, const struct merkle_tree *tree);

/* Whether the proof shows that `after` begins with `before`. Any input is allowed. */
bool merkle_proves_consistency(merkle_hash_fn hash, const struct merkle_proof *proof,
                               const struct merkle_tree *before, const struct merkle_tree *after);

#endif
