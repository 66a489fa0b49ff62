/* core/merkle: the known trees of Certificate Transparency, and every proof of every small tree. */
#include "core/merkle.h"

#include "core/app/digest.h"

#include <check.h>
#include <stdio.h>

enum { KNOWN_COUNT = 8, SMALL_MAX = 40 };

static const struct {
  const char *entry; /* in hexadecimal */
  const char *root;  /* of the tree over this entry and those before it */
} known[KNOWN_COUNT] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
     "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static const char *const inclusion_of_first[] = {
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
};
static const char *const consistency_of_six[] = {
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
};

static struct merkle_node node_of(const char *hex) {
  struct merkle_node node;
  for (size_t i = 0; i < DIGEST_SIZE; i++) {
    unsigned byte;
    ck_assert_int_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
    node.hash[i] = (uint8_t)byte;
  }
  return node;
}

static struct merkle_node leaf_of(const char *hex) {
  uint8_t bytes[DIGEST_SIZE];
  const size_t size = strlen(hex) / 2;
  for (size_t i = 0; i < size; i++) {
    unsigned byte;
    ck_assert_int_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
    bytes[i] = (uint8_t)byte;
  }
  return merkle_leaf(digest_of, span_of(bytes, size));
}

static void known_leaves(struct merkle_node leaves[KNOWN_COUNT]) {
  for (size_t i = 0; i < KNOWN_COUNT; i++) {
    leaves[i] = leaf_of(known[i].entry);
  }
}

static void same(const struct merkle_node *is, const struct merkle_node *should) {
  ck_assert_mem_eq(is->hash, should->hash, DIGEST_SIZE);
}

static void same_proof(const struct merkle_proof *is, const char *const *should, size_t count) {
  ck_assert_uint_eq(is->count, count);
  for (size_t i = 0; i < count; i++) {
    const struct merkle_node node = node_of(should[i]);
    same(&is->nodes[i], &node);
  }
}

START_TEST(roots_are_those_known) {
  struct merkle_frontier frontier = {.hash = digest_of};
  const struct merkle_node empty =
      node_of("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  struct merkle_node root = merkle_root(&frontier);
  same(&root, &empty);
  for (size_t i = 0; i < KNOWN_COUNT; i++) {
    const struct merkle_node leaf = leaf_of(known[i].entry);
    const struct merkle_node should = node_of(known[i].root);
    merkle_append(&frontier, &leaf);
    root = merkle_root(&frontier);
    same(&root, &should);
  }
}
END_TEST

START_TEST(proofs_are_those_known) {
  struct merkle_node leaves[KNOWN_COUNT];
  struct merkle_proof proof;
  known_leaves(leaves);
  merkle_prove_inclusion(digest_of, leaves, KNOWN_COUNT, 0, &proof);
  same_proof(&proof, inclusion_of_first, COUNT_OF(inclusion_of_first));
  merkle_prove_consistency(digest_of, leaves, KNOWN_COUNT, 1, &proof);
  same_proof(&proof, inclusion_of_first, COUNT_OF(inclusion_of_first));
  merkle_prove_consistency(digest_of, leaves, KNOWN_COUNT, 6, &proof);
  same_proof(&proof, consistency_of_six, COUNT_OF(consistency_of_six));
}
END_TEST

static void small_leaves(struct merkle_node leaves[SMALL_MAX]) {
  for (uint8_t i = 0; i < SMALL_MAX; i++) {
    leaves[i] = merkle_leaf(digest_of, span_of(&i, 1));
  }
}

/* With one bit of one node turned, one node more and one less, nothing is proved. */
static void refuses_others(const struct merkle_proof *proof, uint64_t index,
                           const struct merkle_node *leaf, const struct merkle_tree *tree) {
  for (size_t i = 0; i < proof->count; i++) {
    struct merkle_proof other = *proof;
    other.nodes[i].hash[7] ^= 16;
    ck_assert(!merkle_proves_inclusion(digest_of, &other, index, leaf, tree));
  }
  struct merkle_proof longer = *proof;
  longer.nodes[longer.count++] = *leaf;
  ck_assert(!merkle_proves_inclusion(digest_of, &longer, index, leaf, tree));
  if (proof->count > 0) {
    struct merkle_proof shorter = *proof;
    shorter.count--;
    ck_assert(!merkle_proves_inclusion(digest_of, &shorter, index, leaf, tree));
  }
}

START_TEST(every_leaf_is_proved_and_no_other) {
  struct merkle_node leaves[SMALL_MAX];
  struct merkle_proof proof;
  small_leaves(leaves);
  for (uint64_t count = 1; count <= SMALL_MAX; count++) {
    const struct merkle_tree tree = {count, merkle_root_of(digest_of, leaves, count)};
    for (uint64_t i = 0; i < count; i++) {
      merkle_prove_inclusion(digest_of, leaves, count, i, &proof);
      ck_assert(merkle_proves_inclusion(digest_of, &proof, i, &leaves[i], &tree));
      refuses_others(&proof, i, &leaves[i], &tree);
      for (uint64_t j = 0; j < count + 2; j++) {
        ck_assert(j == i || !merkle_proves_inclusion(digest_of, &proof, j, &leaves[i], &tree));
      }
    }
  }
}
END_TEST

START_TEST(every_beginning_is_proved_and_no_other) {
  struct merkle_node leaves[SMALL_MAX];
  struct merkle_proof proof;
  small_leaves(leaves);
  for (uint64_t count = 0; count <= SMALL_MAX; count++) {
    const struct merkle_tree after = {count, merkle_root_of(digest_of, leaves, count)};
    for (uint64_t size = 0; size <= count; size++) {
      struct merkle_tree before = {size, merkle_root_of(digest_of, leaves, size)};
      merkle_prove_consistency(digest_of, leaves, count, size, &proof);
      ck_assert(merkle_proves_consistency(digest_of, &proof, &before, &after));
      ck_assert(size == count || !merkle_proves_consistency(digest_of, &proof, &after, &before));
      for (size_t i = 0; i < proof.count; i++) {
        struct merkle_proof other = proof;
        other.nodes[i].hash[31] ^= 1;
        ck_assert(!merkle_proves_consistency(digest_of, &other, &before, &after));
      }
      before.root.hash[0] ^= 1;
      ck_assert(!merkle_proves_consistency(digest_of, &proof, &before, &after));
    }
  }
}
END_TEST

/* A log whose third entry was replaced later does not go on from what was signed before. */
START_TEST(a_rewritten_history_is_not_consistent) {
  struct merkle_node leaves[SMALL_MAX];
  struct merkle_proof proof;
  small_leaves(leaves);
  const struct merkle_tree before = {11, merkle_root_of(digest_of, leaves, 11)};
  leaves[2].hash[0] ^= 1;
  const struct merkle_tree after = {29, merkle_root_of(digest_of, leaves, 29)};
  merkle_prove_consistency(digest_of, leaves, 29, 11, &proof);
  ck_assert(!merkle_proves_consistency(digest_of, &proof, &before, &after));
}
END_TEST

static Suite *merkle_suite(void) {
  Suite *suite = suite_create("merkle");
  TCase *of_tree = tcase_create("tree");
  tcase_add_test(of_tree, roots_are_those_known);
  tcase_add_test(of_tree, proofs_are_those_known);
  tcase_add_test(of_tree, every_leaf_is_proved_and_no_other);
  tcase_add_test(of_tree, every_beginning_is_proved_and_no_other);
  tcase_add_test(of_tree, a_rewritten_history_is_not_consistent);
  suite_add_tcase(suite, of_tree);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(merkle_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
