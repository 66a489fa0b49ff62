#include "core/app/difference.h"

#include "core/app/lane_state.h"
#include "core/app/text.h"
#include "core/table.h"

#include <stdlib.h>

/* Distinct texts, each kept once and known by its index. */
struct texts {
  char **items;
  uint32_t *sizes;
  uint32_t count, capacity, sizes_capacity;
  struct table by_text;
};

/* A decision that only one history has, so far. */
struct entry {
  int64_t at_ms, since_ms;
  uint64_t device_number;
  uint64_t place; /* in order of being noted: ties are broken by it */
  uint32_t what, serial, violations;
  uint8_t kind, history;
};

struct entries {
  struct entry *items;
  uint32_t count, capacity;
};

struct differences {
  int64_t from_ms, to_ms;
  struct texts texts;
  struct entries step; /* noted since the last settling */
  struct entries rest;
  uint64_t noted;
  struct difference *items;
  uint32_t count, capacity;
  struct tally *tallies;
  uint32_t tally_count, tally_capacity;
};

const char *change_name(enum change change) {
  switch (change) {
  case CHANGE_ONLY_THEN:
    return "only_then";
  case CHANGE_ONLY_WHAT_IF:
    return "only_what_if";
  case CHANGE_MOVED:
    return "moved";
  case CHANGE_REASON:
    return "reason";
  case CHANGE_COUNT:
    break;
  }
  assert(false);
  return "";
}

/* Texts. --------------------------------------------------------------------------------- */

static struct span text_span(const struct texts *texts, uint32_t index) {
  return span_of((const uint8_t *)texts->items[index], texts->sizes[index]);
}

static bool text_equal(const void *context, uint32_t index, struct span key) {
  return span_equal(text_span(context, index), key);
}

static uint64_t text_hash(const void *context, uint32_t index) {
  return hash_bytes(text_span(context, index));
}

static uint32_t keep_text(struct texts *texts, struct span text) {
  const uint64_t hash = hash_bytes(text);
  uint32_t index = table_find(&texts->by_text, hash, text, text_equal, texts);
  if (index != INDEX_NONE) {
    return index;
  }
  texts->items =
      memory_grow(&heap_memory, texts->items, texts->count, &texts->capacity, sizeof(char *));
  texts->sizes = memory_grow(&heap_memory, texts->sizes, texts->count, &texts->sizes_capacity,
                             sizeof *texts->sizes);
  index = texts->count++;
  texts->items[index] = text_copy_size(text.size == 0 ? "" : (const char *)text.data, text.size);
  texts->sizes[index] = (uint32_t)text.size;
  table_add(&texts->by_text, &heap_memory, hash, index, text_hash, texts);
  return index;
}

static void texts_fini(struct texts *texts) {
  for (uint32_t i = 0; i < texts->count; i++) {
    free(texts->items[i]);
  }
  free(texts->items);
  free(texts->sizes);
  table_fini(&texts->by_text, &heap_memory);
}

struct differences *differences_open(int64_t from_ms, int64_t to_ms) {
  struct differences *differences = memory_zeroed(1, sizeof *differences);
  differences->from_ms = from_ms;
  differences->to_ms = to_ms;
  return differences;
}

void differences_close(struct differences *differences) {
  if (differences != NULL) {
    texts_fini(&differences->texts);
    free(differences->step.items);
    free(differences->rest.items);
    free(differences->items);
    free(differences->tallies);
    free(differences);
  }
}

/* Tallies: some dozens, looked for one by one. -------------------------------------------- */

static struct tally *tally_of(struct differences *differences, enum result_kind kind,
                              uint32_t what) {
  const char *const text = differences->texts.items[what];
  for (uint32_t i = 0; i < differences->tally_count; i++) {
    struct tally *tally = &differences->tallies[i];
    if (tally->kind == kind && tally->what == text) {
      return tally;
    }
  }
  differences->tallies = memory_grow(&heap_memory, differences->tallies, differences->tally_count,
                                     &differences->tally_capacity, sizeof *differences->tallies);
  struct tally *tally = &differences->tallies[differences->tally_count++];
  *tally = (struct tally){.kind = kind, .what = text};
  return tally;
}

/* Noting. --------------------------------------------------------------------------------- */

static void add_entry(struct entries *entries, const struct entry *entry) {
  entries->items = memory_grow(&heap_memory, entries->items, entries->count, &entries->capacity,
                               sizeof *entries->items);
  entries->items[entries->count++] = *entry;
}

void differences_note(struct differences *differences, enum history history,
                      const struct decision *decision) {
  const int64_t from_ms = differences->from_ms;
  const int64_t to_ms = differences->to_ms;
  if ((from_ms != TIME_NONE && decision->at_ms < from_ms) ||
      (to_ms != TIME_NONE && decision->at_ms >= to_ms)) {
    return;
  }
  struct texts *texts = &differences->texts;
  const struct entry entry = {
      .at_ms = decision->at_ms,
      .since_ms = decision->since_ms,
      .device_number = decision->device_number,
      .place = differences->noted++,
      .what = keep_text(texts, decision->what),
      .serial = keep_text(texts, decision->serial),
      .violations = keep_text(texts, decision->violations),
      .kind = (uint8_t)decision->kind,
      .history = (uint8_t)history,
  };
  tally_of(differences, decision->kind, entry.what)->all[history]++;
  add_entry(&differences->step, &entry);
}

/* Of other kinds the violated rules are shown, but the result does not tell them. */
static bool tells_other_reason(const struct entry *a, const struct entry *b) {
  return (a->kind == RESULT_COMPLIANCE_CHANGE || a->kind == RESULT_TICKET) &&
         a->violations != b->violations;
}

static bool is_same(const struct entry *a, const struct entry *b) {
  return a->history != b->history && a->kind == b->kind && a->what == b->what &&
         a->at_ms == b->at_ms && a->device_number == b->device_number && a->serial == b->serial &&
         !tells_other_reason(a, b);
}

void differences_settle(struct differences *differences) {
  struct entries *step = &differences->step;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < step->count; i++) {
    uint32_t other = 0;
    while (other < kept && !is_same(&step->items[other], &step->items[i])) {
      other++;
    }
    if (other == kept) {
      step->items[kept++] = step->items[i];
      continue;
    }
    kept--;
    memmove(&step->items[other], &step->items[other + 1], (kept - other) * sizeof *step->items);
  }
  for (uint32_t i = 0; i < kept; i++) {
    add_entry(&differences->rest, &step->items[i]);
  }
  step->count = 0;
}

/* Pairing. -------------------------------------------------------------------------------- */

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b) ? 1 : 0)

/* The same thing of one device together, the first history's first. */
static int compare_entries(const void *left, const void *right) {
  const struct entry *a = left;
  const struct entry *b = right;
  int order = ORDER(a->device_number, b->device_number);
  order = order != 0 ? order : ORDER(a->serial, b->serial);
  order = order != 0 ? order : ORDER(a->kind, b->kind);
  order = order != 0 ? order : ORDER(a->what, b->what);
  order = order != 0 ? order : ORDER(a->history, b->history);
  order = order != 0 ? order : ORDER(a->at_ms, b->at_ms);
  return order != 0 ? order : ORDER(a->place, b->place);
}

static bool is_same_thing(const struct entry *a, const struct entry *b) {
  return a->device_number == b->device_number && a->serial == b->serial && a->kind == b->kind &&
         a->what == b->what;
}

/* `then` or `what_if` may be NULL. */
static void add_difference(struct differences *differences, enum change change,
                           const struct entry *then, const struct entry *what_if) {
  const struct texts *texts = &differences->texts;
  const struct entry *any = then != NULL ? then : what_if;
  const struct entry *const of[HISTORY_COUNT] = {then, what_if};
  differences->items = memory_grow(&heap_memory, differences->items, differences->count,
                                   &differences->capacity, sizeof *differences->items);
  struct difference *difference = &differences->items[differences->count++];
  *difference = (struct difference){
      .change = change,
      .kind = (enum result_kind)any->kind,
      .device_number = any->device_number,
      .what = texts->items[any->what],
      .serial = texts->items[any->serial],
  };
  for (size_t history = 0; history < HISTORY_COUNT; history++) {
    difference->at_ms[history] = of[history] == NULL ? TIME_NONE : of[history]->at_ms;
    difference->violations[history] =
        of[history] == NULL ? NULL : texts->items[of[history]->violations];
  }
  tally_of(differences, difference->kind, any->what)->changes[change]++;
}

static bool overlap(const struct entry *a, const struct entry *b) {
  return a->since_ms <= b->at_ms && b->since_ms <= a->at_ms;
}

/* One thing of one device, as each history has it, by time. */
struct pairing {
  struct entry *items[HISTORY_COUNT];
  uint32_t counts[HISTORY_COUNT];
};

/* What both have at one time is no difference, but for its reason; takes it out. */
static void pair_equal(struct differences *differences, struct pairing *pairing) {
  struct entry *const *items = pairing->items;
  uint32_t read[HISTORY_COUNT] = {0};
  uint32_t kept[HISTORY_COUNT] = {0};
  while (read[HISTORY_THEN] < pairing->counts[HISTORY_THEN] &&
         read[HISTORY_WHAT_IF] < pairing->counts[HISTORY_WHAT_IF]) {
    const struct entry *a = &items[HISTORY_THEN][read[HISTORY_THEN]];
    const struct entry *b = &items[HISTORY_WHAT_IF][read[HISTORY_WHAT_IF]];
    if (a->at_ms != b->at_ms) {
      const enum history first = a->at_ms < b->at_ms ? HISTORY_THEN : HISTORY_WHAT_IF;
      items[first][kept[first]++] = items[first][read[first]++];
      continue;
    }
    if (tells_other_reason(a, b)) {
      add_difference(differences, CHANGE_REASON, a, b);
    }
    read[HISTORY_THEN]++;
    read[HISTORY_WHAT_IF]++;
  }
  for (size_t history = 0; history < HISTORY_COUNT; history++) {
    while (read[history] < pairing->counts[history]) {
      items[history][kept[history]++] = items[history][read[history]++];
    }
    pairing->counts[history] = kept[history];
  }
}

static void pair_moved(struct differences *differences, const struct pairing *pairing) {
  uint32_t i = 0;
  uint32_t j = 0;
  while (i < pairing->counts[HISTORY_THEN] || j < pairing->counts[HISTORY_WHAT_IF]) {
    const struct entry *a =
        i < pairing->counts[HISTORY_THEN] ? &pairing->items[HISTORY_THEN][i] : NULL;
    const struct entry *b =
        j < pairing->counts[HISTORY_WHAT_IF] ? &pairing->items[HISTORY_WHAT_IF][j] : NULL;
    if (a != NULL && b != NULL && overlap(a, b)) {
      add_difference(differences, CHANGE_MOVED, a, b);
      i++;
      j++;
    } else if (b == NULL || (a != NULL && a->at_ms < b->at_ms)) {
      add_difference(differences, CHANGE_ONLY_THEN, a, NULL);
      i++;
    } else {
      add_difference(differences, CHANGE_ONLY_WHAT_IF, NULL, b);
      j++;
    }
  }
}

int difference_compare(const struct difference *a, const struct difference *b) {
  int64_t first[2];
  const struct difference *const of[2] = {a, b};
  for (size_t i = 0; i < 2; i++) {
    const int64_t *at_ms = of[i]->at_ms;
    const bool is_then =
        at_ms[HISTORY_WHAT_IF] == TIME_NONE ||
        (at_ms[HISTORY_THEN] != TIME_NONE && at_ms[HISTORY_THEN] < at_ms[HISTORY_WHAT_IF]);
    first[i] = at_ms[is_then ? HISTORY_THEN : HISTORY_WHAT_IF];
  }
  int order = ORDER(first[0], first[1]);
  order = order != 0 ? order : ORDER(a->device_number, b->device_number);
  order = order != 0 ? order : strcmp(a->serial, b->serial);
  order = order != 0 ? order : ORDER(a->kind, b->kind);
  order = order != 0 ? order : strcmp(a->what, b->what);
  return order != 0 ? order : ORDER(a->change, b->change);
}

int tally_compare(const struct tally *a, const struct tally *b) {
  const int order = ORDER(a->kind, b->kind);
  return order != 0 ? order : strcmp(a->what, b->what);
}

static int compare_items(const void *a, const void *b) {
  return difference_compare(a, b);
}

static int compare_tallies(const void *a, const void *b) {
  return tally_compare(a, b);
}

void differences_conclude(struct differences *differences) {
  struct entries *rest = &differences->rest;
  differences_settle(differences);
  if (rest->count > 0) {
    qsort(rest->items, rest->count, sizeof *rest->items, compare_entries);
  }
  for (uint32_t first = 0; first < rest->count;) {
    struct entry *items = &rest->items[first];
    struct pairing pairing = {.counts = {0}};
    uint32_t count = 0;
    while (first + count < rest->count && is_same_thing(items, &items[count])) {
      pairing.counts[items[count].history]++;
      count++;
    }
    pairing.items[HISTORY_THEN] = items;
    pairing.items[HISTORY_WHAT_IF] = items + pairing.counts[HISTORY_THEN];
    pair_equal(differences, &pairing);
    pair_moved(differences, &pairing);
    first += count;
  }
  if (differences->count > 0) {
    qsort(differences->items, differences->count, sizeof *differences->items, compare_items);
  }
  if (differences->tally_count > 0) {
    qsort(differences->tallies, differences->tally_count, sizeof *differences->tallies,
          compare_tallies);
  }
}

size_t differences_count(const struct differences *differences) {
  return differences->count;
}

const struct difference *differences_at(const struct differences *differences, size_t index) {
  assert(index < differences->count);
  return &differences->items[index];
}

size_t differences_tally_count(const struct differences *differences) {
  return differences->tally_count;
}

const struct tally *differences_tally_at(const struct differences *differences, size_t index) {
  assert(index < differences->tally_count);
  return &differences->tallies[index];
}
