#include "core/app/explain.h"

#include "core/app/kafka_client.h"
#include "core/app/lane_start.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* The device that is being explained, and the step that is under way. */
struct explaining {
  const struct explain_options *options;
  struct replay_lane *lane;
  uint32_t index;     /* in its lane; INDEX_NONE: not known yet */
  struct span serial; /* empty: not known yet */
  char serial_text[SERIAL_SIZE_MAX + 1];
  bool wants_serial; /* ends as soon as the device is there */
  json_t *steps;
  json_t *step; /* NULL: the step does not concern the device */
  uint64_t batch;
  uint64_t began_after; /* the batch of the snapshot that was begun with; 0: the beginning */
  int64_t began_at_ms;  /* the clock then */
  size_t placed_count;  /* steps whose results have their places */
};

static const struct lane *lane_of(const struct explaining *explaining) {
  return &replay_state(replay_lane_replay(explaining->lane))->lane;
}

static json_t *text_json(struct span text) {
  json_t *const json = json_stringn((const char *)text.data, text.size);
  return json == NULL ? json_null() : json;
}

static json_t *cause_json(const struct explaining *explaining, enum topic topic, int64_t offset) {
  char name[TOPIC_NAME_SIZE];
  topic_full_name(explaining->options->config, topic, name);
  return json_pack("{s:s, s:I, s:I}", "topic", name, "partition",
                   (json_int_t)topic_partition(topic, lane_of(explaining)->number), "offset",
                   (json_int_t)offset);
}

/* What came in. -------------------------------------------------------------------------- */

static bool concerns(const struct explaining *explaining, const struct intake *intake) {
  const struct span serial = intake->is_event ? intake->event.serial : intake->message.original.key;
  return explaining->serial.size > 0 && span_equal(serial, explaining->serial);
}

static void take_message(void *context, const struct intake *intake) {
  struct explaining *explaining = context;
  if (!concerns(explaining, intake)) {
    return;
  }
  const struct head *head = intake->head;
  explaining->step = json_pack(
      "{s:s, s:I, s:o, s:o, s:b, s:o, s:[]}", "step", "message", "batch",
      (json_int_t)explaining->batch + 1, "cause",
      cause_json(explaining, intake->topic, head->offset), "stamp",
      explain_time(head->timestamp_ms < 0 ? TIME_NONE : head->timestamp_ms), "believed",
      (int)head->is_believed, "event",
      intake->is_event ? explain_event(&intake->event)
                       : json_pack("{s:s, s:s}", "kind", "refused", "reason", intake->reject.text),
      "results");
}

static void take_timer(void *context, const struct timer *timer) {
  struct explaining *explaining = context;
  if (timer->device != explaining->index) {
    return;
  }
  const struct lane *lane = lane_of(explaining);
  int64_t due_at_ms;
  const enum timer_kind kind =
      lane_next_timer(lane, timer->device, &lane->devices[timer->device], &due_at_ms);
  explaining->step = json_pack("{s:s, s:I, s:s, s:o, s:[]}", "step", "timer", "batch",
                               (json_int_t)explaining->batch + 1, "timer", timer_kind_name(kind),
                               "due_at", explain_time(due_at_ms), "results");
}

/* The device's turn in a sweep. What it comes from has no text here that concerns the device. */
static void take_sweep(void *context, const struct sweep *sweep) {
  struct explaining *explaining = context;
  if (sweep->next != explaining->index) {
    return;
  }
  explaining->step = json_pack(
      "{s:s, s:I, s:o, s:s, s:[]}", "step", "sweep", "batch", (json_int_t)explaining->batch + 1,
      "cause", cause_json(explaining, sweep->cause.topic, sweep->cause.offset), "sweep",
      sweep->kind == SWEEP_EVALUATE ? "policy" : "profile", "results");
}

/* What was decided. ---------------------------------------------------------------------- */

static json_t *violations_json(struct rule_names rules, violation_set violations) {
  json_t *const names = json_array();
  for (uint32_t rule = 0; rule < rules.count; rule++) {
    if ((violations >> rule & 1u) != 0) {
      json_array_append_new(names, json_string(rules.ids[rule]));
    }
  }
  return names;
}

static json_t *decided_json(const struct result *result) {
  switch (result->kind) {
  case RESULT_COMPLIANCE_CHANGE:
    return json_pack("{s:s, s:o}", "compliance", compliance_name(result->change.compliance),
                     "violations", violations_json(result->rules, result->change.violations));
  case RESULT_NOTIFICATION:
    return json_pack("{s:s}", "template", result->notification.template_name);
  case RESULT_ACCESS_DECISION:
    return json_pack("{s:s, s:s, s:s}", "resource", result->access.resource, "decision",
                     access_decision_name(result->access.decision), "reason",
                     result->access.reason);
  case RESULT_TICKET:
    return json_pack("{s:s, s:I, s:o}", "action", ticket_action_name(result->ticket.action),
                     "episode", (json_int_t)result->ticket.episode, "violations",
                     violations_json(result->rules, result->ticket.violations));
  case RESULT_LICENSE:
    return json_pack("{s:s}", "action", license_action_name(result->license.action));
  case RESULT_AUDIT:
    return json_pack("{s:s, s:s, s:s, s:s?}", "actor", result->audit.actor, "action",
                     audit_action_name(result->audit.action), "outcome",
                     outcome_name(result->audit.outcome), "reason", result->audit.reason);
  case RESULT_DEAD_LETTER:
    return json_pack("{s:s, s:s}", "error", reject_code_name(result->dead_letter.reject.code),
                     "reason", result->dead_letter.reject.text);
  case RESULT_ACTION:
    return json_pack("{s:s, s:b}", "action", action_kind_name(result->action.action), "selective",
                     result->action.is_selective);
  case RESULT_KIND_COUNT:
    break;
  }
  return json_object();
}

/* Its place in its topic is added when the batch is over. */
static void take_result(void *context, const struct result *result) {
  struct explaining *explaining = context;
  if (explaining->step == NULL) {
    return;
  }
  json_array_append_new(json_object_get(explaining->step, "results"),
                        json_pack("{s:I, s:I, s:o, s:s, s:o}", "kind", (json_int_t)result->kind,
                                  "seq", (json_int_t)result->seq, "at", explain_time(result->at_ms),
                                  "policy", result->policy, "decided", decided_json(result)));
}

static json_t *state_json(const struct lane *lane, uint32_t index) {
  const struct device *device = &lane->devices[index];
  int64_t due_at_ms;
  const struct policy *policy = lane_policy_of(lane, index);
  const char *next =
      timer_kind_name(lane_next_timer_under(lane, policy, index, device, &due_at_ms));
  return json_pack("{s:s, s:s, s:o, s:o, s:b, s:b, s:s?, s:o}", "status",
                   device_status_name((enum device_status)device->status), "compliance",
                   compliance_name((enum compliance)device->compliance), "violations",
                   violations_json(policy_rule_names(policy), device->violations),
                   "noncompliant_since", explain_time(device->noncompliant_since_ms),
                   "email_blocked", (int)device->email_blocked, "ticket_open",
                   (int)device->ticket_open, "next_action", next, "next_action_at",
                   explain_time(due_at_ms));
}

/* A device that has just come into being is known from here on. */
static void find_device(struct explaining *explaining) {
  const struct lane *lane = lane_of(explaining);
  if (explaining->serial.size > 0 && explaining->index == INDEX_NONE) {
    explaining->index = lane_find(lane, explaining->serial);
  }
  if (explaining->serial.size == 0 && explaining->index < lane->device_count) {
    const struct span serial = lane_serial(lane, &lane->devices[explaining->index]);
    memcpy(explaining->serial_text, serial.data, serial.size);
    explaining->serial_text[serial.size] = '\0';
    explaining->serial = span_of(explaining->serial_text, serial.size);
  }
}

static void end_step(void *context) {
  struct explaining *explaining = context;
  find_device(explaining);
  if (explaining->step == NULL) {
    return;
  }
  const struct lane *lane = lane_of(explaining);
  json_t *const step = explaining->step;
  explaining->step = NULL;
  json_object_set_new(step, "clock", explain_time(lane->clock_ms));
  json_object_set_new(step, "policy", json_string(lane->policy->version));
  if (explaining->index != INDEX_NONE && explaining->index < lane->device_count) {
    const struct device *device = &lane->devices[explaining->index];
    json_object_set_new(step, "facts", explain_facts(lane, device));
    json_object_set_new(step, "rules", explain_rules(lane, device));
    json_object_set_new(step, "after", state_json(lane, explaining->index));
  }
  json_array_append_new(explaining->steps, step);
}

/* Where the results of the batch's steps stand. */
static enum status place_results(struct explaining *explaining, struct error *error) {
  enum status status = STATUS_OK;
  for (; explaining->placed_count < json_array_size(explaining->steps) && status == STATUS_OK;
       explaining->placed_count++) {
    json_t *const step = json_array_get(explaining->steps, explaining->placed_count);
    size_t i;
    json_t *result;
    json_array_foreach(json_object_get(step, "results"), i, result) {
      const uint32_t kind = (uint32_t)json_integer_value(json_object_get(result, "kind"));
      const uint64_t seq = (uint64_t)json_integer_value(json_object_get(result, "seq"));
      int64_t offset;
      char name[TOPIC_NAME_SIZE];
      status = replay_lane_offset(explaining->lane, (enum result_kind)kind, seq, &offset, error);
      if (status != STATUS_OK) {
        break;
      }
      snprintf(name, sizeof name, "%s%s", explaining->options->config->kafka.topic_prefix,
               record_topic_name(kind));
      json_object_del(result, "kind");
      json_object_set_new(result, "topic", json_string(name));
      json_object_set_new(result, "partition", json_integer(lane_of(explaining)->number));
      json_object_set_new(result, "offset", offset < 0 ? json_null() : json_integer(offset));
    }
  }
  return status;
}

/* Replays the lane up to the time asked for, or until the device is there. */
static enum status replay(struct explaining *explaining, uint32_t lane, struct error *error) {
  const struct explain_options *options = explaining->options;
  const struct replay_lane_options replaying = {
      .config = options->config,
      .schemas = options->schemas,
      .lane = lane,
      .lane_count = options->lane_count,
      .subject_key = options->subject_key,
      .watch = {.context = explaining,
                .message = take_message,
                .timer = take_timer,
                .sweep = take_sweep,
                .result = take_result,
                .stepped = end_step},
      .until_ms = options->until_ms,
      .uses_snapshots = true,
      .only_if_expired = true,
      .from_oldest = true, /* as much as there is to tell */
  };
  enum status status = replay_lane_open(&replaying, &explaining->lane, error);
  if (status == STATUS_OK) {
    explaining->batch = explaining->began_after = replay_lane_began_after(explaining->lane);
    explaining->began_at_ms = lane_of(explaining)->clock_ms;
    find_device(explaining); /* it may be there already */
  }
  while (status == STATUS_OK && !(explaining->wants_serial && explaining->serial.size > 0)) {
    const struct recorded_batch *batch;
    status = replay_lane_next(explaining->lane, &batch, error);
    if (status == STATUS_OK) {
      status = place_results(explaining, error);
    }
    if (status != STATUS_OK || batch == NULL) {
      return status;
    }
    explaining->batch = batch->row.batch;
  }
  return status;
}

static json_t *conclude(struct explaining *explaining) {
  const struct lane *lane = lane_of(explaining);
  const struct device *device = &lane->devices[explaining->index];
  char id[DEVICE_ID_SIZE];
  char why[256];
  device_id_format(lane_device_number(lane, explaining->index), id);
  explain_block(lane, device, why, sizeof why);
  json_t *const json =
      json_pack("{s:s, s:o, s:I, s:s, s:o, s:O, s:o, s:o, s:o, s:s}", "device_id", id, "serial",
                text_json(explaining->serial), "lane", (json_int_t)lane->number, "policy",
                lane->policy->version, "clock", explain_time(lane->clock_ms), "steps",
                explaining->steps, "state", state_json(lane, explaining->index), "facts",
                explain_facts(lane, device), "rules", explain_rules(lane, device), "why", why);
  if (explaining->began_after > 0) {
    json_object_set_new(json, "begins_after",
                        json_pack("{s:I, s:o}", "batch", (json_int_t)explaining->began_after,
                                  "clock", explain_time(explaining->began_at_ms)));
  }
  return json;
}

static void reset(struct explaining *explaining) {
  replay_lane_close(explaining->lane);
  json_decref(explaining->steps);
  json_decref(explaining->step);
}

/* The serial of a device number; stays empty when there is no such device. */
static enum status serial_of(const struct explain_options *options, uint64_t number,
                             char serial[SERIAL_SIZE_MAX + 1], struct error *error) {
  struct explaining explaining = {.options = options,
                                  .index = (uint32_t)((number - 1) / options->lane_count),
                                  .wants_serial = true,
                                  .steps = json_array()};
  const enum status status =
      replay(&explaining, (uint32_t)((number - 1) % options->lane_count), error);
  memcpy(serial, explaining.serial_text, sizeof explaining.serial_text);
  reset(&explaining);
  return status;
}

static enum status explain_serial(const struct explain_options *options, const char *serial,
                                  struct json_t **explanation, struct error *error) {
  struct explaining explaining = {
      .options = options, .index = INDEX_NONE, .serial = span_text(serial), .steps = json_array()};
  const int32_t lane = kafka_partition_of(options->config->kafka.partitioner, serial,
                                          strlen(serial), (int32_t)options->lane_count);
  enum status status = replay(&explaining, (uint32_t)lane, error);
  if (status == STATUS_OK && explaining.index == INDEX_NONE) {
    status = error_set(error, STATUS_REFUSED, "no device has the ID or serial %.80s%s", serial,
                       options->until_ms != TIME_NONE ? " at that time" : "");
  }
  if (status == STATUS_OK) {
    *explanation = conclude(&explaining);
  }
  reset(&explaining);
  return status;
}

enum status explain_device(const struct explain_options *options, const char *wanted,
                           struct json_t **explanation, struct error *error) {
  const uint64_t number = device_id_parse(span_text(wanted));
  char serial[SERIAL_SIZE_MAX + 1] = "";
  enum status status = STATUS_OK;
  if (number > 0 && number <= UINT32_MAX) {
    status = serial_of(options, number, serial, error);
  }
  if (status != STATUS_OK) {
    return status;
  }
  return explain_serial(options, serial[0] != '\0' ? serial : wanted, explanation, error);
}
