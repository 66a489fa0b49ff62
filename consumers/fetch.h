/* Reads topics: a client, one source for each partition that is read.
 *
 * A reader has a client of its own (fetch_open), or its part in one that the readers of a process
 * share (fetch_open_shared): a client asks a broker for all its partitions at once, so one for all
 * costs the broker a third of what one for each does. Readers of a shared client come and go, and
 * wake, fail and end by themselves. What cannot be shared is a partition: it is read once by a
 * client, so a partition that every reader reads has a small client of the reader's own
 * (source_open_own).
 *
 * A client has one request to a broker under way. While that waits for partitions that are at
 * their end, those whose queue has run low meanwhile wait too: so what is far behind is read with
 * another shared client, whose requests wait a short time only (source_open_far), until it is at
 * its end for the first time. An idle process with such requests alone would ask too often.
 *
 * Happy path: a source starts at an offset; its partition has a queue of its own, so that a
 * topic that is needed never waits behind one that is full; records are looked at and popped
 * one by one, without copying. Not asking is the back-pressure: the client stops fetching when
 * a queue holds what its settings allow.
 *
 * Waking: the queues write a byte to one pipe when they turn from empty to not empty, and only
 * then. So whoever is woken drains every source, and looks again now and then without being
 * woken (a byte can get lost when the pipe is full).
 *
 * Failures: a broker out of reach is no failure, the sources are silent. What cannot heal (an
 * offset that is gone, a topic deleted, access denied) stays with the source: source_error. A
 * shared client that told of such a thing, that was refused, or that could not say where a
 * partition ends, is given to nobody any more (consumers/fetch_client.h). */
#ifndef MUSTER_CONSUMERS_FETCH_H
#define MUSTER_CONSUMERS_FETCH_H

#include "consumers/record.h"
#include "core/status.h"

struct fetch;
struct fetch_shared;
struct source;
struct rd_kafka_conf_s;
struct stored_partition; /* consumers/stored.h */

/* Takes `conf` in every case. Partition 0 of `beat_topic`, which seldom has something, is read
 * beside what is read (consumers/fetch_client.h); NULL: none is. `now_ms` tells the wall clock. */
enum status fetch_open(struct rd_kafka_conf_s *conf, const char *beat_topic,
                       int64_t (*now_ms)(void), struct fetch **fetch, struct error *error) MUST_USE;

/* What readers of a process share; the topic of their clients' beat, as above. */
struct fetch_shared *fetch_shared_open(const char *beat_topic);

/* All readers must have been closed before. NULL is allowed. */
void fetch_shared_close(struct fetch_shared *shared);

/* What a reader's clients are made with: the shared one, unless there is one; the one for what is
 * far behind, likewise, when something is; and its own. */
struct fetch_confs {
  struct rd_kafka_conf_s *steady, *quick, *own;
};

/* Takes the three of `confs` in every case. Any thread. */
enum status fetch_open_shared(struct fetch_shared *shared, const struct fetch_confs *confs,
                              int64_t (*now_ms)(void), struct fetch **fetch,
                              struct error *error) MUST_USE;

/* The same over partitions that stand in files, with no client: nothing is ever on its way, each
 * ends where its file says. They outlive it. */
struct fetch *fetch_open_stored(const struct stored_partition *partitions, size_t count);

/* Every source must have been closed. Blocks while clients end their threads; a shared one does so
 * with its last reader. NULL is allowed. */
void fetch_close(struct fetch *fetch);

/* Readable when a source has turned from empty to not empty; fetch_woken takes the signal. */
int fetch_fd(const struct fetch *fetch);
void fetch_woken(struct fetch *fetch);

/* Serves the clients' callbacks: call now and then. The last transport error since the previous
 * call goes to `error`, of a shared client to each of its readers; false when there was none. */
bool fetch_serve(struct fetch *fetch, struct error *error);

/* The offsets of a partition's first message and of the one that would come next (the last stable
 * offset). Blocks up to `timeout_ms`; any thread. */
enum status fetch_offsets(struct fetch *fetch, const char *topic, int32_t partition, int timeout_ms,
                          int64_t *first, int64_t *next, struct error *error) MUST_USE;

/* Starts reading a partition at `offset`. A client reads a partition for one source at a time;
 * what an earlier source's requests still bring does not reach a later one. */
enum status source_open(struct fetch *fetch, const char *topic, int32_t partition, int64_t offset,
                        struct source **source, struct error *error) MUST_USE;

/* The same for a reader of a shared client and a partition of which much is still to come. Where it
 * ends, reading goes on with the client that source_open reads with. */
enum status source_open_far(struct fetch *fetch, const char *topic, int32_t partition,
                            int64_t offset, struct source **source, struct error *error) MUST_USE;

/* The same with the own client of a reader that shares another, for a partition that others read
 * as well and that seldom has something: an empty answer may be waited for long, so its end is
 * known without one. `end` is what fetch_offsets has just told as `next`. */
enum status source_open_own(struct fetch *fetch, const char *topic, int32_t partition,
                            int64_t offset, int64_t end, struct source **source,
                            struct error *error) MUST_USE;

/* Waits until the client has stopped asking for it. NULL is allowed. */
void source_close(struct source *source);

/* The next record, or NULL when none has arrived. The same until it is popped. */
const struct record *source_peek(struct source *source);
void source_pop(struct source *source);

/* Fetches into the caches what source_key_ahead shows some messages later, up to 20 ahead. */
void source_prefetch(const struct source *source);

/* The key of the message that comes `ahead` messages after the one that source_peek shows, when it
 * is at hand; empty otherwise. It may be the key of one that is passed over. */
struct span source_key_ahead(const struct source *source, size_t ahead);

/* The offset at which the partition was found to end, when everything before it has been popped
 * and nothing has arrived since; -1 otherwise. */
int64_t source_end(const struct source *source);

/* How many offsets from `next` on there were at the last answer of the broker. */
int64_t source_lag(const struct source *source, int64_t next);

/* What the source cannot recover from; NULL while there is nothing. */
const char *source_error(const struct source *source);

/* Whether that is because the offset to be read next is not in the topic any more, or the topic is
 * not there: what is asked about it anew tells. */
bool source_is_gone(const struct source *source);

#endif
