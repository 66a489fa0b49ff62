/* What is counted and measured, and its text exposition for Prometheus.
 *
 * One table names every metric with its type, labels and help. Labels are the lane, a topic or
 * a dead letter's code, never a device or a person. Used on the loop's thread only. */
#ifndef MUSTER_APP_METRICS_H
#define MUSTER_APP_METRICS_H

#include "core/base.h"

#include <stdio.h>

/* X(metric, type, name, labels, help). Counters end in _total; units are seconds and bytes.
 * Labels: NONE, LANE, LANE_TOPIC (enum topic), LANE_RESULT (enum result_kind, as the label
 * topic), LANE_CODE (enum reject_code). */
#define METRIC_LIST(X)                                                                             \
  X(MESSAGES, COUNTER, "muster_messages_total", LANE_TOPIC, "Messages taken from input topics.")   \
  X(RESULTS, COUNTER, "muster_results_total", LANE_RESULT, "Results decided, by output topic.")    \
  X(DEAD_LETTERS, COUNTER, "muster_dead_letters_total", LANE_CODE,                                 \
    "Messages that became dead letters.")                                                          \
  X(TIMERS_FIRED, COUNTER, "muster_timers_fired_total", LANE, "Timers fired.")                     \
  X(BATCHES, COUNTER, "muster_batches_total", LANE, "Batches committed.")                          \
  X(PUBLISHED, COUNTER, "muster_published_batches_total", LANE, "Batches published.")              \
  X(COMMIT_SECONDS, HISTOGRAM, "muster_commit_seconds", LANE,                                      \
    "Duration of a batch's database commit.")                                                      \
  X(PUBLISH_SECONDS, HISTOGRAM, "muster_publish_seconds", LANE,                                    \
    "Duration of a batch's Kafka transaction.")                                                    \
  X(COMMIT_BYTES, COUNTER, "muster_commit_bytes_total", LANE,                                      \
    "Bytes of rows sent to the database.")                                                         \
  X(LANE_LOST, COUNTER, "muster_lane_lost_total", LANE,                                            \
    "Times a lane was given up after a failure.")                                                  \
  X(LANE_OWNED, GAUGE, "muster_lane_owned", LANE, "1 while this process owns the lane.")           \
  X(LAG_MESSAGES, GAUGE, "muster_lag_messages", LANE_TOPIC,                                        \
    "Messages in the topic not yet taken.")                                                        \
  X(CLOCK_SECONDS, GAUGE, "muster_clock_timestamp_seconds", LANE,                                  \
    "The lane's log clock, since 1970 UTC.")                                                       \
  X(TIMERS, GAUGE, "muster_timers", LANE, "Timers that are pending.")                              \
  X(DEVICES, GAUGE, "muster_devices", LANE, "Devices known to the lane.")                          \
  X(SCHEMA_WAITING, GAUGE, "muster_schema_waiting", LANE,                                          \
    "1 while the lane waits for a schema that the registry is asked for.")                         \
  X(REGISTRY_REQUESTS, COUNTER, "muster_registry_requests_total", NONE,                            \
    "Schemas asked of the registry.")                                                              \
  X(REGISTRY_FAILURES, COUNTER, "muster_registry_failures_total", NONE,                            \
    "Requests to the schema registry without an answer.")                                          \
  X(READY, GAUGE, "muster_ready", NONE, "1 while every assigned lane makes progress.")

enum metric {
#define X(metric, type, name, labels, help) METRIC_##metric,
  METRIC_LIST(X)
#undef X
      METRIC_COUNT
};

struct metrics;

struct metrics *metrics_open(void);
void metrics_close(struct metrics *metrics); /* NULL is allowed */

/* `lane` is 0 for a metric without labels; `index` is the member of the enumeration that the
 * second label names, 0 without one. */
void metric_add(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double amount);
void metric_set(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double value);

/* One measurement of a histogram, in its unit. */
void metric_observe(struct metrics *metrics, enum metric metric, uint32_t lane, double value);

/* The lane is no longer ours: its gauges are shown no more until they are set again. Counters
 * stay, since a counter that goes away reads as a restart. */
void metrics_drop_lane(struct metrics *metrics, uint32_t lane);

/* The text exposition (version 0.0.4) of every metric that has a value. */
void metrics_write(const struct metrics *metrics, FILE *stream);

#endif
