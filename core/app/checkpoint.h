/* Signed states of a lane's journal: C2SP tlog-checkpoint in a signed note, Ed25519.
 *
 *   muster.example/muster.journal/0      origin: the key's name, the topic, the lane
 *   42                                   batches
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2…    base64 of the Merkle root (core/merkle.h)
 *
 *   — muster.example Az3grlgtzPICa5…     base64 of the key's id and the signature
 *
 * The tree's entries are the batches' chain digests, in order. Keys are texts of one line in the
 * form of Go's x/mod/sumdb/note, so that its tools read them. */
#ifndef MUSTER_APP_CHECKPOINT_H
#define MUSTER_APP_CHECKPOINT_H

#include "core/merkle.h"
#include "core/status.h"

enum {
  CHECKPOINT_NAME_SIZE = 128, /* with its end */
  CHECKPOINT_ORIGIN_SIZE = 512,
  CHECKPOINT_TEXT_SIZE = 2048,
  CHECKPOINT_KEY_TEXT_SIZE = 256,
};

/* Either half of a key pair. */
struct note_key;

void note_key_close(struct note_key *key); /* NULL is allowed */
const char *note_key_name(const struct note_key *key);

/* Makes a pair as two texts without a line end. `name` is UTF-8 without blanks and plus signs.
 * STATUS_USAGE: it is not. */
enum status note_key_make(const char *name, char secret[CHECKPOINT_KEY_TEXT_SIZE],
                          char open[CHECKPOINT_KEY_TEXT_SIZE], struct error *error) MUST_USE;

/* From its text, one line end allowed. NULL: it is none of that kind. */
struct note_key *note_key_read_secret(struct span text);
struct note_key *note_key_read_public(struct span text);

/* The same from a file. STATUS_CONFIG names the file and never shows what is in it. */
enum status note_key_load(const char *path, bool is_secret, struct note_key **key,
                          struct error *error) MUST_USE;

/* "<key's name>/<prefix>journal/<lane>". */
void checkpoint_origin(const char *name, const char *topic_prefix, uint32_t lane,
                       char origin[CHECKPOINT_ORIGIN_SIZE]);

/* Signs that tree, terminated. Returns its length. */
size_t checkpoint_sign(const struct note_key *secret, const char *origin,
                       const struct merkle_tree *tree, char text[CHECKPOINT_TEXT_SIZE]);

/* A checkpoint as its text states it. */
struct checkpoint {
  char origin[CHECKPOINT_ORIGIN_SIZE];
  struct merkle_tree tree;
  bool is_signed; /* under the key given */
};

/* Reads a checkpoint and looks for the key's signature (NULL: for none). False: it is no
 * checkpoint, and `why` says what is wrong. Any text is allowed. */
enum { CHECKPOINT_WHY_SIZE = 160 };
bool checkpoint_read(struct span text, const struct note_key *key, struct checkpoint *checkpoint,
                     char why[CHECKPOINT_WHY_SIZE]) MUST_USE;

#endif
