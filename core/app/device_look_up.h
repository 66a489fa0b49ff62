/* Which device somebody means: by its ID, which the database knows, or by its serial. */
#ifndef MUSTER_APP_DEVICE_LOOK_UP_H
#define MUSTER_APP_DEVICE_LOOK_UP_H

#include "core/app/config.h"
#include "core/event.h"

/* The serial of `wanted`: what looks like a device ID is looked up, and where it is a serial as
 * well, the ID is meant; any other text is a serial, and no database is asked. STATUS_USAGE: it can
 * be neither; STATUS_REFUSED: no device has it. */
enum status device_look_up(const struct config *config, const char *wanted,
                           char serial[SERIAL_SIZE_MAX + 1], struct error *error) MUST_USE;

#endif
