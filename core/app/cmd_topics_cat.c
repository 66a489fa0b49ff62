/* Prints a topic's committed records, a JSON object a line. */
#include "core/app/command.h"
#include "core/app/kafka_client.h"
#include "core/app/kafka_reader.h"
#include "core/app/message_json.h"
#include "core/app/option_number.h"
#include "core/app/registry_client.h"

#include <errno.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

enum { CAT_FROM_BEGINNING, CAT_PARTITION, CAT_OFFSET, CAT_LIMIT, CAT_FOLLOW };

const struct option_spec topics_cat_options[] = {
    {"from-beginning", NULL, "all that is there (the default)"},
    {"partition", "P", "this partition alone, counted from 0"},
    {"offset", "N", "from this offset on"},
    {"limit", "N", "at most so many records"},
    {"follow", NULL, "go on at the end, until interrupted"},
    {NULL, NULL, NULL},
};

struct printing {
  struct schema_learner learner;
  int64_t left; /* records that may still be printed */
  bool flushes;
};

static bool print_message(void *context, const struct rd_kafka_message_s *message) {
  struct printing *const printing = context;
  if (printing->left <= 0) {
    return false;
  }
  schema_learner_see(&printing->learner, span_of(message->payload, message->len));
  json_t *const json = json_of_message(printing->learner.schemas, message);
  json_dumpf(json, stdout, JSON_COMPACT);
  json_decref(json);
  putchar('\n');
  if (printing->flushes) {
    fflush(stdout);
  }
  return --printing->left > 0 && !ferror(stdout);
}

enum status command_topics_cat(const struct command_line *line, struct error *error) {
  struct printing printing = {.left = INT64_MAX, .flushes = line->options[CAT_FOLLOW] != NULL};
  struct kafka_reading reading = {
      .topic = kafka_topic_short(&line->config, line->arguments[0]),
      .partition = -1,
      .follows = printing.flushes,
      .each = print_message,
      .context = &printing,
  };
  enum status status = option_number("partition", line->options[CAT_PARTITION], 0, INT32_MAX,
                                     &reading.partition, error);
  if (status == STATUS_OK) {
    status =
        option_number("offset", line->options[CAT_OFFSET], 0, INT64_MAX, &reading.offset, error);
  }
  if (status == STATUS_OK) {
    status = option_number("limit", line->options[CAT_LIMIT], 0, INT64_MAX, &printing.left, error);
  }
  if (status == STATUS_OK) {
    status = schema_learner_open(&line->config, &printing.learner, error);
  }
  if (status == STATUS_OK) {
    status = kafka_read(&line->config, &reading, error);
  }
  schema_learner_close(&printing.learner);
  if (status == STATUS_OK && (fflush(stdout) != 0 || ferror(stdout))) {
    status = error_set(error, STATUS_UNAVAILABLE, "standard output: %s", strerror(errno));
  }
  return status;
}
