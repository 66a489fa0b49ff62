/* Bytes as text in the standard base64 alphabet, with padding, and back. */
#ifndef MUSTER_CONSUMERS_BASE64_H
#define MUSTER_CONSUMERS_BASE64_H

#include "core/span.h"

/* The terminated text of any bytes; the caller frees it. */
char *base64_text(struct span bytes) MUST_USE;

/* The bytes of a text; the caller frees `*bytes`, which is never NULL on true. False when
 * it is not base64 with its padding, and then nothing is there to free. */
bool base64_bytes(struct span text, uint8_t **bytes, size_t *size) MUST_USE;

#endif
