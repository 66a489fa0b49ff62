/* What the files about commands share. */
#ifndef MUSTER_CORE_COMMAND_INTERNAL_H
#define MUSTER_CORE_COMMAND_INTERNAL_H

#include "core/emit.h"

enum { REASON_SIZE = 320 }; /* of an audit entry, its note included */

/* A command as it is being decided. `reason` is the audit entry's, terminated. */
struct asked {
  const struct step *step;
  const struct event *event;
  uint32_t index;
  struct device *device;
  char reason[REASON_SIZE];
};

/* Writes the reason, and returns false: it is refused. The text is cut at its size. */
bool asked_refuse(struct asked *asked, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same for what is done: true. */
bool asked_done(struct asked *asked, const char *format, ...) PRINTF_LIKE(2, 3);

/* Of wipes. True: done; the device and the lane's list have changed. */
bool command_wipe(struct asked *asked);
bool command_approve_wipe(struct asked *asked);
bool command_withdraw_wipe(struct asked *asked);

#endif
