#include "core/app/policy_file.h"

#include "core/app/policy_shipped.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum status policy_file_read(const char *file, char **text, size_t *size, struct error *error) {
  FILE *stream = fopen(file, "rb");
  if (stream == NULL) {
    return error_set(error, STATUS_USAGE, "%s: %s", file, strerror(errno));
  }
  /* One byte more than is read of a policy: so that a file that is too big is seen to be. */
  *text = memory_zeroed(TREE_SIZE_MAX + 2, 1);
  *size = fread(*text, 1, TREE_SIZE_MAX + 1, stream);
  const bool is_read = ferror(stream) == 0;
  const int problem = errno;
  fclose(stream);
  if (!is_read) {
    free(*text);
    return error_set(error, STATUS_USAGE, "%s: %s", file, strerror(problem));
  }
  return STATUS_OK;
}

void findings_print(const char *file, const struct findings *findings) {
  for (uint32_t i = 0; i < findings->count; i++) {
    const struct finding *finding = &findings->items[i];
    printf("%s:%" PRIu32 ":%" PRIu32 ": %s\n", file, finding->line, finding->column, finding->text);
  }
  if (findings->more_count > 0) {
    printf("%s: and %" PRIu32 " more\n", file, findings->more_count);
  }
}

enum status policy_load(const char *name, struct policy *policy, struct error *error) {
  char *text = NULL;
  struct span span = {0};
  if (access(name, F_OK) == 0) {
    size_t size;
    const enum status status = policy_file_read(name, &text, &size, error);
    if (status != STATUS_OK) {
      return status;
    }
    span = span_of(text, size);
  } else {
    span = policy_shipped_text(name);
    if (span.data == NULL) {
      return error_set(error, STATUS_REFUSED,
                       "%s: no such file, and no policy of that version is part of muster", name);
    }
  }
  struct findings *findings = memory_zeroed(1, sizeof *findings);
  enum status status = STATUS_OK;
  if (!policy_read(span, policy, findings)) {
    findings_print(name, findings);
    status = error_set(error, STATUS_REFUSED, "%s: %" PRIu32 " findings", name,
                       findings_count(findings));
  }
  free(findings);
  free(text);
  return status;
}
