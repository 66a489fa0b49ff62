/* The catalogue of profiles. What a profile asks of its devices beside, an extra rule, is a
 * policy's: applies_to: {profiles: executive}. */
#ifndef MUSTER_CORE_PROFILE_H
#define MUSTER_CORE_PROFILE_H

#include "core/event.h"

struct profile_entry {
  uint8_t platforms; /* it may be on, as bits (the public contract) */
  const char
      *content; /* what a push of it brings, each ended by '\n' (the provisioning procedure) */
};

const struct profile_entry *profile_entry(enum profile profile);

/* Whether the profile may be on the platform. */
bool profile_allows(enum profile profile, enum platform platform);

#endif
