/* A gap in a topic, decided: whether who asks for it may have it accepted, and what is audited. */
#ifndef MUSTER_CORE_GAP_H
#define MUSTER_CORE_GAP_H

#include "core/batch.h"

/* Takes what was asked for as the batch's only step: the batch must be empty. Accepted, the topic's
 * range stands at gap->to, and `gap->is_accepted` says so. Either way there is an audit entry with
 * the request's event_id and without a cause, since no message is one. Devices and timers stay as
 * they are, and so does the clock. */
void gap_decide(struct lane *lane, struct batch *batch, struct journal_gap *gap,
                const struct sink *sink);

#endif
