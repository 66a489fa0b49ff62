/* core/span: views of bytes, and which of them are text. */
#include "core/span.h"

#include <check.h>
#include <stdlib.h>

static struct span bytes_of(const char *text) {
  return span_text(text);
}

START_TEST(equal_spans_hold_the_same_bytes) {
  ck_assert(span_equal(bytes_of("abc"), bytes_of("abc")));
  ck_assert(!span_equal(bytes_of("abc"), bytes_of("abd")));
  ck_assert(!span_equal(bytes_of("abc"), bytes_of("ab")));
  ck_assert(span_equal((struct span){0}, bytes_of("")));
  ck_assert(span_equal(span_of("a\0b", 3), span_of("a\0b", 3)));
  ck_assert(!span_equal(span_of("a\0b", 3), span_of("a\0c", 3)));
}
END_TEST

START_TEST(printable_is_space_to_tilde) {
  for (unsigned byte = 0; byte < 256; byte++) {
    for (size_t at = 0; at < 3; at++) {
      uint8_t data[] = {'a', 'm', 'z'};
      data[at] = (uint8_t)byte;
      ck_assert_int_eq(span_is_printable_ascii(span_of(data, sizeof data)),
                       byte >= 0x20 && byte <= 0x7e);
    }
  }
  ck_assert(span_is_printable_ascii((struct span){0}));
}
END_TEST

/* Every code point, encoded as RFC 3629 says. */
static size_t encode(uint32_t code_point, uint8_t bytes[4]) {
  if (code_point < 0x80) {
    bytes[0] = (uint8_t)code_point;
    return 1;
  }
  const size_t length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (size_t i = length; i-- > 1; code_point >>= 6) {
    bytes[i] = (uint8_t)(0x80 | (code_point & 0x3f));
  }
  bytes[0] = (uint8_t)(first[length] | code_point);
  return length;
}

START_TEST(utf8_is_every_code_point_but_surrogates) {
  for (uint32_t code_point = 0; code_point < 0x120000; code_point++) {
    uint8_t bytes[4];
    const struct span text = span_of(bytes, encode(code_point, bytes));
    const bool is_surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    const bool is_utf8 = code_point <= 0x10ffff && !is_surrogate;
    const bool is_control = code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f);
    if (span_is_utf8(text) != is_utf8 || span_is_utf8_text(text) != (is_utf8 && !is_control)) {
      ck_abort_msg("U+%04x", (unsigned)code_point);
    }
  }
}
END_TEST

static const char *const ill_formed[] = {
    "\x80",             /* a follower alone */
    "\xbf",             /* another */
    "a\x80z",           /* in the middle */
    "\xc3",             /* cut after the first of two */
    "\xe2\x82",         /* cut after the second of three */
    "\xf0\x9f\x98",     /* cut after the third of four */
    "\xc3(",            /* no follower */
    "\xe2(\xa1",        /* no second */
    "\xe2\x82(",        /* no third */
    "\xf0\x9f\x98(",    /* no fourth */
    "\xc0\xaf",         /* two bytes for one */
    "\xc1\xbf",         /* the greatest of these */
    "\xe0\x80\xaf",     /* three for one */
    "\xe0\x9f\xbf",     /* three for two */
    "\xf0\x80\x80\xaf", /* four for one */
    "\xf0\x8f\xbf\xbf", /* four for three */
    "\xed\xa0\x80",     /* a surrogate */
    "\xf4\x90\x80\x80", /* beyond the last */
    "\xf8\x88\x80\x80\x80",
    "\xfe",
    "\xff",
};

START_TEST(ill_formed_utf8_is_refused) {
  ck_assert(!span_is_utf8(bytes_of(ill_formed[_i])));
  ck_assert(!span_is_utf8_text(bytes_of(ill_formed[_i])));
}
END_TEST

START_TEST(what_follows_the_span_is_not_its) {
  static const char text[] = "abc\xf0\x9f\x98\x80";
  for (size_t size = 4; size < sizeof text - 1; size++) {
    ck_assert(!span_is_utf8(span_of(text, size)));
    ck_assert(!span_is_utf8_text(span_of(text, size)));
  }
  ck_assert(span_is_utf8_text(span_of(text, sizeof text - 1)));
}
END_TEST

/* Wherever it stands among ASCII, which is looked at eight bytes at a time. */
START_TEST(a_byte_that_is_no_text_is_found_at_every_place) {
  char text[] = "twenty-six ASCII letters..";
  for (size_t i = 0; i < sizeof text - 1; i++) {
    const char letter = text[i];
    text[i] = (char)0x80;
    ck_assert(!span_is_utf8(span_of(text, sizeof text - 1)));
    text[i] = letter;
  }
  ck_assert(span_is_utf8(span_of(text, sizeof text - 1)));
}
END_TEST

START_TEST(text_may_be_empty_or_long) {
  ck_assert(span_is_utf8((struct span){0}));
  ck_assert(span_is_utf8_text((struct span){0}));
  ck_assert(span_is_utf8_text(bytes_of("Åsa Öberg, 東京, 😀")));
  ck_assert(!span_is_utf8_text(bytes_of("two\nlines")));
  ck_assert(span_is_utf8(bytes_of("two\nlines")));
  ck_assert(!span_is_utf8_text(bytes_of("next\xc2\x85line")));
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("span");
  TCase *const tests = tcase_create("span");
  tcase_add_test(tests, equal_spans_hold_the_same_bytes);
  tcase_add_test(tests, printable_is_space_to_tilde);
  tcase_add_test(tests, utf8_is_every_code_point_but_surrogates);
  tcase_add_loop_test(tests, ill_formed_utf8_is_refused, 0, (int)COUNT_OF(ill_formed));
  tcase_add_test(tests, what_follows_the_span_is_not_its);
  tcase_add_test(tests, text_may_be_empty_or_long);
  tcase_add_test(tests, a_byte_that_is_no_text_is_found_at_every_place);
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
