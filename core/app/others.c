#include "core/app/others.h"

#include "core/app/database.h"
#include "core/app/kafka_client.h"
#include "core/app/lag.h"
#include "core/app/lane_start.h"

#include <stdlib.h>

/* The last journal row of a lane. */
struct reached {
  uint64_t batch;
  int64_t next_offsets[TOPIC_COUNT];
};

struct looking {
  struct others *others;
  struct reached *reached; /* by lane */
};

/* "{0,12,0,40,40}": PostgreSQL's text of an array, by topic. */
static void parse_offsets(struct span text, int64_t offsets[TOPIC_COUNT]) {
  size_t topic = 0;
  for (size_t i = 0; i < text.size && topic < TOPIC_COUNT; i++) {
    const uint8_t byte = text.data[i];
    if (byte >= '0' && byte <= '9') {
      offsets[topic] = offsets[topic] * 10 + (byte - '0');
    } else if (byte == ',') {
      topic++;
    }
  }
}

static enum status take_row(void *context, const struct span *values, struct error *error) {
  (void)error;
  const struct looking *looking = context;
  const int64_t lane = database_integer(values[0]);
  if (lane >= 0 && lane < looking->others->lane_count) {
    looking->reached[lane].batch = (uint64_t)database_integer(values[1]);
    parse_offsets(values[2], looking->reached[lane].next_offsets);
  }
  return STATUS_OK;
}

static enum status read_rows(struct looking *looking, struct error *error) {
  struct pg_conn *database;
  enum status status = database_open(looking->others->config->postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database,
                            "SELECT DISTINCT ON (lane) lane, batch, range_to"
                            " FROM muster.journal_row ORDER BY lane, batch DESC",
                            NULL, 0, take_row, looking, error);
    database_close(database);
  }
  return status;
}

/* What remains may be the marks of transactions, which nobody ever takes. */
static enum status has_reached(const struct looking *looking, uint32_t lane, bool *reached,
                               struct error *error) {
  const struct lane_ends *ends = &looking->others->ends[lane];
  *reached = true;
  for (enum topic topic = 0; topic < TOPIC_COUNT && *reached; topic++) {
    struct lag lag = {.topic = topic_name(topic),
                      .partition = topic_partition(topic, lane),
                      .next_offset = looking->reached[lane].next_offsets[topic]};
    if (lag.next_offset < ends->offsets[topic]) {
      const enum status status = lag_measure(looking->others->config, &lag, 1, error);
      if (status != STATUS_OK) {
        return status;
      }
      *reached = lag.messages == 0;
    }
  }
  return STATUS_OK;
}

static enum status look_at(const struct looking *looking, uint32_t lane, struct error *error) {
  const struct config *config = looking->others->config;
  bool reached;
  enum status status = has_reached(looking, lane, &reached, error);
  if (status != STATUS_OK || !reached) {
    return status;
  }
  struct journal_position position;
  struct rd_kafka_conf_s *conf = kafka_conf(config, NULL, error);
  status = conf == NULL
               ? STATUS_CONFIG
               : journal_position_read(conf, config->kafka.topic_prefix, lane, &position, error);
  if (status == STATUS_OK && position.batch >= looking->reached[lane].batch) {
    looking->others->is_waited_for[lane] = false;
  }
  return status;
}

void others_look(struct others *others) {
  struct looking looking = {.others = others,
                            .reached = calloc(others->lane_count, sizeof *looking.reached)};
  assert(looking.reached != NULL);
  others->status = read_rows(&looking, &others->error);
  others->taken = 0;
  for (uint32_t lane = 0; lane < others->lane_count; lane++) {
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
      others->taken += looking.reached[lane].next_offsets[topic];
    }
  }
  for (uint32_t lane = 0; lane < others->lane_count && others->status == STATUS_OK; lane++) {
    if (others->is_waited_for[lane]) {
      others->status = look_at(&looking, lane, &others->error);
    }
  }
  free(looking.reached);
}
