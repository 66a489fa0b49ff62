/* What control messages changed in a lane beside its devices, in order: what a database keeps of
 * them, as bytes that a snapshot has.
 *
 * Policies are without their texts, which are kept once (struct policy_texts); people are
 * subjects. Grows with the control topic, whose messages are few, as the database's rows do. */
#ifndef MUSTER_APP_CONTROL_RECORDS_H
#define MUSTER_APP_CONTROL_RECORDS_H

#include "core/app/binary.h"
#include "producers/store.h"

/* Zeros are none; the owner ends it with buffer_fini of its bytes. */
struct control_records {
  struct buffer bytes;
  uint32_t count;
};

/* The part of a record that follows from the message, while its views are there: replaces what is
 * in `draft`. */
void control_records_draft(struct buffer *draft, const struct event *event,
                           const struct cause *cause);

/* Adds the record that the draft is of: decided in that batch, when the lane's clock was at_ms. */
void control_records_add(struct control_records *records, uint64_t batch, int64_t at_ms,
                         struct span draft);

/* Appends what `from`, which begins with the same, has more. */
void control_records_extend(struct control_records *records, const struct control_records *from);

/* The next of the records that `rest` holds; false when it is none that there can be. Views into
 * `rest`. Of a policy the version alone; somebody is named if the user's email is not empty, as in
 * a record that is read from the database. */
bool control_records_next(struct binary *rest, struct store_control *control) MUST_USE;

#endif
