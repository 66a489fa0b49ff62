/* A pack on disk: its files, mapped, and the manifest's list of them.
 *
 * Every regular file below the directory belongs to it but manifest.json, which lists them with
 * their sizes and digests. Names are sorted, with '/' between their parts. */
#ifndef MUSTER_APP_EVIDENCE_PACK_H
#define MUSTER_APP_EVIDENCE_PACK_H

#include "consumers/stored.h"
#include "core/app/digest.h"
#include "core/status.h"

struct json_t; /* jansson's value */

struct pack_file {
  char *name;
  struct span bytes; /* mapped */
};

/* What a lane reads: its own files first, and behind them those of lane 0, whose audit entries tell
 * the subjects of control messages. Every lane has its own file of control. */
struct pack_set {
  struct stored_partition *items;
  size_t count;
};

struct pack {
  char *directory;
  struct pack_file *files; /* sorted by name */
  size_t file_count;
  struct pack_set *sets; /* by lane */
  uint32_t set_count;
};

#define PACK_MANIFEST "manifest.json"

/* Maps the files of the directory. STATUS_REFUSED: a file of records is none; STATUS_CONFIG: the
 * directory cannot be read. The caller ends it with pack_close, whatever the answer. */
enum status pack_open(const char *directory, struct pack *pack, struct error *error) MUST_USE;
void pack_close(struct pack *pack);

/* The partitions that a lane reads. */
const struct stored_partition *pack_lane(const struct pack *pack, uint32_t lane, size_t *count);

/* NULL: there is none of that name. The manifest is found, too. */
const struct pack_file *pack_find(const struct pack *pack, const char *name);

/* [{"name", "sha256", "size"}, …], without the manifest itself. The caller's. */
struct json_t *pack_list(const struct pack *pack);

/* Makes DIR and its lanes' directory; STATUS_REFUSED when something is in it already. */
enum status pack_make_directory(const char *directory, struct error *error) MUST_USE;

#endif
