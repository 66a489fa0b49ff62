/* A hash table from bytes to the index of the item that holds them. The items live elsewhere;
 * the table keeps 32 bits of each hash beside the index, so that a look-up nearly always
 * touches one line of the table and then the item itself. */
#ifndef MUSTER_CORE_TABLE_H
#define MUSTER_CORE_TABLE_H

#include "core/memory.h"
#include "core/span.h"

enum { INDEX_NONE = UINT32_MAX };

struct table_slot {
  uint32_t tag;   /* upper half of the hash */
  uint32_t index; /* INDEX_NONE: free */
};

struct table {
  struct table_slot *slots;
  uint32_t mask; /* number of slots less one; slots are a power of two */
  uint32_t count;
};

/* Tells whether item `index` of `context` holds `key`. */
typedef bool (*table_equal_fn)(const void *context, uint32_t index, struct span key);
/* The hash of the key that item `index` of `context` holds. */
typedef uint64_t (*table_hash_fn)(const void *context, uint32_t index);

/* A hash of any bytes. The same in every run: nothing is decided by a table's order. */
uint64_t hash_bytes(struct span key);

void table_fini(struct table *table, const struct memory *memory);

/* Makes room for `count` items in a table that is empty: it need not grow, and hash all anew, on
 * the way there. */
void table_reserve(struct table *table, const struct memory *memory, uint32_t count);

/* The index of the item with that key, or INDEX_NONE. */
uint32_t table_find(const struct table *table, uint64_t hash, struct span key, table_equal_fn equal,
                    const void *context);

/* Fetches into the caches what a look-up of that hash will begin with. */
void table_prefetch(const struct table *table, uint64_t hash);

/* The index that table_find would hold against the key first, or INDEX_NONE: whose item it is
 * worth fetching. */
uint32_t table_guess(const struct table *table, uint64_t hash);

/* Adds an item whose key is not in the table. `rehash` gives items' hashes when it grows. */
void table_add(struct table *table, const struct memory *memory, uint64_t hash, uint32_t index,
               table_hash_fn rehash, const void *context);

/* Takes out the item `index`, which is in the table under `hash`. */
void table_remove(struct table *table, uint64_t hash, uint32_t index, table_hash_fn rehash,
                  const void *context);

#endif
