/* A writer's schema resolved to a reader's, as a list of steps over a message's body.
 *
 * A program walks the bytes as the writer wrote them and puts what the reader wants into
 * numbered slots; the last slot takes what nobody wants. It allocates nothing and trusts
 * no byte: every length, index, count and depth is checked before it is used.
 *
 * Programs are made by resolve; their places are texts of the schemas they were made from,
 * which therefore outlive them. */
#ifndef MUSTER_CONSUMERS_PROGRAM_H
#define MUSTER_CONSUMERS_PROGRAM_H

#include "consumers/avro_schema.h"

enum {
  PROGRAM_SLOTS_MAX = 24,
  PROGRAM_STEPS_MAX = 65536,
  PROGRAM_ITEMS_MAX = 65536, /* of all arrays and maps of a message, and calls */
};

enum step_code {
  STEP_END,     /* nothing may follow */
  STEP_BOOLEAN, /* into the slot's number */
  STEP_INT,
  STEP_LONG,
  STEP_INT_AS_REAL,
  STEP_LONG_AS_REAL,
  STEP_FLOAT, /* into the slot's real */
  STEP_DOUBLE,
  STEP_BYTES,       /* into the slot's text */
  STEP_STRING,      /* the same, and UTF-8 */
  STEP_FIXED,       /* the same, of `count` bytes */
  STEP_INDEX,       /* a symbol of `count` that nobody wants */
  STEP_ENUM,        /* `count` turns from `first`: the reader's symbol into the number */
  STEP_UNION,       /* `count` turns from `first`: the reader's branch; go on at the target */
  STEP_SET,         /* the constant `first` into the slot */
  STEP_JUMP,        /* go on at `first` */
  STEP_ITEMS_BEGIN, /* an array or map; its STEP_ITEMS_NEXT is at `first` */
  STEP_ITEMS_NEXT,  /* its first item's steps are at `first` */
  STEP_CALL,        /* a record nobody wants; its steps are at `first` */
  STEP_RETURN,
  STEP_FAIL, /* the writer's branch cannot become the reader's type */
};

struct step {
  enum step_code code;
  uint32_t slot;
  uint32_t first;
  uint32_t count;
  const char *place; /* the field, for people */
};

/* Where a writer's symbol or branch leads. */
struct turn {
  int32_t number;  /* the reader's symbol or branch; -1 of a symbol that it does not have */
  uint32_t target; /* of a branch: its steps */
};

struct slot {
  union {
    int64_t number;
    double real;
    struct span text; /* into the message, or into the reader's schema for a default */
  };
  bool is_plain; /* a text of printable ASCII alone */
};

struct program {
  struct step *steps;
  struct turn *turns;
  struct slot *constants;
  uint32_t step_count;
  uint32_t turn_count;
  uint32_t constant_count;
  uint32_t slot_count; /* with the last one, which nobody reads */
  uint32_t slots_set;  /* one bit a slot that some way through the program sets */
};

struct fault {
  const char *place;
  const char *reason;
  size_t offset; /* in the body, of the value at fault */
};

/* Takes NULL too. */
void program_free(struct program *program);

/* Reads a body. True: every slot holds a value but those under a branch of a union that
 * was not taken. False: `fault` says what is wrong with the body; slots are meaningless.
 * `slots` has room for PROGRAM_SLOTS_MAX + 1. */
bool program_run(const struct program *program, struct span body, struct slot *slots,
                 struct fault *fault) MUST_USE;

#endif
