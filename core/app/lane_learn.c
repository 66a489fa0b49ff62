/* What a lane learns from the schema registry, and when: between two batches. */
#include "core/app/lane_task_internal.h"
#include "core/app/log.h"

/* How far ahead the caches are filled, in messages of the same topic. */
enum { SLOT_AHEAD = 16, DEVICE_AHEAD = 8 };

/* Devices of a lane. With 25,000 looking ahead gains (docs/profile.md); what a few thousand take
 * stays in the caches. The simulator has its own limit, so that it looks ahead, too. */
#ifndef LARGE_LANE
#define LARGE_LANE 10000
#endif

/* Under a recorded environment an id that it does not have was unknown: nobody is asked. */
static bool is_askable(const struct lane_task *task, enum topic topic) {
  const struct intake *intake = &task->intakes[topic];
  return task->options.schema_cache != NULL && intake->head->state == HEAD_READY &&
         intake->unknown_id != SCHEMA_ID_NONE && !lane_is_redoing(task);
}

static void ask(struct lane_task *task, enum topic topic) {
  struct intake *intake = &task->intakes[topic];
  const uint32_t id = (uint32_t)intake->unknown_id;
  const char *canonical = NULL;
  enum schema_answer answer = schema_cache_ask(task->options.schema_cache, id, &canonical);
  if (answer == SCHEMA_FOUND && !lane_schemas_has_room(&task->schemas, canonical)) {
    log_error("no room for another schema in the lane's environment: its messages are dead letters",
              LOG_INTEGER("lane", task->options.setup.lane), LOG_INTEGER("schema_id", id));
    answer = SCHEMA_ABSENT;
  }
  if (answer == SCHEMA_ABSENT) {
    intake->unknown_id = SCHEMA_ID_NONE; /* decided: a dead letter */
    return;
  }
  task->asked_ids[topic] = id;
  task->has_schema = task->has_schema || answer == SCHEMA_FOUND;
  intake_reconsider(intake);
}

/* The keys of what comes next are the serials it is about. */
static void look_ahead(const struct lane_task *task, enum topic topic) {
  const struct lane *lane = &task->resources.state->lane;
  const struct source *source = task->intakes[topic].source;
  if (lane->device_count >= LARGE_LANE && source != NULL && topic != TOPIC_CONTROL) {
    source_prefetch(source);
    const struct span far = source_key_ahead(source, SLOT_AHEAD);
    const struct span near = source_key_ahead(source, DEVICE_AHEAD);
    if (far.size > 0) {
      lane_prefetch_slot(lane, far);
    }
    if (near.size > 0) {
      lane_prefetch_device(lane, near);
    }
  }
}

enum status lane_refresh(struct lane_task *task, enum topic topic, struct error *error) {
  const enum status status = intake_refresh(&task->intakes[topic], &task->options.rules, error);
  task->asked_ids[topic] = SCHEMA_ID_NONE;
  look_ahead(task, topic);
  if (status == STATUS_OK && is_askable(task, topic)) {
    ask(task, topic);
  }
  return status;
}

enum status lane_refresh_all(struct lane_task *task, struct error *error) {
  enum status status = STATUS_OK;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    status = lane_refresh(task, topic, error);
  }
  return status;
}

void lane_restore_admins(struct lane_task *task) {
  struct lane *lane = &task->resources.state->lane;
  const struct recorded_batches *recorded = &task->resources.recorded;
  if (lane_is_redoing(task)) {
    const struct buffer *content = &recorded->items[task->redone_count].environment;
    if (content->size > 0) { /* or else it is that of the batch before */
      environment_set_admins(buffer_span(content), lane);
    }
  } else if (!task->has_own_admins) {
    environment_set_admins(span_text(task->schemas.text), lane);
    task->has_own_admins = true;
  }
}

enum status lane_restore_schemas(struct lane_task *task, struct error *error) {
  const struct recorded_batches *recorded = &task->resources.recorded;
  if (!lane_is_redoing(task) || recorded->items[task->redone_count].environment.size == 0) {
    return STATUS_OK;
  }
  const enum status status = lane_schemas_restore(
      &task->schemas, buffer_span(&recorded->items[task->redone_count].environment), error);
  task->options.rules.schemas = task->schemas.known;
  return status;
}

bool lane_learn(struct lane_task *task) {
  if (task->filling != NULL && !batch_is_empty(&task->batch)) {
    lane_seal(task);
  }
  if (task->phase != LANE_RUNNING) {
    return false;
  }
  task->has_schema = false;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const int64_t id = task->asked_ids[topic];
    const char *canonical = NULL;
    if (id != SCHEMA_ID_NONE && schemas_find_id(task->schemas.known, (uint32_t)id) == NULL &&
        schema_cache_ask(task->options.schema_cache, (uint32_t)id, &canonical) == SCHEMA_FOUND &&
        lane_schemas_has_room(&task->schemas, canonical)) {
      lane_schemas_learn(&task->schemas, (uint32_t)id, canonical);
    }
  }
  /* Every head is looked at in the new environment, as it will be when the batch is redone. */
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (task->heads[topic].state == HEAD_READY) {
      intake_reconsider(&task->intakes[topic]);
    }
  }
  struct error error;
  const enum status status = lane_refresh_all(task, &error);
  if (status != STATUS_OK) {
    lane_fail(task, status, &error);
  }
  return status == STATUS_OK && !task->is_streaming;
}
