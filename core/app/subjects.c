#include "core/app/subjects.h"

#include "core/app/lane_state.h"
#include "core/app/text.h"
#include "core/table.h"

#include <stdio.h>
#include <stdlib.h>

struct noted {
  int64_t offset;
  uint8_t subject[SUBJECT_SIZE];
};

struct known {
  size_t begin, size; /* of the address in the texts */
  uint8_t subject[SUBJECT_SIZE];
};

struct subjects {
  struct noted *noted;
  uint32_t noted_count, noted_capacity, next;
  struct known *known;
  uint32_t known_count, known_capacity;
  struct buffer texts;
  struct table by_email;
  uint64_t unknown_count;
  int64_t conflict_offset; /* -1: none */
};

struct subjects *subjects_open(void) {
  struct subjects *subjects = memory_zeroed(1, sizeof *subjects);
  subjects->conflict_offset = -1;
  return subjects;
}

void subjects_close(struct subjects *subjects) {
  if (subjects != NULL) {
    free(subjects->noted);
    free(subjects->known);
    buffer_fini(&subjects->texts);
    table_fini(&subjects->by_email, &heap_memory);
    free(subjects);
  }
}

void subjects_begin(struct subjects *subjects) {
  subjects->noted_count = subjects->next = 0;
  subjects->unknown_count = 0;
  subjects->conflict_offset = -1;
}

void subjects_note(struct subjects *subjects, int64_t offset, const uint8_t subject[SUBJECT_SIZE]) {
  subjects->noted = memory_grow(&heap_memory, subjects->noted, subjects->noted_count,
                                &subjects->noted_capacity, sizeof *subjects->noted);
  struct noted *noted = &subjects->noted[subjects->noted_count++];
  noted->offset = offset;
  memcpy(noted->subject, subject, SUBJECT_SIZE);
}

enum status subjects_note_found(struct subjects *subjects, struct found *found,
                                const struct encoding *encoding, uint64_t last_seq,
                                struct error *error) {
  char enrollments[256];
  snprintf(enrollments, sizeof enrollments, "%s%s", encoding->topic_prefix,
           topic_name(TOPIC_ENROLLMENTS));
  for (size_t ahead = 0;; ahead++) {
    const struct found_record *record;
    struct found_head head;
    const enum status status = found_peek(found, RESULT_AUDIT, ahead, &record, error);
    if (status != STATUS_OK || record == NULL) {
      return status;
    }
    if (!found_read_head(record, &encoding->frames, &head) || head.seq > (int64_t)last_seq) {
      return STATUS_OK;
    }
    if (head.has_cause && head.has_subject &&
        span_equal(head.cause_topic, span_text(enrollments))) {
      subjects_note(subjects, head.cause_offset, head.subject);
    }
  }
}

static struct span email_of(const struct subjects *subjects, uint32_t index) {
  const struct known *known = &subjects->known[index];
  return span_of(subjects->texts.data + known->begin, known->size);
}

static bool email_equal(const void *context, uint32_t index, struct span email) {
  return span_equal(email_of(context, index), email);
}

static uint64_t email_hash(const void *context, uint32_t index) {
  return hash_bytes(email_of(context, index));
}

static const struct noted *find_noted(struct subjects *subjects, int64_t offset) {
  while (subjects->next < subjects->noted_count &&
         subjects->noted[subjects->next].offset < offset) {
    subjects->next++;
  }
  const bool is_there =
      subjects->next < subjects->noted_count && subjects->noted[subjects->next].offset == offset;
  return is_there ? &subjects->noted[subjects->next] : NULL;
}

static void add_known(struct subjects *subjects, uint64_t hash, struct span email,
                      const uint8_t subject[SUBJECT_SIZE]) {
  subjects->known = memory_grow(&heap_memory, subjects->known, subjects->known_count,
                                &subjects->known_capacity, sizeof *subjects->known);
  const uint32_t index = subjects->known_count++;
  subjects->known[index] = (struct known){.begin = subjects->texts.size, .size = email.size};
  memcpy(subjects->known[index].subject, subject, SUBJECT_SIZE);
  buffer_append(&subjects->texts, email.data, email.size);
  table_add(&subjects->by_email, &heap_memory, hash, index, email_hash, subjects);
}

void subjects_learn(struct subjects *subjects, struct span lowered_email,
                    const uint8_t subject[SUBJECT_SIZE]) {
  const uint64_t hash = hash_bytes(lowered_email);
  if (table_find(&subjects->by_email, hash, lowered_email, email_equal, subjects) == INDEX_NONE) {
    add_known(subjects, hash, lowered_email, subject);
  }
}

void subjects_find(void *context, int64_t offset, struct span lowered_email,
                   uint8_t subject[SUBJECT_SIZE]) {
  struct subjects *subjects = context;
  const struct noted *noted = find_noted(subjects, offset);
  const uint64_t hash = hash_bytes(lowered_email);
  const uint32_t index =
      table_find(&subjects->by_email, hash, lowered_email, email_equal, subjects);
  const uint8_t *known = index == INDEX_NONE ? NULL : subjects->known[index].subject;
  if (noted != NULL && known != NULL && memcmp(noted->subject, known, SUBJECT_SIZE) != 0 &&
      subjects->conflict_offset < 0) {
    subjects->conflict_offset = offset;
  }
  if (noted != NULL) {
    memcpy(subject, noted->subject, SUBJECT_SIZE);
    if (known == NULL) {
      add_known(subjects, hash, lowered_email, noted->subject);
    }
  } else if (known != NULL) {
    memcpy(subject, known, SUBJECT_SIZE);
  } else {
    memset(subject, 0, SUBJECT_SIZE);
    subjects->unknown_count++;
  }
}

uint64_t subjects_unknown(const struct subjects *subjects) {
  return subjects->unknown_count;
}

bool subjects_conflict(const struct subjects *subjects, int64_t *offset) {
  *offset = subjects->conflict_offset;
  return subjects->conflict_offset >= 0;
}
