/* From producing a report to reading its result: sends reports that each change a device's
 * compliance at a steady pace, and reads the changes as any reader of committed records would.
 * A report and its result know each other by the event's id, which holds the report's number.
 *
 * usage: latency_probe BOOTSTRAP PREFIX HEAD FIRST DEVICES RATE SECONDS SKIP
 *
 * The devices are SN%08d from FIRST to DEVICES-1, all compliant at first. HEAD is what stands
 * before an encoded ComplianceReport, in hex. What was sent in the first SKIP of SECONDS does not
 * count. Prints one JSON object, milliseconds: `behind_ms` is how late the pace was kept at worst.
 */
#include "producers/encode_avro.h"
#include "tests/bench/client.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
  TIMEOUT_MS = 20000,
  DRAIN_MS = 15000, /* without a result, then those that are missing are counted as lost */
  HEAD_SIZE = 10,
  SERIAL_SIZE = 16,
  REPORT_SIZE_MAX = 256,
  NAME_SIZE = 256,
  BATCH_COUNT = 1000,
};

const char program[] = "latency_probe";

#define PAUSE_NS 100000
#define DAY_MS INT64_C(86400000)

struct probe {
  const char *bootstrap, *prefix;
  uint8_t head[HEAD_SIZE];
  uint64_t first, device_count;
  double rate, seconds, skip_seconds;
  size_t report_count;
  double *sent_at;  /* by report's number; written before it is produced */
  double *acked_at; /* by the broker; 0: not yet */
  double *taken_at; /* 0: not yet */
  atomic_size_t taken_count;
  atomic_bool is_over;
  rd_kafka_t *consumer;
  double behind_seconds;
  double produce_seconds; /* that sending took */
};

static int64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_acked(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context) {
  (void)producer;
  (void)context;
  *(double *)message->_private = seconds_now();
}

/* Five requests at a time, as the Java client has them: what the broker is too slow for gathers in
 * larger requests instead of drowning it in small ones. */
static rd_kafka_t *producer_open(const struct probe *probe) {
  rd_kafka_conf_t *const conf = rd_kafka_conf_new();
  rd_kafka_conf_set_dr_msg_cb(conf, on_acked);
  const char *const properties[][2] = {
      {"bootstrap.servers", probe->bootstrap},
      {"linger.ms", "1"},
      {"enable.idempotence", "true"},
      {"partitioner", "murmur2_random"},
      {"queue.buffering.max.messages", "1000000"},
      {"socket.nagle.disable", "true"},
      {NULL, NULL},
  };
  return client_open(RD_KAFKA_PRODUCER, conf, properties);
}

/* Reads all partitions of the results from their present ends on. */
static void assign_ends(const struct probe *probe, const char *topic) {
  const int count = partition_count(probe->consumer, topic, TIMEOUT_MS);
  rd_kafka_topic_partition_list_t *const partitions = rd_kafka_topic_partition_list_new(0);
  for (int partition = 0; partition < count; partition++) {
    int64_t first;
    int64_t end;
    const rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        probe->consumer, topic, partition, &first, &end, TIMEOUT_MS);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      die(topic, rd_kafka_err2str(error));
    }
    rd_kafka_topic_partition_list_add(partitions, topic, partition)->offset = end;
  }
  rd_kafka_assign(probe->consumer, partitions);
  rd_kafka_topic_partition_list_destroy(partitions);
}

static void consumer_open(struct probe *probe) {
  const char *const properties[][2] = {
      {"bootstrap.servers", probe->bootstrap}, {"group.id", "latency-probe"},
      {"enable.auto.commit", "false"},         {"auto.offset.reset", "error"},
      {"isolation.level", "read_committed"},   {"fetch.wait.max.ms", "100"},
      {"socket.nagle.disable", "true"},        {NULL, NULL},
  };
  char topic[NAME_SIZE];
  snprintf(topic, sizeof topic, "%scompliance-changes", probe->prefix);
  probe->consumer = client_open(RD_KAFKA_CONSUMER, NULL, properties);
  assign_ends(probe, topic);
}

/* Avro, as far as it is needed to get at a ComplianceChange's event_id. */
static int64_t take_long(const uint8_t **at, const uint8_t *end) {
  uint64_t bits = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    const uint8_t byte = *(*at)++;
    bits |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      break;
    }
  }
  return (int64_t)(bits >> 1) ^ -(int64_t)(bits & 1);
}

static const uint8_t *take_string(const uint8_t **at, const uint8_t *end, int64_t *size) {
  *size = take_long(at, end);
  if (*size < 0 || *size > end - *at) {
    die("a result", "not the record that was expected");
  }
  const uint8_t *const text = *at;
  *at += *size;
  return text;
}

/* The number of the report that caused a ComplianceChange; false for another's. */
static bool report_number(const struct probe *probe, const rd_kafka_message_t *message,
                          size_t *number) {
  const uint8_t *at = (const uint8_t *)message->payload + HEAD_SIZE;
  const uint8_t *const end = (const uint8_t *)message->payload + message->len;
  int64_t size;
  for (int field = 0; field < 3; field++) {
    take_long(&at, end); /* lane, seq, at */
  }
  if (take_long(&at, end) == 1) { /* cause: topic, partition, offset */
    take_string(&at, end, &size);
    take_long(&at, end);
    take_long(&at, end);
  }
  if (take_long(&at, end) != 1) {
    return false;
  }
  const uint8_t *const id = take_string(&at, end, &size);
  char digits[13] = "";
  if (size != UUID_TEXT_SIZE) {
    return false;
  }
  memcpy(digits, id + UUID_TEXT_SIZE - 12, 12);
  *number = strtoull(digits, NULL, 16);
  return *number < probe->report_count;
}

static void *read_results(void *context) {
  struct probe *const probe = context;
  rd_kafka_queue_t *const queue = rd_kafka_queue_get_consumer(probe->consumer);
  rd_kafka_message_t *messages[BATCH_COUNT];
  while (!atomic_load(&probe->is_over)) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue, 1, messages, BATCH_COUNT);
    const double now = seconds_now();
    for (ssize_t i = 0; i < count; i++) {
      size_t number;
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
          report_number(probe, messages[i], &number) && probe->taken_at[number] == 0) {
        probe->taken_at[number] = now;
        atomic_fetch_add(&probe->taken_count, 1);
      }
      rd_kafka_message_destroy(messages[i]);
    }
  }
  rd_kafka_queue_destroy(queue);
  return NULL;
}

/* The devices take turns, so each report of one says the opposite of its last. */
static size_t encode_report(const struct probe *probe, size_t number, struct span serial,
                            uint8_t *value) {
  const uint64_t turn = number / (probe->device_count - probe->first);
  const int64_t now_ms = wall_ms();
  uint8_t id[EVENT_ID_SIZE] = {[6] = 0x40, [8] = 0x80};
  put_u64(id + 8, UINT64_C(0x8000) << 48 | number);
  uint8_t *at = put_bytes(value, probe->head, HEAD_SIZE);
  at = put_uuid(at, id);
  at = put_long(at, now_ms);
  at = put_string(at, serial);
  at = put_nullable_string(at, span_text("10.0.22631"));
  at = put_boolean(put_is_set(at, true), true);          /* antivirus */
  at = put_nullable_time(at, now_ms - DAY_MS);           /* its signatures */
  at = put_boolean(put_is_set(at, true), turn % 2 == 1); /* disk_encrypted */
  at = put_long(put_is_set(at, true), 6);                /* PIN */
  at = put_is_set(put_is_set(at, false), false);         /* no threat defence */
  return (size_t)(at - value);
}

static void send_report(struct probe *probe, rd_kafka_topic_t *topic, size_t number) {
  uint8_t value[REPORT_SIZE_MAX];
  char serial[SERIAL_SIZE];
  const uint64_t device = probe->first + number % (probe->device_count - probe->first);
  const int size = snprintf(serial, sizeof serial, "SN%08" PRIu64, device);
  const size_t value_size = encode_report(probe, number, span_of(serial, (size_t)size), value);
  probe->sent_at[number] = seconds_now();
  if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, value_size, serial,
                       (size_t)size, &probe->acked_at[number]) != 0) {
    die("a report", rd_kafka_err2str(rd_kafka_last_error()));
  }
}

static void send_reports(struct probe *probe, rd_kafka_t *producer, rd_kafka_topic_t *topic) {
  const struct timespec pause = {.tv_nsec = PAUSE_NS};
  const double began = seconds_now();
  for (size_t number = 0; number < probe->report_count;) {
    const double now = seconds_now();
    const double due = began + (double)number / probe->rate;
    if (due > now) {
      rd_kafka_poll(producer, 0);
      nanosleep(&pause, NULL);
      continue;
    }
    probe->behind_seconds = now - due > probe->behind_seconds ? now - due : probe->behind_seconds;
    send_report(probe, topic, number++);
  }
  probe->produce_seconds = seconds_now() - began;
  rd_kafka_flush(producer, TIMEOUT_MS);
}

/* Until every result is there, or none has come for a while. */
static void drain(struct probe *probe) {
  const struct timespec pause = {.tv_nsec = 10000000};
  double since = seconds_now();
  size_t last = 0;
  while (atomic_load(&probe->taken_count) < probe->report_count &&
         seconds_now() - since < DRAIN_MS / 1000.0) {
    const size_t taken = atomic_load(&probe->taken_count);
    since = taken > last ? seconds_now() : since;
    last = taken;
    nanosleep(&pause, NULL);
  }
  atomic_store(&probe->is_over, true);
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Prints shares of the time from `sent_at` to `end_at`, of the reports that count. */
static void print_times(const struct probe *probe, const double *end_at, const char *prefix) {
  static const struct {
    const char *name;
    double share;
  } parts[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999}, {"max", 1}};
  double *const took = calloc(probe->report_count, sizeof *took);
  size_t count = 0;
  for (size_t number = (size_t)(probe->skip_seconds * probe->rate); number < probe->report_count;
       number++) {
    if (end_at[number] > 0) {
      took[count++] = end_at[number] - probe->sent_at[number];
    }
  }
  if (count == 0) {
    die("reading", "nothing came");
  }
  qsort(took, count, sizeof *took, compare);
  for (size_t i = 0; i < COUNT_OF(parts); i++) {
    const size_t place = (size_t)((double)count * parts[i].share);
    printf(", \"%s%s_ms\": %.3f", prefix, parts[i].name,
           took[place < count ? place : count - 1] * 1000);
  }
  free(took);
}

static void print_found(const struct probe *probe) {
  printf("{\"reports\": %zu, \"lost\": %zu, \"behind_ms\": %.2f, \"rate\": %.1f",
         probe->report_count, probe->report_count - atomic_load(&probe->taken_count),
         probe->behind_seconds * 1000, (double)probe->report_count / probe->produce_seconds);
  print_times(probe, probe->acked_at, "ack_");
  print_times(probe, probe->taken_at, "");
  printf("}\n");
}

static void parse(char **argv, struct probe *probe) {
  probe->bootstrap = argv[1];
  probe->prefix = argv[2];
  for (size_t i = 0; i < HEAD_SIZE && strlen(argv[3]) == 2 * HEAD_SIZE; i++) {
    const char digits[] = {argv[3][2 * i], argv[3][2 * i + 1], 0};
    probe->head[i] = (uint8_t)strtoul(digits, NULL, 16);
  }
  probe->first = strtoull(argv[4], NULL, 10);
  probe->device_count = strtoull(argv[5], NULL, 10);
  probe->rate = strtod(argv[6], NULL);
  probe->seconds = strtod(argv[7], NULL);
  probe->skip_seconds = strtod(argv[8], NULL);
  probe->report_count = (size_t)(probe->rate * probe->seconds);
}

int main(int argc, char **argv) {
  if (argc != 9) {
    fputs("usage: latency_probe BOOTSTRAP PREFIX HEAD FIRST DEVICES RATE SECONDS SKIP\n", stderr);
    return 2;
  }
  struct probe probe = {0};
  parse(argv, &probe);
  probe.sent_at = calloc(probe.report_count, sizeof *probe.sent_at);
  probe.acked_at = calloc(probe.report_count, sizeof *probe.acked_at);
  probe.taken_at = calloc(probe.report_count, sizeof *probe.taken_at);
  if (probe.sent_at == NULL || probe.acked_at == NULL || probe.taken_at == NULL) {
    die("memory", "too many reports");
  }
  consumer_open(&probe);
  rd_kafka_t *const producer = producer_open(&probe);
  char name[NAME_SIZE];
  snprintf(name, sizeof name, "%scompliance-reports", probe.prefix);
  rd_kafka_topic_t *const topic = rd_kafka_topic_new(producer, name, NULL);
  pthread_t reader;
  if (pthread_create(&reader, NULL, read_results, &probe) != 0) {
    die("a thread", "not to be had");
  }
  send_reports(&probe, producer, topic);
  drain(&probe);
  pthread_join(reader, NULL);
  print_found(&probe);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(producer);
  rd_kafka_consumer_close(probe.consumer);
  rd_kafka_destroy(probe.consumer);
  free(probe.sent_at);
  free(probe.acked_at);
  free(probe.taken_at);
  return 0;
}
