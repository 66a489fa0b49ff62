/* What it costs to put another policy in force over a fleet: the core's sweep alone, nothing is
 * encoded or stored. CPU time, not the clock's.
 *
 * usage: policy_switch DEVICES [FILE|VERSION...]    a line a switch, from each policy to the next
 * and back to the first (default, extended) */
#include "core/app/lane_state.h"
#include "core/app/policy_file.h"
#include "core/app/text.h"
#include "core/decide.h"
#include "core/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH_COUNT = 4096, POLICIES_MAX = 8, DEVICES_MAX = 20000000 };

#define CLOCK_MS INT64_C(1767225600000)
#define HOUR_MS INT64_C(3600000)

static const char *const os_versions[PLATFORM_COUNT] = {"10.0.22631", "14.4", "17.4", "14", "6.1"};

/* The process's own CPU time: others on the machine take none of it. */
static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void take(void *context, const struct result *result) {
  (void)result;
  ++*(uint64_t *)context;
}

static void end_batch(struct lane *lane) {
  lane_end_batch(lane);
  lane_clear_touches(lane);
}

/* A device that enrolled, checked in and reported; one in ten violates something. */
static void live(struct lane *lane, uint32_t number, const struct sink *sink) {
  char serial[16];
  struct event event = {.kind = EVENT_ENROLLMENT};
  const struct message message = {.cause = {.topic = TOPIC_ENROLLMENTS}};
  const enum platform platform = number % PLATFORM_COUNT;
  const bool is_mobile = platform == PLATFORM_IOS || platform == PLATFORM_ANDROID;
  event.serial = span_of(serial, (size_t)snprintf(serial, sizeof serial, "SN%08u", number));
  event.user.subject[0] = 1;
  memcpy(event.user.subject + 1, &number, sizeof number);
  event.event_id[15] = 1; /* 0 is none */
  event.enrollment = (struct enrollment){
      .platform = platform,
      .profile = is_mobile ? PROFILE_MOBILE : PROFILE_STANDARD,
      .ownership = number % 7 == 0 ? OWNERSHIP_PERSONAL : OWNERSHIP_CORPORATE,
      .os_version = span_text(os_versions[platform]),
  };
  decide_event(lane, &event, &message, sink);
  event.kind = EVENT_CHECKIN;
  event.checkin = (struct checkin){.os_version = span_text(os_versions[platform])};
  decide_event(lane, &event, &message, sink);
  event.kind = EVENT_REPORT;
  event.report = (struct report){.antivirus_enabled = TRI_TRUE,
                                 .has_antivirus_signatures_at = true,
                                 .antivirus_signatures_at_ms = CLOCK_MS - HOUR_MS,
                                 .disk_encrypted = number % 10 == 0 ? TRI_FALSE : TRI_TRUE,
                                 .has_screen_lock_pin_length = true,
                                 .screen_lock_pin_length = 6};
  decide_event(lane, &event, &message, sink);
}

static void switch_policy(struct lane *lane, const struct policy *policy) {
  uint64_t result_count = 0;
  const struct sink sink = {.context = &result_count, .take = take};
  const struct cause cause = {.topic = TOPIC_CONTROL};
  const char *const from = lane->policy->version;
  const double start_s = seconds_now();
  sweep_begin_policy(lane, policy, &cause);
  for (uint32_t swept = 0; sweep_is_open(lane); swept++) {
    sweep_step(lane, &sink);
    if (swept % BATCH_COUNT == BATCH_COUNT - 1) {
      end_batch(lane);
    }
  }
  end_batch(lane);
  const double seconds = seconds_now() - start_s;
  printf("%-16s %-16s %9u %9llu %8.3f %12.1f\n", from, policy->version, lane->device_count,
         (unsigned long long)result_count, seconds, seconds * 1e9 / lane->device_count);
}

int main(int argc, char **argv) {
  static const char *const usual[] = {"default", "extended"};
  const char *const *names = argc > 2 ? (const char *const *)(argv + 2) : usual;
  const size_t count = argc > 2 ? (size_t)argc - 2 : COUNT_OF(usual);
  const long device_count = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
  static struct policy policies[POLICIES_MAX];
  struct error error;
  if (device_count < 1 || device_count > DEVICES_MAX || count < 2 || count > POLICIES_MAX) {
    fprintf(stderr, "usage: policy_switch DEVICES [FILE|VERSION...]\n");
    return 2;
  }
  for (size_t i = 0; i < count; i++) {
    if (policy_load(names[i], &policies[i], &error) != STATUS_OK) {
      fprintf(stderr, "policy_switch: %s\n", error.text);
      return 1;
    }
  }
  struct lane lane;
  uint64_t ignored = 0;
  const struct sink sink = {.context = &ignored, .take = take};
  lane_init(&lane, 0, 1, &policies[0], &heap_memory);
  decide_clock(&lane, CLOCK_MS);
  for (uint32_t number = 0; number < (uint32_t)device_count; number++) {
    live(&lane, number, &sink);
    if (number % BATCH_COUNT == 0) {
      end_batch(&lane);
    }
  }
  printf("%-16s %-16s %9s %9s %8s %12s\n", "from", "to", "devices", "results", "CPU s",
         "ns a device");
  for (size_t i = 1; i <= count; i++) {
    switch_policy(&lane, &policies[i % count]);
  }
  lane_fini(&lane);
}
