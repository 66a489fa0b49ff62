/* What the schema registry has answered, and what it is being asked: by id, on the loop.
 *
 * Requests run one after the other on a thread of their own. A schema is kept for the life of the
 * process, since ids do not change their meaning; that there is none is believed for
 * SCHEMA_ABSENT_MS. Without an answer it is asked again, with growing waits, for as long as
 * it takes. */
#ifndef MUSTER_APP_SCHEMA_CACHE_H
#define MUSTER_APP_SCHEMA_CACHE_H

#include "core/app/config.h"
#include "core/app/metrics.h"

struct schema_cache;
struct schemas;
struct uv_loop_s;

enum { SCHEMA_ABSENT_MS = 60000 };

enum schema_answer {
  SCHEMA_PENDING, /* not known yet: options.answered tells when to ask again */
  SCHEMA_ABSENT,  /* there is none, or none that could be read as ours */
  SCHEMA_FOUND,
};

struct schema_cache_options {
  struct uv_loop_s *loop;
  const struct config *config; /* with a registry_url */
  const struct schemas
      *schemas; /* what a schema must be readable as; learns nothing from here on */
  struct metrics *metrics;
  void *context;
  void (*answered)(void *context); /* something is known that was not */
  void (*failed)(void *context,
                 const struct error *error); /* out of reach; once, till it is back */
};

struct schema_cache *schema_cache_open(const struct schema_cache_options *options);

/* Ends the thread, and the request under way; calls `closed` on the loop, the cache is gone then.
 */
void schema_cache_close(struct schema_cache *cache, void (*closed)(void *context), void *context);

/* The canonical form, when it is found, is valid as long as the cache. */
enum schema_answer schema_cache_ask(struct schema_cache *cache, uint32_t id,
                                    const char **canonical);

/* Asks again what is due: call a few times a second. */
void schema_cache_tick(struct schema_cache *cache);

/* The last request had no answer. */
bool schema_cache_is_out_of_reach(const struct schema_cache *cache);

#endif
