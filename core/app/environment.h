/* What decides besides the log: written into the journal, so that a replay knows it. */
#ifndef MUSTER_APP_ENVIRONMENT_H
#define MUSTER_APP_ENVIRONMENT_H

#include "core/app/config.h"
#include "core/app/digest.h"
#include "core/status.h"
#include "producers/encode.h"

struct json_t; /* jansson's value */
struct schemas;

/* Raised whenever the program would decide anything otherwise from the same inputs. */
enum { DECISION_VERSION = 1 };

/* The journal's record of an environment must stay below the size of a message. */
enum { ENVIRONMENT_SIZE_MAX = 512 << 10 };

/* The Confluent ids of the records that we write; SCHEMA_ID_NONE each with single objects. */
struct output_ids {
  int64_t of[RECORD_COUNT];
};

/* What is the same for all lanes of a process; lives as long as they do. */
struct environment {
  const struct config *config;
  const struct schemas *schemas; /* from the binary, the directory, and ours as registered */
  struct output_ids ids;
  uint32_t lane_count;
  struct span subject_key;
};

/* Whether what we write is in Confluent's framing. */
bool environment_is_confluent(const struct config *config);

/* The ids as schemas.directory knows them; STATUS_CONFIG names a schema without one. */
enum status environment_ids(const struct config *config, const struct schemas *schemas,
                            struct output_ids *ids, struct error *error) MUST_USE;

/* The ids that a recorded environment had them under, from the same registry and for the schemas
 * as they are now. False: it does not have them all. */
bool environment_recall_ids(const struct config *config, const struct schemas *schemas,
                            struct span content, struct output_ids *ids);

/* What stands before each record that is written: its id, or our schema's fingerprint. */
void environment_frames(const struct schemas *schemas, const struct output_ids *ids,
                        struct frames *frames);

/* The environment as JSON with sorted keys and no spaces, and its SHA-256. `known` are the schemas
 * that the lane knows, `fetched` the canonical forms of those from the registry, by id. The caller
 * frees the text. */
char *environment_text(const struct environment *environment, const struct schemas *known,
                       const struct json_t *fetched, uint8_t digest[DIGEST_SIZE]);

#endif
