/* The policies that came into force against those that PostgreSQL keeps: what a lane goes on from.
 */
#include "core/app/message_json.h"
#include "core/app/policy_shipped.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_SIZE = 32 };

struct policy_rows {
  struct verify *verify;
  bool *is_there; /* by the lane's policies */
};

static json_t *policy_json(const struct verify *verify, uint32_t index) {
  const struct known_policy *known = &replay_state(verify->replay)->lane.control.policies[index];
  const struct rule_names rules = policy_rule_names(known->policy);
  json_t *const names = json_array();
  for (uint32_t i = 0; i < rules.count; i++) {
    json_array_append_new(names, json_string(rules.ids[i]));
  }
  json_t *const json = json_pack("{s:s, s:o, s:n, s:n}", "version", known->version, "rule_ids",
                                 names, "hash", "content");
  if (index > 0) {
    const struct span sent = buffer_span(&replay_policy_texts(verify->replay)->items[index - 1]);
    char hash[HEX_DIGEST_SIZE];
    hex_format(known->hash, DIGEST_SIZE, hash);
    json_object_set_new(json, "hash", json_string(hash));
    json_object_set_new(json, "content",
                        json_of_bytes(sent.size > 0 ? sent : policy_shipped_text(known->version)));
  }
  return json;
}

static void diverge_policy(struct verify *verify, const char *what, json_t *expected,
                           json_t *found) {
  json_t *finding = finding_begin(what, verify->options->lane, verify->last.batch);
  json_object_set_new(finding, "at", json_string("PostgreSQL, muster.policy"));
  finding_explain(finding, "a policy is not kept as it came into force");
  finding_compare(finding, expected, found);
  verify_diverge(verify, finding);
}

static enum status take_policy(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct policy_rows *rows = context;
  struct verify *verify = rows->verify;
  const struct control *control = &replay_state(verify->replay)->lane.control;
  json_t *const found =
      json_loadb((const char *)values[0].data, values[0].size, JSON_DECODE_ANY, NULL);
  const char *version = json_string_value(json_object_get(found, "version"));
  const bool is_of_another_lane = json_is_true(json_object_get(found, "is_kept"));
  uint32_t index = 0;
  json_object_del(found, "is_kept");
  while (index < control->policy_count && strcmp(control->policies[index].version, version) != 0) {
    index++;
  }
  if (verify_is_over(verify) || (index == control->policy_count && is_of_another_lane)) {
    json_decref(found);
    return STATUS_OK;
  }
  if (index == control->policy_count) {
    diverge_policy(verify, "row surplus", NULL, found);
    return STATUS_OK;
  }
  json_t *const expected = policy_json(verify, index);
  rows->is_there[index] = true;
  if (json_equal(expected, found)) {
    json_decref(expected);
    json_decref(found);
  } else {
    diverge_policy(verify, "row changed", expected, found);
  }
  return STATUS_OK;
}

/* One that this lane does not know may be a policy that another lane has come to already. */
enum status verify_table_policies(struct verify *verify) {
  static const char sql[] =
      "SELECT jsonb_build_object('version', version, 'rule_ids', rule_ids, 'hash', encode(hash, "
      "'hex'), 'content', content, 'is_kept', EXISTS (SELECT FROM muster.control_row c WHERE "
      "c.kind = $1::smallint AND c.name = version)) FROM muster.policy ORDER BY version COLLATE "
      "\"C\"";
  const uint32_t count = replay_state(verify->replay)->lane.control.policy_count;
  char kind[NUMBER_SIZE];
  const char *const parameters[] = {kind};
  struct policy_rows rows = {.verify = verify, .is_there = memory_zeroed(count, sizeof(bool))};
  snprintf(kind, sizeof kind, "%d", (int)EVENT_POLICY);
  const enum status status =
      database_query(verify->database, sql, parameters, 1, take_policy, &rows, verify->error);
  for (uint32_t i = 0; i < count && status == STATUS_OK && !verify_is_over(verify); i++) {
    if (!rows.is_there[i]) {
      diverge_policy(verify, "row missing", policy_json(verify, i), NULL);
    }
  }
  free(rows.is_there);
  return status;
}
