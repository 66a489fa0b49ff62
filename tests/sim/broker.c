#include "tests/sim/broker.h"

#include "tests/sim/database.h"
#include "tests/sim/member.h"

#include "consumers/avro_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TRANSACTION_TIMEOUT_MS = 60000, SINGLE_OBJECT_SIZE = 10, DELAY_MS_MAX = 20000 };

enum outcome_of_transaction { TRANSACTION_OPEN, TRANSACTION_COMMITTED, TRANSACTION_ABORTED };

struct place {
  uint32_t record;
  size_t offset;
};

struct transaction {
  struct transaction *next; /* all of the seed's */
  enum outcome_of_transaction outcome;
  struct place *places; /* its records in order */
  size_t count, capacity;
  bool is_in[RECORD_COUNT], is_marked[RECORD_COUNT];
};

enum coordinator_state { COORDINATOR_EMPTY, COORDINATOR_ONGOING, COORDINATOR_ENDING };

struct coordinator {
  enum coordinator_state state;
  int64_t epoch;
  struct transaction *transaction;
  int64_t started_ms;
  /* What readers of committed records have been shown, or will be. */
  uint64_t seq, batch;
  int64_t shown_epoch;
  char shown_owner[33];
};

static struct {
  struct log logs[TOPICS_ALL][LANES_MAX];
  struct coordinator coordinators[LANES_MAX];
  struct transaction *transactions;
  struct request *requests;
  int64_t down_until_ms;
} broker;

void entry_free(struct entry *entry) {
  free((void *)(uintptr_t)entry->key.data);
  free((void *)(uintptr_t)entry->value.data);
  if (entry->headers != NULL) {
    rd_kafka_headers_destroy(entry->headers);
  }
}

void request_free(struct request *request) {
  for (size_t i = 0; i < request->record_count; i++) {
    entry_free(&request->records[i].entry);
  }
  free(request->records);
  free(request);
}

void broker_begin(void) {
  memset(&broker, 0, sizeof broker);
  clients_begin();
}

void broker_end(void) {
  clients_end();
  while (broker.requests != NULL) {
    struct request *request = broker.requests;
    broker.requests = request->next;
    request_free(request);
  }
  while (broker.transactions != NULL) {
    struct transaction *transaction = broker.transactions;
    broker.transactions = transaction->next;
    free(transaction->places);
    free(transaction);
  }
  for (size_t topic = 0; topic < TOPICS_ALL; topic++) {
    for (size_t lane = 0; lane < LANES_MAX; lane++) {
      struct log *log = &broker.logs[topic][lane];
      for (size_t i = 0; i < log->count; i++) {
        entry_free(&log->items[i]);
      }
      free(log->items);
    }
  }
}

struct log *broker_log(uint32_t topic, uint32_t partition) {
  assert(topic < TOPICS_ALL && partition < LANES_MAX);
  return &broker.logs[topic][partition];
}

bool broker_is_down(void) {
  return sim.now_ms < broker.down_until_ms;
}

static struct entry *add_entry(struct log *log, const struct entry *entry) {
  log->items = grow(log->items, log->count, &log->capacity, sizeof *log->items);
  struct entry *added = &log->items[log->count++];
  *added = *entry;
  added->appended_ms = sim_wall_ms();
  return added;
}

struct entry *log_append(struct log *log, const struct entry *entry) {
  struct entry *added = add_entry(log, entry);
  added->key = span_of(copy_bytes(entry->key.data, entry->key.size), entry->key.size);
  added->value = span_of(copy_bytes(entry->value.data, entry->value.size), entry->value.size);
  return added;
}

static uint32_t record_of(const struct log *log) {
  const ptrdiff_t index = (log - &broker.logs[0][0]) / LANES_MAX;
  return (uint32_t)index - OUTPUT_FIRST;
}

static bool is_stable(const struct log *log, const struct entry *entry) {
  return entry->transaction == NULL || entry->transaction->is_marked[record_of(log)];
}

size_t log_stable_end(const struct log *log) {
  size_t end = log->stable_end;
  while (end < log->count && is_stable(log, &log->items[end])) {
    end++;
  }
  ((struct log *)(uintptr_t)log)->stable_end = end;
  return end;
}

bool entry_is_visible(const struct log *log, size_t offset) {
  const struct entry *entry = &log->items[offset];
  return !entry->is_hidden && offset < log_stable_end(log) &&
         (entry->transaction == NULL || entry->transaction->outcome == TRANSACTION_COMMITTED);
}

bool broker_is_idle(uint32_t lane) {
  for (const struct request *request = broker.requests; request != NULL; request = request->next) {
    if (request->lane == lane) {
      return false;
    }
  }
  return broker.coordinators[lane].state == COORDINATOR_EMPTY;
}

uint64_t broker_published_batch(uint32_t lane) {
  return broker.coordinators[lane].batch;
}

/* What readers see. ---------------------------------------------------------------------- */

static int64_t take_long(struct span *from) {
  uint64_t bits = 0;
  for (unsigned shift = 0; from->size > 0; shift += 7) {
    const uint8_t byte = from->data[0];
    *from = span_of(from->data + 1, from->size - 1);
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      break;
    }
  }
  return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

static uint64_t seq_of(uint32_t record, const struct entry *entry) {
  if (record == RESULT_DEAD_LETTER) {
    const void *text;
    size_t size;
    char digits[24] = "";
    const rd_kafka_resp_err_t code =
        rd_kafka_header_get_last(entry->headers, "muster.seq", &text, &size);
    CHECK_THAT(code == 0 && size < sizeof digits, "a dead letter without its number");
    memcpy(digits, text, size);
    return strtoull(digits, NULL, 10);
  }
  struct span body =
      span_of(entry->value.data + SINGLE_OBJECT_SIZE, entry->value.size - SINGLE_OBJECT_SIZE);
  (void)take_long(&body); /* lane */
  return (uint64_t)take_long(&body);
}

/* Epochs of committers never fall, and none has two owners. */
static void check_witness(uint32_t lane, struct span value) {
  struct coordinator *shown = &broker.coordinators[lane];
  struct reject reject;
  json_t *record = avro_json_of_value(shared.schemas, value, &reject);
  CHECK_THAT(record != NULL, "lane %u: a journal record cannot be read: %s", lane, reject.text);
  const int64_t epoch = (int64_t)json_integer_value(json_object_get(record, "epoch"));
  const char *owner = json_string_value(json_object_get(record, "owner"));
  CHECK_THAT(epoch > shown->shown_epoch ||
                 (epoch == shown->shown_epoch && strcmp(owner, shown->shown_owner) == 0),
             "lane %u: readers see a batch of epoch %" PRId64 " by %s after one of epoch %" PRId64
             " by %s",
             lane, epoch, owner, shown->shown_epoch, shown->shown_owner);
  shown->shown_epoch = epoch;
  memcpy(shown->shown_owner, owner, sizeof shown->shown_owner);
  json_decref(record);
}

/* A committed transaction ends with a batch's journal record, and goes on where the one before
 * ended: readers see each number of a lane once, and never a part of a batch. */
static void check_committed(uint32_t lane, const struct transaction *transaction) {
  struct coordinator *shown = &broker.coordinators[lane];
  uint64_t last_seq = shown->seq;
  for (size_t i = 0; i < transaction->count; i++) {
    const struct place place = transaction->places[i];
    const struct entry *entry = &broker.logs[OUTPUT_FIRST + place.record][lane].items[place.offset];
    if (place.record < RESULT_KIND_COUNT) {
      const uint64_t seq = seq_of(place.record, entry);
      CHECK_THAT(seq == shown->seq + 1,
                 "lane %u: readers see result %" PRIu64 " after result %" PRIu64, lane, seq,
                 shown->seq);
      shown->seq = seq;
    } else if (place.record == RECORD_JOURNAL) {
      struct span body =
          span_of(entry->value.data + SINGLE_OBJECT_SIZE, entry->value.size - SINGLE_OBJECT_SIZE);
      const int64_t kind = take_long(&body);
      (void)take_long(&body);
      const uint64_t batch = (uint64_t)take_long(&body);
      (void)take_long(&body); /* epoch */
      (void)take_long(&body);
      if (kind != 0) {
        continue; /* an environment */
      }
      last_seq = (uint64_t)take_long(&body);
      CHECK_THAT(batch == shown->batch + 1,
                 "lane %u: readers see batch %" PRIu64 " after batch %" PRIu64, lane, batch,
                 shown->batch);
      CHECK_THAT(last_seq == shown->seq,
                 "lane %u: readers see batch %" PRIu64 " end at result %" PRIu64 ", not %" PRIu64,
                 lane, batch, shown->seq, last_seq);
      CHECK_THAT(database_has_committed(lane, batch),
                 "lane %u: batch %" PRIu64 " is published and was never committed", lane, batch);
      check_witness(lane, entry->value);
      shown->batch = batch;
    }
  }
  CHECK_THAT(last_seq == shown->seq,
             "lane %u: readers see a part of a batch, up to result %" PRIu64, lane, shown->seq);
}

/* Transactions. -------------------------------------------------------------------------- */

static void decide(uint32_t lane, enum outcome_of_transaction outcome) {
  struct coordinator *coordinator = &broker.coordinators[lane];
  coordinator->transaction->outcome = outcome;
  coordinator->state = COORDINATOR_ENDING;
  trace("lane %u: transaction %s, %zu records", lane,
        outcome == TRANSACTION_COMMITTED ? "committed" : "aborted",
        coordinator->transaction->count);
  if (outcome == TRANSACTION_COMMITTED) {
    check_committed(lane, coordinator->transaction);
  }
}

static void abort_ongoing(uint32_t lane) {
  broker.coordinators[lane].epoch++;
  decide(lane, TRANSACTION_ABORTED);
}

static void time_out(void *context, int64_t lane) {
  (void)context;
  fault_note(FAULT_TRANSACTION_TIMEOUT);
  abort_ongoing((uint32_t)lane);
}

/* Marks the end of the transaction in one of its partitions; a commit was answered before. */
static void write_marker(void *context, int64_t lane) {
  (void)context;
  struct coordinator *coordinator = &broker.coordinators[lane];
  struct transaction *transaction = coordinator->transaction;
  uint32_t open[RECORD_COUNT];
  uint32_t count = 0;
  for (uint32_t record = 0; record < RECORD_COUNT; record++) {
    if (transaction->is_in[record] && !transaction->is_marked[record]) {
      open[count++] = record;
    }
  }
  if (count > 0) {
    const uint32_t record = open[draw(count)];
    transaction->is_marked[record] = true;
    add_entry(&broker.logs[OUTPUT_FIRST + record][lane], &(struct entry){.is_hidden = true});
  }
  if (count <= 1) {
    coordinator->state = COORDINATOR_EMPTY;
    coordinator->transaction = NULL;
  }
}

static void append_records(struct request *request) {
  struct coordinator *coordinator = &broker.coordinators[request->lane];
  if (coordinator->state == COORDINATOR_EMPTY) {
    struct transaction *begun = grab(sizeof *begun);
    begun->next = broker.transactions;
    broker.transactions = begun;
    coordinator->transaction = begun;
    coordinator->state = COORDINATOR_ONGOING;
    coordinator->started_ms = sim.now_ms;
  }
  struct transaction *transaction = coordinator->transaction;
  for (size_t i = 0; i < request->record_count; i++) {
    const struct outbound *outbound = &request->records[i];
    struct log *log = &broker.logs[OUTPUT_FIRST + outbound->record][request->lane];
    struct entry *entry = add_entry(log, &outbound->entry);
    entry->transaction = transaction;
    transaction->is_in[outbound->record] = true;
    transaction->places = grow(transaction->places, transaction->count, &transaction->capacity,
                               sizeof *transaction->places);
    transaction->places[transaction->count++] =
        (struct place){.record = outbound->record, .offset = log->count - 1};
  }
  free(request->records); /* the log has taken what they own */
  request->records = NULL;
  request->record_count = 0;
}

/* Requests. ------------------------------------------------------------------------------ */

void broker_send(struct request *request) {
  struct request **at = &broker.requests;
  while (*at != NULL) {
    at = &(*at)->next;
  }
  request->next = NULL;
  *at = request;
}

static void finish_request(struct request *request, enum answer answer) {
  struct request **at = &broker.requests;
  while (*at != request) {
    at = &(*at)->next;
  }
  *at = request->next;
  if (request->client != NULL) {
    client_answered(request, answer, broker.coordinators[request->lane].epoch);
  }
  request_free(request);
}

/* A copy that nobody waits for stays on its way. */
static void leave_copy(const struct request *request) {
  struct request *copy = grab(sizeof *copy);
  *copy = *request;
  copy->client = NULL;
  copy->records = NULL;
  copy->record_count = 0;
  copy->not_before_ms = sim.now_ms + draw(draw(2) == 0 ? 100 : DELAY_MS_MAX);
  broker_send(copy);
}

static void deliver_init(struct request *request) {
  struct coordinator *coordinator = &broker.coordinators[request->lane];
  if (coordinator->state == COORDINATOR_ONGOING) {
    abort_ongoing(request->lane); /* and asks again when that has ended */
    return;
  }
  if (request->client != NULL && fault(FAULT_INIT_RESENT)) {
    leave_copy(request);
  }
  coordinator->epoch++;
  finish_request(request, ANSWER_OK);
}

static void deliver_produce(struct request *request) {
  if (fault(FAULT_PRODUCE_RESENT)) {
    request->is_shaken = true;
    if (draw(2) == 0) {
      return; /* lost before it arrived */
    }
  }
  const bool has_failed = fault(FAULT_PRODUCE_FAILED);
  if (has_failed && draw(2) == 0) {
    finish_request(request, ANSWER_FAILED);
    return;
  }
  /* The client wants to know how many, the log takes them. */
  const size_t count = request->record_count;
  append_records(request);
  request->record_count = 0;
  struct request counted = *request;
  counted.record_count = count;
  if (request->client != NULL) {
    client_answered(&counted, has_failed ? ANSWER_FAILED : ANSWER_OK, 0);
    request->client = NULL;
  }
  finish_request(request, ANSWER_OK);
}

static void deliver_end(struct request *request) {
  const bool is_ongoing = broker.coordinators[request->lane].state == COORDINATOR_ONGOING;
  if (request->client != NULL && fault(FAULT_END_LOST)) {
    finish_request(request, ANSWER_FAILED);
    return;
  }
  if (request->client != NULL && fault(FAULT_END_DELAYED)) {
    leave_copy(request);
    finish_request(request, ANSWER_FAILED);
    return;
  }
  if (request->client != NULL && fault(FAULT_END_DUPLICATE)) {
    request->is_shaken = true;
    leave_copy(request);
  }
  enum answer answer = is_ongoing ? ANSWER_OK : ANSWER_FAILED;
  if (is_ongoing) {
    decide(request->lane, TRANSACTION_COMMITTED);
  }
  if (request->client != NULL && fault(FAULT_END_LOST_ANSWER)) {
    answer = ANSWER_FAILED;
  }
  finish_request(request, answer);
}

static void deliver(void *context, int64_t argument) {
  (void)argument;
  struct request *request = context;
  const struct coordinator *coordinator = &broker.coordinators[request->lane];
  if (request->kind != REQUEST_INIT && request->epoch != coordinator->epoch) {
    finish_request(request, ANSWER_FENCED);
    return;
  }
  switch (request->kind) {
  case REQUEST_INIT:
    deliver_init(request);
    break;
  case REQUEST_PRODUCE:
    deliver_produce(request);
    break;
  case REQUEST_END:
    deliver_end(request);
    break;
  }
}

static bool is_deliverable(const struct request *request) {
  const struct coordinator *coordinator = &broker.coordinators[request->lane];
  sim_wake_at(request->not_before_ms);
  if (sim.now_ms < request->not_before_ms) {
    return false;
  }
  /* While a transaction is being ended the coordinator has clients ask again. */
  return coordinator->state != COORDINATOR_ENDING;
}

void broker_offer(void) {
  sim_wake_at(broker.down_until_ms);
  if (broker_is_down()) {
    return;
  }
  for (struct request *request = broker.requests; request != NULL; request = request->next) {
    if (is_deliverable(request)) {
      static const char *const names[] = {"InitProducerId arrives", "Produce arrives",
                                          "EndTxn arrives"};
      sim_offer(names[request->kind], NULL, 10, deliver, request, request->lane);
    }
  }
  for (uint32_t lane = 0; lane < sim.plan.lane_count; lane++) {
    const struct coordinator *coordinator = &broker.coordinators[lane];
    if (coordinator->state == COORDINATOR_ENDING) {
      sim_offer("marker written", NULL, 10, write_marker, NULL, lane);
    } else if (coordinator->state == COORDINATOR_ONGOING) {
      const int64_t until_ms = coordinator->started_ms + TRANSACTION_TIMEOUT_MS;
      sim_wake_at(until_ms);
      if (sim.now_ms >= until_ms) {
        sim_offer("transaction times out", NULL, 10, time_out, NULL, lane);
      }
    }
  }
  clients_offer();
}

static void go_down(void *context, int64_t argument) {
  (void)context, (void)argument;
  fault_note(FAULT_BROKER_DOWN);
  broker.down_until_ms = sim.now_ms + 1 + draw(draw(3) == 0 ? 90000 : 3000);
}

void broker_offer_faults(void) {
  if (!broker_is_down() && sim.plan.rates[FAULT_BROKER_DOWN] > 0) {
    sim_offer("broker goes down", NULL, sim.plan.rates[FAULT_BROKER_DOWN], go_down, NULL, 0);
  }
}

void broker_drain(void) {
  broker.down_until_ms = 0;
}

void broker_cut_off(const struct member *member) {
  clients_cut_off(member);
  for (struct request **at = &broker.requests; *at != NULL;) {
    struct request *request = *at;
    if (request->client == NULL && request->not_before_ms == 0 && draw(3) == 0) {
      *at = request->next; /* it never left */
      request_free(request);
      continue;
    }
    at = &request->next;
  }
}
