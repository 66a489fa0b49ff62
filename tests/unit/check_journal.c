/* core/journal: every field of a row, and the row before, changes what the chain is made over. */
#include "core/journal.h"

#include <check.h>
#include <stdlib.h>

enum { NOT_BELIEVED_COUNT = 3 };

/* Fields that are numbers, by where they stand; what they hold is set apart in each. */
struct row {
  struct journal_row row;
  struct topic_offset not_believed[NOT_BELIEVED_COUNT];
  uint8_t previous[DIGEST_SIZE];
};

static void fill(struct row *filled) {
  *filled = (struct row){
      .row = {.lane = 3,
              .batch = 71,
              .first_seq = 1001,
              .last_seq = 1020,
              .clock_before_ms = 1767225600000,
              .clock_after_ms = 1767229200000,
              .ranges = {{1, 2}, {10, 20}, {30, 30}, {40, 44}, {50, 500}},
              .not_believed_count = NOT_BELIEVED_COUNT,
              .timer = {true, 1767229100000, 17, 2},
              .sweep = {true, 18},
              .has_state = true,
              .message_count = 465,
              .dead_letter_count = 4,
              .timer_count = 5,
              .device_count = 6},
      .not_believed = {{TOPIC_ENROLLMENTS, 11}, {TOPIC_CHECKINS, 42}, {TOPIC_REPORTS, 55}},
  };
  for (uint8_t i = 0; i < DIGEST_SIZE; i++) {
    filled->previous[i] = (uint8_t)(200 - i);
    filled->row.environment[i] = (uint8_t)(i + 1);
    filled->row.inputs[i] = (uint8_t)(i + 40);
    filled->row.results[i] = (uint8_t)(i + 80);
    filled->row.chain[i] = (uint8_t)(i + 120);
    filled->row.state[i] = (uint8_t)(i + 160);
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
      filled->row.last_message[topic][i] = (uint8_t)(i + topic);
    }
  }
}

struct bytes {
  uint8_t data[2048];
  size_t size;
};

static void canonical(struct row *filled, struct bytes *bytes) {
  memset(bytes, 0, sizeof *bytes);
  filled->row.not_believed = filled->not_believed;
  ck_assert_uint_le(journal_canonical_size_max(&filled->row), sizeof bytes->data);
  bytes->size = journal_canonical(&filled->row, filled->previous, bytes->data);
  ck_assert_uint_le(bytes->size, journal_canonical_size_max(&filled->row));
}

static bool is_same(const struct bytes *a, const struct bytes *b) {
  return span_equal(span_of(a->data, a->size), span_of(b->data, b->size));
}

#define FIELD(name)                                                                                \
  { #name, offsetof(struct row, name), sizeof(((struct row *)NULL)->name) }

/* All that the bytes are made over. `chain` is not: it is what is made of them. */
static const struct {
  const char *name;
  size_t at, size;
} fields[] = {
    FIELD(row.lane),
    FIELD(row.batch),
    FIELD(row.first_seq),
    FIELD(row.last_seq),
    FIELD(row.clock_before_ms),
    FIELD(row.clock_after_ms),
    FIELD(row.ranges),
    FIELD(row.timer.due_at_ms),
    FIELD(row.timer.device_number),
    FIELD(row.timer.kind),
    FIELD(row.sweep.device_number),
    FIELD(row.message_count),
    FIELD(row.dead_letter_count),
    FIELD(row.timer_count),
    FIELD(row.device_count),
    FIELD(row.environment),
    FIELD(row.last_message),
    FIELD(row.inputs),
    FIELD(row.results),
    FIELD(row.state),
    FIELD(previous),
    FIELD(not_believed[0].offset),
    FIELD(not_believed[1].offset),
    FIELD(not_believed[2].offset),
    FIELD(not_believed[0].topic),
    FIELD(not_believed[2].topic),
};

START_TEST(every_bit_of_a_field_changes_the_bytes) {
  struct row filled;
  struct bytes before;
  struct bytes after;
  fill(&filled);
  canonical(&filled, &before);
  for (size_t bit = 0; bit < fields[_i].size * 8; bit++) {
    uint8_t *const byte = (uint8_t *)&filled + fields[_i].at + bit / 8;
    *byte ^= (uint8_t)(1u << bit % 8);
    canonical(&filled, &after);
    ck_assert_msg(!is_same(&before, &after), "bit %zu of %s", bit, fields[_i].name);
    ck_assert_uint_eq(before.size, after.size);
    *byte ^= (uint8_t)(1u << bit % 8);
  }
}
END_TEST

START_TEST(whether_a_timer_fired_changes_the_bytes) {
  struct row filled;
  struct bytes before;
  struct bytes after;
  fill(&filled);
  canonical(&filled, &before);
  filled.row.timer.is_set = false;
  canonical(&filled, &after);
  ck_assert(!is_same(&before, &after));
}
END_TEST

/* A row without an open sweep has the bytes that rows had before there were any. */
START_TEST(an_open_sweep_adds_to_the_bytes) {
  struct row filled;
  struct bytes open;
  struct bytes without;
  fill(&filled);
  filled.row.has_state = false;
  canonical(&filled, &open);
  filled.row.sweep = (struct sweep_cursor){.is_set = false};
  canonical(&filled, &without);
  ck_assert_uint_eq(open.size, without.size + 16);
  ck_assert_mem_eq(open.data, without.data, without.size);
}
END_TEST

/* Nor has one that tells no state. */
START_TEST(a_state_adds_to_the_bytes) {
  struct row filled;
  struct bytes told;
  struct bytes without;
  fill(&filled);
  canonical(&filled, &told);
  ck_assert_mem_eq(told.data + told.size - DIGEST_SIZE, filled.row.state, DIGEST_SIZE);
  filled.row.has_state = false;
  canonical(&filled, &without);
  ck_assert_uint_eq(told.size, without.size + DIGEST_SIZE);
  ck_assert_mem_eq(told.data, without.data, without.size);
}
END_TEST

static struct journal_gap a_gap(void) {
  return (struct journal_gap){.is_set = true,
                              .is_accepted = true,
                              .topic = TOPIC_CHECKINS,
                              .from = 44,
                              .to = 60,
                              .asked_at_ms = 1767229100000,
                              .event_id = {7},
                              .has_actor = true,
                              .actor = {9},
                              .reason = "expired"};
}

/* A row without a gap has the bytes that rows had before there were any; one with it has more than
 * sweep and state can come to, and its size at the end. */
START_TEST(a_gap_adds_to_the_bytes) {
  struct row filled;
  struct bytes with;
  struct bytes without;
  fill(&filled);
  canonical(&filled, &without);
  filled.row.gap = a_gap();
  canonical(&filled, &with);
  const size_t size = JOURNAL_GAP_SIZE_MIN + strlen("expired");
  ck_assert_uint_eq(with.size, without.size + size + 8);
  ck_assert_mem_eq(with.data, without.data, without.size);
  ck_assert_uint_eq(with.data[with.size - 1], size);
  ck_assert_uint_gt(size, 16 + DIGEST_SIZE);
}
END_TEST

#define GAP_FIELD(name)                                                                            \
  { offsetof(struct journal_gap, name), sizeof(((struct journal_gap *)NULL)->name) }

START_TEST(every_bit_of_a_gap_changes_the_bytes) {
  static const struct {
    size_t at, size;
  } of_gap[] = {GAP_FIELD(from),     GAP_FIELD(to),    GAP_FIELD(asked_at_ms),
                GAP_FIELD(event_id), GAP_FIELD(actor), {offsetof(struct journal_gap, reason), 3}};
  struct journal_gap gap = a_gap();
  uint8_t before[JOURNAL_GAP_SIZE_MAX];
  uint8_t after[JOURNAL_GAP_SIZE_MAX];
  const size_t size = journal_gap_bytes(&gap, before);
  for (size_t i = 0; i < COUNT_OF(of_gap); i++) {
    for (size_t bit = 0; bit < of_gap[i].size * 8; bit++) {
      uint8_t *const byte = (uint8_t *)&gap + of_gap[i].at + bit / 8;
      *byte ^= (uint8_t)(1u << bit % 8);
      if (*byte != 0 || i + 1 < COUNT_OF(of_gap)) { /* a text ends at its first zero */
        ck_assert_uint_eq(journal_gap_bytes(&gap, after), size);
        ck_assert_mem_ne(before, after, size);
      }
      *byte ^= (uint8_t)(1u << bit % 8);
    }
  }
  gap.topic = TOPIC_CONTROL;
  journal_gap_bytes(&gap, after);
  ck_assert_mem_ne(before, after, size);
}
END_TEST

START_TEST(a_gap_comes_back_from_its_bytes) {
  const struct journal_gap gap = a_gap();
  struct journal_gap back;
  uint8_t bytes[JOURNAL_GAP_SIZE_MAX + 1] = {0};
  const size_t size = journal_gap_bytes(&gap, bytes);
  ck_assert(journal_gap_read(span_of(bytes, size), &back));
  uint8_t again[JOURNAL_GAP_SIZE_MAX];
  ck_assert_uint_eq(journal_gap_bytes(&back, again), size);
  ck_assert_mem_eq(again, bytes, size);
  ck_assert(back.is_set && back.is_accepted && back.has_actor);
  ck_assert_str_eq(back.reason, "expired");
  ck_assert(!journal_gap_read(span_of(bytes, JOURNAL_GAP_SIZE_MIN - 1), &back));
  ck_assert(!journal_gap_read(span_of(bytes, JOURNAL_GAP_SIZE_MAX + 1), &back));
  bytes[0] = TOPIC_COUNT;
  ck_assert(!journal_gap_read(span_of(bytes, size), &back));
}
END_TEST

START_TEST(the_chain_itself_does_not) {
  struct row filled;
  struct bytes before;
  struct bytes after;
  fill(&filled);
  canonical(&filled, &before);
  memset(filled.row.chain, 0, sizeof filled.row.chain);
  canonical(&filled, &after);
  ck_assert(is_same(&before, &after));
}
END_TEST

START_TEST(the_list_is_told_from_what_follows_it) {
  struct row filled;
  struct bytes lists[NOT_BELIEVED_COUNT + 1];
  for (size_t count = 0; count <= NOT_BELIEVED_COUNT; count++) {
    fill(&filled);
    filled.row.not_believed_count = count;
    canonical(&filled, &lists[count]);
    for (size_t other = 0; other < count; other++) {
      ck_assert(!is_same(&lists[other], &lists[count]));
    }
  }
  ck_assert_uint_eq(lists[1].size - lists[0].size, 16);
}
END_TEST

START_TEST(a_long_list_has_room) {
  enum { COUNT = 500 };
  struct row filled;
  fill(&filled);
  struct topic_offset *const list = calloc(COUNT, sizeof *list);
  filled.row.not_believed = list;
  filled.row.not_believed_count = COUNT;
  uint8_t *const bytes = malloc(journal_canonical_size_max(&filled.row));
  const size_t size = journal_canonical(&filled.row, filled.previous, bytes);
  ck_assert_uint_gt(size, COUNT * 16);
  ck_assert_uint_le(size, journal_canonical_size_max(&filled.row));
  free(bytes);
  free(list);
}
END_TEST

/* The layout is what other programs verify: it is fixed for good. */
START_TEST(integers_are_big_endian_and_in_order) {
  struct row filled;
  struct bytes bytes;
  fill(&filled);
  filled.row.has_state = false;
  filled.row.sweep = (struct sweep_cursor){.is_set = false};
  canonical(&filled, &bytes);
  ck_assert_mem_eq(bytes.data, filled.previous, DIGEST_SIZE);
  static const uint8_t head[] = {
      0, 0, 0, 0,    0,    0,    0,    3,    /* lane */
      0, 0, 0, 0,    0,    0,    0,    71,   /* batch */
      0, 0, 0, 0,    0,    0,    0x03, 0xe9, /* first_seq */
      0, 0, 0, 0,    0,    0,    0x03, 0xfc, /* last_seq */
      0, 0, 1, 0x9b, 0x76, 0xda, 0xa8, 0,    /* clock_before_ms */
  };
  ck_assert_mem_eq(bytes.data + DIGEST_SIZE, head, sizeof head);
  ck_assert_uint_eq(bytes.size, 32 + 6 * 8 + 5 * (16 + 32) + 8 + 3 * 16 + 4 * 8 + 4 * 8 + 3 * 32);
  ck_assert_mem_eq(bytes.data + bytes.size - DIGEST_SIZE, filled.row.results, DIGEST_SIZE);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("journal");
  TCase *const tests = tcase_create("journal");
  tcase_add_loop_test(tests, every_bit_of_a_field_changes_the_bytes, 0, (int)COUNT_OF(fields));
  tcase_add_test(tests, whether_a_timer_fired_changes_the_bytes);
  tcase_add_test(tests, an_open_sweep_adds_to_the_bytes);
  tcase_add_test(tests, a_state_adds_to_the_bytes);
  tcase_add_test(tests, a_gap_adds_to_the_bytes);
  tcase_add_test(tests, every_bit_of_a_gap_changes_the_bytes);
  tcase_add_test(tests, a_gap_comes_back_from_its_bytes);
  tcase_add_test(tests, the_chain_itself_does_not);
  tcase_add_test(tests, the_list_is_told_from_what_follows_it);
  tcase_add_test(tests, a_long_list_has_room);
  tcase_add_test(tests, integers_are_big_endian_and_in_order);
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
