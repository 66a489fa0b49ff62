#include "core/app/metrics.h"

#include "core/app/text.h"
#include "core/event.h"
#include "core/result.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM };

enum metric_labels {
  METRIC_LABELS_NONE,
  METRIC_LABELS_LANE,
  METRIC_LABELS_LANE_TOPIC,
  METRIC_LABELS_LANE_RESULT,
  METRIC_LABELS_LANE_CODE,
};

static const struct {
  const char *name;
  enum metric_type type;
  enum metric_labels labels;
  const char *help;
} families[] = {
#define X(metric, kind, text, label_set, meaning)                                                  \
  [METRIC_##metric] = {.name = (text),                                                             \
                       .type = METRIC_TYPE_##kind,                                                 \
                       .labels = METRIC_LABELS_##label_set,                                        \
                       .help = (meaning)},
    METRIC_LIST(X)
#undef X
};

/* Seconds: from a commit to a local database to one that is about to be given up. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,  0.5,    1,     2.5,  5,     10,   30};
enum { BOUND_COUNT = COUNT_OF(bounds) };

struct series {
  bool is_set;
  double value; /* of a histogram the sum */
  uint64_t count;
  uint64_t buckets[BOUND_COUNT]; /* of a histogram; not cumulative */
};

/* The series of one metric: lanes follow one another, each with one series an index. */
struct family_values {
  struct series *series;
  size_t lane_count;
};

struct metrics {
  struct family_values values[METRIC_COUNT];
};

static size_t index_count(enum metric_labels labels) {
  switch (labels) {
  case METRIC_LABELS_NONE:
  case METRIC_LABELS_LANE:
    return 1;
  case METRIC_LABELS_LANE_TOPIC:
    return TOPIC_COUNT;
  case METRIC_LABELS_LANE_RESULT:
    return RESULT_KIND_COUNT;
  case METRIC_LABELS_LANE_CODE:
    return REJECT_COUNT;
  }
  assert(false);
  return 1;
}

struct metrics *metrics_open(void) {
  return memory_zeroed(1, sizeof(struct metrics));
}

void metrics_close(struct metrics *metrics) {
  if (metrics == NULL) {
    return;
  }
  for (size_t i = 0; i < METRIC_COUNT; i++) {
    free(metrics->values[i].series);
  }
  free(metrics);
}

static struct series *series_of(struct metrics *metrics, enum metric metric, uint32_t lane,
                                uint32_t index) {
  const size_t width = index_count(families[metric].labels);
  struct family_values *const values = &metrics->values[metric];
  assert(index < width);
  assert(lane == 0 || families[metric].labels != METRIC_LABELS_NONE);
  if (lane >= values->lane_count) {
    const size_t lane_count = (size_t)lane + 1;
    values->series = memory_grown(values->series, lane_count * width, sizeof(struct series));
    memset(values->series + values->lane_count * width, 0,
           (lane_count - values->lane_count) * width * sizeof(struct series));
    values->lane_count = lane_count;
  }
  return &values->series[lane * width + index];
}

void metric_add(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double amount) {
  assert(families[metric].type != METRIC_TYPE_HISTOGRAM);
  assert(families[metric].type != METRIC_TYPE_COUNTER || amount >= 0);
  struct series *const series = series_of(metrics, metric, lane, index);
  series->is_set = true;
  series->value += amount;
}

void metric_set(struct metrics *metrics, enum metric metric, uint32_t lane, uint32_t index,
                double value) {
  assert(families[metric].type == METRIC_TYPE_GAUGE);
  struct series *const series = series_of(metrics, metric, lane, index);
  series->is_set = true;
  series->value = value;
}

void metric_observe(struct metrics *metrics, enum metric metric, uint32_t lane, double value) {
  assert(families[metric].type == METRIC_TYPE_HISTOGRAM);
  struct series *const series = series_of(metrics, metric, lane, 0);
  series->is_set = true;
  series->value += value;
  series->count++;
  for (size_t i = 0; i < BOUND_COUNT; i++) {
    if (value <= bounds[i]) {
      series->buckets[i]++;
      return;
    }
  }
}

void metrics_drop_lane(struct metrics *metrics, uint32_t lane) {
  for (size_t i = 0; i < METRIC_COUNT; i++) {
    struct family_values *const values = &metrics->values[i];
    const bool has_lane = families[i].labels != METRIC_LABELS_NONE && lane < values->lane_count;
    if (families[i].type == METRIC_TYPE_GAUGE && has_lane) {
      const size_t width = index_count(families[i].labels);
      memset(values->series + lane * width, 0, width * sizeof(struct series));
    }
  }
}

/* Labels in braces, with `bound` as the label le when it is not NULL; nothing without any. */
static void write_labels(FILE *stream, enum metric_labels labels, size_t lane, size_t index,
                         const char *bound) {
  switch (labels) {
  case METRIC_LABELS_NONE:
    if (bound != NULL) {
      fprintf(stream, "{le=\"%s\"}", bound);
    }
    return;
  case METRIC_LABELS_LANE:
    fprintf(stream, "{lane=\"%zu\"", lane);
    break;
  case METRIC_LABELS_LANE_TOPIC:
    fprintf(stream, "{lane=\"%zu\",topic=\"%s\"", lane, topic_name((enum topic)index));
    break;
  case METRIC_LABELS_LANE_RESULT:
    fprintf(stream, "{lane=\"%zu\",topic=\"%s\"", lane, result_topic_name((enum result_kind)index));
    break;
  case METRIC_LABELS_LANE_CODE:
    fprintf(stream, "{lane=\"%zu\",code=\"%s\"", lane, reject_code_name((enum reject_code)index));
    break;
  }
  if (bound != NULL) {
    fprintf(stream, ",le=\"%s\"", bound);
  }
  fputc('}', stream);
}

/* Whole numbers without a fraction, whatever their size; others with all that they hold. */
static void write_value(FILE *stream, double value) {
  const bool is_small = value > -9e15 && value < 9e15; /* a double still counts one by one */
  if (is_small && value == (double)(int64_t)value) {
    fprintf(stream, " %" PRId64 "\n", (int64_t)value);
  } else {
    fprintf(stream, " %.17g\n", value);
  }
}

static void write_histogram(FILE *stream, enum metric metric, size_t lane,
                            const struct series *series) {
  const char *const name = families[metric].name;
  const enum metric_labels labels = families[metric].labels;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < BOUND_COUNT; i++) {
    char bound[32];
    snprintf(bound, sizeof bound, "%g", bounds[i]);
    cumulative += series->buckets[i];
    fprintf(stream, "%s_bucket", name);
    write_labels(stream, labels, lane, 0, bound);
    fprintf(stream, " %" PRIu64 "\n", cumulative);
  }
  fprintf(stream, "%s_bucket", name);
  write_labels(stream, labels, lane, 0, "+Inf");
  fprintf(stream, " %" PRIu64 "\n%s_sum", series->count, name);
  write_labels(stream, labels, lane, 0, NULL);
  write_value(stream, series->value);
  fprintf(stream, "%s_count", name);
  write_labels(stream, labels, lane, 0, NULL);
  fprintf(stream, " %" PRIu64 "\n", series->count);
}

static void write_series(FILE *stream, enum metric metric, size_t lane, size_t index,
                         const struct series *series) {
  if (families[metric].type == METRIC_TYPE_HISTOGRAM) {
    write_histogram(stream, metric, lane, series);
    return;
  }
  fputs(families[metric].name, stream);
  write_labels(stream, families[metric].labels, lane, index, NULL);
  write_value(stream, series->value);
}

static void write_family(FILE *stream, enum metric metric, const struct family_values *values) {
  static const char *const type_names[] = {"counter", "gauge", "histogram"};
  const size_t width = index_count(families[metric].labels);
  bool has_head = false;
  for (size_t i = 0; i < values->lane_count * width; i++) {
    if (!values->series[i].is_set) {
      continue;
    }
    if (!has_head) {
      has_head = true;
      fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", families[metric].name, families[metric].help,
              families[metric].name, type_names[families[metric].type]);
    }
    write_series(stream, metric, i / width, i % width, &values->series[i]);
  }
}

void metrics_write(const struct metrics *metrics, FILE *stream) {
  for (size_t i = 0; i < METRIC_COUNT; i++) {
    write_family(stream, (enum metric)i, &metrics->values[i]);
  }
}
