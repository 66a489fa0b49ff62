/* core/table and core/memory: a hash table against a plain list; growing blocks. */
#include "core/table.h"
#include "tests/lib/heap.h"

#include <check.h>
#include <stdlib.h>

enum { ITEM_COUNT = 3000 };

/* Items that are their own keys. Their hashes are what the test says they are. */
struct items {
  uint32_t keys[ITEM_COUNT];
  uint64_t hashes[ITEM_COUNT];
  bool is_in[ITEM_COUNT];
};

struct fixture {
  struct heap heap;
  struct memory memory;
  struct table table;
  struct items *items;
};

static struct fixture fixture;

static void set_up(void) {
  fixture = (struct fixture){.items = calloc(1, sizeof *fixture.items)};
  fixture.memory = heap_as_memory(&fixture.heap);
  for (uint32_t i = 0; i < ITEM_COUNT; i++) {
    fixture.items->keys[i] = i * 7919;
    fixture.items->hashes[i] =
        hash_bytes(span_of(&fixture.items->keys[i], sizeof fixture.items->keys[i]));
  }
}

static void tear_down(void) {
  table_fini(&fixture.table, &fixture.memory);
  ck_assert_uint_eq(fixture.heap.block_count, 0);
  ck_assert_uint_eq(fixture.heap.byte_count, 0);
  free(fixture.items);
}

static bool is_item(const void *context, uint32_t index, struct span key) {
  const struct items *items = context;
  return span_equal(span_of(&items->keys[index], sizeof items->keys[index]), key);
}

static uint64_t hash_of_item(const void *context, uint32_t index) {
  return ((const struct items *)context)->hashes[index];
}

static uint32_t find(uint32_t index) {
  const struct items *items = fixture.items;
  return table_find(&fixture.table, items->hashes[index],
                    span_of(&items->keys[index], sizeof items->keys[index]), is_item, items);
}

static void add(uint32_t index) {
  table_add(&fixture.table, &fixture.memory, fixture.items->hashes[index], index, hash_of_item,
            fixture.items);
  fixture.items->is_in[index] = true;
}

static void take_out(uint32_t index) {
  table_remove(&fixture.table, fixture.items->hashes[index], index, hash_of_item, fixture.items);
  fixture.items->is_in[index] = false;
}

static void check_all(uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    ck_assert_uint_eq(find(i), fixture.items->is_in[i] ? i : INDEX_NONE);
  }
}

START_TEST(an_empty_table_finds_nothing) {
  ck_assert_uint_eq(find(0), INDEX_NONE);
  add(0);
  take_out(0);
  ck_assert_uint_eq(find(0), INDEX_NONE);
  ck_assert_uint_eq(fixture.table.count, 0);
}
END_TEST

START_TEST(a_table_grows_and_finds_all) {
  for (uint32_t i = 0; i < ITEM_COUNT; i++) {
    add(i);
    ck_assert_uint_eq(find(i), i);
    ck_assert_uint_lt(fixture.table.count, fixture.table.mask / 4 * 3 + 2);
  }
  ck_assert_uint_eq(fixture.table.count, ITEM_COUNT);
  check_all(ITEM_COUNT);
}
END_TEST

/* All in one run of slots that goes round the end, with tags that do and do not tell them apart. */
START_TEST(colliding_items_are_told_apart) {
  enum { COUNT = 40 };
  for (uint32_t i = 0; i < COUNT; i++) {
    fixture.items->hashes[i] = (uint64_t)(i % 3) << 32 | (0xfffffff0u + i % 4);
    add(i);
  }
  check_all(COUNT);
  for (uint32_t i = 0; i < COUNT; i += 2) {
    take_out(i);
    check_all(COUNT);
  }
  for (uint32_t i = 0; i < COUNT; i += 4) {
    add(i);
    check_all(COUNT);
  }
}
END_TEST

START_TEST(a_guess_is_the_first_with_that_tag) {
  const uint64_t hash = UINT64_C(0x1234567800000005);
  table_prefetch(&fixture.table, hash);
  ck_assert_uint_eq(table_guess(&fixture.table, hash), INDEX_NONE);
  for (uint32_t i = 0; i < 2; i++) {
    fixture.items->hashes[i] = hash;
    add(i);
  }
  table_prefetch(&fixture.table, hash);
  ck_assert_uint_eq(table_guess(&fixture.table, hash), 0);
  ck_assert_uint_eq(find(1), 1);
  ck_assert_uint_eq(table_guess(&fixture.table, hash ^ UINT64_C(1) << 32), INDEX_NONE);
  take_out(0);
  ck_assert_uint_eq(table_guess(&fixture.table, hash), 1);
}
END_TEST

START_TEST(random_changes_agree_with_a_list) {
  uint64_t state = (uint64_t)_i + 1;
  uint32_t count = 0;
  /* Few hashes in some runs: long probes. */
  for (uint32_t i = 0; i < ITEM_COUNT; i++) {
    fixture.items->hashes[i] %= _i == 0 ? UINT64_MAX : _i == 1 ? 500 : UINT64_C(30) << 32;
  }
  for (int step = 0; step < 4000; step++) {
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    const uint32_t index = (uint32_t)(state >> 33) % 600;
    if (fixture.items->is_in[index]) {
      take_out(index);
      count--;
    } else {
      add(index);
      count++;
    }
    ck_assert_uint_eq(fixture.table.count, count);
    if (step % 50 == 0) {
      check_all(600);
    }
  }
  check_all(600);
}
END_TEST

START_TEST(hashes_see_every_byte_and_the_size) {
  uint8_t bytes[64] = {0};
  for (size_t size = 1; size <= sizeof bytes; size++) {
    const uint64_t before = hash_bytes(span_of(bytes, size));
    ck_assert_uint_eq(hash_bytes(span_of(bytes, size)), before);
    ck_assert_uint_ne(hash_bytes(span_of(bytes, size - 1)), before);
    for (size_t at = 0; at < size; at++) {
      bytes[at] ^= 1;
      ck_assert_uint_ne(hash_bytes(span_of(bytes, size)), before);
      bytes[at] ^= 1;
    }
  }
  ck_assert_uint_eq(hash_bytes((struct span){0}), hash_bytes(span_of(bytes, 0)));
}
END_TEST

START_TEST(blocks_grow_by_half) {
  uint32_t capacity = 0;
  uint64_t *block = NULL;
  for (uint32_t count = 0; count < 1000; count++) {
    const uint32_t before = capacity;
    block = memory_grow(&fixture.memory, block, count, &capacity, sizeof *block);
    ck_assert_uint_gt(capacity, count);
    ck_assert(capacity == before || count == before);
    ck_assert_uint_le(capacity, count < 16 ? 16 : count + count / 2);
    block[count] = count;
    ck_assert_uint_eq(fixture.heap.byte_count, capacity * sizeof *block);
  }
  for (uint32_t i = 0; i < 1000; i++) {
    ck_assert_uint_eq(block[i], i);
  }
  fixture.memory.resize(fixture.memory.context, block, capacity * sizeof *block, 0);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("table");
  TCase *const tests = tcase_create("table");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, an_empty_table_finds_nothing);
  tcase_add_test(tests, a_table_grows_and_finds_all);
  tcase_add_test(tests, colliding_items_are_told_apart);
  tcase_add_test(tests, a_guess_is_the_first_with_that_tag);
  tcase_add_loop_test(tests, random_changes_agree_with_a_list, 0, 3);
  tcase_add_test(tests, hashes_see_every_byte_and_the_size);
  tcase_add_test(tests, blocks_grow_by_half);
  suite_add_tcase(all, tests);
  return all;
}

int main(void) {
  SRunner *const runner = srunner_create(suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
