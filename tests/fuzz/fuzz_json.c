/* Imports: lines of JSON and Graph's answers. The first byte: even, a line; odd, a Graph file, cut
 * into pieces of that many bytes. What an import takes, the decoder must take or refuse in words.
 */
#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "consumers/schemas.h"
#include "core/app/import_graph.h"
#include "core/app/import_ndjson.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

static struct schemas *schemas;

static void encode(const struct import_message *message) {
  const struct writer *const writer = schemas_reader(schemas, message->record);
  uint8_t *data;
  size_t size;
  struct error error;
  struct event event;
  struct reject reject;
  if (writer != NULL && avro_json_to_value(writer, SCHEMA_ID_NONE, message->value, &data, &size,
                                           &error) == STATUS_OK) {
    const bool is_event =
        decode(schemas, input_record_topic(message->record), span_of(data, size), &event, &reject);
    HOLDS(is_event || reject.code == REJECT_MALFORMED); /* never of a schema that nobody knows */
    free(data);
  }
}

static void take_record(void *context, const struct graph_record *record) {
  (void)context;
  HOLDS((record->problem != NULL) == (record->text.size == 0));
  HOLDS(record->line >= 1 && record->text.size <= GRAPH_RECORD_SIZE_MAX);
  if (record->problem != NULL) {
    return;
  }
  json_t *const device = json_loadb((const char *)record->text.data, record->text.size, 0, NULL);
  struct import_message messages[GRAPH_MESSAGES_MAX];
  size_t count = 0;
  struct error error;
  if (device != NULL && graph_convert(device, messages, &count, &error) != STATUS_OK) {
    HOLDS(count == 0);
  }
  for (size_t i = 0; i < count; i++) {
    encode(&messages[i]);
    json_decref(messages[i].value);
  }
  json_decref(device);
}

static void scan(struct span bytes, size_t piece_size) {
  struct graph_scanner scanner;
  graph_scanner_init(&scanner, take_record, NULL);
  for (size_t at = 0; at < bytes.size; at += piece_size) {
    const size_t left = bytes.size - at;
    graph_scanner_push(&scanner, span_of(bytes.data + at, left < piece_size ? left : piece_size));
  }
  graph_scanner_end(&scanner);
  graph_scanner_fini(&scanner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error error;
  struct import_message message;
  if (schemas == NULL) {
    HOLDS(schemas_open(NULL, &schemas, &error) == STATUS_OK);
  }
  if (size < 2) {
    return 0;
  }
  const struct span bytes = span_of(data + 1, size - 1);
  if (data[0] % 2 == 1) {
    scan(bytes, data[0]);
  } else if (ndjson_convert(bytes, "muster.", INT64_C(1748851200000), &message, &error) ==
             STATUS_OK) {
    encode(&message);
    json_decref(message.value);
  }
  return 0;
}
