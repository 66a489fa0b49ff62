#include "core/app/dead_letter.h"

#include "core/app/message_json.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

/* Headers are added in one piece behind the original's, and this one begins it. */
static const char first_added[] = "muster.error";

/* Digits that fit an int64_t, and nothing else. */
static bool number_of(struct span text, int64_t *number) {
  if (text.size == 0 || text.size > 18) {
    return false;
  }
  *number = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') {
      return false;
    }
    *number = *number * 10 + (text.data[i] - '0');
  }
  return true;
}

bool dead_letter_read(const struct rd_kafka_message_s *message, struct dead_letter *letter) {
  rd_kafka_timestamp_type_t type;
  *letter = (struct dead_letter){
      .code = message_header(message, first_added),
      .topic = message_header(message, "__connect.errors.topic"),
      .partition = -1,
      .offset = -1,
      .timestamp_ms = rd_kafka_message_timestamp(message, &type),
      .key = span_of(message->key, message->key_len),
      .value = span_of(message->payload, message->len),
      .stage = message_header(message, "__connect.errors.stage"),
      .class_name = message_header(message, "__connect.errors.exception.class.name"),
      .message = message_header(message, "__connect.errors.exception.message"),
  };
  if (!number_of(message_header(message, "__connect.errors.partition"), &letter->partition) ||
      !number_of(message_header(message, "__connect.errors.offset"), &letter->offset)) {
    letter->partition = -1;
    letter->offset = -1;
  }
  return letter->code.data != NULL &&
         number_of(message_header(message, "muster.lane"), &letter->lane) &&
         number_of(message_header(message, "muster.seq"), &letter->seq);
}

bool dead_letter_id_parse(const char *text, int64_t *lane, int64_t *seq) {
  const char *const slash = strchr(text, '/');
  return slash != NULL && number_of(span_of(text, (size_t)(slash - text)), lane) &&
         *lane <= INT32_MAX && number_of(span_text(slash + 1), seq);
}

bool dead_letter_lacks_value(const struct dead_letter *letter) {
  return span_equal(letter->code, span_text(reject_code_name(REJECT_TOO_LARGE))) ||
         span_equal(letter->code, span_text(reject_code_name(REJECT_NEVER_COLLECTED)));
}

struct rd_kafka_headers_s *dead_letter_original_headers(const struct rd_kafka_message_s *message) {
  rd_kafka_headers_t *headers;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return NULL;
  }
  const char *name;
  const void *value;
  size_t size;
  size_t count = 0; /* of the original's: a message may be resent, and fail, again and again */
  for (size_t i = 0;
       rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       i++) {
    if (strcmp(name, first_added) == 0) {
      count = i;
    }
  }
  rd_kafka_headers_t *const original = rd_kafka_headers_new(count);
  for (size_t i = 0; i < count && rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                                      RD_KAFKA_RESP_ERR_NO_ERROR;
       i++) {
    rd_kafka_header_add(original, name, -1, value, (ssize_t)size);
  }
  return original;
}
