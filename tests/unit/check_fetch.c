/* consumers/fetch: readers that share a client, and what must not pass from one to another;
 * against librdkafka's brokers in memory. */
#include "consumers/fetch.h"

#include "consumers/fetch_client.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <time.h>

enum { DEADLINE_MS = 30000, MANY = 500 };

static rd_kafka_t *producer;
static rd_kafka_mock_cluster_t *cluster;
static struct fetch_shared *shared;

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void sleep_ms(long ms) {
  nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[256];
  ck_assert_msg(rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK, "%s",
                text);
}

static rd_kafka_conf_t *conf_of(const char *wait_max_ms) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster));
  set(conf, "group.id", "check");
  set(conf, "enable.auto.commit", "false");
  set(conf, "auto.offset.reset", "error");
  set(conf, "enable.partition.eof", "true");
  set(conf, "fetch.wait.max.ms", wait_max_ms);
  set(conf, "fetch.message.max.bytes", "1000");
  return conf;
}

static void setup(void) {
  char text[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "test.mock.num.brokers", "1");
  set(conf, "log_level", "0");
  set(conf, "batch.num.messages", "10"); /* several batches: a fetch brings a few */
  producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  ck_assert_msg(producer != NULL, "%s", text);
  cluster = rd_kafka_handle_mock_cluster(producer);
  ck_assert(rd_kafka_mock_topic_create(cluster, "t", 2, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
  ck_assert(rd_kafka_mock_topic_create(cluster, "beat", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
  shared = fetch_shared_open("beat");
}

static void teardown(void) {
  fetch_shared_close(shared);
  rd_kafka_destroy(producer);
}

static void produce(int32_t partition, int count) {
  for (int n = 0; n < count; n++) {
    ck_assert(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_VALUE("value", 5),
                                RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  ck_assert(rd_kafka_flush(producer, DEADLINE_MS) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static struct fetch *open_reader(void) {
  struct fetch *fetch = NULL;
  struct error error;
  const struct fetch_confs confs = {
      .steady = conf_of("20"), .quick = conf_of("10"), .own = conf_of("10000")};
  set(confs.quick, "queued.min.messages", "10"); /* with more than that it asks for nothing */
  ck_assert_msg(fetch_open_shared(shared, &confs, now_ms, &fetch, &error) == STATUS_OK, "%s",
                error.text);
  return fetch;
}

static struct source *open_source(struct fetch *fetch, int32_t partition, int64_t offset) {
  struct source *source = NULL;
  struct error error;
  ck_assert_msg(source_open(fetch, "t", partition, offset, &source, &error) == STATUS_OK, "%s",
                error.text);
  return source;
}

static struct source *open_far_source(struct fetch *fetch, int32_t partition, int64_t offset) {
  struct source *source = NULL;
  struct error error;
  ck_assert_msg(source_open_far(fetch, "t", partition, offset, &source, &error) == STATUS_OK, "%s",
                error.text);
  return source;
}

static const struct record *wait_for_record(struct source *source) {
  const int64_t deadline_ms = now_ms() + DEADLINE_MS;
  const struct record *record;
  while ((record = source_peek(source)) == NULL && now_ms() < deadline_ms) {
    ck_assert_msg(source_error(source) == NULL, "%s", source_error(source));
    sleep_ms(1);
  }
  ck_assert(record != NULL);
  return record;
}

static void read_through(struct source *source, int64_t from, int64_t to) {
  for (int64_t offset = from; offset < to; offset++) {
    ck_assert_int_eq(wait_for_record(source)->offset, offset);
    source_pop(source);
  }
}

START_TEST(a_reader_that_leaves_does_not_disturb_another) {
  produce(0, 20);
  produce(1, 20);
  struct fetch *leaving = open_reader();
  struct fetch *staying = open_reader();
  struct source *left = open_source(leaving, 0, 0);
  struct source *kept = open_source(staying, 1, 5);
  read_through(left, 0, 10);
  read_through(kept, 5, 10);
  source_close(left);
  fetch_close(leaving);
  produce(1, 20);
  read_through(kept, 10, 40);
  source_close(kept);
  fetch_close(staying);
}
END_TEST

START_TEST(an_earlier_source_leaves_nothing_to_a_later_one) {
  produce(0, MANY);
  struct fetch *other = open_reader(); /* keeps the client */
  for (int64_t turn = 0; turn < 40; turn++) {
    struct fetch *fetch = open_reader();
    struct source *source = open_source(fetch, 0, turn);
    if (turn % 3 > 0) { /* else what was asked for is still under way */
      read_through(source, turn, turn + turn % 30);
    }
    source_close(source);
    source = open_source(fetch, 0, 3 * turn);
    read_through(source, 3 * turn, 3 * turn + 40);
    source_close(source);
    fetch_close(fetch);
  }
  fetch_close(other);
}
END_TEST

START_TEST(keys_ahead_are_those_of_what_comes) {
  enum { COUNT = 50 };
  char key[16];
  for (int n = 0; n < COUNT; n++) {
    snprintf(key, sizeof key, "K%d", n);
    ck_assert(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0),
                                RD_KAFKA_V_KEY(key, strlen(key)), RD_KAFKA_V_VALUE("value", 5),
                                RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  ck_assert(rd_kafka_flush(producer, DEADLINE_MS) == RD_KAFKA_RESP_ERR_NO_ERROR);
  struct fetch *fetch = open_reader();
  struct source *source = open_source(fetch, 0, 0);
  size_t seen_ahead = 0;
  for (int n = 0; n < COUNT; n++) {
    wait_for_record(source);
    source_prefetch(source); /* beyond what is at hand, too */
    for (size_t ahead = 0; ahead < 3; ahead++) {
      const struct span is = source_key_ahead(source, ahead);
      snprintf(key, sizeof key, "K%d", n + (int)ahead);
      ck_assert(span_equal(is, span_text(key)) || (ahead > 0 && is.size == 0));
      seen_ahead += ahead > 0 && is.size > 0;
    }
    source_pop(source);
  }
  ck_assert_uint_gt(seen_ahead, 0);
  ck_assert_uint_eq(source_key_ahead(source, 0).size, 0);
  source_close(source);
  fetch_close(fetch);
}
END_TEST

static struct fetch_client *take_client(void) {
  struct fetch_client *client = NULL;
  struct error error;
  ck_assert_int_eq(fetch_shared_take(shared, FETCH_STEADY, conf_of("20"), &client, &error),
                   STATUS_OK);
  return client;
}

START_TEST(who_comes_after_a_failure_gets_another_client) {
  produce(0, 20);
  struct fetch *fetch = open_reader();
  struct source *source = open_source(fetch, 0, 0);
  struct fetch_client *before = take_client();
  ck_assert_ptr_eq(take_client(), before);
  fetch_shared_give_back(shared, before);
  fetch_shared_give_back(shared, before);
  struct error error;
  int64_t first;
  int64_t next;
  rd_kafka_mock_topic_set_error(cluster, "gone", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  ck_assert_int_ne(fetch_offsets(fetch, "gone", 0, 1000, &first, &next, &error), STATUS_OK);
  struct fetch_client *after = take_client();
  ck_assert_ptr_ne(after, before);
  ck_assert_ptr_eq(take_client(), after);
  fetch_shared_give_back(shared, after);
  read_through(source, 0, 20); /* who has the old one goes on */
  source_close(source);
  fetch_close(fetch);
  ck_assert_ptr_eq(take_client(), after);
  fetch_shared_give_back(shared, after);
  fetch_shared_give_back(shared, after);
}
END_TEST

/* Its client would wait 10 s for an empty answer: ends are known before. */
START_TEST(the_end_of_what_one_reads_by_oneself_is_known_at_once) {
  struct error error;
  struct source *source = NULL;
  produce(0, 2);
  struct fetch *fetch = open_reader();
  const int64_t begun_ms = now_ms();
  ck_assert_int_eq(source_open_own(fetch, "t", 1, 0, 0, &source, &error), STATUS_OK);
  ck_assert_ptr_null(source_peek(source));
  ck_assert_int_eq(source_end(source), 0);
  source_close(source);
  fetch_close(fetch);
  fetch = open_reader();
  ck_assert_int_eq(source_open_own(fetch, "t", 0, 0, 2, &source, &error), STATUS_OK);
  ck_assert_int_eq(source_end(source), -1);
  read_through(source, 0, 1);
  ck_assert_int_eq(source_end(source), -1); /* another one stands there */
  read_through(source, 1, 2);
  ck_assert_int_eq(source_end(source), 2);
  source_close(source);
  ck_assert_int_lt(now_ms() - begun_ms, 10000);
  fetch_close(fetch);
}
END_TEST

static void wait_for_end(struct source *source, int64_t end) {
  const int64_t deadline_ms = now_ms() + DEADLINE_MS;
  while (source_end(source) != end) {
    ck_assert(now_ms() < deadline_ms);
    ck_assert_ptr_null(source_peek(source));
    sleep_ms(1);
  }
  ck_assert_ptr_null(source_peek(source));
}

/* A client reads a partition once: a second source that begins there would end the first one. */
START_TEST(what_is_far_behind_is_read_by_another_client_until_its_end) {
  produce(0, MANY);
  struct fetch *first = open_reader();
  struct fetch *second = open_reader();
  struct source *settled = open_far_source(first, 0, 0);
  read_through(settled, 0, MANY);
  wait_for_end(settled, MANY);
  struct source *later = open_far_source(second, 0, 0);
  read_through(later, 0, 100);
  produce(0, 20);
  read_through(settled, MANY, MANY + 20);
  wait_for_end(settled, MANY + 20);
  read_through(later, 100, MANY + 20);
  source_close(settled);
  fetch_close(first);
  wait_for_end(later, MANY + 20);
  produce(0, 1);
  read_through(later, MANY + 20, MANY + 21);
  source_close(later);
  fetch_close(second);
}
END_TEST

/* Without the beat the client sleeps for a second each time that it finds the queue full. */
START_TEST(a_full_queue_is_looked_at_again_soon) {
  produce(0, MANY);
  struct fetch *fetch = open_reader();
  struct source *source = open_far_source(fetch, 0, 0);
  const int64_t begun_ms = now_ms();
  for (int64_t offset = 0; offset < MANY; offset += 10) {
    sleep_ms(15);
    read_through(source, offset, offset + 10);
  }
  ck_assert_int_lt(now_ms() - begun_ms, 10000);
  source_close(source);
  fetch_close(fetch);
}
END_TEST

static void wait_for_error(struct fetch *fetch) {
  const int64_t deadline_ms = now_ms() + DEADLINE_MS;
  struct error error;
  while (!fetch_serve(fetch, &error)) {
    ck_assert(now_ms() < deadline_ms);
    sleep_ms(1);
  }
}

START_TEST(each_reader_is_told_of_an_error) {
  struct fetch *first = open_reader();
  struct fetch *second = open_reader();
  struct source *source = open_source(first, 0, 0);
  produce(0, 1);
  read_through(source, 0, 1);
  rd_kafka_mock_broker_set_down(cluster, 1);
  wait_for_error(first);
  wait_for_error(second);
  rd_kafka_mock_broker_set_up(cluster, 1);
  produce(0, 1);
  read_through(source, 1, 2); /* it has healed by itself */
  source_close(source);
  fetch_close(first);
  fetch_close(second);
}
END_TEST

int main(void) {
  Suite *suite = suite_create("fetch");
  TCase *tests = tcase_create("shared");
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, a_reader_that_leaves_does_not_disturb_another);
  tcase_add_test(tests, an_earlier_source_leaves_nothing_to_a_later_one);
  tcase_add_test(tests, keys_ahead_are_those_of_what_comes);
  tcase_add_test(tests, who_comes_after_a_failure_gets_another_client);
  tcase_add_test(tests, the_end_of_what_one_reads_by_oneself_is_known_at_once);
  tcase_add_test(tests, what_is_far_behind_is_read_by_another_client_until_its_end);
  tcase_add_test(tests, a_full_queue_is_looked_at_again_soon);
  tcase_add_test(tests, each_reader_is_told_of_an_error);
  suite_add_tcase(suite, tests);
  SRunner *runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
