#include "consumers/program.h"
#include "consumers/avro_bytes.h"

#include <stdlib.h>

static_assert(PROGRAM_SLOTS_MAX < 32, "slots_set has a bit for each slot and the last one");

/* What is being read around the present step: a block of items, or a called record. */
struct frame {
  uint64_t items_left;
  const uint8_t *block_end;
  uint32_t return_index;
};

struct run {
  const struct program *program;
  struct bytes bytes;
  uint32_t step_index; /* of the step after the present one */
  uint32_t frame_count;
  uint32_t items_left; /* of PROGRAM_ITEMS_MAX */
  struct frame frames[AVRO_DEPTH_MAX];
};

void program_free(struct program *program) {
  if (program == NULL) {
    return;
  }
  free(program->steps);
  free(program->turns);
  free(program->constants);
  free(program);
}

static const char *frame_push(struct run *run, struct frame frame) {
  if (run->frame_count == AVRO_DEPTH_MAX) {
    return "nested too deeply";
  }
  run->frames[run->frame_count++] = frame;
  return NULL;
}

static const char *item_count(struct run *run) {
  if (run->items_left == 0) {
    return "too many items";
  }
  run->items_left--;
  return NULL;
}

static const char *run_items_next(struct run *run, const struct step *step) {
  assert(run->frame_count > 0);
  struct frame *const frame = &run->frames[run->frame_count - 1];
  if (frame->items_left == 0) {
    if (frame->block_end != NULL && frame->block_end != run->bytes.at) {
      return "a block that does not end where it says";
    }
    const char *const reason = bytes_take_block(&run->bytes, &frame->items_left, &frame->block_end);
    if (reason != NULL) {
      return reason;
    }
    if (frame->items_left == 0) {
      run->frame_count--;
      return NULL;
    }
  }
  frame->items_left--;
  run->step_index = step->first;
  return item_count(run);
}

static const char *run_call(struct run *run, const struct step *step) {
  const char *const reason = frame_push(run, (struct frame){.return_index = run->step_index});
  run->step_index = step->first;
  return reason != NULL ? reason : item_count(run);
}

static const char *run_union(struct run *run, const struct step *step, struct slot *slot) {
  uint32_t branch;
  const char *const reason = bytes_take_index(&run->bytes, step->count, &branch);
  if (reason != NULL) {
    return reason;
  }
  const struct turn *const turn = &run->program->turns[step->first + branch];
  slot->number = turn->number;
  run->step_index = turn->target;
  return NULL;
}

static const char *run_index(struct run *run, const struct step *step) {
  uint32_t index;
  return bytes_take_index(&run->bytes, step->count, &index);
}

static const char *run_enum(struct run *run, const struct step *step, struct slot *slot) {
  uint32_t symbol;
  const char *const reason = bytes_take_index(&run->bytes, step->count, &symbol);
  if (reason != NULL) {
    return reason;
  }
  slot->number = run->program->turns[step->first + symbol].number;
  return slot->number >= 0 ? NULL : "a symbol that is not one of ours";
}

static const char *run_real(struct run *run, const struct step *step, struct slot *slot) {
  int64_t number;
  const char *const reason = step->code == STEP_INT_AS_REAL ? bytes_take_int(&run->bytes, &number)
                                                            : bytes_take_long(&run->bytes, &number);
  if (reason == NULL) {
    slot->real = (double)number;
  }
  return reason;
}

static const char *run_step(struct run *run, const struct step *step, struct slot *slot) {
  switch (step->code) {
  case STEP_END:
    return run->bytes.at == run->bytes.end ? NULL : "bytes follow it";
  case STEP_BOOLEAN:
    return bytes_take_boolean(&run->bytes, &slot->number);
  case STEP_INT:
    return bytes_take_int(&run->bytes, &slot->number);
  case STEP_LONG:
    return bytes_take_long(&run->bytes, &slot->number);
  case STEP_INT_AS_REAL:
  case STEP_LONG_AS_REAL:
    return run_real(run, step, slot);
  case STEP_FLOAT:
    return bytes_take_float(&run->bytes, &slot->real);
  case STEP_DOUBLE:
    return bytes_take_double(&run->bytes, &slot->real);
  case STEP_BYTES:
    slot->is_plain = false;
    return bytes_take_bytes(&run->bytes, &slot->text);
  case STEP_STRING:
    return bytes_take_string(&run->bytes, &slot->text, &slot->is_plain);
  case STEP_FIXED:
    slot->is_plain = false;
    return bytes_take_fixed(&run->bytes, step->count, &slot->text);
  case STEP_INDEX:
    return run_index(run, step);
  case STEP_ENUM:
    return run_enum(run, step, slot);
  case STEP_UNION:
    return run_union(run, step, slot);
  case STEP_SET:
    *slot = run->program->constants[step->first];
    return NULL;
  case STEP_JUMP:
    run->step_index = step->first;
    return NULL;
  case STEP_ITEMS_BEGIN:
    run->step_index = step->first;
    return frame_push(run, (struct frame){0});
  case STEP_ITEMS_NEXT:
    return run_items_next(run, step);
  case STEP_CALL:
    return run_call(run, step);
  case STEP_RETURN:
    assert(run->frame_count > 0);
    run->step_index = run->frames[--run->frame_count].return_index;
    return NULL;
  case STEP_FAIL:
    return "a type here that cannot become ours";
  }
  assert(false);
  return "";
}

bool program_run(const struct program *program, struct span body, struct slot *slots,
                 struct fault *fault) {
  struct run run;
  run.program = program;
  run.bytes = (struct bytes){.at = body.data, .end = body.data + body.size};
  run.step_index = 0;
  run.frame_count = 0;
  run.items_left = PROGRAM_ITEMS_MAX;
  for (;;) {
    const struct step *const step = &program->steps[run.step_index++];
    const uint8_t *const value_at = run.bytes.at;
    const char *const reason = run_step(&run, step, &slots[step->slot]);
    if (reason != NULL) {
      *fault = (struct fault){
          .place = step->place,
          .reason = reason,
          .offset = (size_t)(value_at - body.data),
      };
      return false;
    }
    if (step->code == STEP_END) {
      return true;
    }
  }
}
