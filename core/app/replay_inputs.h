/* What every replay reads before its first lane: schemas, lanes, and the subject key if there is
 * one. */
#ifndef MUSTER_APP_REPLAY_INPUTS_H
#define MUSTER_APP_REPLAY_INPUTS_H

#include "core/app/config.h"
#include "core/status.h"

struct schemas;

struct replay_inputs {
  struct schemas *schemas;
  uint32_t lane_count; /* partitions of the lane topics */
  uint8_t key[64];
  size_t key_size; /* 0: no privacy.subject_key_file; subjects come from the results */
};

/* STATUS_CONFIG: the key's file or schemas.directory is wrong, or a topic is missing;
 * STATUS_UNAVAILABLE: no answer from the broker. The caller ends it with replay_inputs_close,
 * whatever the answer. */
enum status replay_inputs_open(const struct config *config, struct replay_inputs *inputs,
                               struct error *error) MUST_USE;
void replay_inputs_close(struct replay_inputs *inputs);

struct span replay_inputs_key(const struct replay_inputs *inputs); /* of the inputs; empty: none */

#endif
