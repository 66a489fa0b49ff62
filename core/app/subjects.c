#include "core/app/subjects.h"

#include "core/app/lane_state.h"
#include "core/app/text.h"
#include "core/table.h"

#include <stdio.h>
#include <stdlib.h>

struct noted {
  int64_t offset;
  bool is_set[PERSON_FIELD_COUNT];
  uint8_t subjects[PERSON_FIELD_COUNT][SUBJECT_SIZE];
};

/* Of a topic, by offset; those before `next` are over. */
struct noted_list {
  struct noted *items;
  uint32_t count, capacity, next;
};

struct known {
  size_t begin, size; /* of the address in the texts */
  uint8_t subject[SUBJECT_SIZE];
};

struct subjects {
  struct noted_list noted[TOPIC_COUNT];
  int64_t control_offset; /* of the last control message that lane 0's entries told of; -1: none */
  struct known *known;
  uint32_t known_count, known_capacity;
  struct buffer texts;
  struct table by_email;
  uint64_t unknown_count;
  bool has_conflict;
  struct person_place conflict;
};

struct subjects *subjects_open(void) {
  struct subjects *subjects = memory_zeroed(1, sizeof *subjects);
  subjects->control_offset = -1;
  return subjects;
}

void subjects_close(struct subjects *subjects) {
  if (subjects != NULL) {
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
      free(subjects->noted[topic].items);
    }
    free(subjects->known);
    buffer_fini(&subjects->texts);
    table_fini(&subjects->by_email, &heap_memory);
    free(subjects);
  }
}

/* Lane 0's entries about control messages are read ahead of the batches of other lanes. */
void subjects_begin(struct subjects *subjects) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (topic != TOPIC_CONTROL) {
      subjects->noted[topic].count = subjects->noted[topic].next = 0;
    }
  }
  subjects->unknown_count = 0;
  subjects->has_conflict = false;
}

void subjects_note(struct subjects *subjects, const struct person_place *place,
                   const uint8_t subject[SUBJECT_SIZE]) {
  struct noted_list *list = &subjects->noted[place->topic];
  if (list->count == 0 || list->items[list->count - 1].offset != place->offset) {
    list->items =
        memory_grow(&heap_memory, list->items, list->count, &list->capacity, sizeof *list->items);
    list->items[list->count++] = (struct noted){.offset = place->offset};
  }
  struct noted *noted = &list->items[list->count - 1];
  if (!noted->is_set[place->field]) {
    noted->is_set[place->field] = true;
    memcpy(noted->subjects[place->field], subject, SUBJECT_SIZE);
  }
}

static bool is_topic(const struct encoding *encoding, struct span whole_name, enum topic topic) {
  char name[256];
  snprintf(name, sizeof name, "%s%s", encoding->topic_prefix, topic_name(topic));
  return span_equal(whole_name, span_text(name));
}

/* Of an entry about a device the subject is the device's user, whom a command does not name. */
static void note_audit(struct subjects *subjects, const struct encoding *encoding,
                       const struct found_audit *audit) {
  const struct found_head *head = &audit->head;
  struct person_place place = {.offset = head->cause_offset, .field = PERSON_USER};
  if (!head->has_cause) {
    return;
  }
  if (is_topic(encoding, head->cause_topic, TOPIC_ENROLLMENTS)) {
    place.topic = TOPIC_ENROLLMENTS;
    if (head->has_subject) {
      subjects_note(subjects, &place, head->subject);
    }
    return;
  }
  const bool is_control = is_topic(encoding, head->cause_topic, TOPIC_CONTROL);
  if (!is_control && !is_topic(encoding, head->cause_topic, TOPIC_COMMANDS)) {
    return;
  }
  place.topic = is_control ? TOPIC_CONTROL : TOPIC_COMMANDS;
  if (is_control && audit->has_device) {
    return; /* what followed for a device */
  }
  if (is_control && (head->has_subject || audit->has_target)) {
    subjects_note(subjects, &place, head->has_subject ? head->subject : audit->target);
  }
  if (audit->has_actor) {
    place.field = PERSON_ACTOR;
    subjects_note(subjects, &place, audit->actor);
  }
}

/* Reads lane 0's entries on, until they have told of all control messages before `to`. */
static enum status note_control(struct subjects *subjects, struct found *found,
                                const struct encoding *encoding, int64_t to, struct error *error) {
  while (subjects->control_offset < to - 1) {
    const struct found_record *record;
    struct found_audit audit;
    const enum status status = found_next_of_lane_0(found, &record, error);
    if (status != STATUS_OK || record == NULL) {
      return status;
    }
    if (found_read_audit(record, &encoding->frames, &audit) && audit.head.has_cause &&
        is_topic(encoding, audit.head.cause_topic, TOPIC_CONTROL)) {
      note_audit(subjects, encoding, &audit);
      subjects->control_offset = audit.head.cause_offset;
    }
  }
  return STATUS_OK;
}

enum status subjects_note_found(struct subjects *subjects, struct found *found,
                                const struct encoding *encoding, const struct journal_row *row,
                                struct error *error) {
  for (size_t ahead = 0;; ahead++) {
    const struct found_record *record;
    struct found_audit audit;
    const enum status status = found_peek(found, RESULT_AUDIT, ahead, &record, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (record == NULL || !found_read_audit(record, &encoding->frames, &audit) ||
        audit.head.seq > (int64_t)row->last_seq) {
      break;
    }
    note_audit(subjects, encoding, &audit);
  }
  const struct offset_range *control = &row->ranges[TOPIC_CONTROL];
  return found_lane(found) != 0 && control->to > control->from
             ? note_control(subjects, found, encoding, control->to, error)
             : STATUS_OK;
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

/* NULL when nothing is noted of that place. */
static const uint8_t *find_noted(struct subjects *subjects, const struct person_place *place) {
  struct noted_list *list = &subjects->noted[place->topic];
  while (list->next < list->count && list->items[list->next].offset < place->offset) {
    list->next++;
  }
  if (list->next == list->count || list->items[list->next].offset != place->offset) {
    return NULL;
  }
  const struct noted *noted = &list->items[list->next];
  return noted->is_set[place->field] ? noted->subjects[place->field] : NULL;
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

void subjects_find(void *context, const struct person_place *place, struct span lowered_email,
                   uint8_t subject[SUBJECT_SIZE]) {
  struct subjects *subjects = context;
  const uint8_t *noted = find_noted(subjects, place);
  const uint64_t hash = hash_bytes(lowered_email);
  const uint32_t index =
      table_find(&subjects->by_email, hash, lowered_email, email_equal, subjects);
  const uint8_t *known = index == INDEX_NONE ? NULL : subjects->known[index].subject;
  if (noted != NULL && known != NULL && memcmp(noted, known, SUBJECT_SIZE) != 0 &&
      !subjects->has_conflict) {
    subjects->has_conflict = true;
    subjects->conflict = *place;
  }
  if (noted != NULL) {
    memcpy(subject, noted, SUBJECT_SIZE);
    if (known == NULL) {
      add_known(subjects, hash, lowered_email, noted);
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

bool subjects_conflict(const struct subjects *subjects, struct person_place *place) {
  *place = subjects->conflict;
  return subjects->has_conflict;
}
