#include "core/app/lane_state.h"

#include "core/app/policy_shipped.h"
#include "core/app/policy_store.h"

#include <stdio.h>
#include <stdlib.h>

static void *resize(void *context, void *block, size_t old_size, size_t new_size) {
  (void)context;
  (void)old_size;
  if (new_size == 0) {
    free(block);
    return NULL;
  }
  void *resized = realloc(block, new_size);
  if (resized == NULL) {
    fprintf(stderr, "muster: out of memory for %zu bytes\n", new_size);
    abort();
  }
  return resized;
}

const struct memory heap_memory = {.resize = resize};

struct lane_state *lane_state_open(uint32_t number, uint32_t lane_count) {
  struct lane_state *state = resize(NULL, NULL, 0, sizeof *state);
  *state = (struct lane_state){0};
  lane_init(&state->lane, number, lane_count, policy_default(), &heap_memory);
  return state;
}

void lane_state_close(struct lane_state *state) {
  if (state != NULL) {
    lane_fini(&state->lane);
    buffer_fini(&state->addresses.text);
    free(state->addresses.places);
    free(state);
  }
}

enum status lane_state_restore_control(struct lane_state *state,
                                       const struct store_control *control, struct error *error) {
  struct event event = control->event;
  const struct control *known = &state->lane.control;
  if (event.kind == EVENT_POLICY && control_find_policy(known, event.policy.version) == NULL) {
    struct reject reject;
    event.policy.has_text = event.policy.text.size > 0;
    if (!policy_store_take(&event.policy, &reject) || event.policy.policy == NULL) {
      return error_set(error, STATUS_CONFIG,
                       "lane %u: muster.policy has no text, or another, of policy %.*s, which came "
                       "into force with batch %llu",
                       state->lane.number, (int)event.policy.version.size,
                       (const char *)event.policy.version.data, (unsigned long long)control->batch);
    }
  }
  sweep_apply_control(&state->lane, &event, &control->cause, control->at_ms);
  return STATUS_OK;
}

enum { ADDRESS_SIZE_BITS = 16 };

static uint64_t keep_address(struct addresses *addresses, struct span email) {
  assert(email.size <= USER_EMAIL_SIZE_MAX);
  const uint64_t place = (uint64_t)addresses->text.size << ADDRESS_SIZE_BITS | email.size;
  buffer_append(&addresses->text, email.data, email.size);
  return place;
}

uint32_t lane_state_person(struct lane_state *state, const uint8_t subject[SUBJECT_SIZE],
                           struct span email, bool *is_new) {
  const uint32_t person = lane_person(&state->lane, subject);
  struct addresses *addresses = &state->addresses;
  *is_new = person == addresses->count;
  if (*is_new) {
    addresses->places = memory_grow(&heap_memory, addresses->places, addresses->count,
                                    &addresses->capacity, sizeof *addresses->places);
    addresses->places[addresses->count++] = keep_address(addresses, email);
  }
  return person;
}

void lane_state_learn(struct lane_state *state, const uint8_t subject[SUBJECT_SIZE],
                      struct span email) {
  const uint32_t person = lane_find_person(&state->lane, subject);
  if (person != INDEX_NONE && lane_state_address(state, person).size == 0) {
    state->addresses.places[person] = keep_address(&state->addresses, email);
  }
}

void lane_state_name(struct lane_state *state, const struct span *emails) {
  struct addresses *addresses = &state->addresses;
  assert(addresses->count == state->lane.persons.count);
  buffer_clear(&addresses->text);
  for (uint32_t person = 0; person < addresses->count; person++) {
    addresses->places[person] = keep_address(addresses, emails[person]);
  }
}

struct span lane_state_address(const struct lane_state *state, uint32_t person) {
  const struct addresses *addresses = &state->addresses;
  assert(person < addresses->count);
  const uint64_t place = addresses->places[person];
  return span_of(addresses->text.data + (place >> ADDRESS_SIZE_BITS),
                 (size_t)(place & ((1U << ADDRESS_SIZE_BITS) - 1)));
}
