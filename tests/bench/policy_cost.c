/* What a policy costs: rules held against devices, and whole reports decided, in nanoseconds each.
 *
 * usage: policy_cost [FILE|VERSION]    prints a line a measurement: the least of several runs */
#include "core/app/lane_state.h"
#include "core/app/policy_file.h"
#include "core/decide.h"

#include <stdio.h>
#include <time.h>

enum { DEVICE_COUNT = 65536, ROUNDS = 30, RUNS = 9 };

#define CLOCK_MS INT64_C(1767225600000)
#define HOUR_MS INT64_C(3600000)

static const char *const versions[] = {"10.0.22631", "10.0.19045", "14.2", "13.6.1",
                                       "17.0",       "16.5",       "13",   "unknown"};

static uint64_t state = 1;

/* The same numbers in every run. */
static uint32_t pick(uint32_t count) {
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(state >> 33) % count;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void take(void *context, const struct result *result) {
  (void)result;
  ++*(uint64_t *)context;
}

static void fill(struct lane *lane) {
  for (uint32_t i = 0; i < DEVICE_COUNT; i++) {
    char serial[16];
    const int size = snprintf(serial, sizeof serial, "SN%u", i);
    const uint32_t index = lane_add(lane, span_of(serial, (size_t)size));
    struct device device = lane->devices[index];
    const uint8_t subject[SUBJECT_SIZE] = {1};
    device.person = lane_person(lane, subject);
    device.platform = (uint8_t)pick(PLATFORM_COUNT);
    device.status = DEVICE_ENROLLED;
    device.antivirus_enabled = pick(10) == 0 ? TRI_FALSE : TRI_TRUE;
    device.antivirus_signatures_at_ms = CLOCK_MS - pick(180) * HOUR_MS;
    device.disk_encrypted = pick(10) == 0 ? TRI_FALSE : TRI_TRUE;
    device.has_screen_lock_pin_length = true;
    device.screen_lock_pin_length = (int32_t)(pick(10) == 0 ? 4 : 6);
    lane_set_os_version(lane, &device, span_text(versions[pick(COUNT_OF(versions))]));
    lane->devices[index] = device;
  }
}

static uint64_t hold_all(const struct lane *lane) {
  uint64_t sum = 0;
  for (uint32_t round = 0; round < ROUNDS; round++) {
    for (uint32_t i = 0; i < DEVICE_COUNT; i++) {
      const struct device *device = &lane->devices[i];
      sum += policy_violations(lane->policy, device,
                               lane->versions.texts[device->os_version].outcomes, CLOCK_MS + round);
    }
  }
  return sum;
}

static uint64_t decide_all(struct lane *lane) {
  uint64_t result_count = 0;
  const struct sink sink = {.context = &result_count, .take = take};
  const struct message message = {.cause = {.topic = TOPIC_REPORTS}};
  struct event event = {.kind = EVENT_REPORT};
  for (uint32_t round = 0; round < ROUNDS / 10; round++) {
    for (uint32_t i = 0; i < DEVICE_COUNT; i++) {
      event.serial = lane_serial(lane, &lane->devices[i]);
      event.report = (struct report){.disk_encrypted = pick(20) == 0 ? TRI_FALSE : TRI_TRUE,
                                     .has_screen_lock_pin_length = true,
                                     .screen_lock_pin_length = 6};
      decide_event(lane, &event, &message, &sink);
    }
    lane_end_batch(lane);
    lane_clear_touches(lane);
  }
  return result_count;
}

int main(int argc, char **argv) {
  static struct policy policy;
  struct error error;
  const char *name = argc > 1 ? argv[1] : "default";
  if (policy_load(name, &policy, &error) != STATUS_OK) {
    fprintf(stderr, "policy_cost: %s\n", error.text);
    return 1;
  }
  struct lane whole;
  struct lane *lane = &whole;
  lane_init(lane, 0, 1, &policy, &heap_memory);
  decide_clock(lane, CLOCK_MS);
  fill(lane);
  double hold_s = 1e9;
  double decide_s = 1e9;
  uint64_t sum = 0;
  uint64_t result_count = 0;
  for (int run = 0; run < RUNS; run++) {
    const double start_s = seconds_now();
    sum += hold_all(lane);
    const double middle_s = seconds_now();
    result_count += decide_all(lane);
    const double end_s = seconds_now();
    hold_s = middle_s - start_s < hold_s ? middle_s - start_s : hold_s;
    decide_s = end_s - middle_s < decide_s ? end_s - middle_s : decide_s;
  }
  printf("policy %s: %u rules, %u clauses\n", policy.version, policy.rule_count,
         policy.checks.clause_count);
  printf("violations %6.2f ns a device (sum %llu)\n", hold_s * 1e9 / DEVICE_COUNT / ROUNDS,
         (unsigned long long)sum);
  printf("report     %6.2f ns a report (%llu results)\n",
         decide_s * 1e9 / DEVICE_COUNT / (ROUNDS / 10), (unsigned long long)result_count);
  lane_fini(lane);
}
