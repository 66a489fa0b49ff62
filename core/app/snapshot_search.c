#include "core/app/snapshot_search.h"

#include "core/app/digest.h"
#include "core/app/environment.h"
#include "core/app/found.h"
#include "core/app/lane_start.h"
#include "core/app/recorded.h"
#include "core/app/snapshot_topic.h"
#include "core/app/state_digest.h"
#include "core/app/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct snapshot_search {
  struct snapshot_search_options options;
  struct snapshot_places places;
  struct recorded_batches told; /* batches whose rows have a state's digest */
  int64_t firsts[TOPIC_COUNT];  /* where the inputs begin */
  size_t left;                  /* places that were not looked at yet */
  uint64_t batch;               /* of the one that was looked at last */
  struct buffer left_out;       /* a text without its end */
};

/* What the journal vouches for. ----------------------------------------------------------- */

/* The journal's row of the snapshot's batch; NULL: none that tells a state. */
static const struct journal_row *row_of(const struct recorded_batches *told,
                                        const struct snapshot_place *place) {
  for (size_t i = 0; i < told->count; i++) {
    if (told->items[i].row.batch == place->batch) {
      return &told->items[i].row;
    }
  }
  return NULL;
}

/* Whether the lane that was read is the one whose digest the journal has. What the snapshot says of
 * the batch itself is not asked for: the row takes its place. */
static bool is_vouched_for(struct snapshot *snapshot, const struct journal_row *row) {
  uint8_t digest[DIGEST_SIZE];
  if (snapshot->state->lane.control.sweep.kind != SWEEP_NONE ||
      snapshot->row.clock_after_ms != row->clock_after_ms) {
    return false;
  }
  state_digest(&snapshot->state->lane, digest);
  if (memcmp(digest, row->state, DIGEST_SIZE) != 0) {
    return false;
  }
  digest_of(buffer_span(&snapshot->environment), digest);
  if (memcmp(digest, row->environment, DIGEST_SIZE) != 0) {
    return false;
  }
  snapshot->row = *row;
  snapshot->row.not_believed = NULL;
  snapshot->row.not_believed_count = 0;
  return true;
}

/* A lane that loads the rows of these records must come to the same: who can write snapshots makes
 * nobody an admin. */
static bool records_hold(const struct snapshot *snapshot) {
  struct binary rest = {.rest = buffer_span(&snapshot->control.bytes)};
  const struct lane *lane = &snapshot->state->lane;
  struct lane_state *state = lane_state_open(lane->number, lane->count);
  struct error ignored;
  bool holds = true;
  while (holds && rest.rest.size > 0) {
    struct store_control control;
    struct rule_names rules;
    holds = control_records_next(&rest, &control) &&
            (control.event.kind != EVENT_POLICY ||
             policy_texts_complete(&snapshot->policies, &lane->control, &control.event, &rules)) &&
            lane_state_restore_control(state, &control, &ignored) == STATUS_OK;
  }
  sweep_restore(&state->lane, &(struct sweep_cursor){.is_set = false});
  environment_set_admins(buffer_span(&snapshot->environment), &state->lane);
  holds = holds && state_control_equal(&state->lane, lane);
  lane_state_close(state);
  return holds;
}

enum status snapshot_search_check(const struct config *config, const struct snapshot_place *place,
                                  const struct journal_row *row, bool *holds, struct error *error) {
  struct buffer bytes = {0};
  struct snapshot snapshot;
  char reason[SNAPSHOT_REASON_SIZE];
  const enum status status = snapshot_topic_read(config, place, &bytes, error);
  const bool is_read = status == STATUS_OK && snapshot_read(buffer_span(&bytes), &snapshot, reason);
  buffer_fini(&bytes);
  *holds = is_read && is_vouched_for(&snapshot, row) && records_hold(&snapshot);
  if (is_read) {
    snapshot_fini(&snapshot);
  }
  return status == STATUS_REFUSED ? STATUS_OK : status;
}

/* Opening. -------------------------------------------------------------------------------- */

/* Whether what stood at the log's beginning is gone: of an input, or of the journal. */
static enum status ask_firsts(struct snapshot_search *search, bool *is_expired,
                              struct error *error) {
  const struct snapshot_search_options *options = &search->options;
  char name[TOPIC_NAME_SIZE];
  int64_t first;
  int64_t end;
  enum status status = STATUS_OK;
  *is_expired = false;
  for (enum topic topic = 0; topic < TOPIC_COUNT && status == STATUS_OK; topic++) {
    topic_full_name(options->config, topic, name);
    status = found_bounds(options->fetch, name, topic_partition(topic, options->lane),
                          &search->firsts[topic], &end, error);
    *is_expired = *is_expired || search->firsts[topic] > 0;
  }
  if (status == STATUS_OK) {
    snprintf(name, sizeof name, "%s%s", options->config->kafka.topic_prefix,
             record_topic_name(RECORD_JOURNAL));
    status = found_bounds(options->fetch, name, (int32_t)options->lane, &first, &end, error);
    *is_expired = *is_expired || (status == STATUS_OK && first > 0);
  }
  return status;
}

enum status snapshot_search_open(const struct snapshot_search_options *options,
                                 struct snapshot_search **search, struct error *error) {
  struct snapshot_search *made = memory_zeroed(1, sizeof *made);
  bool is_expired;
  made->options = *options;
  enum status status = ask_firsts(made, &is_expired, error);
  if (status == STATUS_OK && (is_expired || !options->only_if_expired)) {
    status = snapshot_topic_list(options->config, options->lane, &made->places, error);
  }
  if (status == STATUS_OK && made->places.count > 0) {
    status =
        recorded_read_told(options->config, options->schemas, options->lane, &made->told, error);
  }
  made->left = made->places.count;
  buffer_append_u8(&made->left_out, '\0');
  if (status != STATUS_OK) {
    snapshot_search_close(made);
    return status;
  }
  *search = made;
  return STATUS_OK;
}

void snapshot_search_close(struct snapshot_search *search) {
  if (search != NULL) {
    free(search->places.items);
    recorded_fini(&search->told);
    buffer_fini(&search->left_out);
    free(search);
  }
}

/* Trying. --------------------------------------------------------------------------------- */

void snapshot_search_leave_out(struct snapshot_search *search, const char *reason) {
  char line[SNAPSHOT_REASON_SIZE + 400];
  const int size = snprintf(line, sizeof line,
                            "lane %" PRIu32 ": the snapshot of batch %" PRIu64 " is left out: %s\n",
                            search->options.lane, search->batch, reason);
  search->left_out.size--;
  buffer_append(&search->left_out, line, (size_t)size + 1);
}

const char *snapshot_search_left_out(const struct snapshot_search *search) {
  return (const char *)search->left_out.data;
}

/* Whether the inputs still have what comes behind it. */
static bool reaches(const struct snapshot_search *search, const struct journal_row *row,
                    char reason[SNAPSHOT_REASON_SIZE]) {
  for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
    if (search->firsts[topic] > row->ranges[topic].to) {
      snprintf(reason, SNAPSHOT_REASON_SIZE,
               "it has read %s to %" PRId64 ", and what is left begins at %" PRId64,
               topic_name(topic), row->ranges[topic].to, search->firsts[topic]);
      return false;
    }
  }
  return true;
}

/* `reason` tells why it is not to be begun with; an empty one, that it is. */
static enum status try(struct snapshot_search *search, const struct snapshot_place *place,
                       struct snapshot *snapshot, char reason[SNAPSHOT_REASON_SIZE],
                       struct error *error) {
  const struct snapshot_search_options *options = &search->options;
  const struct journal_row *const row = row_of(&search->told, place);
  struct buffer bytes = {0};
  reason[0] = '\0';
  if (row == NULL) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "no row of the journal vouches for it");
    return STATUS_OK;
  }
  if (!reaches(search, row, reason)) {
    return STATUS_OK;
  }
  const enum status status = snapshot_topic_read(options->config, place, &bytes, error);
  const bool is_read = status == STATUS_OK && snapshot_read(buffer_span(&bytes), snapshot, reason);
  buffer_fini(&bytes);
  if (status == STATUS_REFUSED) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it is not whole");
    return STATUS_OK;
  }
  if (!is_read) {
    return status;
  }
  const bool is_its_own =
      snapshot->row.lane == options->lane && snapshot->state->lane.count == options->lane_count &&
      snapshot->row.batch == place->batch && snapshot->row.clock_after_ms == place->clock_ms;
  if (!is_its_own) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "it is not what its parts say that it is");
  } else if (!is_vouched_for(snapshot, row)) {
    snprintf(reason, SNAPSHOT_REASON_SIZE, "its state is not the one that the journal vouches for");
  } else if (!records_hold(snapshot)) {
    snprintf(reason, SNAPSHOT_REASON_SIZE,
             "what it says of control messages does not come to the "
             "state that the journal vouches for");
  }
  if (reason[0] != '\0') {
    snapshot_fini(snapshot);
  }
  return STATUS_OK;
}

enum status snapshot_search_next(struct snapshot_search *search, struct snapshot *snapshot,
                                 bool *has_one, struct error *error) {
  const int64_t until_ms = search->options.until_ms;
  *has_one = false;
  while (search->left > 0) {
    const size_t done = search->places.count - search->left--;
    const struct snapshot_place *place =
        &search->places.items[search->options.from_oldest ? done : search->left];
    char reason[SNAPSHOT_REASON_SIZE];
    if (until_ms != TIME_NONE && place->clock_ms > until_ms) {
      continue;
    }
    search->batch = place->batch;
    const enum status status = try(search, place, snapshot, reason, error);
    if (status != STATUS_OK) {
      return status;
    }
    if (reason[0] == '\0') {
      *has_one = true;
      return STATUS_OK;
    }
    snapshot_search_leave_out(search, reason);
  }
  return STATUS_OK;
}
