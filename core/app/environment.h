/* What decides besides the log: written into the journal, so that a replay knows it. */
#ifndef MUSTER_APP_ENVIRONMENT_H
#define MUSTER_APP_ENVIRONMENT_H

#include "core/app/config.h"
#include "core/app/digest.h"
#include "core/status.h"
#include "producers/encode.h"

struct json_t; /* jansson's value */
struct lane;
struct schemas;

/* Raised whenever the program would decide anything otherwise from the same inputs. 2: commands
 * and control messages are decided, of which version 1 made dead letters. What was decided under 1
 * this program cannot verify: it says from which batch it can. */
enum { DECISION_VERSION = 2 };

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
 * that the lane knows, `fetched` the canonical forms of those from the registry, by id (NULL:
 * none). The caller frees the text. */
char *environment_text(const struct environment *environment, const struct schemas *known,
                       const struct json_t *fetched, uint8_t digest[DIGEST_SIZE]);

/* The id that a fetched schema stands under, from its key in the record; false: it is none. */
bool environment_schema_id(const char *key, uint32_t *id) MUST_USE;

/* Makes those whom the environment's content names the lane's admins by the configuration, and no
 * others. What it does not name well is left out. */
void environment_set_admins(struct span content, struct lane *lane);

/* Tells subject keys apart without telling anything about them. */
enum { KEY_ID_SIZE = 17 };
void environment_key_id(struct span key, char text[KEY_ID_SIZE]);

/* An environment as a journal recorded it, for deciding again under it. */
struct recorded_environment {
  struct config settings;   /* as they were; what they point to belongs to the configuration */
  struct schemas *schemas;  /* the program's, with the recorded ids of ours and what was fetched */
  struct output_ids ids;    /* as recorded */
  char key_id[KEY_ID_SIZE]; /* of the subject key then */
};

/* Reads an environment's content. What only the record can say is taken from it: settings, the ids
 * that a registry gave our schemas, the schemas that were fetched; no registry is asked. True when
 * this program, which is `own` (ids and subject key are of no matter), decides the same under it:
 * then the caller ends `recorded`, which `own` outlives. Otherwise `reason` says what is not this
 * program's, and there is nothing to end. */
enum { ENVIRONMENT_REASON_SIZE = 256 };
bool environment_read(struct span content, const struct environment *own,
                      struct recorded_environment *recorded,
                      char reason[ENVIRONMENT_REASON_SIZE]) MUST_USE;
void recorded_environment_fini(struct recorded_environment *recorded); /* zeros are allowed */

#endif
