#include "core/app/policy_applied.h"

#include "core/app/database.h"
#include "core/app/policy_file.h"
#include "core/app/policy_shipped.h"
#include "core/app/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status take_text(void *context, const struct span *values, struct error *error) {
  (void)error;
  char **const text = context;
  if (values[0].data != NULL && *text == NULL) {
    *text = text_copy_size((const char *)values[0].data, values[0].size);
  }
  return STATUS_OK;
}

static enum status read_applied(const struct config *config, const char *version, char **text,
                                struct error *error) {
  struct pg_conn *database = NULL;
  enum status status = database_open(config->postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database,
                            "select content from muster.control_detail where name = $1 and "
                            "content is not null limit 1",
                            (const char *const[]){version}, 1, take_text, text, error);
  }
  database_close(database);
  return status;
}

/* A name with a directory or an ending such as .yaml is that of a file. */
static bool may_be_version(const char *name) {
  const size_t size = strlen(name);
  const bool is_yaml = (size > 5 && strcmp(name + size - 5, ".yaml") == 0) ||
                       (size > 4 && strcmp(name + size - 4, ".yml") == 0);
  return !is_yaml && strchr(name, '/') == NULL && size < POLICY_NAME_SIZE;
}

enum status policy_find(const struct config *config, const char *name, struct policy *policy,
                        struct error *error) {
  if (access(name, F_OK) == 0 || policy_shipped_text(name).data != NULL || !may_be_version(name)) {
    return policy_load(name, policy, error);
  }
  char *text = NULL;
  enum status status = read_applied(config, name, &text, error);
  if (status == STATUS_OK && text == NULL) {
    return error_set(error, STATUS_REFUSED,
                     "%s: no such file, and no policy of that version is part of muster or was "
                     "ever in force",
                     name);
  }
  if (status == STATUS_OK) {
    struct findings *const findings = memory_zeroed(1, sizeof *findings);
    if (!policy_read(span_text(text), policy, findings)) {
      findings_print(name, findings);
      status = error_set(error, STATUS_REFUSED,
                         "%s: this muster cannot read the policy that was in force; with the one "
                         "that applied it, it can be read",
                         name);
    }
    free(findings);
  }
  free(text);
  return status;
}
