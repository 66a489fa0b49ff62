/* consumers/partition_ends: the ends of a partition, and no waiting for a leader that is gone;
 * against librdkafka's brokers in memory. */
#include "consumers/partition_ends.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>
#include <time.h>

enum { LEADER = 2, TIMEOUT_MS = 1500 };

static rd_kafka_t *client;
static rd_kafka_mock_cluster_t *cluster;

static rd_kafka_t *open_client(rd_kafka_type_t type, const char *name, const char *value) {
  char text[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  ck_assert(rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK);
  ck_assert(rd_kafka_conf_set(conf, "log_level", "0", text, sizeof text) == RD_KAFKA_CONF_OK);
  rd_kafka_t *opened = rd_kafka_new(type, conf, text, sizeof text);
  ck_assert_msg(opened != NULL, "%s", text);
  return opened;
}

static void setup(void) {
  client = open_client(RD_KAFKA_PRODUCER, "test.mock.num.brokers", "2");
  cluster = rd_kafka_handle_mock_cluster(client);
  ck_assert(rd_kafka_mock_topic_create(cluster, "t", 1, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
  ck_assert(rd_kafka_mock_partition_set_leader(cluster, "t", 0, LEADER) ==
            RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void teardown(void) {
  rd_kafka_destroy(client);
}

static int64_t mono_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

START_TEST(both_ends_are_told) {
  int64_t first;
  int64_t next;
  for (int n = 0; n < 3; n++) {
    ck_assert(rd_kafka_producev(client, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0),
                                RD_KAFKA_V_VALUE("x", 1),
                                RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  ck_assert(rd_kafka_flush(client, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR);
  ck_assert_int_eq(partition_ends(client, "t", 0, 10000, &first, &next), 0);
  ck_assert_int_eq(first, 0);
  ck_assert_int_eq(next, 3);
}
END_TEST

START_TEST(a_leader_that_is_gone_is_not_waited_for) {
  int64_t first;
  int64_t next;
  ck_assert(rd_kafka_mock_broker_set_down(cluster, LEADER) == RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_t *other = open_client(RD_KAFKA_CONSUMER, "bootstrap.servers",
                                  rd_kafka_mock_cluster_bootstraps(cluster));
  const int64_t began_ms = mono_ms();
  ck_assert_int_ne(partition_ends(other, "t", 0, TIMEOUT_MS, &first, &next), 0);
  ck_assert_int_lt(mono_ms() - began_ms, 10 * TIMEOUT_MS);
  rd_kafka_destroy(other);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("partition_ends");
  TCase *const cases = tcase_create("partition_ends");
  tcase_set_timeout(cases, 40);
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, both_ends_are_told);
  tcase_add_test(cases, a_leader_that_is_gone_is_not_waited_for);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
