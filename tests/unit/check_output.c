/* core/app/output and log: what people and programs get, byte for byte. */
#include "core/app/log.h"
#include "core/app/output.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct column columns[] = {
    {"id", COLUMN_TEXT, false},     {"count", COLUMN_INTEGER, false},
    {"share", COLUMN_NUMBER, true}, {"is_blocked", COLUMN_BOOLEAN, false},
    {"at", COLUMN_TIME, true},      {"violations", COLUMN_LIST, false},
    {"cause", COLUMN_JSON, true},
};
enum { COLUMN_COUNT = COUNT_OF(columns) };

static char *text;
static size_t size;
static FILE *stream;
static struct error error;

static void set_up(void) {
  stream = open_memstream(&text, &size);
}

static void clean_up(void) {
  fclose(stream);
  free(text);
}

static void put_full_row(struct output *output, const char *id) {
  const struct cell cells[COLUMN_COUNT] = {
      cell_text(span_text(id)),
      cell_integer(-12),
      {.number = 0.5},
      cell_boolean(true),
      cell_integer(INT64_C(1793491200007)),
      cell_text(span_text("antivirus\nnot_encrypted")),
      cell_text(span_text("{\"offset\": 1}")),
  };
  output_row(output, cells);
}

static void put_null_row(struct output *output) {
  struct cell cells[COLUMN_COUNT];
  for (size_t i = 0; i < COLUMN_COUNT; i++) {
    cells[i] = cell_null();
  }
  output_row(output, cells);
}

static struct output *open_format(enum output_format format) {
  return output_open(stream, format, columns, COLUMN_COUNT);
}

static void assert_written(struct output *output, const char *expected) {
  ck_assert_int_eq(output_close(output, &error), STATUS_OK);
  ck_assert_str_eq(text, expected);
}

#define FULL(id)                                                                                   \
  "{\"id\":\"" id "\",\"count\":-12,\"share\":0.500,\"is_blocked\":true,"                          \
  "\"at\":\"2026-11-01T00:00:00.007Z\",\"violations\":[\"antivirus\",\"not_encrypted\"],"          \
  "\"cause\":{\"offset\": 1}}"
#define NULLS                                                                                      \
  "{\"id\":null,\"count\":null,\"share\":null,\"is_blocked\":null,\"at\":null,"                    \
  "\"violations\":null,\"cause\":null}"

START_TEST(json_is_one_array) {
  struct output *const output = open_format(OUTPUT_JSON);
  put_full_row(output, "D001");
  put_null_row(output);
  assert_written(output, "[\n" FULL("D001") ",\n" NULLS "\n]\n");
}
END_TEST

START_TEST(an_empty_list_is_an_empty_array) {
  assert_written(open_format(OUTPUT_JSON), "[]\n");
}
END_TEST

START_TEST(ndjson_is_one_object_a_line) {
  struct output *const output = open_format(OUTPUT_NDJSON);
  put_full_row(output, "D001");
  put_null_row(output);
  assert_written(output, FULL("D001") "\n" NULLS "\n");
}
END_TEST

START_TEST(csv_quotes_what_must_be_quoted) {
  struct output *const output = open_format(OUTPUT_CSV);
  put_full_row(output, "a \"b\",\nc");
  put_null_row(output);
  assert_written(output, "id,count,share,is_blocked,at,violations,cause\r\n"
                         "\"a \"\"b\"\",\nc\",-12,0.500,true,2026-11-01T00:00:00.007Z,"
                         "\"antivirus,not_encrypted\",\"{\"\"offset\"\": 1}\"\r\n"
                         ",,,,,,\r\n");
}
END_TEST

START_TEST(csv_is_utf8_whatever_a_text_holds) {
  static const struct column two[] = {{"id", COLUMN_TEXT, false}, {"cause", COLUMN_JSON, false}};
  struct output *const output = output_open(stream, OUTPUT_CSV, two, COUNT_OF(two));
  const char with_zero[] = "a\0\x1b\xc3\xbc";
  const struct cell rows[][COUNT_OF(two)] = {
      {cell_text(span_text("\xff\",M\xc3\xbc")), cell_text(span_text("\"\xed\xa0\x80\""))},
      {cell_text(span_of(with_zero, sizeof with_zero - 1)), cell_text(span_of(NULL, 0))},
  };
  output_row(output, rows[0]);
  output_row(output, rows[1]);
#define NO_TEXT "\xef\xbf\xbd"
  assert_written(output, "id,cause\r\n"
                         "\"" NO_TEXT "\"\",M" NO_TEXT NO_TEXT "\",\"\"\"" NO_TEXT NO_TEXT NO_TEXT
                         "\"\"\"\r\n"
                         "a" NO_TEXT "\x1b\xc3\xbc,\r\n");
}
END_TEST

START_TEST(an_empty_csv_has_its_header) {
  assert_written(open_format(OUTPUT_CSV), "id,count,share,is_blocked,at,violations,cause\r\n");
}
END_TEST

START_TEST(a_table_is_aligned_by_characters) {
  struct output *const output = open_format(OUTPUT_TABLE);
  put_full_row(output, "M\xc3\xbcller");
  put_full_row(output, "D001\x1b[31m");
  put_null_row(output);
  assert_written(output, "ID         COUNT  IS_BLOCKED  VIOLATIONS\n"
                         "M\xc3\xbcller       -12  true        antivirus not_encrypted\n"
                         "D001\xef\xbf\xbd[31m    -12  true        antivirus not_encrypted\n"
                         "-              -  -           -\n");
}
END_TEST

START_TEST(a_long_table_streams_with_the_widths_of_its_first_rows) {
  struct output *const output = open_format(OUTPUT_TABLE);
  for (int i = 0; i < 1000; i++) {
    put_full_row(output, "D001");
  }
  fflush(stream);
  ck_assert_uint_gt(size, 1000 * 20);
  put_full_row(output, "D001000001");
  ck_assert_int_eq(output_close(output, &error), STATUS_OK);
  ck_assert_ptr_nonnull(strstr(text, "\nD001000001    -12  true        antivirus"));
}
END_TEST

START_TEST(a_single_row_is_one_object_or_a_line_a_column) {
  struct output *output = output_open_single(stream, OUTPUT_JSON, columns, COLUMN_COUNT);
  put_full_row(output, "D001");
  assert_written(output, FULL("D001") "\n");
  rewind(stream);
  output = output_open_single(stream, OUTPUT_TABLE, columns, COLUMN_COUNT);
  put_full_row(output, "D001");
  ck_assert_int_eq(output_close(output, &error), STATUS_OK);
  const char *const expected = "id          D001\ncount       -12\nshare       0.500\n"
                               "is_blocked  true\nat          2026-11-01T00:00:00.007Z\n"
                               "violations  antivirus\n            not_encrypted\n"
                               "cause       {\"offset\": 1}\n";
  ck_assert_int_eq(strncmp(text, expected, strlen(expected)), 0);
}
END_TEST

START_TEST(a_single_row_that_is_not_there_prints_nothing) {
  for (int i = 0; i < 4; i++) {
    struct output *const output =
        output_open_single(stream, (enum output_format)i, columns, COLUMN_COUNT);
    assert_written(output, "");
  }
}
END_TEST

START_TEST(any_text_is_valid_json) {
  const char strange[] = "q\" b\\ n\n t\t \x01 \x7f \xff \xc3\xbc";
  output_json_text(stream, span_of(strange, sizeof strange)); /* its zero byte, too */
  fflush(stream);
  json_t *const value = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  ck_assert_ptr_nonnull(value);
  ck_assert_ptr_null(memchr(text, '\n', size));
  json_decref(value);
}
END_TEST

START_TEST(a_full_disk_is_told) {
  FILE *const full = fopen("/dev/full", "w");
  struct output *const output = output_open(full, OUTPUT_JSON, columns, COLUMN_COUNT);
  put_full_row(output, "D001");
  ck_assert_int_eq(output_close(output, &error), STATUS_UNAVAILABLE);
  ck_assert_str_eq(error.text, "cannot write the output: No space left on device");
  fclose(full);
}
END_TEST

static const char *line_of(enum log_format format, const struct log_field *fields, size_t count,
                           size_t line_size) {
  static char line[512];
  log_format_line(line, line_size, format, 0, LOG_LEVEL_WARNING, "lane lost", fields, count, 2);
  return line;
}

START_TEST(a_log_line_is_logfmt_or_json) {
  const struct log_field fields[] = {
      {.type = LOG_TYPE_NONE},
      LOG_INTEGER("lane", 3),
      LOG_TEXT("why", "a \"b\"\n"),
      LOG_BOOLEAN("ok", true),
      LOG_NUMBER("commit_seconds", 0.25),
      LOG_TEXT("host", "h-1"),
      LOG_TEXT("none", NULL),
  };
  ck_assert_str_eq(line_of(LOG_FORMAT_LOGFMT, fields, COUNT_OF(fields), 512),
                   "ts=1970-01-01T00:00:00.000Z level=warning msg=\"lane lost\" held_back=2 "
                   "lane=3 why=\"a \\\"b\\\"\\n\" ok=true commit_seconds=0.25 host=h-1 "
                   "none=\"\"\n");
  ck_assert_str_eq(line_of(LOG_FORMAT_JSON, fields, COUNT_OF(fields), 512),
                   "{\"ts\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warning\","
                   "\"msg\":\"lane lost\",\"held_back\":2,\"lane\":3,"
                   "\"why\":\"a \\\"b\\\"\\n\",\"ok\":true,\"commit_seconds\":0.25,"
                   "\"host\":\"h-1\",\"none\":\"\"}\n");
}
END_TEST

START_TEST(a_log_line_that_is_cut_can_still_be_read) {
  const struct log_field fields[] = {LOG_TEXT("why", "a long text that goes on and on and on"),
                                     LOG_INTEGER("lane", 3)};
  for (size_t line_size = 110; line_size < 200; line_size++) {
    const char *const line = line_of(LOG_FORMAT_JSON, fields, COUNT_OF(fields), line_size);
    ck_assert_uint_lt(strlen(line), line_size);
    json_t *const value = json_loads(line, 0, NULL);
    ck_assert_msg(value != NULL, "%s", line);
    json_decref(value);
  }
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("output");
  TCase *const cases = tcase_create("output");
  tcase_add_checked_fixture(cases, set_up, clean_up);
  tcase_add_test(cases, json_is_one_array);
  tcase_add_test(cases, an_empty_list_is_an_empty_array);
  tcase_add_test(cases, ndjson_is_one_object_a_line);
  tcase_add_test(cases, csv_quotes_what_must_be_quoted);
  tcase_add_test(cases, csv_is_utf8_whatever_a_text_holds);
  tcase_add_test(cases, an_empty_csv_has_its_header);
  tcase_add_test(cases, a_table_is_aligned_by_characters);
  tcase_add_test(cases, a_long_table_streams_with_the_widths_of_its_first_rows);
  tcase_add_test(cases, a_single_row_is_one_object_or_a_line_a_column);
  tcase_add_test(cases, a_single_row_that_is_not_there_prints_nothing);
  tcase_add_test(cases, any_text_is_valid_json);
  tcase_add_test(cases, a_full_disk_is_told);
  tcase_add_test(cases, a_log_line_is_logfmt_or_json);
  tcase_add_test(cases, a_log_line_that_is_cut_can_still_be_read);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
