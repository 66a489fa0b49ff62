/* policy apply: a policy comes into force for all lanes. */
#include "core/app/command.h"
#include "core/app/policy_applied.h"
#include "core/app/policy_file.h"
#include "core/app/policy_text.h"
#include "core/app/request.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { APPLY_ADMIN, APPLY_REQUEST };

const struct option_spec policy_apply_options[] = {
    {"admin", "EMAIL", "who asks; else the only one of roles.bootstrap_admins, if there is one"},
    REQUEST_OPTIONS};

/* What is checked here is what the processor reads: the file goes into the message as it is. */
static enum status put_file(json_t *fields, const char *file, struct policy *policy,
                            struct error *error) {
  char *text = NULL;
  size_t size = 0;
  enum status status = policy_file_read(file, &text, &size, error);
  if (status != STATUS_OK) {
    return status;
  }
  struct findings *const findings = memory_zeroed(1, sizeof *findings);
  if (policy_read(span_of(text, size), policy, findings)) {
    json_object_set_new(fields, "text", json_stringn(text, size));
  } else {
    findings_print(file, findings);
    status = error_set(error, STATUS_REFUSED, "%s: %" PRIu32 " finding%s; nothing is sent", file,
                       findings_count(findings), findings_count(findings) == 1 ? "" : "s");
  }
  free(findings);
  free(text);
  return status;
}

static enum status put_version(const struct config *config, json_t *fields, const char *name,
                               struct policy *policy, struct error *error) {
  enum status status = STATUS_OK;
  if (access(name, F_OK) == 0) {
    status = put_file(fields, name, policy, error);
  } else {
    /* The program's own, or one that was in force, goes by its version alone. */
    status = policy_find(config, name, policy, error);
  }
  if (status == STATUS_OK) {
    uint8_t hash[DIGEST_SIZE];
    char hash_text[HEX_DIGEST_SIZE];
    policy_hash(policy, hash);
    hex_format(hash, sizeof hash, hash_text);
    json_object_set_new(fields, "version", json_string(policy->version));
    json_object_set_new(fields, "hash", json_string(hash_text));
  }
  return status;
}

enum status command_policy_apply(const struct command_line *line, struct error *error) {
  struct policy *const policy = memory_zeroed(1, sizeof *policy);
  json_t *const fields = json_object();
  enum status status = put_version(&line->config, fields, line->arguments[0], policy, error);
  free(policy);
  if (status == STATUS_OK) {
    status = request_actor(fields, line, "policy apply", line->options[APPLY_ADMIN], error);
  }
  if (status != STATUS_OK) {
    json_decref(fields);
    return status;
  }
  return request_run(line,
                     &(struct request){.command = "policy apply",
                                       .record = INPUT_POLICY,
                                       .fields = fields,
                                       .patience = &line->options[APPLY_REQUEST]},
                     error);
}
