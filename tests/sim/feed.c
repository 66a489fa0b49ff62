#include "tests/sim/feed.h"

#include "core/app/kafka_client.h"
#include "producers/buffer.h"
#include "tests/sim/broker.h"
#include "tests/sim/member.h"
#include "tests/sim/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SERIALS_MAX = 16, HOUR_MS = 3600000, GRAVES_MAX = 16 };
#define FAR_FUTURE_MS INT64_C(4102444800000)

static struct {
  uint32_t sent;
  int64_t next_ms; /* nothing is sent before */
  char serials[LANES_MAX][SERIALS_MAX][16];
  bool is_tampered;
  void *graves[GRAVES_MAX]; /* bytes that are no longer in a log and may still be looked at */
  size_t grave_count;
} feed;

static void damage(struct buffer *value, struct entry *entry) {
  switch (draw(6)) {
  case 0:
    value->size = draw((uint32_t)value->size);
    break;
  case 1:
    value->data[draw((uint32_t)value->size)] ^= (uint8_t)(1 << draw(8));
    break;
  case 2:
    entry->value_is_null = true;
    value->size = 0;
    break;
  case 3:
    value->data[3] ^= 0xff; /* another schema */
    break;
  case 4:
    while (value->size < 5000) { /* too large */
      buffer_append_u64(value, 0);
    }
    break;
  case 5:
    value->size = 0;
    break;
  }
}

static int64_t stamp(void) {
  const int64_t now_ms = sim_wall_ms();
  if (sim.plan.is_backlog) {
    /* Before the start and beyond the doubt of any member's clock. */
    const int64_t start_ms = now_ms - 80 * (int64_t)HOUR_MS;
    const int64_t at_ms =
        start_ms + (int64_t)feed.sent * (70 * (int64_t)HOUR_MS / sim.plan.message_count);
    if (fault(FAULT_LATE)) {
      return at_ms - (int64_t)draw(30 * HOUR_MS);
    }
    return fault(FAULT_FUTURE) ? FAR_FUTURE_MS : fault(FAULT_UNSTAMPED) ? -1 : at_ms;
  }
  if (fault(FAULT_LATE)) {
    return now_ms - (int64_t)draw(draw(2) == 0 ? 3000 : 30 * HOUR_MS);
  }
  if (fault(FAULT_FUTURE)) {
    return draw(2) == 0 ? FAR_FUTURE_MS : now_ms + (int64_t)draw(20000);
  }
  return fault(FAULT_UNSTAMPED) ? -1 : now_ms - (int64_t)draw(30);
}

static enum topic some_topic(void) {
  if (chance(sim.plan.control_per_mille)) {
    return TOPIC_CONTROL;
  }
  if (chance(sim.plan.command_per_mille)) {
    return TOPIC_COMMANDS;
  }
  const uint32_t kind = draw(40);
  return kind < 12 ? TOPIC_ENROLLMENTS : kind < 24 ? TOPIC_CHECKINS : TOPIC_REPORTS;
}

static enum topic make_value(struct buffer *value, const char *serial, int64_t at_ms) {
  static void (*const makers[TOPIC_COUNT])(struct buffer *, const char *, int64_t) = {
      [TOPIC_CONTROL] = message_control,  [TOPIC_ENROLLMENTS] = message_enrollment,
      [TOPIC_COMMANDS] = message_command, [TOPIC_CHECKINS] = message_checkin,
      [TOPIC_REPORTS] = message_report,
  };
  const enum topic topic = some_topic();
  if (draw(40) == 0) {
    buffer_append(value, "of no schema", 12);
  } else {
    makers[topic](value, serial, at_ms < 0 ? 0 : at_ms);
  }
  return topic;
}

static struct log *log_of(enum topic topic, uint32_t lane) {
  return broker_log(topic, topic == TOPIC_CONTROL ? 0 : lane);
}

static void repeat(struct log *log) {
  const struct entry *original = &log->items[draw((uint32_t)log->count)];
  if (!original->is_hidden && fault(FAULT_DUPLICATE)) {
    struct entry copy = *original;
    copy.headers = NULL;
    copy.timestamp_ms = draw(2) == 0 ? copy.timestamp_ms : stamp();
    log_append(log, &copy);
  }
}

static rd_kafka_headers_t *some_headers(void) {
  if (draw(3) != 0) {
    return NULL;
  }
  static const char traceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
  rd_kafka_header_add(headers, "traceparent", -1, traceparent, sizeof traceparent - 1);
  rd_kafka_header_add(headers, "empty", -1, NULL, 0);
  return headers;
}

static void send_one(void) {
  const uint32_t lane = draw(sim.plan.lane_count);
  const char *serial = feed.serials[lane][draw(sim.plan.serial_count)];
  struct entry entry = {.timestamp_ms = stamp(), .headers = some_headers()};
  struct buffer value = {0};
  const enum topic topic = make_value(&value, serial, entry.timestamp_ms);
  entry.key = span_text(serial);
  if (fault(FAULT_MISKEYED)) {
    entry.key =
        draw(2) == 0 ? span_text(feed.serials[draw(sim.plan.lane_count)][0]) : span_of("", 0);
    entry.key_is_null = draw(2) == 0;
  }
  if (fault(FAULT_DAMAGED)) {
    damage(&value, &entry);
  }
  entry.value = buffer_span(&value);
  struct log *log = log_of(topic, lane);
  if (fault(FAULT_GAP)) {
    log_append(log, &(struct entry){.is_hidden = true});
  }
  log_append(log, &entry);
  trace("lane %u: %s %zu stamped %lld", lane, topic_name(topic), log->count - 1,
        (long long)(entry.timestamp_ms - SIM_WALL_START_MS));
  buffer_fini(&value);
  repeat(log);
  feed.sent++;
}

/* Somebody has put another topic in the place of one that was read. */
static void tamper(void) {
  struct log *log = log_of(TOPIC_ENROLLMENTS + draw(4), draw(sim.plan.lane_count));
  if (log->count == 0 || feed.grave_count + 2 > GRAVES_MAX) {
    return;
  }
  struct entry *entry = &log->items[log->count - 1 - draw((uint32_t)log->count)];
  if (entry->value.size > 30 && !entry->is_hidden) {
    fault_note(FAULT_TAMPER);
    uint8_t *bytes = copy_bytes(entry->value.data, entry->value.size);
    bytes[entry->value.size - 1] ^= 0x2;
    feed.graves[feed.grave_count++] = (void *)(uintptr_t)entry->value.data;
    entry->value.data = bytes;
    feed.is_tampered = true;
  }
}

static void send_some(void *context, int64_t argument) {
  (void)context, (void)argument;
  for (uint32_t burst = draw(6) == 0 ? 1 + draw(sim.plan.message_count / 6) : 1;
       burst > 0 && feed.sent < sim.plan.message_count; burst--) {
    send_one();
  }
  if (sim.plan.rates[FAULT_TIME_JUMP] > 0 && !sim.is_draining && draw(12) == 0) {
    sim_jump(); /* before anybody has fetched them */
    if (sim.plan.rates[FAULT_FETCH_STALLED] > 0) {
      clients_stall();
    }
  }
  feed.next_ms = sim.now_ms + (draw(4) == 0 ? draw(5000) : draw(sim.plan.gap_ms_max));
  if (sim.plan.is_tampered && draw(10) == 0) {
    tamper();
  }
}

void feed_offer(void) {
  if (feed_is_over()) {
    return;
  }
  sim_wake_at(feed.next_ms);
  if (sim.now_ms >= feed.next_ms) {
    sim_offer("message sent", NULL, 4, send_some, NULL, 0);
  }
}

bool feed_is_over(void) {
  return feed.sent >= sim.plan.message_count;
}

static void name_serials(void) {
  uint32_t counts[LANES_MAX] = {0};
  for (uint32_t number = 0;; number++) {
    char name[16];
    const int length = snprintf(name, sizeof name, "SN%u", number);
    const uint32_t lane = (uint32_t)kafka_partition_of(PARTITIONER_MURMUR2, name, (size_t)length,
                                                       (int32_t)sim.plan.lane_count);
    if (counts[lane] < SERIALS_MAX) {
      memcpy(feed.serials[lane][counts[lane]++], name, sizeof name);
    }
    bool is_full = true;
    for (uint32_t i = 0; i < sim.plan.lane_count; i++) {
      is_full = is_full && counts[i] == SERIALS_MAX;
    }
    if (is_full) {
      return;
    }
  }
}

void feed_begin(void) {
  memset(&feed, 0, sizeof feed);
  messages_begin();
  name_serials();
  const uint32_t at_once =
      sim.plan.is_backlog ? sim.plan.message_count : draw(sim.plan.message_count / 2 + 1);
  while (feed.sent < at_once) {
    send_one();
  }
}

void feed_end(void) {
  for (size_t i = 0; i < feed.grave_count; i++) {
    free(feed.graves[i]);
  }
}
