/* The static member's identity: held by one process of this host at a time. */
#ifndef MUSTER_APP_INSTANCE_H
#define MUSTER_APP_INSTANCE_H

#include "core/app/config.h"

enum { INSTANCE_NAME_SIZE = 256 };

struct instance {
  char name[INSTANCE_NAME_SIZE];
  int lock; /* a descriptor; the kernel gives the name free when the process ends, however */
};

/* Takes kafka.instance, or the host's name with the lowest free slot. STATUS_CONFIG when the
 * name that is asked for is taken. */
enum status instance_take(const struct config *config, struct instance *instance,
                          struct error *error) MUST_USE;
void instance_release(struct instance *instance);

#endif
