/* Subjects of addresses for somebody who has no key: taken from what was recorded.
 *
 * Every enrolment that changed anything, every command and every control message has an audit
 * entry, which names its message and the subjects. What a batch's audit entries say is noted before
 * the batch is decided again; an address keeps the subject that it had first. What became of a
 * control message stands in lane 0's audit entries alone: they are read for every lane. Grows with
 * the number of persons, as a lane does, and of control messages. */
#ifndef MUSTER_APP_SUBJECTS_H
#define MUSTER_APP_SUBJECTS_H

#include "core/app/found.h"
#include "core/app/intake.h"

struct subjects;

struct subjects *subjects_open(void);
void subjects_close(struct subjects *subjects); /* NULL is allowed */

/* What an audit entry says of who is named there; a topic's places in order of offsets. The first
 * that is said of a place holds. */
void subjects_note(struct subjects *subjects, const struct person_place *place,
                   const uint8_t subject[SUBJECT_SIZE]);

/* Notes what the audit entries of a batch say: those up to the row's last result, which stand next
 * in `found` and stay there; and lane 0's about the row's control messages. */
enum status subjects_note_found(struct subjects *subjects, struct found *found,
                                const struct encoding *encoding, const struct journal_row *row,
                                struct error *error) MUST_USE;

/* Tells the subject of who is named there (struct intake_rules); zeros when nothing recorded tells
 * it. `context` is the struct subjects. */
void subjects_find(void *context, const struct person_place *place, struct span lowered_email,
                   uint8_t subject[SUBJECT_SIZE]);

/* What is known of an address from elsewhere, before the first batch. */
void subjects_learn(struct subjects *subjects, struct span lowered_email,
                    const uint8_t subject[SUBJECT_SIZE]);

/* Begins a batch: what was noted for the one before and not asked for is forgotten. */
void subjects_begin(struct subjects *subjects);

/* Of this batch: persons of whom nothing tells the subject. What named them changed nothing, but
 * its digest cannot be made. */
uint64_t subjects_unknown(const struct subjects *subjects);

/* Whether, in this batch, an address was recorded with another subject than before, and where. */
bool subjects_conflict(const struct subjects *subjects, struct person_place *place);

#endif
