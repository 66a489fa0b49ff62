/* Framing and Avro: a message's value under every input schema, ours and foreign ones.
 * The first byte chooses the topic and how the rest is framed; 0xf0: as it stands. */
#include "consumers/avro_json.h"
#include "consumers/decode.h"
#include "consumers/schemas.h"
#include "tests/fuzz/fuzz.h"

#include <jansson.h>

enum { FOREIGN_ID_FIRST = 1, VALUE_SIZE_MAX = 1 << 16 };

/* Resolved to ours: other order, promotions, unions with and without null, left out, skipped. */
static const char *const foreign[] = {
    "{\"type\":\"record\",\"name\":\"CheckIn\",\"fields\":["
    "{\"name\":\"more\",\"type\":{\"type\":\"map\",\"values\":{\"type\":\"array\","
    "\"items\":\"string\"}}},"
    "{\"name\":\"serial\",\"type\":\"bytes\"},"
    "{\"name\":\"trigger\",\"type\":{\"type\":\"enum\",\"name\":\"Trigger\","
    "\"symbols\":[\"ON_DEMAND\","
    "\"SCHEDULED\"]}},{\"name\":\"os_version\",\"type\":\"string\"},"
    "{\"name\":\"occurred_at\",\"type\":\"int\"},"
    "{\"name\":\"tree\",\"type\":[\"null\",{\"type\":\"record\",\"name\":\"Tree\",\"fields\":["
    "{\"name\":\"left\",\"type\":[\"null\",\"Tree\"]},"
    "{\"name\":\"right\",\"type\":[\"null\",\"Tree\"]}]}]},"
    "{\"name\":\"event_id\",\"type\":\"string\"}]}",
    "{\"type\":\"record\",\"name\":\"Enrollment\",\"fields\":["
    "{\"name\":\"user_email\",\"type\":[\"string\"]},{\"name\":\"event_id\",\"type\":\"string\"},"
    "{\"name\":\"occurred_at\",\"type\":\"long\"},{\"name\":\"serial\",\"type\":\"string\"},"
    "{\"name\":\"platform\",\"type\":{\"type\":\"enum\",\"name\":\"Platform\","
    "\"symbols\":[\"LINUX\","
    "\"WINDOWS\",\"IOS\"]}},"
    "{\"name\":\"profile\",\"type\":{\"type\":\"enum\",\"name\":\"Profile\","
    "\"symbols\":[\"STANDARD\"]}},"
    "{\"name\":\"os_version\",\"type\":\"string\"},"
    "{\"name\":\"ownership\",\"type\":{\"type\":\"enum\",\"name\":\"Ownership\",\"symbols\":["
    "\"CORPORATE\",\"PERSONAL\"]}}]}",
    "{\"type\":\"record\",\"name\":\"ComplianceReport\",\"fields\":["
    "{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"},"
    "{\"name\":\"serial\",\"type\":\"string\"},"
    "{\"name\":\"screen_lock_pin_length\",\"type\":[\"int\",\"null\"]},"
    "{\"name\":\"pad\",\"type\":{\"type\":\"fixed\",\"name\":\"Pad\",\"size\":5}},"
    "{\"name\":\"disk_encrypted\",\"type\":\"boolean\"},"
    "{\"name\":\"number\",\"type\":[\"double\",\"float\",\"bytes\"]}]}",
    "{\"type\":\"record\",\"name\":\"GroupChange\",\"fields\":["
    "{\"name\":\"serial\",\"type\":[\"string\",\"null\"]},"
    "{\"name\":\"change\",\"type\":{\"type\":\"enum\",\"name\":\"GroupChangeKind\","
    "\"symbols\":[\"REMOVE\",\"ADD\"]}},{\"name\":\"group\",\"type\":\"string\"},"
    "{\"name\":\"event_id\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"}]}",
};

static struct schemas *schemas_once(void) {
  static struct schemas *schemas;
  struct error error;
  if (schemas == NULL) {
    HOLDS(schemas_open(NULL, &schemas, &error) == STATUS_OK);
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
      const enum status status = schemas_put(schemas, (int64_t)(FOREIGN_ID_FIRST + i), "foreign",
                                             span_text(foreign[i]), &error);
      HOLDS(status == STATUS_OK);
      HOLDS(writer_is_of_use(schemas_find_id(schemas, (uint32_t)(FOREIGN_ID_FIRST + i))));
    }
  }
  return schemas;
}

/* Ours in an Avro single object, or a foreign one in Confluent's format. */
static size_t frame(const struct schemas *schemas, uint8_t choice, enum input_record record,
                    uint8_t *value) {
  const uint32_t id = choice / INPUT_RECORD_COUNT % (COUNT_OF(foreign) + 1);
  if (id > 0) {
    memset(value, 0, 4);
    value[4] = (uint8_t)id;
    return 5;
  }
  const uint64_t fingerprint = schemas_reader(schemas, record)->fingerprint;
  value[0] = 0xc3;
  value[1] = 0x01;
  for (size_t i = 0; i < 8; i++) {
    value[2 + i] = (uint8_t)(fingerprint >> (8 * i));
  }
  return 10;
}

static bool is_inside(struct span inner, struct span value) {
  return inner.size == 0 ||
         (inner.data >= value.data && inner.data + inner.size <= value.data + value.size);
}

static bool is_short_name(struct span name) {
  return name.size >= 1 && name.size <= SHORT_NAME_SIZE_MAX && span_is_printable_ascii(name);
}

static void check_command(const struct device_command *command) {
  HOLDS(command->kind < COMMAND_COUNT);
  HOLDS(command->kind != COMMAND_WIPE || (command->has_wipe_reason && command->has_confirm));
  HOLDS(command->kind != COMMAND_SET_STATUS || command->has_status);
  HOLDS(command->kind != COMMAND_RENAME || command->name.size > 0);
  HOLDS(command->name.size <= SHORT_NAME_SIZE_MAX && span_is_utf8_text(command->name));
  HOLDS(command->note.size <= NOTE_SIZE_MAX && span_is_utf8_text(command->note));
}

static void check_event(const struct event *event, enum topic topic) {
  const bool has_serial =
      topic != TOPIC_CONTROL || (event->kind == EVENT_GROUP && event->user.email.size == 0);
  HOLDS(event->serial.size <= SERIAL_SIZE_MAX && (event->serial.size >= 1) == has_serial);
  HOLDS(span_is_printable_ascii(event->serial));
  HOLDS(event->occurred_at_ms >= EVENT_TIME_MIN_MS && event->occurred_at_ms <= EVENT_TIME_MAX_MS);
  HOLDS(event->user.email.size <= USER_EMAIL_SIZE_MAX && span_is_utf8_text(event->user.email));
  HOLDS(event->actor.email.size <= USER_EMAIL_SIZE_MAX && span_is_utf8_text(event->actor.email));
  HOLDS(input_record_topic((enum input_record)event->kind) == topic);
  if (event->kind == EVENT_ENROLLMENT) {
    HOLDS(event->user.email.size >= 1);
    HOLDS(event->enrollment.platform < PLATFORM_COUNT);
  } else if (event->kind == EVENT_COMMAND) {
    check_command(&event->command);
  } else if (event->kind == EVENT_POLICY) {
    HOLDS(is_short_name(event->policy.version) && event->policy.policy == NULL);
  } else if (event->kind == EVENT_ROLE) {
    HOLDS(event->user.email.size >= 1);
  } else if (event->kind == EVENT_GROUP) {
    HOLDS(is_short_name(event->group.group));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct schemas *const schemas = schemas_once();
  if (size == 0 || size > VALUE_SIZE_MAX) {
    return 0;
  }
  const enum input_record record = data[0] % INPUT_RECORD_COUNT;
  const enum topic topic = input_record_topic(record);
  /* Exactly as many bytes as there are, so that one read too many is seen. */
  uint8_t head[16];
  const size_t head_size = data[0] >= 0xf0 ? 0 : frame(schemas, data[0], record, head);
  uint8_t *const bytes = malloc(head_size + size - 1 + (head_size + size == 1));
  HOLDS(bytes != NULL);
  memcpy(bytes, head, head_size);
  memcpy(bytes + head_size, data + 1, size - 1);
  const struct span value = span_of(bytes, head_size + size - 1);

  struct event event;
  struct reject reject;
  const bool is_event = decode(schemas, topic, value, &event, &reject);
  struct reject why;
  json_t *const json = avro_json_of_value(schemas, value, &why);
  if (is_event) {
    check_event(&event, topic);
    HOLDS(is_inside(event.serial, value));
    HOLDS(json != NULL); /* what decides can be shown */
  } else {
    HOLDS(reject.code == REJECT_MALFORMED || reject.code == REJECT_UNKNOWN_SCHEMA);
    HOLDS(reject.text[0] != '\0' && strlen(reject.text) < sizeof reject.text);
  }
  uint32_t id;
  HOLDS(!decode_unknown_id(schemas, value, &id) ||
        (!is_event && reject.code == REJECT_UNKNOWN_SCHEMA));
  json_decref(json);
  free(bytes);
  return 0;
}
