/* Subjects of addresses for somebody who has no key: taken from what was recorded.
 *
 * Every enrolment that changed anything has an audit entry, which names its message and the
 * subject. What a batch's audit entries say is noted before the batch is decided again; an address
 * keeps the subject that it had first. Grows with the number of persons, as a lane does. */
#ifndef MUSTER_APP_SUBJECTS_H
#define MUSTER_APP_SUBJECTS_H

#include "core/app/found.h"

struct subjects;

struct subjects *subjects_open(void);
void subjects_close(struct subjects *subjects); /* NULL is allowed */

/* What the audit entry of the enrolment at that offset says; in order of offsets. */
void subjects_note(struct subjects *subjects, int64_t offset, const uint8_t subject[SUBJECT_SIZE]);

/* Notes what the audit entries of a batch say: those up to result number `last_seq`, which stand
 * next in `found`. They stay there. */
enum status subjects_note_found(struct subjects *subjects, struct found *found,
                                const struct encoding *encoding, uint64_t last_seq,
                                struct error *error) MUST_USE;

/* Tells the subject of the enrolment at that offset (struct intake_rules); zeros when nothing
 * recorded tells it. `context` is the struct subjects. */
void subjects_find(void *context, int64_t offset, struct span lowered_email,
                   uint8_t subject[SUBJECT_SIZE]);

/* What is known of an address from elsewhere, before the first batch. */
void subjects_learn(struct subjects *subjects, struct span lowered_email,
                    const uint8_t subject[SUBJECT_SIZE]);

/* Begins a batch: what was noted for the one before and not asked for is forgotten. */
void subjects_begin(struct subjects *subjects);

/* Of this batch: enrolments of which nothing tells the subject. They changed nothing, but their
 * digest cannot be made. */
uint64_t subjects_unknown(const struct subjects *subjects);

/* Whether, in this batch, an address was recorded with another subject than before, and where. */
bool subjects_conflict(const struct subjects *subjects, int64_t *offset);

#endif
