/* What the files of the simulated client share: a client is one struct for writing and reading. */
#ifndef MUSTER_TESTS_SIM_CLIENT_H
#define MUSTER_TESTS_SIM_CLIENT_H

#include "tests/sim/broker.h"
#include "tests/sim/member.h"

typedef void (*report_fn)(rd_kafka_t *, const rd_kafka_message_t *, void *);
typedef void (*error_fn)(rd_kafka_t *, int, const char *, void *);

struct rd_kafka_conf_s {
  char transactional_id[128];
  void *opaque;
  report_fn on_report;
  error_fn on_error;
};

struct rd_kafka_topic_s {
  rd_kafka_t *client;
  uint32_t topic;
  char name[96];
};

struct stream; /* a partition that is being read */
struct late;   /* an answer that comes after its reading has ended */

struct rd_kafka_s {
  rd_kafka_t *next;
  struct member *member;
  struct rd_kafka_conf_s conf;
  bool is_producer, is_purged;
  uint32_t lane;
  int64_t epoch; /* -1: none yet */
  struct outbound *unsent;
  size_t unsent_count, unsent_capacity;
  bool is_in_flight;
  size_t in_flight_count; /* records */
  size_t reported_count;  /* answered well, to be reported */
  size_t failed_count;
  bool is_shaken; /* an error about a connection is to be told */
  rd_kafka_resp_err_t fatal;
  enum answer answer; /* to init or commit */
  struct stream *streams;
  struct late *lates;
  uint64_t version; /* of the last reading begun */
};

/* Whether its process has no network, or is no more. */
bool client_is_gone(const rd_kafka_t *client);
uint32_t client_topic_of(const char *name);

/* The reading half of a client: offers the answers that may come as steps, holds them back, brings
 * them at once, forgets what will never be read. */
void reading_offer(rd_kafka_t *client);
void reading_stall(rd_kafka_t *client);
void reading_pump(rd_kafka_t *client);
void reading_end(rd_kafka_t *client);

#endif
