/* consumers/avro_json: bytes as JSON and back, and agreement with another implementation. */
#include "consumers/avro_canonical.h"
#include "consumers/avro_json.h"
#include "consumers/base64.h"

#include <avro.h>
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

static struct schemas *schemas;

static void setup(void) {
  struct error error;
  ck_assert_msg(schemas_open(NULL, &schemas, &error) == STATUS_OK, "%s", error.text);
}

static void teardown(void) {
  schemas_close(schemas);
}

#define ID "\"event_id\":\"0f8fad5b-d9cb-469f-a165-70867728950e\","
#define COMMON ID "\"occurred_at\":5,\"serial\":\"C02XK1\","

/* One of everything, a recursive record included. */
static const char everything[] =
    "{\"type\":\"record\",\"name\":\"All\",\"namespace\":\"t\",\"fields\":["
    "{\"name\":\"n\",\"type\":\"null\"},{\"name\":\"b\",\"type\":\"boolean\"},"
    "{\"name\":\"i\",\"type\":\"int\"},{\"name\":\"l\",\"type\":\"long\"},"
    "{\"name\":\"f\",\"type\":\"float\"},{\"name\":\"d\",\"type\":\"double\"},"
    "{\"name\":\"y\",\"type\":\"bytes\",\"default\":\"\\u0000\\u00ff\"},"
    "{\"name\":\"s\",\"type\":\"string\"},"
    "{\"name\":\"x\",\"type\":{\"type\":\"fixed\",\"name\":\"X\",\"size\":5}},"
    "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}},"
    "{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"long\",\"string\"]}},"
    "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"X\"}}},"
    "{\"name\":\"next\",\"type\":[\"null\",\"All\"],\"default\":null}]}";

static struct avro_schema *parsed(const char *text) {
  struct avro_schema *schema;
  struct error error;
  ck_assert_msg(avro_schema_parse(span_text(text), &schema, &error) == STATUS_OK, "%s", error.text);
  return schema;
}

/* Encodes; "" as the reason is success, and then `*text` is what the bytes say, in JSON. */
static void encode(const struct writer *writer, const char *json, struct error *error,
                   char **text) {
  uint8_t *data = NULL;
  size_t size = 0;
  json_t *const object = json_loads(json, JSON_ALLOW_NUL, NULL);
  ck_assert_msg(object != NULL, "%s", json);
  error->text[0] = '\0';
  *text = NULL;
  if (avro_json_to_value(writer, SCHEMA_ID_NONE, object, &data, &size, error) == STATUS_OK) {
    struct reject reject;
    json_t *const read = avro_json_of_body(writer->schema, span_of(data + 10, size - 10), &reject);
    ck_assert_msg(read != NULL, "%s", reject.text);
    *text = json_dumps(read, JSON_COMPACT);
    json_decref(read);
    free(data);
    error->text[0] = '\0'; /* what was tried on the way */
  }
  json_decref(object);
}

START_TEST(avro_json_shows_fields_in_order_with_bare_unions) {
  struct error error;
  char *text;
  encode(
      schemas_find_own(schemas, "ComplianceReport"),
      "{\"screen_lock_pin_length\":6,\"antivirus_signatures_at\":\"1970-01-01T00:00:01Z\"," COMMON
      "\"disk_encrypted\":true}",
      &error, &text);
  ck_assert_str_eq(error.text, "");
  ck_assert_str_eq(text, "{" COMMON "\"os_version\":null,\"antivirus_enabled\":null,"
                         "\"antivirus_signatures_at\":1000,\"disk_encrypted\":true,"
                         "\"screen_lock_pin_length\":6,\"threat_defence_level\":null,"
                         "\"threat_defence_at\":null}");
  free(text);
}
END_TEST

START_TEST(avro_json_fills_defaults_and_takes_enums_in_any_case) {
  struct error error;
  char *text;
  encode(schemas_find_own(schemas, "Enrollment"),
         "{" COMMON "\"user_email\":\"a@b\",\"platform\":\"macOS\",\"profile\":\"Standard\","
         "\"os_version\":\"14\"}",
         &error, &text);
  ck_assert_str_eq(error.text, "");
  ck_assert_str_eq(text, "{" COMMON "\"user_email\":\"a@b\",\"platform\":\"MACOS\","
                         "\"profile\":\"STANDARD\",\"os_version\":\"14\","
                         "\"ownership\":\"CORPORATE\",\"consent\":null}");
  free(text);
}
END_TEST

#define ENROLLMENT                                                                                 \
  "\"user_email\":\"a@b\",\"platform\":\"IOS\",\"profile\":\"MOBILE\",\"os_version\":\"1\""

static const struct {
  const char *json;
  const char *said;
} refused[] = {
    {"{" COMMON "\"colour\":1," ENROLLMENT "}", "colour: Enrollment has no such field"},
    {"{" ID "\"occurred_at\":5," ENROLLMENT "}", "serial: missing"},
    {"{" ID "\"occurred_at\":5,\"serial\":7," ENROLLMENT "}", "serial: not a text"},
    {"{" ID "\"occurred_at\":\"soon\",\"serial\":\"x\"," ENROLLMENT "}", "occurred_at: not a time"},
    {"{" ID "\"occurred_at\":1.5,\"serial\":\"x\"," ENROLLMENT "}",
     "occurred_at: not milliseconds"},
    {"{" COMMON "\"user_email\":\"a\",\"platform\":\"BEOS\",\"profile\":\"MOBILE\","
     "\"os_version\":\"1\"}",
     "platform: not one of WINDOWS, MACOS, IOS, ANDROID, LINUX"},
    {"{" COMMON ENROLLMENT ",\"consent\":{\"notice_version\":\"1\"}}", "consent.given_at: missing"},
    {"{" COMMON ENROLLMENT ",\"consent\":{\"notice_version\":\"1\",\"given_at\":1,\"by\":2}}",
     "consent.by: Consent has no such field"},
    {"{" COMMON ENROLLMENT ",\"consent\":true}", "consent: not an object"},
    {"{" COMMON ENROLLMENT ",\"ownership\":null}", "ownership: not one of"},
    {"[]", "not an object"},
};

START_TEST(avro_json_refusal_names_the_field_and_what_it_allows) {
  struct error error;
  char *text;
  encode(schemas_find_own(schemas, "Enrollment"), refused[_i].json, &error, &text);
  ck_assert_ptr_null(text);
  ck_assert_msg(strncmp(error.text, refused[_i].said, strlen(refused[_i].said)) == 0, "%s",
                error.text);
}
END_TEST

#define ALL(l, a)                                                                                  \
  "{\"n\":null,\"b\":true,\"i\":-2147483648,\"l\":" l ",\"f\":0.5,\"d\":\"-Infinity\","            \
  "\"y\":\"AP8=\",\"s\":\"a\\u0000b\",\"x\":\"AAECAwQ=\",\"e\":\"B\",\"a\":" a ","                 \
  "\"m\":{\"k\":[\"AAECAwQ=\",\"/////w8=\"],\"\":[]},\"next\":null}"

START_TEST(avro_json_survives_the_round_trip_of_everything) {
  struct avro_schema *const schema = parsed(everything);
  const struct writer writer = {.fingerprint = schema->fingerprint, .schema = schema};
  struct error error;
  char *text;
  const char *const json = ALL("-9223372036854775808", "[null,9223372036854775807,\"x\",-1]");
  encode(&writer, json, &error, &text);
  ck_assert_str_eq(error.text, "");
  ck_assert_str_eq(text, json);
  free(text);
  encode(&writer, ALL("true", "[]"), &error, &text);
  ck_assert_str_eq(error.text, "l: not an integer");
  encode(&writer, ALL("1", "[1.5]"), &error, &text);
  ck_assert_str_eq(error.text, "a: none of null, long, string");
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_json_default_of_bytes_has_a_character_a_byte) {
  struct avro_schema *const schema =
      parsed("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"y\",\"type\":\"bytes\","
             "\"default\":\"a\\u00ff\\u0080\"}]}");
  const struct writer writer = {.fingerprint = schema->fingerprint, .schema = schema};
  struct error error;
  char *text;
  encode(&writer, "{}", &error, &text);
  ck_assert_str_eq(text, "{\"y\":\"Yf+A\"}");
  free(text);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_json_frames_and_unframes) {
  const struct writer *const writer = schemas_find_own(schemas, "CheckIn");
  struct error error;
  struct reject reject;
  uint8_t *data;
  size_t size;
  json_t *const object = json_loads("{" COMMON "\"os_version\":\"1\"}", 0, NULL);
  ck_assert(avro_json_to_value(writer, SCHEMA_ID_NONE, object, &data, &size, &error) == STATUS_OK);
  ck_assert_mem_eq(data, "\xc3\x01\x0c\x67\x20\x19\x2a\x32\x84\x7b", 10);
  json_t *const read = avro_json_of_value(schemas, span_of(data, size), &reject);
  ck_assert_str_eq(json_string_value(json_object_get(read, "trigger")), "SCHEDULED");
  ck_assert_ptr_null(avro_json_of_value(schemas, span_of(data, size - 1), &reject));
  ck_assert_int_eq(reject.code, REJECT_MALFORMED);
  data[2] ^= 1;
  ck_assert_ptr_null(avro_json_of_value(schemas, span_of(data, size), &reject));
  ck_assert_int_eq(reject.code, REJECT_UNKNOWN_SCHEMA);
  free(data);
  ck_assert(avro_json_to_value(writer, 258, object, &data, &size, &error) == STATUS_OK);
  ck_assert_mem_eq(data, "\0\0\0\1\2", 5);
  free(data);
  json_decref(read);
  json_decref(object);
}
END_TEST

/* ---- Another implementation ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state % limit;
}

static void random_fill(avro_value_t *value, int depth);

static void random_fill_nested(avro_value_t *value, int depth) {
  avro_value_t inner;
  char key[32];
  size_t count = random_below(4);
  switch (avro_value_get_type(value)) {
  case AVRO_RECORD:
    avro_value_get_size(value, &count);
    for (size_t i = 0; i < count; i++) {
      avro_value_get_by_index(value, i, &inner, NULL);
      random_fill(&inner, depth + 1);
    }
    return;
  case AVRO_UNION:
    count = avro_schema_union_size(avro_value_get_schema(value));
    avro_value_set_branch(value, depth > 5 ? 0 : (int)random_below(count), &inner);
    random_fill(&inner, depth + 1);
    return;
  case AVRO_MAP:
    for (size_t i = 0; i < count; i++) {
      snprintf(key, sizeof key, "k%zu", i);
      avro_value_add(value, key, &inner, NULL, NULL);
      random_fill(&inner, depth + 1);
    }
    return;
  default:
    for (size_t i = 0; i < count; i++) {
      avro_value_append(value, &inner, NULL);
      random_fill(&inner, depth + 1);
    }
  }
}

/* Any value of the schema, as avro-c makes it. */
static void random_fill(avro_value_t *value, int depth) {
  uint8_t bytes[8];
  const uint64_t bits = random_below(UINT64_MAX) >> random_below(64);
  memcpy(bytes, &bits, sizeof bytes);
  switch (avro_value_get_type(value)) {
  case AVRO_NULL:
    avro_value_set_null(value);
    return;
  case AVRO_BOOLEAN:
    avro_value_set_boolean(value, (int)(bits & 1));
    return;
  case AVRO_INT32:
    avro_value_set_int(value, (int32_t)bits);
    return;
  case AVRO_INT64:
    avro_value_set_long(value, (int64_t)bits);
    return;
  case AVRO_FLOAT:
    avro_value_set_float(value, (float)bits / 3);
    return;
  case AVRO_DOUBLE:
    avro_value_set_double(value, (double)bits / 3);
    return;
  case AVRO_BYTES:
    avro_value_set_bytes(value, bytes, random_below(sizeof bytes));
    return;
  case AVRO_FIXED:
    avro_value_set_fixed(value, bytes, 5);
    return;
  case AVRO_STRING:
    avro_value_set_string(value, random_below(2) == 0 ? "" : "\xc3\xa9t\xc3\xa9");
    return;
  case AVRO_ENUM:
    avro_value_set_enum(value, (int)(bits & 1));
    return;
  default:
    random_fill_nested(value, depth);
  }
}

/* What avro-c writes reads as JSON that becomes the same bytes again: nothing is lost and
 * both sides mean the same. Maps and arrays are one block in both. */
START_TEST(avro_json_agrees_with_avro_c) {
  enum { SIZE = 1 << 16 };
  struct avro_schema *const schema = parsed(everything);
  const struct writer own = {.fingerprint = schema->fingerprint, .schema = schema};
  char *const buffer = malloc(SIZE);
  avro_schema_t other;
  /* A default of bytes with a zero in it is beyond avro-c's parser. */
  char *const plain = avro_canonical_text(schema);
  ck_assert_int_eq(avro_schema_from_json_length(plain, strlen(plain), &other), 0);
  avro_value_iface_t *const iface = avro_generic_class_from_schema(other);
  for (int round = 0; round < 2000; round++) {
    avro_value_t value;
    struct error error;
    struct reject reject;
    uint8_t *data;
    size_t size;
    ck_assert_int_eq(avro_generic_value_new(iface, &value), 0);
    random_fill(&value, 0);
    const avro_writer_t out = avro_writer_memory(buffer, SIZE);
    ck_assert_int_eq(avro_value_write(out, &value), 0);
    const struct span body = span_of(buffer, (size_t)avro_writer_tell(out));
    json_t *const json = avro_json_of_body(schema, body, &reject);
    ck_assert_msg(json != NULL, "%s", reject.text);
    ck_assert_msg(avro_json_to_value(&own, SCHEMA_ID_NONE, json, &data, &size, &error) == STATUS_OK,
                  "%s", error.text);
    ck_assert_uint_eq(size, body.size + 10);
    ck_assert_mem_eq(data + 10, body.data, body.size);
    free(data);
    json_decref(json);
    avro_writer_free(out);
    avro_value_decref(&value);
  }
  avro_value_iface_decref(iface);
  avro_schema_decref(other);
  free(plain);
  free(buffer);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_json_survives_damage) {
  struct avro_schema *const schema = parsed(everything);
  const struct writer own = {.fingerprint = schema->fingerprint, .schema = schema};
  struct error error;
  struct reject reject;
  uint8_t *data;
  size_t size;
  json_t *const object = json_loads(ALL("77", "[null,5,\"x\"]"), JSON_ALLOW_NUL, NULL);
  ck_assert(avro_json_to_value(&own, SCHEMA_ID_NONE, object, &data, &size, &error) == STATUS_OK);
  for (size_t bit = 0; bit < (size - 10) * 8; bit++) {
    uint8_t *const copy = malloc(size - 10);
    memcpy(copy, data + 10, size - 10);
    json_t *json = avro_json_of_body(schema, span_of(copy, bit / 8), &reject);
    ck_assert_ptr_null(json);
    copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    json = avro_json_of_body(schema, span_of(copy, size - 10), &reject);
    json_decref(json);
    free(copy);
  }
  free(data);
  json_decref(object);
  avro_schema_free(schema);
}
END_TEST

START_TEST(avro_json_bounds_items_and_depth) {
  struct avro_schema *schema = parsed("{\"type\":\"array\",\"items\":\"null\"}");
  struct reject reject;
  const uint8_t many[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
  ck_assert_ptr_null(avro_json_of_body(schema, span_of(many, sizeof many), &reject));
  ck_assert_ptr_nonnull(strstr(reject.text, "too many items"));
  avro_schema_free(schema);
  schema = parsed("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"r\",\"type\":"
                  "[\"null\",\"R\"]}]}");
  uint8_t deep[64];
  memset(deep, 2, sizeof deep);
  ck_assert_ptr_null(avro_json_of_body(schema, span_of(deep, sizeof deep), &reject));
  ck_assert_ptr_nonnull(strstr(reject.text, "nested too deeply"));
  avro_schema_free(schema);
}
END_TEST

START_TEST(base64_agrees_with_its_examples) {
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"}};
  static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg=a", "Z===", "====", "Zm9v\n", "Z g="};
  uint8_t *bytes;
  size_t size;
  for (size_t i = 0; i < COUNT_OF(pairs); i++) {
    char *const text = base64_text(span_text(pairs[i][0]));
    ck_assert_str_eq(text, pairs[i][1]);
    ck_assert(base64_bytes(span_text(text), &bytes, &size));
    ck_assert_uint_eq(size, strlen(pairs[i][0]));
    ck_assert_mem_eq(bytes, pairs[i][0], size);
    free(bytes);
    free(text);
  }
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    ck_assert_msg(!base64_bytes(span_text(bad[i]), &bytes, &size), "%s", bad[i]);
  }
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("avro_json");
  TCase *const tests = tcase_create("avro_json");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, avro_json_shows_fields_in_order_with_bare_unions);
  tcase_add_test(tests, avro_json_fills_defaults_and_takes_enums_in_any_case);
  tcase_add_loop_test(tests, avro_json_refusal_names_the_field_and_what_it_allows, 0,
                      (int)COUNT_OF(refused));
  tcase_add_test(tests, avro_json_survives_the_round_trip_of_everything);
  tcase_add_test(tests, avro_json_default_of_bytes_has_a_character_a_byte);
  tcase_add_test(tests, avro_json_frames_and_unframes);
  tcase_add_test(tests, avro_json_agrees_with_avro_c);
  tcase_add_test(tests, avro_json_survives_damage);
  tcase_add_test(tests, avro_json_bounds_items_and_depth);
  tcase_add_test(tests, base64_agrees_with_its_examples);
  tcase_set_timeout(tests, 60);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
