#include "core/app/readiness.h"

#include <stdio.h>

void readiness_note(struct readiness *readiness, const struct error *error, int64_t now_mono_ms) {
  readiness->newest = *error;
  readiness->newest_mono_ms = now_mono_ms;
}

void readiness_well(struct readiness *readiness, int64_t now_mono_ms) {
  readiness->well_mono_ms = now_mono_ms;
}

void readiness_tell(const struct readiness *readiness, const char *reason, int64_t since_mono_ms,
                    char *text, size_t size) {
  const int64_t began_mono_ms = since_mono_ms >= 0 ? since_mono_ms : readiness->well_mono_ms;
  const bool belongs = readiness->newest.text[0] != '\0' &&
                       readiness->newest_mono_ms >= began_mono_ms - READINESS_BEFORE_MS;
  snprintf(text, size, "%s%s%s\n", reason, belongs ? ": " : "",
           belongs ? readiness->newest.text : "");
}
