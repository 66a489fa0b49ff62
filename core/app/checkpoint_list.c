#include "core/app/checkpoint_list.h"

#include "core/app/kafka_reader.h"
#include "core/app/text.h"
#include "producers/buffer.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>

static const char dash[] = "\xe2\x80\x94 ";

/* The length of the first checkpoint of several: up to the last of its signatures' lines. */
static size_t first_size(struct span text) {
  bool is_signed = false;
  size_t at = 0;
  while (at < text.size) {
    const uint8_t *end = memchr(text.data + at, '\n', text.size - at);
    const size_t next = end == NULL ? text.size : (size_t)(end - text.data) + 1;
    const bool is_signature =
        next - at > sizeof dash - 1 && memcmp(text.data + at, dash, sizeof dash - 1) == 0;
    if (is_signed && !is_signature) {
      return at;
    }
    is_signed = is_signature;
    at = next;
  }
  return text.size;
}

static bool find_lane(const struct checkpoint_source *source, struct listed_checkpoint *listed) {
  char origin[CHECKPOINT_ORIGIN_SIZE];
  for (uint32_t lane = 0; lane < source->lane_count; lane++) {
    checkpoint_origin(note_key_name(source->key), source->topic_prefix, lane, origin);
    if ((source->lane < 0 || source->lane == lane) && strcmp(origin, listed->is.origin) == 0) {
      listed->lane = lane;
      return true;
    }
  }
  return false;
}

static void judge(const struct checkpoint_source *source, struct span text,
                  struct listed_checkpoint *listed) {
  listed->lane = source->lane < 0 ? 0 : (uint32_t)source->lane;
  snprintf(listed->where, sizeof listed->where, "%s", source->where);
  if (!checkpoint_read(text, source->key, &listed->is, listed->why)) {
    return;
  }
  listed->why[0] = '\0';
  if (!listed->is.is_signed) {
    snprintf(listed->why, sizeof listed->why, "it is not signed under the key of %.64s",
             note_key_name(source->key));
  } else if (!find_lane(source, listed)) {
    snprintf(listed->why, sizeof listed->why, "it is of another log: %.96s", listed->is.origin);
  }
}

void checkpoint_list_add(struct checkpoint_list *list, const struct checkpoint_source *source,
                         struct span text) {
  do {
    const size_t size = first_size(text);
    list->items = memory_grown(list->items, list->count + 1, sizeof *list->items);
    struct listed_checkpoint *listed = &list->items[list->count++];
    *listed = (struct listed_checkpoint){.text = text_copy_size((const char *)text.data, size)};
    judge(source, span_of(text.data, size), listed);
    text = span_of(text.data + size, text.size - size);
  } while (text.size > 0);
}

static int compare(const void *left, const void *right) {
  const struct listed_checkpoint *a = left;
  const struct listed_checkpoint *b = right;
  if (a->lane != b->lane) {
    return a->lane < b->lane ? -1 : 1;
  }
  return a->is.tree.size < b->is.tree.size ? -1 : a->is.tree.size > b->is.tree.size ? 1 : 0;
}

void checkpoint_list_sort(struct checkpoint_list *list) {
  if (list->count > 0) {
    qsort(list->items, list->count, sizeof *list->items, compare);
  }
}

void checkpoint_list_fini(struct checkpoint_list *list) {
  for (size_t i = 0; i < list->count; i++) {
    free(list->items[i].text);
  }
  free(list->items);
  *list = (struct checkpoint_list){0};
}

struct reading {
  struct checkpoint_source source;
  struct checkpoint_list *list;
};

static bool take_message(void *context, const rd_kafka_message_t *message) {
  struct reading *reading = context;
  char where[CHECKPOINT_WHERE_SIZE];
  snprintf(where, sizeof where, "%scheckpoints/%d@%lld", reading->source.topic_prefix,
           message->partition, (long long)message->offset);
  reading->source.lane = message->partition;
  reading->source.where = where;
  const bool is_null = message->payload == NULL;
  checkpoint_list_add(reading->list, &reading->source,
                      span_of(is_null ? "" : message->payload, is_null ? 0 : message->len));
  return true;
}

enum status checkpoint_list_read_topic(const struct config *config, const struct note_key *key,
                                       uint32_t lane_count, struct checkpoint_list *list,
                                       struct error *error) {
  struct reading reading = {
      .source = {.key = key, .topic_prefix = config->kafka.topic_prefix, .lane_count = lane_count},
      .list = list};
  const struct kafka_reading of_topic = {
      .topic = "checkpoints", .partition = -1, .each = take_message, .context = &reading};
  *list = (struct checkpoint_list){0};
  const enum status status = kafka_read(config, &of_topic, error);
  checkpoint_list_sort(list);
  return status;
}

enum status checkpoint_list_read_file(const char *path, const char *topic_prefix,
                                      const struct note_key *key, uint32_t lane_count,
                                      struct checkpoint_list *list, struct error *error) {
  uint8_t bytes[4096];
  struct buffer text = {0};
  FILE *const file = fopen(path, "rb");
  *list = (struct checkpoint_list){0};
  if (file == NULL) {
    return error_set(error, STATUS_CONFIG, "checkpoints %s: %s", path, strerror(errno));
  }
  for (size_t size; (size = fread(bytes, 1, sizeof bytes, file)) > 0;) {
    buffer_append(&text, bytes, size);
  }
  const bool failed = ferror(file) != 0;
  fclose(file);
  const struct checkpoint_source source = {.key = key,
                                           .topic_prefix = topic_prefix,
                                           .lane_count = lane_count,
                                           .lane = -1,
                                           .where = path};
  if (!failed) {
    buffer_append_u8(&text, '\0'); /* so that an empty file has data, too */
    checkpoint_list_add(list, &source, span_of(text.data, text.size - 1));
    checkpoint_list_sort(list);
  }
  buffer_fini(&text);
  return failed ? error_set(error, STATUS_CONFIG, "checkpoints %s: cannot be read", path)
                : STATUS_OK;
}
