#include "core/app/evidence_manifest.h"

#include "core/app/environment.h"
#include "core/app/policy_shipped.h"
#include "core/app/report.h"
#include "core/app/text.h"
#include "core/time_text.h"
#include "schemas/embedded.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char format_name[] = "muster evidence 1";

enum status pack_schemas_open(const char *directory, struct schemas **schemas,
                              struct error *error) {
  struct stat is;
  char *const path = path_join(directory, EVIDENCE_SCHEMAS_DIRECTORY);
  const enum status status = schemas_open(stat(path, &is) == 0 ? path : NULL, schemas, error);
  free(path);
  return status;
}

static json_t *time_json(int64_t at_ms) {
  char text[TIME_TEXT_SIZE];
  if (at_ms == TIME_NONE || at_ms < TIME_TEXT_MIN_MS || at_ms > TIME_TEXT_MAX_MS) {
    return json_null();
  }
  time_format(at_ms, text);
  return json_string(text);
}

/* Those that decided before the range ended; the texts of those that were applied are on control.
 */
static json_t *policies_json(const struct story *story) {
  json_t *const policies = json_array();
  for (size_t i = 0; i < story->policy_count; i++) {
    const struct story_policy *policy = &story->policies[i];
    char hex[HEX_DIGEST_SIZE];
    hex_format(policy->hash, DIGEST_SIZE, hex);
    json_array_append_new(policies, json_pack("{s:s, s:s, s:o}", "version", policy->version,
                                              "sha256", hex, "since", time_json(policy->since_ms)));
  }
  return policies;
}

char *manifest_text(const struct examination *examination, const struct pack *pack) {
  const struct evidence_terms *terms = examination->terms;
  json_t *const lanes = json_array();
  for (uint32_t lane = 0; lane < terms->lane_count; lane++) {
    json_array_append_new(lanes, examination_lane_json(examination, lane));
  }
  json_t *const manifest = json_pack(
      "{s:s, s:{s:s, s:i}, s:s, s:I, s:o, s:o, s:b, s:s, s:s, s:o, s:o, s:o}", "format",
      format_name, "program", "version", MUSTER_VERSION, "decision_version", (int)DECISION_VERSION,
      "topic_prefix", terms->topic_prefix, "lane_count", (json_int_t)terms->lane_count, "from",
      time_json(terms->from_ms), "to", time_json(terms->to_ms), "pseudonymised",
      (int)terms->is_pseudonymised, "devices", terms->devices, "inputs_begin",
      "with each lane's first batch, since there are no snapshots in it: what was before the range "
      "is needed to decide it; decisions and report cover the range",
      "policies", policies_json(&examination->story), "lanes", lanes, "files", pack_list(pack));
  assert(manifest != NULL);
  char *const text = json_dumps(manifest, JSON_INDENT(1) | JSON_SORT_KEYS);
  json_decref(manifest);
  const size_t size = strlen(text);
  char *const ended = memory_zeroed(1, size + 2);
  memcpy(ended, text, size);
  ended[size] = '\n';
  free(text);
  return ended;
}

static bool read_time(const json_t *value, int64_t *at_ms) {
  *at_ms = TIME_NONE;
  return json_is_null(value) ||
         (json_is_string(value) && time_parse(span_text(json_string_value(value)), at_ms));
}

enum status manifest_terms(const struct json_t *manifest, struct evidence_terms *terms,
                           struct error *error) {
  const char *const format = json_string_value(json_object_get(manifest, "format"));
  const char *const prefix = json_string_value(json_object_get(manifest, "topic_prefix"));
  const char *const devices = json_string_value(json_object_get(manifest, "devices"));
  const json_t *const lane_count = json_object_get(manifest, "lane_count");
  const json_t *const pseudonymised = json_object_get(manifest, "pseudonymised");
  *terms = (struct evidence_terms){.is_pseudonymised = json_is_true(pseudonymised)};
  if (format == NULL || strcmp(format, format_name) != 0) {
    return error_set(error, STATUS_REFUSED, "%s: its format is not \"%s\"", PACK_MANIFEST,
                     format_name);
  }
  if (prefix == NULL || strlen(prefix) >= sizeof terms->topic_prefix || devices == NULL ||
      strlen(devices) >= sizeof terms->devices || !json_is_boolean(pseudonymised) ||
      !json_is_integer(lane_count) || json_integer_value(lane_count) < 1 ||
      json_integer_value(lane_count) > 10000 ||
      !read_time(json_object_get(manifest, "from"), &terms->from_ms) ||
      !read_time(json_object_get(manifest, "to"), &terms->to_ms)) {
    return error_set(error, STATUS_REFUSED, "%s: what the pack was asked to be is not there",
                     PACK_MANIFEST);
  }
  snprintf(terms->topic_prefix, sizeof terms->topic_prefix, "%s", prefix);
  snprintf(terms->devices, sizeof terms->devices, "%s", devices);
  terms->lane_count = (uint32_t)json_integer_value(lane_count);
  return STATUS_OK;
}

/* Files. --------------------------------------------------------------------------------- */

static enum status put_decisions(struct examination *examination, const char *name, FILE *file,
                                 struct error *error) {
  (void)name;
  return examination_put_decisions(examination, file, error);
}

static enum status put_population(struct examination *examination, const char *name, FILE *file,
                                  struct error *error) {
  (void)name;
  return examination_put_population(examination, file, error);
}

static enum status check_written(FILE *file, const char *name, struct error *error) {
  return fflush(file) == 0 && ferror(file) == 0
             ? STATUS_OK
             : error_set(error, STATUS_UNAVAILABLE, "%s: %s", name, strerror(errno));
}

static enum status put_report(struct examination *examination, const char *name, FILE *file,
                              struct error *error) {
  const struct evidence_terms *terms = examination->terms;
  struct report_lane *lanes = memory_zeroed(terms->lane_count, sizeof *lanes);
  for (uint32_t i = 0; i < terms->lane_count; i++) {
    lanes[i] = (struct report_lane){i, &examination->lanes[i].result};
  }
  const struct report_page page = {.topic_prefix = terms->topic_prefix,
                                   .from_ms = terms->from_ms,
                                   .to_ms = terms->to_ms,
                                   .is_pseudonymised = terms->is_pseudonymised,
                                   .lanes = lanes,
                                   .lane_count = terms->lane_count,
                                   .story = &examination->story};
  report_put(&page, file);
  free(lanes);
  return check_written(file, name, error);
}

/* A file of the binary's own; its name behind the directory's. */
static enum status put_embedded(struct examination *examination, const char *name, FILE *file,
                                struct error *error) {
  (void)examination;
  const char *const own = strchr(name, '/') + 1;
  for (size_t i = 0; i < embedded_file_count; i++) {
    if (strcmp(embedded_files[i].name, own) == 0) {
      fwrite(embedded_files[i].text, 1, embedded_files[i].size, file);
    }
  }
  return check_written(file, name, error);
}

static bool ends_with(const char *name, const char *ending) {
  const size_t size = strlen(name);
  return size > strlen(ending) && strcmp(name + size - strlen(ending), ending) == 0;
}

enum status derived_each(void *context, derived_take_fn take, struct error *error) {
  char name[160];
  enum status status = take(context, "decisions.ndjson", put_decisions, error);
  snprintf(name, sizeof name, "policies/%s.yaml", policy_default()->version);
  if (status == STATUS_OK) {
    status = take(context, name, put_embedded, error);
  }
  if (status == STATUS_OK) {
    status = take(context, "population.csv", put_population, error);
  }
  if (status == STATUS_OK) {
    status = take(context, "report.html", put_report, error);
  }
  for (size_t i = 0; i < embedded_file_count && status == STATUS_OK; i++) {
    if (ends_with(embedded_files[i].name, ".avsc")) {
      snprintf(name, sizeof name, "schemas/%s", embedded_files[i].name);
      status = take(context, name, put_embedded, error);
    }
  }
  return status;
}
