/* A lane: all devices of one partition, their timers, the log clock and the counters.
 *
 * The lane is what decisions read and change; nothing else decides. A batch changes it in
 * memory; when the batch cannot be committed, the whole lane is dropped and loaded again, so
 * that memory and database never disagree about what was decided. */
#ifndef MUSTER_CORE_LANE_H
#define MUSTER_CORE_LANE_H

#include "core/control.h"
#include "core/table.h"
#include "core/timers.h"

/* A distinct text of an operating system's version, shared by the devices that report it. */
struct version_text {
  uint32_t references; /* 0: free, `next_free` counts */
  uint32_t next_free;
  struct policy_outcome outcomes[PLATFORM_COUNT]; /* under the policy in force */
  uint8_t size;
  uint8_t text[OS_VERSION_SIZE_MAX];
};

struct versions {
  struct version_text *texts;
  uint32_t count, capacity;
  uint32_t first_free;
  struct table by_text;
};

/* Those that do not fit beside their devices, one after the other; never given back. */
struct serials {
  uint8_t *bytes;
  uint32_t size, capacity;
};

struct person {
  uint8_t subject[SUBJECT_SIZE];
};

struct persons {
  struct person *items;
  uint32_t count, capacity;
  struct table by_subject;
};

/* Enrolment events that a device has seen, newest first. */
struct enrollment_seen {
  uint8_t event_id[EVENT_ID_SIZE];
  uint32_t next; /* INDEX_NONE at the end */
};

struct enrollments {
  struct enrollment_seen *items;
  uint32_t count, capacity;
};

/* Older ones are forgotten: a repeated event arrives soon after the first or not at all. */
enum { ENROLLMENTS_SEEN_MAX = 1024 };

/* A device whose row in the database is behind its state: changed since the last checkpoint. */
struct touch {
  uint32_t device;
  bool is_new;           /* it has no row yet */
  bool is_changed;       /* in what its Device record shows, last_sync_at aside */
  bool is_batch_changed; /* the same, by the batch being decided */
  bool has_moved;        /* in more than its dates (struct device_block) */
  bool is_block_first;   /* the first of its block: whoever writes the touches writes it here */
  const struct policy *policy; /* in force at the last change */
  uint64_t batch;              /* of the last change */
  uint64_t seq;                /* of the last change: the lane's last result number then */
  int64_t at_ms;
  struct cause cause; /* its traceparent is kept beside it, since the message goes away */
  uint32_t traceparent, traceparent_size; /* in the touches' texts */
};

enum { TOUCH_NONE = UINT32_MAX };

struct touches {
  struct touch *items;
  uint32_t count, capacity;
  uint8_t *of_block; /* by block: how many of its devices are among the items; 2: or more */
  uint32_t of_block_capacity;
  /* Those with is_batch_changed, in the order of their first change: indexes of items. */
  uint32_t *batch_changed;
  uint8_t *texts;
  uint32_t texts_size, texts_capacity;
  uint32_t batch_changed_count, batch_changed_capacity;
};

/* Wipes that were asked for, at most one a device. */
struct wipes {
  struct wipe *items;
  uint32_t count, capacity;
  struct table by_device;
};

/* Check-ins are expected every 8 h; a wipe that waited for an hour more than that is overdue. */
#define WIPE_OVERDUE_MS INT64_C(32400000)

/* The clock of a lane that has none yet: the first instant that a record can be stamped with, since
 * clients take a stamp of 0 for none. */
#define LANE_CLOCK_START_MS INT64_C(1)

struct lane {
  uint32_t number; /* the partition */
  uint32_t count;  /* number of lanes */
  struct memory memory;
  const struct policy *policy; /* in force; changes only when a sweep begins */
  struct control control;
  int64_t clock_ms; /* LANE_CLOCK_START_MS before the first believed message */
  uint64_t seq;     /* last result number given */
  uint64_t batch;   /* being decided */
  uint64_t dead_letter_count;
  struct device *devices;
  uint32_t device_count, device_capacity;
  struct table by_serial;
  struct serials serials;
  struct versions versions;
  struct persons persons;
  struct enrollments enrollments;
  struct timers timers;
  struct touches touches;
  struct wipes wipes;
};

/* `policy`, compiled, is in force at first; it outlives the lane. */
void lane_init(struct lane *lane, uint32_t number, uint32_t count, const struct policy *policy,
               const struct memory *memory);
void lane_fini(struct lane *lane);

/* Makes room for that many devices in a lane that has none yet. */
void lane_reserve(struct lane *lane, uint32_t device_count);

/* The device with that serial, or INDEX_NONE. */
uint32_t lane_find(const struct lane *lane, struct span serial);

/* Fetches into the caches what a look-up of a serial will read that comes some messages later: the
 * first what leads to the device, the second, when that has arrived, the device. Measured in
 * docs/profile.md. */
void lane_prefetch_slot(const struct lane *lane, struct span serial);
void lane_prefetch_device(const struct lane *lane, struct span serial);

/* Adds a device with that serial, which is new, in the state of one never enrolled; its index. */
uint32_t lane_add(struct lane *lane, struct span serial);

/* The k-th device of lane p of n has number k·n + p + 1. */
uint64_t lane_device_number(const struct lane *lane, uint32_t index);

/* What a device's violations, stages and timers are under: the policy in force, or the one before
 * until a sweep has come to the device. */
const struct policy *lane_policy_of(const struct lane *lane, uint32_t index);

/* Puts a policy in force: what follows from the distinct versions' texts is made anew. Devices are
 * the sweep's to look at. */
void lane_set_policy(struct lane *lane, const struct policy *policy);

struct span lane_serial(const struct lane *lane, const struct device *device);
struct span lane_os_version(const struct lane *lane, const struct device *device);

/* Gives the device that version, taking part in a text that others may share. */
void lane_set_os_version(struct lane *lane, struct device *device, struct span os_version);

/* The index of a person, new or known. Indexes are dense and in order of first sight. */
uint32_t lane_person(struct lane *lane, const uint8_t subject[SUBJECT_SIZE]);

/* The same without adding anyone: INDEX_NONE when nobody is known under it. */
uint32_t lane_find_person(const struct lane *lane, const uint8_t subject[SUBJECT_SIZE]);

/* Whether the device has seen that enrolment event; and that it has now. */
bool lane_enrollment_seen(const struct lane *lane, const struct device *device,
                          const uint8_t event_id[EVENT_ID_SIZE]);
void lane_remember_enrollment(struct lane *lane, struct device *device,
                              const uint8_t event_id[EVENT_ID_SIZE]);

/* What happens by itself, first of all, to devices[index] in the state `device`. */
enum timer_kind lane_next_timer(const struct lane *lane, uint32_t index,
                                const struct device *device, int64_t *due_at_ms);

/* The same under another policy than the one that holds for it. */
enum timer_kind lane_next_timer_under(const struct lane *lane, const struct policy *policy,
                                      uint32_t index, const struct device *device,
                                      int64_t *due_at_ms);

/* From when on the device's next check-in is waited for: its last one, or the later time at which
 * it became PENDING: it may have been enrolled by hand, and have checked in in another life. */
int64_t lane_expected_from_ms(const struct device *device);

/* What the stages of overdue syncs are counted from: the same, or the end of what kept the device
 * from checking in. */
int64_t lane_overdue_from_ms(const struct lane *lane, const struct device *device);

/* The last wipe asked for of devices[index], or NULL; and a new one in its place. The pointer holds
 * until the next one is added. */
struct wipe *lane_wipe(const struct lane *lane, uint32_t index);
struct wipe *lane_new_wipe(struct lane *lane, uint32_t index);

/* Puts the device's timer where its state says. Call after every change of a device. */
void lane_schedule(struct lane *lane, uint32_t index);

/* The same for every device, after a change of what they all depend on. Those that have another
 * time now are touched. */
void lane_reschedule(struct lane *lane, const struct cause *cause);

/* What is noted of the device since the last checkpoint, valid until the next note; NULL: nothing.
 */
const struct touch *lane_touch_since(const struct lane *lane, uint32_t index);

/* Notes that the batch being decided changed the device: `is_changed` when its Device record
 * shows it. Returns the note, valid until the next one. */
struct touch *lane_touch(struct lane *lane, uint32_t index, bool is_changed,
                         const struct cause *cause);

/* The batch has been encoded: what it changed is no longer news. */
void lane_end_batch(struct lane *lane);

/* Forgets the touches: rows of all touched devices are on their way to the database. */
void lane_clear_touches(struct lane *lane);

/* Everything that is stored of a device. `touch` may be NULL. `enrollment_ids` is the caller's
 * room for the image's list. Views live until the lane changes. */
void lane_image(const struct lane *lane, uint32_t index, const struct touch *touch,
                uint8_t enrollment_ids[ENROLLMENTS_SEEN_MAX * EVENT_ID_SIZE],
                struct device_image *image);

/* Whether no other device of the touched one's block was touched. */
bool lane_is_alone_in_block(const struct lane *lane, const struct touch *touch);

/* The dates of one device, and those of the devices of block `number`, which has one at least. */
void lane_dates(const struct lane *lane, uint32_t index, struct device_dates *dates);
void lane_block(const struct lane *lane, uint32_t number, struct device_block *block);

/* Puts back a device that was stored; called in order of number, none left out. */
void lane_restore(struct lane *lane, const struct device_image *image);

#endif
