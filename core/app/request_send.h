/* Sends one message and tells where it stands. */
#ifndef MUSTER_APP_REQUEST_SEND_H
#define MUSTER_APP_REQUEST_SEND_H

#include "core/app/config.h"
#include "core/app/decision.h"
#include "core/event.h"

/* To the partition that the key belongs to, acknowledged by all; without a key to partition 0. On
 * STATUS_OK `place` is filled, its topic the caller's to free. STATUS_UNAVAILABLE: not
 * acknowledged, and it may stand there all the same. */
enum status request_send(const struct config *config, enum topic topic, struct span key,
                         struct span value, struct place *place, struct error *error) MUST_USE;

#endif
