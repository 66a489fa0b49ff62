#include "core/app/device_history.h"

#include "core/app/text.h"
#include "core/result.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { STEP_MIN = 16384, STEP_GROWTH = 4, WORDS_SIZE = 512, NUMBER_SIZE = 24 };

static const char *member(const json_t *value, const char *name) {
  const char *const text = json_string_value(json_object_get(value, name));
  return text != NULL ? text : "";
}

/* " [not_encrypted, antivirus]" behind what is there; nothing when there are none. */
static void put_violations(const json_t *value, char words[WORDS_SIZE]) {
  const json_t *const violations = json_object_get(value, "violations");
  size_t used = strlen(words);
  for (size_t i = 0; i < json_array_size(violations) && used < WORDS_SIZE; i++) {
    const char *const rule = json_string_value(json_array_get(violations, i));
    used += (size_t)snprintf(words + used, WORDS_SIZE - used, "%s%s", i == 0 ? " [" : ", ",
                             rule != NULL ? rule : "");
  }
  if (json_array_size(violations) > 0 && used < WORDS_SIZE) {
    snprintf(words + used, WORDS_SIZE - used, "]");
  }
}

/* In the words of `policy test`, where it has some. */
static void put_words(enum result_kind kind, const json_t *value, char words[WORDS_SIZE]) {
  words[0] = '\0';
  switch (kind) {
  case RESULT_COMPLIANCE_CHANGE:
    snprintf(words, WORDS_SIZE, "%s", member(value, "compliance"));
    put_violations(value, words);
    break;
  case RESULT_NOTIFICATION:
    snprintf(words, WORDS_SIZE, "notify %s", member(value, "template"));
    break;
  case RESULT_ACCESS_DECISION:
    snprintf(words, WORDS_SIZE, "%s %s: %s", member(value, "decision"), member(value, "resource"),
             member(value, "reason"));
    break;
  case RESULT_TICKET:
    snprintf(words, WORDS_SIZE, "ticket %s %s", member(value, "action"),
             member(value, "correlation_id"));
    put_violations(value, words);
    break;
  case RESULT_LICENSE:
    snprintf(words, WORDS_SIZE, "licence %s", member(value, "action"));
    break;
  case RESULT_ACTION:
    snprintf(words, WORDS_SIZE, "action %s%s", member(value, "action"),
             json_is_true(json_object_get(value, "selective")) ? ", selective" : "");
    break;
  case RESULT_AUDIT:
    snprintf(words, WORDS_SIZE, "%s %s: %s", member(value, "action"), member(value, "outcome"),
             member(value, "reason"));
    break;
  case RESULT_DEAD_LETTER: /* concerns no device */
  case RESULT_KIND_COUNT:
    break;
  }
}

static enum result_kind kind_of(struct span topic) {
  enum result_kind kind = 0;
  for (; kind < RESULT_KIND_COUNT; kind++) {
    const struct span name = span_text(result_topic_name(kind));
    if (topic.size >= name.size &&
        memcmp(topic.data + topic.size - name.size, name.data, name.size) == 0) {
      break;
    }
  }
  return kind;
}

static enum status take_result(void *context, const struct span *values, struct error *error) {
  (void)error;
  json_t *const results = context;
  char words[WORDS_SIZE];
  json_t *value = json_loadb((const char *)values[2].data, values[2].size, 0, NULL);
  put_words(kind_of(values[1]), value, words);
  json_array_append_new(
      results, json_pack("{s:o, s:o, s:s, s:o}", "at",
                         json_stringn((const char *)values[0].data, values[0].size), "topic",
                         json_stringn((const char *)values[1].data, values[1].size), "what", words,
                         "value", value != NULL ? value : json_null()));
  return STATUS_OK;
}

/* The results numbered above `after` up to `last`. */
static enum status read_step(struct pg_conn *database, const struct device_history *history,
                             int64_t after, int64_t last, json_t *results, struct error *error) {
  char texts[5][NUMBER_SIZE];
  const int64_t numbers[] = {history->lane, history->number, after, last,
                             (int64_t)(history->count_max - json_array_size(results))};
  const char *parameters[COUNT_OF(numbers)];
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    snprintf(texts[i], sizeof texts[i], "%lld", (long long)numbers[i]);
    parameters[i] = texts[i];
  }
  return database_query(database,
                        "select muster.time_text(at), topic, value from muster.result_detail "
                        "where lane = $1::integer and number = $2::bigint and seq > $3::bigint "
                        "and seq <= $4::bigint order by seq desc limit $5::bigint",
                        parameters, COUNT_OF(parameters), take_result, results, error);
}

/* An index by device would cost every result that is written more than this costs who asks
 * (docs/measurements.md); numbers are found by ranges of pages. */
enum status device_history_read(struct pg_conn *database, const struct device_history *history,
                                struct json_t **results, bool *is_whole, struct error *error) {
  json_t *const found = json_array();
  int64_t last = history->last_seq;
  int64_t step = STEP_MIN;
  enum status status = STATUS_OK;
  while (status == STATUS_OK && last > 0 && json_array_size(found) < history->count_max &&
         history->last_seq - last < HISTORY_RESULTS_MAX) {
    status = read_step(database, history, last - step, last, found, error);
    last -= step;
    step *= STEP_GROWTH;
  }
  *is_whole = last <= 0 || json_array_size(found) >= history->count_max;
  *results = found;
  if (status != STATUS_OK) {
    json_decref(found);
    *results = NULL;
  }
  return status;
}
