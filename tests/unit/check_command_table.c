/* Every move of status, under every role; and every other command in every status. */
#include "core/app/lane_state.h"
#include "core/app/policy_shipped.h"
#include "core/command.h"
#include "core/decide.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define START_MS INT64_C(1767225600000)

static const char serial[] = "SN1";

/* Who asks. */
enum asker { CONSOLE, NOBODY, OPERATOR, ADMIN, ASKER_COUNT };

struct seen {
  uint32_t audit_count, action_count, license_count;
  enum audit_action action;
  enum outcome outcome;
  char reason[320];
};

static void see(void *context, const struct result *result) {
  struct seen *seen = context;
  seen->action_count += result->kind == RESULT_ACTION;
  seen->license_count += result->kind == RESULT_LICENSE;
  if (result->kind == RESULT_AUDIT) {
    seen->audit_count++;
    seen->action = result->audit.action;
    seen->outcome = result->audit.outcome;
    snprintf(seen->reason, sizeof seen->reason, "%s", result->audit.reason);
  }
}

static void name(struct named_person *person, const char *text) {
  person->email = span_text(text);
  memcpy(person->subject, text, strlen(text) + 1);
}

static void send(struct lane *lane, const struct event *event, struct seen *seen) {
  const struct message message = {.cause = {.topic = TOPIC_COMMANDS, .offset = 1}};
  const struct sink sink = {.context = seen, .take = see};
  *seen = (struct seen){0};
  decide_event(lane, event, &message, &sink);
}

/* A lane with one device, in that status, and a holder of each role. */
static struct lane_state *begin(enum device_status status) {
  struct lane_state *state = lane_state_open(0, 1);
  struct lane *lane = &state->lane;
  struct event event = {.kind = EVENT_ENROLLMENT, .serial = span_text(serial)};
  struct seen unused;
  event.enrollment.os_version = span_text("10.0.22631");
  name(&event.user, "user");
  decide_clock(lane, START_MS);
  send(lane, &event, &unused);
  lane->devices[0].status = (uint8_t)status;
  lane->devices[0].has_license = status == DEVICE_ENROLLED;
  lane_schedule(lane, 0);
  struct named_person person = {0};
  name(&person, "admin");
  control_grant(&lane->control, &lane->memory, person.subject, ROLE_ADMIN);
  memset(&person, 0, sizeof person);
  name(&person, "operator");
  control_grant(&lane->control, &lane->memory, person.subject, ROLE_OPERATOR);
  return state;
}

static void end(struct lane_state *state) {
  lane_end_batch(&state->lane);
  lane_state_close(state);
}

static struct event ask(enum command_kind kind, enum asker asker) {
  static const char *const names[ASKER_COUNT] = {NULL, "nobody", "operator", "admin"};
  struct event event = {.kind = EVENT_COMMAND, .event_id = {7}, .serial = span_text(serial)};
  event.command = (struct device_command){.kind = kind,
                                          .has_wipe_reason = true,
                                          .wipe_reason = WIPE_LOST,
                                          .has_confirm = true,
                                          .confirm = span_text(serial),
                                          .name = span_text("lobby")};
  if (names[asker] != NULL) {
    name(&event.actor, names[asker]);
  }
  return event;
}

/* From a row to a column; 1: allowed, to whom an operator's role or the console is enough. */
static const bool allowed[DEVICE_STATUS_COUNT][DEVICE_STATUS_COUNT] = {
    /*             PENDING ENROLLED FAILED WIPED RETIRED */
    [DEVICE_PENDING] = {0, 1, 1, 0, 1}, [DEVICE_ENROLLED] = {1, 0, 0, 0, 1},
    [DEVICE_FAILED] = {1, 1, 0, 0, 1},  [DEVICE_WIPED] = {0, 0, 0, 0, 0},
    [DEVICE_RETIRED] = {0, 0, 0, 0, 0},
};

static void check_move(enum device_status from, enum device_status to, enum asker asker) {
  struct lane_state *state = begin(from);
  struct event event = ask(COMMAND_SET_STATUS, asker);
  struct seen seen;
  event.command.has_status = true;
  event.command.status = to;
  send(&state->lane, &event, &seen);
  const bool is_done = allowed[from][to] && asker != NOBODY;
  const struct device *device = &state->lane.devices[0];
  ck_assert_msg(seen.audit_count == 1 && (seen.outcome == OUTCOME_OK) == is_done,
                "%s to %s by %d: %s", device_status_name(from), device_status_name(to), asker,
                seen.reason);
  ck_assert_int_eq(device->status, is_done ? to : from);
  ck_assert_int_eq(seen.action, is_done && to == DEVICE_RETIRED ? AUDIT_DELETE : AUDIT_UPDATE);
  ck_assert_uint_eq(seen.action_count, is_done && to == DEVICE_RETIRED);
  /* Held from ENROLLED on: given back by a retirement, given by ENROLLED. */
  ck_assert_uint_eq(
      seen.license_count,
      is_done && (to == DEVICE_ENROLLED || (to == DEVICE_RETIRED && from == DEVICE_ENROLLED)));
  if (!is_done && asker != NOBODY) { /* which moves there are */
    for (enum device_status other = 0; other < DEVICE_STATUS_COUNT; other++) {
      if (allowed[from][other]) {
        ck_assert_ptr_nonnull(strstr(seen.reason, device_status_name(other)));
      }
    }
  }
  send(&state->lane, &event, &seen); /* the same message again */
  ck_assert_uint_eq(seen.audit_count, 0);
  end(state);
}

START_TEST(every_move_under_every_role) {
  for (enum device_status from = 0; from < DEVICE_STATUS_COUNT; from++) {
    for (enum device_status to = 0; to < DEVICE_STATUS_COUNT; to++) {
      ck_assert_int_eq(command_allows_move(from, to), allowed[from][to]);
      for (enum asker asker = 0; asker < ASKER_COUNT; asker++) {
        check_move(from, to, asker);
      }
    }
  }
}
END_TEST

/* Who may ask for what, of a device that is ENROLLED, with no wipe pending. */
static const bool may[COMMAND_COUNT][ASKER_COUNT] = {
    /*                       CONSOLE NOBODY OPERATOR ADMIN */
    [COMMAND_WIPE] = {0, 0, 0, 1},
    [COMMAND_RETIRE] = {1, 0, 1, 1},
    [COMMAND_RENAME] = {1, 0, 1, 1},
    [COMMAND_SYNC] = {1, 0, 1, 1},
};

START_TEST(every_command_under_every_role_in_every_status) {
  for (enum command_kind kind = COMMAND_WIPE; kind < COMMAND_COUNT; kind++) {
    for (enum device_status status = 0; status < DEVICE_STATUS_COUNT; status++) {
      for (enum asker asker = 0; asker < ASKER_COUNT; asker++) {
        const bool is_over = status == DEVICE_WIPED || status == DEVICE_RETIRED;
        struct lane_state *state = begin(status);
        const struct event event = ask(kind, asker);
        struct seen seen;
        send(&state->lane, &event, &seen);
        ck_assert_uint_eq(seen.audit_count, 1);
        ck_assert_msg((seen.outcome == OUTCOME_OK) == (may[kind][asker] && !is_over),
                      "%s in %s by %d: %s", command_name(kind), device_status_name(status), asker,
                      seen.reason);
        ck_assert_uint_eq(seen.action_count, seen.outcome == OUTCOME_OK && kind != COMMAND_WIPE);
        end(state);
      }
    }
  }
}
END_TEST

START_TEST(a_pending_wipe_under_every_role) {
  static const bool may_withdraw[ASKER_COUNT] = {true, false, true, true};
  for (enum asker asker = 0; asker < ASKER_COUNT; asker++) {
    struct lane_state *state = begin(DEVICE_ENROLLED);
    struct seen seen;
    struct event event = ask(COMMAND_WIPE, ADMIN);
    send(&state->lane, &event, &seen);
    ck_assert_int_eq(seen.outcome, OUTCOME_OK);
    ck_assert_int_eq(state->lane.devices[0].wipe, WIPE_ARMED);
    event = ask(COMMAND_WITHDRAW_WIPE, asker);
    event.event_id[0] = 8;
    send(&state->lane, &event, &seen);
    ck_assert_int_eq(seen.outcome, may_withdraw[asker] ? OUTCOME_OK : OUTCOME_REFUSED);
    end(state);
  }
}
END_TEST

/* A reason is cut, not lost, when the note is as long as it may be. */
START_TEST(a_long_note_is_told) {
  struct lane_state *state = begin(DEVICE_ENROLLED);
  struct event event = ask(COMMAND_WIPE, CONSOLE);
  struct seen seen;
  char note[NOTE_SIZE_MAX + 1] = {0};
  memset(note, 'n', NOTE_SIZE_MAX);
  event.command.note = span_text(note);
  send(&state->lane, &event, &seen);
  ck_assert_str_eq(seen.reason + strlen(seen.reason) - NOTE_SIZE_MAX, note);
  end(state);
}
END_TEST

int main(void) {
  Suite *const suite = suite_create("command table");
  TCase *const tests = tcase_create("table");
  tcase_add_test(tests, every_move_under_every_role);
  tcase_add_test(tests, every_command_under_every_role_in_every_status);
  tcase_add_test(tests, a_pending_wipe_under_every_role);
  tcase_add_test(tests, a_long_note_is_told);
  suite_add_tcase(suite, tests);
  SRunner *const runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  const int failed_count = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
