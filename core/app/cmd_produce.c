/* Sends events from a file: a line or a record after the other, what is good past what is not.
 *
 * Every message is read back by the decoder of `run` before it is sent, so that nothing that
 * leaves here is a dead letter for its form. */
#include "core/app/command.h"
#include "core/app/import_graph.h"
#include "core/app/import_ndjson.h"
#include "core/app/input_encoder.h"
#include "core/app/outbox.h"
#include "core/app/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

enum { PRODUCE_FROM };

const struct option_spec produce_options[] = {
    {"from", "FORMAT", "what the file holds: ndjson (default), graph"},
    {NULL, NULL, NULL},
};

enum { CHUNK_SIZE = 1 << 16, LINE_SIZE_MAX = 8 << 20 };

/* A message of a Graph import that waits to be sent in the order of time. */
struct waiting {
  int64_t timestamp_ms;
  enum topic topic;
  uint64_t line, record;                         /* as graph_record says */
  size_t key_at, key_size, value_at, value_size; /* in `bytes` */
};

struct production {
  const struct config *config;
  const char *file_name;
  FILE *file;
  bool is_graph;
  bool has_begun; /* the first bytes are read */
  struct input_encoder encoder;
  struct outbox *outbox;
  enum status status; /* of the first failure that ends everything */
  struct error *error;
  uint64_t refused_count;
  struct buffer bytes;
  struct waiting *waiting;
  size_t waiting_count, waiting_capacity;
};

static void refuse(struct production *production, uint64_t line, const char *reason) {
  production->refused_count++;
  fprintf(stderr, "%s:%" PRIu64 ": %s\n", production->file_name, line, reason);
}

static void refuse_record(struct production *production, uint64_t line, uint64_t record,
                          const char *reason) {
  if (record == 0) {
    refuse(production, line, reason);
    return;
  }
  char text[ERROR_TEXT_SIZE + 32];
  snprintf(text, sizeof text, "record %" PRIu64 ": %s", record, reason);
  refuse(production, line, text);
}

/* The tag is the line's number, in a Graph import the place among the messages that waited. */
static void take_refused(void *context, uint64_t tag, const char *reason) {
  struct production *const production = context;
  if (production->is_graph) {
    const struct waiting *const waiting = &production->waiting[tag];
    refuse_record(production, waiting->line, waiting->record, reason);
  } else {
    refuse(production, tag, reason);
  }
}

/* ---- One message ---- */

/* Refusals are told and gone on from; any other failure is kept in production->status. */
static void send_one(struct production *production, const struct outgoing_message *message) {
  struct error error;
  const enum status status = outbox_send(production->outbox, message, &error);
  if (status == STATUS_REFUSED) {
    take_refused(production, message->tag, error.text);
  } else if (status != STATUS_OK) {
    production->status = error_set(production->error, status, "%s", error.text);
  }
}

/* ---- Lines ---- */

static void take_line(struct production *production, struct span line, uint64_t line_number) {
  struct import_message message;
  struct error error;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  enum status status =
      ndjson_convert(line, production->config->kafka.topic_prefix,
                     (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &message, &error);
  if (status == STATUS_OK) {
    struct encoded_input encoded;
    status = input_encode(&production->encoder, message.record, message.value, &encoded, &error);
    json_decref(message.value);
    if (status == STATUS_OK) {
      send_one(production, &(struct outgoing_message){.topic = input_record_topic(message.record),
                                                      .timestamp_ms = message.timestamp_ms,
                                                      .key = encoded.key,
                                                      .value = span_of(encoded.data, encoded.size),
                                                      .tag = line_number});
      free(encoded.data);
      return;
    }
  }
  if (status == STATUS_REFUSED) {
    refuse(production, line_number, error.text);
  } else {
    production->status = error_set(production->error, status, "%s", error.text);
  }
}

static bool is_blank(struct span line) {
  for (size_t i = 0; i < line.size; i++) {
    if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
      return false;
    }
  }
  return true;
}

/* The lines of a chunk; what is behind its last newline waits in `rest`. */
struct lines {
  struct production *production;
  struct buffer rest;
  bool is_too_long;
  uint64_t number; /* of the line under way, from 1 */
};

static void line_end(struct lines *lines, struct span line) {
  if (lines->is_too_long) {
    refuse(lines->production, lines->number, "a line of more than 8 MiB");
  } else if (!is_blank(line)) {
    take_line(lines->production, line, lines->number);
  }
  lines->is_too_long = false;
  lines->number++;
}

static void lines_push(struct lines *lines, struct span chunk) {
  while (chunk.size > 0 && lines->production->status == STATUS_OK) {
    const uint8_t *const newline = memchr(chunk.data, '\n', chunk.size);
    const size_t size = newline != NULL ? (size_t)(newline - chunk.data) : chunk.size;
    const bool is_whole = newline != NULL && lines->rest.size == 0;
    if (is_whole) {
      line_end(lines, span_of(chunk.data, size));
    } else if (lines->rest.size + size <= LINE_SIZE_MAX) {
      buffer_append(&lines->rest, chunk.data, size);
    } else {
      lines->is_too_long = true;
    }
    if (newline != NULL && !is_whole) {
      line_end(lines, buffer_span(&lines->rest));
      buffer_clear(&lines->rest);
    }
    const size_t taken = size + (newline != NULL);
    chunk = span_of(chunk.data + taken, chunk.size - taken);
  }
}

/* Fills `buffer`, of CHUNK_SIZE; false at the end of the file, and when it cannot be read. */
static bool read_chunk(struct production *production, uint8_t *buffer, struct span *chunk) {
  const size_t size = fread(buffer, 1, CHUNK_SIZE, production->file);
  if (size == 0 && ferror(production->file)) {
    production->status = error_set(production->error, STATUS_USAGE, "%s: %s", production->file_name,
                                   strerror(errno));
  }
  *chunk = span_of(buffer, size);
  if (!production->has_begun) {
    *chunk = import_without_mark(*chunk);
    production->has_begun = true;
  }
  return size > 0;
}

static void produce_lines(struct production *production) {
  struct lines lines = {.production = production, .number = 1};
  uint8_t *const buffer = memory_zeroed(CHUNK_SIZE, 1);
  struct span chunk;
  while (production->status == STATUS_OK && read_chunk(production, buffer, &chunk)) {
    lines_push(&lines, chunk);
  }
  if (production->status == STATUS_OK && (lines.rest.size > 0 || lines.is_too_long)) {
    line_end(&lines, buffer_span(&lines.rest));
  }
  buffer_fini(&lines.rest);
  free(buffer);
}

/* ---- Graph ---- */

static void wait_in_line(struct production *production, const struct import_message *message,
                         const struct graph_record *record, struct span key, struct span value) {
  if (production->waiting_count == production->waiting_capacity) {
    production->waiting_capacity = production->waiting_capacity * 2 + 1024;
    production->waiting = memory_grown(production->waiting, production->waiting_capacity,
                                       sizeof *production->waiting);
  }
  struct waiting *const waiting = &production->waiting[production->waiting_count++];
  *waiting = (struct waiting){.timestamp_ms = message->timestamp_ms,
                              .topic = input_record_topic(message->record),
                              .line = record->line,
                              .record = record->number,
                              .key_at = production->bytes.size,
                              .key_size = key.size,
                              .value_at = production->bytes.size + key.size,
                              .value_size = value.size};
  buffer_append(&production->bytes, key.data, key.size);
  buffer_append(&production->bytes, value.data, value.size);
}

/* A record is taken whole or not at all. */
static enum status take_messages(struct production *production, const struct graph_record *record,
                                 const struct import_message *messages, size_t count,
                                 struct error *error) {
  const size_t waiting_before = production->waiting_count;
  for (size_t i = 0; i < count; i++) {
    struct encoded_input encoded;
    const enum status status =
        input_encode(&production->encoder, messages[i].record, messages[i].value, &encoded, error);
    if (status != STATUS_OK) {
      production->waiting_count = waiting_before;
      return status;
    }
    wait_in_line(production, &messages[i], record, encoded.key,
                 span_of(encoded.data, encoded.size));
    free(encoded.data);
  }
  return STATUS_OK;
}

static void take_record(void *context, const struct graph_record *record) {
  struct production *const production = context;
  if (record->problem != NULL) {
    refuse_record(production, record->line, record->number, record->problem);
    return;
  }
  json_error_t where;
  json_t *const device = json_loadb((const char *)record->text.data, record->text.size, 0, &where);
  if (device == NULL) {
    const int lines_into = where.line > 0 ? where.line - 1 : 0;
    char reason[ERROR_TEXT_SIZE];
    snprintf(reason, sizeof reason, "not JSON: %s", where.text);
    refuse_record(production, record->line + (uint64_t)lines_into, record->number, reason);
    return;
  }
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count;
  struct error error;
  enum status status = graph_convert(device, messages, &count, &error);
  if (status == STATUS_OK) {
    status = take_messages(production, record, messages, count, &error);
  }
  for (size_t i = 0; i < count; i++) {
    json_decref(messages[i].value);
  }
  json_decref(device);
  if (status == STATUS_REFUSED) {
    refuse_record(production, record->line, record->number, error.text);
  } else if (status != STATUS_OK) {
    production->status = error_set(production->error, status, "%s", error.text);
  }
}

/* By time; at the same time enrollments first, then as they came. */
static int waiting_compare(const void *a, const void *b) {
  const struct waiting *const left = a;
  const struct waiting *const right = b;
  if (left->timestamp_ms != right->timestamp_ms) {
    return left->timestamp_ms < right->timestamp_ms ? -1 : 1;
  }
  if (left->topic != right->topic) {
    return left->topic < right->topic ? -1 : 1;
  }
  return left->key_at < right->key_at ? -1 : left->key_at > right->key_at;
}

/* Lists of devices have no order, but the log clock does: sent as they are listed, the newest of
 * the first few would move it past all others, and a check-in could come before the enrollment
 * that it needs. So the whole import is held, about 300 bytes a message, and sent by time. */
static void send_waiting(struct production *production) {
  if (production->waiting_count > 0) {
    qsort(production->waiting, production->waiting_count, sizeof *production->waiting,
          waiting_compare);
  }
  for (size_t i = 0; i < production->waiting_count && production->status == STATUS_OK; i++) {
    const struct waiting *const waiting = &production->waiting[i];
    const uint8_t *const bytes = production->bytes.data;
    send_one(production, &(struct outgoing_message){
                             .topic = waiting->topic,
                             .timestamp_ms = waiting->timestamp_ms,
                             .key = span_of(bytes + waiting->key_at, waiting->key_size),
                             .value = span_of(bytes + waiting->value_at, waiting->value_size),
                             .tag = i});
  }
}

static void produce_graph(struct production *production) {
  struct graph_scanner scanner;
  graph_scanner_init(&scanner, take_record, production);
  uint8_t *const buffer = memory_zeroed(CHUNK_SIZE, 1);
  struct span chunk;
  while (production->status == STATUS_OK && read_chunk(production, buffer, &chunk)) {
    graph_scanner_push(&scanner, chunk);
  }
  graph_scanner_end(&scanner);
  if (graph_scanner_lacks_page(&scanner)) {
    fprintf(stderr, "%s: the answer has another page (@odata.nextLink) that is not in the file\n",
            production->file_name);
  }
  if (production->status == STATUS_OK) {
    send_waiting(production);
  }
  graph_scanner_fini(&scanner);
  free(buffer);
}

/* ---- The command ---- */

static enum status produce(struct production *production, struct error *error) {
  if (production->is_graph) {
    produce_graph(production);
  } else {
    produce_lines(production);
  }
  enum status status = outbox_flush(production->outbox, error);
  if (status == STATUS_OK) {
    status = production->status;
  }
  fprintf(stderr, "sent %" PRIu64 ", refused %" PRIu64 "\n", outbox_sent_count(production->outbox),
          production->refused_count);
  if (status == STATUS_OK && production->refused_count > 0) {
    status = error_set(error, STATUS_REFUSED, "%" PRIu64 " of %s refused",
                       production->refused_count, production->file_name);
  }
  return status;
}

static enum status open_file(struct production *production, const char *path, struct error *error) {
  const bool is_stdin = strcmp(path, "-") == 0;
  production->file_name = is_stdin ? "-" : path;
  production->file = is_stdin ? stdin : fopen(path, "rb");
  if (production->file == NULL) {
    return error_set(error, STATUS_USAGE, "%s: %s", path, strerror(errno));
  }
  struct stat opened;
  if (fstat(fileno(production->file), &opened) == 0 && S_ISDIR(opened.st_mode)) {
    return error_set(error, STATUS_USAGE, "%s: %s", path, strerror(EISDIR));
  }
  return STATUS_OK;
}

enum status command_produce(const struct command_line *line, struct error *error) {
  const char *const from =
      line->options[PRODUCE_FROM] != NULL ? line->options[PRODUCE_FROM] : "ndjson";
  const bool is_graph = strcasecmp(from, "graph") == 0;
  if (!is_graph && strcasecmp(from, "ndjson") != 0) {
    return error_set(error, STATUS_USAGE, "--from %s: ndjson or graph is needed", from);
  }
  struct production production = {.config = &line->config, .is_graph = is_graph, .error = error};
  enum status status = open_file(&production, line->arguments[0], error);
  if (status == STATUS_OK) {
    status = input_encoder_open(&line->config, &production.encoder, error);
  }
  if (status == STATUS_OK) {
    status = outbox_open(&line->config, take_refused, &production, &production.outbox, error);
  }
  if (status == STATUS_OK) {
    status = produce(&production, error);
  }
  outbox_close(production.outbox);
  input_encoder_close(&production.encoder);
  buffer_fini(&production.bytes);
  free(production.waiting);
  if (production.file != NULL && production.file != stdin) {
    fclose(production.file);
  }
  return status;
}
