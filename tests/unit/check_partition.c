/* core/app/kafka_client: a key's partition is the one that other clients compute. */
#include "core/app/kafka_client.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The Java client's own test values of murmur2. */
static const struct {
  const char *key;
  int32_t hash;
} murmur2[] = {
    {"21", -973932308},
    {"foobar", -790332482},
    {"a-little-bit-long-string", -985981536},
    {"a-little-bit-longer-string", -1486304829},
    {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
    {"abc", 479470107},
};

START_TEST(murmur2_agrees_with_the_java_client) {
  const char *const key = murmur2[_i].key;
  static const int32_t counts[] = {1, 2, 3, 4, 6, 12, 64, 1000};
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    const int32_t positive = (int32_t)((uint32_t)murmur2[_i].hash & 0x7fffffffu);
    ck_assert_int_eq(kafka_partition_of(PARTITIONER_MURMUR2, key, strlen(key), counts[i]),
                     positive % counts[i]);
  }
}
END_TEST

START_TEST(crc32_is_the_common_one) {
  /* The check value of the polynomial: 0xcbf43926. */
  ck_assert_int_eq(kafka_partition_of(PARTITIONER_CRC32, "123456789", 9, 1000),
                   (int32_t)(0xcbf43926u % 1000));
}
END_TEST

START_TEST(fnv1a_agrees_with_sarama) {
  /* Signed, and made positive by its sign: "kafka" is 0x0d33c4e1. */
  ck_assert_int_eq(kafka_partition_of(PARTITIONER_FNV1A, "kafka", 5, 1000),
                   (int32_t)(0x0d33c4e1u % 1000));
}
END_TEST

static Suite *suite(void) {
  Suite *const all = suite_create("partition");
  TCase *const tests = tcase_create("partition");
  tcase_add_loop_test(tests, murmur2_agrees_with_the_java_client, 0, (int)COUNT_OF(murmur2));
  tcase_add_test(tests, crc32_is_the_common_one);
  tcase_add_test(tests, fnv1a_agrees_with_sarama);
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
