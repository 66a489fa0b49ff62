#include "core/app/device_look_up.h"

#include "core/app/database.h"
#include "core/result.h"

#include <stdio.h>
#include <string.h>

static enum status take_serial(void *context, const struct span *values, struct error *error) {
  (void)error;
  char *const serial = context;
  assert(values[0].size <= SERIAL_SIZE_MAX);
  memcpy(serial, values[0].data, values[0].size);
  serial[values[0].size] = '\0';
  return STATUS_OK;
}

enum status device_look_up(const struct config *config, const char *wanted,
                           char serial[SERIAL_SIZE_MAX + 1], struct error *error) {
  const size_t size = strlen(wanted);
  if (size == 0 || size > SERIAL_SIZE_MAX || !span_is_printable_ascii(span_text(wanted))) {
    return error_set(error, STATUS_USAGE,
                     "a device ID or a serial of 1 to 64 printable ASCII characters is needed, "
                     "not \"%.80s\"",
                     wanted);
  }
  const uint64_t number = device_id_parse(span_text(wanted));
  if (number == 0) {
    memcpy(serial, wanted, size + 1);
    return STATUS_OK;
  }
  char id[DEVICE_ID_SIZE];
  struct pg_conn *database = NULL;
  device_id_format(number, id);
  serial[0] = '\0';
  enum status status = database_open(config->postgres.dsn, &database, error);
  if (status == STATUS_OK) {
    status = database_query(database,
                            "select serial from muster.devices where device_id = $1 or serial = $2 "
                            "order by device_id = $1 desc limit 1",
                            (const char *const[]){id, wanted}, 2, take_serial, serial, error);
  }
  database_close(database);
  if (status == STATUS_OK && serial[0] == '\0') {
    return error_set(error, STATUS_REFUSED, "no device has the ID or serial %.80s", wanted);
  }
  return status;
}
