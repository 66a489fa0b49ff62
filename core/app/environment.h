/* What decides besides the log: written into the journal, so that a replay knows it. */
#ifndef MUSTER_APP_ENVIRONMENT_H
#define MUSTER_APP_ENVIRONMENT_H

#include "core/app/config.h"
#include "core/app/digest.h"
#include "core/status.h"
#include "producers/encode.h"

struct schemas;

/* Raised whenever the program would decide anything otherwise from the same inputs. */
enum { DECISION_VERSION = 1 };

/* The environment as JSON with sorted keys and no spaces, and its SHA-256. The caller frees
 * the text. */
char *environment_text(const struct config *config, const struct schemas *schemas,
                       uint32_t lane_count, struct span subject_key, uint8_t digest[DIGEST_SIZE]);

/* Tells subject keys apart without telling anything about them. */
enum { KEY_ID_SIZE = 17 };
void environment_key_id(struct span key, char text[KEY_ID_SIZE]);

/* Reads an environment's content as a journal recorded it. True when this program decides the
 * same under it: then `settings` is a copy of `config` with the recorded settings (what it points
 * to belongs to `config`), and `key_id` that of the subject key then. Otherwise `reason` says
 * what is not this program's. */
enum { ENVIRONMENT_REASON_SIZE = 256 };
bool environment_read(struct span content, const struct config *config,
                      const struct schemas *schemas, uint32_t lane_count, struct config *settings,
                      char key_id[KEY_ID_SIZE], char reason[ENVIRONMENT_REASON_SIZE]) MUST_USE;

/* What stands before each record that is written: the fingerprints of our schemas, or their
 * Confluent ids; STATUS_CONFIG names a schema without an id. */
enum status environment_frames(const struct config *config, const struct schemas *schemas,
                               struct frames *frames, struct error *error) MUST_USE;

#endif
