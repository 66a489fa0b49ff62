/* Checkpoints and what they cover: signed of a journal as it stands, or put into a pack. */
#ifndef MUSTER_APP_EVIDENCE_SIGN_H
#define MUSTER_APP_EVIDENCE_SIGN_H

#include "core/app/checkpoint_list.h"

struct schemas;

/* The tree over the journal's topic as it stands. STATUS_REFUSED: a row does not go on from the one
 * before; `error` names it. */
enum status journal_tree_read(const struct config *config, const struct schemas *schemas,
                              uint32_t lane, struct merkle_tree *tree,
                              struct error *error) MUST_USE;

/* Of a lane's checkpoints, the first that covers `batches`, or else the last: its note goes into
 * the pack at `directory` and, when it has more batches, the proof that they begin with these,
 * which is made from the journal's topic. Without any nothing is written. */
enum status evidence_put_checkpoint(const struct config *config, const struct schemas *schemas,
                                    const struct checkpoint_list *list, const char *directory,
                                    uint32_t lane, uint64_t batches, struct error *error) MUST_USE;

#endif
