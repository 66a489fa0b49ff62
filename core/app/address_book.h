/* Which address belongs to a subject, for the people of a snapshot, who have none: gathered from
 * what is left of messages and from what was published.
 *
 * The first that is told of somebody is kept; under the subject key, only one that it makes that
 * subject of. */
#ifndef MUSTER_APP_ADDRESS_BOOK_H
#define MUSTER_APP_ADDRESS_BOOK_H

#include "core/app/found.h"
#include "core/app/lane_state.h"

struct schemas;
struct address_book;

/* Of the lane's people as they are now, with those addresses that they have; the state outlives it.
 * `subject_key` empty: what is told is believed. */
struct address_book *address_book_open(const struct lane_state *state, struct span subject_key);
void address_book_close(struct address_book *book); /* NULL is allowed */

void address_book_learn(struct address_book *book, const uint8_t subject[SUBJECT_SIZE],
                        struct span email);

/* Unless everybody has an address: reads the devices' states, which name each device's user and are
 * kept for ever. Leaves `found` before the first of them. */
enum status address_book_read_devices(struct address_book *book, struct found *found,
                                      const struct frames *frames, const struct schemas *schemas,
                                      struct error *error) MUST_USE;

/* By person, empty where nothing tells it; valid until more is learnt. */
const struct span *address_book_emails(struct address_book *book);

/* Of how many nothing tells it. */
uint32_t address_book_nameless(const struct address_book *book);

#endif
