/* The values of messages, as those who send them encode them: each kind with what it may say and
 * some of what it should not. */
#ifndef MUSTER_TESTS_SIM_MESSAGE_H
#define MUSTER_TESTS_SIM_MESSAGE_H

#include "producers/buffer.h"
#include "tests/sim/sim.h"

/* For a seed. */
void messages_begin(void);

/* Append one to `buffer`. Of control messages the serial is whose device joins a group. */
void message_enrollment(struct buffer *buffer, const char *serial, int64_t at_ms);
void message_checkin(struct buffer *buffer, const char *serial, int64_t at_ms);
void message_report(struct buffer *buffer, const char *serial, int64_t at_ms);
void message_command(struct buffer *buffer, const char *serial, int64_t at_ms);
void message_control(struct buffer *buffer, const char *serial, int64_t at_ms);

#endif
