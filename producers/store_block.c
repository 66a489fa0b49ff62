/* Blocks of devices' dates in PostgreSQL's binary form: a row of arrays without nulls. */
#include "producers/store_internal.h"

enum {
  BLOCK_COLUMN_COUNT = 7,
  DATES_COLUMN_COUNT = 8,
  INT2_OID = 21,
  TIMESTAMPTZ_OID = 1184,
  ARRAY_HEAD_SIZE = 20, /* dimensions, nulls, type, length, lower bound: 4 bytes each */
};

const char store_block_columns[] =
    "lane, block, last_sync_at, antivirus_signatures_at, threat_at, next_due_at, next_timer";
const char store_dates_columns[] =
    "lane, block, place, last_sync_at, antivirus_signatures_at, threat_at, next_due_at, next_timer";

static void put_array_head(struct buffer *rows, uint32_t count, uint32_t size, uint32_t type) {
  buffer_append_u32(rows, ARRAY_HEAD_SIZE + count * (4 + size));
  buffer_append_u32(rows, 1);
  buffer_append_u32(rows, 0);
  buffer_append_u32(rows, type);
  buffer_append_u32(rows, count);
  buffer_append_u32(rows, 1);
}

/* One date of every device; null when none has it and that is allowed. */
static void put_dates(struct buffer *rows, const struct device_block *block, enum device_date date,
                      bool may_be_null) {
  const int64_t *const dates = block->at_ms[date];
  bool has_any = !may_be_null;
  for (uint32_t i = 0; i < block->count && !has_any; i++) {
    has_any = dates[i] != TIME_NONE;
  }
  if (!has_any) {
    buffer_append_u32(rows, UINT32_MAX);
    return;
  }
  put_array_head(rows, block->count, 8, TIMESTAMPTZ_OID);
  for (uint32_t i = 0; i < block->count; i++) {
    row_put_instant(rows, dates[i]);
  }
}

static void put_timers(struct buffer *rows, const struct device_block *block) {
  bool has_any = false;
  for (uint32_t i = 0; i < block->count && !has_any; i++) {
    has_any = block->next_timer[i] != TIMER_KIND_NONE;
  }
  if (!has_any) {
    buffer_append_u32(rows, UINT32_MAX);
    return;
  }
  put_array_head(rows, block->count, 2, INT2_OID);
  for (uint32_t i = 0; i < block->count; i++) {
    buffer_append_u32(rows, 2);
    buffer_append_u16(rows, block->next_timer[i]);
  }
}

void store_append_block(struct buffer *rows, const struct device_block *block) {
  assert(block->count > 0 && block->count <= DEVICE_BLOCK_SIZE);
  buffer_append_u16(rows, BLOCK_COLUMN_COUNT);
  row_put_integer(rows, block->lane);
  row_put_integer(rows, block->number);
  put_dates(rows, block, DATE_LAST_SYNC, false);
  put_dates(rows, block, DATE_ANTIVIRUS_SIGNATURES, true);
  put_dates(rows, block, DATE_THREAT, true);
  put_dates(rows, block, DATE_NEXT_DUE, true);
  put_timers(rows, block);
}

void store_append_dates(struct buffer *rows, uint32_t lane, uint32_t index,
                        const struct device_dates *dates) {
  buffer_append_u16(rows, DATES_COLUMN_COUNT);
  row_put_integer(rows, lane);
  row_put_integer(rows, index / DEVICE_BLOCK_SIZE);
  row_put_integer(rows, index % DEVICE_BLOCK_SIZE + 1);
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    row_put_instant(rows, dates->at_ms[date]);
  }
  buffer_append_u32(rows, 2);
  buffer_append_u16(rows, dates->next_timer);
}

/* The first array tells how many devices there are. */
static void row_dates(struct row_reader *reader, struct device_block *block,
                      enum device_date date) {
  struct row_reader elements;
  const size_t count = row_array(reader, &elements);
  if (date == DATE_LAST_SYNC && count <= DEVICE_BLOCK_SIZE) {
    block->count = (uint32_t)count;
  }
  if (count > 0 && count != block->count) {
    reader->is_bad = true;
    return;
  }
  for (uint32_t i = 0; i < block->count; i++) {
    block->at_ms[date][i] = count > 0 ? row_time(&elements) : TIME_NONE;
  }
  reader->is_bad = reader->is_bad || elements.is_bad;
}

void row_block(struct row_reader *reader, struct device_block *block) {
  struct row_reader timers;
  *block = (struct device_block){0};
  block->lane = (uint32_t)row_integer(reader, 0);
  block->number = (uint32_t)row_integer(reader, 0);
  for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
    row_dates(reader, block, date);
  }
  const size_t count = row_array(reader, &timers);
  for (uint32_t i = 0; i < count && count == block->count; i++) {
    block->next_timer[i] = (uint8_t)row_integer(&timers, 0);
  }
  reader->is_bad = reader->is_bad || timers.is_bad || (count > 0 && count != block->count);
}

void block_date(const struct device_block *block, uint32_t place, struct device_image *device) {
  device->state.last_sync_at_ms = block->at_ms[DATE_LAST_SYNC][place];
  device->state.antivirus_signatures_at_ms = block->at_ms[DATE_ANTIVIRUS_SIGNATURES][place];
  device->state.threat_at_ms = block->at_ms[DATE_THREAT][place];
  device->next_due_at_ms = block->at_ms[DATE_NEXT_DUE][place];
  device->next_timer = (enum timer_kind)block->next_timer[place];
}
