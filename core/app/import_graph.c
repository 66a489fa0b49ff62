#include "core/app/import_graph.h"

#include "core/time_text.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>
#include <uuid/uuid.h>

/* Graph writes 0001-01-01, 1601-01-01, 1970-01-01 and the like, or a year far ahead, where there
 * is no date. Mobile device management is younger than this century, and nothing that has
 * happened is in the next. */
#define DATE_MIN_MS INT64_C(946684800000)  /* 2000-01-01 */
#define DATE_MAX_MS INT64_C(4102444800000) /* 2100-01-01, excluded */

void graph_scanner_init(struct graph_scanner *scanner, graph_record_fn each, void *context) {
  *scanner = (struct graph_scanner){.each = each, .context = context, .line = 1};
}

void graph_scanner_fini(struct graph_scanner *scanner) {
  buffer_fini(&scanner->record);
}

bool graph_scanner_lacks_page(const struct graph_scanner *scanner) {
  return scanner->page_count > 0 && scanner->next_link_count >= scanner->page_count;
}

static void hand_over(struct graph_scanner *scanner, struct span text, uint64_t line,
                      const char *problem) {
  const bool is_numbered = scanner->is_listed && line == scanner->document_line;
  const struct graph_record record = {.text = text,
                                      .problem = problem,
                                      .line = line,
                                      .number = is_numbered ? scanner->record_number : 0};
  scanner->each(scanner->context, &record);
}

static void complain(struct graph_scanner *scanner, uint64_t line, const char *problem) {
  hand_over(scanner, span_of(NULL, 0), line, problem);
}

static void list_begin(struct graph_scanner *scanner, bool has_envelope) {
  scanner->place = GRAPH_LIST;
  scanner->is_listed = true;
  scanner->has_envelope = has_envelope;
  scanner->record_number = 0;
}

static void record_begin(struct graph_scanner *scanner) {
  buffer_clear(&scanner->record);
  scanner->place = GRAPH_RECORD;
  scanner->record_line = scanner->line;
  scanner->depth = 0;
  scanner->previous = 0;
  scanner->is_in_text = false;
  scanner->is_too_long = false;
}

static void record_end(struct graph_scanner *scanner) {
  if (scanner->is_too_long) {
    complain(scanner, scanner->record_line, "a record of more than 4 MiB");
  } else {
    hand_over(scanner, buffer_span(&scanner->record), scanner->record_line, NULL);
  }
  scanner->is_one_a_line |= !scanner->is_listed && scanner->record_line == scanner->line;
  scanner->place = scanner->is_listed ? GRAPH_LIST : GRAPH_TOP;
}

/* In a record that is a document of its own a broken line ends with its line, not with the
 * file. */
static void record_give_up(struct graph_scanner *scanner) {
  complain(scanner, scanner->record_line, "not a whole JSON object");
  scanner->place = GRAPH_TOP;
}

static void name_begin(struct graph_scanner *scanner) {
  scanner->name_size = 0;
}

static void name_push(struct graph_scanner *scanner, uint8_t byte) {
  if (scanner->name_size < sizeof scanner->name - 1) {
    scanner->name[scanner->name_size] = (char)byte;
  }
  scanner->name_size++;
}

static bool name_is(const struct graph_scanner *scanner, const char *name) {
  return scanner->name_size < sizeof scanner->name &&
         span_equal(span_of(scanner->name, scanner->name_size), span_text(name));
}

/* Follows a byte in a text; true when it was one. */
static bool walk_text(struct graph_scanner *scanner, uint8_t byte) {
  if (!scanner->is_in_text) {
    return false;
  }
  if (scanner->is_escaped) {
    scanner->is_escaped = false;
  } else if (byte == '\\') {
    scanner->is_escaped = true;
  } else if (byte == '"') {
    scanner->is_in_text = false;
    scanner->previous = byte;
    return true;
  }
  if (scanner->depth == 1) {
    name_push(scanner, byte);
  }
  return true;
}

/* Follows a byte outside of texts; true when it closed the outermost brace. */
static bool walk_structure(struct graph_scanner *scanner, uint8_t byte) {
  switch (byte) {
  case '"':
    scanner->is_in_text = true;
    scanner->is_escaped = false;
    if (scanner->depth == 1) {
      name_begin(scanner);
    }
    break;
  case '{':
  case '[':
    scanner->depth++;
    break;
  case '}':
  case ']':
    scanner->depth--;
    break;
  case ':':
    scanner->next_link_count +=
        !scanner->is_listed && scanner->depth == 1 && name_is(scanner, "@odata.nextLink");
    break;
  default:
    break;
  }
  if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n') {
    scanner->previous = byte;
  }
  return scanner->depth == 0;
}

static void push_record(struct graph_scanner *scanner, uint8_t byte) {
  const bool is_document = !scanner->is_listed;
  if (is_document && byte == '\n' && (scanner->is_in_text || scanner->is_one_a_line)) {
    record_give_up(scanner);
    return;
  }
  if (is_document && !scanner->is_in_text && byte == '[' && scanner->depth == 1 &&
      scanner->previous == ':' && name_is(scanner, "value")) {
    list_begin(scanner, true);
    scanner->page_count++;
    return;
  }
  if (scanner->record.size < GRAPH_RECORD_SIZE_MAX) {
    buffer_append_u8(&scanner->record, byte);
  } else {
    scanner->is_too_long = true;
  }
  if (!walk_text(scanner, byte) && walk_structure(scanner, byte)) {
    record_end(scanner);
  }
}

static void push_list(struct graph_scanner *scanner, uint8_t byte) {
  switch (byte) {
  case ' ':
  case '\t':
  case '\r':
  case '\n':
  case ',':
    break;
  case '{':
    scanner->record_number++;
    record_begin(scanner);
    push_record(scanner, byte);
    break;
  case ']':
    scanner->is_listed = false;
    scanner->place = scanner->has_envelope ? GRAPH_TAIL : GRAPH_TOP;
    scanner->depth = 1;
    scanner->is_in_text = false;
    break;
  default:
    scanner->record_number++;
    complain(scanner, scanner->line, "not a JSON object");
    scanner->place = GRAPH_JUNK;
  }
}

static void push_top(struct graph_scanner *scanner, uint8_t byte) {
  switch (byte) {
  case ' ':
  case '\t':
  case '\r':
  case '\n':
    break;
  case '{':
    scanner->document_line = scanner->line;
    record_begin(scanner);
    push_record(scanner, byte);
    break;
  case '[':
    scanner->document_line = scanner->line;
    list_begin(scanner, false);
    break;
  default:
    complain(scanner, scanner->line, "not a JSON object");
    scanner->place = GRAPH_JUNK;
  }
}

static void push_junk(struct graph_scanner *scanner, uint8_t byte) {
  if (!scanner->is_listed && byte == '\n') {
    scanner->place = GRAPH_TOP;
  } else if (scanner->is_listed && (byte == ',' || byte == ']' || byte == '\n')) {
    scanner->place = GRAPH_LIST;
    push_list(scanner, byte);
  }
}

void graph_scanner_push(struct graph_scanner *scanner, struct span bytes) {
  for (size_t i = 0; i < bytes.size; i++) {
    const uint8_t byte = bytes.data[i];
    switch (scanner->place) {
    case GRAPH_TOP:
      push_top(scanner, byte);
      break;
    case GRAPH_LIST:
      push_list(scanner, byte);
      break;
    case GRAPH_RECORD:
      push_record(scanner, byte);
      break;
    case GRAPH_TAIL:
      if (!walk_text(scanner, byte) && walk_structure(scanner, byte)) {
        scanner->place = GRAPH_TOP;
      }
      break;
    case GRAPH_JUNK:
      push_junk(scanner, byte);
      break;
    }
    scanner->line += byte == '\n';
  }
}

void graph_scanner_end(struct graph_scanner *scanner) {
  if (scanner->place == GRAPH_RECORD) {
    complain(scanner, scanner->record_line, "not a whole JSON object");
  } else if (scanner->place == GRAPH_TAIL || scanner->is_listed) {
    scanner->is_listed = false; /* it is the list that is not finished, no record of it */
    complain(scanner, scanner->line, "the file ends inside of a list of records");
  }
  scanner->place = GRAPH_TOP;
  scanner->is_listed = false;
}

/* What is needed of a record; every view is into its JSON. */
struct managed_device {
  struct span id, serial, user, os_version;
  enum platform platform;
  enum ownership ownership;
  bool was_enrolled, was_synced;
  int64_t enrolled_at_ms, synced_at_ms;
  const json_t *is_encrypted; /* a boolean, or NULL */
};

static bool starts(struct span text, const char *beginning) {
  const size_t size = strlen(beginning);
  return text.size >= size && strncasecmp((const char *)text.data, beginning, size) == 0;
}

static bool platform_of(struct span system, enum platform *platform) {
  static const struct {
    const char *beginning;
    enum platform platform;
  } systems[] = {
      {"windows", PLATFORM_WINDOWS}, {"macos", PLATFORM_MACOS},     {"mac os", PLATFORM_MACOS},
      {"macmdm", PLATFORM_MACOS},    {"osx", PLATFORM_MACOS},       {"os x", PLATFORM_MACOS},
      {"ios", PLATFORM_IOS},         {"ipados", PLATFORM_IOS},      {"iphone", PLATFORM_IOS},
      {"ipad", PLATFORM_IOS},        {"android", PLATFORM_ANDROID}, {"linux", PLATFORM_LINUX},
  };
  if (starts(system, "windows phone") || starts(system, "windowsphone") ||
      starts(system, "windows mobile")) {
    return false; /* their versions compare with no rule for Windows */
  }
  for (size_t i = 0; i < COUNT_OF(systems); i++) {
    if (starts(system, systems[i].beginning)) {
      *platform = systems[i].platform;
      return true;
    }
  }
  return false;
}

static bool date_of(const json_t *device, const char *name, int64_t *at_ms) {
  return time_parse(import_text(device, name), at_ms) && *at_ms >= DATE_MIN_MS &&
         *at_ms < DATE_MAX_MS;
}

static bool is_blank(struct span text) {
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] != ' ') {
      return false;
    }
  }
  return true;
}

static enum status read_device(const json_t *device, struct managed_device *read,
                               struct error *error) {
  if (!json_is_object(device)) {
    return error_set(error, STATUS_REFUSED, "not a JSON object");
  }
  *read = (struct managed_device){
      .id = import_text(device, "id"),
      .serial = import_text(device, "serialNumber"),
      .user = import_text(device, "userPrincipalName"),
      .os_version = import_text(device, "osVersion"),
      .is_encrypted = json_object_get(device, "isEncrypted"),
      .ownership = OWNERSHIP_CORPORATE,
  };
  if (is_blank(read->serial)) {
    return error_set(error, STATUS_REFUSED, "serialNumber is missing or empty");
  }
  if (is_blank(read->user)) {
    read->user = import_text(device, "emailAddress");
  }
  if (is_blank(read->user)) {
    return error_set(error, STATUS_REFUSED, "userPrincipalName and emailAddress are empty");
  }
  const struct span system = import_text(device, "operatingSystem");
  if (!platform_of(system, &read->platform)) {
    return error_set(error, STATUS_REFUSED, "operatingSystem \"%.*s\" is not a known platform",
                     (int)(system.size < 64 ? system.size : 64), (const char *)system.data);
  }
  const struct span owner = import_text(device, "managedDeviceOwnerType");
  if (owner.size == strlen("personal") && starts(owner, "personal")) {
    read->ownership = OWNERSHIP_PERSONAL;
  }
  if (!json_is_boolean(read->is_encrypted)) {
    read->is_encrypted = NULL;
  }
  read->was_enrolled = date_of(device, "enrolledDateTime", &read->enrolled_at_ms);
  read->was_synced = date_of(device, "lastSyncDateTime", &read->synced_at_ms);
  if (!read->was_enrolled && !read->was_synced) {
    return error_set(error, STATUS_REFUSED, "enrolledDateTime and lastSyncDateTime hold no date");
  }
  if (!read->was_enrolled) {
    read->enrolled_at_ms = read->synced_at_ms; /* a device that syncs has been enrolled */
  }
  return STATUS_OK;
}

static json_t *text_value(struct span text) {
  return json_stringn((const char *)text.data, text.size);
}

/* The fields that every kind has, but for the event's id. */
static json_t *event_value(const struct managed_device *device, int64_t at_ms) {
  return json_pack("{s:I, s:o}", "occurred_at", (json_int_t)at_ms, "serial",
                   text_value(device->serial));
}

/* The id is made of all that the event says: an import that is repeated, or overlaps another, is
 * ignored where it says nothing new, and a record that has changed since renews its device though
 * its dates have not. */
static void put_event_id(json_t *value, struct span device_id, enum topic topic) {
  static const uuid_t namespace = {0x6f, 0x0e, 0x4c, 0x1d, 0x9a, 0x52, 0x4b, 0x37,
                                   0x8d, 0x6a, 0x2b, 0x91, 0xc4, 0x7e, 0x05, 0xf8};
  json_t *const content = json_pack("[o, s, O]", text_value(device_id), topic_name(topic), value);
  char *const name = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(content);
  assert(name != NULL);
  uuid_t event_id;
  uuid_generate_sha1(event_id, namespace, name, strlen(name));
  free(name);
  char text[UUID_STR_LEN];
  uuid_unparse_lower(event_id, text);
  json_object_set_new(value, "event_id", json_string(text));
}

static void add(struct import_message *messages, size_t *count, enum input_record record,
                int64_t at_ms, json_t *value) {
  assert(value != NULL);
  messages[(*count)++] =
      (struct import_message){.record = record, .timestamp_ms = at_ms, .value = value};
}

static json_t *enrollment_value(const struct managed_device *device) {
  const bool is_mobile = device->platform == PLATFORM_IOS || device->platform == PLATFORM_ANDROID;
  json_t *const value = event_value(device, device->enrolled_at_ms);
  json_object_set_new(value, "user_email", text_value(device->user));
  json_object_set_new(value, "platform", json_string(platform_name(device->platform)));
  json_object_set_new(value, "profile",
                      json_string(profile_name(is_mobile ? PROFILE_MOBILE : PROFILE_STANDARD)));
  json_object_set_new(value, "os_version", text_value(device->os_version));
  json_object_set_new(value, "ownership", json_string(ownership_name(device->ownership)));
  json_object_set_new(value, "consent", json_null());
  return value;
}

static json_t *checkin_value(const struct managed_device *device) {
  json_t *const value = event_value(device, device->synced_at_ms);
  json_object_set_new(value, "os_version", text_value(device->os_version));
  json_object_set_new(value, "trigger", json_string("SCHEDULED"));
  return value;
}

static json_t *report_value(const struct managed_device *device) {
  json_t *const value = event_value(device, device->synced_at_ms);
  json_object_set_new(value, "os_version",
                      device->os_version.size > 0 ? text_value(device->os_version) : json_null());
  json_object_set_new(value, "antivirus_enabled", json_null());
  json_object_set_new(value, "antivirus_signatures_at", json_null());
  json_object_set_new(value, "disk_encrypted",
                      device->is_encrypted == NULL
                          ? json_null()
                          : json_boolean(json_is_true(device->is_encrypted)));
  json_object_set_new(value, "screen_lock_pin_length", json_null());
  return value;
}

enum status graph_convert(const struct json_t *device,
                          struct import_message messages[GRAPH_MESSAGES_MAX], size_t *count,
                          struct error *error) {
  struct managed_device read;
  *count = 0;
  const enum status status = read_device(device, &read, error);
  if (status != STATUS_OK) {
    return status;
  }
  add(messages, count, INPUT_ENROLLMENT, read.enrolled_at_ms, enrollment_value(&read));
  if (read.was_synced) {
    add(messages, count, INPUT_CHECKIN, read.synced_at_ms, checkin_value(&read));
    add(messages, count, INPUT_REPORT, read.synced_at_ms, report_value(&read));
  }
  for (size_t i = 0; i < *count; i++) {
    put_event_id(messages[i].value, read.id, input_record_topic(messages[i].record));
  }
  return STATUS_OK;
}
