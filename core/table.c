#include "core/table.h"

enum { SLOT_COUNT_MIN = 64 };

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b) {
  const wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t read_tail(const uint8_t *data, size_t size) {
  uint64_t word = 0;
  memcpy(&word, data, size);
  return word;
}

/* Multiply-and-fold over eight bytes at a time. */
uint64_t hash_bytes(struct span key) {
  const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t hash = mix(key.size ^ UINT64_C(0xe7037ed1a0b428db), odd);
  size_t at = 0;
  for (; key.size - at >= 8; at += 8) {
    hash = mix(hash ^ read_tail(key.data + at, 8), odd);
  }
  if (at < key.size) {
    hash = mix(hash ^ read_tail(key.data + at, key.size - at), odd ^ UINT64_C(0xa0761d6478bd642f));
  }
  return hash;
}

void table_fini(struct table *table, const struct memory *memory) {
  if (table->slots != NULL) {
    memory->resize(memory->context, table->slots, ((size_t)table->mask + 1) * sizeof *table->slots,
                   0);
  }
  *table = (struct table){0};
}

static uint32_t tag_of(uint64_t hash) {
  return (uint32_t)(hash >> 32);
}

uint32_t table_find(const struct table *table, uint64_t hash, struct span key, table_equal_fn equal,
                    const void *context) {
  if (table->slots == NULL) {
    return INDEX_NONE;
  }
  for (uint32_t at = (uint32_t)hash & table->mask;; at = (at + 1) & table->mask) {
    const struct table_slot slot = table->slots[at];
    if (slot.index == INDEX_NONE) {
      return INDEX_NONE;
    }
    if (slot.tag == tag_of(hash) && equal(context, slot.index, key)) {
      return slot.index;
    }
  }
}

void table_prefetch(const struct table *table, uint64_t hash) {
  if (table->slots != NULL) {
    __builtin_prefetch(&table->slots[(uint32_t)hash & table->mask]);
  }
}

static bool equal_by_tag(const void *context, uint32_t index, struct span key) {
  (void)context, (void)index, (void)key;
  return true;
}

uint32_t table_guess(const struct table *table, uint64_t hash) {
  return table_find(table, hash, (struct span){0}, equal_by_tag, NULL);
}

static void put(struct table *table, uint64_t hash, uint32_t index) {
  uint32_t at = (uint32_t)hash & table->mask;
  while (table->slots[at].index != INDEX_NONE) {
    at = (at + 1) & table->mask;
  }
  table->slots[at] = (struct table_slot){.tag = tag_of(hash), .index = index};
}

static void make_slots(struct table *table, const struct memory *memory, uint32_t count) {
  table->slots = memory->resize(memory->context, NULL, 0, count * sizeof *table->slots);
  table->mask = count - 1;
  memset(table->slots, 0xff, count * sizeof *table->slots);
}

/* At most three quarters full: probes stay short. */
static bool is_full(const struct table *table, uint32_t count) {
  return count >= table->mask / 4 * 3;
}

void table_reserve(struct table *table, const struct memory *memory, uint32_t count) {
  assert(table->slots == NULL && count < UINT32_MAX / 4);
  uint32_t slot_count = SLOT_COUNT_MIN;
  while (count > (slot_count - 1) / 4 * 3) {
    slot_count *= 2;
  }
  make_slots(table, memory, slot_count);
}

static void grow(struct table *table, const struct memory *memory, table_hash_fn rehash,
                 const void *context) {
  const uint32_t old_count = table->slots == NULL ? 0 : table->mask + 1;
  struct table_slot *old = table->slots;
  make_slots(table, memory, old_count == 0 ? SLOT_COUNT_MIN : old_count * 2);
  for (uint32_t i = 0; i < old_count; i++) {
    if (old[i].index != INDEX_NONE) {
      put(table, rehash(context, old[i].index), old[i].index);
    }
  }
  if (old != NULL) {
    memory->resize(memory->context, old, old_count * sizeof *old, 0);
  }
}

void table_add(struct table *table, const struct memory *memory, uint64_t hash, uint32_t index,
               table_hash_fn rehash, const void *context) {
  if (table->slots == NULL || is_full(table, table->count)) {
    grow(table, memory, rehash, context);
  }
  put(table, hash, index);
  table->count++;
}

/* The items that follow in the same run of slots move up, so that no mark of a removed one is
 * needed and look-ups never slow down. */
void table_remove(struct table *table, uint64_t hash, uint32_t index, table_hash_fn rehash,
                  const void *context) {
  uint32_t at = (uint32_t)hash & table->mask;
  while (table->slots[at].index != index) {
    assert(table->slots[at].index != INDEX_NONE);
    at = (at + 1) & table->mask;
  }
  table->slots[at].index = INDEX_NONE;
  table->count--;
  for (at = (at + 1) & table->mask; table->slots[at].index != INDEX_NONE;
       at = (at + 1) & table->mask) {
    const uint32_t moved = table->slots[at].index;
    table->slots[at].index = INDEX_NONE;
    put(table, rehash(context, moved), moved);
  }
}
