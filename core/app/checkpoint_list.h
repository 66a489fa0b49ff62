/* Checkpoints gathered from the topic, from a file, or from the files of a pack. */
#ifndef MUSTER_APP_CHECKPOINT_LIST_H
#define MUSTER_APP_CHECKPOINT_LIST_H

#include "core/app/checkpoint.h"
#include "core/app/config.h"

enum { CHECKPOINT_WHERE_SIZE = 320 };

struct listed_checkpoint {
  uint32_t lane;
  struct checkpoint is;
  char where[CHECKPOINT_WHERE_SIZE]; /* for people */
  char why[CHECKPOINT_WHY_SIZE];     /* why it is none of this lane's; empty: it is one */
  char *text;                        /* as it was read; the list's */
};

struct checkpoint_list {
  struct listed_checkpoint *items; /* by lane, then size */
  size_t count;
};

/* Adds what one text holds: checkpoints one after the other. Each must be signed under `key` and
 * name a lane's journal as its origin; `lane` is the one it must be of, or -1: any. What is not
 * so is added too, and says why; it stands with lane `lane`, or 0. */
struct checkpoint_source {
  const struct note_key *key;
  const char *topic_prefix;
  uint32_t lane_count;
  int64_t lane;
  const char *where;
};
void checkpoint_list_add(struct checkpoint_list *list, const struct checkpoint_source *source,
                         struct span text);
void checkpoint_list_sort(struct checkpoint_list *list);
void checkpoint_list_fini(struct checkpoint_list *list);

/* Reads muster.checkpoints, or a file of checkpoints, and sorts. STATUS_CONFIG: the topic or the
 * file is not there. The caller ends the list, whatever the answer. */
enum status checkpoint_list_read_topic(const struct config *config, const struct note_key *key,
                                       uint32_t lane_count, struct checkpoint_list *list,
                                       struct error *error) MUST_USE;
enum status checkpoint_list_read_file(const char *path, const char *topic_prefix,
                                      const struct note_key *key, uint32_t lane_count,
                                      struct checkpoint_list *list, struct error *error) MUST_USE;

#endif
