/* Gaps that were accepted: told where a verification goes over them, since nobody has seen what
 * they held; and what they say about inputs that are not what they were when they were read. */
#include "core/app/output.h"
#include "core/app/text.h"
#include "core/app/verify_internal.h"
#include "core/time_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *prefix_of(const struct verify *verify) {
  return verify->options->config->kafka.topic_prefix;
}

static void name_asker(const struct journal_gap *gap, char text[2 * SUBJECT_SIZE + 32]) {
  if (gap->has_actor) {
    hex_format(gap->actor, SUBJECT_SIZE, text);
  } else {
    snprintf(text, 2 * SUBJECT_SIZE + 32, "the operator at the console");
  }
}

void verify_note_gap(struct verify *verify, const struct journal_row *row) {
  struct verify_result *result = verify->result;
  if (!row->gap.is_accepted) {
    return;
  }
  json_t *const told = finding_of_gap(&row->gap, prefix_of(verify));
  const uint32_t partition = row->gap.topic == TOPIC_CONTROL ? 0 : row->lane;
  json_object_set_new(told, "batch", json_integer((json_int_t)row->batch));
  json_object_set_new(told, "partition", json_integer((json_int_t)partition));
  if (result->gaps == NULL) {
    result->gaps = json_array();
  }
  json_array_append_new(result->gaps, told);
}

size_t verify_gap_count(const struct verify_result *result) {
  return json_array_size(result->gaps);
}

char *verify_gap_text(const struct json_t *gap) {
  char *text;
  size_t size;
  FILE *const stream = text_stream(&text, &size);
  const char *const actor = json_string_value(json_object_get(gap, "actor"));
  const json_int_t from = json_integer_value(json_object_get(gap, "from"));
  const json_int_t to = json_integer_value(json_object_get(gap, "to"));
  char at[TIME_TEXT_SIZE];
  time_format(json_integer_value(json_object_get(gap, "asked_at")), at);
  fprintf(stream, "batch %" JSON_INTEGER_FORMAT ": %s/%" JSON_INTEGER_FORMAT,
          json_integer_value(json_object_get(gap, "batch")),
          json_string_value(json_object_get(gap, "topic")),
          json_integer_value(json_object_get(gap, "partition")));
  if (to > from) {
    fprintf(stream,
            ", offsets %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
            ", were never seen: accepted as lost",
            from, to - 1);
  } else {
    fprintf(stream,
            " goes on at offset %" JSON_INTEGER_FORMAT " where %" JSON_INTEGER_FORMAT
            " was next: accepted",
            to, from);
  }
  fprintf(stream, " by %s at %s: %s", actor != NULL ? actor : "the operator at the console", at,
          json_string_value(json_object_get(gap, "reason")));
  text_stream_end(stream, &text);
  return text;
}

void verify_gaps_print(FILE *out, const struct verify_result *result) {
  for (size_t i = 0; i < verify_gap_count(result); i++) {
    char *const text = verify_gap_text(json_array_get(result->gaps, i));
    fputs("  ", out);
    output_shown_text(out, span_text(text));
    fputc('\n', out);
    free(text);
  }
}

/* What stands in its topic now is not what the lane had read up to the end of that row. */
static bool replaces(const struct journal_gap *gap, const struct journal_row *row) {
  const int64_t kept = gap->to < gap->from ? gap->to : 0;
  return gap->is_accepted && gap->to <= gap->from && row->ranges[gap->topic].to > kept;
}

static bool is_whole(const struct verify *verify, const struct journal_row *row) {
  bool whole = true;
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    whole = whole && row->ranges[topic].from >= replay_input_first(verify->replay, topic);
  }
  return whole;
}

/* What the rest of the journal says: from which batch on all inputs are there, and which gap tells
 * that those of `row` are not. */
struct rest {
  uint64_t whole_from; /* 0: there is no such */
  struct journal_gap gap;
  uint64_t gap_batch;
};

static enum status read_rest(struct verify *verify, const struct journal_row *row,
                             struct rest *rest) {
  struct journal_entry entry;
  struct journal_row at = *row;
  *rest = (struct rest){0};
  for (;;) {
    if (!rest->gap.is_set && replaces(&at.gap, row)) {
      rest->gap = at.gap;
      rest->gap_batch = at.batch;
    }
    if (at.gap.is_accepted && at.gap.to <= at.gap.from) {
      rest->whole_from = 0;
    }
    if (rest->whole_from == 0 && is_whole(verify, &at)) {
      rest->whole_from = at.batch;
    }
    verify_note_gap(verify, &at);
    const enum status status = journal_source_next(verify->journal, &entry, verify->error);
    if (status != STATUS_OK || entry.batch == NULL) {
      return status == STATUS_REFUSED ? STATUS_OK : status;
    }
    at = entry.batch->row;
  }
}

static void excuse(struct verify *verify, const struct rest *rest) {
  struct verify_result *result = verify->result;
  char asker[2 * SUBJECT_SIZE + 32];
  name_asker(&rest->gap, asker);
  json_decref(result->finding);
  result->finding = NULL;
  result->verdict = VERDICT_UNVERIFIABLE;
  snprintf(result->reason, sizeof result->reason,
           "its inputs are gone: %s%s was recreated or truncated, and goes on at offset %" PRId64
           " with batch %" PRIu64 ", accepted by %s: %s",
           prefix_of(verify), topic_name(rest->gap.topic), rest->gap.to, rest->gap_batch, asker,
           rest->gap.reason);
}

enum status verify_behind(struct verify *verify, const struct journal_row *row) {
  struct verify_result *result = verify->result;
  if (result->verdict == VERDICT_DIVERGED && !verify->inputs_differ) {
    return STATUS_OK;
  }
  const struct journal_row at = *row;
  struct rest rest;
  const enum status status = read_rest(verify, &at, &rest);
  if (status == STATUS_OK && result->verdict == VERDICT_DIVERGED && rest.gap.is_set) {
    excuse(verify, &rest);
  }
  if (result->verdict == VERDICT_UNVERIFIABLE) {
    result->whole_from = rest.whole_from;
  }
  return status;
}
