/* The clients behind consumers/fetch.h: who has one, and what it has to say.
 *
 * Owns librdkafka's handle and the last error that it told. A client is one reader's own, or the
 * one that readers of a process share: made when the first of them comes, ended when the last has
 * gone. Never reads anything.
 *
 * A client whose answers were wrong or missing once is doubted: who reads with it goes on, who
 * comes now gets a new one, and the doubted one ends with its last reader. So a reader that comes
 * back after a failure of its reading begins with a client that knows nothing, and nobody else is
 * disturbed.
 *
 * The beat. A client whose queues are all full has nothing to ask for, and looks only a second
 * later whether they are still full (librdkafka 2.0.2; later ones let that be set). A partition
 * that is always at its end keeps a request under way, so it looks each time that one is answered,
 * after fetch.wait.max.ms at the latest. */
#ifndef MUSTER_CONSUMERS_FETCH_CLIENT_H
#define MUSTER_CONSUMERS_FETCH_CLIENT_H

#include "core/base.h"
#include "core/status.h"

struct fetch_client;
struct fetch_shared;
struct rd_kafka_conf_s;
struct rd_kafka_s;

/* The clients that are shared: one whose requests wait long, one for what is far behind. */
enum fetch_pace { FETCH_STEADY, FETCH_QUICK, FETCH_PACE_COUNT };

/* Takes `conf` in every case. Partition 0 of `beat_topic` is read for the beat; NULL: none is. */
enum status fetch_client_open(struct rd_kafka_conf_s *conf, const char *beat_topic,
                              struct fetch_client **client, struct error *error) MUST_USE;
void fetch_client_close(struct fetch_client *client); /* NULL is allowed */

struct rd_kafka_s *fetch_client_handle(const struct fetch_client *client);

/* Whoever comes from now on gets another one. Any thread. */
void fetch_client_doubt(struct fetch_client *client);

/* Serves the client's callbacks. `*seen` is how many errors the caller has seen, 0 at first: the
 * last one goes to `error` when there are more; false when there are not. Any thread. */
bool fetch_client_serve(struct fetch_client *client, uint64_t *seen, struct error *error);

/* How many errors it has told: a reader that comes later has nothing to do with them. */
uint64_t fetch_client_error_count(struct fetch_client *client);

/* The shared client of that pace, made with `conf` unless there is one that is not doubted. Takes
 * `conf` in every case. Any thread. */
enum status fetch_shared_take(struct fetch_shared *shared, enum fetch_pace pace,
                              struct rd_kafka_conf_s *conf, struct fetch_client **client,
                              struct error *error) MUST_USE;

/* Its reader's sources are closed. Blocks while the last one's client ends its threads. */
void fetch_shared_give_back(struct fetch_shared *shared, struct fetch_client *client);

/* A source begins to read a partition, or has stopped: the client has its beat while it has
 * sources, but not beside one that reads the very partition, which it can read once. The end waits
 * until the beat has stopped. Any thread. */
void fetch_client_begin(struct fetch_client *client, const char *topic, int32_t partition);
void fetch_client_end(struct fetch_client *client, const char *topic, int32_t partition);

#endif
