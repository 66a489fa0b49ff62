/* SHA-256 and the subject of an address, by libcrypto. */
#ifndef MUSTER_APP_DIGEST_H
#define MUSTER_APP_DIGEST_H

#include "core/journal.h"

/* A running SHA-256. digest_final gives the digest and begins anew. */
struct digest;
struct digest *digest_open(void);
void digest_close(struct digest *digest); /* NULL is allowed */
void digest_update(struct digest *digest, struct span bytes);
void digest_final(struct digest *digest, uint8_t out[DIGEST_SIZE]);

void digest_of(struct span bytes, uint8_t out[DIGEST_SIZE]);

enum { HEX_DIGEST_SIZE = 2 * DIGEST_SIZE + 1 };
void hex_format(const uint8_t *bytes, size_t size, char *text); /* 2·size digits, terminated */

/* The first 16 bytes of HMAC-SHA256 under `key` over the address, whose ASCII letters are
 * lowered already (the public contract of subjects). */
void subject_of(struct span key, struct span lowered_email, uint8_t subject[SUBJECT_SIZE]);

/* The same for many addresses under one key: its two keyed states are computed once, which is
 * three quarters of the work. Copies the key. */
struct subject_hash;
struct subject_hash *subject_hash_open(struct span key);
void subject_hash_close(struct subject_hash *hash); /* NULL is allowed */
void subject_hash_of(struct subject_hash *hash, struct span lowered_email,
                     uint8_t subject[SUBJECT_SIZE]);

#endif
