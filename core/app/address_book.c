#include "core/app/address_book.h"

#include "core/app/digest.h"
#include "core/app/result_read.h"
#include "core/app/text.h"

#include <stdlib.h>

/* By person: where the address stands in the texts. */
struct known {
  size_t begin, size;
};

struct address_book {
  const struct lane *lane;
  struct subject_hash *subjects; /* NULL: there is no key */
  struct known *known;
  struct span *emails;
  uint32_t count, nameless;
  struct buffer texts;
};

struct address_book *address_book_open(const struct lane_state *state, struct span subject_key) {
  struct address_book *book = memory_zeroed(1, sizeof *book);
  const struct persons *persons = &state->lane.persons;
  book->lane = &state->lane;
  book->count = book->nameless = persons->count;
  book->known = memory_zeroed((size_t)book->count + 1, sizeof *book->known);
  book->emails = memory_zeroed((size_t)book->count + 1, sizeof *book->emails);
  if (subject_key.size > 0) {
    book->subjects = subject_hash_open(subject_key);
  }
  for (uint32_t person = 0; person < book->count; person++) {
    address_book_learn(book, persons->items[person].subject, lane_state_address(state, person));
  }
  return book;
}

void address_book_close(struct address_book *book) {
  if (book != NULL) {
    subject_hash_close(book->subjects);
    buffer_fini(&book->texts);
    free(book->known);
    free(book->emails);
    free(book);
  }
}

/* Whether an address of that person is still to be told. */
static bool is_wanted(const struct address_book *book, uint32_t person) {
  return person < book->count && book->known[person].size == 0;
}

void address_book_learn(struct address_book *book, const uint8_t subject[SUBJECT_SIZE],
                        struct span email) {
  const uint32_t person = email.size == 0 ? INDEX_NONE : lane_find_person(book->lane, subject);
  uint8_t computed[SUBJECT_SIZE];
  if (!is_wanted(book, person)) {
    return;
  }
  if (book->subjects != NULL) {
    subject_hash_of(book->subjects, email, computed);
    if (memcmp(computed, subject, SUBJECT_SIZE) != 0) {
      return;
    }
  }
  book->known[person] = (struct known){.begin = book->texts.size, .size = email.size};
  buffer_append(&book->texts, email.data, email.size);
  book->nameless--;
}

/* The record is decoded only where it can tell something. */
static void learn_from(struct address_book *book, const struct found_record *record,
                       const struct frames *frames, const struct schemas *schemas) {
  const struct result_reader reader = {.schemas = schemas};
  struct found_head head;
  const bool is_ours = found_read_head(record, frames, &head) && head.has_subject;
  struct result_read read;
  if (is_ours && is_wanted(book, lane_find_person(book->lane, head.subject)) &&
      result_read_device_email(&reader, record, &read)) {
    address_book_learn(book, head.subject, read.user_email);
    result_read_fini(&read);
  }
}

enum status address_book_read_devices(struct address_book *book, struct found *found,
                                      const struct frames *frames, const struct schemas *schemas,
                                      struct error *error) {
  if (book->nameless == 0) {
    return STATUS_OK;
  }
  enum status status = found_open_devices(found, error);
  while (status == STATUS_OK && book->nameless > 0) {
    const struct found_record *record;
    status = found_peek(found, RECORD_DEVICE, 0, &record, error);
    if (status != STATUS_OK || record == NULL) {
      break;
    }
    learn_from(book, record, frames, schemas);
    found_pop(found, RECORD_DEVICE);
  }
  return status == STATUS_OK ? found_rewind_devices(found, error) : status;
}

const struct span *address_book_emails(struct address_book *book) {
  for (uint32_t person = 0; person < book->count; person++) {
    book->emails[person] =
        span_of(book->texts.data + book->known[person].begin, book->known[person].size);
  }
  return book->emails;
}

uint32_t address_book_nameless(const struct address_book *book) {
  return book->nameless;
}
