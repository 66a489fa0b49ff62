/* A record's headers, wherever it was read. */
#include "consumers/record.h"

#include "consumers/stored.h"

#include <librdkafka/rdkafka.h>
#include <string.h>

static rd_kafka_headers_t *headers_of(const struct record *record) {
  rd_kafka_headers_t *headers = NULL;
  if (record->has_headers) {
    rd_kafka_message_headers(record->message, &headers);
  }
  return headers;
}

size_t record_headers_size(const struct record *record) {
  if (record->stored != NULL) {
    return record->stored->headers.size;
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const char *name;
  const void *value;
  size_t value_size;
  size_t size = 0;
  for (size_t i = 0;
       headers != NULL && rd_kafka_header_get_all(headers, i, &name, &value, &value_size) == 0;
       i++) {
    size += 8 + strlen(name) + (value == NULL ? 0 : value_size);
  }
  return size;
}

/* A u32 of the headers in the form of struct original; false when it is not there. */
static bool take_u32(struct span *rest, uint32_t *value) {
  if (rest->size < 4) {
    return false;
  }
  *value = (uint32_t)rest->data[0] << 24 | (uint32_t)rest->data[1] << 16 |
           (uint32_t)rest->data[2] << 8 | rest->data[3];
  *rest = span_of(rest->data + 4, rest->size - 4);
  return true;
}

/* The last of that name; a file may hold anything. */
static bool stored_header(const struct record *record, const char *name, struct span *value) {
  struct span rest = record->stored->headers;
  bool is_there = false;
  uint32_t size;
  while (take_u32(&rest, &size) && size <= rest.size) {
    const bool is_named = span_equal(span_of(rest.data, size), span_text(name));
    rest = span_of(rest.data + size, rest.size - size);
    if (!take_u32(&rest, &size) || (size != UINT32_MAX && size > rest.size)) {
      break;
    }
    const bool is_null = size == UINT32_MAX;
    if (is_named) {
      is_there = !is_null;
      *value = span_of(rest.data, is_null ? 0 : size);
    }
    rest = is_null ? rest : span_of(rest.data + size, rest.size - size);
  }
  return is_there;
}

static uint8_t *put_u32(uint8_t *into, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    *into++ = (uint8_t)(value >> shift);
  }
  return into;
}

void record_headers_copy(const struct record *record, uint8_t *into) {
  if (record->stored != NULL) {
    if (record->stored->headers.size > 0) {
      memcpy(into, record->stored->headers.data, record->stored->headers.size);
    }
    return;
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const char *name;
  const void *value;
  size_t value_size;
  for (size_t i = 0;
       headers != NULL && rd_kafka_header_get_all(headers, i, &name, &value, &value_size) == 0;
       i++) {
    const size_t name_size = strlen(name);
    into = put_u32(into, (uint32_t)name_size);
    memcpy(into, name, name_size);
    into = put_u32(into + name_size, value == NULL ? UINT32_MAX : (uint32_t)value_size);
    if (value != NULL) {
      memcpy(into, value, value_size);
      into += value_size;
    }
  }
}

bool record_header(const struct record *record, const char *name, struct span *value) {
  if (record->stored != NULL) {
    return stored_header(record, name, value);
  }
  const rd_kafka_headers_t *headers = headers_of(record);
  const void *data;
  size_t size;
  if (headers == NULL || rd_kafka_header_get_last(headers, name, &data, &size) != 0 ||
      data == NULL) {
    return false;
  }
  *value = span_of(data, size);
  return true;
}
