#include "core/app/journal_source.h"

#include "consumers/avro_json.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

struct journal_source {
  const char *topic_prefix;
  struct found *found; /* NULL: from the database */
  const struct schemas *schemas;
  size_t shown; /* records of the topic that the present batch came from */
  struct pg_conn *database;
  uint32_t lane;
  struct recorded_batches page; /* of one batch from the topic */
  size_t next;                  /* in the page */
  uint64_t last_batch;          /* of the rows read so far */
  struct buffer environment;
};

struct journal_source *journal_source_of_topic(struct found *found, const struct schemas *schemas,
                                               const char *topic_prefix) {
  struct journal_source *source = memory_zeroed(1, sizeof *source);
  source->found = found;
  source->schemas = schemas;
  source->topic_prefix = topic_prefix;
  return source;
}

struct journal_source *journal_source_of_database(struct pg_conn *database, uint32_t lane,
                                                  const char *topic_prefix) {
  struct journal_source *source = memory_zeroed(1, sizeof *source);
  source->database = database;
  source->lane = lane;
  source->topic_prefix = topic_prefix;
  return source;
}

void journal_source_close(struct journal_source *source) {
  if (source != NULL) {
    recorded_fini(&source->page);
    buffer_fini(&source->environment);
    free(source);
  }
}

static bool is_kind(const json_t *record, const char *kind) {
  const char *is = json_string_value(json_object_get(record, "kind"));
  return is != NULL && strcmp(is, kind) == 0;
}

static void add(struct journal_source *source, const json_t *record) {
  struct recorded_batch *batch = recorded_add_json(&source->page, source->topic_prefix, record);
  buffer_append(&batch->environment, source->environment.data, source->environment.size);
  buffer_clear(&source->environment);
}

static void keep_environment(struct journal_source *source, const json_t *record) {
  const char *content = json_string_value(json_object_get(record, "content"));
  buffer_clear(&source->environment);
  if (content != NULL) {
    buffer_append(&source->environment, content, strlen(content));
  }
}

/* From the topic. ------------------------------------------------------------------------ */

static enum status read_record(struct journal_source *source, size_t ahead,
                               const struct found_record **is, json_t **record,
                               struct error *error) {
  *record = NULL;
  const enum status status = found_peek(source->found, RECORD_JOURNAL, ahead, is, error);
  if (status != STATUS_OK || *is == NULL) {
    return status;
  }
  struct reject reject = {.text = "a null value"};
  if (!(*is)->message.value_is_null) {
    /* Its id may stand nowhere but in the environments that are read here. */
    const struct writer *ours = schemas_find_own(source->schemas, record_name(RECORD_JOURNAL));
    *record = avro_json_of_ours(source->schemas, ours, (*is)->message.value, &reject);
  }
  const bool is_ours =
      *record != NULL && (is_kind(*record, "BATCH") || is_kind(*record, "ENVIRONMENT"));
  if (!is_ours) {
    json_decref(*record);
    *record = NULL;
    return error_set(error, STATUS_REFUSED,
                     "offset %" PRId64 " of the journal is no record of it: %s", (*is)->offset,
                     reject.text);
  }
  return STATUS_OK;
}

static enum status next_of_topic(struct journal_source *source, struct journal_entry *entry,
                                 struct error *error) {
  for (; source->shown > 0; source->shown--) {
    found_pop(source->found, RECORD_JOURNAL);
  }
  recorded_fini(&source->page);
  json_t *record;
  enum status status = read_record(source, 0, &entry->record, &record, error);
  if (status == STATUS_OK && record != NULL && is_kind(record, "ENVIRONMENT")) {
    const int64_t offset = entry->record->offset;
    keep_environment(source, record);
    json_decref(record);
    status = read_record(source, 1, &entry->record, &record, error);
    if (status == STATUS_OK && (record == NULL || !is_kind(record, "BATCH"))) {
      status = error_set(error, STATUS_REFUSED,
                         "offset %" PRId64 " of the journal is an environment without its batch",
                         offset);
    }
    if (status == STATUS_OK) {
      status = found_peek(source->found, RECORD_JOURNAL, 0, &entry->environment, error);
    }
    if (status == STATUS_OK) { /* looking ahead may have moved it */
      status = found_peek(source->found, RECORD_JOURNAL, 1, &entry->record, error);
    }
  }
  if (status == STATUS_OK && record != NULL) {
    add(source, record);
    source->shown = entry->environment != NULL ? 2 : 1;
    entry->batch = &source->page.items[0];
  }
  json_decref(record);
  return status;
}

/* From the database. --------------------------------------------------------------------- */

static enum status take_row(void *context, const struct span *values, struct error *error) {
  struct journal_source *source = context;
  json_t *const record = json_loadb((const char *)values[0].data, values[0].size, 0, NULL);
  if (record == NULL) {
    return error_set(error, STATUS_REFUSED, "a row of muster.journal is not JSON");
  }
  if (is_kind(record, "BATCH")) {
    add(source, record);
  } else {
    keep_environment(source, record);
  }
  json_decref(record);
  return STATUS_OK;
}

/* A page of rows; an environment comes before its batch, and in one page with it. */
static enum status read_page(struct journal_source *source, struct error *error) {
  static const char sql[] =
      "SELECT row_to_json(j) FROM muster.journal j WHERE lane = $1::integer AND batch > $2::bigint "
      "AND batch <= (SELECT max(batch) FROM (SELECT batch FROM muster.journal WHERE lane = "
      "$1::integer AND kind = 'BATCH' AND batch > $2::bigint ORDER BY batch LIMIT 500) page) "
      "ORDER BY batch, kind DESC";
  char lane[16];
  char batch[32];
  const char *const parameters[] = {lane, batch};
  snprintf(lane, sizeof lane, "%" PRIu32, source->lane);
  snprintf(batch, sizeof batch, "%" PRIu64, source->last_batch);
  recorded_fini(&source->page);
  source->next = 0;
  return database_query(source->database, sql, parameters, COUNT_OF(parameters), take_row, source,
                        error);
}

static enum status next_of_database(struct journal_source *source, struct journal_entry *entry,
                                    struct error *error) {
  if (source->next == source->page.count) {
    const enum status status = read_page(source, error);
    if (status != STATUS_OK) {
      return status;
    }
  }
  if (source->next < source->page.count) {
    entry->batch = &source->page.items[source->next++];
    source->last_batch = entry->batch->row.batch;
  }
  return STATUS_OK;
}

enum status journal_source_next(struct journal_source *source, struct journal_entry *entry,
                                struct error *error) {
  *entry = (struct journal_entry){0};
  return source->found != NULL ? next_of_topic(source, entry, error)
                               : next_of_database(source, entry, error);
}
