#include "core/app/import.h"

#include "core/time_text.h"

#include <jansson.h>
#include <unistd.h>
#include <uuid/uuid.h>

struct span import_without_mark(struct span beginning) {
  static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
  const bool has_mark =
      beginning.size >= sizeof mark && memcmp(beginning.data, mark, sizeof mark) == 0;
  return has_mark ? span_of(beginning.data + sizeof mark, beginning.size - sizeof mark) : beginning;
}

struct span import_text(const struct json_t *object, const char *name) {
  const json_t *const value = json_object_get(object, name);
  return json_is_string(value) ? span_of(json_string_value(value), json_string_length(value))
                               : span_of("", 0);
}

bool import_time(const struct json_t *value, int64_t *at_ms) {
  if (json_is_integer(value)) {
    *at_ms = json_integer_value(value);
    return true;
  }
  return json_is_string(value) &&
         time_parse(span_of(json_string_value(value), json_string_length(value)), at_ms);
}

/* libuuid's own random ids cost more than all the rest of a line: they ask the kernel each. */
static void random_uuid(uuid_t uuid) {
  static uint8_t pool[256]; /* what one getentropy gives at most */
  static size_t used = sizeof pool;
  if (used == sizeof pool) {
    const int failed = getentropy(pool, sizeof pool);
    assert(failed == 0);
    (void)failed;
    used = 0;
  }
  memcpy(uuid, pool + used, sizeof(uuid_t));
  used += sizeof(uuid_t);
  uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* version 4 */
  uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80); /* variant 1 */
}

void import_put_missing(struct json_t *fields, int64_t at_ms) {
  const json_t *const event_id = json_object_get(fields, "event_id");
  if (event_id == NULL || json_is_null(event_id)) {
    uuid_t uuid;
    char text[UUID_STR_LEN];
    random_uuid(uuid);
    uuid_unparse_lower(uuid, text);
    json_object_set_new(fields, "event_id", json_string(text));
  }
  const json_t *const occurred_at = json_object_get(fields, "occurred_at");
  if (occurred_at == NULL || json_is_null(occurred_at)) {
    json_object_set_new(fields, "occurred_at", json_integer(at_ms));
  }
}
