#include "core/app/snapshot_addresses.h"

#include "core/app/address_book.h"
#include "core/app/clock.h"
#include "core/app/found.h"
#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"
#include "core/app/text.h"

#include <poll.h>
#include <stdlib.h>

enum { POLL_MS = 50 };

/* By person: where the address stands in the texts. */
struct known {
  size_t begin, size;
};

struct addresses_read {
  struct lane_state *state;
  struct known *known;
  struct buffer texts;
};

static void note_persons(struct addresses_read *read, const struct intake *intake) {
  for (enum person_field field = 0; field < PERSON_FIELD_COUNT; field++) {
    struct span email;
    const struct named_person *const is = intake_person(intake, field, &email);
    const uint32_t person =
        is == NULL ? INDEX_NONE : lane_find_person(&read->state->lane, is->subject);
    if (person != INDEX_NONE && read->known[person].size == 0) {
      read->known[person] = (struct known){.begin = read->texts.size, .size = email.size};
      buffer_append(&read->texts, email.data, email.size);
    }
  }
}

static void wait_for_more(struct fetch *fetch) {
  struct pollfd ready = {.fd = fetch_fd(fetch), .events = POLLIN};
  struct error ignored;
  poll(&ready, 1, POLL_MS);
  fetch_woken(fetch);
  (void)fetch_serve(fetch, &ignored);
}

static enum status read_messages(struct addresses_read *read, struct fetch *fetch,
                                 struct intake *intake, const struct intake_rules *rules,
                                 struct error *error) {
  int64_t deadline_mono_ms = clock_mono_ms() + KAFKA_DEADLINE_MS;
  for (;;) {
    const enum status status = intake_refresh(intake, rules, error);
    if (status != STATUS_OK || intake->head->state == HEAD_AT_END) {
      return status;
    }
    if (intake->head->state == HEAD_READY) {
      if (intake->is_event) {
        note_persons(read, intake);
      }
      intake_pop(intake);
      deadline_mono_ms = clock_mono_ms() + KAFKA_DEADLINE_MS;
    } else if (clock_mono_ms() > deadline_mono_ms) {
      return kafka_error(error, STATUS_UNAVAILABLE, topic_name(intake->topic), "nothing comes");
    } else {
      wait_for_more(fetch);
    }
  }
}

static enum status read_topic(struct addresses_read *read, struct fetch *fetch,
                              const struct config *config, const struct intake_rules *rules,
                              struct intake *intake, struct error *error) {
  char name[TOPIC_NAME_SIZE];
  int64_t first;
  int64_t end;
  const int32_t partition = topic_partition(intake->topic, rules->lane);
  topic_full_name(config, intake->topic, name);
  enum status status = found_bounds(fetch, name, partition, &first, &end, error);
  if (status != STATUS_OK || first >= intake->stop_offset) {
    return status;
  }
  intake->next_offset = first;
  status = source_open(fetch, name, partition, first, &intake->source, error);
  if (status == STATUS_OK) {
    status = read_messages(read, fetch, intake, rules, error);
  }
  source_close(intake->source);
  return status;
}

enum status snapshot_addresses(struct fetch *fetch, const struct config *config,
                               const struct intake_rules *rules, const struct journal_row *row,
                               struct lane_state *state, struct error *error) {
  static const enum topic topics[] = {TOPIC_CONTROL, TOPIC_ENROLLMENTS, TOPIC_COMMANDS};
  const uint32_t count = state->lane.persons.count;
  struct addresses_read read = {.state = state,
                                .known = memory_zeroed((size_t)count + 1, sizeof *read.known)};
  enum status status = STATUS_OK;
  for (size_t i = 0; i < COUNT_OF(topics) && status == STATUS_OK; i++) {
    struct head head = {.state = HEAD_WAITING};
    struct intake *intake = memory_zeroed(1, sizeof *intake);
    intake->topic = topics[i];
    intake->head = &head;
    intake->stop_offset = row->ranges[topics[i]].to;
    status = read_topic(&read, fetch, config, rules, intake, error);
    intake_fini(intake);
    free(intake);
  }
  struct span *emails = memory_zeroed((size_t)count + 1, sizeof *emails);
  for (uint32_t i = 0; i < count; i++) {
    emails[i] = span_of(read.texts.data + read.known[i].begin, read.known[i].size);
  }
  lane_state_name(state, emails);
  free(emails);
  free(read.known);
  buffer_fini(&read.texts);
  return status;
}

enum status snapshot_addresses_all(struct fetch *fetch, struct found *found,
                                   const struct config *config, struct replay *replay,
                                   const struct journal_row *row, struct error *error) {
  const struct intake_rules *rules = replay_rules(replay);
  struct lane_state *state = replay_state(replay);
  enum status status = snapshot_addresses(fetch, config, rules, row, state, error);
  if (status != STATUS_OK) {
    return status;
  }
  struct address_book *book = address_book_open(state, rules->subject_key);
  status = address_book_read_devices(book, found, &replay_encoding(replay)->frames,
                                     replay_schemas(replay), error);
  if (status == STATUS_OK) {
    lane_state_name(state, address_book_emails(book));
  }
  address_book_close(book);
  return status;
}
