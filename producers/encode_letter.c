#include "producers/encode_record.h"

enum {
  LETTER_HEADER_COUNT = 11,
  LETTER_HEADER_SIZE_MAX = HEADER_SIZE_FIXED + 48 + 2 * 32, /* a name, a number or a digest */
};

/* Of the path's stages in Kafka Connect's words, which tools for its dead letters know. */
static const char *stage_name(enum reject_stage stage) {
  switch (stage) {
  case STAGE_KEY:
    return "KEY_CONVERTER";
  case STAGE_VALUE:
    return "VALUE_CONVERTER";
  case STAGE_DECISION:
    return "TRANSFORMATION";
  }
  assert(false); /* a stage */
  return "";
}

/* Where Kafka Connect has the exception's class. */
static const char *class_name(enum reject_code code) {
  static const char *const names[REJECT_COUNT] = {
      [REJECT_NONE] = "muster.None",
      [REJECT_TOO_LARGE] = "muster.TooLarge",
      [REJECT_KEY_MISMATCH] = "muster.KeyMismatch",
      [REJECT_MISROUTED] = "muster.Misrouted",
      [REJECT_MALFORMED] = "muster.Malformed",
      [REJECT_UNKNOWN_SCHEMA] = "muster.UnknownSchema",
      [REJECT_NEVER_COLLECTED] = "muster.NeverCollected",
      [REJECT_UNKNOWN_DEVICE] = "muster.UnknownDevice",
      [REJECT_NOT_ALLOWED] = "muster.NotAllowed",
  };
  assert(code < REJECT_COUNT && names[code] != NULL);
  return names[code];
}

static uint8_t *put_number_header(uint8_t *at, const char *name, uint64_t value) {
  uint8_t digits[DECIMAL_SIZE_MAX];
  const uint8_t *const end = put_decimal(digits, value);
  return put_header(at, name, span_of(digits, (size_t)(end - digits)));
}

/* The text may have been cut within a character; headers are UTF-8. */
static struct span whole_characters(const char *text) {
  struct span span = span_text(text);
  while (!span_is_utf8(span)) {
    span.size--;
  }
  return span;
}

static uint8_t *put_digest_headers(uint8_t *at, const struct original *original) {
  uint8_t digits[2 * sizeof original->value_sha256];
  put_hex_digits(digits, original->value_sha256, sizeof original->value_sha256);
  at = put_header(at, "muster.sha256", span_of(digits, sizeof digits));
  return put_number_header(at, "muster.size", original->size_bytes);
}

/* The last of a name wins: ours come after whatever the original had. */
static uint8_t *put_letter_headers(uint8_t *at, const struct encoding *encoding,
                                   const struct result *result, bool has_digest) {
  const struct reject *const reject = &result->dead_letter.reject;
  const struct cause *const cause = &result->cause;
  char topic[512];
  const size_t prefix_size = strlen(encoding->topic_prefix);
  const struct span name = span_text(topic_name(cause->topic));
  assert(prefix_size + name.size <= sizeof topic && cause->offset >= 0);
  memcpy(topic, encoding->topic_prefix, prefix_size);
  memcpy(topic + prefix_size, name.data, name.size);

  at = put_header(at, "muster.error", span_text(reject_code_name(reject->code)));
  at = put_number_header(at, "muster.lane", encoding->lane);
  at = put_number_header(at, "muster.seq", result->seq);
  if (has_digest) {
    at = put_digest_headers(at, &result->dead_letter.original);
  }
  at = put_header(at, "__connect.errors.topic", span_of(topic, prefix_size + name.size));
  at = put_number_header(at, "__connect.errors.partition",
                         cause->topic == TOPIC_CONTROL ? 0 : encoding->lane);
  at = put_number_header(at, "__connect.errors.offset", (uint64_t)cause->offset);
  at = put_header(at, "__connect.errors.stage", span_text(stage_name(reject->stage)));
  at = put_header(at, "__connect.errors.exception.class.name", span_text(class_name(reject->code)));
  return put_header(at, "__connect.errors.exception.message", whole_characters(reject->text));
}

void encode_letter(const struct encoding *encoding, const struct result *result,
                   struct buffer *records, struct buffer *canonical) {
  const struct original *const original = &result->dead_letter.original;
  const enum reject_code code = result->dead_letter.reject.code;
  const bool has_value = code != REJECT_TOO_LARGE && code != REJECT_NEVER_COLLECTED;
  const bool has_headers = code != REJECT_TOO_LARGE;
  const bool fits =
      encoding->message_bytes_max == 0 || original->key.size <= encoding->message_bytes_max;
  const bool has_key = !original->key_is_null && fits;
  const struct span key = has_key ? original->key : span_of("", 0);
  const struct span value =
      has_value && !original->value_is_null ? original->value : span_of("", 0);
  const struct span headers = has_headers ? original->headers : span_of("", 0);
  const size_t size_max = key.size + value.size + headers.size +
                          LETTER_HEADER_COUNT * LETTER_HEADER_SIZE_MAX +
                          strlen(encoding->topic_prefix) + REJECT_TEXT_SIZE;

  struct draft draft = draft_begin(records, RESULT_DEAD_LETTER, size_max);
  draft.head.timestamp_ms = original->timestamp_ms;
  draft.head.key_is_null = !has_key;
  draft.head.value_is_null = !has_value || original->value_is_null;
  draft.at = put_bytes(draft.at, key.data, key.size);
  draft_end_key(&draft);
  draft.at = put_bytes(draft.at, value.data, value.size);
  draft_end_value(&draft);
  draft.at = put_bytes(draft.at, headers.data, headers.size);
  draft.at = put_letter_headers(draft.at, encoding, result, !has_value);
  draft_end(&draft);
  canonical_append(canonical, &(struct canonical){.topic = result_topic_name(RESULT_DEAD_LETTER),
                                                  .key_is_null = draft.head.key_is_null,
                                                  .value_is_null = draft.head.value_is_null,
                                                  .key = draft_key(&draft),
                                                  .timestamp_ms = original->timestamp_ms,
                                                  .headers = draft_headers(&draft),
                                                  .value = draft_value(&draft)});
}
