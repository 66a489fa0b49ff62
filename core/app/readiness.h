/* Why a process is not ready: the newest failure, if it belongs to the trouble at hand. One that
 * was got over before the trouble began is not told, since an operator would look in the wrong
 * place. */
#ifndef MUSTER_APP_READINESS_H
#define MUSTER_APP_READINESS_H

#include "core/status.h"

struct readiness {
  struct error newest;
  int64_t newest_mono_ms;
  int64_t well_mono_ms; /* when all was well last */
};

/* What was noticed a moment before the trouble began to show belongs to it. */
enum { READINESS_BEFORE_MS = 1000 };

void readiness_note(struct readiness *readiness, const struct error *error, int64_t now_mono_ms);
void readiness_well(struct readiness *readiness, int64_t now_mono_ms);

/* Writes "reason: failure\n", or the reason alone. `since_mono_ms` is when the trouble began; -1:
 * when all was well last. */
void readiness_tell(const struct readiness *readiness, const char *reason, int64_t since_mono_ms,
                    char *text, size_t size);

#endif
