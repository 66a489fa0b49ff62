/* No schema registry is simulated: no lane has one to ask. */
#include "core/app/schema_cache.h"
#include "tests/sim/sim.h"

enum schema_answer schema_cache_ask(struct schema_cache *cache, uint32_t id,
                                    const char **canonical) {
  (void)cache, (void)canonical;
  CHECK_THAT(false, "a lane asks a registry for schema %u", id);
  return SCHEMA_ABSENT;
}

bool schema_cache_is_out_of_reach(const struct schema_cache *cache) {
  (void)cache;
  CHECK_THAT(false, "a lane waits for a registry");
  return false;
}
