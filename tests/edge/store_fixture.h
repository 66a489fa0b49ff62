/* What the checks of producers/store share: a database of their own, and batches to commit.
 * MUSTER_TEST_PG: a conninfo (key=value) of a user who may create databases; each test makes its
 * own and drops it. Without one a check skips (77). */
#ifndef MUSTER_TESTS_EDGE_STORE_FIXTURE_H
#define MUSTER_TESTS_EDGE_STORE_FIXTURE_H

#include "producers/encode.h"
#include "producers/store.h"

#include <check.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
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

static inline const char *database_name(void) {
  static char name[64];
  snprintf(name, sizeof name, "muster_check_%d", (int)getpid());
  return name;
}

static inline void administer(const char *format) {
  char sql[256];
  snprintf(sql, sizeof sql, format, database_name());
  PGconn *const connection = connect_to("postgres");
  PGresult *const result = PQexec(connection, sql);
  ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(connection));
  PQclear(result);
  PQfinish(connection);
}

static inline void make_database(void) {
  administer("CREATE DATABASE %s TEMPLATE template0");
  snprintf(dsn, sizeof dsn, "%s dbname=%s", getenv("MUSTER_TEST_PG"), database_name());
}

static inline void drop_database(void) {
  administer("DROP DATABASE %s WITH (FORCE)");
}

static inline void collect(void *context, const char *line) {
  char *const lines = context;
  const size_t used = strlen(lines);
  snprintf(lines + used, LINES_SIZE - used, "%s\n", line);
}

static inline void must(enum status status) {
  ck_assert_msg(status == STATUS_OK, "status %d: %s", (int)status, error.text);
}

static inline void migrate(void) {
  char lines[LINES_SIZE] = "";
  must(store_migrate(dsn, true, collect, lines, &error));
}

static inline void make_migrated_database(void) {
  make_database();
  migrate();
}

/* The first field of the first row. The caller frees it. */
static inline char *ask(const char *sql) {
  PGconn *const connection = connect_to(database_name());
  PGresult *const result = PQexec(connection, sql);
  ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql,
                PQerrorMessage(connection));
  char *const text = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
  PQclear(result);
  PQfinish(connection);
  return text;
}

static inline void answers(const char *sql, const char *expected) {
  char *const text = ask(sql);
  ck_assert_str_eq(text, expected);
  free(text);
}

static inline struct ownership_of_lane owner_of(uint8_t first_byte) {
  struct ownership_of_lane lane = {.lane = LANE};
  for (size_t i = 0; i < OWNER_SIZE; i++) {
    lane.owner[i] = (uint8_t)(first_byte + i);
  }
  return lane;
}

static inline struct store *take(struct ownership_of_lane *lane, struct lane_head *head) {
  struct store *store;
  must(store_open(dsn, &store, &error));
  must(store_take_lane(store, lane, LANE_COUNT, PREFIX, 0, head, &error));
  return store;
}

/* Everything that one commit is made of. */
struct sample {
  struct journal_row row;
  struct store_batch batch;
  struct buffer persons, devices, blocks, results, letters;
};

static const uint8_t subject[SUBJECT_SIZE] = {0xab, 0xcd, 1, 2,  3,  4,  5,  6,
                                              7,    8,    9, 10, 11, 12, 13, 14};
static const struct topic_offset unbelieved[] = {{TOPIC_REPORTS, 7}, {TOPIC_CONTROL, 99}};

static inline struct cause sample_cause(uint64_t seq) {
  struct cause cause = {.offset = -1};
  if (seq % 2 == 1) {
    cause = (struct cause){.topic = TOPIC_REPORTS, .offset = (int64_t)seq + 1000};
    cause.has_event_id = true;
    memset(cause.event_id, (int)seq, EVENT_ID_SIZE);
    cause.traceparent = span_text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  }
  return cause;
}

static inline struct original sample_original(void) {
  return (struct original){.key = span_of("\xff\0key", 5),
                           .value = span_of("\0\1\2", 3),
                           .headers = span_of("\0\0\0\1h\xff\xff\xff\xff", 9),
                           .timestamp_ms = -1};
}

static inline void fill_dead_letter(struct result *result, enum reject_code code) {
  reject_set(&result->dead_letter.reject, code, STAGE_VALUE, "field 100%% odd at byte %d", 3);
  result->dead_letter.original = sample_original();
  if (code == REJECT_TOO_LARGE) {
    memset(result->dead_letter.original.value_sha256, 0x5a, 32);
    result->dead_letter.original.size_bytes = 1 << 21;
  }
}

/* A result of each kind, the highest bits of sets included. */
static inline struct result sample_result(enum result_kind kind, uint64_t seq) {
  struct result result = {.kind = kind,
                          .seq = seq,
                          .at_ms = AT_MS + (int64_t)seq,
                          .cause = sample_cause(seq),
                          .policy = "default",
                          .device_number = 6,
                          .serial = span_text("SN-6"),
                          .has_subject = true};
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
    result.ticket.action = TICKET_UPDATE;
    result.ticket.episode = 3;
    result.ticket.violations = 3;
    result.ticket.description = "One (a).\nTwo (b): \xc3\xa4.";
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
    result.action.action = seq % 2 == 1 ? ACTION_SYNC : ACTION_WIPE;
    result.action.is_selective = seq % 2 == 0;
    result.action.parameter = seq % 2 == 1 ? NULL : "reason";
    result.action.parameter_value = seq % 2 == 1 ? (struct span){0} : span_text("lost");
    break;
  case RESULT_KIND_COUNT:
    ck_abort();
  }
  return result;
}

static const struct wipe sample_wipe = {.reason = WIPE_BREACH,
                                        .asker = {0xaa, 1},
                                        .asked_at_ms = AT_MS - 20,
                                        .armed_at_ms = 0,
                                        .approver_count = 2,
                                        .approvers = {{0xbb, 2}, {0xcc, 3}}};

static inline struct device_image sample_device(uint64_t number, const char *serial) {
  struct device_image image = {.number = number,
                               .lane = LANE,
                               .serial = span_text(serial),
                               .os_version = span_text("14.1 \xc3\xa4"),
                               .is_changed = true,
                               .enrollment_ids = span_of("0123456789abcdefFEDCBA9876543210", 32),
                               .seq = 9,
                               .at_ms = AT_MS,
                               .cause = sample_cause(7),
                               .policy = "default",
                               .next_due_at_ms = AT_MS + 1000,
                               .next_timer = TIMER_KIND_BLOCK};
  memcpy(image.subject, subject, SUBJECT_SIZE);
  image.state = (struct device){.episode = 2,
                                .screen_lock_pin_length = -1,
                                .has_screen_lock_pin_length = true,
                                .pending_since_ms = AT_MS - 9,
                                .last_sync_at_ms = AT_MS - 1,
                                .noncompliant_since_ms = AT_MS - 2,
                                .antivirus_signatures_at_ms = TIME_NONE,
                                .violations = 6,
                                .platform = PLATFORM_LINUX,
                                .profile = PROFILE_EXECUTIVE,
                                .ownership = OWNERSHIP_PERSONAL,
                                .status = DEVICE_ENROLLED,
                                .compliance = COMPLIANCE_NONCOMPLIANT,
                                .stage = 2,
                                .antivirus_enabled = TRI_FALSE,
                                .disk_encrypted = TRI_TRUE,
                                .email_blocked = true,
                                .ticket_open = true,
                                .has_license = true,
                                .threat_level = 1 + THREAT_HIGH,
                                .threat_at_ms = AT_MS - 3,
                                .overdue_stage = 1,
                                .wipe = WIPE_UNAPPROVED};
  image.overdue_since_ms = AT_MS - 4;
  image.wipe = &sample_wipe;
  return image;
}

/* The block of a device, which is the last of it; the others have no dates. */
static inline struct device_block sample_block(const struct device_image *image) {
  const uint32_t index = (uint32_t)((image->number - 1) / LANE_COUNT);
  const uint32_t place = index % DEVICE_BLOCK_SIZE;
  struct device_block block = {
      .lane = image->lane, .number = index / DEVICE_BLOCK_SIZE, .count = place + 1};
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    for (uint32_t i = 0; i < place; i++) {
      block.at_ms[date][i] = TIME_NONE;
    }
  }
  block.at_ms[DATE_LAST_SYNC][place] = image->state.last_sync_at_ms;
  block.at_ms[DATE_ANTIVIRUS_SIGNATURES][place] = image->state.antivirus_signatures_at_ms;
  block.at_ms[DATE_THREAT][place] = image->state.threat_at_ms;
  block.at_ms[DATE_NEXT_DUE][place] = image->next_due_at_ms;
  block.next_timer[place] = (uint8_t)image->next_timer;
  return block;
}

static inline struct journal_row sample_row(uint64_t batch, uint64_t first_seq, uint64_t last_seq) {
  struct journal_row row = {.lane = LANE,
                            .batch = batch,
                            .first_seq = first_seq,
                            .last_seq = last_seq,
                            .clock_before_ms = TIME_NONE,
                            .clock_after_ms = AT_MS,
                            .not_believed = unbelieved,
                            .not_believed_count = COUNT_OF(unbelieved),
                            .message_count = 11,
                            .dead_letter_count = 12,
                            .timer_count = 13,
                            .device_count = 14,
                            .timer = {true, AT_MS - 7, 6, 1}};
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    row.ranges[i] = (struct offset_range){(int64_t)i * 10, (int64_t)i * 10 + 5};
    memset(row.last_message[i], (int)i, DIGEST_SIZE);
  }
  memset(row.environment, 0xe0, DIGEST_SIZE);
  memset(row.inputs, 0x11, DIGEST_SIZE);
  memset(row.results, 0x22, DIGEST_SIZE);
  memset(row.chain, (int)batch, DIGEST_SIZE);
  row.has_state = batch % 2 == 0;
  memset(row.state, row.has_state ? 0x33 : 0, DIGEST_SIZE);
  return row;
}

static const enum result_kind kinds[] = {
    RESULT_COMPLIANCE_CHANGE,
    RESULT_NOTIFICATION,
    RESULT_ACCESS_DECISION,
    RESULT_TICKET,
    RESULT_LICENSE,
    RESULT_AUDIT,
    RESULT_DEAD_LETTER,
    RESULT_DEAD_LETTER,
    RESULT_ACTION,
    RESULT_ACTION,
};

/* A batch with `count` results of every kind in turn and one device. */
static inline void sample_init(struct sample *sample, const struct ownership_of_lane *lane,
                               uint64_t batch, uint64_t first_seq, size_t count) {
  *sample = (struct sample){.row = sample_row(batch, first_seq, first_seq + count - 1)};
  for (size_t i = 0; i < count; i++) {
    const struct result result = sample_result(kinds[i % COUNT_OF(kinds)], first_seq + i);
    store_append_result(&sample->results, &sample->letters, LANE, batch, &result);
  }
  struct device_image image = sample_device(6, "SN-6");
  image.changed_batch = batch;
  store_append_device(&sample->devices, &image);
  const struct device_block block = sample_block(&image);
  store_append_block(&sample->blocks, &block);
  store_append_person(&sample->persons, subject, span_text("anna@example.org"));
  store_append_person(&sample->persons, subject, span_text("Anna@example.org"));
  sample->batch = (struct store_batch){.lane = lane,
                                       .committed_at_ms = AT_MS + 50,
                                       .persons = buffer_span(&sample->persons),
                                       .results = buffer_span(&sample->results),
                                       .letters = buffer_span(&sample->letters)};
  sample->batch.devices[batch == 1 ? NEW_DEVICES : KNOWN_DEVICES] = buffer_span(&sample->devices);
  sample->batch.devices[batch == 1 ? NEW_BLOCKS : KNOWN_BLOCKS] = buffer_span(&sample->blocks);
}

static inline void sample_fini(struct sample *sample) {
  buffer_fini(&sample->persons);
  buffer_fini(&sample->devices);
  buffer_fini(&sample->blocks);
  buffer_fini(&sample->results);
  buffer_fini(&sample->letters);
}

static inline enum status commit(struct store *store, struct sample *sample) {
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

static inline void count_device(void *context, const struct device_image *device,
                                struct span email) {
  (void)device;
  (void)email;
  ++*(int *)context;
}

/* Runs the tests of `suite`, or skips them for want of a server. */
static inline int run(Suite *suite) {
  SRunner *const runner = srunner_create(suite);
  int failed = 0;
  if (getenv("MUSTER_TEST_PG") != NULL) {
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
  } else {
    printf("skipped: MUSTER_TEST_PG names no server\n");
  }
  srunner_free(runner);
  if (getenv("MUSTER_TEST_PG") == NULL) {
    return EXIT_SKIPPED;
  }
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
