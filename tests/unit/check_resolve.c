/* consumers/resolve and consumers/program: a writer read as another reader than our own. */
#include "consumers/avro_json.h"
#include "consumers/resolve.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define DEFAULT(name, type, value) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" value "}"
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"
#define ENUM(symbols) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]}"

struct pair {
  struct avro_schema *writer;
  struct avro_schema *reader;
  struct program *program;
  struct error error;
};

static struct avro_schema *parsed(const char *text) {
  struct avro_schema *schema;
  struct error error;
  ck_assert_msg(avro_schema_parse(span_text(text), &schema, &error) == STATUS_OK, "%s", error.text);
  return schema;
}

/* Whether the reader can read the writer; pair_free in either case. */
static bool pair_resolve(struct pair *pair, const char *writer, const char *reader,
                         const struct slot_path *paths, uint32_t count) {
  const struct layout layout = {.paths = paths, .count = count};
  *pair = (struct pair){.writer = parsed(writer), .reader = parsed(reader)};
  return resolve(pair->writer, pair->reader, &layout, &pair->program, &pair->error) == STATUS_OK;
}

static void pair_free(struct pair *pair) {
  program_free(pair->program);
  avro_schema_free(pair->writer);
  avro_schema_free(pair->reader);
}

/* Writes `json` as the writer and reads it; the spans point into what `*data` then owns. */
static bool pair_run(const struct pair *pair, const char *json, struct slot *slots,
                     uint8_t **data) {
  const struct writer writer = {.schema = pair->writer};
  struct error error;
  struct fault fault;
  size_t size;
  json_t *const object = json_loads(json, JSON_DECODE_ANY, NULL);
  ck_assert_msg(avro_json_to_value(&writer, SCHEMA_ID_NONE, object, data, &size, &error) ==
                    STATUS_OK,
                "%s", error.text);
  json_decref(object);
  return program_run(pair->program, span_of(*data + 10, size - 10), slots, &fault);
}

/* ---- Promotions ---- */

static const struct {
  const char *writer;
  const char *reader;
  const char *json;
  enum node_kind kind;
  double real;
} promotions[] = {
    {"\"int\"", "\"long\"", "-7", NODE_LONG, -7},
    {"\"int\"", "\"float\"", "-7", NODE_FLOAT, -7},
    {"\"int\"", "\"double\"", "-7", NODE_DOUBLE, -7},
    {"\"long\"", "\"float\"", "8589934592", NODE_FLOAT, 8589934592},
    {"\"long\"", "\"double\"", "8589934592", NODE_DOUBLE, 8589934592},
    {"\"float\"", "\"double\"", "0.25", NODE_DOUBLE, 0.25},
    {"\"float\"", "\"float\"", "0.25", NODE_FLOAT, 0.25},
    {"\"double\"", "\"double\"", "0.1", NODE_DOUBLE, 0.1},
    {"\"boolean\"", "\"boolean\"", "true", NODE_BOOLEAN, 1},
};

START_TEST(resolve_promotes_numbers) {
  const struct slot_path path = {"", promotions[_i].kind};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, promotions[_i].writer, promotions[_i].reader, &path, 1));
  ck_assert(pair_run(&pair, promotions[_i].json, slots, &data));
  const bool is_real = path.kind == NODE_FLOAT || path.kind == NODE_DOUBLE;
  const double real = is_real ? slots[0].real : (double)slots[0].number;
  ck_assert_double_eq(real, promotions[_i].real);
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_promotes_bytes_and_strings) {
  static const struct slot_path paths[] = {{"a", NODE_STRING}, {"b", NODE_BYTES}};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, RECORD("R", FIELD("b", "\"string\"") "," FIELD("a", "\"bytes\"")),
                         RECORD("R", FIELD("a", "\"string\"") "," FIELD("b", "\"bytes\"")), paths,
                         COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "{\"a\":\"Zm9v\",\"b\":\"bar\"}", slots, &data));
  ck_assert(span_equal(slots[0].text, span_text("foo")));
  ck_assert(span_equal(slots[1].text, span_text("bar")));
  free(data);
  ck_assert(!pair_run(&pair, "{\"a\":\"/w==\",\"b\":\"bar\"}", slots, &data)); /* no UTF-8 */
  free(data);
  pair_free(&pair);
}
END_TEST

/* ---- Names ---- */

START_TEST(resolve_follows_the_readers_aliases) {
  static const struct slot_path path = {"new", NODE_INT};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, RECORD("x.Old", FIELD("old", "\"int\"")),
                         "{\"type\":\"record\",\"name\":\"y.New\",\"aliases\":[\"x.Old\"],"
                         "\"fields\":[{\"name\":\"new\",\"type\":\"int\",\"aliases\":"
                         "[\"older\",\"old\"]}]}",
                         &path, 1));
  ck_assert(pair_run(&pair, "{\"old\":41}", slots, &data));
  ck_assert_int_eq(slots[0].number, 41);
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_gives_a_value_to_one_field_only) {
  static const struct slot_path paths[] = {{"a", NODE_INT}, {"b", NODE_INT}};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(
      &pair, RECORD("R", FIELD("a", "\"int\"")),
      RECORD("R", FIELD("a", "\"int\"") ","
                                        "{\"name\":\"b\",\"type\":\"int\",\"aliases\":[\"a\"],"
                                        "\"default\":9}"),
      paths, COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "{\"a\":1}", slots, &data));
  ck_assert_int_eq(slots[0].number, 1);
  ck_assert_int_eq(slots[1].number, 9);
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_takes_the_enums_default_for_symbols_it_lacks) {
  static const struct slot_path path = {"", NODE_ENUM};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, ENUM("\"Z\",\"B\",\"A\""),
                         "{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"A\",\"B\",\"U\"],"
                         "\"default\":\"U\"}",
                         &path, 1));
  ck_assert(pair_run(&pair, "\"Z\"", slots, &data));
  ck_assert_int_eq(slots[0].number, 2);
  free(data);
  ck_assert(pair_run(&pair, "\"A\"", slots, &data));
  ck_assert_int_eq(slots[0].number, 0);
  free(data);
  pair_free(&pair);
}
END_TEST

/* ---- Defaults ---- */

static const char with_defaults[] =
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":["
    "{\"name\":\"b\",\"type\":\"boolean\",\"default\":true},"
    "{\"name\":\"l\",\"type\":\"long\",\"default\":-5},"
    "{\"name\":\"d\",\"type\":\"double\",\"default\":1.5},"
    "{\"name\":\"s\",\"type\":\"string\",\"default\":\"text\"},"
    "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]},"
    "\"default\":\"B\"},"
    "{\"name\":\"u\",\"type\":[\"string\",\"null\"],\"default\":\"first\"},"
    "{\"name\":\"r\",\"type\":{\"type\":\"record\",\"name\":\"I\",\"fields\":["
    "{\"name\":\"i\",\"type\":\"int\"},"
    "{\"name\":\"j\",\"type\":\"int\",\"default\":6}]},\"default\":{\"i\":3}},"
    "{\"name\":\"n\",\"type\":[\"null\",\"int\"],\"default\":null}]}";

START_TEST(resolve_fills_in_defaults_of_every_kind) {
  static const struct slot_path paths[] = {
      {"b", NODE_BOOLEAN}, {"l", NODE_LONG},   {"d", NODE_DOUBLE}, {"s", NODE_STRING},
      {"e", NODE_ENUM},    {"u?", NODE_UNION}, {"u", NODE_STRING}, {"r.i", NODE_INT},
      {"r.j", NODE_INT},   {"n?", NODE_UNION},
  };
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, RECORD("R", ""), with_defaults, paths, COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "{}", slots, &data));
  ck_assert_int_eq(slots[0].number, 1);
  ck_assert_int_eq(slots[1].number, -5);
  ck_assert_double_eq(slots[2].real, 1.5);
  ck_assert(span_equal(slots[3].text, span_text("text")));
  ck_assert_int_eq(slots[4].number, 1);
  ck_assert_int_eq(slots[5].number, 0);
  ck_assert(span_equal(slots[6].text, span_text("first")));
  ck_assert_int_eq(slots[7].number, 3);
  ck_assert_int_eq(slots[8].number, 6);
  ck_assert_int_eq(slots[9].number, 0);
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_refuses_a_default_of_another_type) {
  struct pair pair;
  ck_assert(!pair_resolve(&pair, RECORD("R", ""), RECORD("R", DEFAULT("l", "\"long\"", "\"x\"")),
                          NULL, 0));
  ck_assert_ptr_nonnull(strstr(pair.error.text, "l: the default is not of type long"));
  pair_free(&pair);
}
END_TEST

/* ---- Unions ---- */

START_TEST(resolve_matches_unions_both_ways) {
  static const struct slot_path paths[] = {{"?", NODE_UNION}, {"", NODE_LONG}};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, "\"int\"", "[\"null\",\"long\"]", paths, COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "7", slots, &data));
  ck_assert_int_eq(slots[0].number, 1);
  ck_assert_int_eq(slots[1].number, 7);
  free(data);
  pair_free(&pair);
  ck_assert(pair_resolve(&pair, "[\"int\",\"boolean\",\"null\"]", "[\"null\",\"long\"]", paths,
                         COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "null", slots, &data));
  ck_assert_int_eq(slots[0].number, 0);
  free(data);
  ck_assert(pair_run(&pair, "7", slots, &data));
  ck_assert_int_eq(slots[0].number, 1);
  ck_assert_int_eq(slots[1].number, 7);
  free(data);
  ck_assert(!pair_run(&pair, "true", slots, &data));
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_prefers_an_equal_branch_to_a_promotion) {
  static const struct slot_path paths[] = {{"?", NODE_UNION}};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  ck_assert(pair_resolve(&pair, "\"int\"", "[\"double\",\"int\"]", paths, COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "7", slots, &data));
  ck_assert_int_eq(slots[0].number, 1);
  free(data);
  pair_free(&pair);
}
END_TEST

START_TEST(resolve_keeps_a_branch_that_fails_out_of_the_way) {
  static const struct slot_path paths[] = {{"r?", NODE_UNION}, {"r.a", NODE_INT}};
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  uint8_t *data;
  const char *const writer =
      RECORD("R", FIELD("r", "[\"null\"," RECORD("I", FIELD("z", "\"int\"")) "]"));
  const char *const reader =
      RECORD("R", FIELD("r", "[\"null\"," RECORD("I", FIELD("a", "\"int\"")) "]"));
  ck_assert(pair_resolve(&pair, writer, reader, paths, COUNT_OF(paths)));
  ck_assert(pair_run(&pair, "{\"r\":null}", slots, &data));
  ck_assert_int_eq(slots[0].number, 0);
  free(data);
  ck_assert(!pair_run(&pair, "{\"r\":{\"z\":1}}", slots, &data));
  free(data);
  pair_free(&pair);
}
END_TEST

/* ---- Limits ---- */

/* Each record holds the next twice: few bytes of schema, very many values, none of them a
 * byte of the message. */
START_TEST(resolve_bounds_writers_that_multiply) {
  struct slot slots[PROGRAM_SLOTS_MAX + 1];
  struct pair pair;
  struct fault fault;
  char writer[4096];
  size_t used = (size_t)snprintf(writer, sizeof writer, "%s", "");
  for (int i = 0; i < 24; i++) {
    used += (size_t)snprintf(writer + used, sizeof writer - used,
                             "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":\"a\","
                             "\"type\":",
                             i);
  }
  used += (size_t)snprintf(writer + used, sizeof writer - used, "\"null\"}]}");
  for (int i = 23; i > 0; i--) {
    used += (size_t)snprintf(writer + used, sizeof writer - used,
                             "},{\"name\":\"b\",\"type\":\"R%d\"}]}", i);
  }
  ck_assert(pair_resolve(&pair, writer, RECORD("R0", ""), NULL, 0));
  ck_assert(!program_run(pair.program, span_of("", 0), slots, &fault));
  ck_assert_str_eq(fault.reason, "too many items");
  pair_free(&pair);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("resolve");
  TCase *const tests = tcase_create("resolve");
  tcase_add_loop_test(tests, resolve_promotes_numbers, 0, (int)COUNT_OF(promotions));
  tcase_add_test(tests, resolve_promotes_bytes_and_strings);
  tcase_add_test(tests, resolve_follows_the_readers_aliases);
  tcase_add_test(tests, resolve_gives_a_value_to_one_field_only);
  tcase_add_test(tests, resolve_takes_the_enums_default_for_symbols_it_lacks);
  tcase_add_test(tests, resolve_fills_in_defaults_of_every_kind);
  tcase_add_test(tests, resolve_refuses_a_default_of_another_type);
  tcase_add_test(tests, resolve_matches_unions_both_ways);
  tcase_add_test(tests, resolve_prefers_an_equal_branch_to_a_promotion);
  tcase_add_test(tests, resolve_keeps_a_branch_that_fails_out_of_the_way);
  tcase_add_test(tests, resolve_bounds_writers_that_multiply);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
