/* Membership in the consumer group: says which lanes are this process's, nothing else.
 *
 * The group's client subscribes to the lane topics but reads none of them: it takes its
 * assignment as information and hands back an empty one, so that a rebalance never disturbs
 * the sources of a lane that stays. Fencing is not its business: a member that has not heard
 * of a rebalance is stopped by the lane's epoch. */
#ifndef MUSTER_CONSUMERS_MEMBERSHIP_H
#define MUSTER_CONSUMERS_MEMBERSHIP_H

#include "core/event.h"
#include "core/status.h"

struct membership;
struct rd_kafka_conf_s;

enum membership_event {
  MEMBERSHIP_NOTHING,
  MEMBERSHIP_ASSIGNED, /* membership_lanes tells; answer with membership_accept */
  MEMBERSHIP_REVOKED,  /* all lanes; finish, then answer with membership_accept */
  MEMBERSHIP_LOST,     /* all lanes, and others may have them already; wants no answer */
  MEMBERSHIP_FENCED,   /* another process has this identity; nothing more will come */
};

/* Joins the group with the topics prefix+name of every lane topic but control. Takes `conf` in
 * every case: it names group.id, group.instance.id and the assignor. */
enum status membership_open(struct rd_kafka_conf_s *conf, const char *topic_prefix,
                            struct membership **membership, struct error *error) MUST_USE;

/* Leaves the client behind; a static member stays in the group until its session ends. Waits a
 * second at most until the group has been told the last offsets. NULL is allowed. */
void membership_close(struct membership *membership);

int membership_fd(const struct membership *membership);

/* Serves the client. Call when the fd is readable, and at least every few seconds, or the group
 * evicts this member. */
enum membership_event membership_poll(struct membership *membership);

/* The partitions of the latest assignment that hold every lane topic, in ascending order. */
const int32_t *membership_lanes(const struct membership *membership, size_t *count);

void membership_accept(struct membership *membership);

/* Notes where a lane stands, for tools that show lag. Information only: lanes go on from their
 * journal. The group is told of all lanes together, once a second, by membership_poll, and not with
 * each batch: that would be a request and a write for each. Never blocks. */
void membership_note_offsets(struct membership *membership, int32_t lane,
                             const int64_t next_offsets[TOPIC_COUNT]);

/* The client's last error since the previous call; false when there was none. */
bool membership_error(struct membership *membership, struct error *error);

#endif
