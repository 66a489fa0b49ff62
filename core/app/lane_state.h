/* What a process holds of a lane it owns: the core's lane, and the addresses of its persons,
 * which the core must not see. Made by loading, thrown away whole. */
#ifndef MUSTER_APP_LANE_STATE_H
#define MUSTER_APP_LANE_STATE_H

#include "core/sweep.h"
#include "producers/store.h"

/* The addresses of persons, one after the other as they were learnt. */
struct addresses {
  struct buffer text;
  uint64_t *places; /* of person i's: where it begins, and in the low 16 bits its length */
  uint32_t count, capacity;
};

struct lane_state {
  struct lane lane;
  struct addresses addresses;
};

/* Memory from the heap; running out of it ends the process with a word. */
extern const struct memory heap_memory;

struct lane_state *lane_state_open(uint32_t number, uint32_t lane_count);
void lane_state_close(struct lane_state *state); /* NULL is allowed */

/* Applies a control message that was decided before, as it is stored, to a lane that is being
 * loaded. STATUS_CONFIG: the text of a policy is gone or is not what it was. */
enum status lane_state_restore_control(struct lane_state *state,
                                       const struct store_control *control,
                                       struct error *error) MUST_USE;

/* The index of a person; an address not seen before is kept. `is_new` tells which. */
uint32_t lane_state_person(struct lane_state *state, const uint8_t subject[SUBJECT_SIZE],
                           struct span email, bool *is_new);

/* Gives a person an address that has none yet; nothing happens when nobody is known under it. */
void lane_state_learn(struct lane_state *state, const uint8_t subject[SUBJECT_SIZE],
                      struct span email);

/* Gives all persons their addresses anew: one each, empty where it is not known. */
void lane_state_name(struct lane_state *state, const struct span *emails);

/* Empty when the person was erased. Valid until the next address is kept. */
struct span lane_state_address(const struct lane_state *state, uint32_t person);

#endif
