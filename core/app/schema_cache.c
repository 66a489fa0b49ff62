#include "core/app/schema_cache.h"

#include "consumers/schemas.h"
#include "core/app/clock.h"
#include "core/app/log.h"
#include "core/app/registry_client.h"
#include "core/app/text.h"
#include "core/app/worker.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS_MIN = 100, RETRY_MS_MAX = 5000, ENTRIES_MAX = 4096 };

struct entry {
  uint32_t id;
  enum { ENTRY_WANTED, ENTRY_ABSENT, ENTRY_FOUND } state;
  int64_t until_mono_ms; /* absent: until then */
  char *canonical;       /* found */
};

struct schema_cache {
  struct schema_cache_options options;
  struct worker *worker;
  struct entry *entries; /* by id */
  size_t count;
  bool is_asking;
  bool is_out_of_reach;
  int64_t retry_ms, retry_mono_ms;
  atomic_bool is_closing;
  void (*closed)(void *context);
  void *closed_context;
  /* Of the request under way; the thread's until it has ended. */
  struct registry *registry;
  uint32_t id;
  char *canonical;
  enum status status;
  struct error error;
};

/* ---- Entries ---- */

static size_t place_of(const struct schema_cache *cache, uint32_t id) {
  size_t low = 0;
  size_t high = cache->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (cache->entries[middle].id < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static struct entry *find(const struct schema_cache *cache, uint32_t id) {
  const size_t place = place_of(cache, id);
  return place < cache->count && cache->entries[place].id == id ? &cache->entries[place] : NULL;
}

/* A flood of ids that nobody has must not fill the memory. */
static void drop_absent(struct schema_cache *cache) {
  size_t kept = 0;
  for (size_t i = 0; i < cache->count; i++) {
    if (cache->entries[i].state != ENTRY_ABSENT) {
      cache->entries[kept++] = cache->entries[i];
    }
  }
  cache->count = kept;
}

static void add_wanted(struct schema_cache *cache, uint32_t id) {
  if (cache->count >= ENTRIES_MAX) {
    drop_absent(cache);
  }
  const size_t place = place_of(cache, id);
  cache->entries = memory_grown(cache->entries, cache->count + 1, sizeof *cache->entries);
  memmove(cache->entries + place + 1, cache->entries + place,
          (cache->count - place) * sizeof *cache->entries);
  cache->entries[place] = (struct entry){.id = id, .state = ENTRY_WANTED};
  cache->count++;
}

/* ---- Requests ---- */

static bool is_over(void *context) {
  const struct schema_cache *cache = context;
  return atomic_load(&cache->is_closing);
}

/* A connection that failed is made anew, its password read again. */
static void run_fetch(void *context) {
  struct schema_cache *cache = context;
  cache->canonical = NULL;
  cache->status = STATUS_OK;
  if (cache->registry == NULL) {
    cache->status =
        registry_of_config(cache->options.config, is_over, cache, &cache->registry, &cache->error);
  }
  if (cache->status == STATUS_OK) {
    cache->status = registry_fetch(cache->registry, cache->id, &cache->canonical, &cache->error);
  }
  if (cache->status != STATUS_OK && cache->status != STATUS_REFUSED) {
    registry_close(cache->registry);
    cache->registry = NULL;
  }
}

static void ask_next(struct schema_cache *cache);

static void note_unreachable(struct schema_cache *cache) {
  metric_add(cache->options.metrics, METRIC_REGISTRY_FAILURES, 0, 0, 1);
  if (!cache->is_out_of_reach) {
    log_warning("schema registry out of reach: lanes that need an unknown schema wait",
                LOG_TEXT("error", cache->error.text));
    cache->options.failed(cache->options.context, &cache->error);
  }
  cache->is_out_of_reach = true;
  cache->retry_mono_ms = clock_mono_ms() + cache->retry_ms;
  cache->retry_ms = cache->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : cache->retry_ms * 2;
}

static void note_absent(struct entry *entry, int64_t until_mono_ms, const char *reason) {
  log_warning("no schema for an id: its messages are dead letters",
              LOG_INTEGER("schema_id", entry->id), LOG_TEXT("error", reason));
  entry->state = ENTRY_ABSENT;
  entry->until_mono_ms = until_mono_ms;
}

/* Why no topic of ours can be written with it; NULL when one can. The caller frees the text. */
static char *reason_of_no_use(const struct schema_cache *cache, uint32_t id,
                              const char *canonical) {
  struct schemas *scratch = schemas_derive(cache->options.schemas);
  struct error error;
  char *reason = NULL;
  if (schemas_put(scratch, id, "schema", span_text(canonical), &error) != STATUS_OK) {
    reason = text_copy(error.text);
  } else {
    const struct writer *writer = schemas_find_id(scratch, id);
    for (size_t record = 0; record < INPUT_RECORD_COUNT; record++) {
      if (reason == NULL && writer->reasons[record] != NULL && !writer_is_of_use(writer)) {
        reason = text_copy(writer->reasons[record]);
      }
    }
  }
  schemas_close(scratch);
  return reason;
}

static void take_answer(struct schema_cache *cache, struct entry *entry) {
  if (cache->status == STATUS_REFUSED) {
    note_absent(entry, clock_mono_ms() + SCHEMA_ABSENT_MS, cache->error.text);
    return;
  }
  char *reason = reason_of_no_use(cache, entry->id, cache->canonical);
  if (reason != NULL) {
    note_absent(entry, INT64_MAX, reason); /* what the id means will not change */
    free(reason);
    free(cache->canonical);
  } else {
    log_info("schema fetched", LOG_INTEGER("schema_id", entry->id));
    entry->state = ENTRY_FOUND;
    entry->canonical = cache->canonical;
  }
  cache->canonical = NULL;
}

static void on_fetched(void *context) {
  struct schema_cache *cache = context;
  struct entry *entry = find(cache, cache->id);
  cache->is_asking = false;
  assert(entry != NULL && entry->state == ENTRY_WANTED);
  if (atomic_load(&cache->is_closing)) {
    free(cache->canonical);
    cache->canonical = NULL;
    return;
  }
  metric_add(cache->options.metrics, METRIC_REGISTRY_REQUESTS, 0, 0, 1);
  if (cache->status != STATUS_OK && cache->status != STATUS_REFUSED) {
    note_unreachable(cache);
    return;
  }
  if (cache->is_out_of_reach) {
    log_info("schema registry answers again");
  }
  cache->is_out_of_reach = false;
  cache->retry_ms = RETRY_MS_MIN;
  take_answer(cache, entry);
  ask_next(cache);
  cache->options.answered(cache->options.context);
}

static void ask_next(struct schema_cache *cache) {
  if (cache->is_asking || clock_mono_ms() < cache->retry_mono_ms) {
    return;
  }
  for (size_t i = 0; i < cache->count; i++) {
    if (cache->entries[i].state == ENTRY_WANTED) {
      cache->id = cache->entries[i].id;
      cache->is_asking = true;
      worker_submit(cache->worker, run_fetch, on_fetched, cache);
      return;
    }
  }
}

/* ---- The whole ---- */

struct schema_cache *schema_cache_open(const struct schema_cache_options *options) {
  struct schema_cache *cache = memory_zeroed(1, sizeof *cache);
  cache->options = *options;
  cache->retry_ms = RETRY_MS_MIN;
  cache->worker = worker_open(options->loop);
  return cache;
}

static void on_worker_closed(void *context) {
  struct schema_cache *cache = context;
  void (*const closed)(void *) = cache->closed;
  void *const closed_context = cache->closed_context;
  for (size_t i = 0; i < cache->count; i++) {
    free(cache->entries[i].canonical);
  }
  registry_close(cache->registry);
  free(cache->entries);
  free(cache);
  closed(closed_context);
}

void schema_cache_close(struct schema_cache *cache, void (*closed)(void *context), void *context) {
  atomic_store(&cache->is_closing, true);
  cache->closed = closed;
  cache->closed_context = context;
  worker_close(cache->worker, on_worker_closed, cache);
}

enum schema_answer schema_cache_ask(struct schema_cache *cache, uint32_t id,
                                    const char **canonical) {
  struct entry *entry = find(cache, id);
  if (entry == NULL) {
    add_wanted(cache, id);
    ask_next(cache);
    return SCHEMA_PENDING;
  }
  if (entry->state == ENTRY_ABSENT && clock_mono_ms() >= entry->until_mono_ms) {
    entry->state = ENTRY_WANTED;
    ask_next(cache);
  }
  *canonical = entry->canonical;
  switch (entry->state) {
  case ENTRY_WANTED:
    break;
  case ENTRY_ABSENT:
    return SCHEMA_ABSENT;
  case ENTRY_FOUND:
    return SCHEMA_FOUND;
  }
  return SCHEMA_PENDING;
}

void schema_cache_tick(struct schema_cache *cache) {
  ask_next(cache);
}

bool schema_cache_is_out_of_reach(const struct schema_cache *cache) {
  return cache->is_out_of_reach;
}
