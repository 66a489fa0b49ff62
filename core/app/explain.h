/* Why a device is what it is: the chain of what came in, what it changed, and what was decided.
 *
 * Replays the device's lane up to a time and keeps the steps that concern the device, as JSON: each
 * message with its place and facts, each timer, the results with their places, the rules as they
 * stood after it; and at the end the state, what is due next, and why it is blocked or is not. */
#ifndef MUSTER_APP_EXPLAIN_H
#define MUSTER_APP_EXPLAIN_H

#include "core/app/replay_lane.h"

struct json_t; /* jansson's value */

struct explain_options {
  const struct config *config;
  const struct schemas *schemas;
  uint32_t lane_count;
  struct span subject_key;
  int64_t until_ms; /* TIME_NONE: now */
};

/* `wanted` is a device ID in either case, or a serial; where it may be both, the ID is meant. The
 * caller owns `*explanation`. STATUS_REFUSED when no device has it at that time, or the lane cannot
 * be replayed that far. */
enum status explain_device(const struct explain_options *options, const char *wanted,
                           struct json_t **explanation, struct error *error) MUST_USE;

/* What a message said; the caller owns it. */
struct json_t *explain_event(const struct event *event);

/* The parts that tell of a device's state; the caller owns what is returned. */
struct json_t *explain_facts(const struct lane *lane, const struct device *device);

/* Each rule of the policy in force: what it needs, what is known, and whether it is violated at
 * the lane's clock. */
struct json_t *explain_rules(const struct lane *lane, const struct device *device);

/* In a sentence: why its mail is blocked, or why not, or not yet. */
void explain_block(const struct lane *lane, const struct device *device, char *text, size_t size);

/* RFC 3339, or null. */
struct json_t *explain_time(int64_t at_ms);

#endif
