/* Where each lane stands: its journal, what is published, what waits. */
#include "core/app/command.h"

#include "core/app/database.h"
#include "core/app/kafka_client.h"
#include "core/app/lag.h"
#include "core/app/output.h"
#include "core/app/text.h"
#include "core/result.h"
#include "producers/publish.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lane_status {
  int64_t batch; /* 0: the lane has never committed */
  int64_t last_seq;
  int64_t clock_ms; /* TIME_NONE before the first message */
  int64_t published_batch;
  int64_t timers;
  int64_t dead_letters;
  struct lag lags[TOPIC_COUNT];
};

struct overview {
  const struct config *config;
  struct lane_status *lanes;
  size_t lane_count;
};

/* One lane's last journal row, and what its whole journal counts. */
static const char journal_sql[] =
    "select n.lane, j.batch, j.last_seq, (extract(epoch from j.clock_after) * 1000)::bigint,"
    "  j.ranges, (select sum((c.counts->>'dead_letters')::bigint) from muster.journal c"
    "    where c.kind = 'BATCH' and c.lane = n.lane)"
    " from generate_series(0, $1::integer - 1) n (lane) left join lateral ("
    "  select batch, last_seq, clock_after, ranges from muster.journal"
    "  where kind = 'BATCH' and lane = n.lane order by batch desc limit 1) j on true";

static const char timers_sql[] =
    "select lane, count(next_action_at) from muster.devices group by lane";

/* The next offset of each topic: where the last batch ended. */
static void take_ranges(const struct overview *overview, struct lane_status *lane,
                        struct span ranges) {
  json_t *const list = json_loadb((const char *)ranges.data, ranges.size, 0, NULL);
  size_t place;
  json_t *range;
  json_array_foreach(list, place, range) {
    const char *const topic = json_string_value(json_object_get(range, "topic"));
    for (size_t i = 0; topic != NULL && i < TOPIC_COUNT; i++) {
      if (strcmp(kafka_topic_short(overview->config, topic), lane->lags[i].topic) == 0) {
        lane->lags[i].next_offset = json_integer_value(json_object_get(range, "to"));
      }
    }
  }
  json_decref(list);
}

static struct lane_status *lane_of(const struct overview *overview, struct span value) {
  const int64_t lane = database_integer(value);
  return lane >= 0 && (size_t)lane < overview->lane_count ? &overview->lanes[lane] : NULL;
}

static enum status take_journal(void *context, const struct span *values, struct error *error) {
  (void)error;
  const struct overview *const overview = context;
  struct lane_status *const lane = lane_of(overview, values[0]);
  if (lane == NULL || values[1].data == NULL) {
    return STATUS_OK;
  }
  lane->batch = database_integer(values[1]);
  lane->last_seq = database_integer(values[2]);
  lane->clock_ms = values[3].data == NULL ? TIME_NONE : database_integer(values[3]);
  if (values[4].data != NULL) {
    take_ranges(overview, lane, values[4]);
  }
  lane->dead_letters = database_integer(values[5]);
  return STATUS_OK;
}

static enum status take_timers(void *context, const struct span *values, struct error *error) {
  (void)error;
  struct lane_status *const lane = lane_of(context, values[0]);
  if (lane != NULL) {
    lane->timers = database_integer(values[1]);
  }
  return STATUS_OK;
}

static void init_lanes(struct overview *overview, int32_t lane_count) {
  overview->lane_count = (size_t)lane_count;
  overview->lanes = memory_zeroed(overview->lane_count, sizeof overview->lanes[0]);
  for (size_t i = 0; i < overview->lane_count; i++) {
    overview->lanes[i].clock_ms = TIME_NONE;
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
      overview->lanes[i].lags[topic] = (struct lag){
          .topic = topic_name((enum topic)topic),
          .partition = topic == TOPIC_CONTROL ? 0 : (int32_t)i,
      };
    }
  }
}

/* Connected before Kafka is asked: of two that are out of reach the one that says so at once. */
static enum status read_database(struct overview *overview, struct pg_conn *database,
                                 struct error *error) {
  char count[16];
  snprintf(count, sizeof count, "%zu", overview->lane_count);
  const char *const parameters[] = {count};
  const enum status status =
      database_query(database, journal_sql, parameters, 1, take_journal, overview, error);
  if (status != STATUS_OK) {
    return status;
  }
  return database_query(database, timers_sql, NULL, 0, take_timers, overview, error);
}

static enum status read_published(struct overview *overview, struct error *error) {
  for (size_t i = 0; i < overview->lane_count; i++) {
    struct rd_kafka_conf_s *const conf = kafka_conf(overview->config, NULL, error);
    if (conf == NULL) {
      return STATUS_CONFIG;
    }
    struct journal_position position = {0};
    const enum status status = journal_position_read(conf, overview->config->kafka.topic_prefix,
                                                     (uint32_t)i, &position, error);
    if (status != STATUS_OK) {
      return status;
    }
    overview->lanes[i].published_batch = position.found ? (int64_t)position.batch : 0;
  }
  return STATUS_OK;
}

/* All lanes' partitions in one go. */
static enum status read_lags(struct overview *overview, struct error *error) {
  const size_t count = overview->lane_count * TOPIC_COUNT;
  struct lag *const lags = memory_zeroed(count, sizeof lags[0]);
  for (size_t i = 0; i < overview->lane_count; i++) {
    memcpy(&lags[i * TOPIC_COUNT], overview->lanes[i].lags, sizeof overview->lanes[i].lags);
  }
  const enum status status = lag_measure(overview->config, lags, count, error);
  for (size_t i = 0; i < overview->lane_count; i++) {
    memcpy(overview->lanes[i].lags, &lags[i * TOPIC_COUNT], sizeof overview->lanes[i].lags);
  }
  free(lags);
  return status;
}

static const struct column columns[] = {
    {"lane", COLUMN_INTEGER, false},
    {"lag_messages", COLUMN_INTEGER, false},
    {"lag_seconds", COLUMN_NUMBER, false},
    {"batch", COLUMN_INTEGER, false},
    {"seq", COLUMN_INTEGER, false},
    {"clock", COLUMN_TIME, false},
    {"published_batch", COLUMN_INTEGER, false},
    {"timers_pending", COLUMN_INTEGER, false},
    {"dead_letters", COLUMN_INTEGER, false},
    {"topics", COLUMN_JSON, true},
};

/* The part of each topic, as a JSON array; the caller frees it. */
static char *topics_json(const struct lane_status *lane) {
  json_t *const list = json_array();
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    const struct lag *const lag = &lane->lags[i];
    json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:I, s:I}", "topic", lag->topic,
                                          "partition", (int)lag->partition, "next_offset",
                                          (json_int_t)lag->next_offset, "end_offset",
                                          (json_int_t)lag->end_offset, "lag_messages",
                                          (json_int_t)lag->messages));
  }
  char *const text = json_dumps(list, JSON_COMPACT);
  json_decref(list);
  return text == NULL ? text_copy("[]") : text;
}

/* How long the first message not taken has waited since its stamp: 0 when there is none, null
 * when it has no stamp or could not be seen in time. */
static struct cell lag_cell(const struct lane_status *lane, int64_t now_ms) {
  int64_t longest_ms = 0;
  bool is_known = true;
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    const struct lag *const lag = &lane->lags[i];
    if (lag->messages > 0 && lag->waiting_since_ms < 0) {
      is_known = false;
    } else if (lag->messages > 0 && now_ms - lag->waiting_since_ms > longest_ms) {
      longest_ms = now_ms - lag->waiting_since_ms;
    }
  }
  return is_known ? (struct cell){.number = (double)longest_ms / 1000.0} : cell_null();
}

static void print_lane(struct output *output, const struct lane_status *lane, size_t number,
                       int64_t now_ms) {
  int64_t messages = 0;
  for (size_t i = 0; i < TOPIC_COUNT; i++) {
    messages += lane->lags[i].messages;
  }
  char *const topics = topics_json(lane);
  const struct cell cells[] = {
      cell_integer((int64_t)number),
      cell_integer(messages),
      lag_cell(lane, now_ms),
      cell_integer(lane->batch),
      cell_integer(lane->last_seq),
      lane->clock_ms == TIME_NONE ? cell_null() : cell_integer(lane->clock_ms),
      cell_integer(lane->published_batch),
      cell_integer(lane->timers),
      cell_integer(lane->dead_letters),
      cell_text(span_text(topics)),
  };
  static_assert(COUNT_OF(cells) == COUNT_OF(columns), "one cell a column");
  output_row(output, cells);
  free(topics);
}

/* JSON is one object with the lanes in it; every other format is the list of lanes. */
static enum status print_report(const struct overview *overview, enum output_format format,
                                struct error *error) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  if (format == OUTPUT_JSON) {
    fputs("{\"group_id\":", stdout);
    output_json_text(stdout, span_text(overview->config->kafka.group_id));
    fputs(",\"topic_prefix\":", stdout);
    output_json_text(stdout, span_text(overview->config->kafka.topic_prefix));
    fputs(",\"lanes\":", stdout);
  }
  struct output *const output = output_open(stdout, format, columns, COUNT_OF(columns));
  for (size_t i = 0; i < overview->lane_count; i++) {
    print_lane(output, &overview->lanes[i], i, now_ms);
  }
  const enum status status = output_close(output, error);
  if (format == OUTPUT_JSON) {
    fputs("}\n", stdout);
  }
  return status;
}

enum status command_status(const struct command_line *line, struct error *error) {
  struct overview overview = {.config = &line->config};
  struct pg_conn *database;
  enum status status = database_open(line->config.postgres.dsn, &database, error);
  int32_t lane_count;
  if (status == STATUS_OK) {
    status = lag_lane_count(&line->config, &lane_count, error);
  }
  if (status == STATUS_OK) {
    init_lanes(&overview, lane_count);
    status = read_database(&overview, database, error);
  }
  database_close(database);
  if (status == STATUS_OK) {
    status = read_published(&overview, error);
  }
  if (status == STATUS_OK) {
    status = read_lags(&overview, error);
  }
  if (status == STATUS_OK) {
    status = print_report(&overview, line->output, error);
  }
  free(overview.lanes);
  return status;
}
