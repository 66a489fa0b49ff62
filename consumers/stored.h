/* Records of a partition that stand in a file: how they are written there, and read back.
 *
 * The form, all integers big-endian (docs/evidence.md has it for others):
 *   line     "muster records 1 TOPIC PARTITION FIRST END\n"; offsets, END exclusive
 *   records  in order of offsets, each:
 *     u32      size of what follows
 *     i64 i64  offset, timestamp in ms (-1: none)
 *     u8       flags (enum stored_flag)
 *     u32 ...  key, value, headers: size and bytes; headers as in struct original
 *     u16 ...  patches: u32 place in the value, u32 size of what stood there, 16 bytes subject
 *     ...      of a withheld one: u8 code, u8 stage, u64 size, 32 bytes SHA-256, u16 and text
 *
 * A pseudonymised value has a subject in place of each address. It is read as the value it was made
 * from but for the address, in whose place letters of the same number stand: what is decided
 * does not depend on them, and digests are over the subject. */
#ifndef MUSTER_CONSUMERS_STORED_H
#define MUSTER_CONSUMERS_STORED_H

#include "core/event.h"

enum stored_flag {
  STORED_KEY_IS_NULL = 1,
  STORED_VALUE_IS_NULL = 2,
  STORED_IS_WITHHELD = 4, /* refused; nobody can tell whether it holds an address */
  STORED_IS_PARTIAL = 8,  /* headers were left out */
};

enum { STORED_TOPIC_SIZE = 256, STORED_PATCHES_MAX = 16, STORED_DIGEST_SIZE = 32 };

/* An address that was taken out of a value. */
struct stored_patch {
  uint32_t at, size; /* in the value as it was */
  uint8_t subject[SUBJECT_SIZE];
};

/* Why a withheld message was refused; size and digest of its value, as its dead letter has them. */
struct stored_reject {
  struct reject reject;
  uint64_t size_bytes;
  uint8_t sha256[STORED_DIGEST_SIZE];
};

/* Views into the file. */
struct stored_record {
  int64_t offset, timestamp_ms;
  uint8_t flags;
  struct span key, value, headers; /* the value with subjects in the patches' places */
  struct stored_patch patches[STORED_PATCHES_MAX];
  size_t patch_count;
  struct stored_reject withheld;
};

/* A file's partition: what its first line says, and the records behind it. */
struct stored_partition {
  char topic[STORED_TOPIC_SIZE];
  int32_t partition;
  int64_t first, end;
  struct span records;
};

/* False: the file does not begin as one. Any bytes are allowed. */
bool stored_open(struct span file, struct stored_partition *partition) MUST_USE;

/* The next record of `*rest`, which moves on. False at the end, and where the bytes are no record:
 * then something is left of them. */
bool stored_next(struct span *rest, struct stored_record *record) MUST_USE;

/* The value as it is read: `size` bytes, room for stored_value_size. */
size_t stored_value_size(const struct stored_record *record);
void stored_value(const struct stored_record *record, uint8_t *value);

/* Writes a record's bytes to `into`, which has room for stored_size of it. The value given is
 * the one without addresses. */
size_t stored_size(const struct stored_record *record);
void stored_write(const struct stored_record *record, uint8_t *into);

#endif
