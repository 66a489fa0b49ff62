/* Memory that runs out: by design the process ends with a word, or a status says so. Never does it
 * go on with half of something. The n-th allocation fails, for every n, each in a process of
 * its own; what comes out must be what comes out undisturbed, or an end with a word. */
#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "consumers/registry.h"
#include "consumers/schemas.h"
#include "core/app/carrier.h"
#include "core/app/import_ndjson.h"
#include "core/app/lane_schemas.h"
#include "core/app/policy_shipped.h"
#include "core/app/policy_text.h"
#include "core/app/policy_yaml.h"
#include "core/app/text.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OWN_MALLOC 0 /* a sanitizer's stands before ours */
#else
#define HAS_OWN_MALLOC 1

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
#endif

static long left = -1; /* allocations until one fails; -1: none will */

#if HAS_OWN_MALLOC
static bool fails(void) {
  return left >= 0 && left-- == 0;
}

void *malloc(size_t size) {
  return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  return fails() ? NULL : __libc_realloc(block, size);
}
#endif

enum { DONE = 0, TOLD = 3, OUT_SIZE = 1 << 16 };

/* ---- What is done with too little memory; each writes what came out ---- */

static struct schemas *schemas;
static struct config config;

static int tell(const struct error *error) {
  return error->text[0] != '\0' ? TOLD : 1;
}

static void put(int out, const void *data, size_t size) {
  if (write(out, data, size) != (ssize_t)size) {
    _exit(2);
  }
}

static int know_schemas(int out) {
  struct schemas *opened;
  struct error error = {{0}};
  if (schemas_open(NULL, &opened, &error) != STATUS_OK) {
    return tell(&error);
  }
  struct schemas *derived = schemas_derive(opened);
  if (schemas_put(derived, 7, "x",
                  span_text("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}"),
                  &error) != STATUS_OK) {
    return tell(&error);
  }
  char *text = schemas_text(derived);
  dprintf(out, "%s", text);
  free(text);
  schemas_close(derived);
  schemas_close(opened);
  return DONE;
}

static int take_line(int out) {
  static const char line[] =
      "{\"topic\":\"checkins\",\"timestamp\":1748851200000,\"serial\":\"S\",\"os_version\":\"1\","
      "\"trigger\":\"SCHEDULED\",\"event_id\":\"0d5c1c59-2f83-5a2b-8f0a-000000000001\"}";
  struct import_message message;
  struct error error = {{0}};
  if (ndjson_convert(span_text(line), "", 1, &message, &error) != STATUS_OK) {
    return tell(&error);
  }
  uint8_t *data;
  size_t size;
  if (avro_json_to_value(schemas_reader(schemas, message.record), SCHEMA_ID_NONE, message.value,
                         &data, &size, &error) != STATUS_OK) {
    return tell(&error);
  }
  put(out, data, size);
  free(data);
  json_decref(message.value);
  return DONE;
}

static int read_answer(int out) {
  static const char answer[] =
      "{\"schema\":\"{\\\"type\\\":\\\"array\\\",\\\"items\\\":[\\\"null\\\","
      "{\\\"type\\\":\\\"fixed\\\",\\\"name\\\":\\\"F\\\",\\\"size\\\":3}]}\"}";
  char *canonical;
  struct error error = {{0}};
  if (registry_read_schema(span_text(answer), &canonical, &error) != STATUS_OK) {
    return tell(&error);
  }
  dprintf(out, "%s", canonical);
  free(canonical);
  return DONE;
}

static int describe(int out) {
  struct environment environment = {.config = &config,
                                    .schemas = schemas,
                                    .lane_count = 1,
                                    .subject_key = span_text("0123456789abcdef")};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    environment.ids.of[record] = record;
  }
  struct lane_schemas known;
  struct error error = {{0}};
  lane_schemas_init(&known, &environment);
  if (lane_schemas_restore(&known, (struct span){0}, &error) != STATUS_OK) {
    return tell(&error);
  }
  lane_schemas_learn(&known, 77, "\"string\"");
  if (lane_schemas_restore(&known, span_text(known.text), &error) != STATUS_OK) {
    return tell(&error);
  }
  dprintf(out, "%s", known.text);
  lane_schemas_fini(&known);
  return DONE;
}

static int configure(int out) {
  static const char *const sets[] = {"kafka.group_id=x", "roles.bootstrap_admins=a@b,c@d"};
  const struct text_list list = {.items = (char **)(uintptr_t)sets, .count = COUNT_OF(sets)};
  struct config loaded;
  struct error error = {{0}};
  if (config_load(&loaded, NULL, &list, NULL, &error) != STATUS_OK) {
    return tell(&error);
  }
  dprintf(out, "%s %zu %s", loaded.kafka.group_id, loaded.roles.bootstrap_admins.count,
          loaded.roles.bootstrap_admins.items[1]);
  config_fini(&loaded);
  return DONE;
}

static int read_policy(int out) {
  static struct policy policy;
  static struct findings findings;
  if (!policy_read(policy_shipped_text("default"), &policy, &findings)) {
    return findings.count > 0 && findings.items[0].text[0] != '\0' ? TOLD : 1;
  }
  uint8_t hash[DIGEST_SIZE];
  policy_hash(&policy, hash);
  put(out, hash, sizeof hash);
  return DONE;
}

static void decide(struct lane_state *state, struct carrier *carrier, struct batch *batch) {
  struct event event = {.kind = EVENT_ENROLLMENT, .serial = span_text("S-1")};
  event.user.email = span_text("u@example.org");
  event.enrollment.os_version = span_text("10.0.22631");
  const struct message message = {.cause = {.topic = TOPIC_ENROLLMENTS}};
  const struct head heads[TOPIC_COUNT] = {
      [TOPIC_ENROLLMENTS] = {.state = HEAD_READY, .is_believed = true, .timestamp_ms = 1000}};
  const struct sink sink = carrier_sink(carrier);
  bool is_new;
  batch_take(batch, &state->lane, heads, TOPIC_ENROLLMENTS);
  lane_state_person(state, event.user.subject, event.user.email, &is_new);
  decide_event(&state->lane, &event, &message, &sink);
}

/* A batch of one message, from the decision to the rows and records. */
static int commit(int out) {
  static const int64_t next_offsets[TOPIC_COUNT];
  struct encoding encoding = {.topic_prefix = "m."};
  const struct output_ids ids = {{0}};
  environment_frames(schemas, &ids, &encoding.frames);
  struct lane_state *state = lane_state_open(0, 1);
  struct carrier *carrier = carrier_open(&encoding);
  struct batch batch = {0};
  carrier_begin(carrier, state, 1, 0);
  batch_begin(&batch, 1, &state->lane, next_offsets);
  decide(state, carrier, &batch);
  const struct journal_row previous = {0};
  const uint8_t digest[DIGEST_SIZE] = {1};
  const struct seal seal = {
      .previous = &previous, .environment = digest, .environment_content = span_text("{}")};
  const struct span batch_last[TOPIC_COUNT] = {{0}};
  carrier_seal(carrier, &batch, &seal, batch_last);
  carrier_write_devices(carrier, state, 1);
  put(out, carrier->records.data, carrier->records.size);
  put(out, carrier->devices[NEW_DEVICES].data, carrier->devices[NEW_DEVICES].size);
  carrier_close(carrier);
  batch_fini(&batch, &heap_memory);
  lane_state_close(state);
  return DONE;
}

static int (*const works[])(int out) = {know_schemas, take_line,   read_answer, describe,
                                        configure,    read_policy, commit};

/* ---- Each in a process of its own ---- */

struct ending {
  int status; /* of wait */
  size_t out_size, error_size;
  char out[OUT_SIZE];
  char error[OUT_SIZE];
};

static size_t drain(int file, char *text) {
  size_t size = 0;
  for (ssize_t got; (got = read(file, text + size, OUT_SIZE - size)) > 0;) {
    size += (size_t)got;
  }
  close(file);
  return size;
}

static void attempt(int (*work)(int out), long allocations, struct ending *outcome) {
  int out[2];
  int err[2];
  ck_assert(pipe(out) == 0 && pipe(err) == 0);
  const pid_t child = fork();
  ck_assert(child >= 0);
  if (child == 0) {
    dup2(err[1], STDERR_FILENO);
    left = allocations;
    const int status = work(out[1]);
    /* One that has not failed by now never will. */
    _exit(status == DONE && left >= 0 ? 4 : status);
  }
  close(out[1]);
  close(err[1]);
  outcome->out_size = drain(out[0], outcome->out);
  outcome->error_size = drain(err[0], outcome->error);
  ck_assert(waitpid(child, &outcome->status, 0) == child);
}

START_TEST(running_out_of_memory_is_an_end_with_a_word) {
  static struct ending whole;
  static struct ending cut;
  if (!HAS_OWN_MALLOC) {
    return;
  }
  attempt(works[_i], -1, &whole);
  ck_assert_msg(whole.status == 0 && whole.out_size > 0, "undisturbed: %s", whole.error);
  for (long n = 0; n < 100000; n++) {
    attempt(works[_i], n, &cut);
    const bool is_told = WIFEXITED(cut.status) && WEXITSTATUS(cut.status) == TOLD;
    const bool is_ended =
        WIFSIGNALED(cut.status) && WTERMSIG(cut.status) == SIGABRT && cut.error_size > 0;
    const bool is_over = WIFEXITED(cut.status) && WEXITSTATUS(cut.status) == 4;
    const bool is_same =
        cut.out_size == whole.out_size && memcmp(cut.out, whole.out, whole.out_size) == 0;
    const bool is_done = WIFEXITED(cut.status) && WEXITSTATUS(cut.status) == DONE && is_same;
    ck_assert_msg(is_told || is_ended || is_done || (is_over && is_same),
                  "work %d, allocation %ld: status %x, the same: %d, said %.*s", _i, n, cut.status,
                  is_same, (int)cut.error_size, cut.error);
    if (is_over) {
      return;
    }
  }
  ck_abort_msg("no end of allocations");
}
END_TEST

int main(void) {
  struct error error;
  uint8_t digest[DIGEST_SIZE];
  memory_guard();
  /* libcrypto sets itself up at its first use; 3.0 does not survive running out meanwhile. */
  digest_close(digest_open());
  digest_of(span_text("x"), digest);
  if (schemas_open(NULL, &schemas, &error) != STATUS_OK ||
      config_load(&config, NULL, NULL, NULL, &error) != STATUS_OK) {
    return EXIT_FAILURE;
  }
  Suite *const suite = suite_create("memory");
  TCase *const cases = tcase_create("memory");
  tcase_set_timeout(cases, 600);
  tcase_add_loop_test(cases, running_out_of_memory_is_an_end_with_a_word, 0, (int)COUNT_OF(works));
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  schemas_close(schemas);
  config_fini(&config);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
