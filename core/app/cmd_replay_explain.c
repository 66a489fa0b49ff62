/* One device's chain of decisions, from its first message to why it is what it is. */
#include "core/app/command.h"
#include "core/app/explain.h"
#include "core/app/option_time.h"
#include "core/app/replay_inputs.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXPLAIN_AT };

const struct option_spec replay_explain_options[] = {
    [EXPLAIN_AT] = {"at", "TIME", "as of then; else as far as the log has been decided"},
    {NULL, NULL, NULL},
};

static const char *text_of(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text == NULL ? "-" : text;
}

/* {"a": 1, "b": "c"} as "a 1, b c"; what is null is left out. */
static void print_pairs(const json_t *object, const char *but) {
  const char *separator = "";
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, name, value) {
    if (json_is_null(value) || strcmp(name, but) == 0) {
      continue;
    }
    printf("%s%s ", separator, name);
    separator = ", ";
    if (json_is_string(value)) {
      fputs(json_string_value(value), stdout);
    } else {
      json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    }
  }
  putchar('\n');
}

static void print_place(const json_t *place) {
  printf("%s/%" JSON_INTEGER_FORMAT "@", text_of(place, "topic"),
         json_integer_value(json_object_get(place, "partition")));
  if (json_is_null(json_object_get(place, "offset"))) {
    printf("(not there)");
  } else {
    printf("%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(place, "offset")));
  }
}

static void print_rules(const json_t *rules, bool all) {
  size_t i;
  json_t *rule;
  json_array_foreach(rules, i, rule) {
    const bool is_violated = json_is_true(json_object_get(rule, "violated"));
    if (all || is_violated) {
      printf("    %s %s: needs %s; known: %s\n", is_violated ? "violated" : "holds   ",
             text_of(rule, "rule"), text_of(rule, "needs"), text_of(rule, "known"));
    }
  }
}

static void print_step(const json_t *step) {
  const json_t *event = json_object_get(step, "event");
  size_t i;
  json_t *result;
  printf("\n%s  ", text_of(step, "clock"));
  if (event != NULL) {
    printf("%s  ", text_of(event, "kind"));
    print_place(json_object_get(step, "cause"));
    printf("%s\n    ",
           json_is_true(json_object_get(step, "believed")) ? "" : "  (stamp not believed)");
    print_pairs(event, "kind");
  } else if (json_object_get(step, "sweep") != NULL) {
    printf("another %s  ", text_of(step, "sweep"));
    print_place(json_object_get(step, "cause"));
    putchar('\n');
  } else {
    printf("timer %s, due at %s\n", text_of(step, "timer"), text_of(step, "due_at"));
  }
  json_array_foreach(json_object_get(step, "results"), i, result) {
    printf("  -> ");
    print_place(result);
    printf("  seq %" JSON_INTEGER_FORMAT ": ", json_integer_value(json_object_get(result, "seq")));
    print_pairs(json_object_get(result, "decided"), "");
  }
  if (json_object_get(step, "after") != NULL) {
    printf("    is ");
    print_pairs(json_object_get(step, "after"), "");
  }
}

static void print_explanation(const json_t *explanation) {
  size_t i;
  json_t *step;
  printf("%s, serial %s, lane %" JSON_INTEGER_FORMAT ", policy %s\n",
         text_of(explanation, "device_id"), text_of(explanation, "serial"),
         json_integer_value(json_object_get(explanation, "lane")), text_of(explanation, "policy"));
  const json_t *const begin = json_object_get(explanation, "begins_after");
  if (begin != NULL) {
    printf(
        "\nWhat was before %s is not shown: the log's beginning has expired, and this is told from "
        "the snapshot of batch %" JSON_INTEGER_FORMAT " on\n",
        text_of(begin, "clock"), json_integer_value(json_object_get(begin, "batch")));
  }
  json_array_foreach(json_object_get(explanation, "steps"), i, step) {
    print_step(step);
  }
  printf("\nAt %s, the lane's clock:\n  ", text_of(explanation, "clock"));
  print_pairs(json_object_get(explanation, "state"), "");
  print_rules(json_object_get(explanation, "rules"), true);
  printf("  %s\n", text_of(explanation, "why"));
}

static void print(const json_t *explanation, enum output_format output) {
  if (output == OUTPUT_TABLE) {
    print_explanation(explanation);
  } else {
    json_dumpf(explanation, stdout, JSON_COMPACT);
    putchar('\n');
  }
}

enum status command_replay_explain(const struct command_line *line, struct error *error) {
  const struct config *config = &line->config;
  struct explain_options options = {.config = config, .until_ms = TIME_NONE};
  struct replay_inputs inputs = {0};
  enum status status = option_time("at", line->options[EXPLAIN_AT], &options.until_ms, error);
  if (status == STATUS_OK && line->output == OUTPUT_CSV) {
    status = error_set(error, STATUS_USAGE, "replay explain: -o takes table, json or ndjson");
  }
  if (status == STATUS_OK) {
    status = replay_inputs_open(config, &inputs, error);
  }
  json_t *explanation = NULL;
  if (status == STATUS_OK) {
    options.schemas = inputs.schemas;
    options.lane_count = inputs.lane_count;
    options.subject_key = replay_inputs_key(&inputs);
    status = explain_device(&options, line->arguments[0], &explanation, error);
  }
  if (status == STATUS_OK) {
    print(explanation, line->output);
  }
  json_decref(explanation);
  replay_inputs_close(&inputs);
  return status;
}
