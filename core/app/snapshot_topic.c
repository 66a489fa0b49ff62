#include "core/app/snapshot_topic.h"

#include "core/app/binary.h"
#include "core/app/kafka_client.h"
#include "core/app/kafka_reader.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static const char topic[] = "snapshots";
static const char magic[4] = {'M', 'S', 'N', 'P'};

enum {
  VERSION = 1,
  PART_SIZE_MAX = 500 << 10, /* with its head it stays below 512 KiB */
  KEY_SIZE = 64,
  FLUSH_MS = 30000,
};

/* What stands before a part's bytes. */
struct part {
  struct snapshot_place of;
  uint32_t number; /* from 0 */
  struct span bytes;
};

static bool read_part(const rd_kafka_message_t *message, struct part *part) {
  struct binary binary = {.rest = span_of(message->payload, message->len)};
  const bool is_ours =
      span_equal(binary_take(&binary, sizeof magic), span_of(magic, sizeof magic)) &&
      binary_take_number(&binary, 2) == VERSION;
  part->of.lane = binary_take_u32(&binary);
  part->of.batch = binary_take_number(&binary, 8);
  part->of.clock_ms = binary_take_i64(&binary);
  part->number = binary_take_u32(&binary);
  part->of.part_count = binary_take_u32(&binary);
  part->of.size = binary_take_number(&binary, 8);
  binary_take_bytes(&binary, part->of.digest, DIGEST_SIZE);
  part->bytes = binary.rest;
  return is_ours && !binary.is_short && part->of.lane == (uint32_t)message->partition;
}

static void put_part(const struct part *part, struct buffer *bytes) {
  buffer_clear(bytes);
  buffer_append(bytes, magic, sizeof magic);
  buffer_append_u16(bytes, VERSION);
  buffer_append_u32(bytes, part->of.lane);
  buffer_append_u64(bytes, part->of.batch);
  binary_put_i64(bytes, part->of.clock_ms);
  buffer_append_u32(bytes, part->number);
  buffer_append_u32(bytes, part->of.part_count);
  buffer_append_u64(bytes, part->of.size);
  buffer_append(bytes, part->of.digest, DIGEST_SIZE);
  buffer_append(bytes, part->bytes.data, part->bytes.size);
}

/* A list. --------------------------------------------------------------------------------- */

struct listing {
  struct snapshot_places *places;
  uint32_t capacity;
  struct snapshot_place open; /* whose parts come one after the other */
  uint32_t next;              /* part; 0: none is open */
};

static bool is_same_snapshot(const struct snapshot_place *a, const struct snapshot_place *b) {
  return a->lane == b->lane && a->batch == b->batch && a->part_count == b->part_count &&
         memcmp(a->digest, b->digest, DIGEST_SIZE) == 0;
}

static bool list_part(void *context, const rd_kafka_message_t *message) {
  struct listing *listing = context;
  struct part part;
  const bool is_part = read_part(message, &part);
  if (is_part && part.number == 0) {
    listing->open = part.of;
    listing->open.first_offset = message->offset;
    listing->next = 0;
  }
  if (!is_part || part.number != listing->next || !is_same_snapshot(&part.of, &listing->open)) {
    listing->open = (struct snapshot_place){0};
    listing->next = 0;
    return true;
  }
  listing->next++;
  if (listing->next == part.of.part_count) {
    struct snapshot_places *places = listing->places;
    places->items = memory_grow(&heap_memory, places->items, (uint32_t)places->count,
                                &listing->capacity, sizeof *places->items);
    places->items[places->count++] = listing->open;
    listing->next = 0;
  }
  return true;
}

enum status snapshot_topic_list(const struct config *config, int64_t lane,
                                struct snapshot_places *places, struct error *error) {
  struct listing listing = {.places = places};
  const struct kafka_reading reading = {
      .topic = topic, .partition = lane, .each = list_part, .context = &listing};
  *places = (struct snapshot_places){0};
  const enum status status = kafka_read(config, &reading, error);
  if (status != STATUS_OK) {
    free(places->items);
    *places = (struct snapshot_places){0};
  }
  return status;
}

/* One. ------------------------------------------------------------------------------------ */

struct taking {
  const struct snapshot_place *place;
  struct buffer *bytes;
  uint32_t next;
};

static bool take_part(void *context, const rd_kafka_message_t *message) {
  struct taking *taking = context;
  struct part part;
  if (!read_part(message, &part) || part.number != taking->next ||
      !is_same_snapshot(&part.of, taking->place)) {
    return false;
  }
  buffer_append(taking->bytes, part.bytes.data, part.bytes.size);
  taking->next++;
  return taking->next < taking->place->part_count;
}

enum status snapshot_topic_read(const struct config *config, const struct snapshot_place *place,
                                struct buffer *bytes, struct error *error) {
  struct taking taking = {.place = place, .bytes = bytes};
  const struct kafka_reading reading = {.topic = topic,
                                        .partition = place->lane,
                                        .offset = place->first_offset,
                                        .each = take_part,
                                        .context = &taking};
  const enum status status = kafka_read(config, &reading, error);
  if (status == STATUS_OK && taking.next < place->part_count) {
    return error_set(error, STATUS_REFUSED,
                     "lane %" PRIu32 ": the snapshot of batch %" PRIu64 " is not whole",
                     place->lane, place->batch);
  }
  return status;
}

/* Writing. -------------------------------------------------------------------------------- */

struct writing {
  rd_kafka_resp_err_t refused;
};

static void take_report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  struct writing *writing = opaque;
  (void)client;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    writing->refused = message->err;
  }
}

/* Its record is stamped with the lane's clock, as results are: the same bytes in every replay. */
static rd_kafka_resp_err_t send_part(rd_kafka_t *client, const char *name, const struct part *part,
                                     struct buffer *value) {
  char key[KEY_SIZE];
  const int key_size = snprintf(key, sizeof key, "%" PRIu32 "/%" PRIu64 "/%" PRIu32, part->of.lane,
                                part->of.batch, part->number);
  put_part(part, value);
  return rd_kafka_producev(
      client, RD_KAFKA_V_TOPIC(name), RD_KAFKA_V_PARTITION((int32_t)part->of.lane),
      RD_KAFKA_V_KEY(key, (size_t)key_size), RD_KAFKA_V_VALUE(value->data, value->size),
      RD_KAFKA_V_TIMESTAMP(part->of.clock_ms > 0 ? part->of.clock_ms : 1),
      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK), RD_KAFKA_V_END);
}

static enum status send_parts(rd_kafka_t *client, const char *name, struct part *part,
                              struct span bytes, struct error *error) {
  struct buffer value = {0};
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  for (; part->number < part->of.part_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; part->number++) {
    const size_t begin = (size_t)part->number * PART_SIZE_MAX;
    const size_t rest = bytes.size - begin;
    part->bytes = span_of(bytes.data + begin, rest < PART_SIZE_MAX ? rest : PART_SIZE_MAX);
    code = send_part(client, name, part, &value);
    rd_kafka_poll(client, 0);
  }
  buffer_fini(&value);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = rd_kafka_flush(client, FLUSH_MS);
  }
  return code == RD_KAFKA_RESP_ERR_NO_ERROR
             ? STATUS_OK
             : kafka_error(error, STATUS_UNAVAILABLE, name, rd_kafka_err2str(code));
}

enum status snapshot_topic_write(const struct config *config, const struct snapshot *snapshot,
                                 struct span bytes, struct error *error) {
  const struct kafka_property properties[] = {
      {"enable.idempotence", "true"},         {"acks", "all"},
      {"message.timeout.ms", "30000"},        {"linger.ms", "5"},
      {"queue.buffering.max.kbytes", "8192"}, {NULL, NULL}};
  struct writing writing = {.refused = RD_KAFKA_RESP_ERR_NO_ERROR};
  struct part part = {.of = {.lane = snapshot->row.lane,
                             .batch = snapshot->row.batch,
                             .clock_ms = snapshot->row.clock_after_ms,
                             .size = bytes.size}};
  part.of.part_count = (uint32_t)((bytes.size + PART_SIZE_MAX - 1) / PART_SIZE_MAX);
  memcpy(part.of.digest, bytes.data + bytes.size - DIGEST_SIZE, DIGEST_SIZE);
  rd_kafka_conf_t *const conf = kafka_conf(config, properties, error);
  if (conf == NULL) {
    return STATUS_CONFIG;
  }
  rd_kafka_conf_set_opaque(conf, &writing);
  rd_kafka_conf_set_dr_msg_cb(conf, take_report);
  char why[256];
  rd_kafka_t *const client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (client == NULL) {
    rd_kafka_conf_destroy(conf);
    return error_set(error, STATUS_CONFIG, "Kafka producer: %s", why);
  }
  char *const name = kafka_topic_whole(config, topic);
  enum status status = send_parts(client, name, &part, bytes, error);
  if (status == STATUS_OK && writing.refused != RD_KAFKA_RESP_ERR_NO_ERROR) {
    status = kafka_error(error, STATUS_UNAVAILABLE, name, rd_kafka_err2str(writing.refused));
  }
  free(name);
  rd_kafka_destroy(client);
  return status;
}
