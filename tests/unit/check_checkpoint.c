/* core/app/checkpoint: keys of signed notes as others write them, and what a signature covers. */
#include "core/app/checkpoint.h"

#include "core/app/digest.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* The pair of the documentation of Go's x/mod/sumdb/note. */
static const char known_secret[] =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
static const char known_public[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

static struct merkle_tree tree_of(uint64_t size) {
  struct merkle_frontier frontier = {.hash = digest_of};
  for (uint64_t i = 0; i < size; i++) {
    const struct merkle_node leaf = merkle_leaf(digest_of, span_of(&i, sizeof i));
    merkle_append(&frontier, &leaf);
  }
  return (struct merkle_tree){size, merkle_root(&frontier)};
}

START_TEST(keys_of_others_are_read) {
  struct note_key *secret = note_key_read_secret(span_text(known_secret));
  struct note_key *open = note_key_read_public(span_text(known_public));
  ck_assert_ptr_nonnull(secret);
  ck_assert_ptr_nonnull(open);
  ck_assert_str_eq(note_key_name(open), "PeterNeumann");
  const struct merkle_tree tree = tree_of(3);
  struct checkpoint read;
  char text[CHECKPOINT_TEXT_SIZE];
  char why[CHECKPOINT_WHY_SIZE];
  const size_t size = checkpoint_sign(secret, "PeterNeumann/muster.journal/0", &tree, text);
  ck_assert(checkpoint_read(span_of(text, size), open, &read, why));
  ck_assert(read.is_signed);
  ck_assert_ptr_null(note_key_read_public(span_text(known_secret)));
  ck_assert_ptr_null(note_key_read_secret(span_text(known_public)));
  note_key_close(secret);
  note_key_close(open);
}
END_TEST

/* Each letter of a key that is another makes it none: the id is over all of it. */
START_TEST(a_wrong_letter_makes_no_key) {
  char text[sizeof known_public];
  for (size_t i = 0; i + 1 < sizeof known_public; i++) {
    memcpy(text, known_public, sizeof text);
    text[i] = text[i] == 'A' ? 'B' : 'A';
    struct note_key *key = note_key_read_public(span_text(text));
    ck_assert_msg(key == NULL, "with letter %zu: %s", i, text);
  }
}
END_TEST

START_TEST(a_pair_that_was_made_signs_and_verifies) {
  char secret_text[CHECKPOINT_KEY_TEXT_SIZE];
  char open_text[CHECKPOINT_KEY_TEXT_SIZE];
  struct error error;
  ck_assert_int_eq(note_key_make("muster.example", secret_text, open_text, &error), STATUS_OK);
  struct note_key *secret = note_key_read_secret(span_text(secret_text));
  struct note_key *open = note_key_read_public(span_text(open_text));
  struct note_key *other = note_key_read_public(span_text(known_public));
  ck_assert_ptr_nonnull(secret);
  ck_assert_ptr_nonnull(open);
  const struct merkle_tree tree = tree_of(42);
  char origin[CHECKPOINT_ORIGIN_SIZE];
  char text[CHECKPOINT_TEXT_SIZE];
  char why[CHECKPOINT_WHY_SIZE];
  struct checkpoint read;
  checkpoint_origin(note_key_name(secret), "muster.", 7, origin);
  ck_assert_str_eq(origin, "muster.example/muster.journal/7");
  const size_t size = checkpoint_sign(secret, origin, &tree, text);
  ck_assert(checkpoint_read(span_of(text, size), open, &read, why));
  ck_assert(read.is_signed);
  ck_assert_str_eq(read.origin, origin);
  ck_assert_uint_eq(read.tree.size, 42);
  ck_assert_mem_eq(read.tree.root.hash, tree.root.hash, DIGEST_SIZE);
  ck_assert(checkpoint_read(span_of(text, size), other, &read, why));
  ck_assert(!read.is_signed);
  note_key_close(secret);
  note_key_close(open);
  note_key_close(other);
}
END_TEST

/* Whatever byte is another: it is no checkpoint, or not signed, but for the lines' own form. */
START_TEST(every_byte_is_covered) {
  struct note_key *secret = note_key_read_secret(span_text(known_secret));
  struct note_key *open = note_key_read_public(span_text(known_public));
  const struct merkle_tree tree = tree_of(1234567);
  struct checkpoint read;
  char text[CHECKPOINT_TEXT_SIZE];
  char why[CHECKPOINT_WHY_SIZE];
  const size_t size = checkpoint_sign(secret, "PeterNeumann/x.journal/12", &tree, text);
  for (size_t i = 0; i < size; i++) {
    text[i] ^= 1;
    const bool is_one = checkpoint_read(span_of(text, size), open, &read, why);
    ck_assert_msg(!is_one || !read.is_signed, "byte %zu", i);
    text[i] ^= 1;
  }
  for (size_t i = 0; i < size; i++) {
    const bool is_one = checkpoint_read(span_of(text, i), open, &read, why);
    ck_assert_msg(!is_one || !read.is_signed, "cut to %zu bytes", i);
  }
  note_key_close(secret);
  note_key_close(open);
}
END_TEST

START_TEST(names_that_would_break_the_form_are_refused) {
  static const char *const names[] = {"", "a b", "a+b", "a\nb", "a\tb"};
  char secret[CHECKPOINT_KEY_TEXT_SIZE];
  char open[CHECKPOINT_KEY_TEXT_SIZE];
  struct error error;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    ck_assert_int_eq(note_key_make(names[i], secret, open, &error), STATUS_USAGE);
  }
}
END_TEST

static Suite *checkpoint_suite(void) {
  Suite *suite = suite_create("checkpoint");
  TCase *of_note = tcase_create("note");
  tcase_set_timeout(of_note, 60);
  tcase_add_test(of_note, keys_of_others_are_read);
  tcase_add_test(of_note, a_wrong_letter_makes_no_key);
  tcase_add_test(of_note, a_pair_that_was_made_signs_and_verifies);
  tcase_add_test(of_note, every_byte_is_covered);
  tcase_add_test(of_note, names_that_would_break_the_form_are_refused);
  suite_add_tcase(suite, of_note);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(checkpoint_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
