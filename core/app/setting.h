/* The table of settings: every key with its type, unit, default and field. */
#ifndef MUSTER_APP_SETTING_H
#define MUSTER_APP_SETTING_H

#include "core/app/config.h"

enum setting_type {
  SETTING_TEXT,
  SETTING_SWITCH, /* true, false, yes, no, on, off in any case */
  SETTING_COUNT,  /* a whole number */
  SETTING_BYTES,  /* a whole number, or one with B, kB, MB, GB, KiB, MiB or GiB */
  SETTING_CHOICE, /* one of `choices`, stored as its place among them */
  SETTING_LIST,   /* texts; from a single text parted at commas */
};

enum { SETTING_CHECK_TEXT_SIZE = 200 };

struct setting {
  const char *key; /* "section.name" */
  enum setting_type type;
  const char *fallback; /* the default, as text */
  size_t offset;        /* of the field in struct config */
  int64_t minimum;      /* of numbers */
  int64_t maximum;
  const char *const *choices; /* ends with NULL; of a text: what it may say */
  bool is_secret;             /* a password, or a dsn or URL that may hold one */
  /* Whether a text, or each item of a list, may be used; says what is expected. */
  bool (*check)(const char *text, const char **expected);
};

extern const struct setting settings[];
extern const size_t setting_count;

/* NULL when there is none of that key. */
const struct setting *setting_find(const char *key);

/* Says in `error` that there is no such key and which one is near; `place` comes first. */
enum status setting_unknown(const char *place, const char *key, struct error *error);

/* Reads `value` into the field, whose old value is freed. `place` comes first in the error. */
enum status setting_assign(const struct setting *setting, struct config *config, const char *place,
                           const char *value, struct error *error) MUST_USE;

/* The same for a list given item by item. */
enum status setting_assign_list(const struct setting *setting, struct config *config,
                                const char *place, const struct text_list *items,
                                struct error *error) MUST_USE;

/* Frees what the field holds and makes it empty. */
void setting_clear(const struct setting *setting, struct config *config);

/* The number or the place of the choice that the field holds. */
int64_t setting_number(const struct setting *setting, const struct config *config);
const char *setting_text(const struct setting *setting, const struct config *config);
const struct text_list *setting_list(const struct setting *setting, const struct config *config);

/* Reads a YAML file over what `config` holds. */
enum status config_read_yaml(struct config *config, const char *file, struct error *error) MUST_USE;

#endif
