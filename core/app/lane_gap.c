#include "core/app/lane_gap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What the lane has read of the topic in the end, recorded batches included. */
static int64_t last_offset(const struct lane_resources *resources, enum topic topic) {
  const struct recorded_batches *recorded = &resources->recorded;
  return recorded->count > 0 ? recorded->items[recorded->count - 1].row.ranges[topic].to
                             : resources->next_offsets[topic];
}

enum status lane_gap_position(const struct lane_resources *resources, enum topic topic,
                              int64_t *next, bool *is_moved, struct error *error) {
  *next = resources->next_offsets[topic];
  *is_moved = false;
  for (size_t i = 0; i < resources->recorded.count; i++) {
    const struct journal_gap *gap = &resources->recorded.items[i].row.gap;
    if (!gap->is_accepted || gap->topic != topic) {
      continue;
    }
    if (gap->from != *next) {
      return error_set(error, STATUS_CONFIG,
                       "lane %u: batches behind number %" PRIu64
                       " cannot be decided again: they read %s on both sides of the gap at %" PRId64
                       ", and what stood before it is gone",
                       resources->ownership.lane, resources->head.checkpoint.batch,
                       topic_name(topic), gap->from);
    }
    *next = gap->to;
    *is_moved = true;
  }
  return STATUS_OK;
}

static void tell_problem(const struct lane_setup *setup, const struct topic_ends *ends,
                         struct lane_gap *gap) {
  char name[TOPIC_NAME_SIZE];
  topic_full_name(setup->config, ends->topic, name);
  const int32_t partition = topic_partition(ends->topic, setup->lane);
  if (setup->is_replaced[ends->topic]) {
    snprintf(gap->problem, sizeof gap->problem,
             "%s/%d: offset %" PRId64 " is not the message that was processed last: the topic was "
             "recreated or truncated, or the subject key is another one",
             name, partition, gap->from - 1);
  } else if (gap->from > ends->end) {
    snprintf(gap->problem, sizeof gap->problem,
             "%s/%d: processed up to offset %" PRId64 " but the topic ends at %" PRId64
             ": it was recreated or truncated",
             name, partition, gap->from, ends->end);
  } else {
    snprintf(gap->problem, sizeof gap->problem,
             "%s/%d: offsets %" PRId64 " to %" PRId64 " are gone before they were processed", name,
             partition, gap->from, ends->first - 1);
  }
}

enum status lane_gap_find(const struct lane_setup *setup, struct lane_resources *resources,
                          const struct topic_ends *ends, int64_t next, bool *is_whole,
                          struct error *error) {
  const bool is_replaced = setup->is_replaced[ends->topic];
  *is_whole = !is_replaced && next >= ends->first && next <= ends->end;
  if (*is_whole) {
    return STATUS_OK;
  }
  struct lane_gap *gap = &resources->gaps[resources->gap_count];
  *gap = (struct lane_gap){.topic = ends->topic, .from = next, .to = ends->first};
  if (is_replaced ||
      next > ends->end) { /* what is there was read, or is new: nobody here can tell */
    gap->other = next < ends->end ? next : ends->end;
    gap->has_other = gap->other != gap->to;
  }
  tell_problem(setup, ends, gap);
  if (last_offset(resources, ends->topic) != next) {
    return error_set(error, STATUS_CONFIG,
                     "%.300s. Batches up to %" PRId64 " were decided, and device rows do not "
                     "reflect them: they need what is gone, so that cannot be accepted",
                     gap->problem, last_offset(resources, ends->topic));
  }
  resources->gap_count++;
  return STATUS_OK;
}

static bool fits(const struct lane_gap *gap, const struct journal_gap *asked) {
  return gap->topic == asked->topic && gap->from == asked->from &&
         (gap->to == asked->to || (gap->has_other && gap->other == asked->to));
}

static enum status name_gap(const struct lane_setup *setup, const struct lane_gap *gap,
                            struct error *error) {
  char or_there[64] = "";
  if (gap->has_other) {
    snprintf(or_there, sizeof or_there, ", or %" PRId64, gap->other);
  }
  return error_set(error, STATUS_CONFIG,
                   "%.300s; for the way on: muster accept-gap %s %d %" PRId64 " %" PRId64 "%s",
                   gap->problem, topic_name(gap->topic), topic_partition(gap->topic, setup->lane),
                   gap->from, gap->to, or_there);
}

enum status lane_gap_settle(const struct lane_setup *setup, struct lane_resources *resources,
                            struct error *error) {
  if (resources->gap_count == 0) {
    return STATUS_OK; /* as far as can be seen without reading: the first batch clears what stands
                       */
  }
  enum status status = store_note_gaps(resources->store, &resources->ownership, resources->gaps,
                                       resources->gap_count, error);
  if (status != STATUS_OK) {
    return status;
  }
  struct gap_request *request = &resources->request;
  status = store_find_gap_request(resources->store, setup->lane, request, error);
  if (status != STATUS_OK) {
    return status;
  }
  bool is_fitting = false;
  for (size_t i = 0; i < resources->gap_count; i++) {
    is_fitting = is_fitting || fits(&resources->gaps[i], &request->gap);
  }
  request->is_there = request->is_there && is_fitting;
  return request->is_there ? STATUS_OK : name_gap(setup, &resources->gaps[0], error);
}

bool lane_gap_is_asked(const struct lane_setup *setup) {
  struct error ignored;
  struct store *store = NULL;
  struct gap_request request = {0};
  if (store_open(setup->config->postgres.dsn, &store, &ignored) == STATUS_OK &&
      store_find_gap_request(store, setup->lane, &request, &ignored) != STATUS_OK) {
    request.is_there = false;
  }
  store_close(store);
  return request.is_there;
}
