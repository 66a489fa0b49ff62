/* core/app/import_graph: Microsoft Graph's list of devices, quirks included. */
#include "core/app/import_graph.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *device_of(const char *text) {
  json_error_t where;
  json_t *const device = json_loads(text, 0, &where);
  ck_assert_msg(device != NULL, "%s: %s", where.text, text);
  return device;
}

static const char *field(const struct import_message *message, const char *name) {
  return json_string_value(json_object_get(message->value, name));
}

static void release(struct import_message *messages, size_t count) {
  for (size_t i = 0; i < count; i++) {
    json_decref(messages[i].value);
  }
}

/* ---- Records ---- */

#define SERIAL "\"id\":\"i\",\"serialNumber\":\"S1\","
#define USER "\"userPrincipalName\":\"u@example.org\","
#define SYSTEM "\"operatingSystem\":\"Windows\",\"osVersion\":\"10.0.22631\","
#define ENROLLED "\"enrolledDateTime\":\"2026-05-27T19:16:06Z\","
#define SYNCED "\"lastSyncDateTime\":\"2026-05-29T15:37:23Z\""

START_TEST(the_published_sample_becomes_three_messages) {
  json_t *const answer =
      json_load_file(SOURCE_DIR "/tests/data/graph-manageddevices.json", 0, NULL);
  ck_assert_ptr_nonnull(answer);
  const json_t *const device = json_array_get(json_object_get(answer, "value"), 0);
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  ck_assert_int_eq(graph_convert(device, messages, &count, &error), STATUS_OK);
  ck_assert_uint_eq(count, 3);

  ck_assert_int_eq(messages[0].record, INPUT_ENROLLMENT);
  ck_assert_int_eq(messages[0].timestamp_ms, INT64_C(1779909366000));
  ck_assert_str_eq(field(&messages[0], "serial"), "ec20a8b5-6ba0-5f5e-a525-c6174bfe902f");
  ck_assert_str_eq(field(&messages[0], "user_email"), "Wazuh");
  ck_assert_str_eq(field(&messages[0], "platform"), "WINDOWS");
  ck_assert_str_eq(field(&messages[0], "profile"), "STANDARD");
  ck_assert_str_eq(field(&messages[0], "ownership"), "PERSONAL");
  ck_assert_str_eq(field(&messages[0], "os_version"), "10.0.26200.8457");
  ck_assert_uint_eq(json_object_size(messages[0].value), 9);

  ck_assert_int_eq(messages[1].record, INPUT_CHECKIN);
  ck_assert_int_eq(messages[1].timestamp_ms, INT64_C(1780069043000));
  ck_assert_str_eq(field(&messages[1], "trigger"), "SCHEDULED");

  ck_assert_int_eq(messages[2].record, INPUT_REPORT);
  ck_assert_int_eq(messages[2].timestamp_ms, INT64_C(1780069043000));
  ck_assert(json_is_false(json_object_get(messages[2].value, "disk_encrypted")));
  ck_assert(json_is_null(json_object_get(messages[2].value, "antivirus_enabled")));
  release(messages, count);
  json_decref(answer);
}
END_TEST

START_TEST(the_same_record_has_the_same_event_ids) {
  struct import_message first[GRAPH_MESSAGES_MAX], second[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  json_t *const device = device_of("{" SERIAL USER SYSTEM ENROLLED SYNCED "}");
  ck_assert_int_eq(graph_convert(device, first, &count, &error), STATUS_OK);
  ck_assert_int_eq(graph_convert(device, second, &count, &error), STATUS_OK);
  for (size_t i = 0; i < count; i++) {
    ck_assert_str_eq(field(&first[i], "event_id"), field(&second[i], "event_id"));
    ck_assert_str_ne(field(&first[i], "event_id"), field(&first[(i + 1) % count], "event_id"));
  }
  release(first, count);
  release(second, count);
  json_decref(device);
}
END_TEST

#define RECORD(id, serial, user, system, version, owner, encrypted)                                \
  "{\"id\":\"" id "\",\"serialNumber\":\"" serial "\",\"userPrincipalName\":\"" user               \
  "\",\"operatingSystem\":\"" system "\",\"osVersion\":\"" version                                 \
  "\",\"managedDeviceOwnerType\":\"" owner "\",\"isEncrypted\":" encrypted "," ENROLLED SYNCED "}"
#define SAME RECORD("i", "S1", "u@x", "Windows", "10.0", "company", "true")

/* A record, and which of its messages say something else than those of SAME. */
static const struct {
  const char *device;
  bool differs[GRAPH_MESSAGES_MAX];
} changes[] = {
    {SAME, {false, false, false}},
    {RECORD("j", "S1", "u@x", "Windows", "10.0", "company", "true"), {true, true, true}},
    {RECORD("i", "S2", "u@x", "Windows", "10.0", "company", "true"), {true, true, true}},
    {RECORD("i", "S1", "v@x", "Windows", "10.0", "company", "true"), {true, false, false}},
    {RECORD("i", "S1", "u@x", "macOS", "10.0", "company", "true"), {true, false, false}},
    {RECORD("i", "S1", "u@x", "iOS", "10.0", "company", "true"), {true, false, false}},
    {RECORD("i", "S1", "u@x", "Windows", "10.1", "company", "true"), {true, true, true}},
    {RECORD("i", "S1", "u@x", "Windows", "10.0", "personal", "true"), {true, false, false}},
    {RECORD("i", "S1", "u@x", "Windows", "10.0", "company", "false"), {false, false, true}},
    {RECORD("i", "S1", "u@x", "Windows", "10.0", "company", "null"), {false, false, true}},
};

START_TEST(a_message_that_says_something_else_has_another_event_id) {
  struct import_message first[GRAPH_MESSAGES_MAX], second[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  json_t *const same = device_of(SAME);
  json_t *const changed = device_of(changes[_i].device);
  ck_assert_int_eq(graph_convert(same, first, &count, &error), STATUS_OK);
  ck_assert_int_eq(graph_convert(changed, second, &count, &error), STATUS_OK);
  ck_assert_uint_eq(count, GRAPH_MESSAGES_MAX);
  for (size_t i = 0; i < count; i++) {
    const bool differs = strcmp(field(&first[i], "event_id"), field(&second[i], "event_id")) != 0;
    ck_assert_msg(differs == changes[_i].differs[i], "message %zu of %s", i, changes[_i].device);
  }
  release(first, count);
  release(second, count);
  json_decref(same);
  json_decref(changed);
}
END_TEST

static const struct {
  const char *device;
  size_t count;
  int64_t enrolled_at_ms;
} dates[] = {
    {"{" SERIAL USER SYSTEM ENROLLED SYNCED "}", 3, INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM ENROLLED "\"lastSyncDateTime\":\"0001-01-01T00:00:00Z\"}", 1,
     INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM ENROLLED "\"lastSyncDateTime\":\"1970-01-01T00:00:00Z\"}", 1,
     INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM ENROLLED "\"lastSyncDateTime\":\"9999-12-31T23:59:59.9999999Z\"}", 1,
     INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM ENROLLED "\"lastSyncDateTime\":\"\"}", 1, INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM ENROLLED "\"lastSyncDateTime\":null}", 1, INT64_C(1779909366000)},
    {"{" SERIAL USER SYSTEM "\"enrolledDateTime\":\"1601-01-01T00:00:00Z\"," SYNCED "}", 3,
     INT64_C(1780069043000)},
    {"{" SERIAL USER SYSTEM SYNCED "}", 3, INT64_C(1780069043000)},
};

START_TEST(a_placeholder_is_no_date) {
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  json_t *const device = device_of(dates[_i].device);
  ck_assert_int_eq(graph_convert(device, messages, &count, &error), STATUS_OK);
  ck_assert_uint_eq(count, dates[_i].count);
  ck_assert_int_eq(messages[0].timestamp_ms, dates[_i].enrolled_at_ms);
  release(messages, count);
  json_decref(device);
}
END_TEST

static const struct {
  const char *device;
  const char *reason;
} refused[] = {
    {"{\"id\":\"i\"," USER SYSTEM ENROLLED SYNCED "}", "serialNumber is missing or empty"},
    {"{\"serialNumber\":\"\"," USER SYSTEM ENROLLED SYNCED "}", "serialNumber is missing or empty"},
    {"{\"serialNumber\":null," USER SYSTEM ENROLLED SYNCED "}", "serialNumber is missing or empty"},
    {"{\"serialNumber\":\"  \"," USER SYSTEM ENROLLED SYNCED "}",
     "serialNumber is missing or empty"},
    {"{" SERIAL SYSTEM ENROLLED SYNCED "}", "userPrincipalName and emailAddress are empty"},
    {"{" SERIAL USER ENROLLED SYNCED "}", "operatingSystem \"\" is not a known platform"},
    {"{" SERIAL USER "\"operatingSystem\":\"ChromeOS\"," SYNCED "}",
     "operatingSystem \"ChromeOS\" is not a known platform"},
    {"{" SERIAL USER SYSTEM "\"model\":\"x\"}",
     "enrolledDateTime and lastSyncDateTime hold no date"},
    {"[]", "not a JSON object"},
};

START_TEST(a_record_without_what_is_needed_is_refused) {
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count = 7;
  struct error error;
  json_t *const device = device_of(refused[_i].device);
  ck_assert_int_eq(graph_convert(device, messages, &count, &error), STATUS_REFUSED);
  ck_assert_str_eq(error.text, refused[_i].reason);
  ck_assert_uint_eq(count, 0);
  json_decref(device);
}
END_TEST

static const struct {
  const char *system, *platform, *profile;
} systems[] = {
    {"Windows", "WINDOWS", "STANDARD"},
    {"macOS", "MACOS", "STANDARD"},
    {"Mac OS X", "MACOS", "STANDARD"},
    {"iOS", "IOS", "MOBILE"},
    {"iPadOS", "IOS", "MOBILE"},
    {"Android", "ANDROID", "MOBILE"},
    {"AndroidEnterprise", "ANDROID", "MOBILE"},
    {"Linux (ubuntu)", "LINUX", "STANDARD"},
};

START_TEST(systems_become_platforms_and_profiles) {
  char text[512];
  snprintf(text, sizeof text,
           "{" SERIAL "\"userPrincipalName\":\"\",\"emailAddress\":\"m@example.org\","
           "\"managedDeviceOwnerType\":\"company\",\"operatingSystem\":\"%s\"," ENROLLED SYNCED "}",
           systems[_i].system);
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  json_t *const device = device_of(text);
  ck_assert_int_eq(graph_convert(device, messages, &count, &error), STATUS_OK);
  ck_assert_str_eq(field(&messages[0], "platform"), systems[_i].platform);
  ck_assert_str_eq(field(&messages[0], "profile"), systems[_i].profile);
  ck_assert_str_eq(field(&messages[0], "user_email"), "m@example.org");
  ck_assert_str_eq(field(&messages[0], "ownership"), "CORPORATE");
  ck_assert_str_eq(field(&messages[0], "os_version"), "");
  ck_assert(json_is_null(json_object_get(messages[2].value, "os_version")));
  ck_assert(json_is_null(json_object_get(messages[2].value, "disk_encrypted")));
  release(messages, count);
  json_decref(device);
}
END_TEST

/* ---- Files ---- */

/* What the scanner handed over: "1:{…}" for a record, "2!" for a complaint, by line; "1/3:{…}"
 * for the third of its line. */
struct heard {
  char text[512];
  size_t size;
};

static void hear(void *context, const struct graph_record *record) {
  struct heard *const heard = context;
  char number[24] = "";
  if (record->number > 0) {
    snprintf(number, sizeof number, "/%d", (int)record->number);
  }
  const int written = snprintf(heard->text + heard->size, sizeof heard->text - heard->size,
                               "%s%d%s%s%.*s", heard->size > 0 ? " " : "", (int)record->line,
                               number, record->problem != NULL ? "!" : ":", (int)record->text.size,
                               record->text.size > 0 ? (const char *)record->text.data : "");
  heard->size += (size_t)written;
}

static const struct {
  const char *file, *heard;
} files[] = {
    {"", ""},
    {"\n \r\n", ""},
    {"{\"value\":[{\"a\":1},{\"b\":2}]}", "1/1:{\"a\":1} 1/2:{\"b\":2}"},
    {"{\"value\":[]}", ""},
    {"{\n\"x\":{\"value\":[{}]},\n\"value\" : [\n{\"a\":[{}]}\n,\n{}\n],\"y\":\"]}\"}\n",
     "4:{\"a\":[{}]} 6:{}"},
    {"{\"value\":[{\"a\":1}]}\n{\"value\":[{\"b\":2}]}\n", "1/1:{\"a\":1} 2/1:{\"b\":2}"},
    {"[{\"a\":1},\n{\"b\":\"}\\\"\"}]", "1/1:{\"a\":1} 2:{\"b\":\"}\\\"\"}"},
    {"{\"a\":1}\n\n{\"b\":2}", "1:{\"a\":1} 3:{\"b\":2}"},
    {"{\"value\":7}\n{\"v\":\"value\",\"w\":[1]}", "1:{\"value\":7} 2:{\"v\":\"value\",\"w\":[1]}"},
    {"{\"a\":1}\n{\"b\":\n{\"c\":3}\nnull\n{\"d\":4}", "1:{\"a\":1} 2! 3:{\"c\":3} 4! 5:{\"d\":4}"},
    {"{\"a\":\"x\n{\"b\":2}\n", "1! 2:{\"b\":2}"},
    {"[7,{\"a\":1},null]\n", "1/1! 1/2:{\"a\":1} 1/3!"},
    {"{\"value\":[{\"a\":1},{\"b\"", "1/1:{\"a\":1} 1/2!"},
    {"{\"value\":[{\"a\":1}\n", "1/1:{\"a\":1} 2!"},
    {"{\"value\":[{\"a\":1}", "1/1:{\"a\":1} 1!"},
    {"{\"value\":[{\"a\":1}],\n", "1/1:{\"a\":1} 2!"},
    {"{\"a\":", "1!"},
};

START_TEST(every_way_of_listing_records_is_read) {
  const struct span file = span_text(files[_i].file);
  for (size_t piece = 1; piece <= file.size + 1; piece++) {
    struct heard heard = {.size = 0};
    struct graph_scanner scanner;
    graph_scanner_init(&scanner, hear, &heard);
    for (size_t at = 0; at < file.size; at += piece) {
      const size_t left = file.size - at;
      graph_scanner_push(&scanner, span_of(file.data + at, left < piece ? left : piece));
    }
    graph_scanner_end(&scanner);
    graph_scanner_fini(&scanner);
    ck_assert_str_eq(heard.text, files[_i].heard);
  }
}
END_TEST

static const struct {
  const char *file;
  bool lacks;
} pages[] = {
    {"{\"value\":[{}]}", false},
    {"{\"@odata.nextLink\":\"x\",\"value\":[{}]}", true},
    {"{\"value\":[{}],\"@odata.nextLink\":\"x\"}", true},
    {"{\"value\":[{}],\"@odata.nextLink\":\"x\"}\n{\"value\":[{}]}", false},
    {"[{\"@odata.nextLink\":\"x\"}]", false},
};

START_TEST(a_page_that_is_missing_is_noticed) {
  struct heard heard = {.size = 0};
  struct graph_scanner scanner;
  graph_scanner_init(&scanner, hear, &heard);
  graph_scanner_push(&scanner, span_text(pages[_i].file));
  graph_scanner_end(&scanner);
  ck_assert_int_eq(graph_scanner_lacks_page(&scanner), pages[_i].lacks);
  graph_scanner_fini(&scanner);
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("graph");
  TCase *const tests = tcase_create("graph");
  tcase_add_test(tests, the_published_sample_becomes_three_messages);
  tcase_add_test(tests, the_same_record_has_the_same_event_ids);
  tcase_add_loop_test(tests, a_message_that_says_something_else_has_another_event_id, 0,
                      (int)COUNT_OF(changes));
  tcase_add_loop_test(tests, a_placeholder_is_no_date, 0, (int)COUNT_OF(dates));
  tcase_add_loop_test(tests, a_record_without_what_is_needed_is_refused, 0, (int)COUNT_OF(refused));
  tcase_add_loop_test(tests, systems_become_platforms_and_profiles, 0, (int)COUNT_OF(systems));
  tcase_add_loop_test(tests, every_way_of_listing_records_is_read, 0, (int)COUNT_OF(files));
  tcase_add_loop_test(tests, a_page_that_is_missing_is_noticed, 0, (int)COUNT_OF(pages));
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
