/* The producer's properties that were measured to be best; a user's own choice stands. */
#ifndef MUSTER_PRODUCERS_PUBLISH_TUNE_H
#define MUSTER_PRODUCERS_PUBLISH_TUNE_H

#include "core/status.h"

struct rd_kafka_conf_s;

/* Sets what nobody chose: a property counts as chosen when its value is not librdkafka's default.
 * With a `transaction.timeout.ms` of a user's, `message.timeout.ms` is half of it at most, so that
 * a record is given up before its transaction is. `*produce_timeout_ms` is how long the records of
 * a transaction may take, which leaves time for its end before the broker aborts it. */
enum status publish_tune(struct rd_kafka_conf_s *conf, int64_t *produce_timeout_ms,
                         struct error *error) MUST_USE;

#endif
