/* The members of the group: processes that own lanes, are killed, frozen and started again.
 *
 * A member does what core/app/processor.c does for lanes: opens a task for each lane it is told is
 * its own, stops it when told otherwise, ticks. A member that is killed is cut off from the world
 * at once, between two steps: nothing it does has an effect any more, and every call fails. It is
 * then run until its tasks are closed, so that its memory is given back and looked at. */
#ifndef MUSTER_TESTS_SIM_MEMBER_H
#define MUSTER_TESTS_SIM_MEMBER_H

#include "core/app/lane_task.h"
#include "tests/sim/sim.h"

/* What all members share. */
struct shared {
  struct schemas *schemas;
  struct config *config;
  struct encoding encoding; /* of lane 0 */
  struct span subject_key;
};
extern struct shared shared;
void shared_open(void);
void shared_close(void);

/* For a seed: after broker and database, whose ends the members read. */
void members_begin(void);
void members_end(void);

void members_offer(void);
void members_offer_faults(void);

uint32_t member_index(const struct member *member);
bool member_is_stuck(const struct member *member);   /* frozen: nothing of it moves */
bool member_is_cut_off(const struct member *member); /* killed: nothing it does counts */

/* From now on nothing goes wrong: all members are up, the lanes are dealt out once more. */
void members_drain(void);
/* Every lane has an owner that has nothing to do. */
bool members_are_idle(void);

/* Of seeds that run until caught up: nothing from there on is taken. */
int64_t members_stop_offset(uint32_t lane, enum topic topic);

/* loop.c: what of a member's loop is on offer; and one of it, without a choice. */
struct loop;
struct loop *loop_open(struct member *member);
void loop_close(struct loop *loop);
void loop_offer(struct loop *loop);
bool loop_run_any(struct loop *loop); /* false: there is nothing */
struct uv_loop_s *loop_uv(struct loop *loop);
/* Makes the read end of a pipe readable; -1: there is none. */
void pipe_signal(int fd);

#endif
