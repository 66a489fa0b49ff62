/* consumers/avro_schema: parsing, canonical forms and fingerprints. The expected forms and
 * fingerprints come from another implementation, fastavro. */
#include "consumers/avro_canonical.h"
#include "consumers/avro_schema.h"

#include <avro.h>
#include <check.h>
#include <stdlib.h>

#define CHECKIN                                                                                    \
  "{\"type\":\"record\",\"name\":\"CheckIn\",\"namespace\":\"muster.v1\",\"fields\":["             \
  "{\"name\":\"event_id\",\"type\":{\"type\":\"string\",\"logicalType\":\"uuid\"}},"               \
  "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}"

static const struct {
  const char *text;
  const char *canonical;
  uint8_t header[8]; /* the fingerprint as a message's header has it */
} good[] = {
    {"\"int\"", "\"int\"", {0x8f, 0x5c, 0x39, 0x3f, 0x1a, 0xd5, 0x75, 0x72}},
    {"{\"type\":\"string\",\"logicalType\":\"uuid\"}",
     "\"string\"",
     {0xc7, 0x03, 0x45, 0x63, 0x72, 0x48, 0x01, 0x8f}},
    {" [ \"null\" , \"long\" ] ",
     "[\"null\",\"long\"]",
     {0x4a, 0x80, 0x40, 0xed, 0x58, 0x13, 0xca, 0x98}},
    {"{\"items\":{\"type\":\"map\",\"values\":\"bytes\"},\"type\":\"array\"}",
     "{\"type\":\"array\",\"items\":{\"type\":\"map\",\"values\":\"bytes\"}}",
     {0x9a, 0x04, 0xe8, 0xcc, 0x92, 0x55, 0xc8, 0x2b}},
    {"{\"type\":\"fixed\",\"name\":\"MD5\",\"namespace\":\"a.b\",\"size\":16,"
     "\"aliases\":[\"x.Old\"],\"doc\":\"d\"}",
     "{\"name\":\"a.b.MD5\",\"type\":\"fixed\",\"size\":16}",
     {0xfc, 0x66, 0xd3, 0x74, 0x36, 0x0e, 0x83, 0xf3}},
    {"{\"type\":\"enum\",\"name\":\"a.Suit\",\"symbols\":[\"SPADES\",\"HEARTS\"],"
     "\"default\":\"HEARTS\"}",
     "{\"name\":\"a.Suit\",\"type\":\"enum\",\"symbols\":[\"SPADES\",\"HEARTS\"]}",
     {0x33, 0xef, 0x35, 0x2b, 0x8e, 0xa4, 0xa6, 0x28}},
    {"{\"type\":\"record\",\"name\":\"Node\",\"namespace\":\"org.list\",\"doc\":\"x\",\"fields\":["
     "{\"name\":\"value\",\"type\":{\"type\":\"long\"},\"default\":0},"
     "{\"name\":\"next\",\"type\":[\"null\",\"Node\"],\"default\":null},"
     "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"Kind\","
     "\"symbols\":[\"A\",\"B\"]}},"
     "{\"name\":\"other\",\"type\":\"org.list.Kind\"}]}",
     "{\"name\":\"org.list.Node\",\"type\":\"record\",\"fields\":["
     "{\"name\":\"value\",\"type\":\"long\"},"
     "{\"name\":\"next\",\"type\":[\"null\",\"org.list.Node\"]},"
     "{\"name\":\"kind\",\"type\":{\"name\":\"org.list.Kind\",\"type\":\"enum\","
     "\"symbols\":[\"A\",\"B\"]}},"
     "{\"name\":\"other\",\"type\":\"org.list.Kind\"}]}",
     {0xa4, 0x17, 0x84, 0xe1, 0x7d, 0x51, 0x04, 0x57}},
    {"{\"type\":\"record\",\"name\":\"Outer\",\"fields\":[{\"name\":\"inner\",\"type\":"
     "{\"type\":\"record\",\"name\":\"x.y.Inner\",\"fields\":[{\"name\":\"f\",\"type\":"
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}}]}},"
     "{\"name\":\"again\",\"type\":\"x.y.F\"},"
     "{\"name\":\"r\",\"type\":\"float\",\"order\":\"ignore\"}]}",
     "{\"name\":\"Outer\",\"type\":\"record\",\"fields\":[{\"name\":\"inner\",\"type\":"
     "{\"name\":\"x.y.Inner\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":"
     "{\"name\":\"x.y.F\",\"type\":\"fixed\",\"size\":3}}]}},"
     "{\"name\":\"again\",\"type\":\"x.y.F\"},{\"name\":\"r\",\"type\":\"float\"}]}",
     {0xbc, 0x6e, 0xca, 0xd3, 0x7a, 0x82, 0x82, 0x00}},
};

/* What is no schema, and a part of what is said of it. */
static const struct {
  const char *text;
  const char *said;
} bad[] = {
    {"", "line 1"},
    {"{\"type\":\"int\",\"type\":\"int\"}", "line 1"},
    {"7", "a type is a text"},
    {"{}", "no type"},
    {"\"Nobody\"", "no type Nobody"},
    {"\"in t\"", "not a name"},
    {"[]", "a union without a branch"},
    {"[\"int\",\"int\"]", "two branches of one type"},
    {"[\"int\",[\"null\",\"long\"]]", "a union directly in a union"},
    {"{\"type\":\"array\"}", "items: missing"},
    {"{\"type\":\"map\",\"values\":\"nothing\"}", "values: no type nothing"},
    {"{\"type\":\"fixed\",\"name\":\"F\"}", "size is not"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}", "size is not"},
    {"{\"type\":\"fixed\",\"size\":1}", "no name"},
    {"{\"type\":\"fixed\",\"name\":\"int\",\"size\":1}", "primitive"},
    {"{\"type\":\"fixed\",\"name\":\"1F\",\"size\":1}", "not a name"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"a..b\",\"size\":1}", "namespace"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":1,\"aliases\":[3]}", "an alias"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}", "symbols"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}", "symbol 1"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A-\"]}", "symbol 0"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}", "the default"},
    {"{\"type\":\"record\",\"name\":\"R\"}", "fields is not an array"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"type\":\"int\"}]}", "field 0"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\"}]}", "fields.a: no type"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
     "{\"name\":\"a\",\"type\":\"int\"}]}",
     "fields.a: a field of this name"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":"
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}}]}",
     "fields.a: R is defined twice"},
};

START_TEST(avro_schema_has_the_canonical_form_and_fingerprint_of_others) {
  struct avro_schema *schema;
  struct error error;
  ck_assert_msg(avro_schema_parse(span_text(good[_i].text), &schema, &error) == STATUS_OK, "%s",
                error.text);
  char *const canonical = avro_canonical_text(schema);
  ck_assert_str_eq(canonical, good[_i].canonical);
  uint64_t fingerprint = 0;
  for (int i = 7; i >= 0; i--) {
    fingerprint = fingerprint << 8 | good[_i].header[i];
  }
  ck_assert_uint_eq(schema->fingerprint, fingerprint);
  free(canonical);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_schema_canonical_form_is_its_own) {
  struct avro_schema *schema;
  struct error error;
  ck_assert(avro_schema_parse(span_text(good[_i].canonical), &schema, &error) == STATUS_OK);
  char *const canonical = avro_canonical_text(schema);
  ck_assert_str_eq(canonical, good[_i].canonical);
  free(canonical);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_schema_accepts_what_avro_c_accepts) {
  avro_schema_t other;
  if (good[_i].text[0] == '"') {
    return; /* avro-c wants an object or an array */
  }
  ck_assert_int_eq(avro_schema_from_json_length(good[_i].text, strlen(good[_i].text), &other), 0);
  avro_schema_decref(other);
}
END_TEST

START_TEST(avro_schema_refuses_with_the_place) {
  struct avro_schema *schema;
  struct error error;
  ck_assert(avro_schema_parse(span_text(bad[_i].text), &schema, &error) == STATUS_CONFIG);
  ck_assert_msg(strstr(error.text, bad[_i].said) != NULL, "%s", error.text);
}
END_TEST

START_TEST(avro_schema_keeps_logical_types_and_defaults) {
  struct avro_schema *schema;
  struct error error;
  ck_assert(avro_schema_parse(span_text(CHECKIN), &schema, &error) == STATUS_OK);
  const struct avro_node *const root = &schema->nodes[schema->root];
  ck_assert_int_eq(root->kind, NODE_RECORD);
  ck_assert_str_eq(root->name, "muster.v1.CheckIn");
  ck_assert_int_eq(avro_field_find(schema, root, "at"), 1);
  ck_assert_int_eq(avro_field_find(schema, root, "nothing"), -1);
  const struct avro_field *const fields = &schema->fields[root->first];
  ck_assert_int_eq(schema->nodes[fields[0].node].logical, LOGICAL_UUID);
  ck_assert_int_eq(schema->nodes[fields[1].node].logical, LOGICAL_TIMESTAMP_MILLIS);
  ck_assert_ptr_null(fields[0].default_value);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_schema_bounds_depth_size_and_count) {
  struct avro_schema *schema;
  struct error error;
  enum { SIZE = 200000 };
  char *const text = malloc(SIZE);
  size_t used = 0;
  for (int i = 0; i < 40; i++) {
    used += (size_t)snprintf(text + used, SIZE - used, "{\"type\":\"array\",\"items\":");
  }
  used += (size_t)snprintf(text + used, SIZE - used, "\"int\"");
  for (int i = 0; i < 40; i++) {
    used += (size_t)snprintf(text + used, SIZE - used, "}");
  }
  ck_assert(avro_schema_parse(span_of(text, used), &schema, &error) == STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "nested deeper"));
  used = (size_t)snprintf(text, SIZE, "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"");
  for (int i = 0; i < AVRO_SCHEMA_NODES_MAX; i++) {
    used += (size_t)snprintf(text + used, SIZE - used, ",\"A%d\"", i);
  }
  used += (size_t)snprintf(text + used, SIZE - used, "]}");
  ck_assert(avro_schema_parse(span_of(text, used), &schema, &error) == STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "more than"));
  free(text);
}
END_TEST

/* Schemas come from files and registries: no cut and no flipped bit may do worse than fail. */
START_TEST(avro_schema_survives_damage) {
  const size_t size = strlen(good[_i].text);
  struct avro_schema *schema;
  struct error error;
  char *const copy = malloc(size);
  for (size_t bit = 0; bit < size * 8; bit++) {
    memcpy(copy, good[_i].text, size);
    copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << (bit % 8)));
    if (avro_schema_parse(span_of(copy, size), &schema, &error) == STATUS_OK) {
      avro_schema_free(schema);
    }
    if (avro_schema_parse(span_of(copy, bit / 8), &schema, &error) == STATUS_OK) {
      avro_schema_free(schema);
    }
  }
  free(copy);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("avro_schema");
  TCase *const tests = tcase_create("avro_schema");
  const int count = (int)COUNT_OF(good);
  tcase_add_loop_test(tests, avro_schema_has_the_canonical_form_and_fingerprint_of_others, 0,
                      count);
  tcase_add_loop_test(tests, avro_schema_canonical_form_is_its_own, 0, count);
  tcase_add_loop_test(tests, avro_schema_accepts_what_avro_c_accepts, 0, count);
  tcase_add_loop_test(tests, avro_schema_survives_damage, 0, count);
  tcase_add_loop_test(tests, avro_schema_refuses_with_the_place, 0, (int)COUNT_OF(bad));
  tcase_add_test(tests, avro_schema_keeps_logical_types_and_defaults);
  tcase_add_test(tests, avro_schema_bounds_depth_size_and_count);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
