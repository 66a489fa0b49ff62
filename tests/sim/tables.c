#include "tests/sim/tables.h"

#include "core/app/digest.h"
#include "producers/store_internal.h"
#include "tests/sim/broker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct person_row {
  uint8_t subject[SUBJECT_SIZE];
  struct span email;
};

/* Of every batch that was ever committed, whatever a failover has taken back since. */
struct ever {
  uint8_t (*chains)[DIGEST_SIZE];
  size_t count, capacity;
};

static struct {
  struct change **changes;
  size_t change_count, change_capacity;
  struct lane_tables lanes[LANES_MAX];
  struct person_row *persons;
  size_t person_count, person_capacity;
  struct ever ever[LANES_MAX];
  bool is_rebuilding;
} tables;

struct lane_tables *tables_lane(uint32_t lane) {
  assert(lane < LANES_MAX);
  return &tables.lanes[lane];
}

static void clear(void) {
  for (size_t i = 0; i < LANES_MAX; i++) {
    struct lane_tables *lane = &tables.lanes[i];
    for (size_t j = 0; j < lane->result_count; j++) {
      buffer_fini(&lane->results[j]);
    }
    for (size_t j = 0; j < lane->device_count; j++) {
      buffer_fini(&lane->devices[j]);
    }
    for (size_t j = 0; j < lane->letter_count; j++) {
      buffer_fini(&lane->letters[j].row);
    }
    for (size_t j = 0; j < lane->batch_count; j++) {
      buffer_fini(&lane->controls[j]);
    }
    for (size_t j = 0; j < lane->block_count; j++) {
      buffer_fini(&lane->blocks[j]);
    }
    free(lane->blocks);
    free(lane->controls);
    free(lane->batches);
    free(lane->results);
    free(lane->devices);
    free(lane->letters);
    *lane = (struct lane_tables){0};
  }
  free(tables.persons);
  tables.persons = NULL;
  tables.person_count = tables.person_capacity = 0;
}

void tables_begin(void) {
  memset(&tables, 0, sizeof tables);
}

void tables_end(void) {
  clear();
  for (size_t i = 0; i < tables.change_count; i++) {
    change_free(tables.changes[i]);
  }
  free(tables.changes);
  for (size_t i = 0; i < LANES_MAX; i++) {
    free(tables.ever[i].chains);
  }
}

size_t tables_change_count(void) {
  return tables.change_count;
}

/* Changes. ------------------------------------------------------------------------------- */

static void keep(struct buffer *into, struct span bytes) {
  if (bytes.size > 0) {
    buffer_append(into, bytes.data, bytes.size);
  }
}

static void keep_devices(struct change *change, const struct store_batch *batch) {
  const struct store_devices *streamed = &batch->streamed;
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    struct buffer *into = &change->devices[part];
    struct buffer piece = {0};
    keep(into, batch->devices[part]);
    while (streamed->next != NULL && streamed->has[part] &&
           streamed->next(streamed->context, part, &piece)) {
      buffer_append(into, piece.data, piece.size);
    }
    buffer_fini(&piece);
  }
}

struct change *change_of(const struct store_batch *batch, enum change_kind kind) {
  struct change *change = grab(sizeof *change);
  change->kind = kind;
  change->ownership = *batch->lane;
  if (kind == CHANGE_PERSONS) {
    keep(&change->persons, batch->persons);
    return change;
  }
  change->published_batch = batch->published_batch;
  change->checkpoint_batch = batch->checkpoint_batch;
  change->has_row = batch->row != NULL;
  if (change->has_row) {
    struct stored_batch *stored = &change->batch;
    stored->row = *batch->row;
    stored->row.not_believed =
        copy_bytes(batch->row->not_believed,
                   batch->row->not_believed_count * sizeof *batch->row->not_believed);
    stored->epoch = batch->lane->epoch;
    memcpy(stored->owner, batch->lane->owner, OWNER_SIZE);
    stored->committed_at_ms = batch->committed_at_ms;
    keep(&stored->environment, batch->environment);
  }
  keep_devices(change, batch);
  keep(&change->results, batch->results);
  keep(&change->letters, batch->letters);
  keep(&change->control, batch->control);
  return change;
}

void change_free(struct change *change) {
  free((void *)(uintptr_t)change->batch.row.not_believed);
  buffer_fini(&change->batch.environment);
  buffer_fini(&change->persons);
  for (enum device_part part = 0; part < DEVICE_PART_COUNT; part++) {
    buffer_fini(&change->devices[part]);
  }
  buffer_fini(&change->results);
  buffer_fini(&change->letters);
  buffer_fini(&change->control);
  free(change);
}

/* Rows. ---------------------------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t *bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++) {
    value = value << 8 | bytes[i];
  }
  return value;
}

/* Where the field at `at` ends. */
static size_t field_end(struct span rows, size_t at) {
  const uint32_t size = (uint32_t)big_endian(rows.data + at, 4);
  return at + 4 + (size == UINT32_MAX ? 0 : size);
}

/* The row at `*at`, which moves on. */
static bool next_row(struct span rows, size_t *at, struct span *row) {
  if (*at >= rows.size) {
    return false;
  }
  size_t end = *at + 2;
  for (uint64_t left = big_endian(rows.data + *at, 2); left > 0; left--) {
    end = field_end(rows, end);
  }
  CHECK_THAT(end <= rows.size, "rows of the database are cut");
  *row = span_of(rows.data + *at, end - *at);
  *at = end;
  return true;
}

static size_t column_index(const char *columns, const char *name) {
  size_t index = 0;
  const size_t length = strlen(name);
  for (const char *at = columns; at != NULL; index++) {
    if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
      return index;
    }
    at = strchr(at, ',');
    at = at != NULL ? at + 2 : NULL;
  }
  violation("there is no column %s", name);
}

struct span row_field(struct span row, const char *columns, const char *name, bool *is_null) {
  size_t at = 2;
  for (size_t left = column_index(columns, name); left > 0; left--) {
    at = field_end(row, at);
  }
  const size_t end = field_end(row, at);
  *is_null = big_endian(row.data + at, 4) == UINT32_MAX;
  return span_of(row.data + at + 4, end - at - 4);
}

uint64_t row_number(struct span row, const char *columns, const char *name) {
  bool is_null;
  const struct span field = row_field(row, columns, name, &is_null);
  return is_null ? 0 : big_endian(field.data, field.size);
}

/* Persons. ------------------------------------------------------------------------------- */

static const char person_columns[] = "subject, user_email";

static const struct person_row *find_person(const uint8_t *subject) {
  for (size_t i = 0; i < tables.person_count; i++) {
    if (memcmp(tables.persons[i].subject, subject, SUBJECT_SIZE) == 0) {
      return &tables.persons[i];
    }
  }
  return NULL;
}

struct span database_address(const uint8_t subject[16]) {
  const struct person_row *person = find_person(subject);
  return person != NULL ? person->email : (struct span){0};
}

static void apply_persons(const struct change *change) {
  const struct span rows = buffer_span(&change->persons);
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    bool is_null;
    const struct span subject = row_field(row, person_columns, "subject", &is_null);
    if (find_person(subject.data) != NULL) {
      continue;
    }
    tables.persons =
        grow(tables.persons, tables.person_count, &tables.person_capacity, sizeof *tables.persons);
    struct person_row *added = &tables.persons[tables.person_count++];
    memcpy(added->subject, subject.data, SUBJECT_SIZE);
    added->email = row_field(row, person_columns, "user_email", &is_null);
  }
}

static void check_person(struct span row, const char *columns) {
  bool is_null;
  const struct span subject = row_field(row, columns, "subject", &is_null);
  CHECK_THAT(is_null || find_person(subject.data) != NULL,
             "a committed row names a person whom the database does not have");
}

/* A batch. ------------------------------------------------------------------------------- */

static void check_row(const struct lane_tables *lane, const struct stored_batch *stored) {
  static const struct journal_row none;
  const struct journal_row *row = &stored->row;
  const struct journal_row *previous =
      lane->batch_count > 0 ? &lane->batches[lane->batch_count - 1].row : &none;
  CHECK_THAT(row->batch == lane->batch_count + 1,
             "lane %u: batch %" PRIu64 " is committed after batch %zu", row->lane, row->batch,
             lane->batch_count);
  CHECK_THAT(row->first_seq == previous->last_seq + 1,
             "lane %u: batch %" PRIu64 " begins with result %" PRIu64, row->lane, row->batch,
             row->first_seq);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    CHECK_THAT(row->ranges[topic].from == previous->ranges[topic].to &&
                   row->ranges[topic].to >= row->ranges[topic].from,
               "lane %u: batch %" PRIu64 " reads %s from %" PRId64 ", the one before ended at "
               "%" PRId64,
               row->lane, row->batch, topic_name(topic), row->ranges[topic].from,
               previous->ranges[topic].to);
  }
  CHECK_THAT(lane->batch_count == 0 || row->clock_after_ms >= previous->clock_after_ms,
             "lane %u: batch %" PRIu64 " turns the clock back", row->lane, row->batch);
  CHECK_THAT(lane->batch_count == 0 || stored->epoch >= lane->batches[lane->batch_count - 1].epoch,
             "lane %u: batch %" PRIu64 " is committed by an earlier owner", row->lane, row->batch);
  uint8_t chain[DIGEST_SIZE];
  uint8_t *bytes = grab(journal_canonical_size_max(row));
  const size_t size = journal_canonical(row, previous->chain, bytes);
  digest_of(span_of(bytes, size), chain);
  free(bytes);
  CHECK_THAT(memcmp(chain, row->chain, DIGEST_SIZE) == 0,
             "lane %u: batch %" PRIu64 " is not chained to the one before", row->lane, row->batch);
}

/* What readers have been shown is committed again as it was. */
static void note_ever(const struct journal_row *row) {
  struct ever *ever = &tables.ever[row->lane];
  if (row->batch <= ever->count) {
    uint8_t *chain = ever->chains[row->batch - 1];
    CHECK_THAT(row->batch > broker_published_batch(row->lane) ||
                   memcmp(chain, row->chain, DIGEST_SIZE) == 0,
               "lane %u: batch %" PRIu64 " is committed otherwise than it was published", row->lane,
               row->batch);
    memcpy(chain, row->chain, DIGEST_SIZE);
    return;
  }
  ever->chains = grow(ever->chains, ever->count, &ever->capacity, sizeof *ever->chains);
  memcpy(ever->chains[ever->count++], row->chain, DIGEST_SIZE);
}

bool database_has_committed(uint32_t lane, uint64_t batch) {
  return batch <= tables.ever[lane].count;
}

static void add_results(struct lane_tables *lane, const struct change *change) {
  const struct span rows = buffer_span(&change->results);
  struct span policy = {0};
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    const uint64_t seq = row_number(row, store_result_columns, "seq");
    CHECK_THAT(seq == lane->result_count + 1, "lane %u: result %" PRIu64 " follows result %zu",
               change->ownership.lane, seq, lane->result_count);
    check_person(row, store_result_columns);
    bool is_null;
    const struct span under = row_field(row, store_result_columns, "policy", &is_null);
    CHECK_THAT(policy.size == 0 || span_equal(policy, under),
               "lane %u: result %" PRIu64 " is under another policy than its batch",
               change->ownership.lane, seq);
    policy = under;
    lane->results =
        grow(lane->results, lane->result_count, &lane->result_capacity, sizeof *lane->results);
    lane->results[lane->result_count] = (struct buffer){0};
    keep(&lane->results[lane->result_count++], row);
  }
}

static void add_letters(struct lane_tables *lane, const struct change *change) {
  const struct span rows = buffer_span(&change->letters);
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    lane->letters =
        grow(lane->letters, lane->letter_count, &lane->letter_capacity, sizeof *lane->letters);
    struct letter *letter = &lane->letters[lane->letter_count++];
    *letter = (struct letter){.batch = row_number(row, store_letter_columns, "batch"),
                              .seq = row_number(row, store_letter_columns, "seq")};
    keep(&letter->row, row);
  }
}

static void drop_letters(struct lane_tables *lane, uint64_t up_to_batch) {
  size_t kept = 0;
  for (size_t i = 0; i < lane->letter_count; i++) {
    if (lane->letters[i].batch <= up_to_batch) {
      buffer_fini(&lane->letters[i].row);
    } else {
      lane->letters[kept++] = lane->letters[i];
    }
  }
  lane->letter_count = kept;
}

/* In an update a row without a change of its own keeps what is stored of the last one. */
static void merge_device(struct buffer *stored, struct span row) {
  static const char *const kept[] = {"changed_batch", "seq",         "at",
                                     "policy",        "cause_topic", "cause_offset",
                                     "event_id",      "traceparent", "overdue_since"};
  struct buffer merged = {0};
  buffer_append(&merged, row.data, 2);
  const uint64_t count = big_endian(row.data, 2);
  const bool keeps = row_number(row, store_device_columns, "changed_batch") == 0;
  size_t at = 2;
  size_t old_at = 2;
  for (size_t column = 0; column < count; column++) {
    const size_t end = field_end(row, at);
    const size_t old_end = field_end(buffer_span(stored), old_at);
    bool is_kept = false;
    for (size_t i = 0; keeps && i < COUNT_OF(kept); i++) {
      is_kept = is_kept || column_index(store_device_columns, kept[i]) == column;
    }
    buffer_append(&merged, is_kept ? stored->data + old_at : row.data + at,
                  is_kept ? old_end - old_at : end - at);
    at = end;
    old_at = old_end;
  }
  buffer_fini(stored);
  *stored = merged;
}

static void add_devices(struct lane_tables *lane, const struct change *change, struct span rows,
                        bool are_new) {
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    const uint64_t number = row_number(row, store_device_columns, "number");
    const size_t index = (size_t)(number - 1) / sim.plan.lane_count;
    check_person(row, store_device_columns);
    CHECK_THAT(are_new ? index == lane->device_count : index < lane->device_count,
               "lane %u: the row of device %" PRIu64 " is new, or not, against all order",
               change->ownership.lane, number);
    if (index == lane->device_count) {
      lane->devices =
          grow(lane->devices, lane->device_count, &lane->device_capacity, sizeof *lane->devices);
      lane->devices[lane->device_count] = (struct buffer){0};
      keep(&lane->devices[lane->device_count++], row);
    } else {
      merge_device(&lane->devices[index], row);
    }
  }
}

static void add_blocks(struct lane_tables *lane, const struct change *change, struct span rows,
                       bool are_new) {
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    const size_t block = row_number(row, store_block_columns, "block");
    CHECK_THAT(are_new ? block == lane->block_count : block < lane->block_count,
               "lane %u: the row of block %zu is new, or not, against all order",
               change->ownership.lane, block);
    if (block == lane->block_count) {
      lane->blocks =
          grow(lane->blocks, lane->block_count, &lane->block_capacity, sizeof *lane->blocks);
      lane->blocks[lane->block_count++] = (struct buffer){0};
    }
    buffer_clear(&lane->blocks[block]);
    keep(&lane->blocks[block], row);
  }
}

void tables_read_block(const struct lane_tables *lane, size_t number, struct device_block *block) {
  CHECK_THAT(number < lane->block_count, "block %zu has no row", number);
  const struct buffer *const row = &lane->blocks[number];
  struct row_reader reader = {.rest = span_of(row->data + 2, row->size - 2)};
  row_block(&reader, block);
  CHECK_THAT(!reader.is_bad && block->number == number, "a block's row cannot be read");
}

/* As the statement does it: read, one place replaced, written again. */
static void add_dates(struct lane_tables *lane, const struct change *change, struct span rows) {
  struct span row;
  for (size_t at = 0; next_row(rows, &at, &row);) {
    const size_t number = row_number(row, store_dates_columns, "block");
    const size_t place = row_number(row, store_dates_columns, "place") - 1;
    struct device_block block;
    tables_read_block(lane, number, &block);
    CHECK_THAT(place < block.count, "lane %u: block %zu has no place %zu", change->ownership.lane,
               number, place);
    struct row_reader moved = {.rest = span_of(row.data + 2, row.size - 2)};
    for (int key = 0; key < 3; key++) {
      row_integer(&moved, 0);
    }
    for (enum device_date date = 0; date < DEVICE_DATE_COUNT; date++) {
      block.at_ms[date][place] = row_time(&moved);
    }
    block.next_timer[place] = (uint8_t)row_integer(&moved, 0);
    CHECK_THAT(!moved.is_bad, "a device's dates cannot be read");
    buffer_clear(&lane->blocks[number]);
    store_append_block(&lane->blocks[number], &block);
  }
}

static void apply_batch(const struct change *change) {
  struct lane_tables *lane = tables_lane(change->ownership.lane);
  if (change->published_batch > lane->published_batch) {
    lane->published_batch = change->published_batch;
    drop_letters(lane, lane->published_batch);
  }
  if (change->checkpoint_batch > lane->checkpoint_batch) {
    lane->checkpoint_batch = change->checkpoint_batch;
  }
  if (change->has_row && !tables.is_rebuilding) {
    check_row(lane, &change->batch);
  }
  add_devices(lane, change, buffer_span(&change->devices[NEW_DEVICES]), true);
  add_devices(lane, change, buffer_span(&change->devices[KNOWN_DEVICES]), false);
  add_blocks(lane, change, buffer_span(&change->devices[NEW_BLOCKS]), true);
  add_blocks(lane, change, buffer_span(&change->devices[KNOWN_BLOCKS]), false);
  add_dates(lane, change, buffer_span(&change->devices[KNOWN_DATES]));
  add_results(lane, change);
  add_letters(lane, change);
  if (!change->has_row) {
    return;
  }
  lane->controls =
      grow(lane->controls, lane->batch_count, &lane->control_capacity, sizeof *lane->controls);
  lane->controls[lane->batch_count] = (struct buffer){0};
  keep(&lane->controls[lane->batch_count], buffer_span(&change->control));
  CHECK_THAT(change->batch.row.last_seq == lane->result_count,
             "lane %u: batch %" PRIu64 " ends with result %" PRIu64 ", the last row is %zu",
             change->ownership.lane, change->batch.row.batch, change->batch.row.last_seq,
             lane->result_count);
  lane->batches =
      grow(lane->batches, lane->batch_count, &lane->batch_capacity, sizeof *lane->batches);
  lane->batches[lane->batch_count++] = change->batch;
  if (!tables.is_rebuilding) {
    sim.faults[FAULT_SWEEP_CUT] += change->batch.row.sweep.is_set;
    sim.faults[FAULT_STATE_TOLD] += change->batch.row.has_state;
    note_ever(&change->batch.row);
  }
}

static void apply(const struct change *change) {
  struct lane_tables *lane = tables_lane(change->ownership.lane);
  switch (change->kind) {
  case CHANGE_TAKE:
    lane->exists = true;
    lane->epoch = change->ownership.epoch;
    memcpy(lane->owner, change->ownership.owner, OWNER_SIZE);
    break;
  case CHANGE_PERSONS:
    apply_persons(change);
    break;
  case CHANGE_BATCH:
    apply_batch(change);
    break;
  }
}

void tables_apply(struct change *change) {
  tables.changes =
      grow(tables.changes, tables.change_count, &tables.change_capacity, sizeof *tables.changes);
  tables.changes[tables.change_count++] = change;
  change->batch.true_committed_ms = sim_wall_ms();
  apply(change);
}

void tables_lose(size_t count) {
  clear();
  for (size_t i = count; i < tables.change_count; i++) {
    change_free(tables.changes[i]);
  }
  tables.change_count = count;
  tables.is_rebuilding = true;
  for (size_t i = 0; i < count; i++) {
    apply(tables.changes[i]);
  }
  tables.is_rebuilding = false;
}

/* What checks at the end look at. -------------------------------------------------------- */

const struct stored_batch *database_batches(uint32_t lane, size_t *count) {
  *count = tables.lanes[lane].batch_count;
  return tables.lanes[lane].batches;
}

struct span database_result(uint32_t lane, uint64_t seq) {
  return buffer_span(&tables.lanes[lane].results[seq - 1]);
}

size_t database_result_count(uint32_t lane) {
  return tables.lanes[lane].result_count;
}

size_t database_device_count(uint32_t lane) {
  return tables.lanes[lane].device_count;
}

struct span database_device(uint32_t lane, uint64_t number) {
  return buffer_span(&tables.lanes[lane].devices[(number - 1) / sim.plan.lane_count]);
}

struct span database_block(uint32_t lane, uint32_t block) {
  const struct lane_tables *held = &tables.lanes[lane];
  return block < held->block_count ? buffer_span(&held->blocks[block]) : (struct span){0};
}

size_t database_letter_count(uint32_t lane, uint64_t after_batch) {
  size_t count = 0;
  for (size_t i = 0; i < tables.lanes[lane].letter_count; i++) {
    count += tables.lanes[lane].letters[i].batch > after_batch;
  }
  return count;
}

uint64_t database_checkpoint(uint32_t lane) {
  return tables.lanes[lane].checkpoint_batch;
}
