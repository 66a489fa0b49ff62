#include "tests/lib/trace.h"

#include "core/app/policy_file.h"
#include "core/app/policy_shipped.h"
#include "tests/lib/script.h"

#include <stdlib.h>

/* T is the beginning of 2026. */
#define BASE_MS INT64_C(1767225600000)

/* A topic of the lane, as far as it is known. */
struct queue {
  struct topic_log log;
  size_t taken;
  bool has_more; /* when empty: more is on its way */
};

enum { POLICIES_MAX = 8 };

struct trace {
  struct stepper stepper;
  struct script_context context;
  struct queue queues[TOPIC_COUNT];
  const struct trace_options *options;
  bool is_merge;
  uint64_t limit;
  struct policy *policies[POLICIES_MAX]; /* that messages apply */
  size_t policy_count;
  FILE *out;
};

static void fill_heads(const struct trace *trace, struct head heads[TOPIC_COUNT]) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    const struct queue *queue = &trace->queues[topic];
    if (queue->taken < queue->log.count) {
      heads[topic] = stepper_head(&queue->log.items[queue->taken]);
    } else {
      heads[topic] = (struct head){.state = queue->has_more ? HEAD_WAITING : HEAD_AT_END};
    }
  }
}

static void close_batch(struct trace *trace) {
  struct journal_row row;
  struct topic_offset *not_believed;
  stepper_close(&trace->stepper, &row, &not_believed);
  if (trace->is_merge) {
    fputs("  ", trace->out);
    render_batch(&trace->stepper.render, &row);
    fputc('\n', trace->out);
  }
  free(not_believed);
}

/* A step is done: what follows every one of them. */
static void after_step(struct trace *trace) {
  if (trace->stepper.line_count == 0) {
    fprintf(trace->out, "%snothing\n", trace->stepper.indent);
  }
  if (trace->options->restarts) {
    stepper_restart(&trace->stepper);
  }
  if (trace->limit > 0 && batch_step_count(&trace->stepper.batch) >= trace->limit) {
    close_batch(trace);
  }
}

static void fire(struct trace *trace, const struct head heads[TOPIC_COUNT]) {
  trace->stepper.indent = "    ";
  stepper_fire(&trace->stepper, heads);
  after_step(trace);
}

static void take(struct trace *trace, const struct head heads[TOPIC_COUNT], enum topic topic) {
  struct queue *queue = &trace->queues[topic];
  if (trace->is_merge) {
    fputs("  ", trace->out);
    render_message(&trace->stepper.render, topic, &heads[topic]);
    fputc('\n', trace->out);
  }
  trace->stepper.indent = trace->is_merge ? "    " : "  ";
  stepper_take(&trace->stepper, heads, topic, &queue->log.items[queue->taken++]);
  after_step(trace);
}

static void tell_waiting(const struct trace *trace, const struct head heads[TOPIC_COUNT]) {
  fputs("  waits for", trace->out);
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (heads[topic].state == HEAD_WAITING) {
      fprintf(trace->out, " %s", topic_name(topic));
    }
  }
  fputc('\n', trace->out);
}

/* Takes what can be taken, but not more than `steps_max`. */
static enum next run(struct trace *trace, int64_t steps_max) {
  enum next next = NEXT_MESSAGE;
  for (int64_t steps = 0; steps < steps_max; steps++) {
    struct head heads[TOPIC_COUNT];
    enum topic topic;
    fill_heads(trace, heads);
    next = batch_next(&trace->stepper.batch, &trace->stepper.lane, heads, &topic);
    switch (next) {
    case NEXT_WAIT:
      tell_waiting(trace, heads);
      return next;
    case NEXT_END:
      return next;
    case NEXT_CLOSE:
      close_batch(trace);
      break;
    case NEXT_SWEEP:
      trace->stepper.indent = "    ";
      stepper_sweep(&trace->stepper);
      after_step(trace);
      break;
    case NEXT_TIMER:
      fire(trace, heads);
      break;
    case NEXT_MESSAGE:
      take(trace, heads, topic);
      break;
    }
  }
  return next;
}

/* The wall's timers are the last steps of their batch. */
static bool tick(struct trace *trace, int64_t at_ms, struct span *problem) {
  struct head heads[TOPIC_COUNT];
  *problem = span_text("a tick is only at the end of every topic");
  if (run(trace, INT64_MAX) != NEXT_END) {
    return false;
  }
  const uint64_t batch = trace->stepper.batch.number;
  fill_heads(trace, heads);
  const struct timer *first = timers_first(&trace->stepper.lane.timers);
  if (first == NULL || first->due_at_ms > at_ms) {
    fputs("  nothing\n", trace->out);
    return true;
  }
  while (first != NULL && first->due_at_ms <= at_ms && trace->stepper.batch.number == batch) {
    fire(trace, heads);
    first = timers_first(&trace->stepper.lane.timers);
  }
  if (trace->stepper.batch.number == batch) {
    close_batch(trace);
  }
  return true;
}

static bool give(struct trace *trace, const struct script_given *given, struct span *problem) {
  struct lane *lane = &trace->stepper.lane;
  const uint32_t index = lane_find(lane, given->serial);
  *problem = given->serial;
  if (index == INDEX_NONE) {
    return false;
  }
  struct device *device = &lane->devices[index];
  if (given->status != DEVICE_STATUS_COUNT) {
    device->status = (uint8_t)given->status;
    device->has_license = given->status == DEVICE_ENROLLED;
  }
  device->email_blocked |= given->email_blocked;
  device->sap_blocked |= given->sap_blocked;
  device->ticket_open |= given->ticket_open;
  lane_schedule(lane, index);
  return true;
}

/* The policy that a message applies, of a shipped version or a file; NULL: there is none. */
static const struct policy *load_policy(struct trace *trace, struct span name) {
  struct error error;
  char text[256];
  snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
  if (strcmp(text, "default") == 0) {
    return policy_default();
  }
  for (size_t i = 0; i < trace->policy_count; i++) {
    if (strcmp(trace->policies[i]->version, text) == 0) {
      return trace->policies[i];
    }
  }
  assert(trace->policy_count < POLICIES_MAX);
  struct policy *policy = malloc(sizeof *policy);
  if (policy_load(text, policy, &error) != STATUS_OK) {
    free(policy);
    return NULL;
  }
  trace->policies[trace->policy_count++] = policy;
  return policy;
}

static bool complete_policy(struct trace *trace, const struct script_line *line,
                            struct event *event) {
  const struct policy *policy = load_policy(trace, line->policy);
  if (policy == NULL) {
    return false;
  }
  event->policy.version = span_text(policy->version);
  memcpy(event->policy.hash, policy->hash, sizeof policy->hash);
  event->policy.hash[0] ^= line->is_other;
  event->policy.policy = line->is_textless || line->is_other ? NULL : policy;
  return true;
}

static bool push(struct trace *trace, const struct script_line *line, struct span *problem) {
  struct queue *queue = &trace->queues[line->topic];
  struct logged message = line->message;
  const int64_t next =
      queue->log.count == 0 ? 0 : queue->log.items[queue->log.count - 1].offset + 1;
  if (message.offset < 0) {
    message.offset = next;
  }
  *problem = line->policy;
  if (message.is_event && message.event.kind == EVENT_POLICY &&
      !complete_policy(trace, line, &message.event)) {
    return false;
  }
  *problem = span_text("an offset that was before");
  if (message.offset < next) {
    return false;
  }
  topic_log_append(&queue->log, &message);
  return true;
}

/* A lane of its own under another policy. */
static void begin_under(struct trace *trace, const struct policy *policy) {
  const uint32_t number = trace->stepper.lane.number;
  const uint32_t count = trace->stepper.lane.count;
  stepper_fini(&trace->stepper);
  stepper_init(&trace->stepper, number, count,
               &(struct render){.out = trace->out, .base_ms = BASE_MS, .policy = policy});
}

static bool set_policy(struct trace *trace, struct span name, struct span *problem) {
  static struct policy policy;
  struct error error;
  char text[256];
  snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.data);
  *problem = name;
  if (policy_load(text, &policy, &error) != STATUS_OK) {
    return false;
  }
  begin_under(trace, &policy);
  return true;
}

/* A stage that gives the device up, behind those of the same time; nothing comes after it. */
static void amend_plan(struct policy_plan *plan, int64_t after_ms) {
  while (plan->count > 0 && plan->stages[plan->count - 1].after_ms > after_ms) {
    plan->count--;
  }
  plan->stages[plan->count++] = (struct policy_stage){.after_ms = after_ms, .retires = true};
}

static bool amend_rule(struct policy *policy, const struct script_amend *amend) {
  for (uint32_t i = 0; i < policy->rule_count; i++) {
    if (span_equal(span_text(policy->rules[i].id), amend->rule)) {
      const uint16_t bit = (uint16_t)(1u << policy->group_count);
      policy->rules[i].scope.user_groups = policy->rules[i].scope.device_groups = bit;
      snprintf(policy->groups[policy->group_count++], POLICY_NAME_SIZE, "%.*s",
               (int)amend->group.size, (const char *)amend->group.data);
      return true;
    }
  }
  return false;
}

/* The policy as it is, and what the script says beside. */
static bool amend(struct trace *trace, const struct script_amend *amend, struct span *problem) {
  static struct policy policy;
  uint32_t rule;
  policy = *trace->stepper.render.policy;
  policy.commands = amend->commands;
  policy.pushes_profile = amend->pushes_profile;
  if (amend->retires_after_ms >= 0) {
    amend_plan(&policy.noncompliant, amend->retires_after_ms);
  }
  *problem = amend->rule;
  if ((amend->rule.size > 0 && !amend_rule(&policy, amend)) ||
      policy_compile(&policy, &rule) != POLICY_FITS) {
    return false;
  }
  begin_under(trace, &policy);
  return true;
}

/* The words are names of people, as elsewhere in a script. */
static void set_admins(struct trace *trace, struct span names) {
  uint8_t subjects[8][SUBJECT_SIZE] = {{0}};
  uint32_t count = 0;
  while (names.size > 0) {
    const uint8_t *space = memchr(names.data, ' ', names.size);
    const size_t size = space == NULL ? names.size : (size_t)(space - names.data);
    assert(count < COUNT_OF(subjects) && size <= SUBJECT_SIZE);
    memcpy(subjects[count++], names.data, size);
    const size_t cut = space == NULL ? size : size + 1;
    names = span_of(names.data + cut, names.size - cut);
  }
  struct lane *lane = &trace->stepper.lane;
  control_set_bootstrap(&lane->control, &lane->memory, subjects[0], count);
}

/* In a batch of its own, whatever is open. */
static bool decide_gap(struct trace *trace, const struct journal_gap *asked, struct span *problem) {
  struct journal_gap gap = *asked;
  *problem = span_text("the lane does not stand there");
  if (trace->stepper.batch.ranges[gap.topic].to != gap.from) {
    return false;
  }
  if (!batch_is_empty(&trace->stepper.batch)) {
    close_batch(trace);
  }
  trace->stepper.indent = "  ";
  stepper_gap(&trace->stepper, &gap);
  after_step(trace);
  close_batch(trace);
  return true;
}

static bool run_line(struct trace *trace, const struct script_line *line, struct span *problem) {
  switch (line->kind) {
  case SCRIPT_MESSAGE:
    if (!push(trace, line, problem)) {
      return false;
    }
    if (!trace->is_merge) {
      run(trace, INT64_MAX);
    }
    break;
  case SCRIPT_LANE:
    stepper_fini(&trace->stepper);
    stepper_init(&trace->stepper, (uint32_t)line->number, (uint32_t)line->number_of,
                 &(struct render){.out = trace->out,
                                  .base_ms = BASE_MS,
                                  .policy = trace->stepper.render.policy});
    break;
  case SCRIPT_POLICY:
    return set_policy(trace, line->policy, problem);
  case SCRIPT_GIVEN:
    return give(trace, &line->given, problem);
  case SCRIPT_AMEND:
    return amend(trace, &line->amend, problem);
  case SCRIPT_BOOTSTRAP:
    set_admins(trace, line->admins);
    break;
  case SCRIPT_GAP:
    return decide_gap(trace, &line->gap, problem);
  case SCRIPT_TICK:
    return tick(trace, line->at_ms, problem);
  case SCRIPT_MERGE:
    trace->is_merge = true;
    break;
  case SCRIPT_RUN:
    run(trace, line->number > 0 ? line->number : INT64_MAX);
    break;
  case SCRIPT_MORE:
  case SCRIPT_END:
    trace->queues[line->topic].has_more = line->kind == SCRIPT_MORE;
    break;
  case SCRIPT_LIMIT:
    trace->limit = (uint64_t)line->number;
    break;
  case SCRIPT_CLOSE:
    close_batch(trace);
    break;
  }
  return true;
}

/* Whether the line says something: no expectation, comment or blank. */
static bool is_script(struct span line) {
  return line.size > 0 && line.data[0] != ' ' && line.data[0] != '#';
}

static bool run_script(struct trace *trace, const char *script, char error[TRACE_ERROR_SIZE]) {
  unsigned number = 0;
  for (const char *at = script; *at != '\0';) {
    const char *const end = strchr(at, '\n');
    const struct span text = span_of(at, end == NULL ? strlen(at) : (size_t)(end - at));
    at += text.size + (end == NULL ? 0 : 1);
    number++;
    if (text.size > 0 && text.data[0] == ' ') {
      continue;
    }
    fwrite(text.data, 1, text.size, trace->out);
    fputc('\n', trace->out);
    struct script_line line;
    struct span problem;
    if (is_script(text) && (!script_parse(text, &trace->context, &line, &problem) ||
                            !run_line(trace, &line, &problem))) {
      snprintf(error, TRACE_ERROR_SIZE, "line %u: %.*s", number, (int)problem.size,
               (const char *)problem.data);
      return false;
    }
  }
  return true;
}

char *trace_run(const char *script, const struct trace_options *options,
                char error[TRACE_ERROR_SIZE]) {
  char *text = NULL;
  size_t size = 0;
  struct trace trace = {.context = {.base_ms = BASE_MS, .last_at_ms = BASE_MS},
                        .options = options,
                        .out = open_memstream(&text, &size)};
  stepper_init(&trace.stepper, 0, 1, &(struct render){.out = trace.out, .base_ms = BASE_MS});
  const bool is_run = run_script(&trace, script, error);
  stepper_fini(&trace.stepper);
  for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
    topic_log_fini(&trace.queues[topic].log);
  }
  for (size_t i = 0; i < trace.policy_count; i++) {
    free(trace.policies[i]);
  }
  fclose(trace.out);
  if (!is_run) {
    free(text);
    return NULL;
  }
  return text;
}

struct lines {
  struct span *items;
  size_t count;
};

static struct lines lines_of(const char *text) {
  struct lines lines = {.items = malloc((strlen(text) + 1) * sizeof *lines.items)};
  while (*text != '\0') {
    const size_t size = strcspn(text, "\n");
    lines.items[lines.count++] = span_of(text, size);
    text += size + (text[size] == '\n' ? 1 : 0);
  }
  return lines;
}

static void put_line(FILE *out, char mark, size_t number, struct span line) {
  fprintf(out, "%5zu %c %.*s\n", number + 1, mark, (int)line.size, (const char *)line.data);
}

/* The longest common part, by the textbook: lengths[i][j] is that of what follows i and j. */
static void put_difference(const struct lines *a, const struct lines *b, FILE *out) {
  const size_t width = b->count + 1;
  unsigned *lengths = calloc((a->count + 1) * width, sizeof *lengths);
  for (size_t i = a->count; i-- > 0;) {
    for (size_t j = b->count; j-- > 0;) {
      const unsigned down = lengths[(i + 1) * width + j];
      const unsigned right = lengths[i * width + j + 1];
      lengths[i * width + j] = span_equal(a->items[i], b->items[j])
                                   ? lengths[(i + 1) * width + j + 1] + 1
                                   : (down > right ? down : right);
    }
  }
  size_t i = 0;
  size_t j = 0;
  while (i < a->count || j < b->count) {
    if (i < a->count && j < b->count && span_equal(a->items[i], b->items[j])) {
      i++;
      j++;
    } else if (j == b->count ||
               (i < a->count && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      put_line(out, '-', i, a->items[i]);
      i++;
    } else {
      put_line(out, '+', j, b->items[j]);
      j++;
    }
  }
  free(lengths);
}

bool trace_compare(const char *expected, const char *actual, FILE *out) {
  if (strcmp(expected, actual) == 0) {
    return true;
  }
  const struct lines a = lines_of(expected);
  const struct lines b = lines_of(actual);
  put_difference(&a, &b, out);
  free(a.items);
  free(b.items);
  return false;
}

char *trace_read(const char *path) {
  FILE *const file = fopen(path, "r");
  if (file == NULL) {
    return NULL;
  }
  char *text = NULL;
  size_t capacity = 0;
  const ssize_t size = getdelim(&text, &capacity, '\0', file);
  fclose(file);
  if (size < 0) {
    free(text);
    return NULL;
  }
  return text;
}

bool trace_write(const char *path, const char *text) {
  FILE *const file = fopen(path, "w");
  if (file == NULL) {
    return false;
  }
  const bool is_written = fputs(text, file) >= 0;
  return fclose(file) == 0 && is_written;
}
