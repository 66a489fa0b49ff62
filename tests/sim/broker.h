/* Kafka in memory, behind librdkafka's functions: logs with transactions, one coordinator a lane,
 * requests that are lost, repeated, late. Checks at every commit what must hold of the topics. */
#ifndef MUSTER_TESTS_SIM_BROKER_H
#define MUSTER_TESTS_SIM_BROKER_H

#include "core/event.h"
#include "producers/encode.h"
#include "tests/sim/sim.h"

#include <librdkafka/rdkafka.h>

/* A topic: an input (enum topic), or TOPIC_COUNT + the record of an output. */
enum { OUTPUT_FIRST = TOPIC_COUNT, TOPICS_ALL = TOPIC_COUNT + RECORD_COUNT };

struct transaction;

struct entry {
  int64_t timestamp_ms;   /* -1: none */
  struct span key, value; /* owned */
  bool key_is_null, value_is_null;
  rd_kafka_headers_t *headers;     /* owned; NULL: none */
  struct transaction *transaction; /* NULL: visible at once */
  bool is_hidden;                  /* a marker, or what was aborted */
  int64_t appended_ms;             /* by the true wall clock */
};

struct log {
  struct entry *items; /* by offset */
  size_t count, capacity;
  size_t stable_end; /* known so far */
};

void broker_begin(void);
void broker_end(void);
void broker_offer(void);
void broker_offer_faults(void);
void broker_drain(void);

struct log *broker_log(uint32_t topic, uint32_t partition);
/* Appends to an input; takes the headers, copies key and value. */
struct entry *log_append(struct log *log, const struct entry *entry);

/* Whether a committed reader is shown the entry, now. */
bool entry_is_visible(const struct log *log, size_t offset);
/* The last stable offset. */
size_t log_stable_end(const struct log *log);

/* Nothing is under way for the lane: no transaction, no request. */
bool broker_is_idle(uint32_t lane);

/* Last batch that a committed transaction has published. */
uint64_t broker_published_batch(uint32_t lane);

bool broker_is_down(void);

/* The clients of the member are gone; what they have sent is still on its way. */
void broker_cut_off(const struct member *member);

/* client.c and transactions.c share these. ------------------------------------------------- */

enum request_kind { REQUEST_INIT, REQUEST_PRODUCE, REQUEST_END };

struct outbound {
  uint32_t record;
  struct entry entry;
};

struct request {
  struct request *next;
  enum request_kind kind;
  uint32_t lane;
  int64_t epoch;
  rd_kafka_t *client; /* NULL: gone, or no longer waiting */
  int64_t not_before_ms;
  bool is_shaken; /* a connection failed on its way, it was sent again */
  struct outbound *records;
  size_t record_count;
};

enum answer { ANSWER_NONE, ANSWER_OK, ANSWER_FENCED, ANSWER_FAILED };

/* Puts a request on its way to the coordinator of its lane; taken. */
void broker_send(struct request *request);
/* From the broker: what became of a request, for the client that waits. */
void client_answered(const struct request *request, enum answer answer, int64_t epoch);
void clients_offer(void);
/* No fetch is answered for a while. */
void clients_stall(void);
/* Answers every fetch of clients that belong to no member. */
void clients_pump(void);
void clients_begin(void);
void clients_end(void);
void clients_cut_off(const struct member *member);
void request_free(struct request *request);
void entry_free(struct entry *entry);

#endif
