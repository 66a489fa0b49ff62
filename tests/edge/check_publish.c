/* producers/publish against a real broker (MUSTER_TEST_KAFKA=host:port; skipped without one).
 * The mock cluster does not fence, so it proves nothing here. */
#include "producers/publish.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LANES = 2, LANE = 1, SKIPPED = 77, MESSAGE_BYTES_MAX = 1048576 };

static const char *broker;
static char prefix[64];
static const char *const rule_ids[] = {"os_out_of_date", "antivirus", "not_encrypted",
                                       "weak_screen_lock"};

static rd_kafka_conf_t *a_conf(void) {
  char text[256];
  rd_kafka_conf_t *const conf = rd_kafka_conf_new();
  ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", broker, text, sizeof text),
                   RD_KAFKA_CONF_OK);
  return conf;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[256];
  ck_assert_msg(rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK, "%s",
                text);
}

/* Every test has topics of its own. */
static void create_topics(void) {
  static int serial;
  snprintf(prefix, sizeof prefix, "t%d-%d.", (int)getpid(), serial++);
  char text[256];
  rd_kafka_t *const client = rd_kafka_new(RD_KAFKA_PRODUCER, a_conf(), text, sizeof text);
  ck_assert_msg(client != NULL, "%s", text);
  rd_kafka_NewTopic_t *topics[RECORD_COUNT];
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix, record_topic_name(record));
    topics[record] = rd_kafka_NewTopic_new(name, LANES, 1, text, sizeof text);
  }
  rd_kafka_queue_t *const queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, topics, RECORD_COUNT, NULL, queue);
  rd_kafka_event_t *const event = rd_kafka_queue_poll(queue, 20000);
  ck_assert_ptr_nonnull(event);
  ck_assert_int_eq(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(event);
  rd_kafka_NewTopic_destroy_array(topics, RECORD_COUNT);
  rd_kafka_queue_destroy(queue);
  rd_kafka_destroy(client);
}

static struct publisher *open_publisher(void) {
  const struct publisher_options options = {.conf = a_conf(),
                                            .group_id = "muster",
                                            .topic_prefix = prefix,
                                            .lane = LANE,
                                            .message_bytes_max = MESSAGE_BYTES_MAX};
  struct publisher *publisher = NULL;
  struct error error = {0};
  const enum status status = publisher_open(&options, &publisher, &error);
  ck_assert_msg(status == STATUS_OK, "%s", error.text);
  return publisher;
}

static struct encoding an_encoding(void) {
  struct encoding encoding = {
      .topic_prefix = prefix, .lane = LANE, .message_bytes_max = MESSAGE_BYTES_MAX};
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    encoding.frames.of[record].size = 10;
    memcpy(encoding.frames.of[record].bytes, "\xc3\x01schemaid", 10);
  }
  return encoding;
}

static void add_license(struct buffer *records, uint64_t seq) {
  const struct encoding encoding = an_encoding();
  struct buffer canonical = {0};
  const struct result result = {.kind = RESULT_LICENSE,
                                .seq = seq,
                                .at_ms = INT64_C(1700000000000) + (int64_t)seq,
                                .cause = {.offset = -1},
                                .policy = "default",
                                .rules = {.ids = rule_ids, .count = COUNT_OF(rule_ids)},
                                .device_number = seq,
                                .serial = span_text("SN-1")};
  encode_result(&encoding, &result, span_text("ada@example.org"), records, &canonical);
  buffer_fini(&canonical);
}

static void add_journal(struct buffer *records, uint64_t batch, const char *environment) {
  const struct encoding encoding = an_encoding();
  const struct journal_row row = {.lane = LANE,
                                  .batch = batch,
                                  .first_seq = 1,
                                  .clock_before_ms = TIME_NONE,
                                  .clock_after_ms = INT64_C(1700000000000)};
  const struct journal_witness witness = {.epoch = (int64_t)batch + 1000,
                                          .committed_at_ms = INT64_C(1700000000000)};
  encode_journal(&encoding, &row, &witness, span_text(environment), records);
}

static enum status publish_one(struct publisher *publisher, const struct buffer *records,
                               struct error *error) {
  const struct span part = buffer_span(records);
  return publisher_publish(publisher, &part, 1, error);
}

static void publish(struct publisher *publisher, struct buffer *records) {
  struct error error = {0};
  const enum status status = publish_one(publisher, records, &error);
  ck_assert_msg(status == STATUS_OK, "%s", error.text);
  buffer_fini(records);
}

static void publish_batch(struct publisher *publisher, uint64_t batch) {
  struct buffer records = {0};
  add_license(&records, batch);
  add_journal(&records, batch, "");
  publish(publisher, &records);
}

/* A commit is answered before its markers are written: what it published shows soon after, or
 * when a later publisher has been opened. More than that never shows. */
static void assert_position(uint64_t batch) {
  struct journal_position position = {.found = false};
  for (int tries = 0; tries == 0 || (position.batch < batch && tries < 200); tries++) {
    struct error error = {0};
    usleep(tries == 0 ? 0 : 50000);
    const enum status status = journal_position_read(a_conf(), prefix, LANE, &position, &error);
    ck_assert_msg(status == STATUS_OK, "%s", error.text);
  }
  ck_assert_int_eq(position.found, batch != 0);
  ck_assert_uint_eq(position.batch, batch);
  ck_assert_int_eq(position.epoch, batch != 0 ? (int64_t)batch + 1000 : 0);
}

/* A committed reader at the start of a topic's partition LANE. */
struct reading {
  rd_kafka_t *client;
  rd_kafka_topic_t *topic;
};

static struct reading read_start(const char *topic) {
  char text[256];
  char name[256];
  rd_kafka_conf_t *const conf = a_conf();
  set(conf, "isolation.level", "read_committed");
  set(conf, "enable.partition.eof", "true");
  struct reading reading = {.client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text)};
  snprintf(name, sizeof name, "%s%s", prefix, topic);
  reading.topic = rd_kafka_topic_new(reading.client, name, NULL);
  ck_assert_int_eq(rd_kafka_consume_start(reading.topic, LANE, RD_KAFKA_OFFSET_BEGINNING), 0);
  return reading;
}

/* NULL at the end. */
static rd_kafka_message_t *read_next(const struct reading *reading) {
  rd_kafka_message_t *const message = rd_kafka_consume(reading->topic, LANE, 20000);
  ck_assert_ptr_nonnull(message);
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    rd_kafka_message_destroy(message);
    return NULL;
  }
  ck_assert_msg(message->err == RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_message_errstr(message));
  return message;
}

static size_t read_end(const struct reading *reading) {
  size_t count = 0;
  for (rd_kafka_message_t *message; (message = read_next(reading)) != NULL; count++) {
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consume_stop(reading->topic, LANE);
  rd_kafka_topic_destroy(reading->topic);
  rd_kafka_destroy(reading->client);
  return count;
}

START_TEST(publish_is_read_back) {
  create_topics();
  assert_position(0);
  struct publisher *const publisher = open_publisher();
  struct buffer records = {0};
  add_license(&records, 1);
  add_license(&records, 2);
  add_journal(&records, 1, "{}");
  add_journal(&records, 1, "");
  publish(publisher, &records);
  assert_position(1);
  publish_batch(publisher, 2);
  assert_position(2);
  add_journal(&records, 3, "{}"); /* an environment alone is no batch */
  publish(publisher, &records);
  assert_position(2);
  publisher_close(publisher);

  const struct reading reading = read_start("licenses");
  rd_kafka_message_t *const message = read_next(&reading);
  ck_assert_uint_eq(message->key_len, 4);
  ck_assert_mem_eq(message->key, "D001", 4);
  ck_assert_mem_eq(message->payload, "\xc3\x01schemaid", 10);
  rd_kafka_timestamp_type_t type;
  ck_assert_int_eq(rd_kafka_message_timestamp(message, &type), INT64_C(1700000000001));
  rd_kafka_message_destroy(message);
  ck_assert_uint_eq(read_end(&reading), 2);
}
END_TEST

START_TEST(publish_keeps_null_and_empty_apart) {
  create_topics();
  struct publisher *const publisher = open_publisher();
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  struct result result = {.kind = RESULT_DEAD_LETTER, .seq = 1, .at_ms = 1};
  reject_set(&result.dead_letter.reject, REJECT_MALFORMED, STAGE_VALUE, "why");
  struct original *const original = &result.dead_letter.original;
  static const char headers_in[] = "\0\0\0\1h\xff\xff\xff\xff\0\0\0\1e\0\0\0\0";
  *original = (struct original){.key = span_text(""),
                                .value = span_text(""),
                                .headers = span_of(headers_in, sizeof headers_in - 1),
                                .timestamp_ms = INT64_C(1600000000000)};
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  original->key_is_null = true;
  original->value_is_null = true;
  original->timestamp_ms = -1;
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  publish(publisher, &records);
  publisher_close(publisher);
  buffer_fini(&canonical);

  const struct reading reading = read_start("dead-letters");
  rd_kafka_message_t *message = read_next(&reading);
  ck_assert(message->key != NULL && message->key_len == 0);
  ck_assert(message->payload != NULL && message->len == 0);
  rd_kafka_timestamp_type_t type;
  ck_assert_int_eq(rd_kafka_message_timestamp(message, &type), INT64_C(1600000000000));
  rd_kafka_headers_t *headers;
  ck_assert_int_eq(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
  const char *name;
  const void *value;
  size_t size;
  ck_assert_int_eq(rd_kafka_header_get_all(headers, 0, &name, &value, &size), 0);
  ck_assert_str_eq(name, "h");
  ck_assert_ptr_null(value);
  ck_assert_int_eq(rd_kafka_header_get_all(headers, 1, &name, &value, &size), 0);
  ck_assert_str_eq(name, "e");
  ck_assert(value != NULL && size == 0);
  ck_assert_int_eq(rd_kafka_header_get_all(headers, 2, &name, &value, &size), 0);
  ck_assert_str_eq(name, "muster.error");
  ck_assert_str_eq(value, "malformed");
  rd_kafka_message_destroy(message);
  message = read_next(&reading);
  ck_assert(message->key == NULL && message->payload == NULL);
  ck_assert_int_eq(rd_kafka_message_timestamp(message, &type), -1); /* as it came */
  rd_kafka_message_destroy(message);
  ck_assert_uint_eq(read_end(&reading), 0);
}
END_TEST

/* The largest message that is not too_large, and one whose key alone is that long. */
START_TEST(publish_takes_the_largest_letter) {
  create_topics();
  struct publisher *const publisher = open_publisher();
  const struct encoding encoding = an_encoding();
  struct buffer records = {0};
  struct buffer canonical = {0};
  uint8_t *const bytes = malloc(MESSAGE_BYTES_MAX);
  for (size_t i = 0; i < MESSAGE_BYTES_MAX; i++) {
    bytes[i] = (uint8_t)(rand() >> 4); /* nothing that compresses */
  }
  struct result result = {.kind = RESULT_DEAD_LETTER, .seq = 1, .at_ms = 1};
  reject_set(&result.dead_letter.reject, REJECT_MALFORMED, STAGE_VALUE, "why");
  result.dead_letter.original = (struct original){.key = span_of("", 0),
                                                  .value = span_of(bytes, MESSAGE_BYTES_MAX - 1024),
                                                  .timestamp_ms = INT64_C(1600000000000)};
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  publish(publisher, &records);
  reject_set(&result.dead_letter.reject, REJECT_TOO_LARGE, STAGE_VALUE, "why");
  result.dead_letter.original.key = span_of(bytes, MESSAGE_BYTES_MAX - 1024);
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  publish(publisher, &records);

  /* Beyond what the topic takes, as created here: no repetition helps. */
  result.dead_letter.original.key = span_of(bytes, MESSAGE_BYTES_MAX);
  encode_result(&encoding, &result, span_of("", 0), &records, &canonical);
  struct error error = {0};
  ck_assert_int_eq(publish_one(publisher, &records, &error), STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "max.message.bytes"));
  publisher_close(publisher);
  buffer_fini(&records);
  buffer_fini(&canonical);
  free(bytes);
  const struct reading reading = read_start("dead-letters");
  ck_assert_uint_eq(read_end(&reading), 2);
}
END_TEST

START_TEST(publish_takes_more_than_a_queue) {
  enum { COUNT = 250000 };
  create_topics();
  struct publisher *const publisher = open_publisher();
  struct buffer records = {0};
  for (uint64_t seq = 1; seq <= COUNT; seq++) {
    add_license(&records, seq);
  }
  add_journal(&records, 1, "");
  publish(publisher, &records);
  publisher_close(publisher);
  publisher_close(open_publisher()); /* returns when the markers are written */
  struct journal_position position;
  struct error error = {0};
  ck_assert_int_eq(journal_position_read(a_conf(), prefix, LANE, &position, &error), STATUS_OK);
  ck_assert(position.found);
  const struct reading reading = read_start("licenses");
  ck_assert_uint_eq(read_end(&reading), COUNT);
}
END_TEST

START_TEST(later_publisher_fences_the_first) {
  create_topics();
  struct publisher *const first = open_publisher();
  publish_batch(first, 1);
  struct publisher *const second = open_publisher();
  struct buffer records = {0};
  struct error error = {0};
  add_license(&records, 2);
  add_journal(&records, 2, "");
  ck_assert_int_eq(publish_one(first, &records, &error), STATUS_FENCED);
  memset(records.data, 0xff, records.size); /* nobody looks at them any more */
  buffer_fini(&records);
  assert_position(1);
  add_journal(&records, 3, "");
  ck_assert_int_eq(publish_one(first, &records, &error), STATUS_UNAVAILABLE);
  publish(second, &records);
  assert_position(3);
  publisher_close(first);
  publisher_close(second);
}
END_TEST

/* A producer under the lane's transactional id that does as it likes. */
static rd_kafka_t *open_rival(void) {
  char text[256];
  char id[128];
  rd_kafka_conf_t *const conf = a_conf();
  snprintf(id, sizeof id, "muster.%slane-%d", prefix, LANE);
  set(conf, "transactional.id", id);
  set(conf, "linger.ms", "0");
  set(conf, "retry.backoff.ms", "2");
  rd_kafka_t *const client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  ck_assert_ptr_null(rd_kafka_init_transactions(client, 20000));
  return client;
}

static void rival_produce(rd_kafka_t *client, uint64_t batch) {
  struct buffer records = {0};
  struct outgoing record;
  char name[256];
  add_journal(&records, batch, "");
  size_t position = 0;
  ck_assert(outgoing_next(buffer_span(&records), &position, &record));
  snprintf(name, sizeof name, "%sjournal", prefix);
  ck_assert_ptr_null(rd_kafka_begin_transaction(client));
  ck_assert_int_eq(rd_kafka_producev(client, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_PARTITION(LANE),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_VALUE((void *)record.value.data, record.value.size),
                                     RD_KAFKA_V_END),
                   RD_KAFKA_RESP_ERR_NO_ERROR);
  ck_assert_int_eq(rd_kafka_flush(client, 20000), RD_KAFKA_RESP_ERR_NO_ERROR);
  buffer_fini(&records);
}

START_TEST(open_transaction_is_not_seen) {
  create_topics();
  struct publisher *publisher = open_publisher();
  publish_batch(publisher, 1);
  publisher_close(publisher);
  rd_kafka_t *const rival = open_rival();
  rival_produce(rival, 99);
  rd_kafka_destroy(rival); /* leaves it open */
  assert_position(1);
  publisher = open_publisher(); /* aborts it */
  assert_position(1);
  publish_batch(publisher, 2);
  assert_position(2);
  publisher_close(publisher);
}
END_TEST

START_TEST(what_is_sent_shows_when_it_is_committed) {
  create_topics();
  struct error error;
  struct buffer records = {0};
  struct publisher *publisher = open_publisher();
  publish_batch(publisher, 1);
  add_journal(&records, 2, "");
  const struct span part = buffer_span(&records);
  ck_assert_int_eq(publisher_send(publisher, &part, 1, &error), STATUS_OK);
  assert_position(1);
  ck_assert_int_eq(publisher_commit(publisher, &error), STATUS_OK);
  assert_position(2);
  ck_assert_int_eq(publisher_commit(publisher, &error), STATUS_OK); /* nothing is open */
  ck_assert_int_eq(publisher_send(publisher, &part, 1, &error), STATUS_OK);
  publisher_close(publisher); /* never to be committed */
  publisher = open_publisher();
  assert_position(2);
  buffer_fini(&records);
  publisher_close(publisher);
}
END_TEST

START_TEST(position_is_found_behind_many_markers) {
  enum { ABORTED = 150 };
  create_topics();
  struct publisher *const publisher = open_publisher();
  publish_batch(publisher, 7);
  publisher_close(publisher);
  rd_kafka_t *const rival = open_rival();
  for (uint64_t i = 0; i < ABORTED; i++) {
    rival_produce(rival, 100 + i);
    ck_assert_ptr_null(rd_kafka_abort_transaction(rival, 20000));
  }
  rd_kafka_destroy(rival);
  assert_position(7);
}
END_TEST

START_TEST(missing_topics_are_named) {
  struct error error = {0};
  struct publisher *publisher = NULL;
  struct publisher_options options = {.conf = a_conf(),
                                      .group_id = "muster",
                                      .topic_prefix = "absent.",
                                      .lane = LANE,
                                      .message_bytes_max = MESSAGE_BYTES_MAX};
  ck_assert_int_eq(publisher_open(&options, &publisher, &error), STATUS_CONFIG);
  ck_assert_ptr_null(publisher);
  ck_assert_ptr_nonnull(strstr(error.text, "absent."));
  ck_assert_ptr_nonnull(strstr(error.text, "muster topics create"));
  struct journal_position position;
  ck_assert_int_eq(journal_position_read(a_conf(), "absent.", LANE, &position, &error),
                   STATUS_CONFIG);
  ck_assert_ptr_nonnull(strstr(error.text, "muster topics create"));
  create_topics();
  options.conf = a_conf();
  options.topic_prefix = prefix;
  options.lane = LANES;
  ck_assert_int_eq(publisher_open(&options, &publisher, &error), STATUS_CONFIG);
  ck_assert_int_eq(journal_position_read(a_conf(), prefix, LANES, &position, &error),
                   STATUS_CONFIG);
}
END_TEST

int main(void) {
  broker = getenv("MUSTER_TEST_KAFKA");
  if (broker == NULL || broker[0] == '\0') {
    printf("skipped: MUSTER_TEST_KAFKA is not set\n");
    return SKIPPED;
  }
  Suite *const suite = suite_create("publish");
  TCase *const tests = tcase_create("publish");
  tcase_set_timeout(tests, 120);
  tcase_add_test(tests, publish_is_read_back);
  tcase_add_test(tests, publish_keeps_null_and_empty_apart);
  tcase_add_test(tests, publish_takes_the_largest_letter);
  tcase_add_test(tests, publish_takes_more_than_a_queue);
  tcase_add_test(tests, later_publisher_fences_the_first);
  tcase_add_test(tests, open_transaction_is_not_seen);
  tcase_add_test(tests, what_is_sent_shows_when_it_is_committed);
  tcase_add_test(tests, position_is_found_behind_many_markers);
  tcase_add_test(tests, missing_topics_are_named);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
