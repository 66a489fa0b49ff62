/* producers/store against a real server: what is committed is what is read back, and only by the
 * lane's owner. MUSTER_TEST_PG: a conninfo (key=value) of a user who may create databases; each
 * test makes its own and drops it. Without one the program skips (77). */
#include "core/time_text.h"
#include "producers/encode.h"
#include "producers/store.h"

#include <check.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LANE = 1, LANE_COUNT = 4, EXIT_SKIPPED = 77, DSN_SIZE = 1024, LINES_SIZE = 4096 };

#define AT_MS INT64_C(1793491200123)
#define PREFIX "muster."

static char dsn[DSN_SIZE];
static struct error error;

static PGconn *connect_to(const char *database) {
  char text[DSN_SIZE];
  snprintf(text, sizeof text, "%s dbname=%s", getenv("MUSTER_TEST_PG"), database);
  PGconn *const connection = PQconnectdb(text);
  ck_assert_msg(PQstatus(connection) == CONNECTION_OK, "%s", PQerrorMessage(connection));
  return connection;
}

static const char *database_name(void) {
  static char name[64];
  snprintf(name, sizeof name, "muster_check_%d", (int)getpid());
  return name;
}

static void administer(const char *format) {
  char sql[256];
  snprintf(sql, sizeof sql, format, database_name());
  PGconn *const connection = connect_to("postgres");
  PGresult *const result = PQexec(connection, sql);
  ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
  PQclear(result);
  PQfinish(connection);
}

static void make_database(void) {
  administer("CREATE DATABASE %s TEMPLATE template0");
  snprintf(dsn, sizeof dsn, "%s dbname=%s", getenv("MUSTER_TEST_PG"), database_name());
}

static void drop_database(void) {
  administer("DROP DATABASE %s WITH (FORCE)");
}

static void collect(void *context, const char *line) {
  char *const lines = context;
  const size_t used = strlen(lines);
  snprintf(lines + used, LINES_SIZE - used, "%s\n", line);
}

static void must(enum status status) {
  ck_assert_msg(status == STATUS_OK, "status %d: %s", (int)status, error.text);
}

static void migrate(void) {
  char lines[LINES_SIZE] = "";
  must(store_migrate(dsn, collect, lines, &error));
}

static void make_migrated_database(void) {
  make_database();
  migrate();
}

/* The first field of the first row. The caller frees it. */
static char *ask(const char *sql) {
  PGconn *const connection = connect_to(database_name());
  PGresult *const result = PQexec(connection, sql);
  ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql,
                PQerrorMessage(connection));
  char *const text = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
  PQclear(result);
  PQfinish(connection);
  return text;
}

static void answers(const char *sql, const char *expected) {
  char *const text = ask(sql);
  ck_assert_str_eq(text, expected);
  free(text);
}

static struct ownership_of_lane owner_of(uint8_t first_byte) {
  struct ownership_of_lane lane = {.lane = LANE};
  for (size_t i = 0; i < OWNER_SIZE; i++) {
    lane.owner[i] = (uint8_t)(first_byte + i);
  }
  return lane;
}

static struct store *take(struct ownership_of_lane *lane, struct lane_head *head) {
  struct store *store;
  must(store_open(dsn, &store, &error));
  must(store_take_lane(store, lane, LANE_COUNT, PREFIX, 0, head, &error));
  return store;
}

/* Everything that one commit is made of. */
struct sample {
  struct journal_row row;
  struct store_batch batch;
  struct buffer persons, devices, results, letters;
};

static const uint8_t subject[SUBJECT_SIZE] = {0xab, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                              13, 14};
static const struct topic_offset unbelieved[] = {{TOPIC_REPORTS, 7}, {TOPIC_CONTROL, 99}};

static struct cause sample_cause(uint64_t seq) {
  struct cause cause = {.offset = -1};
  if (seq % 2 == 1) {
    cause = (struct cause){.topic = TOPIC_REPORTS, .offset = (int64_t)seq + 1000};
    cause.has_event_id = true;
    memset(cause.event_id, (int)seq, EVENT_ID_SIZE);
    cause.traceparent = span_text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  }
  return cause;
}

static struct original sample_original(void) {
  return (struct original){.key = span_of("\xff\0key", 5),
                           .value = span_of("\0\1\2", 3),
                           .headers = span_of("\0\0\0\1h\xff\xff\xff\xff", 9),
                           .timestamp_ms = -1};
}

static void fill_dead_letter(struct result *result, enum reject_code code) {
  reject_set(&result->dead_letter.reject, code, STAGE_VALUE, "field 100%% odd at byte %d", 3);
  result->dead_letter.original = sample_original();
  if (code == REJECT_TOO_LARGE) {
    memset(result->dead_letter.original.value_sha256, 0x5a, 32);
    result->dead_letter.original.size_bytes = 1 << 21;
  }
}

/* A result of each kind, the highest bits of sets included. */
static struct result sample_result(enum result_kind kind, uint64_t seq) {
  struct result result = {.kind = kind, .seq = seq, .at_ms = AT_MS + (int64_t)seq,
                          .cause = sample_cause(seq), .policy = "default", .device_number = 6,
                          .serial = span_text("SN-6"), .has_subject = true};
  memcpy(result.subject, subject, SUBJECT_SIZE);
  switch (kind) {
  case RESULT_COMPLIANCE_CHANGE:
    result.change.compliance = COMPLIANCE_NONCOMPLIANT;
    result.change.violations = 0x80000005u;
    result.change.noncompliant_since_ms = AT_MS - 5;
    break;
  case RESULT_NOTIFICATION:
    result.notification.template_name = "noncompliant";
    break;
  case RESULT_ACCESS_DECISION:
    result.access.resource = "email";
    result.access.decision = ACCESS_BLOCK;
    result.access.reason = "noncompliant for 24 h";
    break;
  case RESULT_TICKET:
    result.ticket.action = TICKET_RESOLVE;
    result.ticket.episode = 3;
    break;
  case RESULT_LICENSE:
    result.license.action = LICENSE_RELEASE;
    break;
  case RESULT_AUDIT:
    result.audit.actor = "muster";
    result.audit.action = AUDIT_REMOTE_TASK;
    result.audit.target = span_text("SN-new");
    result.audit.outcome = OUTCOME_REFUSED;
    result.audit.reason = "platform";
    result.device_number = 0;
    result.serial = span_of("", 0);
    result.has_subject = false;
    memset(result.subject, 0, SUBJECT_SIZE);
    break;
  case RESULT_DEAD_LETTER:
    fill_dead_letter(&result, seq % 2 == 1 ? REJECT_MALFORMED : REJECT_TOO_LARGE);
    result.device_number = 0;
    break;
  case RESULT_ACTION:
  case RESULT_KIND_COUNT:
    ck_abort();
  }
  return result;
}

static struct device_image sample_device(uint64_t number, const char *serial) {
  struct device_image image = {.number = number, .lane = LANE, .serial = span_text(serial),
                               .os_version = span_text("14.1 \xc3\xa4"), .is_changed = true,
                               .enrollment_ids = span_of("0123456789abcdefFEDCBA9876543210", 32),
                               .seq = 9, .at_ms = AT_MS, .cause = sample_cause(7),
                               .policy = "default", .next_due_at_ms = AT_MS + 1000,
                               .next_action = "block"};
  memcpy(image.subject, subject, SUBJECT_SIZE);
  image.state = (struct device){.episode = 2, .screen_lock_pin_length = -1,
                                .has_screen_lock_pin_length = true, .pending_since_ms = AT_MS - 9,
                                .last_sync_at_ms = AT_MS - 1, .noncompliant_since_ms = AT_MS - 2,
                                .antivirus_signatures_at_ms = TIME_NONE, .violations = 6,
                                .platform = PLATFORM_LINUX, .profile = PROFILE_EXECUTIVE,
                                .ownership = OWNERSHIP_PERSONAL, .status = DEVICE_ENROLLED,
                                .compliance = COMPLIANCE_NONCOMPLIANT, .stage = STAGE_BLOCKED,
                                .antivirus_enabled = TRI_FALSE, .disk_encrypted = TRI_TRUE,
                                .email_blocked = true, .ticket_open = true};
  return image;
}

static struct journal_row sample_row(uint64_t batch, uint64_t first_seq, uint64_t last_seq) {
  struct journal_row row = {.lane = LANE, .batch = batch, .first_seq = first_seq,
                            .last_seq = last_seq, .clock_before_ms = TIME_NONE,
                            .clock_after_ms = AT_MS, .not_believed = unbelieved,
                            .not_believed_count = COUNT_OF(unbelieved), .message_count = 11,
                            .dead_letter_count = 12, .timer_count = 13, .device_count = 14,
                            .timer = {true, AT_MS - 7, 6, 1}};
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    row.ranges[i] = (struct offset_range){(int64_t)i * 10, (int64_t)i * 10 + 5};
    memset(row.last_message[i], (int)i, DIGEST_SIZE);
  }
  memset(row.environment, 0xe0, DIGEST_SIZE);
  memset(row.inputs, 0x11, DIGEST_SIZE);
  memset(row.results, 0x22, DIGEST_SIZE);
  memset(row.chain, (int)batch, DIGEST_SIZE);
  return row;
}

static const enum result_kind kinds[] = {
    RESULT_COMPLIANCE_CHANGE, RESULT_NOTIFICATION, RESULT_ACCESS_DECISION, RESULT_TICKET,
    RESULT_LICENSE,           RESULT_AUDIT,        RESULT_DEAD_LETTER,     RESULT_DEAD_LETTER,
};

/* A batch with `count` results of every kind in turn and one device. */
static void sample_init(struct sample *sample, const struct ownership_of_lane *lane,
                        uint64_t batch, uint64_t first_seq, size_t count) {
  *sample = (struct sample){.row = sample_row(batch, first_seq, first_seq + count - 1)};
  for (size_t i = 0; i < count; i++) {
    const struct result result = sample_result(kinds[i % COUNT_OF(kinds)], first_seq + i);
    store_append_result(&sample->results, &sample->letters, LANE, batch, &result);
  }
  const struct device_image image = sample_device(6, "SN-6");
  store_append_device(&sample->devices, batch, &image);
  store_append_person(&sample->persons, subject, span_text("anna@example.org"));
  store_append_person(&sample->persons, subject, span_text("Anna@example.org"));
  sample->batch = (struct store_batch){.lane = lane, .committed_at_ms = AT_MS + 50,
                                       .persons = buffer_span(&sample->persons),
                                       .devices = buffer_span(&sample->devices),
                                       .results = buffer_span(&sample->results),
                                       .letters = buffer_span(&sample->letters)};
}

static void sample_fini(struct sample *sample) {
  buffer_fini(&sample->persons);
  buffer_fini(&sample->devices);
  buffer_fini(&sample->results);
  buffer_fini(&sample->letters);
}

static enum status commit(struct store *store, struct sample *sample) {
  sample->batch.row = &sample->row;
  enum status status = store_commit_begin(store, &sample->batch, &error);
  bool done = false;
  while (status == STATUS_OK && !done) {
    status = store_advance(store, &done, &error);
    if (status == STATUS_OK && !done) {
      struct pollfd fd = {.fd = store_fd(store), .events = POLLIN};
      fd.events = (short)(fd.events | (store_wants_write(store) ? POLLOUT : 0));
      ck_assert_int_gt(poll(&fd, 1, 10000), 0);
    }
  }
  return status;
}

START_TEST(migrate_twice_does_it_once) {
  char lines[LINES_SIZE] = "";
  must(store_migrate(dsn, collect, lines, &error));
  ck_assert_ptr_nonnull(strstr(lines, "applied 0001_init\n"));
  ck_assert_ptr_nonnull(strstr(lines, "privacy.subject_key_file"));
  uint8_t key[SUBJECT_KEY_SIZE];
  uint8_t again[SUBJECT_KEY_SIZE];
  must(store_subject_key(dsn, key, &error));
  lines[0] = '\0';
  must(store_migrate(dsn, collect, lines, &error));
  ck_assert_ptr_nonnull(strstr(lines, "up to date: 0001_init\n"));
  ck_assert_ptr_nonnull(strstr(lines, "kept existing roles: muster_owner, muster_writer, "
                                      "muster_reader, muster_auditor, muster_admin\n"));
  ck_assert_ptr_null(strstr(lines, "applied"));
  must(store_subject_key(dsn, again, &error));
  ck_assert_mem_eq(key, again, sizeof key);
  answers("SELECT count(*) FROM muster.migrations", "1");
}
END_TEST

START_TEST(open_without_migration_names_the_command) {
  struct store *store;
  ck_assert_int_eq(store_open(dsn, &store, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "muster migrate"));
}
END_TEST

START_TEST(open_tells_what_is_out_of_reach) {
  struct store *store;
  char wrong[DSN_SIZE + 32];
  snprintf(wrong, sizeof wrong, "%s dbname=no_such_database", getenv("MUSTER_TEST_PG"));
  ck_assert_int_eq(store_open(wrong, &store, &error), STATUS_UNAVAILABLE);
  ck_assert_ptr_nonnull(strstr(error.text, "no_such_database"));
  ck_assert_int_eq(store_open("host=127.0.0.1 port=1", &store, &error), STATUS_UNAVAILABLE);
  ck_assert_int_eq(store_open("hots=127.0.0.1", &store, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "hots"));
}
END_TEST

static void count_device(void *context, const struct device_image *device, struct span email) {
  (void)device;
  (void)email;
  ++*(int *)context;
}

START_TEST(take_begins_at_nothing_and_raises_the_epoch) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  ck_assert_int_eq(lane.epoch, 1);
  ck_assert(!head.has_row);
  ck_assert_uint_eq(head.published_batch, 0);
  int count = 0;
  must(store_load_devices(store, LANE, count_device, &count, &error));
  ck_assert_int_eq(count, 0);
  answers("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'muster lane 1'", "1");
  store_close(store);

  must(store_open(dsn, &store, &error));
  must(store_take_lane(store, &lane, LANE_COUNT, PREFIX, 40, &head, &error));
  ck_assert_int_eq(lane.epoch, 41);
  store_close(store);
}
END_TEST

START_TEST(take_refuses_other_topics) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const first = take(&lane, &head);
  struct store *second;
  must(store_open(dsn, &second, &error));
  struct ownership_of_lane other = owner_of(50);
  other.lane = 5;
  ck_assert_int_eq(store_take_lane(second, &other, 6, PREFIX, 0, &head, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "6 partitions"));
  ck_assert_ptr_nonnull(strstr(error.text, "4 lanes"));
  store_close(second);
  must(store_open(dsn, &second, &error));
  other.lane = LANE;
  ck_assert_int_eq(store_take_lane(second, &other, LANE_COUNT, "it's.", 0, &head, &error),
                   STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "it's."));
  store_close(second);

  struct sample sample; /* and the owner has lost nothing by it */
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(first, &sample));
  sample_fini(&sample);
  store_close(first);
}
END_TEST

/* What a replay must bring, one call after the other. */
struct expected {
  int row_count, environment_count, result_count, device_count;
};

static void check_row(void *context, const struct journal_row *row,
                      const struct journal_witness *witness) {
  struct expected *const seen = context;
  ck_assert_int_eq(seen->result_count, seen->row_count == 0 ? 0 : 8);
  const uint64_t batch = (uint64_t)++seen->row_count;
  const struct journal_row expected =
      batch == 1 ? sample_row(1, 1, 8) : sample_row(2, 9, 8);
  ck_assert_uint_eq(row->not_believed_count, expected.not_believed_count);
  for (size_t i = 0; i < row->not_believed_count; i++) {
    ck_assert_int_eq(row->not_believed[i].topic, unbelieved[i].topic);
    ck_assert_int_eq(row->not_believed[i].offset, unbelieved[i].offset);
  }
  struct journal_row copy = *row;
  copy.not_believed = expected.not_believed;
  ck_assert_mem_eq(copy.chain, expected.chain, DIGEST_SIZE);
  ck_assert_mem_eq(copy.last_message, expected.last_message, sizeof copy.last_message);
  ck_assert_mem_eq(copy.ranges, expected.ranges, sizeof copy.ranges);
  ck_assert_mem_eq(&copy.message_count, &expected.message_count,
                   sizeof copy - offsetof(struct journal_row, message_count));
  ck_assert_uint_eq(copy.first_seq, expected.first_seq);
  ck_assert_uint_eq(copy.last_seq, expected.last_seq);
  ck_assert_int_eq(copy.clock_before_ms, expected.clock_before_ms);
  ck_assert_int_eq(copy.clock_after_ms, expected.clock_after_ms);
  ck_assert(copy.timer.is_set);
  ck_assert_int_eq(copy.timer.due_at_ms, expected.timer.due_at_ms);
  ck_assert_uint_eq(copy.timer.device_number, expected.timer.device_number);
  ck_assert_uint_eq(copy.timer.kind, expected.timer.kind);
  ck_assert_int_eq(witness->epoch, 1);
  ck_assert_mem_eq(witness->owner, owner_of(1).owner, OWNER_SIZE);
  ck_assert_int_eq(witness->committed_at_ms, AT_MS + 50);
}

static void check_environment(void *context, const struct journal_row *row,
                              const struct journal_witness *witness, struct span content) {
  struct expected *const seen = context;
  seen->environment_count++;
  ck_assert_uint_eq(row->batch, 1);
  ck_assert_int_eq(witness->epoch, 1);
  ck_assert(span_equal(content, span_text("{\"it's\": \"\xc3\xa4\"}")));
}

static void check_cause(const struct cause *cause, const struct cause *expected) {
  ck_assert_int_eq(cause->offset, expected->offset);
  ck_assert_int_eq(cause->topic, expected->topic);
  ck_assert(cause->has_event_id == expected->has_event_id);
  ck_assert_mem_eq(cause->event_id, expected->event_id, EVENT_ID_SIZE);
  ck_assert(span_equal(cause->traceparent, expected->traceparent));
}

static void check_dead_letter(const struct result *result, const struct result *expected) {
  const struct original *const found = &result->dead_letter.original;
  const struct original *const original = &expected->dead_letter.original;
  const bool is_whole = expected->dead_letter.reject.code != REJECT_TOO_LARGE;
  ck_assert_int_eq(result->dead_letter.reject.code, expected->dead_letter.reject.code);
  ck_assert_int_eq(result->dead_letter.reject.stage, expected->dead_letter.reject.stage);
  ck_assert_str_eq(result->dead_letter.reject.text, expected->dead_letter.reject.text);
  ck_assert(!found->key_is_null && span_equal(found->key, original->key));
  ck_assert_uint_eq(found->value.size, is_whole ? original->value.size : 0);
  ck_assert(!is_whole || span_equal(found->value, original->value));
  ck_assert_uint_eq(found->headers.size, is_whole ? original->headers.size : 0);
  ck_assert(!is_whole || span_equal(found->headers, original->headers));
  ck_assert_int_eq(found->timestamp_ms, original->timestamp_ms);
  ck_assert_mem_eq(found->value_sha256, original->value_sha256, 32);
  ck_assert_uint_eq(found->size_bytes, original->size_bytes);
}

static void check_detail(const struct result *result, const struct result *expected) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    ck_assert_int_eq(result->change.compliance, expected->change.compliance);
    ck_assert_uint_eq(result->change.violations, expected->change.violations);
    ck_assert_int_eq(result->change.noncompliant_since_ms, expected->change.noncompliant_since_ms);
    break;
  case RESULT_NOTIFICATION:
    ck_assert_str_eq(result->notification.template_name, "noncompliant");
    break;
  case RESULT_ACCESS_DECISION:
    ck_assert_str_eq(result->access.resource, expected->access.resource);
    ck_assert_int_eq(result->access.decision, expected->access.decision);
    ck_assert_str_eq(result->access.reason, expected->access.reason);
    break;
  case RESULT_TICKET:
    ck_assert_int_eq(result->ticket.action, expected->ticket.action);
    ck_assert_uint_eq(result->ticket.episode, expected->ticket.episode);
    ck_assert_uint_eq(result->ticket.violations, expected->ticket.violations);
    break;
  case RESULT_LICENSE:
    ck_assert_int_eq(result->license.action, expected->license.action);
    break;
  case RESULT_AUDIT:
    ck_assert_str_eq(result->audit.actor, expected->audit.actor);
    ck_assert_int_eq(result->audit.action, expected->audit.action);
    ck_assert(span_equal(result->audit.target, expected->audit.target));
    ck_assert_int_eq(result->audit.outcome, expected->audit.outcome);
    ck_assert_str_eq(result->audit.reason, expected->audit.reason);
    break;
  case RESULT_DEAD_LETTER:
    check_dead_letter(result, expected);
    break;
  case RESULT_ACTION:
  case RESULT_KIND_COUNT:
    ck_abort();
  }
}

static void check_result(void *context, const struct result *result, struct span user_email) {
  struct expected *const seen = context;
  ck_assert_int_eq(seen->row_count, 1);
  const uint64_t seq = (uint64_t)++seen->result_count;
  const struct result expected = sample_result(kinds[seq - 1], seq);
  ck_assert_int_eq(result->kind, expected.kind);
  ck_assert_uint_eq(result->seq, seq);
  ck_assert_int_eq(result->at_ms, expected.at_ms);
  ck_assert_str_eq(result->policy, expected.policy);
  ck_assert_uint_eq(result->device_number, expected.device_number);
  ck_assert(span_equal(result->serial, expected.serial));
  ck_assert(result->has_subject == expected.has_subject);
  ck_assert_mem_eq(result->subject, expected.subject, SUBJECT_SIZE);
  ck_assert(span_equal(user_email, span_text(expected.has_subject ? "anna@example.org" : "")));
  check_cause(&result->cause, &expected.cause);
  check_detail(result, &expected);
}

static void check_device(void *context, const struct device_image *device, struct span email) {
  struct expected *const seen = context;
  seen->device_count++;
  const struct device_image expected = sample_device(6, "SN-6");
  ck_assert_uint_eq(device->number, 6);
  ck_assert_uint_eq(device->lane, LANE);
  ck_assert(span_equal(device->serial, expected.serial));
  ck_assert(span_equal(device->os_version, expected.os_version));
  ck_assert(span_equal(device->enrollment_ids, expected.enrollment_ids));
  ck_assert(span_equal(email, span_text("anna@example.org")));
  ck_assert_mem_eq(device->subject, subject, SUBJECT_SIZE);
  ck_assert_mem_eq(&device->state, &expected.state, sizeof expected.state);
  ck_assert_int_eq(device->next_due_at_ms, expected.next_due_at_ms);
  ck_assert_str_eq(device->next_action, expected.next_action);
  ck_assert(device->is_changed);
  ck_assert_uint_eq(device->seq, expected.seq);
  ck_assert_int_eq(device->at_ms, expected.at_ms);
  ck_assert_str_eq(device->policy, expected.policy);
  check_cause(&device->cause, &expected.cause);
}

/* Two batches: the first with an environment, the second decided nothing. */
static void commit_two(struct store *store, const struct ownership_of_lane *lane) {
  struct sample sample;
  sample_init(&sample, lane, 1, 1, COUNT_OF(kinds));
  sample.batch.environment = span_text("{\"it's\": \"\xc3\xa4\"}");
  must(commit(store, &sample));
  sample_fini(&sample);
  sample = (struct sample){.row = sample_row(2, 9, 8)};
  sample.batch = (struct store_batch){.lane = lane, .committed_at_ms = AT_MS + 50};
  must(commit(store, &sample));
}

START_TEST(unpublished_reads_back_what_was_committed) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *store = take(&lane, &head);
  commit_two(store, &lane);
  store_close(store);

  struct ownership_of_lane successor = owner_of(60);
  store = take(&successor, &head);
  ck_assert(head.has_row);
  ck_assert_uint_eq(head.row.batch, 2);
  ck_assert_uint_eq(head.row.device_count, 14);
  ck_assert_uint_eq(head.row.not_believed_count, 0);
  struct expected seen = {0};
  const struct store_replay replay = {&seen, check_row, check_environment, check_result,
                                      check_device};
  must(store_load_unpublished(store, LANE, 0, &replay, &error));
  ck_assert_int_eq(seen.row_count, 2);
  ck_assert_int_eq(seen.environment_count, 1);
  ck_assert_int_eq(seen.result_count, COUNT_OF(kinds));
  ck_assert_int_eq(seen.device_count, 1);
  must(store_load_devices(store, LANE, check_device, &seen, &error));
  ck_assert_int_eq(seen.device_count, 2);
  int count = 0;
  must(store_load_devices(store, LANE + 1, count_device, &count, &error));
  ck_assert_int_eq(count, 0);
  seen = (struct expected){0};
  must(store_load_unpublished(store, LANE, 2, &replay, &error));
  ck_assert_int_eq(seen.row_count + seen.device_count, 0);
  store_close(store);
}
END_TEST

START_TEST(commit_lets_go_of_published_letters) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  for (uint64_t batch = 1; batch <= 2; batch++) {
    sample_init(&sample, &lane, batch, batch * 8 - 7, COUNT_OF(kinds));
    sample.batch.published_batch = batch - 1;
    must(commit(store, &sample));
    sample_fini(&sample);
  }
  answers("SELECT count(*) || ' ' || min(batch) FROM muster.letter", "2 2");
  answers("SELECT published_batch FROM muster.lane", "1");
  store_close(store);
}
END_TEST

START_TEST(device_row_keeps_its_last_change) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 1);
  must(commit(store, &sample));
  buffer_clear(&sample.devices);
  struct device_image image = sample_device(6, "SN-6");
  image.is_changed = false;
  image.policy = NULL;
  image.seq = 77;
  image.state.last_sync_at_ms = AT_MS + 100;
  store_append_device(&sample.devices, 2, &image);
  sample.row = sample_row(2, 2, 1);
  sample.batch = (struct store_batch){.lane = &lane, .devices = buffer_span(&sample.devices)};
  must(commit(store, &sample));
  answers("SELECT concat_ws(' ', batch, changed_batch, seq, policy, cause_offset, at = "
          "'2026-11-01 00:00:00.123Z', last_sync_at = '2026-11-01 00:00:00.223Z') "
          "FROM muster.device_row", "2 1 9 default 1007 t t");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

START_TEST(commit_of_a_stale_owner_is_fenced) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 8);
  must(commit(store, &sample));
  sample_fini(&sample);

  /* The successor cannot end what runs under another process id: this one survives. */
  free(ask("UPDATE muster.lane SET owner_started_at = owner_started_at - interval '1 s' "
           "RETURNING 1"));
  struct ownership_of_lane successor = owner_of(60);
  struct store *const second = take(&successor, &head);
  ck_assert_int_eq(successor.epoch, 2);
  ck_assert_uint_eq(head.row.batch, 1);
  sample_init(&sample, &lane, 2, 9, 8);
  ck_assert_int_eq(commit(store, &sample), STATUS_FENCED);
  ck_assert_ptr_nonnull(strstr(error.text, "lane 1 is owned by epoch 2"));
  sample_fini(&sample);
  answers("SELECT count(*) || ' ' || (SELECT count(*) FROM muster.journal_row) "
          "FROM muster.result_row", "8 1");
  sample_init(&sample, &successor, 2, 9, 8);
  must(commit(second, &sample));
  sample_fini(&sample);
  store_close(store);
  store_close(second);
}
END_TEST

START_TEST(take_ends_an_owner_that_holds_the_lock) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 40000);
  sample.batch.row = &sample.row;
  must(store_commit_begin(store, &sample.batch, &error));
  bool done = false;
  for (int i = 0; i < 100 && !done; i++) { /* gets behind the fence, then stands still */
    must(store_advance(store, &done, &error));
    char *const held = ask("SELECT count(*) FROM pg_locks WHERE relation = "
                           "'muster.result_row'::regclass AND mode = 'RowExclusiveLock'");
    const bool is_held = strcmp(held, "0") != 0;
    free(held);
    if (is_held) {
      break;
    }
  }
  ck_assert(!done);

  struct timespec before;
  struct timespec after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  struct ownership_of_lane successor = owner_of(60);
  struct store *const second = take(&successor, &head);
  clock_gettime(CLOCK_MONOTONIC, &after);
  ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000 +
                       (after.tv_nsec - before.tv_nsec) / 1000000, 2000);
  ck_assert(!head.has_row);
  enum status status = STATUS_OK;
  while (status == STATUS_OK && !done) {
    struct pollfd fd = {.fd = store_fd(store), .events = POLLIN};
    poll(&fd, 1, 100);
    status = store_advance(store, &done, &error);
  }
  ck_assert_int_eq(status, STATUS_UNAVAILABLE);
  ck_assert_msg(strstr(error.text, "57P01") != NULL, "%s", error.text);
  answers("SELECT count(*) FROM muster.result_row", "0");
  sample_fini(&sample);
  store_close(store);
  store_close(second);
}
END_TEST

START_TEST(commit_of_a_wrong_row_is_refused_whole) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  struct sample sample;
  sample_init(&sample, &lane, 1, 1, 8);
  must(commit(store, &sample));
  sample.row.batch = 2; /* the same results again */
  ck_assert_int_eq(commit(store, &sample), STATUS_REFUSED);
  ck_assert_ptr_nonnull(strstr(error.text, "23505"));
  answers("SELECT count(*) FROM muster.journal_row", "1");
  sample_fini(&sample);
  store_close(store);
}
END_TEST

static void check_view(const char *name, const char *columns) {
  char sql[512];
  snprintf(sql, sizeof sql, "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM "
           "information_schema.columns WHERE table_schema = 'muster' AND table_name = '%s'", name);
  answers(sql, columns);
}

START_TEST(views_have_the_columns_of_the_contract) {
  check_view("devices", "device_id serial user_email subject platform profile ownership os_version "
             "status compliance violations noncompliant_since email_blocked sap_blocked "
             "ticket_open overdue_since last_sync_at next_action next_action_at lane seq at cause "
             "event_id policy");
  check_view("compliance_history", "lane seq at cause event_id policy subject device_id serial "
             "compliance violations noncompliant_since");
  check_view("results", "lane seq at topic key device_id value");
  check_view("journal", "kind lane batch first_seq last_seq clock_before clock_after ranges "
             "not_believed cursors environment counts digests epoch owner committed_at content");
  check_view("audit", "lane seq at cause event_id policy subject actor action target outcome "
             "reason device_id serial key");
}
END_TEST

START_TEST(views_tell_what_was_committed) {
  struct ownership_of_lane lane = owner_of(1);
  struct lane_head head;
  struct store *const store = take(&lane, &head);
  commit_two(store, &lane);
  store_close(store);
  answers("SELECT concat_ws('|', device_id, user_email, platform, status, compliance, violations, "
          "noncompliant_since AT TIME ZONE 'UTC', next_action, cause, event_id) "
          "FROM muster.devices",
          "D006|anna@example.org|LINUX|ENROLLED|NONCOMPLIANT|{antivirus,not_encrypted}|"
          "2026-11-01 00:00:00.121|block|{\"topic\": \"muster.compliance-reports\", \"offset\": "
          "1007, \"partition\": 1}|07070707-0707-0707-0707-070707070707");
  answers("SELECT concat_ws('|', seq, subject, device_id, compliance, violations) "
          "FROM muster.compliance_history",
          "1|abcd0102030405060708090a0b0c0d0e|D006|NONCOMPLIANT|{os_out_of_date,not_encrypted}");
  answers("SELECT concat_ws('|', seq, actor, action, target, outcome, reason, key) "
          "FROM muster.audit", "6|muster|REMOTE_TASK|SN-new|REFUSED|platform|1");
  answers("SELECT string_agg(topic || ' ' || coalesce(key, '-'), ',' ORDER BY seq) "
          "FROM muster.results",
          "muster.compliance-changes D006,muster.notifications D006,"
          "muster.access-decisions D006,muster.tickets D006,muster.licenses D006,"
          "muster.audit 1,muster.dead-letters -,muster.dead-letters -");
  answers("SELECT value FROM muster.results WHERE seq = 4",
          "{\"at\": \"2026-11-01T00:00:00.127Z\", \"seq\": 4, \"lane\": 1, \"cause\": null, "
          "\"action\": \"RESOLVE\", \"policy\": \"default\", \"serial\": \"SN-6\", \"subject\": "
          "\"abcd0102030405060708090a0b0c0d0e\", \"event_id\": null, \"device_id\": \"D006\", "
          "\"violations\": [], \"correlation_id\": \"D006/3\"}");
  answers("SELECT value->>'user_email' FROM muster.results WHERE seq = 2", "anna@example.org");
  answers("SELECT count(*) FROM muster.results WHERE value IS NULL", "2");
  answers("SELECT string_agg(kind || batch || coalesce(content, ''), ' ' ORDER BY batch, kind DESC)"
          " FROM muster.journal", "ENVIRONMENT1{\"it's\": \"\xc3\xa4\"} BATCH1 BATCH2");
  answers("SELECT concat_ws('|', ranges->4, not_believed->0, cursors, counts->'results', owner) "
          "FROM muster.journal WHERE kind = 'BATCH' AND batch = 1",
          "{\"to\": 45, \"from\": 40, \"topic\": \"muster.compliance-reports\"}|{\"topic\": "
          "\"muster.compliance-reports\", \"offset\": 7}|{\"timer\": {\"kind\": 1, \"due_at\": "
          "\"2026-11-01T00:00:00.116Z\", \"device_number\": 6}}|8|"
          "0102030405060708090a0b0c0d0e0f10");
  answers("SELECT jsonb_array_length(digests->'last_messages') FROM muster.journal "
          "WHERE kind = 'BATCH' AND batch = 1", "4");
}
END_TEST

START_TEST(what_an_auditor_reads_cannot_be_changed) {
  PGconn *const connection = connect_to(database_name());
  static const char *const changes[] = {"DELETE FROM muster.result_row",
                                        "UPDATE muster.journal_row SET batch = 1",
                                        "TRUNCATE muster.environment"};
  for (size_t i = 0; i < COUNT_OF(changes); i++) {
    PGresult *const result = PQexec(connection, changes[i]);
    ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "MU003");
    PQclear(result);
  }
  PQfinish(connection);
}
END_TEST

int main(void) {
  if (getenv("MUSTER_TEST_PG") == NULL) {
    printf("skipped: MUSTER_TEST_PG names no server\n");
    return EXIT_SKIPPED;
  }
  Suite *const suite = suite_create("store");
  TCase *const empty = tcase_create("an empty database");
  tcase_add_checked_fixture(empty, make_database, drop_database);
  tcase_add_test(empty, migrate_twice_does_it_once);
  tcase_add_test(empty, open_without_migration_names_the_command);
  tcase_add_test(empty, open_tells_what_is_out_of_reach);
  TCase *const tests = tcase_create("a migrated database");
  tcase_add_checked_fixture(tests, make_migrated_database, drop_database);
  tcase_add_test(tests, take_begins_at_nothing_and_raises_the_epoch);
  tcase_add_test(tests, take_refuses_other_topics);
  tcase_add_test(tests, unpublished_reads_back_what_was_committed);
  tcase_add_test(tests, commit_lets_go_of_published_letters);
  tcase_add_test(tests, device_row_keeps_its_last_change);
  tcase_add_test(tests, commit_of_a_stale_owner_is_fenced);
  tcase_add_test(tests, take_ends_an_owner_that_holds_the_lock);
  tcase_add_test(tests, commit_of_a_wrong_row_is_refused_whole);
  tcase_add_test(tests, views_have_the_columns_of_the_contract);
  tcase_add_test(tests, views_tell_what_was_committed);
  tcase_add_test(tests, what_an_auditor_reads_cannot_be_changed);
  tcase_set_timeout(empty, 60);
  tcase_set_timeout(tests, 60);
  suite_add_tcase(suite, empty);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
