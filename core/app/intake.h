/* One topic of a lane: turns the next record into a head for the merge, and an event or a reject
 * for the decision. */
#ifndef MUSTER_APP_INTAKE_H
#define MUSTER_APP_INTAKE_H

#include "consumers/fetch.h"
#include "consumers/schemas.h"
#include "core/app/config.h"
#include "core/app/digest.h"
#include "core/batch.h"
#include "producers/buffer.h"

/* Where in the log a person is named by address. */
enum person_field { PERSON_USER, PERSON_ACTOR, PERSON_FIELD_COUNT };
struct person_place {
  enum topic topic;
  int64_t offset;
  enum person_field field;
};

/* What the checks of a message need to know. */
struct intake_rules {
  const struct schemas *schemas;
  enum partitioner partitioner;
  uint32_t lane, lane_count;
  int64_t message_bytes_max;
  struct span subject_key;
  /* Without the key: tells the subject of who is named at that place from elsewhere, into
   * `subject`. NULL: it is computed under the key. */
  void (*find_subject)(void *context, const struct person_place *place, struct span lowered_email,
                       uint8_t subject[SUBJECT_SIZE]);
  void *subject_context;
};

struct intake {
  enum topic topic;
  struct source *source; /* NULL: nothing comes, and it is at its end */
  int64_t next_offset;   /* of the first message not yet taken */
  int64_t stop_offset;   /* nothing from here on is taken; -1: no such place */
  bool has_anchor;       /* the message before next_offset is read first and compared */
  bool is_replaced;      /* it was another one */
  uint8_t anchor[DIGEST_SIZE];
  struct head *head; /* its place among the lane's heads */
  bool is_event;
  struct event event;   /* when is_event */
  struct reject reject; /* otherwise */
  bool is_partial;      /* from a file that holds a part of it: its digest cannot be made */
  int64_t unknown_id;   /* the Confluent id that `reject` is about; SCHEMA_ID_NONE: none */
  struct message message;
  /* Addresses of the event's persons, ASCII letters lowered: intake_person. */
  uint8_t emails[PERSON_FIELD_COUNT][USER_EMAIL_SIZE_MAX];
  struct subject_hash *subjects; /* made at the first address */
  struct buffer headers;
  struct buffer canonical; /* the message as digests see it */
};

/* Looks at the source until the head is known for now. STATUS_CONFIG: the topic is not what it
 * was (recreated, truncated), or cannot be read; the lane must stop. */
enum status intake_refresh(struct intake *intake, const struct intake_rules *rules,
                           struct error *error) MUST_USE;

/* Who is named in that field of the event; NULL: nobody. `email` is the address as it is kept: with
 * ASCII letters lowered, so that one person has one address whoever writes it first. */
const struct named_person *intake_person(const struct intake *intake, enum person_field field,
                                         struct span *email);

/* The persons whose addresses stand in the value, the message's own bytes, in the order of their
 * places there. Returns how many. */
size_t intake_persons_in(const struct intake *intake, struct span value,
                         const struct named_person *persons[PERSON_FIELD_COUNT]);

/* Forgets what was made of the record at hand, which is looked at anew by the next refresh. */
void intake_reconsider(struct intake *intake);

/* The head has been taken: its views are gone. */
void intake_pop(struct intake *intake);

void intake_fini(struct intake *intake);

#endif
