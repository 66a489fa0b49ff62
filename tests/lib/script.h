/* The lines of a golden trace that say what happens, as values.
 *
 * A line is words with single spaces between them. Times are T, T+1h, T-30m, or +30m from the
 * message before; units are d, h, m, s and ms. A message is its stamp, what it is, and what it
 * says; what is not said has a default, or is not reported:
 *
 *   T enroll SN1 user=ann profile=STANDARD platform=WINDOWS owner=CORPORATE os=10.0.22631
 *   T+1h checkin SN1 os=10.0.22631 on-demand
 *   +1h report SN1 os=14.0 av=on signatures=-168h encryption=off pin=6
 *   +1h report SN1 healthy               (all four facts as they should be)
 *   +1h reject checkins malformed        (no event: the code of its dead letter)
 *   +1h apply extended by=ann textless other  (a shipped version, or a file; as a control message)
 *
 * `by` is who asks for a policy (else the operator); `textless` has its version alone, `other`
 * another hash than the policy's own.
 *
 * A report's signatures=-168h is from its own stamp. "none" instead of a stamp: without one.
 * Each message may also say unbelieved, id=TEXT (else e1, e2, ... in order), offset=N (else
 * the next) and trace=TEXT.
 *
 * Commands and control messages, with by=NAME when the actor is named:
 *
 *   T command WIPE SN1 by=root reason=LOST confirm=SN1 note=TEXT
 *   T command SET_STATUS SN1 status=FAILED      (of-user: origin USER)
 *   T command RENAME SN1 name=lobby
 *   T role grant ann ADMIN by=root
 *   T tenant begin UPSTREAM_OUTAGE
 *   T group add lab user=ann                    (or serial=SN1; remove)
 *   T revision STANDARD r2
 *
 * Beside messages:
 *
 *   lane 1 of 4              before all else; lane 0 of 1 without it
 *   policy extended          before all else: a shipped version, or a file; default without it
 *   amend of-users=SYNC,RENAME wipe-approvals=1 wipe-limit=2 wipe-window=1h push-profile
 *   amend retires=72h        before all else: what the policy says, too
 *   amend group=lab rule=antivirus    the rule concerns that group alone
 *   bootstrap root eve       admins by the configuration, from here on
 *   given SN1 status=WIPED email-blocked   as if a command had made it so
 *   tick T+24h               at the end of every topic, the wall lets timers fire up to then
 *   merge                    from here on messages only stand in their topics until "run"
 *   run                      takes what can be taken, and tells every step
 *   run 3                    takes so many steps at most
 *   more checkins            an empty queue of that topic means: more is on its way
 *   end checkins             an empty queue means: at its end; so it is for all at first
 *   limit 2                  so many steps make a batch full; 0: no limit
 *   close                    ends the batch
 *   gap checkins 24 211 by=ann reason=TEXT    asked for where the lane stands, between two batches
 */
#ifndef MUSTER_TESTS_LIB_SCRIPT_H
#define MUSTER_TESTS_LIB_SCRIPT_H

#include "tests/lib/stepper.h"

enum script_kind {
  SCRIPT_MESSAGE,
  SCRIPT_LANE,
  SCRIPT_POLICY,
  SCRIPT_GIVEN,
  SCRIPT_TICK,
  SCRIPT_MERGE,
  SCRIPT_RUN,
  SCRIPT_MORE,
  SCRIPT_END,
  SCRIPT_LIMIT,
  SCRIPT_CLOSE,
  SCRIPT_AMEND,
  SCRIPT_BOOTSTRAP,
  SCRIPT_GAP,
};

struct script_given {
  struct span serial;
  enum device_status status;
  bool email_blocked, sap_blocked, ticket_open;
};

/* What of a policy a script may say by itself. */
struct script_amend {
  struct policy_commands commands;
  bool pushes_profile;
  int64_t retires_after_ms; /* one more stage, the last; 0: none */
  struct span group, rule;  /* the rule concerns that group alone */
};

struct script_line {
  enum script_kind kind;
  enum topic topic;      /* of a message, more, end */
  struct logged message; /* offset -1: the next of its topic */
  struct script_given given;
  struct script_amend amend;
  struct journal_gap gap;
  struct span admins;         /* by the configuration: words */
  struct span policy;         /* a version or a file, also of a message that applies it */
  bool is_textless, is_other; /* of such a message */
  int64_t at_ms;              /* of a tick */
  int64_t number, number_of;  /* lane NUMBER of NUMBER_OF, limit NUMBER, run NUMBER */
};

/* What the meaning of a line depends on. */
struct script_context {
  int64_t base_ms;
  int64_t last_at_ms; /* of the message before */
  unsigned message_count;
};

/* Reads one line. False when a word is not understood, which is then in `unknown`. Views of the
 * message look into the line. */
bool script_parse(struct span text, struct script_context *context, struct script_line *line,
                  struct span *unknown) MUST_USE;

#endif
