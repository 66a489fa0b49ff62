/* A lane after a batch, as bytes: from these its replay goes on as if it had decided the log.
 *
 * A function of the lane's journal up to that batch: the same in every replay, whatever the batch
 * before it was replayed from. People are subjects; their addresses are there only where asked for,
 * which is never on a topic. docs/replay.md has the form. */
#ifndef MUSTER_APP_SNAPSHOT_H
#define MUSTER_APP_SNAPSHOT_H

#include "core/app/control_records.h"
#include "core/app/lane_state.h"
#include "core/journal.h"

enum { SNAPSHOT_REASON_SIZE = 256 };

/* The last change of a device that its record shows; of no change, policy is NULL. */
struct device_change {
  uint64_t batch, seq;
  int64_t at_ms, cause_offset; /* the offset is -1 of a timer */
  uint8_t cause_topic;
  bool has_event_id;
  uint8_t event_id[EVENT_ID_SIZE];
  const struct policy *policy; /* in force then; NULL without a change */
  struct buffer traceparent;   /* of the message that caused it; empty: none */
};

/* By the device's index in its lane. */
struct device_changes {
  struct device_change *items;
  uint32_t count, capacity;
};

/* Notes what the batch that was just decided changed; before the lane forgets its touches. */
void device_changes_note(struct device_changes *changes, const struct lane *lane);

/* Grows to `count` devices, those behind the last without a change. */
void device_changes_reach(struct device_changes *changes, uint32_t count);

/* Appends copies of the changes of `from`. */
void device_changes_copy(struct device_changes *changes, const struct device_changes *from);
void device_changes_fini(struct device_changes *changes);

/* The texts of the policies that a lane has come to know after its first, in that order; an empty
 * one is part of the program. */
struct policy_texts {
  struct buffer *items;
  uint32_t count, capacity;
};

void policy_texts_add(struct policy_texts *texts, struct span text);

/* Fills in what a control record leaves out of a policy: its hash, its text, and its rules' names.
 * False: it is none that the control state knows. */
bool policy_texts_complete(const struct policy_texts *texts, const struct control *control,
                           struct event *event, struct rule_names *rules) MUST_USE;
void policy_texts_fini(struct policy_texts *texts);

/* What a replay goes on from. */
struct snapshot {
  struct journal_row row;    /* of the batch; without its list */
  struct buffer environment; /* content of the one that the batch was decided under */
  struct lane_state *state;
  struct device_changes changes;
  struct policy_texts policies;
  struct control_records control;
  bool has_addresses;
};

void snapshot_fini(struct snapshot *snapshot); /* zeros are allowed */

/* Appends the bytes; `changes` has all the lane's devices. */
void snapshot_write(const struct snapshot *snapshot, struct buffer *bytes);

/* Appends what decides of a device beside its texts and its user, and the wipe asked for last;
 * NULL: none was. */
void snapshot_put_state(struct buffer *bytes, const struct device *device);
void snapshot_put_wipe(struct buffer *bytes, const struct wipe *wipe);

/* Appends a text that may be longer than binary_put_text's, and takes it. */
void snapshot_put_long(struct buffer *bytes, struct span text);
struct span snapshot_take_long(struct binary *binary);

/* Appends the groups and who is in them. */
void snapshot_put_groups(const struct control *control, struct buffer *bytes);

/* Reads what snapshot_write has written. False: `reason` says what is wrong with it, and there is
 * nothing to end. */
bool snapshot_read(struct span bytes, struct snapshot *snapshot,
                   char reason[SNAPSHOT_REASON_SIZE]) MUST_USE;

#endif
