#include "consumers/stored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_SIZE_MAX = STORED_TOPIC_SIZE + 128, FIXED_SIZE = 4 + 8 + 8 + 1 + 3 * 4 + 2 };
enum { PATCH_SIZE = 4 + 4 + SUBJECT_SIZE, REJECT_FIXED_SIZE = 1 + 1 + 8 + STORED_DIGEST_SIZE + 2 };

bool stored_open(struct span file, struct stored_partition *partition) {
  char line[LINE_SIZE_MAX];
  const uint8_t *end = file.size == 0 ? NULL : memchr(file.data, '\n', file.size);
  const size_t size = end == NULL ? 0 : (size_t)(end - file.data);
  int read = 0;
  if (size == 0 || size >= sizeof line) {
    return false;
  }
  memcpy(line, file.data, size);
  line[size] = '\0';
  if (sscanf(line, "muster records 1 %255s %" SCNd32 " %" SCNd64 " %" SCNd64 "%n", partition->topic,
             &partition->partition, &partition->first, &partition->end, &read) != 4 ||
      (size_t)read != size || partition->first < 0 || partition->end < partition->first) {
    return false;
  }
  partition->records = span_of(end + 1, file.size - size - 1);
  return true;
}

/* Taking bytes that may not be there: after the first that is not, all are zeros. */
struct taking {
  struct span rest;
  bool is_good;
};

static struct span take(struct taking *taking, uint64_t size) {
  static const uint8_t zeros[64];
  if (!taking->is_good || size > taking->rest.size) {
    taking->is_good = false;
    return span_of(zeros, size < sizeof zeros ? size : 0);
  }
  const struct span taken = span_of(taking->rest.data, size);
  taking->rest = span_of(taking->rest.data + size, taking->rest.size - size);
  return taken;
}

static uint64_t take_number(struct taking *taking, size_t size) {
  const struct span bytes = take(taking, size);
  uint64_t number = 0;
  for (size_t i = 0; i < size; i++) {
    number = number << 8 | bytes.data[i];
  }
  return number;
}

/* Patches stand in order, within the value, and apart. */
static void take_patches(struct taking *taking, struct stored_record *record) {
  const uint64_t count = take_number(taking, 2);
  uint64_t end = 0; /* of the last one, in the value as it was */
  uint64_t removed = 0;
  taking->is_good = taking->is_good && count <= STORED_PATCHES_MAX;
  for (uint64_t i = 0; i < count && taking->is_good; i++) {
    struct stored_patch *patch = &record->patches[record->patch_count++];
    patch->at = (uint32_t)take_number(taking, 4);
    patch->size = (uint32_t)take_number(taking, 4);
    memcpy(patch->subject, take(taking, SUBJECT_SIZE).data, SUBJECT_SIZE);
    const uint64_t stored_at = patch->at - removed + i * SUBJECT_SIZE;
    taking->is_good = taking->is_good && patch->at >= end && patch->size <= USER_EMAIL_SIZE_MAX &&
                      stored_at + SUBJECT_SIZE <= record->value.size;
    end = (uint64_t)patch->at + patch->size;
    removed += patch->size;
  }
}

static void take_reject(struct taking *taking, struct stored_reject *withheld) {
  const uint64_t code = take_number(taking, 1);
  const uint64_t stage = take_number(taking, 1);
  withheld->size_bytes = take_number(taking, 8);
  memcpy(withheld->sha256, take(taking, STORED_DIGEST_SIZE).data, STORED_DIGEST_SIZE);
  const uint64_t size = take_number(taking, 2);
  if (code == REJECT_NONE || code >= REJECT_COUNT || stage > STAGE_DECISION ||
      size >= REJECT_TEXT_SIZE) {
    taking->is_good = false;
    return;
  }
  withheld->reject.code = (enum reject_code)code;
  withheld->reject.stage = (enum reject_stage)stage;
  const struct span text = take(taking, size);
  memcpy(withheld->reject.text, text.data, text.size);
}

/* Names and values in the form of struct original, none beyond the end: others read them without
 * looking. */
static bool headers_are_good(struct span headers) {
  struct taking taking = {.rest = headers, .is_good = true};
  while (taking.is_good && taking.rest.size > 0) {
    take(&taking, take_number(&taking, 4));
    const uint64_t size = take_number(&taking, 4);
    take(&taking, size == UINT32_MAX ? 0 : size);
  }
  return taking.is_good;
}

bool stored_next(struct span *rest, struct stored_record *record) {
  struct taking whole = {.rest = *rest, .is_good = true};
  *record = (struct stored_record){.offset = -1};
  if (rest->size == 0) {
    return false;
  }
  const uint64_t size = take_number(&whole, 4);
  struct taking taking = {.rest = take(&whole, size), .is_good = whole.is_good};
  record->offset = (int64_t)take_number(&taking, 8);
  record->timestamp_ms = (int64_t)take_number(&taking, 8);
  record->flags = (uint8_t)take_number(&taking, 1);
  record->key = take(&taking, take_number(&taking, 4));
  record->value = take(&taking, take_number(&taking, 4));
  record->headers = take(&taking, take_number(&taking, 4));
  take_patches(&taking, record);
  if ((record->flags & STORED_IS_WITHHELD) != 0) {
    take_reject(&taking, &record->withheld);
  }
  if (!taking.is_good || taking.rest.size > 0 || record->offset < 0 ||
      !headers_are_good(record->headers)) {
    return false;
  }
  *rest = whole.rest;
  return true;
}

size_t stored_value_size(const struct stored_record *record) {
  size_t size = record->value.size;
  for (size_t i = 0; i < record->patch_count; i++) {
    size = size - SUBJECT_SIZE + record->patches[i].size;
  }
  return size;
}

/* As many letters as the address had: those of the subject, again and again. */
static void put_letters(const struct stored_patch *patch, uint8_t *into) {
  static const char digits[] = "0123456789abcdef";
  for (uint32_t i = 0; i < patch->size; i++) {
    const uint8_t byte = patch->subject[i / 2 % SUBJECT_SIZE];
    into[i] = (uint8_t)digits[i % 2 == 0 ? byte >> 4 : byte & 15];
  }
}

void stored_value(const struct stored_record *record, uint8_t *value) {
  const uint8_t *from = record->value.data;
  size_t at = 0;
  for (size_t i = 0; i < record->patch_count; i++) {
    const struct stored_patch *patch = &record->patches[i];
    memcpy(value + at, from, patch->at - at);
    from += patch->at - at + SUBJECT_SIZE;
    put_letters(patch, value + patch->at);
    at = (size_t)patch->at + patch->size;
  }
  const size_t left = record->value.size - (size_t)(from - record->value.data);
  if (left > 0) {
    memcpy(value + at, from, left);
  }
}

size_t stored_size(const struct stored_record *record) {
  const bool is_withheld = (record->flags & STORED_IS_WITHHELD) != 0;
  return FIXED_SIZE + record->key.size + record->value.size + record->headers.size +
         record->patch_count * PATCH_SIZE +
         (is_withheld ? REJECT_FIXED_SIZE + strlen(record->withheld.reject.text) : 0);
}

static uint8_t *put_number(uint8_t *into, uint64_t number, size_t size) {
  for (size_t i = 0; i < size; i++) {
    into[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
  }
  return into + size;
}

static uint8_t *put_bytes(uint8_t *into, const void *bytes, size_t size) {
  if (size > 0) {
    memcpy(into, bytes, size);
  }
  return into + size;
}

static uint8_t *put_sized(uint8_t *into, struct span bytes) {
  return put_bytes(put_number(into, bytes.size, 4), bytes.data, bytes.size);
}

void stored_write(const struct stored_record *record, uint8_t *into) {
  const struct stored_reject *withheld = &record->withheld;
  into = put_number(into, stored_size(record) - 4, 4);
  into = put_number(into, (uint64_t)record->offset, 8);
  into = put_number(into, (uint64_t)record->timestamp_ms, 8);
  into = put_number(into, record->flags, 1);
  into = put_sized(into, record->key);
  into = put_sized(into, record->value);
  into = put_sized(into, record->headers);
  into = put_number(into, record->patch_count, 2);
  for (size_t i = 0; i < record->patch_count; i++) {
    into = put_number(into, record->patches[i].at, 4);
    into = put_number(into, record->patches[i].size, 4);
    into = put_bytes(into, record->patches[i].subject, SUBJECT_SIZE);
  }
  if ((record->flags & STORED_IS_WITHHELD) != 0) {
    const size_t size = strlen(withheld->reject.text);
    into = put_number(into, withheld->reject.code, 1);
    into = put_number(into, withheld->reject.stage, 1);
    into = put_number(into, withheld->size_bytes, 8);
    into = put_bytes(into, withheld->sha256, STORED_DIGEST_SIZE);
    put_bytes(put_number(into, size, 2), withheld->reject.text, size);
  }
}
