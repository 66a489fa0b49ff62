/* What the small programs that talk to Kafka by themselves begin with. */
#ifndef MUSTER_TESTS_BENCH_CLIENT_H
#define MUSTER_TESTS_BENCH_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

extern const char program[]; /* its name; each has one */

/* They measure all or nothing. */
_Noreturn static inline void die(const char *what, const char *reason) {
  fprintf(stderr, "%s: %s: %s\n", program, what, reason);
  exit(1);
}

static inline double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Of this process so far, all its threads. */
static inline double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A client with these properties, {NULL, NULL} behind the last. Takes `conf`; NULL: of its own. The
 * caller destroys the client. */
static inline rd_kafka_t *client_open(rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                      const char *const (*properties)[2]) {
  char error[512];
  conf = conf == NULL ? rd_kafka_conf_new() : conf;
  for (; (*properties)[0] != NULL; properties++) {
    if (rd_kafka_conf_set(conf, (*properties)[0], (*properties)[1], error, sizeof error) !=
        RD_KAFKA_CONF_OK) {
      die((*properties)[0], error);
    }
  }
  rd_kafka_t *const client = rd_kafka_new(type, conf, error, sizeof error);
  if (client == NULL) {
    die("a client", error);
  }
  if (type == RD_KAFKA_CONSUMER) {
    rd_kafka_poll_set_consumer(client);
  }
  return client;
}

/* The topic's partitions; there must be some. */
static inline int partition_count(rd_kafka_t *client, const char *topic, int timeout_ms) {
  const rd_kafka_metadata_t *metadata;
  rd_kafka_topic_t *const handle = rd_kafka_topic_new(client, topic, NULL);
  rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = metadata->topics[0].err;
  }
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    die(topic, rd_kafka_err2str(code));
  }
  const int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
  return count;
}

#endif
