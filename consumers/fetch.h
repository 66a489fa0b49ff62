/* Reads topics: one client for the process, one source for each partition that is read.
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
 * offset that is gone, a topic deleted, access denied) stays with the source: source_error. */
#ifndef MUSTER_CONSUMERS_FETCH_H
#define MUSTER_CONSUMERS_FETCH_H

#include "consumers/record.h"
#include "core/status.h"

struct fetch;
struct source;
struct rd_kafka_conf_s;
struct stored_partition; /* consumers/stored.h */

/* Takes `conf` in every case. `now_ms` tells the wall clock. */
enum status fetch_open(struct rd_kafka_conf_s *conf, int64_t (*now_ms)(void), struct fetch **fetch,
                       struct error *error) MUST_USE;

/* The same over partitions that stand in files, with no client: nothing is ever on its way, each
 * ends where its file says. They outlive it. */
struct fetch *fetch_open_stored(const struct stored_partition *partitions, size_t count);

/* Every source must have been closed. NULL is allowed. */
void fetch_close(struct fetch *fetch);

/* Readable when a source has turned from empty to not empty; fetch_woken takes the signal. */
int fetch_fd(const struct fetch *fetch);
void fetch_woken(struct fetch *fetch);

/* Serves the client's callbacks: call now and then. The last transport error since the previous
 * call goes to `error`; false when there was none. */
bool fetch_serve(struct fetch *fetch, struct error *error);

/* The offsets of a partition's first message and of the one that would come next (the last stable
 * offset). Blocks up to `timeout_ms`; any thread. */
enum status fetch_offsets(struct fetch *fetch, const char *topic, int32_t partition, int timeout_ms,
                          int64_t *first, int64_t *next, struct error *error) MUST_USE;

/* Starts reading a partition at `offset`. A partition may be read by one source at a time. */
enum status source_open(struct fetch *fetch, const char *topic, int32_t partition, int64_t offset,
                        struct source **source, struct error *error) MUST_USE;
void source_close(struct source *source); /* NULL is allowed */

/* The next record, or NULL when none has arrived. The same until it is popped. */
const struct record *source_peek(struct source *source);
void source_pop(struct source *source);

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

/* The headers of a record in the form of struct original, appended to `into` (room for
 * record_headers_size bytes). The value of the last header `name`; false when there is none. */
size_t record_headers_size(const struct record *record);
void record_headers_copy(const struct record *record, uint8_t *into);
bool record_header(const struct record *record, const char *name, struct span *value);

#endif
