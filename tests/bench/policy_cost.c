/* What policies cost, side by side: rules held against devices, reports decided, and a fleet's log
 * worked off by the core alone. Nothing is read, encoded or stored. CPU time, not the clock's.
 *
 * usage: policy_cost [FILE|VERSION...]    a line a policy (default); ratios are to the first
 *
 * The log is that of `scripts/bench backlog`: 100,000 devices that enrol within an hour, and then
 * check in and report every eight hours, ten times: 2.1 million messages over 73 hours. */
#include "core/app/lane_state.h"
#include "core/app/policy_file.h"
#include "core/app/text.h"
#include "core/decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  DEVICE_COUNT = 65536,
  ROUNDS = 30,
  RUNS = 7,
  FLEET_COUNT = 100000,
  FLEET_ROUNDS = 10,
  FLEET_MESSAGE_COUNT = FLEET_COUNT * (1 + 2 * FLEET_ROUNDS),
  BATCH_COUNT = 4096,
  POLICIES_MAX = 8,
};

#define CLOCK_MS INT64_C(1767225600000)
#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)

static const char *const versions[] = {"10.0.22631", "10.0.19045", "14.2", "13.6.1",
                                       "17.0",       "16.5",       "13",   "unknown"};

static uint64_t state = 1;

/* The same numbers in every run. */
static uint32_t pick(uint32_t count) {
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (uint32_t)(state >> 33) % count;
}

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

/* ---- Devices that are there already ---- */

static void fill(struct lane *lane) {
  state = 1;
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

/* ---- The log of a fleet ---- */

enum { LAPSE_OS = 1, LAPSE_ANTIVIRUS = 2, LAPSE_SIGNATURES = 4, LAPSE_DISK = 8, LAPSE_PIN = 16 };

/* As scripts/lib/load.py has them: a version that will do, and one that will not. */
static const struct model {
  uint32_t share; /* of a hundred */
  enum platform platform;
  enum profile profile;
  const char *os_version, *old_os_version;
} models[] = {
    {55, PLATFORM_WINDOWS, PROFILE_STANDARD, "10.0.22631", "10.0.19045"},
    {10, PLATFORM_MACOS, PROFILE_STANDARD, "14.4", "12.7"},
    {4, PLATFORM_MACOS, PROFILE_EXECUTIVE, "15.1", "13.6.9"},
    {3, PLATFORM_WINDOWS, PROFILE_EXECUTIVE, "10.0.26100", "6.3.9600"},
    {13, PLATFORM_IOS, PROFILE_MOBILE, "17.4", "15.8"},
    {10, PLATFORM_ANDROID, PROFILE_MOBILE, "14", "11"},
    {5, PLATFORM_LINUX, PROFILE_STANDARD, "6.1", "2.6"},
};

struct fleet_message {
  int64_t at_ms;
  uint32_t device;
  uint8_t kind, model, lapses;
};

static uint8_t turn(uint8_t lapses) {
  if (lapses != 0) {
    return pick(10) < 3 ? 0 : lapses;
  }
  if (pick(20) != 0) {
    return 0;
  }
  uint32_t bits = 1u << pick(5);
  if (pick(5) == 0) {
    bits |= 1u << pick(5);
  }
  return (uint8_t)bits;
}

static int by_time(const void *a, const void *b) {
  const struct fleet_message *one = a;
  const struct fleet_message *other = b;
  if (one->at_ms != other->at_ms) {
    return one->at_ms < other->at_ms ? -1 : 1;
  }
  return one->device == other->device  ? one->kind - other->kind
         : one->device < other->device ? -1
                                       : 1;
}

static struct fleet_message *make_log(void) {
  struct fleet_message *log = memory_zeroed(FLEET_MESSAGE_COUNT, sizeof log[0]);
  size_t count = 0;
  state = 2;
  for (uint32_t device = 0; device < FLEET_COUNT; device++) {
    const int64_t enrolled_at_ms = CLOCK_MS + pick(3600000);
    uint8_t model = 0;
    for (uint32_t left = pick(100); left >= models[model].share; model++) {
      left -= models[model].share;
    }
    struct fleet_message message = {.at_ms = enrolled_at_ms, .device = device, .model = model};
    log[count++] = message;
    for (uint32_t round = 0; round < FLEET_ROUNDS; round++) {
      message.lapses = turn(message.lapses);
      message.kind = EVENT_CHECKIN;
      message.at_ms = enrolled_at_ms + (5 + 480 * round) * MINUTE_MS + pick(900000);
      log[count++] = message;
      message.kind = EVENT_REPORT;
      message.at_ms += 1000;
      log[count++] = message;
    }
  }
  qsort(log, count, sizeof log[0], by_time);
  return log;
}

static struct report fleet_report(const struct fleet_message *message, struct span os_version) {
  const enum platform platform = models[message->model].platform;
  const bool is_computer = platform == PLATFORM_WINDOWS || platform == PLATFORM_MACOS;
  struct report report = {
      .has_os_version = true,
      .os_version = os_version,
      .disk_encrypted = (message->lapses & LAPSE_DISK) != 0 ? TRI_FALSE : TRI_TRUE,
      .has_screen_lock_pin_length = true,
      .screen_lock_pin_length = (message->lapses & LAPSE_PIN) != 0 ? 3 : 6,
  };
  if (is_computer) {
    report.antivirus_enabled = (message->lapses & LAPSE_ANTIVIRUS) != 0 ? TRI_FALSE : TRI_TRUE;
    report.has_antivirus_signatures_at = true;
    report.antivirus_signatures_at_ms =
        message->at_ms - ((message->lapses & LAPSE_SIGNATURES) != 0 ? 216 : 24) * HOUR_MS;
  }
  return report;
}

/* The event of a message; `serial` and `email` are filled in and looked into. */
static struct event fleet_event(const struct fleet_message *message, char serial[16],
                                char email[32]) {
  const struct model *model = &models[message->model];
  const struct span version =
      span_text((message->lapses & LAPSE_OS) != 0 ? model->old_os_version : model->os_version);
  const uint32_t user = message->device % (FLEET_COUNT * 4 / 5);
  struct event event = {.kind = message->kind, .occurred_at_ms = message->at_ms};
  event.serial = span_of(serial, (size_t)snprintf(serial, 16, "SN%08u", message->device));
  memcpy(event.event_id, &message->device, sizeof message->device);
  event.event_id[15] = 1; /* 0 is none */
  if (message->kind == EVENT_ENROLLMENT) {
    event.user.email = span_of(email, (size_t)snprintf(email, 32, "user%u@example.org", user));
    memcpy(event.user.subject, &user, sizeof user);
    event.user.subject[15] = 1;
    event.enrollment = (struct enrollment){
        .platform = model->platform,
        .profile = model->profile,
        .ownership = message->device % 7 == 0 ? OWNERSHIP_PERSONAL : OWNERSHIP_CORPORATE,
        .os_version = version,
    };
  } else if (message->kind == EVENT_CHECKIN) {
    event.checkin = (struct checkin){.os_version = version, .trigger = TRIGGER_SCHEDULED};
  } else {
    event.report = fleet_report(message, version);
  }
  return event;
}

static enum topic fleet_topic(uint8_t kind) {
  return kind == EVENT_ENROLLMENT ? TOPIC_ENROLLMENTS
         : kind == EVENT_CHECKIN  ? TOPIC_CHECKINS
                                  : TOPIC_REPORTS;
}

/* CPU seconds that the whole log takes, from a lane without devices; the results made. */
static double work_off(const struct policy *policy, const struct fleet_message *log,
                       uint64_t *result_count) {
  struct lane lane;
  const struct sink sink = {.context = result_count, .take = take};
  char serial[16];
  char email[32];
  *result_count = 0;
  const double start_s = seconds_now();
  lane_init(&lane, 0, 1, policy, &heap_memory);
  decide_clock(&lane, CLOCK_MS);
  for (size_t i = 0; i < FLEET_MESSAGE_COUNT; i++) {
    const struct message message = {
        .cause = {.topic = fleet_topic(log[i].kind), .offset = (int64_t)i}};
    const struct event event = fleet_event(&log[i], serial, email);
    for (const struct timer *first = timers_first(&lane.timers);
         first != NULL && first->due_at_ms <= log[i].at_ms; first = timers_first(&lane.timers)) {
      decide_timer(&lane, &sink);
    }
    decide_clock(&lane, log[i].at_ms);
    decide_event(&lane, &event, &message, &sink);
    if ((i + 1) % BATCH_COUNT == 0 || i + 1 == FLEET_MESSAGE_COUNT) {
      lane_end_batch(&lane);
      lane_clear_touches(&lane);
    }
  }
  const double end_s = seconds_now();
  lane_fini(&lane);
  return end_s - start_s;
}

/* ---- Side by side ---- */

struct cost {
  struct policy *policy;
  double hold_s, decide_s;
  double load_s[RUNS];
  uint64_t sum, result_count;
};

static void measure_devices(struct cost *cost) {
  struct lane lane;
  lane_init(&lane, 0, 1, cost->policy, &heap_memory);
  decide_clock(&lane, CLOCK_MS);
  fill(&lane);
  const double start_s = seconds_now();
  cost->sum += hold_all(&lane);
  const double middle_s = seconds_now();
  cost->sum += decide_all(&lane);
  const double end_s = seconds_now();
  cost->hold_s = middle_s - start_s < cost->hold_s ? middle_s - start_s : cost->hold_s;
  cost->decide_s = end_s - middle_s < cost->decide_s ? end_s - middle_s : cost->decide_s;
  lane_fini(&lane);
}

static int by_size(const void *a, const void *b) {
  const double one = *(const double *)a;
  const double other = *(const double *)b;
  return (one > other) - (one < other);
}

static void print(struct cost *costs, size_t count) {
  printf("CPU time; the least of %d runs, of the log the median, policies by turns\n", RUNS);
  printf("%-16s %5s %7s %13s %9s %17s %9s %7s\n", "policy", "rules", "clauses", "ns a device",
         "ns a report", "s of 2.1 M messages", "results", "ratio");
  for (size_t i = 0; i < count; i++) {
    struct cost *cost = &costs[i];
    qsort(cost->load_s, RUNS, sizeof cost->load_s[0], by_size);
    printf("%-16s %5u %7u %13.2f %11.1f %19.3f %9llu %7.2f\n", cost->policy->version,
           cost->policy->rule_count, cost->policy->checks.clause_count,
           cost->hold_s * 1e9 / DEVICE_COUNT / ROUNDS,
           cost->decide_s * 1e9 / DEVICE_COUNT / (ROUNDS / 10), cost->load_s[RUNS / 2],
           (unsigned long long)cost->result_count,
           cost->load_s[RUNS / 2] / costs[0].load_s[RUNS / 2]);
  }
}

int main(int argc, char **argv) {
  static const char *const none[] = {"default"};
  const char *const *names = argc > 1 ? (const char *const *)(argv + 1) : none;
  const size_t count = argc > 1 ? (size_t)argc - 1 : 1;
  struct cost costs[POLICIES_MAX];
  struct error error;
  if (count > POLICIES_MAX) {
    fprintf(stderr, "policy_cost: at most %d policies\n", (int)POLICIES_MAX);
    return 2;
  }
  for (size_t i = 0; i < count; i++) {
    costs[i] = (struct cost){.hold_s = 1e9, .decide_s = 1e9};
    costs[i].policy = memory_zeroed(1, sizeof *costs[i].policy);
    if (policy_load(names[i], costs[i].policy, &error) != STATUS_OK) {
      fprintf(stderr, "policy_cost: %s\n", error.text);
      return 1;
    }
  }
  struct fleet_message *log = make_log();
  for (int run = 0; run < RUNS; run++) {
    for (size_t i = 0; i < count; i++) {
      measure_devices(&costs[i]);
      costs[i].load_s[run] = work_off(costs[i].policy, log, &costs[i].result_count);
    }
  }
  print(costs, count);
  free(log);
  for (size_t i = 0; i < count; i++) {
    free(costs[i].policy);
  }
}
