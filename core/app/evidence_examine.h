/* A pack's records decided again, and what follows from them: the second half of a pack.
 *
 * Both who makes a pack and who verifies it do this, with the same bytes coming out: the verdict
 * of each lane, the decisions and the population as files for people, the report, the manifest.
 * Reads the pack's files alone; no key of subjects, no broker, no clock. */
#ifndef MUSTER_APP_EVIDENCE_EXAMINE_H
#define MUSTER_APP_EVIDENCE_EXAMINE_H

#include "core/app/evidence_pack.h"
#include "core/app/evidence_story.h"
#include "core/app/verify.h"

#include <stdio.h>

/* What a pack was asked to be; stands in its manifest. */
struct evidence_terms {
  char topic_prefix[STORED_TOPIC_SIZE];
  uint32_t lane_count;
  int64_t from_ms, to_ms; /* TIME_NONE: no bound */
  bool is_pseudonymised;
  char devices[1024]; /* IDs or serials with commas between; empty: none was named */
};

/* A lane's signed checkpoint in the pack, and what came of it. */
struct evidence_checkpoint {
  bool is_there, is_checked; /* under a key */
  struct checkpoint is;
  char key_name[CHECKPOINT_NAME_SIZE];
};

struct evidence_lane {
  struct verify_result result; /* its finding is this one's */
  struct evidence_checkpoint checkpoint;
};

struct examination {
  const struct evidence_terms *terms;
  const struct pack *pack;
  struct config config; /* the caller's, for these topics; shares its texts */
  const struct schemas *schemas;
  struct evidence_lane *lanes;
  struct story story;
  const char **wanted;
  char *wanted_text;
};

/* Decides every lane again. `key`: what checkpoints must be signed under, NULL: the key that is in
 * the pack. Both outlive the examination, as terms and pack do. What is wrong with a lane, a file
 * that cannot be read included, is its finding. The caller ends it with examination_fini. */
void examine(const struct config *config, const struct schemas *schemas,
             const struct evidence_terms *terms, const struct pack *pack,
             const struct note_key *key, struct examination *examination);
void examination_fini(struct examination *examination);

/* Whether every lane is as decided. */
bool examination_is_clean(const struct examination *examination);

/* A lane's part of the manifest: what was read, decided and verified. The caller's. */
struct json_t *examination_lane_json(const struct examination *examination, uint32_t lane);

/* The files that follow from the records; each writes one. */
enum status examination_put_decisions(struct examination *examination, FILE *file,
                                      struct error *error) MUST_USE;
enum status examination_put_population(struct examination *examination, FILE *file,
                                       struct error *error) MUST_USE;
enum status examination_put_report(struct examination *examination, FILE *file,
                                   struct error *error) MUST_USE;

/* Names of a lane's checkpoint and of what shows that it goes on from the pack's journal. */
void evidence_checkpoint_names(uint32_t lane, char note[64], char proof[64]);
#define EVIDENCE_KEY_FILE "checkpoints.key"

#endif
