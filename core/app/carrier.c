#include "core/app/carrier.h"

#include "core/app/state_digest.h"
#include "core/app/ticket_words.h"

#include <stdlib.h>

enum {
  ROWS_KEPT_MAX = 256 * 1024, /* bytes */
  STREAMED_PIECE_SIZE = 64 * 1024,
};

/* Rows; more of them are made while they are sent. The simulator's fleets are small: it has its
 * own limit, so that both ways are taken. */
#ifndef DEVICES_HELD_MAX
#define DEVICES_HELD_MAX 1000
#endif

struct carrier *carrier_open(const struct encoding *encoding) {
  struct carrier *carrier = calloc(1, sizeof *carrier);
  assert(carrier != NULL);
  carrier->encoding = encoding;
  carrier->inputs_digest = digest_open();
  carrier->results_digest = digest_open();
  return carrier;
}

void carrier_close(struct carrier *carrier) {
  if (carrier == NULL) {
    return;
  }
  buffer_fini(&carrier->persons);
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    buffer_fini(&carrier->devices[part]);
  }
  buffer_fini(&carrier->results);
  buffer_fini(&carrier->letters);
  buffer_fini(&carrier->control);
  buffer_fini(&carrier->environment);
  buffer_fini(&carrier->records);
  buffer_fini(&carrier->canonical);
  free(carrier->not_believed);
  digest_close(carrier->inputs_digest);
  digest_close(carrier->results_digest);
  free(carrier);
}

void carrier_clear_devices(struct carrier *carrier) {
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    buffer_clear(&carrier->devices[part]);
  }
}

void carrier_begin(struct carrier *carrier, struct lane_state *state, uint64_t batch,
                   int64_t now_mono_ms) {
  uint8_t unused[DIGEST_SIZE];
  buffer_clear(&carrier->persons);
  carrier_clear_devices(carrier);
  buffer_clear(&carrier->results);
  buffer_clear(&carrier->letters);
  buffer_clear(&carrier->control);
  buffer_clear(&carrier->environment);
  buffer_clear(&carrier->records);
  digest_final(carrier->inputs_digest, unused);
  digest_final(carrier->results_digest, unused);
  carrier->state = state;
  carrier->batch = batch;
  carrier->has_row = false;
  carrier->checkpoint_batch = 0;
  carrier->streamed_count = 0;
  carrier->result_count = 0;
  carrier->dead_letter_count = 0;
  memset(carrier->kind_counts, 0, sizeof carrier->kind_counts);
  memset(carrier->reject_counts, 0, sizeof carrier->reject_counts);
  memset(carrier->message_counts, 0, sizeof carrier->message_counts);
  carrier->begun_mono_ms = now_mono_ms;
  carrier->next = NULL;
}

static void carry(struct carrier *carrier, const struct result *result) {
  const struct span email = result->has_subject && result->person != INDEX_NONE
                                ? lane_state_address(carrier->state, result->person)
                                : (struct span){0};
  buffer_clear(&carrier->canonical);
  encode_result(carrier->encoding, result, email, &carrier->records, &carrier->canonical);
  digest_update(carrier->results_digest, buffer_span(&carrier->canonical));
  if (!carrier->makes_no_rows) {
    store_append_result(&carrier->results, &carrier->letters, carrier->encoding->lane,
                        carrier->batch, result);
  }
  carrier->result_count++;
  carrier->kind_counts[result->kind]++;
  if (result->kind == RESULT_DEAD_LETTER) {
    carrier->dead_letter_count++;
    carrier->reject_counts[result->dead_letter.reject.code]++;
  }
}

/* Tickets are few, and they alone get words: the core has none. */
static void take_result(void *context, const struct result *result) {
  struct carrier *carrier = context;
  if (result->kind != RESULT_TICKET) {
    carry(carrier, result);
    return;
  }
  struct result told = *result;
  char *const description = ticket_description(&carrier->state->lane, result);
  told.ticket.description = description;
  carry(carrier, &told);
  free(description);
}

struct sink carrier_sink(struct carrier *carrier) {
  return (struct sink){.context = carrier, .take = take_result};
}

size_t carrier_size(const struct carrier *carrier) {
  return carrier->results.size + carrier->letters.size + carrier->records.size;
}

size_t carrier_rows_size(const struct carrier *carrier) {
  size_t size = carrier->results.size + carrier->letters.size;
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    size += carrier->devices[part].size;
  }
  return size;
}

void carrier_rest(struct carrier *carrier) {
  buffer_trim(&carrier->results, ROWS_KEPT_MAX);
  buffer_trim(&carrier->records, ROWS_KEPT_MAX);
  buffer_trim(&carrier->letters, ROWS_KEPT_MAX);
  buffer_trim(&carrier->persons, ROWS_KEPT_MAX);
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    buffer_trim(&carrier->devices[part], ROWS_KEPT_MAX);
  }
}

/* One record for a device, whatever its row in the database. */
static void encode_changed(struct carrier *carrier) {
  struct lane *lane = &carrier->state->lane;
  const struct touches *touches = &lane->touches;
  for (uint32_t i = 0; i < touches->batch_changed_count; i++) {
    const struct touch *touch = &touches->items[touches->batch_changed[i]];
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    lane_image(lane, touch->device, touch, ids, &image);
    encode_device(carrier->encoding, &image, lane_state_address(carrier->state, image.person),
                  &carrier->records);
  }
  lane_end_batch(lane);
}

/* Devices come in order: the first that is touched of a block that has no row yet is its first. */
static bool is_new_block(const struct touch *touch) {
  return touch->is_new && touch->device % DEVICE_BLOCK_SIZE == 0;
}

/* Where the dates of a touched device are written. A device that joins a block makes it longer. */
static enum device_part dates_part(const struct lane *lane, const struct touch *touch) {
  if (is_new_block(touch)) {
    return NEW_BLOCKS;
  }
  return !touch->is_new && lane_is_alone_in_block(lane, touch) ? KNOWN_DATES : KNOWN_BLOCKS;
}

/* What a touched device has written in that part, if anything. */
static void append_device(const struct lane *lane, const struct touch *touch, enum device_part part,
                          struct buffer *rows) {
  if (part == NEW_DEVICES || part == KNOWN_DEVICES) {
    uint8_t ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE];
    struct device_image image;
    if (touch->has_moved && touch->is_new == (part == NEW_DEVICES)) {
      lane_image(lane, touch->device, touch, ids, &image);
      store_append_device(rows, &image);
    }
  } else if (!touch->is_block_first || dates_part(lane, touch) != part) {
    return;
  } else if (part == KNOWN_DATES) {
    struct device_dates dates;
    lane_dates(lane, touch->device, &dates);
    store_append_dates(rows, lane->number, touch->device, &dates);
  } else {
    struct device_block block;
    lane_block(lane, touch->device / DEVICE_BLOCK_SIZE, &block);
    store_append_block(rows, &block);
  }
}

bool carrier_write_devices(struct carrier *carrier, struct lane_state *state, uint64_t batch) {
  struct lane *lane = &state->lane;
  carrier->checkpoint_batch = batch;
  if (lane->touches.count > DEVICES_HELD_MAX) {
    carrier->state = state;
    carrier->streamed_count = lane->touches.count;
    carrier->streamed_next = 0;
    return true;
  }
  for (uint32_t i = 0; i < lane->touches.count; i++) {
    for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
      append_device(lane, &lane->touches.items[i], part, &carrier->devices[part]);
    }
  }
  lane_clear_touches(lane);
  return false;
}

/* One part after the other: the end of one is the start of the next. */
static bool next_devices(void *context, enum device_part part, struct buffer *rows) {
  struct carrier *carrier = context;
  const struct lane *lane = &carrier->state->lane;
  assert(lane->touches.count == carrier->streamed_count);
  buffer_clear(rows);
  while (carrier->streamed_next < carrier->streamed_count && rows->size < STREAMED_PIECE_SIZE) {
    append_device(lane, &lane->touches.items[carrier->streamed_next++], part, rows);
  }
  if (rows->size == 0) {
    carrier->streamed_next = 0;
  }
  return rows->size > 0;
}

void carrier_put_devices(struct carrier *carrier, struct store_batch *batch) {
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    batch->devices[part] = buffer_span(&carrier->devices[part]);
  }
  if (carrier->streamed_count == 0) {
    return;
  }
  struct store_devices *devices = &batch->streamed;
  const struct lane *lane = &carrier->state->lane;
  *devices = (struct store_devices){.context = carrier, .next = next_devices};
  for (uint32_t i = 0; i < carrier->streamed_count; i++) {
    const struct touch *touch = &lane->touches.items[i];
    if (touch->has_moved) {
      devices->has[touch->is_new ? NEW_DEVICES : KNOWN_DEVICES] = true;
    }
    if (touch->is_block_first) {
      devices->has[dates_part(lane, touch)] = true;
    }
  }
}

void carrier_devices_written(struct carrier *carrier) {
  lane_clear_touches(&carrier->state->lane);
  carrier->streamed_count = 0;
  carrier->state = NULL;
}

/* The lane's list goes on with the next batch: the row gets a copy. */
static void keep_not_believed(struct carrier *carrier) {
  const size_t count = carrier->row.not_believed_count;
  if (count > carrier->not_believed_capacity) {
    free(carrier->not_believed);
    carrier->not_believed = calloc(count, sizeof *carrier->not_believed);
    assert(carrier->not_believed != NULL);
    carrier->not_believed_capacity = (uint32_t)count;
  }
  if (count > 0) {
    memcpy(carrier->not_believed, carrier->row.not_believed, count * sizeof *carrier->not_believed);
  }
  carrier->row.not_believed = carrier->not_believed;
}

static void fill_digests(struct carrier *carrier, const struct seal *seal,
                         const struct span batch_last[TOPIC_COUNT]) {
  struct journal_row *row = &carrier->row;
  memcpy(row->environment, seal->environment, DIGEST_SIZE);
  digest_final(carrier->inputs_digest, row->inputs);
  digest_final(carrier->results_digest, row->results);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    if (batch_last[topic].size > 0) {
      digest_of(batch_last[topic], row->last_message[topic]);
    } else {
      memcpy(row->last_message[topic], seal->previous->last_message[topic], DIGEST_SIZE);
    }
  }
  if (row->gap.is_accepted) { /* nothing before the place where it goes on can be read again */
    memset(row->last_message[row->gap.topic], 0, DIGEST_SIZE);
  }
  buffer_clear(&carrier->canonical);
  uint8_t *bytes = buffer_reserve(&carrier->canonical, journal_canonical_size_max(row));
  const size_t size = journal_canonical(row, seal->previous->chain, bytes);
  digest_of(span_of(bytes, size), row->chain);
}

void carrier_seal(struct carrier *carrier, const struct batch *batch, const struct seal *seal,
                  const struct span batch_last[TOPIC_COUNT]) {
  batch_row(batch, &carrier->state->lane, &carrier->row);
  if (carrier->row.has_state) {
    state_digest(&carrier->state->lane, carrier->row.state);
  }
  keep_not_believed(carrier);
  fill_digests(carrier, seal, batch_last);
  encode_changed(carrier);
  carrier->has_row = true;
  carrier->committed_at_ms = seal->witness.committed_at_ms;
  if (memcmp(seal->previous->environment, seal->environment, DIGEST_SIZE) != 0) {
    buffer_append(&carrier->environment, seal->environment_content.data,
                  seal->environment_content.size);
    encode_journal(carrier->encoding, &carrier->row, &seal->witness,
                   buffer_span(&carrier->environment), &carrier->records);
  }
  encode_journal(carrier->encoding, &carrier->row, &seal->witness, (struct span){0},
                 &carrier->records);
  carrier->state = NULL;
}
