/* producers/publish_tune: what a user chose stands, topic properties too, and timeouts fit. */
#include "producers/publish_tune.h"

#include <check.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

static int64_t produce_timeout_ms;

/* A conf with the user's properties, "name", "value", NULL at the end; tuned. */
static rd_kafka_conf_t *tuned(const char *const *properties) {
  char text[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  for (; *properties != NULL; properties += 2) {
    ck_assert_msg(rd_kafka_conf_set(conf, properties[0], properties[1], text, sizeof text) ==
                      RD_KAFKA_CONF_OK,
                  "%s", text);
  }
  struct error error;
  ck_assert(publish_tune(conf, &produce_timeout_ms, &error) == STATUS_OK);
  return conf;
}

static void expect(const rd_kafka_conf_t *conf, const char *name, const char *expected) {
  char value[512];
  size_t size = sizeof value;
  ck_assert(rd_kafka_conf_get(conf, name, value, &size) == RD_KAFKA_CONF_OK);
  ck_assert_str_eq(value, expected);
}

/* A producer can be made of it: librdkafka compares timeouts only then. */
static void expect_producer(rd_kafka_conf_t *conf) {
  char text[256];
  ck_assert(rd_kafka_conf_set(conf, "transactional.id", "x", text, sizeof text) ==
            RD_KAFKA_CONF_OK);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  ck_assert_msg(client != NULL, "%s", text);
  rd_kafka_destroy(client);
}

START_TEST(what_nobody_chose_is_tuned) {
  static const char *const none[] = {NULL};
  rd_kafka_conf_t *conf = tuned(none);
  expect(conf, "linger.ms", "0");
  expect(conf, "transaction.timeout.ms", "60000");
  expect(conf, "message.timeout.ms", "30000");
  ck_assert_int_eq(produce_timeout_ms, 50000);
  expect_producer(conf);
}
END_TEST

START_TEST(what_somebody_chose_stands) {
  static const char *const chosen[] = {"message.timeout.ms",     "7000",   "linger.ms", "3",
                                       "transaction.timeout.ms", "120000", NULL};
  rd_kafka_conf_t *conf = tuned(chosen);
  expect(conf, "message.timeout.ms", "7000");
  expect(conf, "linger.ms", "3");
  expect(conf, "transaction.timeout.ms", "120000");
  ck_assert_int_eq(produce_timeout_ms, 100000);
  expect_producer(conf);
}
END_TEST

/* Another property of topics makes all of them known: that is no choice of this one. */
START_TEST(a_neighbour_s_choice_is_none) {
  static const char *const chosen[] = {"request.timeout.ms", "20000", NULL};
  rd_kafka_conf_t *conf = tuned(chosen);
  expect(conf, "request.timeout.ms", "20000");
  expect(conf, "message.timeout.ms", "30000");
  expect_producer(conf);
}
END_TEST

START_TEST(a_short_transaction_has_shorter_messages) {
  static const char *const chosen[] = {"transaction.timeout.ms", "12000", NULL};
  rd_kafka_conf_t *conf = tuned(chosen);
  expect(conf, "transaction.timeout.ms", "12000");
  expect(conf, "message.timeout.ms", "6000");
  ck_assert_int_eq(produce_timeout_ms, 10000);
  expect_producer(conf);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("publish_tune");
  TCase *const cases = tcase_create("publish_tune");
  tcase_add_test(cases, what_nobody_chose_is_tuned);
  tcase_add_test(cases, what_somebody_chose_stands);
  tcase_add_test(cases, a_neighbour_s_choice_is_none);
  tcase_add_test(cases, a_short_transaction_has_shorter_messages);
  suite_add_tcase(suite, cases);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
