/* What an auditor is handed: files of records, and checkpoints. Reading them ends and stays within
 * them; a record that was read is written as the same bytes; what is signed has been read whole. */
#include "consumers/fetch.h"
#include "consumers/stored.h"
#include "core/app/checkpoint.h"
#include "tests/fuzz/fuzz.h"

static void check_record(const struct stored_record *record, struct span bytes) {
  const bool has_text = (record->flags & STORED_IS_WITHHELD) != 0;
  uint8_t *const value = malloc(stored_value_size(record) + 1);
  stored_value(record, value);
  free(value);
  if (!has_text) { /* a text ends at its first zero */
    HOLDS(stored_size(record) == bytes.size);
    uint8_t *const again = malloc(bytes.size);
    stored_write(record, again);
    HOLDS(memcmp(again, bytes.data, bytes.size) == 0);
    free(again);
  }
}

static size_t check_records(const struct stored_partition *partition) {
  struct span rest = partition->records;
  struct stored_record record;
  size_t count = 0;
  for (struct span before = rest; stored_next(&rest, &record); before = rest) {
    check_record(&record, span_of(before.data, before.size - rest.size));
    count++;
  }
  return count;
}

/* A source shows as many, looking at what others look at. */
static void check_source(const struct stored_partition *partition, size_t count) {
  struct fetch *const fetch = fetch_open_stored(partition, 1);
  struct source *source;
  struct error error;
  struct span header;
  HOLDS(source_open(fetch, partition->topic, partition->partition, 0, &source, &error) ==
        STATUS_OK);
  for (const struct record *record; (record = source_peek(source)) != NULL; count--) {
    uint8_t *const headers = malloc(record_headers_size(record) + 1);
    record_headers_copy(record, headers);
    (void)record_header(record, "traceparent", &header);
    free(headers);
    source_pop(source);
  }
  HOLDS(count == 0);
  HOLDS(source_error(source) != NULL || source_end(source) == partition->end);
  source_close(source);
  fetch_close(fetch);
}

static void check_checkpoint(struct span text) {
  static struct note_key *secret, *open;
  char why[CHECKPOINT_WHY_SIZE];
  struct checkpoint checkpoint;
  if (secret == NULL) {
    secret = note_key_read_secret(span_text(
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"));
    open = note_key_read_public(
        span_text("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"));
    HOLDS(secret != NULL && open != NULL);
  }
  note_key_close(note_key_read_public(text));
  note_key_close(note_key_read_secret(text));
  if (checkpoint_read(text, open, &checkpoint, why)) {
    char again[CHECKPOINT_TEXT_SIZE];
    struct checkpoint same;
    const size_t size = checkpoint_sign(secret, checkpoint.origin, &checkpoint.tree, again);
    HOLDS(checkpoint_read(span_of(again, size), open, &same, why) && same.is_signed);
    HOLDS(same.tree.size == checkpoint.tree.size);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct stored_partition partition;
  if (stored_open(span_of(data, size), &partition)) {
    check_source(&partition, check_records(&partition));
  }
  check_checkpoint(span_of(data, size));
  return 0;
}
