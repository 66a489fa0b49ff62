/* consumers/stored, and consumers/fetch over it: records in files, whole and pseudonymised. */
#include "consumers/stored.h"

#include "consumers/fetch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_SIZE_MAX = 8192 };

static const uint8_t headers[] = {0,   0,   0,   1,   'h', 0, 0, 0, 2, 'o', 'n', 0, 0, 0, 1,
                                  'n', 255, 255, 255, 255, 0, 0, 0, 1, 'h', 0,   0, 0, 1, 'x'};

static struct stored_record whole(int64_t offset, const char *value) {
  return (struct stored_record){.offset = offset,
                                .timestamp_ms = 1000 + offset,
                                .key = span_text("SN1"),
                                .value = span_text(value),
                                .headers = span_of(headers, sizeof headers)};
}

/* "mail: " and an address of 11 letters, then " end". */
static struct stored_record patched(int64_t offset) {
  static const char value[] = "mail: 0123456789abcdef end";
  struct stored_record record = whole(offset, value);
  record.patch_count = 1;
  record.patches[0] = (struct stored_patch){.at = 6, .size = 11};
  memcpy(record.patches[0].subject, "0123456789abcdef", SUBJECT_SIZE);
  return record;
}

static struct stored_record withheld(int64_t offset) {
  struct stored_record record = whole(offset, "");
  record.flags = STORED_IS_WITHHELD | STORED_VALUE_IS_NULL | STORED_KEY_IS_NULL;
  record.key = span_of("", 0);
  record.withheld.size_bytes = 77;
  memset(record.withheld.sha256, 9, STORED_DIGEST_SIZE);
  reject_set(&record.withheld.reject, REJECT_MALFORMED, STAGE_VALUE, "os_version: too long");
  return record;
}

static size_t put(uint8_t *at, const struct stored_record *record) {
  stored_write(record, at);
  return stored_size(record);
}

/* Three records of partition 3, which begins at 5 and ends at 20. */
static struct span make_file(uint8_t file[FILE_SIZE_MAX]) {
  const struct stored_record records[] = {whole(7, "seven"), patched(8), withheld(15)};
  static const char head[] = "muster records 1 muster.checkins 3 0005 0020\n";
  size_t size = sizeof head - 1;
  memcpy(file, head, size);
  for (size_t i = 0; i < COUNT_OF(records); i++) {
    size += put(file + size, &records[i]);
  }
  return span_of(file, size);
}

START_TEST(what_is_written_is_read) {
  uint8_t file[FILE_SIZE_MAX];
  struct stored_partition partition;
  struct stored_record record;
  ck_assert(stored_open(make_file(file), &partition));
  ck_assert_str_eq(partition.topic, "muster.checkins");
  ck_assert_int_eq(partition.partition, 3);
  ck_assert_int_eq(partition.first, 5);
  ck_assert_int_eq(partition.end, 20);
  struct span rest = partition.records;
  ck_assert(stored_next(&rest, &record));
  ck_assert_int_eq(record.offset, 7);
  ck_assert(span_equal(record.value, span_text("seven")));
  ck_assert(span_equal(record.headers, span_of(headers, sizeof headers)));
  ck_assert(stored_next(&rest, &record));
  ck_assert_uint_eq(record.patch_count, 1);
  ck_assert(stored_next(&rest, &record));
  ck_assert_uint_eq(record.withheld.size_bytes, 77);
  ck_assert_int_eq(record.withheld.reject.code, REJECT_MALFORMED);
  ck_assert_str_eq(record.withheld.reject.text, "os_version: too long");
  ck_assert(!stored_next(&rest, &record));
  ck_assert_uint_eq(rest.size, 0);
}
END_TEST

START_TEST(a_source_reads_a_file) {
  uint8_t file[FILE_SIZE_MAX];
  struct stored_partition partition;
  struct source *source;
  struct error error;
  struct span value;
  int64_t first;
  int64_t end;
  ck_assert(stored_open(make_file(file), &partition));
  struct fetch *fetch = fetch_open_stored(&partition, 1);
  ck_assert_int_eq(fetch_offsets(fetch, "muster.checkins", 2, 0, &first, &end, &error),
                   STATUS_CONFIG);
  ck_assert_int_eq(fetch_offsets(fetch, "muster.checkins", 3, 0, &first, &end, &error), STATUS_OK);
  ck_assert_int_eq(first, 5);
  ck_assert_int_eq(end, 20);
  ck_assert_int_eq(source_open(fetch, "muster.checkins", 3, 8, &source, &error), STATUS_OK);
  ck_assert_int_eq(source_end(source), -1);
  const struct record *record = source_peek(source);
  ck_assert_int_eq(record->offset, 8);
  /* Eleven letters stand where the address was: a value of the length it had. */
  ck_assert(span_equal(record->value, span_text("mail: 30313233343 end")));
  ck_assert(record_header(record, "h", &value));
  ck_assert(span_equal(value, span_text("x")));
  ck_assert(!record_header(record, "n", &value));
  source_pop(source);
  record = source_peek(source);
  ck_assert_int_eq(record->offset, 15);
  ck_assert(record->key_is_null && record->value_is_null);
  source_pop(source);
  ck_assert_ptr_null(source_peek(source));
  ck_assert_int_eq(source_end(source), 20);
  ck_assert_ptr_null(source_error(source));
  source_close(source);
  fetch_close(fetch);
}
END_TEST

/* Whatever a file holds, reading it ends, and stays within it. */
START_TEST(damaged_files_are_read_to_an_end) {
  uint8_t file[FILE_SIZE_MAX];
  const struct span sound = make_file(file);
  for (size_t i = 0; i < 8 * sound.size + sound.size; i++) {
    uint8_t *copy = malloc(sound.size); /* of its own size, so that a sanitizer sees its end */
    const size_t size = i < 8 * sound.size ? sound.size : i - 8 * sound.size;
    memcpy(copy, sound.data, sound.size);
    if (i < 8 * sound.size) {
      copy[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    uint8_t *exact = malloc(size + 1);
    memcpy(exact, copy, size);
    struct stored_partition partition;
    struct stored_record record;
    if (stored_open(span_of(exact, size), &partition)) {
      struct span rest = partition.records;
      while (stored_next(&rest, &record)) {
        uint8_t *value = malloc(stored_value_size(&record) + 1);
        stored_value(&record, value);
        free(value);
      }
    }
    free(exact);
    free(copy);
  }
}
END_TEST

START_TEST(a_damaged_record_is_an_error_of_its_source) {
  uint8_t file[FILE_SIZE_MAX];
  struct stored_partition partition;
  struct source *source;
  struct error error;
  struct span sound = make_file(file);
  sound.size -= 3;
  ck_assert(stored_open(sound, &partition));
  struct fetch *fetch = fetch_open_stored(&partition, 1);
  ck_assert_int_eq(source_open(fetch, "muster.checkins", 3, 0, &source, &error), STATUS_OK);
  for (int i = 0; i < 2; i++) {
    ck_assert_ptr_nonnull(source_peek(source));
    source_pop(source);
  }
  ck_assert_ptr_null(source_peek(source));
  ck_assert_ptr_nonnull(source_error(source));
  ck_assert_int_eq(source_end(source), -1);
  source_close(source);
  fetch_close(fetch);
}
END_TEST

static Suite *stored_suite(void) {
  Suite *suite = suite_create("stored");
  TCase *of_files = tcase_create("files");
  tcase_add_test(of_files, what_is_written_is_read);
  tcase_add_test(of_files, a_source_reads_a_file);
  tcase_add_test(of_files, damaged_files_are_read_to_an_end);
  tcase_add_test(of_files, a_damaged_record_is_an_error_of_its_source);
  suite_add_tcase(suite, of_files);
  return suite;
}

int main(void) {
  SRunner *runner = srunner_create(stored_suite());
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
