/* What identifies a schema: its Parsing Canonical Form and that form's fingerprint. */
#ifndef MUSTER_CONSUMERS_AVRO_CANONICAL_H
#define MUSTER_CONSUMERS_AVRO_CANONICAL_H

#include "consumers/avro_schema.h"

/* The Parsing Canonical Form, terminated; the caller frees it. */
char *avro_canonical_text(const struct avro_schema *schema) MUST_USE;

/* CRC-64-AVRO of any bytes; in a message's header its lowest byte comes first. */
uint64_t avro_canonical_fingerprint(struct span bytes);

#endif
