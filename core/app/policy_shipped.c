#include "core/app/policy_shipped.h"

#include "core/app/policy_yaml.h"
#include "schemas/embedded.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct policy default_policy;
static pthread_once_t default_once = PTHREAD_ONCE_INIT;

struct span policy_shipped_text(const char *version) {
  char name[POLICY_NAME_SIZE + 8];
  snprintf(name, sizeof name, "%s.yaml", version);
  for (size_t i = 0; i < embedded_file_count; i++) {
    if (strcmp(embedded_files[i].name, name) == 0) {
      return span_of(embedded_files[i].text, embedded_files[i].size);
    }
  }
  return (struct span){0};
}

/* A file of ours that cannot be read is a defect; tests read it as well. */
static void read_default(void) {
  static struct findings findings;
  if (!policy_read(policy_shipped_text("default"), &default_policy, &findings)) {
    fprintf(stderr, "muster: policies/default.yaml:%u:%u: %s\n", findings.items[0].line,
            findings.items[0].column, findings.items[0].text);
    abort();
  }
}

const struct policy *policy_default(void) {
  pthread_once(&default_once, read_default);
  return &default_policy;
}
