/* A fleet as rows, made and not sent: persons, and behind the devices that exist already more of
 * them, as if they had been enrolled long ago. What stands beside the rows (indexes, the journal's
 * count of devices) is the caller's.
 *
 * usage: make_fleet DSN FIRST DEVICES LANES AT_MS NONCOMPLIANT_EVERY
 *
 * Devices FIRST to DEVICES-1 of a fleet whose device i has the serial SN and i in eight digits. All
 * are enrolled and in order at AT_MS, but for every NONCOMPLIANT_EVERY-th (0: none), whose user
 * has been notified within the twelve hours before and who will be blocked 24 hours later. Prints
 * how many rows it wrote. */
#include "core/app/kafka_client.h"
#include "core/app/policy_shipped.h"
#include "core/lane.h"
#include "producers/store_internal.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)

enum { CHUNK_SIZE = 1 << 20, TEXT_SIZE = 64, STRIDE_MS = 7919 };

struct fleet {
  uint64_t first, device_count, person_count;
  uint32_t lane_count;
  int64_t at_ms;
  uint64_t noncompliant_every;
};

/* Rows on their way to one table. */
struct table_copy {
  PGconn *connection;
  struct buffer rows;
  uint64_t row_count;
};

static void die(PGconn *connection, const char *what) {
  fprintf(stderr, "make_fleet: %s: %s\n", what, PQerrorMessage(connection));
  exit(1);
}

static void copy_send(struct table_copy *copy) {
  if (PQputCopyData(copy->connection, (const char *)copy->rows.data, (int)copy->rows.size) != 1) {
    die(copy->connection, "COPY");
  }
  buffer_clear(&copy->rows);
}

static void copy_flush(struct table_copy *copy) {
  if (copy->rows.size >= CHUNK_SIZE) {
    copy_send(copy);
  }
}

static void copy_count(struct table_copy *copy) {
  copy->row_count++;
  copy_flush(copy);
}

static struct table_copy copy_begin(PGconn *connection, const char *table, const char *columns) {
  static const uint8_t header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* ends with its own zero */
  struct table_copy copy = {.connection = connection};
  char sql[2048];
  snprintf(sql, sizeof sql, "COPY muster.%s (%s) FROM STDIN (FORMAT binary)", table, columns);
  PGresult *const result = PQexec(connection, sql);
  if (PQresultStatus(result) != PGRES_COPY_IN) {
    die(connection, table);
  }
  PQclear(result);
  buffer_append(&copy.rows, header, sizeof header);
  return copy;
}

static uint64_t copy_end(struct table_copy *copy, const char *table) {
  buffer_append_u16(&copy->rows, UINT16_MAX);
  copy_send(copy);
  PGresult *result = NULL;
  if (PQputCopyEnd(copy->connection, NULL) != 1 ||
      PQresultStatus(result = PQgetResult(copy->connection)) != PGRES_COMMAND_OK) {
    die(copy->connection, table);
  }
  PQclear(result);
  PQclear(PQgetResult(copy->connection)); /* nothing: the statement is over */
  buffer_fini(&copy->rows);
  return copy->row_count;
}

/* Sixteen bytes that look random and are the same every time (splitmix64, twice). */
static void fill_id(uint64_t seed, uint8_t id[16]) {
  for (size_t half = 0; half < 2; half++) {
    uint64_t bits = (2 * seed + half + 1) * UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    bits ^= bits >> 31;
    memcpy(id + 8 * half, &bits, sizeof bits);
  }
}

/* Not the hash of an address: nobody enrols again here, and the key is none of our business. */
static void fill_subject(const struct fleet *fleet, uint64_t index, uint8_t subject[SUBJECT_SIZE]) {
  fill_id(index % fleet->person_count, subject);
}

static uint64_t write_persons(const struct fleet *fleet, PGconn *connection) {
  struct table_copy copy = copy_begin(connection, "person", "subject, user_email");
  for (uint64_t person = 0; person < fleet->person_count; person++) {
    uint8_t subject[SUBJECT_SIZE];
    char email[TEXT_SIZE];
    fill_subject(fleet, person, subject);
    snprintf(email, sizeof email, "made%" PRIu64 "@example.org", person);
    store_append_person(&copy.rows, subject, span_text(email));
    copy_count(&copy);
  }
  return copy_end(&copy, "person");
}

/* As the shipped policy has it: one violation, and what is done at once has been done. */
static void make_noncompliant(struct device *state, int64_t since_ms) {
  const struct policy *const policy = policy_default();
  uint32_t rule = 0;
  while (strcmp(policy->rule_ids[rule], "not_encrypted") != 0) {
    rule++;
    assert(rule < policy->rule_count);
  }
  state->disk_encrypted = TRI_FALSE;
  state->violations = 1U << rule;
  state->compliance = COMPLIANCE_NONCOMPLIANT;
  state->episode = 1;
  state->noncompliant_since_ms = since_ms;
  while (state->stage < policy->noncompliant.count &&
         policy->noncompliant.stages[state->stage].after_ms == 0) {
    state->stage++;
  }
}

static struct device state_of(const struct fleet *fleet, uint64_t index) {
  struct device state = {
      .pending_since_ms = TIME_NONE,
      .last_sync_at_ms = fleet->at_ms,
      .noncompliant_since_ms = TIME_NONE,
      .antivirus_signatures_at_ms = fleet->at_ms - 24 * HOUR_MS,
      .screen_lock_pin_length = 6,
      .has_screen_lock_pin_length = true,
      .platform = PLATFORM_WINDOWS,
      .status = DEVICE_ENROLLED,
      .compliance = COMPLIANCE_COMPLIANT,
      .antivirus_enabled = TRI_TRUE,
      .disk_encrypted = TRI_TRUE,
  };
  if (fleet->noncompliant_every > 0 && index % fleet->noncompliant_every == 0) {
    const uint64_t ago_ms = index * STRIDE_MS % (uint64_t)(12 * HOUR_MS);
    make_noncompliant(&state, fleet->at_ms - (int64_t)ago_ms);
  }
  return state;
}

/* The dates of a device, as its lane's last. */
static void add_dates(const struct device_image *image, struct device_block *block) {
  const uint32_t place = block->count++;
  block->lane = image->lane;
  block->at_ms[DATE_LAST_SYNC][place] = image->state.last_sync_at_ms;
  block->at_ms[DATE_ANTIVIRUS_SIGNATURES][place] = image->state.antivirus_signatures_at_ms;
  block->at_ms[DATE_THREAT][place] = TIME_NONE;
  block->at_ms[DATE_NEXT_DUE][place] = image->next_due_at_ms;
  block->next_timer[place] = (uint8_t)image->next_timer;
}

static void append_device(const struct fleet *fleet, uint64_t index, struct span serial,
                          struct device_image *image, struct buffer *rows) {
  uint8_t enrollment_id[EVENT_ID_SIZE];
  fill_id(~index, enrollment_id);
  image->serial = serial;
  image->os_version = span_text("10.0.22631");
  image->enrollment_ids = span_of(enrollment_id, sizeof enrollment_id);
  image->state = state_of(fleet, index);
  image->is_changed = true; /* by batch 0: nothing of it is left to publish */
  image->at_ms = fleet->at_ms;
  image->cause.offset = -1;
  image->policy = policy_default()->version;
  fill_subject(fleet, index, image->subject);
  const struct lane alone = {.policy = policy_default()};
  image->next_timer = lane_next_timer(&alone, 0, &image->state, &image->next_due_at_ms);
  if (index >= fleet->first) {
    store_append_device(rows, image);
  }
}

static void end_block(struct device_block *block, struct table_copy *blocks) {
  if (block->count > 0) {
    store_append_block(&blocks->rows, block);
    copy_count(blocks);
    *block = (struct device_block){.number = block->number + 1};
  }
}

/* The k-th device of lane p of n has number k*n + p + 1: those before FIRST count, too. The blocks
 * in which they stand are made anew: no clock has gone past what they had. */
static void write_lane(const struct fleet *fleet, uint32_t lane, struct table_copy *devices,
                       struct table_copy *blocks) {
  uint64_t place = 0;
  struct device_block block = {0};
  for (uint64_t index = 0; index < fleet->device_count; index++) {
    char serial[TEXT_SIZE];
    const int size = snprintf(serial, sizeof serial, "SN%08" PRIu64, index);
    if (kafka_partition_of(PARTITIONER_MURMUR2, serial, (size_t)size, (int32_t)fleet->lane_count) !=
        (int32_t)lane) {
      continue;
    }
    struct device_image image = {.number = place++ * fleet->lane_count + lane + 1, .lane = lane};
    append_device(fleet, index, span_of(serial, (size_t)size), &image, &devices->rows);
    devices->row_count += index >= fleet->first;
    copy_flush(devices);
    add_dates(&image, &block);
    if (block.count == DEVICE_BLOCK_SIZE) {
      end_block(&block, blocks);
    }
  }
  end_block(&block, blocks);
}

/* On two connections, since both come from one pass. */
static uint64_t write_devices(const struct fleet *fleet, PGconn *connection, PGconn *second) {
  struct table_copy devices = copy_begin(connection, "device_row", store_device_columns);
  struct table_copy blocks = copy_begin(second, "device_block", store_block_columns);
  for (uint32_t lane = 0; lane < fleet->lane_count; lane++) {
    write_lane(fleet, lane, &devices, &blocks);
  }
  copy_end(&blocks, "device_block");
  return copy_end(&devices, "device_row");
}

static PGconn *connect_to(const char *dsn) {
  PGconn *const connection = PQconnectdb(dsn);
  if (PQstatus(connection) != CONNECTION_OK) {
    die(connection, "connect");
  }
  return connection;
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fputs("usage: make_fleet DSN FIRST DEVICES LANES AT_MS NONCOMPLIANT_EVERY\n", stderr);
    return 2;
  }
  struct fleet fleet = {
      .first = strtoull(argv[2], NULL, 10),
      .device_count = strtoull(argv[3], NULL, 10),
      .lane_count = (uint32_t)strtoul(argv[4], NULL, 10),
      .at_ms = strtoll(argv[5], NULL, 10),
      .noncompliant_every = strtoull(argv[6], NULL, 10),
  };
  fleet.person_count = fleet.device_count * 4 / 5 + 1;
  PGconn *const connection = connect_to(argv[1]);
  PGconn *const second = connect_to(argv[1]);
  const uint64_t persons = write_persons(&fleet, connection);
  const uint64_t devices = write_devices(&fleet, connection, second);
  printf("{\"persons\": %" PRIu64 ", \"devices\": %" PRIu64 "}\n", persons, devices);
  PQfinish(connection);
  PQfinish(second);
  return 0;
}
